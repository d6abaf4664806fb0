//! What comes in at the doors: what each lets in, what it answers, and what strangers can make a node keep or say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use relaymesh_core::command::{
    AccountCommand, ClientKeys, ClientsCommand, ClientsReply, Code, Command, Door, Identity, MessageOutcome,
    OperatorCommand, OperatorReply, Refusal, Reply, Submit, Submitted, TestEnd,
};
use relaymesh_core::record::key;
use relaymesh_protocol::base64text;
use relaymesh_protocol::ids::{DeviceId, MessageId, Timestamp};
use relaymesh_protocol::payload::PAYLOAD_BYTES_MAX;
use relaymesh_protocol::segment::{SEGMENT_CHARS, split};
use world::{NUMBER, Person, World, counter, enrol, minutes, platform_text, static_key, three};

/// The number of gateway clients.
const MODEM: &str = "+237699000000";
const DAY_MS: u64 = 86_400_000;
/// Rows of `docs/gateway-client-conformance.jsonl`.
const CASES: &str = include_str!("../../../docs/gateway-client-conformance.jsonl");

fn submit(world: &mut World, node: usize, door: Door, sender: &str, text: &str) -> Reply {
    let (text, sender) = (text.into(), sender.into());
    world.ask(node, Command::Submit(Submit { door, text, sender, date: None, date_sent: None }))
}

fn message(reply: &Reply) -> MessageId {
    match reply {
        Reply::Submitted(Submitted::Accepted { message, .. }) => *message,
        other => panic!("not accepted: {other:?}"),
    }
}

fn refused(reply: &Reply) -> (Code, &str) {
    match reply {
        Reply::Refused(Refusal { code, text, .. }) => (*code, text),
        other => panic!("not refused: {other:?}"),
    }
}

/// A payload for a device that nobody has.
fn stray(n: u16) -> String {
    sized(n, 92)
}

fn sized(n: u16, block_len: usize) -> String {
    let mut block = vec![7; block_len];
    block[..4].copy_from_slice(&40_u32.to_le_bytes());
    block[12..14].copy_from_slice(&n.to_be_bytes());
    let mut device = [9; 32];
    device[..2].copy_from_slice(&n.to_be_bytes());
    platform_text(block, Some(DeviceId(device)))
}

/// An image in segments.
fn image(n: u16, session: u8) -> Vec<String> {
    split(&sized(n, 76 + 16 * 16), session, 5, 5).unwrap()
}

/// The node stands still for so long, as if it had been switched off.
fn sleep(world: &mut World, node: usize, millis: u64) {
    world.kill(node);
    world.now = Timestamp(world.now.0 + millis);
    world.restart(node);
    world.run_for(60_000);
}

#[test]
fn content_alone_is_enough_where_it_names_the_device() {
    let mut world = World::new();
    let a = world.add("a", 1);
    let mut person = Person::sign_up(&mut world, a, NUMBER, 11);
    let sms = person.compose("no metadata", true);
    message(&submit(&mut world, a, Door::Content, "", &sms));
    world.run_for(10_000);
    assert_eq!(world.posts.len(), 1);
    let sms = person.compose("whose is it", false);
    let (code, text) = (Code::InvalidArgument, "the sender is");
    let reply = submit(&mut world, a, Door::Content, "", &sms);
    assert!(refused(&reply).0 == code && refused(&reply).1.starts_with(text), "{reply:?}");
    let sms = person.compose("an SMS has a sender", true);
    assert_eq!(refused(&submit(&mut world, a, Door::Open, "", &sms)).0, code);
    world.run_for(10_000);
    assert_eq!(world.posts.len(), 1);
}

