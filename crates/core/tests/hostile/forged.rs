//! Payloads that somebody makes for a known number without holding its session.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use relaymesh_core::batch::Key;
use relaymesh_core::command::{Code, Command, Door, Reply, Submit};
use relaymesh_core::delivery::{Body, Receipt};
use relaymesh_core::record::{is_sound, key, vault};
use relaymesh_protocol::base64text;
use relaymesh_protocol::ids::{DeviceId, EntityId};
use relaymesh_protocol::payload::{BridgePayload, KeyExchange, Payload};
use relaymesh_ratchet::PublicKey;
use sha2::Sha256;

use crate::world::{Fate, Frame, Person, Stranger, World, booth, bridge_text, open, platform_text, static_key};
use crate::{NUMBER, counter, minutes, three};

/// All rows that belong to an entity: its head and its records.
fn entity_rows(world: &World, node: usize, id: &EntityId) -> BTreeMap<Key, Vec<u8>> {
    let disk = &world.nodes[node].disk.0;
    let (head, records) = (key::head(id), key::entity_prefix(id));
    let mine = disk.iter().filter(|(row, _)| **row == head || row.starts_with(&records));
    mine.map(|(row, (_, value))| (row.clone(), value.clone())).collect()
}

fn entities(world: &World, node: usize) -> Vec<EntityId> {
    let disk = &world.nodes[node].disk.0;
    let heads = disk.keys().filter(|row| row.first() == Some(&key::HEAD));
    heads.map(|row| EntityId::try_from(&row[1..]).unwrap()).collect()
}

/// Without what a notice changes: its own record, and the head, which must still open what it opened.
fn without_notices(world: &World, node: usize, rows: &BTreeMap<Key, Vec<u8>>) -> BTreeMap<Key, Vec<u8>> {
    let head = |id: &EntityId| entity_rows(world, node, id).remove(&key::head(id));
    let kept = rows.iter().filter(|(row, _)| row[0] == key::ENTITY && row[17] != vault::NOTICES);
    kept.inspect(|(row, value)| assert!(is_sound(world.nodes[node].node(), row, value, head)))
        .map(|(row, value)| (row.clone(), value.clone()))
        .collect()
}

fn submit(text: &str, door: Door) -> Command {
    Command::Submit(Submit { door, text: text.into(), sender: NUMBER.into(), date: None, date_sent: None })
}

fn random_block(rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut block = vec![0; 76 + 16 * (1 + (rng.next_u32() % 4) as usize)];
    rng.fill_bytes(&mut block);
    block[..4].copy_from_slice(&40_u32.to_le_bytes());
    for at in [7, 11] {
        block[at] = 0;
    }
    block
}

/// One of the forgeries; all are for the person's number or device.
fn forgery(n: u64, rng: &mut ChaCha20Rng, person: &Person, real: &[u8], server: (u8, PublicKey)) -> String {
    match n % 5 {
        // Sound crypto under the public static key.
        0 => bridge_text(Stranger::new(server.1, server.0, 1_000 + n).mail(&format!("forged {n}"), true)),
        // A key exchange whose block is rubbish, or that continues a session that never was.
        1 => {
            let mut stranger = Stranger::new(server.1, server.0, 1_000 + n);
            let mut payload = stranger.mail("x", true);
            payload.block = random_block(rng);
            bridge_text(payload)
        }
        2 => bridge_text(Stranger::new(server.1, server.0, 1_000 + n).mail("no hello", false)),
        3 => platform_text(random_block(rng), (n.is_multiple_of(2)).then_some(person.device)),
        _ => {
            let Ok(Payload::Platform(mut payload)) = Payload::parse(real) else { panic!("a platform payload") };
            let at = 4 + (rng.next_u32() as usize) % (payload.block.len() - 4);
            payload.block[at] ^= 1 << (rng.next_u32() % 8);
            payload.device_id = payload.device_id.filter(|_| n.is_multiple_of(2));
            base64text::encode_wrapped(&Payload::Platform(payload).encode().unwrap())
        }
    }
}

