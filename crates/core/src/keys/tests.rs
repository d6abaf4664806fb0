//! Days of a node's life, with the key file and the disk looked at.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_protocol::ids::{EntityId, Timestamp};
use relaymesh_seal::keyfile::Keyring;
use zeroize::Zeroizing;

use super::turn::turned;
use crate::command::{Code, OperatorCommand, OperatorReply};
use crate::crypto::{self, Crypto, RealCrypto, RecordAad};
use crate::membership::tests::net::{Net, START};
use crate::record::{Head, OpenedHead, decode, encode, key};
use crate::testing::Router as _;

const DAY: Duration = Duration::from_secs(86_400);

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([1; 32])
}

fn today(now: Timestamp) -> u32 {
    u32::try_from(now.day()).unwrap()
}

/// Puts an entity's head on a node's disk under its newest epoch; its key is its id twice.
fn create(net: &mut Net, at: usize, n: u16) -> EntityId {
    let [a, b] = n.to_be_bytes();
    let mut id = [b; 16];
    id[..2].copy_from_slice(&[0, a]);
    let id = EntityId(id);
    let node = net.peers[at].node();
    let (epoch, _) = crypto::newest_wrap_key(node.keys()).unwrap();
    let open = OpenedHead { counter: 7, key: key_of(&id) };
    let head = encode(&Head::seal(node, &id, epoch, &open, [n as u8; 24]).unwrap()).to_vec();
    net.peers[at].disk.rows.insert(key::head(&id), (1, head));
    id
}

/// The key of a test's entity: its id twice.
fn key_of(id: &EntityId) -> Zeroizing<[u8; 32]> {
    Zeroizing::new([id.0, id.0].concat().try_into().unwrap())
}

/// What the head of an entity tells who has the keys of `ring`, and its epoch.
fn read(net: &Net, at: usize, id: &EntityId, ring: &Keyring) -> Option<(OpenedHead, u32)> {
    let head = decode::<Head>(&net.peers[at].disk.rows[&key::head(id)].1)?;
    Some((head.open(net.peers[at].node(), ring, id)?, head.epoch))
}

#[test]
fn entities_stay_readable_while_old_epochs_are_destroyed() {
    let mut net = Net::new(&["alpha"]);
    // More than one page, so that prefixes are split.
    let ids: Vec<EntityId> = (0..300).map(|n| create(&mut net, 0, n)).collect();
    let old = net.peers[0].keyring.clone();
    for day in 1..=3 {
        net.days(1);
        let ring = &net.peers[0].keyring;
        assert_eq!(ring.wraps.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [today(net.now)], "day {day}");
        for id in &ids {
            let (head, epoch) = read(&net, 0, id, ring).expect("readable");
            assert_eq!((head.key, head.counter, epoch), (key_of(id), 7, today(net.now)));
            assert!(read(&net, 0, id, &old).is_none(), "the seized key file of yesterday opens nothing");
        }
    }
    assert_eq!(net.peers[0].node().counters().get("record_unreadable"), None);
}

/// A head as version 1 wrote it: the counter stood beside what was sealed.
fn old_head(net: &Net, at: usize, id: &EntityId, counter: u64) -> Vec<u8> {
    let node = net.peers[at].node();
    let (epoch, wrap) = crypto::newest_wrap_key(node.keys()).unwrap();
    let aad = RecordAad { shard: node.id(), table: key::HEAD, entity: *id, record: b"", counter: u64::from(epoch) };
    let wrapped = RealCrypto.seal_record(&wrap, aad, [3; 24], key_of(id).as_slice());
    postcard::to_extend(&(counter, epoch, wrapped), vec![1]).unwrap()
}

#[test]
fn a_head_of_the_version_before_is_read_and_written_anew() {
    let mut net = Net::new(&["alpha"]);
    let id = create(&mut net, 0, 1);
    let row = old_head(&net, 0, &id, 300);
    let head = decode::<Head>(&row).expect("it is read");
    let opened = head.open(net.peers[0].node(), &net.peers[0].keyring, &id).expect("it opens");
    assert_eq!((opened.key, opened.counter), (key_of(&id), 300));
    net.peers[0].disk.rows.insert(key::head(&id), (1, row));
    net.days(1);
    let row = net.peers[0].disk.rows[&key::head(&id)].1.clone();
    assert_eq!(row[0], 2);
    let (head, epoch) = read(&net, 0, &id, &net.peers[0].keyring).expect("readable");
    assert_eq!((head.key, head.counter, epoch), (key_of(&id), 300, today(net.now)));
}