#[test]
fn doors_without_enrolment_have_small_buckets_of_their_own() {
    let mut world = World::new();
    let a = world.add("a", 1);
    let enrolled = enrol(&mut world, a, "modem", MODEM);
    let accepted = |world: &mut World, door, count: u16| {
        (0..count).filter(|n| matches!(submit(world, a, door, NUMBER, &stray(*n)), Reply::Submitted(_))).count()
    };
    let start = world.now;
    assert!((200..230).contains(&accepted(&mut world, Door::Content, 400)), "a burst, and what the seconds added");
    assert!(world.now.0 - start.0 < 2_000);
    let reply = submit(&mut world, a, Door::Content, NUMBER, &stray(1));
    assert_eq!(refused(&reply).0, Code::ResourceExhausted);
    assert_eq!(accepted(&mut world, Door::Open, 300), 300, "each door has its own");
    assert_eq!(accepted(&mut world, enrolled, 400), 400);
    assert!(accepted(&mut world, Door::Content, 40) < 40, "that took a moment; it is empty again");
    world.run_for(2_000);
    assert!((20..30).contains(&accepted(&mut world, Door::Content, 40)), "ten a second");
}

#[test]
fn only_what_an_enrolled_gateway_client_brought_is_told_when_it_expires() {
    let mut world = World::new();
    let a = world.add("a", 1);
    let enrolled = enrol(&mut world, a, "modem", MODEM);
    let doors = [(Door::Open, "+237650000001"), (Door::Content, "+237650000002"), (enrolled, NUMBER)];
    for (n, (door, sender)) in (0..).zip(doors) {
        message(&submit(&mut world, a, door, sender, &stray(n)));
    }
    sleep(&mut world, a, 120 * DAY_MS + 1_000);
    assert_eq!(counter(&world, a, "message_expired"), 3);
    let told: Vec<&str> = world.sms.iter().map(|(to, _)| to.as_str()).collect();
    assert_eq!(told, [NUMBER]);
}

#[test]
fn what_an_enrolled_gateway_client_brings_too_is_told_when_it_expires_to_the_number_that_it_names() {
    let mut world = World::new();
    let a = world.add("a", 1);
    let enrolled = enrol(&mut world, a, "modem", MODEM);
    let doors = [(Door::Open, "+237650000001"), (enrolled, NUMBER), (Door::Open, "+237650000002")];
    let ids = doors.map(|(door, sender)| message(&submit(&mut world, a, door, sender, &stray(1))));
    assert!(ids.iter().all(|id| *id == ids[0]), "it is one message");
    sleep(&mut world, a, 120 * DAY_MS + 1_000);
    let told: Vec<&str> = world.sms.iter().map(|(to, _)| to.as_str()).collect();
    assert_eq!(told, [NUMBER]);
}

#[test]
fn only_images_that_an_enrolled_gateway_client_brought_some_of_are_told_when_they_stay_incomplete() {
    let mut world = World::new();
    let a = world.add("a", 1);
    let enrolled = enrol(&mut world, a, "modem", MODEM);
    for (n, (doors, sender)) in (0..).zip([
        ([Door::Open, Door::Open], "+237650000001"),
        ([Door::Open, enrolled], "+237650000002"),
        ([enrolled, Door::Open], "+237650000003"),
    ]) {
        let segments = image(n, 1);
        for (door, segment) in doors.into_iter().zip(&segments) {
            assert!(matches!(
                submit(&mut world, a, door, sender, segment),
                Reply::Submitted(Submitted::Segment { .. })
            ));
        }
    }
    sleep(&mut world, a, DAY_MS + 1_000);
    let mut told: Vec<&str> = world.sms.iter().map(|(to, _)| to.as_str()).collect();
    told.sort_unstable();
    assert_eq!(told, ["+237650000002", "+237650000003"]);
    assert!(!world.nodes[a].disk.0.keys().any(|row| row[0] == key::SEGMENTS));
}

