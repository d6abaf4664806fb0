//! What a partner that sets out to learn who is registered learns: no more than its ration, neither from answers nor from
//! time. What a node asks is one length, and never the same bytes twice.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]
#![allow(clippy::disallowed_methods, reason = "how long an answer takes is what is measured")]

mod world;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Instant;

use relaymesh_core::crypto::{Crypto, RealCrypto};
use relaymesh_core::delivery::{Body, Cargo, Receipt, Route, Submission};
use relaymesh_protocol::base64text;
use relaymesh_protocol::frame::{Carried, Request, Response, Taken};
use relaymesh_protocol::ids::{DeviceId, E164, MessageId, NodeId, Tag};
use relaymesh_seal::oblivious::{Blinded, Purpose, finish};
use relaymesh_seal::tags::filter_key;
use world::{Fate, Frame, Mind, Person, Sim, World, letter, open};

/// The ration: at once, per second, per day.
const BURST: usize = 60;
const PER_DAY: usize = 20_000;

fn number(n: u32) -> String {
    format!("+2376{n:08}")
}

/// `a` evaluates and holds people; `c` is a partner.
fn partners(people: u32) -> (World, usize, usize) {
    let mut world = World::new();
    let (a, c) = (world.add("a", 1), world.add("c", 3));
    world.join(a, c);
    world.run_for(10_000);
    world.federate(a, c);
    for n in 0..people {
        Person::sign_up(&mut world, a, &number(n), (n + 1) as u8);
        world.run_for(60_000);
    }
    world.run_for(120_000);
    (world, a, c)
}

fn blind(text: &str, seed: u64) -> Blinded {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    Blinded::new(&text.parse::<E164>().unwrap(), bytes)
}

fn public(world: &World, node: usize) -> (u32, [u8; 32]) {
    RealCrypto.publics(&world.nodes[node].keyring).oblivious[0]
}

/// The answer of `to`, which comes at once.
fn ask(world: &mut World, from: usize, to: usize, request: Request) -> Response {
    let reply = world.request(from, to, request);
    world.run_for(3);
    world.responses.remove(&reply).expect("an answer")
}

