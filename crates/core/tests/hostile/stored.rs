//! Damage to rows of every table, as a disk may do it.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_core::batch::Key;
use relaymesh_core::command::{
    AccountCommand, AccountReply, ClientKeys, ClientsCommand, ClientsReply, Command, Door, Identity, Reply, Submit,
    Submitted,
};
use relaymesh_core::record::{is_sound, key};
use relaymesh_protocol::ids::EntityId;
use relaymesh_ratchet::KeyPair;

use crate::world::{Fate, Frame, Person, PlatformMood, SmsMood, Stranger, World, booth, bridge_text, static_key};
use crate::{NUMBER, counter, minutes, three};

/// A number without an account.
const STRANGER: &str = "+237650777777";

type Disk = BTreeMap<Key, (u64, Vec<u8>)>;

fn hand_in(world: &mut World, node: usize, door: Door, sender: &str, sms: &str) {
    let submit = Submit { door, text: sms.into(), sender: sender.into(), date: None, date_sent: None };
    let reply = world.ask(node, Command::Submit(submit));
    assert!(matches!(reply, Reply::Submitted(Submitted::Accepted { .. } | Submitted::Segment { .. })), "{reply:?}");
}

/// A first mail of a number without an account goes out; the news of it does not.
fn mail(world: &mut World, node: usize, door: Door) -> String {
    let (kid, server) = static_key(world, node, 1);
    world.run_for(minutes(2));
    let hello = bridge_text(Stranger::new(server, kid, 4).mail("the only mail", true));
    hand_in(world, node, door, STRANGER, &hello);
    world.run_for(minutes(1));
    assert_eq!(world.mails.len(), 1);
    hello
}

/// The person has forgotten the password.
fn ask_for_code(world: &mut World, node: usize) {
    let key = || KeyPair::generate(&mut ChaCha20Rng::from_seed([14; 32])).public().to_base64().into();
    let reset = AccountCommand::ResetPassword {
        identity: Identity { phone_number: NUMBER.into(), email_address: "".into() },
        new_password: "Another1Horse!".into(),
        keys: ClientKeys { publish: key(), device_id: key() },
        proof: "".into(),
        captcha: "".into(),
    };
    let reply = world.ask(node, Command::Account(reset));
    assert!(matches!(reply, Reply::Account(AccountReply::ProofRequired { .. })), "{reply:?}");
}

/// Whatever a node stores lies at one of three: an ingress, a custodian and a home, in the middle of everything.
fn scene() -> (World, [usize; 3]) {
    let (mut world, a, b, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    for node in [a, b] {
        world.federate(node, c);
    }
    world.sms_moods.insert(c, SmsMood::Down);
    let (here, home) = (booth(&mut world, a), booth(&mut world, c));
    mail(&mut world, c, home);
    let test = Command::Clients(ClientsCommand::StartTest { msisdn: "+237699000000".into() });
    assert!(matches!(world.ask(a, test), Reply::Clients(ClientsReply::Started { .. })));
    let segments = person.compose_image("with a picture", &[7; 900], 1);
    for segment in &segments[1..] {
        hand_in(&mut world, a, here, NUMBER, segment);
    }
    // Until the set was handed on, and audits have said something.
    world.run_for(minutes(180));
    // The home is not heard any more: how the next message ends waits there.
    world.tap(move |from, _, frame| match frame {
        Frame::Envelope(_) if from == c => Fate::Lose,
        _ => Fate::Pass,
    });
    for mood in [PlatformMood::Fine, PlatformMood::Down] {
        world.mood = mood;
        let sms = person.compose("stored", true);
        hand_in(&mut world, a, here, NUMBER, &sms);
        world.run_for(3_000);
    }
    world.cut(a, c);
    world.cut(b, c);
    let sms = person.compose("stored", false);
    hand_in(&mut world, a, here, NUMBER, &sms);
    world.sms_moods.clear();
    ask_for_code(&mut world, c);
    world.sms_moods.insert(c, SmsMood::Down);
    world.run_for(minutes(3));
    (world, [a, b, c])
}

/// Whether a row is what was written in its place.
fn holds(world: &World, node: usize, disk: &Disk, row: &[u8], value: &[u8]) -> bool {
    let head = |id: &EntityId| disk.get(&key::head(id)).map(|(_, head)| head.clone());
    is_sound(world.nodes[node].node(), row, value, head)
}

/// A table's name; what gateway clients brought lies among them.
fn table(row: &[u8]) -> String {
    let of_use = key::gateway_of_use(row).is_some();
    format!("{}{}", char::from(row[0]), if of_use { " (use)" } else { "" })
}

/// Every byte of every row, of every table that anything leaves anything in.
#[test]
fn every_flipped_byte_of_every_stored_row_is_detected() {
    let (world, nodes) = scene();
    let mut flips = BTreeMap::new();
    for node in nodes {
        let disk = &world.nodes[node].disk.0;
        // A consumed position is its key: see below.
        for (row, (_, value)) in disk.iter().filter(|(row, _)| row[0] != key::SPENT) {
            let table = table(row);
            assert!(holds(&world, node, disk, row, value), "an undamaged row of {table}");
            for at in 0..value.len() {
                let mut bad = value.clone();
                bad[at] ^= 1 << ((at + row.len()) % 8);
                assert!(!holds(&world, node, disk, row, &bad), "byte {at} of {} in table {table}", value.len());
            }
            // A fact names its subject itself; everything else is bound to its place.
            if row[0] != key::FACT {
                let mut elsewhere = row.clone();
                *elsewhere.last_mut().unwrap() ^= 1;
                assert!(!holds(&world, node, disk, &elsewhere, value), "a row of {table} in another place");
            }
            *flips.entry(table).or_insert(0) += value.len();
        }
    }
    let wanted = [
        key::HEAD,
        key::ENTITY,
        key::INDEX,
        key::TAG,
        key::OUTBOX,
        key::SEGMENTS,
        key::HOME_SET,
        key::CUSTODY,
        key::JOB,
        key::RECEIPT,
        key::SMS,
        key::FACT,
        key::FILTER,
        key::TAG_CACHE,
        key::GATEWAY,
        key::POLICY,
        key::TEST,
        key::OTP,
        key::META,
        key::AUDIT,
    ];
    let wanted: BTreeSet<String> =
        wanted.iter().map(|byte| char::from(*byte).into()).chain(["w (use)".into()]).collect();
    let flipped: BTreeSet<String> = flips.keys().cloned().collect();
    assert_eq!(flipped, wanted, "{flips:?}");
    assert!(flips.values().all(|bytes| *bytes > 40), "{flips:?}");
}

/// The rows of consumed positions say all by being there: whatever becomes of their value, nothing is mailed again.
#[test]
fn a_flipped_row_of_a_consumed_position_still_counts() {
    for flipped in [true, false] {
        let mut world = World::new();
        let c = world.add("c", 3);
        let door = booth(&mut world, c);
        let hello = mail(&mut world, c, door);
        world.kill(c);
        let disk = &mut world.nodes[c].disk.0;
        let spent: Vec<Key> = disk.keys().filter(|row| row[0] == key::SPENT).cloned().collect();
        assert_eq!(spent.len(), 1);
        if flipped {
            disk.get_mut(&spent[0]).unwrap().1 = vec![0xff];
        } else {
            // That it is the row which holds the replay back.
            disk.remove(&spent[0]);
        }
        world.restart(c);
        hand_in(&mut world, c, door, "+237650888888", &hello);
        world.run_for(minutes(2));
        assert_eq!((world.mails.len(), counter(&world, c, "record_unreadable")), (if flipped { 1 } else { 2 }, 0));
    }
}
