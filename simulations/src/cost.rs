//! What running worlds costs this machine: CPU time and memory, as Linux counts them.

use std::fs;

use serde::{Deserialize, Serialize};

/// What a process took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// CPU time of all its threads, the kernel's included, in seconds.
    pub seconds: f64,
    /// Most memory that it ever held, in gigabytes (10⁹ bytes).
    pub gigabytes: f64,
}

/// Nanoseconds that this thread has run.
#[must_use]
pub fn thread_nanoseconds() -> Option<u64> {
    fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}

/// CPU seconds of all threads of this process that still run: a world runs in one thread, and starts none that ends before.
#[must_use]
pub fn process_seconds() -> Option<f64> {
    let threads = fs::read_dir("/proc/self/task").ok()?;
    let times = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let seconds = times.sum::<u64>() as f64 / 1e9;
    (seconds > 0.0).then_some(seconds)
}

/// Most memory that this process ever held, in gigabytes.
#[must_use]
pub fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024.0 / 1e9)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn work_and_memory_are_seen() {
        let before = (thread_nanoseconds().unwrap(), process_seconds().unwrap());
        let mut numbers: Vec<u64> = (0..2_000_000).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        numbers.sort_unstable();
        assert!(std::hint::black_box(numbers).len() == 2_000_000);
        assert!(thread_nanoseconds().unwrap() > before.0 && process_seconds().unwrap() > before.1);
        assert!(peak_memory().unwrap() > 0.016, "the numbers alone take as much");
    }
}