#[test]
fn a_sender_keeps_twenty_images_open_and_is_told_of_those_that_had_to_go() {
    let mut world = World::new();
    let a = world.add("a", 1);
    let enrolled = enrol(&mut world, a, "modem", MODEM);
    let sets = |world: &World| world.nodes[a].disk.0.keys().filter(|row| row[0] == key::SEGMENTS).count();
    let begin = |world: &mut World, door, session: u8| {
        let segments = image(session.into(), session);
        submit(world, a, door, NUMBER, &segments[0])
    };
    for session in 0..25 {
        assert!(matches!(begin(&mut world, enrolled, session), Reply::Submitted(Submitted::Segment { .. })));
        world.run_for(10);
    }
    assert_eq!(sets(&world), 20);
    world.run_for(1_000);
    assert_eq!(world.sms.len(), 5, "the five oldest");
    // Nobody else opens one in their name, nor is any forgotten by a restart.
    world.kill(a);
    world.restart(a);
    assert_eq!(refused(&begin(&mut world, Door::Open, 30)).0, Code::ResourceExhausted);
    assert!(matches!(begin(&mut world, enrolled, 31), Reply::Submitted(_)));
    assert_eq!(sets(&world), 20);
    let other = submit(&mut world, a, Door::Open, "+237650999999", &image(1, 1)[0]);
    assert!(matches!(other, Reply::Submitted(_)), "others are not concerned");
}

#[test]
fn a_late_copy_of_a_segment_answers_what_the_whole_did() {
    let mut world = World::new();
    let a = world.add("a", 1);
    let enrolled = enrol(&mut world, a, "modem", MODEM);
    let segments = image(3, 7);
    assert!(segments.len() > 2 && segments.iter().all(|segment| segment.len() <= SEGMENT_CHARS));
    let (last, first) = segments.split_last().unwrap();
    for (n, segment) in (1..).zip(first) {
        let reply = submit(&mut world, a, enrolled, NUMBER, segment);
        assert!(matches!(reply, Reply::Submitted(Submitted::Segment { received, .. }) if received == n), "{reply:?}");
    }
    let whole = message(&submit(&mut world, a, enrolled, NUMBER, last));
    for segment in [last, &first[0], last] {
        assert_eq!(message(&submit(&mut world, a, enrolled, NUMBER, segment)), whole);
    }
    let OperatorReply::Status(status) = world.operate(a, OperatorCommand::Status) else { panic!("no status") };
    assert_eq!(status.held, 1, "and it is one message");
}

#[test]
fn a_damaged_payload_is_told_on_a_gateway_clients_own_url_and_a_private_text_is_not() {
    let mut world = World::new();
    let a = world.add("a", 1);
    let enrolled = enrol(&mut world, a, "modem", MODEM);
    let cut: String = stray(1).chars().filter(|c| *c != '\n').take(100).collect();
    let reply = submit(&mut world, a, enrolled, NUMBER, &cut);
    let (code, text) = refused(&reply);
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.starts_with("damaged RelaySMS payload: ") && text.len() > 30, "{text}");
    assert_eq!((counter(&world, a, "sms_malformed"), counter(&world, a, "sms_ignored")), (1, 0));
    let reply = submit(&mut world, a, enrolled, NUMBER, "see you at five");
    assert!(matches!(reply, Reply::Submitted(Submitted::Ignored)));
    assert_eq!((counter(&world, a, "sms_malformed"), counter(&world, a, "sms_ignored")), (1, 1));
}

#[test]
fn the_list_for_gateway_clients_holds_for_the_node_too() {
    let mut world = World::new();
    let a = world.add("a", 1);
    let enrolled = enrol(&mut world, a, "modem", MODEM);
    let mut run = 0;
    for line in CASES.lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let body = serde_json::from_str::<serde_json::Value>(case["body"].as_str().unwrap()).unwrap_or_default();
        let (text, sender) = (body["text"].as_str(), body["MSISDN"].as_str().or(body["address"].as_str()));
        // What the HTTP layer turns away never gets here.
        let (Some(text), Some(sender)) = (text.filter(|text| !text.is_empty()), sender) else { continue };
        if case["path"] != "/g/TOKEN/v3/publish" || case["method"] != "POST" || case["status"] == 413 {
            continue;
        }
        let (status, said) = match submit(&mut world, a, enrolled, sender, text) {
            Reply::Submitted(Submitted::Accepted { .. }) => (200, "accepted ".to_owned()),
            Reply::Submitted(Submitted::Segment { .. }) => (200, "Segment ".to_owned()),
            Reply::Submitted(Submitted::Ignored) => (200, "ignored".to_owned()),
            Reply::Refused(refusal) => (400, refusal.text),
            other => panic!("{other:?}"),
        };
        assert_eq!(case["status"], status, "{line}");
        assert!(said.contains(case["answer_contains"].as_str().unwrap()), "{line}: {said}");
        run += 1;
    }
    assert!(run >= 10, "{run} cases");
}

