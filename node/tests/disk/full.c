/* Preloaded into a node: while a file named by RELAYMESH_TEST_DISK is there, writes below RELAYMESH_TEST_ROOT fail as they
 * do on a full disk, or, if the file says "broken", fsyncs fail as they do on a broken one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* 'f' for a full disk, 'b' for a broken one, 0 for a sound one. */
static char fault(int fd) {
    const char *name = getenv("RELAYMESH_TEST_DISK"), *root = getenv("RELAYMESH_TEST_ROOT");
    int saved = errno;
    char kind = 0, link[64], path[4096];
    int file = name && root ? (int)syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC) : -1;
    if (file >= 0) {
        if (syscall(SYS_read, file, &kind, 1) != 1) kind = 0;
        syscall(SYS_close, file);
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, path, sizeof path);
        if (len < (ssize_t)strlen(root) || strncmp(path, root, strlen(root)) != 0) kind = 0;
    }
    errno = saved;
    return kind;
}

#define FAIL(error) do { errno = (error); return -1; } while (0)

ssize_t write(int fd, const void *bytes, size_t len) {
    if (fault(fd) == 'f') FAIL(ENOSPC);
    return REAL(write)(fd, bytes, len);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) {
    if (fault(fd) == 'f') FAIL(ENOSPC);
    return REAL(pwrite)(fd, bytes, len, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at) {
    if (fault(fd) == 'f') FAIL(ENOSPC);
    return REAL(pwrite64)(fd, bytes, len, at);
}

int fsync(int fd) {
    if (fault(fd) == 'b') FAIL(EIO);
    return REAL(fsync)(fd);
}

int fdatasync(int fd) {
    if (fault(fd) == 'b') FAIL(EIO);
    return REAL(fdatasync)(fd);
}
