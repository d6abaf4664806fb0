//! kill -9: a real node under load is killed at random and opened again on the same directory, many times over, now and then
//! in the middle of its start. Whatever it acknowledged is published, and nothing is published twice.
//!
//! 300 kills by default, which take 80 to 90 s in an unoptimised build on two busy cores: 160 ms for each start, up to 200 ms
//! alive. `RELAYMESH_KILL_CYCLES` asks for another number, `RELAYMESH_KILL_SEED` for other moments.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
#![allow(clippy::print_stdout, reason = "how fast it was, for whoever asks with --nocapture")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use support::World;
use support::kit::gateway::GatewayClient;
use support::kit::person::Person;
use tokio::task::JoinSet;

/// Kills in a run of the test suite.
const CYCLES: u32 = 300;
/// People who write, each through two gateway clients at a time.
const PEOPLE: usize = 3;
/// Messages acknowledged and not yet published, of all people: beyond, they wait. A phone's session opens messages that are
/// up to 100 out of their order, and a person who writes hundreds of SMS a minute is none.
const OPEN_MAX: u64 = 30;
/// A node is killed this long after it was ready: milliseconds from, and how many more at most where a start takes no longer.
const ALIVE_MS: (u64, u64) = (20, 180);
/// One kill in so many falls into a start, so that recovery is killed too; at most this many milliseconds after its begin.
const IN_START: (u64, u64) = (6, 150);
/// Pause before an SMS that nobody answered is sent again.
const AGAIN_AFTER: Duration = Duration::from_millis(15);
/// Time for everything acknowledged to be published after the last kill. Pauses before another attempt grow up to minutes
/// where a platform cannot be reached, but this one always answers.
const SETTLE_WITHIN: Duration = Duration::from_secs(60);
/// How often the platform is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A number from the environment.
fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// What is forwarded, and what came of it.
#[derive(Default)]
struct Load {
    /// Texts that a node answered with 2xx.
    acknowledged: Mutex<BTreeSet<String>>,
    /// Texts that were written.
    written: AtomicU64,
    /// Posts on the platform.
    published: AtomicU64,
    ended: AtomicBool,
}

impl Load {
    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether everybody should wait for what is under way.
    fn is_full(&self) -> bool {
        let published = self.published.load(Ordering::Relaxed);
        (self.acknowledged.lock().unwrap().len() as u64).saturating_sub(published) >= OPEN_MAX
    }
}

/// Writes one message after the other and forwards each again and again until it is acknowledged, as people and their phones
/// do. Gives whether the last one was not when the load ended.
async fn forward(load: Arc<Load>, person: Arc<Mutex<Person>>, client: GatewayClient) -> bool {
    let number = person.lock().unwrap().number.reveal().to_owned();
    while !load.ended() {
        if load.is_full() {
            tokio::time::sleep(AGAIN_AFTER).await;
            continue;
        }
        let text = format!("message {}", load.written.fetch_add(1, Ordering::Relaxed));
        let sms = person.lock().unwrap().compose(&text, true).unwrap();
        while !client.forward(&number, &sms).await.is_ok_and(|answer| answer.accepted()) {
            if load.ended() {
                return true;
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        load.acknowledged.lock().unwrap().insert(text);
    }
    false
}

/// How often each text is on the platform.
fn published(world: &World) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for post in world.platform.posts() {
        *counts.entry(post.status).or_insert(0) += 1;
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_survives_every_kill_and_nothing_is_published_twice() {
    let cycles = setting("RELAYMESH_KILL_CYCLES", CYCLES);
    let mut chance = ChaCha20Rng::seed_from_u64(u64::from(setting("RELAYMESH_KILL_SEED", 1)));
    let mut world = World::start(1).await.unwrap();
    let load = Arc::new(Load::default());
    let mut senders = JoinSet::new();
    for at in 0..PEOPLE {
        let person = world.person(0, &format!("+23765030000{at}"), &format!("kim{at}")).await.unwrap();
        let person = Arc::new(Mutex::new(person));
        for side in ["left", "right"] {
            let client = world.gateway(0, &format!("gc-{at}-{side}"), &format!("+23765020000{at}")).await.unwrap();
            senders.spawn(forward(Arc::clone(&load), Arc::clone(&person), client));
        }
    }

    let begun = Instant::now();
    let (mut starting, mut in_start, mut last) = (Duration::ZERO, 0, Duration::ZERO);
    for cycle in 0..cycles {
        // On a busy machine everything takes longer: killed too soon each time, a node would never come to work.
        let more = ALIVE_MS.1.max(u64::try_from(last.as_millis()).unwrap_or(u64::MAX));
        let alive = ALIVE_MS.0 + chance.next_u64() % more;
        tokio::time::sleep(Duration::from_millis(alive)).await;
        load.published.store(world.platform.post_count(), Ordering::Relaxed);
        world.nodes[0].kill().await.unwrap();
        let failed = |error| -> Duration { panic!("after kill {}: {error:#}", cycle + 1) };
        if chance.next_u64().is_multiple_of(IN_START.0) {
            let patience = Duration::from_millis(chance.next_u64() % IN_START.1);
            match tokio::time::timeout(patience, world.nodes[0].start()).await {
                Ok(ready) => drop(ready.unwrap_or_else(failed)),
                Err(_) => in_start += 1,
            }
            world.nodes[0].kill().await.unwrap();
        }
        last = world.nodes[0].start().await.unwrap_or_else(failed);
        starting += last;
    }
    load.ended.store(true, Ordering::Relaxed);
    let unanswered = senders.join_all().await.into_iter().filter(|unanswered| *unanswered).count();
    let acknowledged = load.acknowledged.lock().unwrap().clone();
    println!(
        "{cycles} kills and {in_start} in the middle of a start in {:?}, {:?} for each start; {} acknowledged, {} under way \
         at the end",
        begun.elapsed(),
        starting.checked_div(cycles.max(1)).unwrap_or_default(),
        acknowledged.len(),
        unanswered,
    );
    assert!(cycles < 100 || in_start >= cycles / 30, "only {in_start} starts were killed");
    let missing = settle(&world, &acknowledged).await;
    let uncertain = world.outbox().look().unwrap().iter().filter(|sms| is_uncertain(&sms.text)).count();
    assert_eq!((missing.len(), uncertain), (0, 0), "acknowledged and not published, told as uncertain: {missing:?}");
    let twice: Vec<_> = published(&world).into_iter().filter(|(_, times)| *times > 1).collect();
    assert!(twice.is_empty(), "published more than once: {twice:?}");
    let written = load.written.load(Ordering::Relaxed);
    assert!(world.platform.post_count() <= written, "more posts than messages");
    assert!(acknowledged.len() as u64 >= u64::from(cycles), "there was next to no load: {}", acknowledged.len());
}

/// Waits until everything acknowledged is published, then until a second post would have come; gives what is missing.
async fn settle(world: &World, acknowledged: &BTreeSet<String>) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let there = published(world);
        let missing: Vec<String> = acknowledged.iter().filter(|text| !there.contains_key(*text)).cloned().collect();
        if missing.is_empty() || begun.elapsed() > SETTLE_WITHIN {
            println!("settled {:?} after the last kill", begun.elapsed());
            tokio::time::sleep(support::SETTLE).await;
            return missing;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether an SMS tells its reader that nobody knows how a message ended.
fn is_uncertain(text: &str) -> bool {
    text.contains("RESEND")
}
