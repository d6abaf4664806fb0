//! The clock and the entropy of one thread, taken out of the hands of libc.
//!
//! libp2p and std ask `clock_gettime` for the time and `getrandom` for chance. A function of that name in the executable wins
//! over the one of a shared libc, for calls that were linked and for those that are looked up while running. While
//! [`Held`] lives, this thread's clock is tokio's paused one and its entropy a sequence that follows from a seed; every
//! other thread, and this one afterwards, asks the kernel.
#![allow(unsafe_code, reason = "symbols of libc have their signatures")]

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
compile_error!("the stack tier needs Linux with a shared glibc: elsewhere an executable cannot replace these symbols");

use std::cell::Cell;
use std::marker::PhantomData;
use std::time::Duration;

use libc::{c_int, c_uint, c_void, clockid_t, size_t, ssize_t, timespec};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// The wall clock at virtual zero, in seconds: that of the nodes' cores. Certificates and such would see it.
const EPOCH_S: i64 = 1_767_225_600;
/// The monotonic clock at virtual zero: not zero, for who subtracts from it.
const UPTIME_S: i64 = 1_000_000;

thread_local! {
    static HOLDS: Cell<bool> = const { Cell::new(false) };
    /// Asking tokio for the time may ask us again.
    static ASKING: Cell<bool> = const { Cell::new(false) };
    static START: Cell<Option<Instant>> = const { Cell::new(None) };
    static LAST: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static CHANCE: Cell<u64> = const { Cell::new(0) };
}

/// While it lives, this thread has a virtual clock and seeded entropy. Bound to its thread.
#[derive(Debug)]
pub struct Held(PhantomData<*const ()>);

impl Held {
    /// Takes hold of the thread's entropy. The clock follows with [`Held::start_clock`].
    #[must_use]
    pub fn seed(seed: u64) -> Self {
        CHANCE.set(seed);
        LAST.set(Duration::ZERO);
        START.set(None);
        HOLDS.set(true);
        Self(PhantomData)
    }

    /// From here on the clock is tokio's. To be called inside a runtime whose clock is paused.
    pub fn start_clock(&self) {
        START.set(Some(Instant::now()));
    }

    /// Whether libc's names lead here: with other linkers or libraries they might not.
    #[must_use]
    pub fn is_effective(&self) -> bool {
        let (before, mut bytes) = (CHANCE.get(), [0; 16]);
        let drawn = getrandom::fill(&mut bytes).is_ok();
        let entropy = drawn && CHANCE.get() != before;
        CHANCE.set(before);
        let clock = std::time::Instant::now() == std::time::Instant::now();
        entropy && clock
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HOLDS.set(false);
    }
}

/// Virtual time since the start, if this thread has one.
fn elapsed() -> Option<Duration> {
    if !HOLDS.get() || ASKING.get() {
        return None;
    }
    let Some(start) = START.get() else { return Some(LAST.get()) };
    ASKING.set(true);
    // Outside a runtime (things are being dropped) the clock stands still.
    if Handle::try_current().is_ok() {
        LAST.set(Instant::now().saturating_duration_since(start));
    }
    ASKING.set(false);
    Some(LAST.get())
}

/// SplitMix64: one state for all.
fn next() -> u64 {
    let state = CHANCE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    CHANCE.set(state);
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// As libc's.
///
/// # Safety
/// `to` points to writable memory for a `timespec`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, to: *mut timespec) -> c_int {
    let origin = match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => Some(EPOCH_S),
        libc::CLOCK_MONOTONIC | libc::CLOCK_MONOTONIC_COARSE | libc::CLOCK_MONOTONIC_RAW | libc::CLOCK_BOOTTIME => {
            Some(UPTIME_S)
        }
        _ => None,
    };
    let (Some(origin), Some(elapsed)) = (origin, elapsed()) else {
        // SAFETY: the caller's promise is the kernel's condition.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, to) } as c_int;
    };
    let seconds = origin + i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX - origin);
    // SAFETY: the caller promises that `to` can be written.
    unsafe { to.write(timespec { tv_sec: seconds, tv_nsec: i64::from(elapsed.subsec_nanos()) }) };
    0
}

/// As libc's.
///
/// # Safety
/// `to` points to `len` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(to: *mut c_void, len: size_t, flags: c_uint) -> ssize_t {
    if !HOLDS.get() {
        // SAFETY: the caller's promise is the kernel's condition.
        return unsafe { libc::syscall(libc::SYS_getrandom, to, len, flags) } as ssize_t;
    }
    // SAFETY: the caller promises `len` writable bytes.
    unsafe { fill(to, len) };
    ssize_t::try_from(len).unwrap_or(ssize_t::MAX)
}

/// As libc's.
///
/// # Safety
/// `to` points to `len` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getentropy(to: *mut c_void, len: size_t) -> c_int {
    if HOLDS.get() {
        // SAFETY: the caller promises `len` writable bytes.
        unsafe { fill(to, len) };
        return 0;
    }
    // SAFETY: the caller's promise is the kernel's condition.
    let got = unsafe { libc::syscall(libc::SYS_getrandom, to, len, 0) };
    if usize::try_from(got) == Ok(len) { 0 } else { -1 }
}

/// # Safety
/// `to` points to `len` writable bytes.
unsafe fn fill(to: *mut c_void, len: size_t) {
    let mut bytes = to.cast::<u8>();
    let mut left = len;
    while left > 0 {
        let word = next().to_le_bytes();
        let count = left.min(word.len());
        // SAFETY: `count` bytes are left of the caller's, and a word has as many.
        unsafe {
            std::ptr::copy_nonoverlapping(word.as_ptr(), bytes, count);
            bytes = bytes.add(count);
        }
        left -= count;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::hash_map::RandomState;
    use std::hash::BuildHasher as _;
    use std::time::{Instant as StdInstant, SystemTime};

    use super::*;

    /// On a fresh thread, as worlds are: std draws the keys of its maps once for each.
    fn held(seed: u64) -> (u64, [u8; 8], Duration, Duration) {
        let run = move || {
            let held = Held::seed(seed);
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                held.start_clock();
                assert!(held.is_effective());
                let (start, wall) = (StdInstant::now(), SystemTime::now());
                tokio::time::sleep(Duration::from_secs(86_400)).await;
                let mut bytes = [0; 8];
                getrandom::fill(&mut bytes).unwrap();
                (RandomState::new().hash_one(1), bytes, start.elapsed(), wall.elapsed().unwrap())
            })
        };
        std::thread::spawn(run).join().unwrap()
    }

    #[test]
    fn a_thread_has_its_own_clock_and_chance_and_the_others_keep_theirs() {
        let (first, again, other) = (held(1), held(1), held(2));
        assert_eq!(first, again);
        assert_ne!((first.0, first.1), (other.0, other.1));
        assert_eq!(first.2.as_secs(), 86_400);
        assert_eq!(first.3.as_secs(), 86_400);
        let real = StdInstant::now();
        std::thread::sleep(Duration::from_millis(2));
        assert!(real.elapsed() >= Duration::from_millis(2));
        let draw = || {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).unwrap();
            bytes
        };
        assert_ne!(draw(), draw());
    }
}