#[test]
fn a_thousand_forgeries_leave_the_account_byte_identical() {
    let (mut world, a, _, c) = three();
    let server = static_key(&mut world, c, 2);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    let [id] = entities(&world, c)[..] else { panic!("one account") };
    let (door, at_a) = (booth(&mut world, c), booth(&mut world, a));
    world.federate(a, c);
    world.run_for(minutes(2));
    let first = person.compose("first", true);
    person.send(&mut world, c, &first);
    world.run_for(minutes(1));
    let waiting = base64text::decode(&person.compose("second", true)).unwrap();
    let before = entity_rows(&world, c, &id);
    assert!(before.len() > 5, "account, session, token, consumed block and position");

    let mut rng = ChaCha20Rng::seed_from_u64(5);
    for n in 0..1_000 {
        let text = forgery(n, &mut rng, &person, &waiting, server);
        // Most enter at the home; an enrolled gateway client, the only door for bridge mail, is believed no more than others.
        let (node, door) = if n % 50 == 7 { (a, at_a) } else { (c, door) };
        let _ = world.send(node, submit(&text, door));
        world.run_for(5);
    }
    world.run_for(2_000);
    let after = entity_rows(&world, c, &id);
    assert_eq!(without_notices(&world, c, &after), without_notices(&world, c, &before));
    assert_eq!(world.posts.len(), 1, "nothing was published for the account");
    assert!(counter(&world, c, "mac_failed") >= 500, "they reached the session");

    person.send(&mut world, c, &base64text::encode_wrapped(&waiting));
    world.run_for(minutes(1));
    assert_eq!(world.count("second"), 1, "and the person's own next message opens");
}

#[test]
fn forgeries_from_the_open_door_do_not_even_count_notices() {
    let (mut world, _, _, c) = three();
    let server = static_key(&mut world, c, 2);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    let [id] = entities(&world, c)[..] else { panic!("one account") };
    let waiting = base64text::decode(&person.compose("waits", true)).unwrap();
    let before = entity_rows(&world, c, &id);
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    for n in 0..100 {
        let text = forgery(n, &mut rng, &person, &waiting, server);
        let _ = world.send(c, submit(&text, Door::Open));
        world.run_for(40);
    }
    assert_eq!(entity_rows(&world, c, &id), before);
}

/// The first mail of a number without an account, delivered; its entity and what the next mail is made with.
fn bridge_user(
    world: &mut World,
    c: usize,
    server: (u8, PublicKey),
    door: Door,
) -> (EntityId, Stranger, BridgePayload) {
    let mut phone = Stranger::new(server.1, server.0, 1);
    let hello = phone.mail("hello", true);
    let _ = world.ask(c, submit(&bridge_text(hello.clone()), door));
    world.run_for(5_000);
    assert_eq!(world.mails.len(), 1);
    let [id] = entities(world, c)[..] else { panic!("one bridge identity") };
    (id, phone, hello)
}

#[test]
fn key_exchanges_of_others_neither_touch_nor_push_out_the_session_of_a_bridge_user() {
    let (mut world, _, _, c) = three();
    let (server, door) = (static_key(&mut world, c, 2), booth(&mut world, c));
    let (id, mut phone, _) = bridge_user(&mut world, c, server, door);
    let before = entity_rows(&world, c, &id);
    let sessions = |world: &World| {
        let prefix = key::entity(&id, vault::BRIDGE, b"");
        world.nodes[c].disk.0.keys().filter(|row| row.starts_with(&prefix)).count()
    };
    // A number is all there is to a bridge identity: sound key exchanges of others are mails of their own, within its
    // allowance. It is no new number any more.
    world.sleep(c, 4 * 24 * minutes(60));
    for n in 0..12 {
        let forged = Stranger::new(server.1, server.0, 100 + n).mail("not me", true);
        let _ = world.send(c, submit(&bridge_text(forged), door));
        world.run_for(minutes(15));
    }
    assert_eq!(world.mails.len(), 13);
    assert!(sessions(&world) <= 8, "{} sessions are kept for strangers", sessions(&world));
    let after = entity_rows(&world, c, &id);
    let own = before.keys().filter(|row| row[17..].first() == Some(&vault::BRIDGE));
    for row in own {
        assert_eq!(after.get(row), before.get(row), "the session of the first contact stays as it was");
    }
    let next = phone.mail("still me", false);
    let _ = world.ask(c, submit(&bridge_text(next), door));
    world.run_for(5_000);
    assert_eq!(world.mails.len(), 14, "its next mail opens");
}

