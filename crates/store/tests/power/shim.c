/* Preloaded into a process whose disk a test pretends to lose: writes down, in one order, everything that the process does
 * to files below one directory. Syncs are written down and not carried out: what a power loss leaves is the test's choice.
 *
 * One entry: op u8, fd i32, number u64, length u32, then that many bytes, all in the machine's own byte order. The ops are
 * those of `disk.rs`. Calls that sled and the store do not make are left out; a forgotten one shows when the test compares
 * its picture of the files with the files. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FDS 4096
#define REAL(name) ((__typeof__(&name))real(#name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char below[FDS];
static const char *root;
static size_t root_len;
static int log_fd = -1;
/* Syncs of files that are only open for reading are forgotten: this store's own, and none of sled's. */
static int deaf;

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

__attribute__((constructor)) static void start(void) {
    const char *log = getenv("RELAYMESH_POWER_LOG");
    root = getenv("RELAYMESH_POWER_ROOT");
    if (!log || !root) return;
    root_len = strlen(root);
    deaf = getenv("RELAYMESH_POWER_DEAF") != NULL;
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (log_fd < 0) abort();
}

static void put(const void *bytes, size_t len) {
    const char *at = bytes;
    while (len > 0) {
        long n = syscall(SYS_write, log_fd, at, len);
        if (n <= 0) abort();
        at += n;
        len -= (size_t)n;
    }
}

static void note(char op, int fd, uint64_t number, const void *bytes, size_t len) {
    char head[17];
    uint32_t short_len = (uint32_t)len;
    head[0] = op;
    memcpy(head + 1, &fd, 4);
    memcpy(head + 5, &number, 8);
    memcpy(head + 13, &short_len, 4);
    put(head, sizeof head);
    put(bytes, len);
}

/* The path below the root, or NULL. */
static const char *inside(const char *path) {
    if (log_fd < 0 || strncmp(path, root, root_len) != 0) return NULL;
    if (path[root_len] == 0) return path + root_len;
    return path[root_len] == '/' ? path + root_len + 1 : NULL;
}

static int tracked(int fd) { return fd >= 0 && fd < FDS && below[fd]; }

static int opened(int fd, const char *path, int flags) {
    const char *name = inside(path);
    if (fd < 0 || !name) return fd;
    if (fd >= FDS) abort();
    below[fd] = 1;
    note('O', fd, (flags & O_CREAT ? 1 : 0) | (flags & O_TRUNC ? 2 : 0), name, strlen(name));
    return fd;
}

#define OPENER(name)                                                       \
    int name(const char *path, int flags, ...) {                           \
        va_list rest;                                                      \
        va_start(rest, flags);                                             \
        mode_t mode = va_arg(rest, mode_t);                                \
        va_end(rest);                                                      \
        pthread_mutex_lock(&lock);                                         \
        int fd = opened(REAL(name)(path, flags, mode), path, flags);       \
        pthread_mutex_unlock(&lock);                                       \
        return fd;                                                         \
    }
OPENER(open)
OPENER(open64)

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (tracked(fd)) below[fd] = 0;
    int done = REAL(close)(fd);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int fd, const void *bytes, size_t len) {
    if (!tracked(fd)) return REAL(write)(fd, bytes, len);
    pthread_mutex_lock(&lock);
    ssize_t n = REAL(write)(fd, bytes, len);
    if (n > 0) note('W', fd, (uint64_t)(lseek(fd, 0, SEEK_CUR) - n), bytes, (size_t)n);
    pthread_mutex_unlock(&lock);
    return n;
}

#define PWRITER(name, offset)                                              \
    ssize_t name(int fd, const void *bytes, size_t len, offset at) {       \
        if (!tracked(fd)) return REAL(name)(fd, bytes, len, at);           \
        pthread_mutex_lock(&lock);                                         \
        ssize_t n = REAL(name)(fd, bytes, len, at);                        \
        if (n > 0) note('W', fd, (uint64_t)at, bytes, (size_t)n);          \
        pthread_mutex_unlock(&lock);                                       \
        return n;                                                          \
    }
PWRITER(pwrite, off_t)
PWRITER(pwrite64, off64_t)

#define CUTTER(name, offset)                                               \
    int name(int fd, offset len) {                                         \
        if (!tracked(fd)) return REAL(name)(fd, len);                      \
        pthread_mutex_lock(&lock);                                         \
        int done = REAL(name)(fd, len);                                    \
        if (done == 0) note('T', fd, (uint64_t)len, "", 0);                \
        pthread_mutex_unlock(&lock);                                       \
        return done;                                                       \
    }
CUTTER(ftruncate, off_t)
CUTTER(ftruncate64, off64_t)

static int synced(int fd) {
    struct stat stat;
    int reader = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
    pthread_mutex_lock(&lock);
    if (!(deaf && reader && fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode))) note('S', fd, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) { return tracked(fd) ? synced(fd) : REAL(fsync)(fd); }
int fdatasync(int fd) { return tracked(fd) ? synced(fd) : REAL(fdatasync)(fd); }

/* Writes neither a file's length nor the drive's cache, so it promises nothing here. */
int sync_file_range(int fd, off64_t at, off64_t len, unsigned flags) {
    return tracked(fd) ? 0 : REAL(sync_file_range)(fd, at, len, flags);
}

int rename(const char *from, const char *to) {
    pthread_mutex_lock(&lock);
    int done = REAL(rename)(from, to);
    const char *old = inside(from), *new = inside(to);
    if (done == 0 && old && new) {
        size_t old_len = strlen(old) + 1, new_len = strlen(new);
        char *both = malloc(old_len + new_len);
        if (!both) abort();
        memcpy(both, old, old_len);
        memcpy(both + old_len, new, new_len);
        note('R', -1, 0, both, old_len + new_len);
        free(both);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

static int named(int done, char op, const char *path) {
    const char *name = inside(path);
    if (done == 0 && name) note(op, -1, 0, name, strlen(name));
    return done;
}

int unlink(const char *path) {
    pthread_mutex_lock(&lock);
    int done = named(REAL(unlink)(path), 'U', path);
    pthread_mutex_unlock(&lock);
    return done;
}

int mkdir(const char *path, mode_t mode) {
    pthread_mutex_lock(&lock);
    int done = named(REAL(mkdir)(path, mode), 'M', path);
    pthread_mutex_unlock(&lock);
    return done;
}