#[test]
fn a_partner_that_asks_for_100_000_numbers_gets_its_ration() {
    let (mut world, a, c) = partners(3);
    let (key_id, _) = public(&world, a);
    // A fresh day; the partner asks as fast as it can, for people and for nobody in turn.
    let day = 86_400_000;
    world.run_for(day - world.now.0 % day + 1_000);
    let points = [blind(&number(1), 1).blinded, blind(&number(70_000), 2).blinded];
    let started = world.now;
    let mut granted = [0_usize; 2];
    for n in 0..100_000_usize {
        let request = Request::Evaluate { key_id, blinded: vec![points[n % 2]] };
        match ask(&mut world, c, a, request) {
            Response::Evaluated { evaluated, .. } => granted[n % 2] += evaluated.len(),
            Response::Busy { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    let seconds = (world.now.since(started).as_millis() / 1_000) as usize;
    let all = granted[0] + granted[1];
    assert!(all <= BURST + seconds + 1, "{all} answers within {seconds} s");
    assert!(all >= seconds / 2, "the ration itself is granted");
    assert!(seconds + BURST < PER_DAY, "the daily ration is tested beside it");
}

#[test]
fn batches_and_patience_get_no_more_than_a_days_ration() {
    let (mut world, a, c) = partners(0);
    let (key_id, _) = public(&world, a);
    let day = 86_400_000;
    world.run_for(day - world.now.0 % day + 1_000);
    let points: Vec<[u8; 32]> = (0..16).map(|n| blind(&number(n), u64::from(n)).blinded).collect();
    let mut granted = 0;
    // Batches of 16, every 16 s, until the day's total, then now and then until midnight.
    for n in 0..1_400 {
        if let Response::Evaluated { evaluated, .. } =
            ask(&mut world, c, a, Request::Evaluate { key_id, blinded: points.clone() })
        {
            granted += evaluated.len();
        }
        world.run_for(if n < 1_300 { 15_997 } else { 600_000 });
    }
    assert!(world.now.0 % day > day * 9 / 10, "still the same day");
    // The partner's own node takes some of it for its audits.
    assert!((PER_DAY - 400..=PER_DAY).contains(&granted), "{granted}");
    // A letter is no way around.
    let question = relaymesh_core::delivery::Question { id: 5, key_id, blinded: points };
    let sent = letter(&world, c, a, &Body::Question(question), 1);
    let before = world.nodes[a].node().counters()["evaluations"];
    world.deliver(c, a, sent);
    world.run_for(1_000);
    assert_eq!(world.nodes[a].node().counters()["evaluations"], before);
}

#[test]
fn who_is_no_partner_is_told_nothing() {
    let mut world = World::new();
    let (a, c) = (world.add("a", 1), world.add("c", 3));
    world.join(a, c);
    world.run_for(10_000);
    let (key_id, _) = public(&world, a);
    let request = Request::Evaluate { key_id, blinded: vec![blind(&number(1), 1).blinded] };
    assert_eq!(ask(&mut world, c, a, request), Response::Refused);
}

/// Welch's t of two samples, each without the share of outliers that the machine's other work makes.
fn welch(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
    let mut all: Vec<f64> = a.iter().chain(&b).copied().collect();
    all.sort_by(f64::total_cmp);
    let most = all[all.len() * 9 / 10];
    for sample in [&mut a, &mut b] {
        sample.retain(|time| *time <= most);
    }
    let stats = |sample: &[f64]| {
        let n = sample.len() as f64;
        let mean = sample.iter().sum::<f64>() / n;
        (mean, sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0) / n)
    };
    let ((mean_a, var_a), (mean_b, var_b)) = (stats(&a), stats(&b));
    (mean_a - mean_b) / (var_a + var_b).sqrt()
}

#[test]
fn the_time_and_form_of_an_answer_tell_nothing() {
    let (mut world, a, c) = partners(1);
    let (key_id, _) = public(&world, a);
    let mut times = [Vec::new(), Vec::new()];
    let mut forms = BTreeSet::new();
    for n in 0..20_000_u64 {
        // A day has 20,000; this goes on for two, past every limit of the moment.
        world.run_for(6_000);
        let registered = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63;
        let who = if registered == 1 { number(0) } else { number(1_000 + n as u32) };
        let request = Request::Evaluate { key_id, blinded: vec![blind(&who, n).blinded] };
        let began = Instant::now();
        let reply = world.request(c, a, request);
        let took = began.elapsed().as_nanos() as f64;
        if !world.responses.contains_key(&reply) {
            // Every hundredth writes the totals first: whose turn that is depends on nothing that was asked.
            world.run_for(3);
        } else {
            times[registered as usize].push(took);
        }
        let Some(Response::Evaluated { evaluated, proof }) = world.responses.remove(&reply) else { panic!("{n}") };
        forms.insert((evaluated.len(), proof.len()));
    }
    assert_eq!(forms.len(), 1, "one form of answer");
    let [unregistered, registered] = times;
    assert!(unregistered.len() > 9_000 && registered.len() > 9_000);
    let t = welch(unregistered, registered);
    assert!(t.abs() < 4.5, "t = {t}");
}

#[test]
fn the_question_without_a_ration_knows_no_numbers() {
    let (mut world, a, c) = partners(1);
    let (key_id, public) = public(&world, a);
    assert_eq!(key_id, relaymesh_seal::oblivious::key_id(&public));
    for who in [0, 555] {
        let question = blind(&number(who), 9);
        let answer = ask(&mut world, c, a, Request::Evaluate { key_id, blinded: vec![question.blinded] });
        let Response::Evaluated { evaluated, proof } = answer else { panic!("{answer:?}") };
        let tags = finish(Purpose::Phone, &[question.state], &evaluated, &proof, &public).unwrap();
        let key = filter_key(&tags[0], &world.nodes[a].id);
        let held = ask(&mut world, c, a, Request::WhoHolds { keys: vec![key] });
        assert_eq!(held, Response::Holds(vec![false]), "number {who}");
    }
}

/// Points of each question, and lengths of those that came as letters.
type Questions = (Vec<Vec<[u8; 32]>>, Vec<usize>);

/// Keeps every question about numbers, and answers none.
#[derive(Clone, Default)]
struct Notes(Rc<RefCell<Questions>>);

impl Mind for Notes {
    fn envelope(&mut self, me: &Sim, _: NodeId, carried: &Carried) -> (Taken, Vec<(NodeId, Carried)>) {
        if let Some((_, Body::Question(question))) = open(&me.keyring, carried) {
            self.0.borrow_mut().0.push(question.blinded);
            self.0.borrow_mut().1.push(carried.envelope.len());
        }
        (Taken::Yes, Vec::new())
    }

    fn request(&mut self, _: &Sim, _: NodeId, request: &Request) -> Response {
        if let Request::Evaluate { blinded, .. } = request {
            self.0.borrow_mut().0.push(blinded.clone());
        }
        Response::Busy { retry_after_ms: 1_000 }
    }
}

#[test]
fn questions_have_one_length_and_repeats_share_no_bytes() {
    let (mut world, a, c) = partners(0);
    let notes = Notes::default();
    let seen = notes.0.clone();
    world.seize(c, notes);
    // The same few numbers again and again; the partner is always busy, so they are asked for anew.
    for n in 0..40_u8 {
        let mut block = vec![n; 92];
        block[..4].copy_from_slice(&40_u32.to_le_bytes());
        let text = world::platform_text(block, None);
        let submit = relaymesh_core::command::Submit {
            door: relaymesh_core::command::Door::Open,
            text: text.into(),
            sender: number(u32::from(n % 3)).into(),
            date: None,
            date_sent: None,
        };
        let _ = world.send(a, relaymesh_core::command::Command::Submit(submit));
        world.run_for(90_000);
    }
    let seen = seen.borrow();
    assert!(seen.0.len() > 20, "{} questions", seen.0.len());
    let lengths: BTreeSet<usize> = seen.0.iter().map(Vec::len).collect();
    assert_eq!(lengths, BTreeSet::from([4]), "up to four numbers look alike");
    let points: Vec<[u8; 32]> = seen.0.iter().flatten().copied().collect();
    assert_eq!(points.iter().collect::<BTreeSet<_>>().len(), points.len(), "no point is ever sent twice");
    // Independent points agree in a byte now and then, and never in a run of them.
    let runs: BTreeSet<&[u8]> = points.iter().flat_map(|point| point.windows(8)).collect();
    assert_eq!(runs.len(), points.len() * 25);
    assert!(seen.1.iter().collect::<BTreeSet<_>>().len() <= 1, "sealed questions have one length");
}

/// A submission as an ingress would send it.
fn submission(payload: Vec<u8>, route: Route, n: u8) -> Submission {
    let message = match &route {
        Route::Device(device) => MessageId::of(device.as_bytes(), &payload),
        Route::Number { .. } | Route::Bridge { .. } | Route::Identity { .. } => MessageId([n; 32]),
    };
    Submission {
        message,
        cargo: Cargo::Whole { payload, image: None },
        session: 0,
        route,
        received: world::START,
        date: None,
        date_sent: None,
        gateway: None,
        trusted: n.is_multiple_of(2),
    }
}

#[test]
fn unknown_wrong_and_damaged_are_declined_alike_and_at_round_moments() {
    let (mut world, a, c) = partners(0);
    let mut person = Person::sign_up(&mut world, a, &number(7), 9);
    world.run_for(120_000);
    let heard: Rc<RefCell<Vec<(MessageId, usize)>>> = Rc::default();
    let (into, keys) = (heard.clone(), world.nodes[c].keyring.clone());
    world.tap(move |from, to, frame| {
        if let (true, Frame::Envelope(carried)) = ((from, to) == (a, c), frame)
            && let Some((_, Body::Receipts(receipts))) = open(&keys, carried)
        {
            for receipt in receipts {
                assert!(matches!(receipt, Receipt::Declined { .. }), "{receipt:?}");
                into.borrow_mut().push((receipt.message(), carried.envelope.len()));
            }
        }
        Fate::Pass
    });
    let good = base64text::decode(&person.compose("damaged", true)).unwrap();
    let mut damaged = good.clone();
    damaged[60] ^= 1;
    let mut misfit = good.clone();
    misfit[1] ^= 1;
    let mut unknown = good.clone();
    let at = good.windows(32).position(|window| window == person.device.as_bytes()).unwrap();
    unknown[at..at + 32].fill(8);
    let tag = Route::Number { tag: Tag([3; 16]), key_id: public(&world, a).0 };
    let cases = [
        (damaged.clone(), Route::Device(person.device)),
        (unknown, Route::Device(DeviceId([8; 32]))),
        (damaged.clone(), Route::Device(DeviceId([8; 32]))),
        (damaged, tag.clone()),
        (good, tag),
        (misfit, Route::Device(DeviceId([8; 32]))),
        (vec![1, 2, 3], Route::Device(person.device)),
    ];
    let mut waits = Vec::new();
    for (n, (payload, route)) in cases.iter().cycle().take(60).enumerate() {
        let body = Body::Submission(Box::new(submission(payload.clone(), route.clone(), n as u8)));
        let sent = letter(&world, c, a, &body, 1_000 + n as u64);
        // Every one arrives at the same place of the grid, and so must its answer leave.
        world.run_for(1_000 - world.now.0 % 1_000 + 37);
        let before = (world.now, heard.borrow().len());
        world.deliver(c, a, sent);
        while heard.borrow().len() == before.1 {
            world.run_for(1);
            assert!(world.now.since(before.0).as_secs() < 2, "case {} is answered", n % cases.len());
        }
        waits.push(world.now.since(before.0).as_millis());
    }
    assert_eq!(waits.iter().collect::<BTreeSet<_>>().len(), 1, "{waits:?}");
    let lengths: BTreeSet<usize> = heard.borrow().iter().map(|(_, length)| *length).collect();
    assert_eq!(lengths.len(), 1, "one length of answer");
    assert!(world.posts.is_empty());
}

#[test]
fn a_flood_of_rubbish_does_not_hold_up_its_answers() {
    let (mut world, a, c) = partners(0);
    let heard: Rc<RefCell<usize>> = Rc::default();
    let (into, keys) = (heard.clone(), world.nodes[c].keyring.clone());
    world.tap(move |from, to, frame| {
        if let (true, Frame::Envelope(carried)) = ((from, to) == (a, c), frame)
            && let Some((_, Body::Receipts(receipts))) = open(&keys, carried)
        {
            *into.borrow_mut() += receipts.len();
        }
        Fate::Pass
    });
    for n in 0..100_u8 {
        let body = Body::Submission(Box::new(submission(vec![1, 2, 3], Route::Device(DeviceId([8; 32])), n)));
        let sent = letter(&world, c, a, &body, u64::from(n));
        world.deliver(c, a, sent);
        world.run_for(50);
        let answered = *heard.borrow();
        assert!(answered + 8 >= usize::from(n), "{answered} of {n}");
    }
}