#[test]
fn unsound_key_exchanges_leave_a_bridge_user_byte_identical() {
    let (mut world, _, _, c) = three();
    let (server, door) = (static_key(&mut world, c, 2), booth(&mut world, c));
    let (id, _, hello) = bridge_user(&mut world, c, server, door);
    let before = entity_rows(&world, c, &id);
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    for n in 0..200_u64 {
        let mut forged = hello.clone();
        match n % 4 {
            0 => forged.block = random_block(&mut rng),
            1 => {
                let at = 4 + (rng.next_u32() as usize) % (forged.block.len() - 4);
                forged.block[at] ^= 1 << (n % 8);
            }
            2 => forged.key_exchange = Some(KeyExchange { kid: server.0, client_public: [0; 32] }),
            _ => forged = Stranger::new(server.1, server.0, 500 + n).mail("no hello", false),
        }
        // The block of the hello itself under another key is a repeat, and answered as one.
        let _ = world.send(c, submit(&bridge_text(forged), door));
        world.run_for(40);
    }
    let after = entity_rows(&world, c, &id);
    assert_eq!(without_notices(&world, c, &after), without_notices(&world, c, &before));
    assert_eq!(world.mails.len(), 1);
}

/// The first acceptance among the letters from `c` to `a`.
fn overhear(world: &mut World, a: usize, c: usize) -> std::rc::Rc<std::cell::RefCell<Option<Receipt>>> {
    let heard = std::rc::Rc::new(std::cell::RefCell::new(None));
    let (into, keys) = (heard.clone(), world.nodes[a].keyring.clone());
    world.tap(move |from, to, frame| {
        if let (true, Frame::Envelope(carried)) = ((from, to) == (c, a), frame)
            && let Some((_, Body::Receipts(receipts))) = open(&keys, carried)
            && let Some(accepted) = receipts.iter().find(|r| matches!(r, Receipt::Accepted { .. }))
        {
            into.borrow_mut().get_or_insert(accepted.clone());
        }
        Fate::Pass
    });
    heard
}

/// Another ciphertext under a MAC key that an acceptance has shown.
fn remade(block: &[u8], proof: &Receipt, twin: bool, at: usize) -> Vec<u8> {
    let Receipt::Accepted { auth_key, ad, .. } = proof else { panic!("an acceptance") };
    let mut block = block.to_vec();
    block[44 + at] ^= 1;
    if twin {
        // The unused top bit of an X25519 key: other bytes, the same key.
        block[43] ^= 0x80;
    }
    let body = block.len() - 32;
    let mut mac = Hmac::<Sha256>::new_from_slice(auth_key).unwrap();
    mac.update(ad);
    mac.update(&block[4..body]);
    block[body..].copy_from_slice(&mac.finalize().into_bytes());
    block
}