#[test]
fn the_longest_payload_reaches_its_home_and_a_longer_one_no_door() {
    let mut world = World::new();
    let (a, c) = (world.add("a", 1), world.add("c", 3));
    world.join(a, c);
    let person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(180_000);
    let enrolled = enrol(&mut world, a, "modem", MODEM);
    let text = |block_len: usize| {
        let mut block = vec![7; block_len];
        block[..4].copy_from_slice(&40_u32.to_le_bytes());
        platform_text(block, Some(person.device))
    };
    let around = base64text::decode(&text(92)).unwrap().len() - 92;
    let longest = 76 + (PAYLOAD_BYTES_MAX - around - 76) / 16 * 16;
    message(&submit(&mut world, a, enrolled, NUMBER, &text(longest)));
    world.run_for(60_000);
    assert_eq!(counter(&world, a, "seal_failed"), 0);
    assert!(counter(&world, c, "mac_failed") > 0, "the home has read it");
    for door in [enrolled, Door::Open, Door::Content] {
        let reply = submit(&mut world, a, door, NUMBER, &text(longest + 16));
        let (code, said) = refused(&reply);
        assert_eq!(code, Code::InvalidArgument);
        assert!(said.contains(&format!("at most {PAYLOAD_BYTES_MAX}")), "{said}");
    }
}

#[test]
fn what_a_gateway_client_brought_survives_a_crash_a_minute_later() {
    let mut world = World::new();
    let a = world.add("a", 1);
    let (busy, gone) = (enrol(&mut world, a, "busy", MODEM), enrol(&mut world, a, "gone", MODEM));
    for n in 0..3 {
        message(&submit(&mut world, a, busy, NUMBER, &stray(n)));
        submit(&mut world, a, gone, NUMBER, &stray(100 + n));
    }
    submit(&mut world, a, busy, NUMBER, "see you at five");
    let seen = world.now;
    world.operate(a, OperatorCommand::GatewayRemove { name: "gone".to_owned() });
    world.run_for(61_000);
    message(&submit(&mut world, a, busy, NUMBER, &stray(4)));
    world.kill(a);
    world.restart(a);
    let row = |world: &mut World| {
        let OperatorReply::Gateways(rows) = world.operate(a, OperatorCommand::GatewayList) else { panic!("no list") };
        assert_eq!(rows.len(), 1);
        (rows[0].accepted, rows[0].ignored, rows[0].last_seen)
    };
    let (accepted, ignored, last_seen) = row(&mut world);
    assert_eq!((accepted, ignored), (3, 1), "the minute before a crash is lost");
    assert!(last_seen.0.abs_diff(seen.0) < 1_000);
    let list = ClientsCommand::List {
        country: None,
        operator: None,
        protocols: None,
        last_published_day: None,
        page: 1,
        per_page: 10,
    };
    let Reply::Clients(ClientsReply::List { rows, .. }) = world.ask(a, Command::Clients(list)) else {
        panic!("no list")
    };
    assert_eq!(rows[0].last_published, last_seen.seconds());
    message(&submit(&mut world, a, busy, NUMBER, &stray(5)));
    world.run_for(61_000);
    world.kill(a);
    world.restart(a);
    assert_eq!(row(&mut world).0, 4, "and counting goes on");
    let rows = world.nodes[a].disk.0.keys().filter(|row| row[0] == key::GATEWAY).count();
    assert_eq!(rows, 2, "nothing is kept of who was removed");
}