#[test]
fn no_bit_of_a_head_can_be_flipped() {
    let mut net = Net::new(&["alpha"]);
    let id = create(&mut net, 0, 1);
    let (node, ring) = (net.peers[0].node(), &net.peers[0].keyring);
    let row = net.peers[0].disk.rows[&key::head(&id)].1.clone();
    let opens = |row: &[u8]| decode::<Head>(row).and_then(|head| head.open(node, ring, &id)).is_some();
    assert!(opens(&row));
    for at in 0..row.len() {
        for bit in 0..8 {
            let mut bad = row.clone();
            bad[at] ^= 1 << bit;
            assert!(!opens(&bad), "bit {bit} of byte {at}");
        }
    }
    assert!(decode::<Head>(&row).unwrap().open(node, ring, &EntityId([9; 16])).is_none(), "at another entity");
}

#[test]
fn a_restart_in_the_middle_of_a_pass_loses_nothing() {
    let mut net = Net::new(&["alpha"]);
    let ids: Vec<EntityId> = (0..40).map(|n| create(&mut net, 0, n)).collect();
    // The new epoch is saved, one half of the heads is moved, then the power goes.
    let mut ring = turned(&net.peers[0].keyring, net.now.after(DAY), &mut rng()).expect("a day later keys are due");
    ring.days.clone_from(&net.peers[0].keyring.days);
    let halfway: Vec<_> =
        ids.iter().step_by(2).map(|id| (key::head(id), net.peers[0].disk.rows[&key::head(id)].clone())).collect();
    net.peers[0].keyring = ring.clone();
    assert_eq!(ring.wraps.len(), 2);
    net.now = net.now.after(DAY);
    net.restart(0);
    assert_eq!(net.peers[0].keyring.wraps.len(), 1, "the pass runs after the start");
    for (place, row) in halfway {
        assert_ne!(net.peers[0].disk.rows[&place], row);
    }
    for id in &ids {
        let (head, _) = read(&net, 0, id, &net.peers[0].keyring).expect("readable");
        assert_eq!(head.key, key_of(id));
    }
}

#[test]
fn no_key_is_used_before_it_is_saved() {
    let mut net = Net::new(&["alpha"]);
    let id = create(&mut net, 0, 1);
    let before = net.peers[0].keyring.clone();
    net.peers[0].keys_fail = true;
    net.pass(2 * DAY);
    let node = net.peers[0].node();
    assert_eq!(RealCrypto.publics(node.keys()), RealCrypto.publics(&before));
    assert_eq!(crypto::newest_wrap_key(node.keys()), crypto::newest_wrap_key(&before));
    assert!(node.counters()["keys_not_saved"] >= 24, "it keeps trying, once an hour");
    assert!(read(&net, 0, &id, &before).is_some());
    net.peers[0].keys_fail = false;
    net.pass(Duration::from_secs(7_200));
    let ring = net.peers[0].keyring.clone();
    assert_eq!(ring.wraps.len(), 1);
    assert_eq!(crypto::newest_day_key(&ring).unwrap().0, today(net.now));
    assert!(read(&net, 0, &id, &ring).is_some());
}

#[test]
fn a_year_of_keys() {
    let mut ring = Keyring::generate(&mut rng(), START);
    let first = RealCrypto.publics(&ring);
    let mut rng = rng();
    let mut sealing_at_30 = None;
    for day in 1..=365_u32 {
        let now = START.after(DAY * day);
        ring = turned(&ring, now, &mut rng).expect("each day brings a day key");
        assert!(turned(&ring, now, &mut rng).is_none(), "once a day");
        let publics = RealCrypto.publics(&ring);
        assert!((1..=19).contains(&publics.sealing.len()) && publics.sealing.len() <= 20);
        assert!(publics.sealing.is_sorted_by(|a, b| a.1 >= b.1), "newest first");
        assert!(now.since(publics.sealing[0].1) < 7 * DAY);
        assert!((1..=2).contains(&publics.oblivious.len()));
        if day == 30 {
            sealing_at_30 = Some(publics.sealing[0].0);
        }
        let kept = |key: &[u8; 32]| publics.sealing.iter().any(|(other, _)| other == key);
        assert_eq!(kept(&first.sealing[0].0), day < 127, "day {day}");
        assert_eq!(publics.oblivious.contains(&first.oblivious[0]), day < 150, "day {day}");
        assert_eq!(publics.oblivious[0] == first.oblivious[0], day < 120, "day {day}");
        if day >= 36
            && let Some(key) = sealing_at_30
        {
            assert_eq!(kept(&key), day < 28 + 127, "day {day}");
        }
        let days = (
            ring.days.iter().map(|(day, _)| *day).min().unwrap(),
            ring.days.iter().map(|(day, _)| *day).max().unwrap(),
        );
        assert_eq!(days.1, today(now));
        assert_eq!(days.0, today(START).max(today(now) - 150));
    }
    // Wrap keys go when a pass says so, not by the calendar.
    assert_eq!(ring.wraps.len(), 366);
}