#[test]
fn a_shown_mac_key_never_counts_twice() {
    let (mut world, a, _, c) = three();
    let server = static_key(&mut world, c, 2);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.federate(a, c);
    world.run_for(minutes(2));
    let heard = overhear(&mut world, a, c);
    let sms = person.compose("shown", true);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(1));
    let proof = heard.borrow().clone().expect("an acceptance came");
    let Ok(Payload::Platform(real)) = Payload::parse(&base64text::decode(&sms).unwrap()) else { panic!() };
    let [id] = entities(&world, c)[..] else { panic!("one account") };
    let before = entity_rows(&world, c, &id);
    for n in 0..16 {
        let text = platform_text(remade(&real.block, &proof, n % 2 == 1, n), real.device_id);
        let _ = world.send(c, submit(&text, Door::Open));
        world.run_for(500);
    }
    assert_eq!(entity_rows(&world, c, &id), before);
    assert_eq!(world.posts.len(), 1);
    assert!(counter(&world, c, "position_reused") >= 8);

    // A bridge key exchange can be derived again for as long as the static key lives, from a twin of its key too.
    heard.borrow_mut().take();
    let hello = Stranger::new(server.1, server.0, 3).mail("hello", true);
    let (at_a, door) = (booth(&mut world, a), booth(&mut world, c));
    let _ = world.ask(a, submit(&bridge_text(hello.clone()), at_a));
    world.run_for(minutes(1));
    let proof = heard.borrow().clone().expect("an acceptance came");
    let mails = world.mails.len();
    assert_eq!(mails, 1);
    for n in 0..16 {
        let mut forged = hello.clone();
        forged.block = remade(&hello.block, &proof, n & 1 != 0, 0);
        if n & 2 != 0
            && let Some(exchange) = &mut forged.key_exchange
        {
            exchange.client_public[31] ^= 0x80;
        }
        let _ = world.send(c, submit(&bridge_text(forged), door));
        world.run_for(500);
    }
    assert_eq!(world.mails.len(), mails, "no mail was made from a shown key");
    assert_eq!(counter(&world, c, "refused_content"), 0, "none was even opened");
}

#[test]
fn one_damaged_copy_never_asks_to_log_in_again_and_three_do() {
    let (mut world, _, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    let door = booth(&mut world, c);
    world.run_for(minutes(2));
    let told = world.sms.len();
    let mut damaged = |world: &mut World| {
        let mut bytes = base64text::decode(&person.compose("damaged", true)).unwrap();
        bytes[60] ^= 1;
        let _ = world.ask(c, submit(&base64text::encode_wrapped(&bytes), door));
        world.run_for(minutes(60));
    };
    damaged(&mut world);
    damaged(&mut world);
    assert_eq!(world.sms.len(), told, "what an ingress offers again is no further failure");
    damaged(&mut world);
    assert_eq!(world.sms.len(), told + 1, "three messages in a row");
    damaged(&mut world);
    assert_eq!(world.sms.len(), told + 1, "once a day");
}

#[test]
fn bridge_mail_comes_in_only_where_somebody_known_vouches_for_the_gateway_client() {
    let (mut world, a, b, c) = three();
    let server = static_key(&mut world, c, 2);
    let mail = |n, text: &str| bridge_text(Stranger::new(server.1, server.0, n).mail(text, true));
    for node in [a, c] {
        for door in [Door::Open, Door::Content] {
            let reply = world.ask(node, submit(&mail(1, "any door"), door));
            assert!(matches!(reply, Reply::Refused(refusal) if refusal.code == Code::InvalidArgument), "{door:?}");
        }
    }
    // A member that is no partner says that its gateway client is enrolled.
    let at_b = booth(&mut world, b);
    let _ = world.ask(b, submit(&mail(2, "a stranger's word"), at_b));
    world.run_for(minutes(5));
    assert!(world.mails.is_empty() && entities(&world, c).is_empty());
    let door = booth(&mut world, c);
    let _ = world.ask(c, submit(&mail(3, "vouched for"), door));
    world.run_for(minutes(1));
    assert_eq!(world.mails.len(), 1);
}

#[test]
fn a_device_id_that_nobody_has_answers_like_any_other() {
    let (mut world, a, _, _) = three();
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    for n in 0..20 {
        let text = platform_text(random_block(&mut rng), Some(DeviceId([n; 32])));
        let _ = world.ask(a, submit(&text, Door::Open));
    }
    world.run_for(minutes(2));
    assert_eq!(crate::status(&mut world, a).held, 20);
}