#[test]
fn the_sms_of_a_reliability_test_is_answered_in_the_words_that_testers_know() {
    let mut world = World::new();
    let c = world.add("c", 3);
    let enrolled = enrol(&mut world, c, "modem", MODEM);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    let start = Command::Clients(ClientsCommand::StartTest { msisdn: "+237699000000".into() });
    let start = |world: &mut World| match world.ask(c, start.clone()) {
        Reply::Clients(ClientsReply::Started { test_id, .. }) => test_id,
        other => panic!("{other:?}"),
    };
    let mut outcome = |world: &mut World, id: u64| {
        let sms = person.compose_test(id);
        message(&submit(world, c, enrolled, NUMBER, &sms));
        world.run_for(60_000);
        match submit(world, c, enrolled, NUMBER, &sms) {
            Reply::Submitted(Submitted::Accepted { outcome: Some(MessageOutcome::Test { id: of, end }), .. }) => {
                assert_eq!(of, id);
                end.text(id)
            }
            other => panic!("{other:?}"),
        }
    };
    let (first, second) = (start(&mut world), start(&mut world));
    assert_eq!(outcome(&mut world, first), Ok(format!("Test ID {first} updated successfully.")));
    assert_eq!(outcome(&mut world, first), Err(format!("Test ID {first} is already marked as 'success'.")));
    world.run_for(600_000);
    assert_eq!(outcome(&mut world, second), Err(format!("Test ID {second} is already marked as 'timedout'.")));
    assert_eq!(outcome(&mut world, 77), TestEnd::Unknown.text(77));
}

#[test]
fn a_vault_that_lacks_an_account_throws_nobody_out_while_another_may_have_it() {
    let mut world = World::new();
    let (a, b) = (world.add("a", 1), world.add("b", 2));
    let person = Person::sign_up(&mut world, a, NUMBER, 11);
    let list = |llt: &str| Command::Account(AccountCommand::ListTokens { llt: llt.into(), migrate_to_device: false });
    let log_in = || {
        let key = relaymesh_ratchet::PublicKey([9; 32]).to_base64();
        Command::Account(AccountCommand::Authenticate {
            identity: Identity { phone_number: NUMBER.into(), email_address: "".into() },
            password: "Correct1Horse!".into(),
            keys: ClientKeys { publish: key.as_str().into(), device_id: key.as_str().into() },
            proof: "".into(),
            captcha: "".into(),
        })
    };
    assert_eq!(refused(&world.ask(b, list(&person.llt))).0, Code::Unauthenticated, "alone it knows");
    assert_eq!(refused(&world.ask(b, log_in())).0, Code::NotFound);
    let OperatorReply::Invite { code, .. } = world.operate(a, OperatorCommand::Invite { own: true }) else { panic!() };
    world.operate(b, OperatorCommand::Join { code });
    world.run_for(10_000);
    assert_eq!(refused(&world.ask(b, list(&person.llt))).0, Code::Unavailable);
    assert_eq!(refused(&world.ask(b, log_in())).0, Code::Unavailable);
    assert!(matches!(world.ask(a, list(&person.llt)), Reply::Account(_)));
    let forged = format!("{}x", person.llt);
    assert_eq!(refused(&world.ask(a, list(&forged))).0, Code::Unauthenticated, "here it is known to be wrong");
}

#[test]
fn the_doctor_finds_gateway_clients_that_are_silent_and_those_that_forward_private_sms() {
    let mut world = World::new();
    let node = world.add("a", 1);
    let door = enrol(&mut world, node, "booth", MODEM);
    let level = |world: &mut World, check: &str| {
        let OperatorReply::Doctor(all) = world.operate(node, OperatorCommand::Doctor) else { panic!("no findings") };
        assert!(all.iter().all(|finding| !finding.expected.is_empty()), "{all:?}");
        let finding = all.into_iter().find(|finding| finding.check == check).unwrap();
        assert_eq!(finding.level == "ok", finding.fix.is_empty());
        finding.level
    };
    assert_eq!(level(&mut world, "gateways.silent"), "warning", "it has brought nothing yet");
    message(&submit(&mut world, node, door, NUMBER, &stray(1)));
    for check in ["gateways.silent", "privacy"] {
        assert_eq!(level(&mut world, check), "ok", "{check}");
    }
    let private = submit(&mut world, node, door, NUMBER, "see you at eight");
    assert!(matches!(private, Reply::Submitted(Submitted::Ignored)), "{private:?}");
    assert_eq!(level(&mut world, "privacy"), "warning");
    world.run_for(7 * DAY_MS);
    assert_eq!(level(&mut world, "gateways.silent"), "warning");
}