#[test]
fn new_sealing_keys_are_announced() {
    let mut net = Net::new(&["alpha", "beta"]);
    let code = net.invite(0);
    net.join(1, &code).unwrap();
    let beta = net.peers[1].id();
    let before = net.peers[0].node().membership.node(&beta).unwrap().sealing.clone();
    net.days(9);
    let after = net.peers[0].node().membership.node(&beta).unwrap().sealing.clone();
    assert_eq!((before.len(), after.len()), (1, 2));
    assert_eq!(after[1], before[0]);
}

#[test]
fn static_bridge_keys_are_made_once_and_announced() {
    let mut net = Net::new(&["alpha", "beta"]);
    let code = net.invite(0);
    net.join(1, &code).unwrap();
    let generate = |count| OperatorCommand::BridgeKeysGenerate { count };
    for wrong in [0, 256] {
        assert_eq!(net.operator(1, generate(wrong)).unwrap_err().code, Code::InvalidArgument);
    }
    net.peers[1].keys_fail = true;
    assert_eq!(net.operator(1, generate(3)).unwrap_err().code, Code::Unavailable);
    net.peers[1].keys_fail = false;
    let Ok(OperatorReply::BridgeKeys(rows)) = net.operator(1, generate(255)) else { panic!("no rows") };
    assert_eq!(rows.len(), 255);
    assert_eq!((rows[0].kid, rows[254].kid), (0, 254));
    assert!(rows.iter().all(|row| row.keypair.len() == 44 && row.status == "active" && row.version == "v1"));
    assert_eq!(net.operator(1, generate(3)).unwrap_err().code, Code::AlreadyExists);
    let Ok(OperatorReply::BridgeKeys(listed)) = net.operator(1, OperatorCommand::BridgeKeysList) else {
        panic!("no rows")
    };
    assert_eq!(listed, rows);
    assert_eq!(net.peers[1].keyring.statics.len(), 255);
    net.pass(Duration::from_secs(120));
    let member = net.peers[0].node().membership.node(&net.peers[1].id()).unwrap();
    assert_eq!(member.statics.len(), 255, "the record tells who holds them");
    // A copy of the key file at another node is refused there by what the mesh knows.
    let statics = net.peers[1].keyring.statics.clone();
    net.restart(1);
    let mut copy = net.peers[0].keyring.clone();
    copy.statics = statics;
    let public = RealCrypto.publics(&copy).statics[0];
    assert!(
        net.peers[0]
            .node()
            .membership
            .node(&net.peers[1].id())
            .unwrap()
            .statics
            .contains(&(0, crate::membership::fingerprint(&public.1)))
    );
}

#[test]
fn a_store_that_fails_at_midnight_only_delays_the_daily_work() {
    let mut net = Net::new(&["alpha", "beta"]);
    let code = net.invite(0);
    net.join(1, &code).unwrap();
    let id = create(&mut net, 1, 1);
    net.peers[1].disk.full = true;
    net.days(2);
    assert!(read(&net, 1, &id, &net.peers[1].keyring).is_some());
    net.peers[1].disk.full = false;
    net.pass(Duration::from_secs(7_200));
    let ring = net.peers[1].keyring.clone();
    assert_eq!(ring.wraps.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [today(net.now)]);
    assert!(read(&net, 1, &id, &ring).is_some());
    // What the heart keeps going.
    net.days(10);
    assert!(net.others(0).iter().all(|(_, state)| state == "connected"));
}
