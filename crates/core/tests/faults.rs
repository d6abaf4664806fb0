//! Random schedules: nodes die and come back, links break, frames are lost, repeated and held up, the platform has moods.
//! In the end everything accepted is published once. `RELAYMESH_FAULT_SEEDS` says how many schedules are run.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

mod world;

use std::cell::RefCell;
use std::rc::Rc;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use relaymesh_core::command::{Command, MessageOutcome, OperatorCommand, OperatorReply, Reply, Submitted};
use relaymesh_protocol::base64text;
use world::{Fate, Frame, Person, PlatformMood, World};

/// Schedules of one run, if nothing else is said.
const SEEDS: u64 = 12;
const DAY_MS: u64 = 86_400_000;
/// Longer than any pause between attempts, and than platforms keep their keys.
const CALM_MS: u64 = 4 * 3_600_000;

fn seeds() -> u64 {
    std::env::var("RELAYMESH_FAULT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS)
}

struct Chance(ChaCha20Rng);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    fn below(&mut self, n: usize) -> usize {
        self.0.next_u32() as usize % n
    }

    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// One message as it was handed in.
struct Sent {
    text: String,
    sms: String,
    person: usize,
    /// Nodes that answered 2xx.
    accepted: Vec<usize>,
}

/// What a schedule ends with.
#[derive(Debug, PartialEq, Eq)]
struct End {
    posts: Vec<(String, String)>,
    sms: Vec<(String, String)>,
    frames: u64,
}

/// Loses, repeats and holds up frames while `rough` says so.
fn rough_network(world: &mut World, seed: u64) -> Rc<RefCell<bool>> {
    let rough = Rc::new(RefCell::new(true));
    let (on, mut chance) = (rough.clone(), Chance::new(seed ^ 0xF4A3));
    world.tap(move |_, _, frame| {
        if !*on.borrow() {
            return Fate::Pass;
        }
        match chance.below(100) {
            0..8 => Fate::Lose,
            8..16 => Fate::Twice(chance.below(20_000) as u64),
            16..26 => Fate::Late(chance.below(8_000) as u64),
            26 => {
                if let Frame::Envelope(carried) = frame {
                    let at = chance.below(carried.envelope.len());
                    carried.envelope[at] ^= 1;
                }
                Fate::Pass
            }
            _ => Fate::Pass,
        }
    });
    rough
}

fn hand_in(world: &mut World, person: &Person, node: usize, text: &str) -> bool {
    if !world.nodes[node].alive() {
        return false;
    }
    matches!(world.ask(node, person.submit(text)), Reply::Submitted(Submitted::Accepted { .. }))
}

/// A copy with some bit flipped.
fn damaged(chance: &mut Chance, sms: &str) -> String {
    let mut bytes = base64text::decode(sms).unwrap();
    let at = chance.below(bytes.len());
    bytes[at] ^= 1 << chance.below(8);
    base64text::encode(&bytes)
}

fn disturb(world: &mut World, chance: &mut Chance, nodes: usize) {
    match chance.below(8) {
        0 | 1 => {
            let node = chance.below(nodes);
            if world.nodes[node].alive() {
                world.kill(node);
            } else {
                world.restart(node);
            }
        }
        2 | 3 => {
            let (a, b) = (chance.below(nodes), chance.below(nodes));
            if a != b && chance.percent(50) {
                world.cut(a, b);
            } else if a != b {
                world.heal(a, b);
            }
        }
        4 => {
            world.mood = [PlatformMood::Fine, PlatformMood::Down, PlatformMood::LosesAnswers][chance.below(3)];
        }
        _ => {}
    }
}

/// An outage of the platform that begins with lost answers and may last longer than it knows keys; nodes die in it.
fn outage(world: &mut World, chance: &mut Chance, nodes: usize) {
    world.mood = PlatformMood::Down;
    world.run_for(chance.below(30_000) as u64);
    let node = chance.below(nodes);
    if chance.percent(50) {
        world.kill(node);
        world.restart(node);
    }
    world.run_for((10 + chance.below(110) as u64) * 60_000);
}

fn calm(world: &mut World, nodes: usize) {
    world.mood = PlatformMood::Fine;
    calm_network(world, nodes);
}

fn calm_network(world: &mut World, nodes: usize) {
    for a in 0..nodes {
        for b in a + 1..nodes {
            world.heal(a, b);
        }
        if !world.nodes[a].alive() {
            world.restart(a);
        }
    }
}

fn people(world: &mut World, chance: &mut Chance, nodes: usize) -> Vec<Person> {
    let mut people = Vec::new();
    for n in 0..2_u8 {
        let home = chance.below(nodes);
        people.push(Person::sign_up(world, home, &format!("+23765012345{n}"), 11 + n));
        world.run_for(60_000);
    }
    world.run_for(180_000);
    people
}

fn schedule(seed: u64) -> (World, Vec<Sent>, Vec<Person>, End) {
    let mut chance = Chance::new(seed);
    let mut world = World::new();
    let nodes = 3 + chance.below(3);
    for n in 0..nodes {
        world.add(&format!("n{n}"), n as u8 + 1);
    }
    for n in 1..nodes {
        world.join(0, n);
    }
    world.run_for(10_000);
    for a in 0..nodes {
        for b in a + 1..nodes {
            world.federate(a, b);
        }
    }
    let mut people = people(&mut world, &mut chance, nodes);
    let rough = rough_network(&mut world, seed);
    let mut sent: Vec<Sent> = Vec::new();
    let count = 10 + chance.below(15);
    for n in 0..count {
        if n + 2 == count {
            calm(&mut world, nodes);
            world.mood = [PlatformMood::Fine, PlatformMood::LosesAnswers][chance.below(2)];
        }
        let person = chance.below(people.len());
        let text = format!("s{seed} m{n}");
        let sms = people[person].compose(&text, chance.percent(70));
        if chance.percent(15) {
            let bad = damaged(&mut chance, &sms);
            let node = chance.below(nodes);
            hand_in(&mut world, &people[person], node, &bad);
        }
        sent.push(Sent { text, sms, person, accepted: Vec::new() });
        // This one, and now and then an older one again, through any node that is up.
        for again in [sent.len() - 1, chance.below(sent.len())] {
            let node = chance.below(nodes);
            let Sent { sms, person, .. } = &sent[again];
            if hand_in(&mut world, &people[*person], node, &sms.clone()) {
                sent[again].accepted.push(node);
            }
            if chance.percent(60) {
                break;
            }
        }
        // Some moments fall between a write and its sync.
        let pause = if chance.percent(50) { chance.below(60) } else { chance.below(90_000) };
        world.run_for(pause as u64);
        disturb(&mut world, &mut chance, nodes);
    }
    *rough.borrow_mut() = false;
    if world.mood == PlatformMood::LosesAnswers {
        calm_network(&mut world, nodes);
        outage(&mut world, &mut chance, nodes);
    }
    calm(&mut world, nodes);
    // Some go on over two midnights, when keys turn and filters are built anew.
    world.run_for(if seed % 10 == 5 { 2 * DAY_MS } else { CALM_MS });
    let posts = world.posts.iter().map(|post| (post.account.clone(), post.text.clone())).collect();
    let end = End { posts, sms: world.sms.clone(), frames: world.frames };
    (world, sent, people, end)
}

/// What a node says about a message when it is handed in again.
fn outcome(world: &mut World, node: usize, person: &Person, sms: &str) -> Option<MessageOutcome> {
    match world.ask(node, Command::clone(&person.submit(sms))) {
        Reply::Submitted(Submitted::Accepted { outcome, .. }) => outcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn whatever_happens_what_was_accepted_is_published_once() {
    let (mut published, mut uncertain, mut lost) = (0, 0, Vec::new());
    for seed in 0..seeds() {
        let (mut world, sent, people, _) = schedule(seed);
        for one in &sent {
            let (count, person) = (world.count(&one.text), &people[one.person]);
            assert!(count <= 1, "seed {seed}: {} is there {count} times", one.text);
            if let Some(post) = world.posts.iter().find(|post| post.text == one.text) {
                assert_eq!(post.account, person.account, "seed {seed}");
            }
            if one.accepted.is_empty() || count == 1 {
                published += count;
                continue;
            }
            // Not there: then the person was told that it is uncertain, and so says whoever is asked.
            let told = world.sms.iter().any(|(to, text)| *to == person.number && text.contains("incertain"));
            let outcomes: Vec<_> =
                one.accepted.iter().map(|node| outcome(&mut world, *node, person, &one.sms)).collect();
            if told || outcomes.iter().any(|outcome| matches!(outcome, Some(MessageOutcome::Uncertain))) {
                uncertain += 1;
            } else {
                lost.push(format!("seed {seed}: {} accepted by {:?}, {outcomes:?}", one.text, one.accepted));
            }
        }
        for post in &world.posts {
            assert!(sent.iter().any(|one| one.text == post.text), "seed {seed}: nobody wrote {}", post.text);
        }
        for node in 0..world.nodes.len() {
            let OperatorReply::Status(status) = world.operate(node, OperatorCommand::Status) else { panic!() };
            assert_eq!(status.jobs, 0, "seed {seed}, node {node}: nothing is owed");
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
    assert!(published as u64 > 8 * seeds() && uncertain * 10 <= published, "{published}, {uncertain} uncertain");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [3, 1_001] {
        assert_eq!(schedule(seed).3, schedule(seed).3, "seed {seed}");
    }
}
