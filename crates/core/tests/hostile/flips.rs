//! Flipped bits: in payloads on their way by SMS, in envelopes between nodes, and in records on the disk.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use relaymesh_core::batch::Key;
use relaymesh_core::command::{Command, OperatorCommand, OperatorReply, Submit};
use relaymesh_core::record::key;
use relaymesh_protocol::base64text;
use relaymesh_ratchet::PublicKey;

use crate::world::{Fate, Frame, Person, PlatformMood, Stranger, World, booth, bridge_text};
use crate::{NUMBER, counter, minutes, status, three};

/// Hands in a text and forgets the answer.
fn hand_in(world: &mut World, node: usize, person: &Person, bytes: &[u8]) {
    let _ = world.ask(node, person.submit(&base64text::encode(bytes)));
    world.run_for(40);
}

/// Copies with one bit flipped: each bit of the bytes outside the block, one bit of every byte within.
fn copies(bytes: &[u8], block: std::ops::Range<usize>) -> Vec<(usize, Vec<u8>)> {
    let mut all = Vec::new();
    for at in 0..bytes.len() {
        let bits = if block.contains(&at) { at % 8..at % 8 + 1 } else { 0..8 };
        for bit in bits {
            let mut copy = bytes.to_vec();
            copy[at] ^= 1 << bit;
            all.push((at, copy));
        }
    }
    all
}

fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).expect("it is in there")
}

#[test]
fn no_flip_in_a_payload_publishes_anything_else_and_the_intact_copy_counts() {
    for with_device in [true, false] {
        let (mut world, _, _, c) = three();
        let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
        world.run_for(minutes(2));
        let text = "Le soleil se lève à l'est.";
        let bytes = base64text::decode(&person.compose(text, with_device)).unwrap();
        let Ok(payload) = relaymesh_protocol::payload::Payload::parse(&bytes) else { panic!() };
        let start = find(&bytes, payload.block());
        let block = start..start + payload.block().len();
        let language = find(&bytes, b"fr");
        for (at, copy) in copies(&bytes, block.clone()) {
            if (language..language + 2).contains(&at) {
                continue;
            }
            hand_in(&mut world, c, &person, &copy);
            assert!(world.posts.is_empty(), "byte {at}, with device ID: {with_device}: {:?}", world.posts);
        }
        world.run_for(minutes(1));
        assert!(world.posts.is_empty() && world.mails.is_empty());
        hand_in(&mut world, c, &person, &bytes);
        // A damaged language is no reason to refuse, and another copy of what was published is no other message.
        for at in [language, language + 1] {
            let mut copy = bytes.clone();
            copy[at] ^= 4;
            hand_in(&mut world, c, &person, &copy);
        }
        world.run_for(minutes(1));
        assert_eq!(world.posts.len(), 1, "with device ID: {with_device}");
        assert_eq!((world.posts[0].text.as_str(), &world.posts[0].account), (text, &person.account));
    }
}

#[test]
fn no_flip_in_a_first_contact_sends_another_mail() {
    let (mut world, _, _, c) = three();
    let OperatorReply::BridgeKeys(rows) = world.operate(c, OperatorCommand::BridgeKeysGenerate { count: 3 }) else {
        panic!("no keys");
    };
    let server = PublicKey::from_base64_lenient(&rows[1].keypair).unwrap();
    let person = Person::sign_up(&mut world, c, "+237650999999", 12);
    let hello = Stranger::new(server, rows[1].kid, 4).mail("the only text", true);
    let bytes = base64text::decode(&bridge_text(hello.clone())).unwrap();
    let start = find(&bytes, &hello.block);
    let door = booth(&mut world, c);
    let hand_in = |world: &mut World, bytes: &[u8]| {
        let Command::Submit(submit) = person.submit(&base64text::encode(bytes)) else { unreachable!() };
        let _ = world.ask(c, Command::Submit(Submit { door, ..submit }));
        world.run_for(40);
    };
    for (_, copy) in copies(&bytes, start..start + hello.block.len()) {
        hand_in(&mut world, &copy);
    }
    hand_in(&mut world, &bytes);
    world.run_for(minutes(1));
    assert_eq!(world.mails.len(), 1);
    let shown = match &world.mails[0].content {
        relaymesh_core::PublishContent::Email { body, to, .. } => (body.reveal().to_owned(), to.reveal().to_owned()),
        _ => panic!("a mail"),
    };
    assert_eq!(shown, ("the only text".to_owned(), "friend@example.org".to_owned()));
}