#[test]
fn the_doctor_finds_what_waits_what_does_not_open_and_a_bridge_without_keys() {
    let (mut world, a, _, c) = three();
    let level = |world: &mut World, check: &str| {
        let OperatorReply::Doctor(all) = world.operate(a, OperatorCommand::Doctor) else { panic!("no findings") };
        all.into_iter().find(|finding| finding.check == check).map(|finding| finding.level).unwrap()
    };
    let checks = ["messages.waiting", "store.records", "bridge.keys"];
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    world.kill(c);
    let sms = person.compose("waits", true);
    person.send(&mut world, a, &sms);
    world.run_for(minutes(50));
    world.nodes[a].config.roles.bridge = false;
    world.kill(a);
    world.restart(a);
    assert!(checks.map(|check| level(&mut world, check)).iter().all(|level| level == "ok"));
    world.run_for(minutes(15));
    world.kill(a);
    world.nodes[a].config.roles.bridge = true;
    let (_, row) = world.nodes[a].disk.0.iter_mut().find(|(place, _)| place.first() == Some(&key::FACT)).unwrap();
    row.1[3] ^= 1;
    world.restart(a);
    assert_eq!(checks.map(|check| level(&mut world, check)), ["warning", "error", "warning"]);
    static_key(&mut world, a, 1);
    assert_eq!(level(&mut world, "bridge.keys"), "ok");
}

#[test]
fn the_doctor_finds_a_clock_that_others_contradict() {
    let mut world = World::new();
    let (a, b, c) = (world.add("a", 1), world.add("b", 2), world.add("c", 3));
    let peers = |world: &mut World| {
        let OperatorReply::Doctor(all) = world.operate(a, OperatorCommand::Doctor) else { panic!("no findings") };
        let finding = all.into_iter().find(|finding| finding.check == "clock.peers").unwrap();
        assert_eq!(["ok", "unknown"].contains(&finding.level.as_str()), finding.fix.is_empty(), "{finding:?}");
        finding.level
    };
    assert_eq!(peers(&mut world), "unknown", "it is alone");
    world.join(a, b);
    world.join(a, c);
    world.run_for(10_000);
    assert_eq!(peers(&mut world), "ok");
    // The node is off for an hour that its clock does not count.
    let back = |world: &mut World, millis: u64| {
        world.kill(a);
        world.now = Timestamp(world.now.0 - millis);
        world.restart(a);
    };
    back(&mut world, 3_600_000);
    assert_eq!(peers(&mut world), "error", "all say so");
    world.run_for(3_600_000);
    assert_eq!(peers(&mut world), "ok", "time has passed");
    world.kill(c);
    world.kill(a);
    world.run_for(9 * DAY_MS);
    world.restart(a);
    world.run_for(60_000);
    assert_eq!(peers(&mut world), "ok", "one of them is away, and its record old");
    back(&mut world, 3 * DAY_MS);
    world.run_for(60_000);
    assert_eq!(peers(&mut world), "warning", "one of two says so");
}

#[test]
fn the_doctor_counts_records_that_are_too_far_ahead_to_be_taken_in() {
    let mut world = World::new();
    let (a, b) = (world.add("a", 1), world.add("b", 2));
    world.join(a, b);
    let start = world.now;
    world.kill(a);
    world.run_for(9 * DAY_MS);
    world.now = start;
    world.restart(a);
    world.run_for(10 * 60_000);
    let OperatorReply::Doctor(all) = world.operate(a, OperatorCommand::Doctor) else { panic!("no findings") };
    let finding = all.into_iter().find(|finding| finding.check == "clock.peers").unwrap();
    assert!(finding.level == "warning" && !finding.found.contains(" 0 times"), "{finding:?}");
}
