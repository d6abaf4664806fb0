//! Acknowledgements per second, one by one and with 64 waiters, beside a bare append and fsync.
//!
//! `cargo run --release -p relaymesh-store --example commit_rate [directory]`; the directory
//! should lie on the disk that is meant (a temporary one may be in memory).

use std::{
    env,
    error::Error,
    fs::File,
    io::{self, Write as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use relaymesh_store::{Batch, Config, Discard, Outcome, Store};

const VALUE_BYTES: usize = 300;
const WAITERS: u32 = 64;
const TIME: Duration = Duration::from_secs(3);

fn main() -> Result<(), Box<dyn Error>> {
    let base = env::args().nth(1).map_or_else(env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(base)?;
    let mut out = io::stdout();
    let raw = raw_fsync(&dir.path().join("raw"))?;
    writeln!(out, "append + fsync, one by one: {raw:.0}/s")?;
    for waiters in [1, WAITERS] {
        let store = Store::open(Config::new(dir.path().join(waiters.to_string())), Discard)?;
        let rate = store_rate(&store, waiters);
        let stats = store.stats()?;
        let group = stats.batches as f64 / stats.commits.max(1) as f64;
        store.close();
        writeln!(
            out,
            "store, {waiters} waiting: {rate:.0}/s, {group:.1} in a group, {:.2} of the raw rate",
            rate / raw
        )?;
    }
    Ok(())
}

fn raw_fsync(path: &Path) -> io::Result<f64> {
    let mut file = File::create(path)?;
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < TIME {
        file.write_all(&[7; VALUE_BYTES])?;
        file.sync_all()?;
        count += 1;
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

fn store_rate(store: &Store, waiters: u32) -> f64 {
    let start = Instant::now();
    let count: u32 = thread::scope(|scope| {
        let threads: Vec<_> = (0..waiters).map(|waiter| scope.spawn(move || acknowledged(store, waiter))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    f64::from(count) / start.elapsed().as_secs_f64()
}

fn acknowledged(store: &Store, waiter: u32) -> u32 {
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < TIME {
        let key = [waiter.to_be_bytes(), count.to_be_bytes()].concat();
        if store.apply(Batch::new().put(key, vec![7; VALUE_BYTES])) == Outcome::Ok {
            count += 1;
        }
    }
    count
}