#[test]
fn an_envelope_that_is_flipped_on_its_way_is_dropped_and_sent_again() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(2));
    let flip: Rc<RefCell<Option<usize>>> = Rc::default();
    let due = flip.clone();
    world.tap(move |from, to, frame| {
        if let (true, Frame::Envelope(carried)) = ((from, to) == (a, c) || (from, to) == (c, a), frame)
            && let Some(at) = due.borrow_mut().take()
        {
            let at = at % carried.envelope.len();
            carried.envelope[at] ^= 1 << (at % 8);
        }
        Fate::Pass
    });
    // The whole header and the encapsulated key, and samples of what is sealed.
    let places: Vec<usize> = (0..93).step_by(2).chain((93..1_133).step_by(97)).collect();
    for (n, at) in places.iter().enumerate() {
        *flip.borrow_mut() = Some(*at);
        let text = format!("flight {n}");
        let sms = person.compose(&text, true);
        person.send(&mut world, a, &sms);
        world.run_for(500);
        assert!(world.count(&text) <= 1);
    }
    world.run_for(minutes(60));
    assert!((0..places.len()).all(|n| world.count(&format!("flight {n}")) == 1));
    assert_eq!(world.posts.len(), places.len());
    assert_eq!(status(&mut world, a).held, 0);
}

/// A receipt that is flipped is no receipt, and the next copy of it counts.
#[test]
fn a_receipt_that_is_flipped_frees_nothing() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(2));
    let mut n = 0;
    world.tap(move |from, to, frame| {
        if let (true, Frame::Envelope(carried)) = ((from, to) == (c, a), frame) {
            // In what is sealed: a damaged header is refused, and the letter finds its way through others.
            n += 97;
            let at = 93 + n % (carried.envelope.len() - 93);
            carried.envelope[at] ^= 1;
        }
        Fate::Pass
    });
    let sms = person.compose("flipped receipts", true);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(10));
    assert_eq!((world.count("flipped receipts"), status(&mut world, a).held), (1, 1));
    world.untap();
    world.run_for(minutes(40));
    assert_eq!((world.count("flipped receipts"), status(&mut world, a).held), (1, 0));
}

type Disk = BTreeMap<Key, (u64, Vec<u8>)>;

/// Starts both nodes from these disks, runs three minutes, and checks that nothing but the truth came out.
fn trial(world: &mut World, nodes: [usize; 2], disks: [&Disk; 2], account: &str, what: &str) -> (usize, u64) {
    world.forget_posts();
    for (node, disk) in nodes.iter().zip(disks) {
        world.nodes[*node].disk.0 = disk.clone();
    }
    for node in nodes {
        world.restart(node);
    }
    world.run_for(minutes(3));
    let noted: u64 = nodes.iter().map(|node| counter(world, *node, "record_unreadable")).sum();
    for post in &world.posts {
        assert!(post.account == account && post.text.starts_with("stored "), "{what}: {post:?}");
        assert_eq!(world.count(&post.text), 1, "{what}");
    }
    let posts = world.posts.len();
    for node in nodes {
        world.kill(node);
    }
    (posts, noted)
}

/// One message waits at its ingress, one is owed at its home: each stored record is damaged in turn.
#[test]
fn a_flip_in_a_stored_record_is_detected_and_never_becomes_other_data() {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.mood = PlatformMood::Down;
    for text in ["stored one", "stored two"] {
        let sms = person.compose(text, true);
        person.send(&mut world, a, &sms);
        world.run_for(3_000);
        // The first is taken by the home and owed, the second stays at its ingress.
        world.cut(a, c);
        world.cut(b, c);
    }
    assert_eq!((status(&mut world, a).held, status(&mut world, c).jobs), (1, 1));
    world.kill(a);
    world.kill(c);
    world.heal(a, c);
    world.heal(b, c);
    world.mood = PlatformMood::Fine;
    let disks = [world.nodes[a].disk.0.clone(), world.nodes[c].disk.0.clone()];
    let (posts, noted) = trial(&mut world, [a, c], [&disks[0], &disks[1]], &person.account, "nothing");
    assert_eq!((posts, noted), (2, 0), "undamaged disks lose nothing");

    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut silent = Vec::new();
    for side in 0..2 {
        for (row, (_, value)) in &disks[side] {
            // A bit of the first bytes, where versions and ids stand, and one anywhere.
            for at in [rng.next_u32() as usize % 4, rng.next_u32() as usize % value.len()] {
                let mut damaged = disks.clone();
                let bytes = &mut damaged[side].get_mut(row).unwrap().1;
                bytes[at] ^= 1 << (rng.next_u32() % 8);
                let what = format!("{} of node {side}, byte {at} of {}", char::from(row[0]), value.len());
                let (posts, noted) = trial(&mut world, [a, c], [&damaged[0], &damaged[1]], &person.account, &what);
                // Rows that are read at start are all noted; of the others, those that a message misses.
                if noted == 0 && (posts < 2 || key::RESTORED.contains(&row[0])) {
                    silent.push(what);
                }
            }
        }
    }
    assert!(silent.is_empty(), "a message is missing, and nothing was noted: {silent:#?}");
    assert!(disks[1].keys().any(|row| row[0] == key::JOB) && disks[0].keys().any(|row| row[0] == key::OUTBOX));
}
