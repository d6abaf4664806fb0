//! One-time codes.

use super::world::*;
use crate::command::{AccountCommand, AccountReply, Code, Command, Private, Reply};
use crate::config::Otp;
use crate::output::Work;
use crate::record::key;

const NO_RECORD: &str = "No OTP record found for this phone number.";
const LIMITED: &str = "Too many OTP requests. Wait and try again.";

/// Another code than the right one.
fn other(code: &str, by: u32) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + by) % 1_000_000)
}

fn text(reply: &Reply) -> &str {
    refused(reply).1
}

#[test]
fn four_tries_however_many_come_at_the_same_time() {
    let mut world = World::new();
    let phone = Phone::new(1);
    world.account(create(&phone, ""));
    let code = world.code();
    let asked: Vec<u64> = (1..=64).map(|by| world.ask(Command::Account(create(&phone, &other(&code, by))))).collect();
    assert!(world.replies.is_empty(), "nothing is answered before its count is durable");
    world.settle();
    let replies: Vec<Reply> = asked.iter().map(|id| world.replies.remove(id).expect("an answer")).collect();
    let count = |told: &str| replies.iter().filter(|reply| text(reply) == told).count();
    assert_eq!(count("Incorrect OTP. Try again."), 4);
    assert_eq!(count("Too many incorrect attempts. OTP invalidated. Request a new one."), 1);
    assert_eq!(count(NO_RECORD), 59);
    assert_eq!(text(&world.account(create(&phone, &code))), NO_RECORD);
}

#[test]
fn the_fourth_try_counts_and_the_fifth_does_not_even_after_a_restart() {
    for (wrong, works) in [(3, true), (4, false)] {
        let mut world = World::new();
        let phone = Phone::new(1);
        world.account(create(&phone, ""));
        let code = world.code();
        for by in 1..=wrong {
            assert_eq!(text(&world.account(create(&phone, &other(&code, by)))), "Incorrect OTP. Try again.");
            world.restart();
        }
        let last = world.account(create(&phone, &code));
        assert_eq!(matches!(last, Reply::Account(AccountReply::Session { .. })), works);
        if !works {
            assert_eq!(
                refused(&last),
                (Code::Unauthenticated, "Too many incorrect attempts. OTP invalidated. Request a new one.")
            );
        }
    }
}

#[test]
fn one_code_buys_one_session() {
    let mut world = World::new();
    signed_up(&mut world);
    world.pass(6);
    world.account(authenticate(&Phone::new(2), PASSWORD, ""));
    let code = world.code();
    let asked: Vec<u64> =
        (2..5).map(|seed| world.ask(Command::Account(authenticate(&Phone::new(seed), PASSWORD, &code)))).collect();
    world.settle();
    let replies: Vec<Reply> = asked.iter().filter_map(|id| world.replies.remove(id)).collect();
    let sessions = replies.iter().filter(|reply| matches!(reply, Reply::Account(AccountReply::Session { .. })));
    assert_eq!((replies.len(), sessions.count()), (3, 1));
    let reply = world.account(authenticate(&Phone::new(2), PASSWORD, &code));
    assert_eq!(text(&reply), "OTP not initiated. Request a new OTP first.", "used up, and its limiter with it");
}

#[test]
fn a_code_is_bound_to_its_purpose_and_its_identifier() {
    let mut world = World::new();
    let (phone, _) = signed_up(&mut world);
    let reply = world.account(reset(&phone, PASSWORD, "123456"));
    assert_eq!(refused(&reply), (Code::Unauthenticated, "OTP not initiated. Request a new OTP first."));
    world.account(authenticate(&phone, PASSWORD, ""));
    let code = world.code();
    let reply = world.account(reset(&phone, PASSWORD, &code));
    assert_eq!(refused(&reply), (Code::Unauthenticated, "OTP action mismatch. Request a new OTP."));
    let stranger = match create(&phone, &code) {
        AccountCommand::Create { country_code, password, keys, proof, captcha, .. } => {
            let identity = phone_number("+237650123457");
            AccountCommand::Create { identity, country_code, password, keys, proof, captcha }
        }
        other => other,
    };
    assert_eq!(text(&world.account(stranger)), "OTP not initiated. Request a new OTP first.");
    let reply = world.account(authenticate(&phone, PASSWORD, &code));
    phone.log_in(reply, PHONE);
}

#[test]
fn a_code_lives_ten_minutes() {
    for (minutes, works) in [(9, true), (10, false)] {
        let mut world = World::new();
        let phone = Phone::new(1);
        world.account(create(&phone, ""));
        let code = world.code();
        world.pass(minutes);
        let reply = world.account(create(&phone, &code));
        assert_eq!(matches!(reply, Reply::Account(AccountReply::Session { .. })), works);
        if !works {
            assert_eq!(refused(&reply), (Code::Unauthenticated, "OTP expired. Request a new one."));
        }
    }
}

#[test]
fn requests_are_limited_and_the_count_begins_again_after_the_fifth() {
    let mut world = World::new();
    let phone = Phone::new(1);
    for minutes in [5, 10, 30, 120, 1_440, 5] {
        let reply = world.account(create(&phone, ""));
        let until = world.now.seconds() + minutes * 60;
        assert!(
            matches!(&reply, Reply::Account(AccountReply::ProofRequired { next_attempt, .. })
            if *next_attempt == until),
            "{reply:?}"
        );
        world.pass(minutes - 1);
        assert_eq!(refused(&world.account(create(&phone, ""))), (Code::InvalidArgument, LIMITED));
        world.restart();
        world.pass(1);
    }
}

#[test]
fn a_busy_node_costs_nobody_a_code() {
    let mut world = World::new();
    let phone = Phone::new(1);
    world.account(create(&phone, ""));
    let code = world.code();
    world.busy = true;
    assert_eq!(refused(&world.account(create(&phone, &code))).0, Code::Unavailable);
    world.busy = false;
    let reply = world.account(create(&phone, &code));
    phone.log_in(reply, PHONE);
}

#[test]
fn a_code_that_did_not_leave_can_be_asked_for_again() {
    let mut world = World::new();
    let phone = Phone::new(1);
    world.mute = true;
    let reply = world.account(create(&phone, ""));
    assert_eq!(refused(&reply), (Code::InvalidArgument, "Failed to send OTP. Try again."));
    let unsent = world.code();
    assert_eq!(text(&world.account(create(&phone, &unsent))), NO_RECORD);
    world.mute = false;
    let reply = world.account(create(&phone, ""));
    let until = world.now.seconds() + 600;
    assert!(
        matches!(&reply, Reply::Account(AccountReply::ProofRequired { next_attempt, .. }) if *next_attempt == until)
    );
    let code = world.code();
    let reply = world.account(create(&phone, &code));
    phone.log_in(reply, PHONE);
}

#[test]
fn channels_that_are_off_say_so() {
    let with = |sms, email, countries: &[&str]| {
        let otp_countries = countries.iter().map(|c| (*c).to_owned()).collect();
        World::with(crate::config::Config { otp: Otp { sms, email }, otp_countries, ..config() })
    };
    let by_email = || match create(&Phone::new(1), "") {
        AccountCommand::Create { country_code, password, keys, proof, captcha, .. } => {
            AccountCommand::Create { identity: email("a@b.cm"), country_code, password, keys, proof, captcha }
        }
        other => other,
    };
    let told = |mut world: World, command| {
        let reply = world.account(command);
        assert!(world.ordered.is_empty() || is_proof_required(&reply));
        match reply {
            Reply::Refused(refusal) => (refusal.code == Code::InvalidArgument).then_some(refusal.text),
            _ => None,
        }
    };
    let sms = || create(&Phone::new(1), "");
    assert_eq!(
        told(with(false, true, &[]), sms()).as_deref(),
        Some("SMS OTP service unavailable for your region. Contact support.")
    );
    assert_eq!(
        told(with(true, true, &["NG"]), sms()).as_deref(),
        Some("SMS OTP service unavailable for your region. Try email OTP or contact support.")
    );
    assert_eq!(told(with(true, false, &["ng", "cm"]), sms()), None);
    assert_eq!(
        told(with(true, false, &[]), by_email()).as_deref(),
        Some("EMAIL OTP service unavailable for your region. Contact support.")
    );
    assert_eq!(told(with(false, true, &["NG"]), by_email()), None);
}

#[test]
fn rows_of_codes_that_nobody_tries_do_not_pile_up() {
    let mut world = World::new();
    for i in 0..800 {
        let mut command = create(&Phone::new(1), "");
        if let AccountCommand::Create { identity, .. } = &mut command {
            *identity = email(&format!("p{i}@b.cm"));
        }
        assert!(is_proof_required(&world.account(command)));
        world.pass(26 * 60);
    }
    let rows = world.disk.rows.keys().filter(|key| key[0] == key::OTP).count();
    assert!(rows < 800, "{rows} of 1,600 rows are left");
}

#[test]
fn a_live_code_is_not_swept_away_by_others() {
    let mut world = World::new();
    let phone = Phone::new(1);
    world.account(create(&phone, ""));
    let code = world.code();
    for i in 0..300 {
        let mut command = create(&Phone::new(1), "");
        if let AccountCommand::Create { identity, .. } = &mut command {
            *identity = email(&format!("p{i}@b.cm"));
        }
        world.account(command);
    }
    assert_eq!(world.disk.rows.keys().filter(|key| key[0] == key::OTP).count(), 602);
    let reply = world.account(create(&phone, &code));
    phone.log_in(reply, PHONE);
}

#[test]
fn a_flood_of_strangers_is_capped() {
    let mut world = World::new();
    let mut sent = 0;
    for i in 0..1_010 {
        let mut command = create(&Phone::new(1), "");
        if let AccountCommand::Create { identity, .. } = &mut command {
            *identity = email(&format!("p{i}@b.cm"));
        }
        let reply = world.account(command);
        sent += u32::from(is_proof_required(&reply));
        assert!(is_proof_required(&reply) || text(&reply) == LIMITED);
    }
    assert_eq!(sent, 1_000);
}

#[test]
fn no_code_and_no_number_lies_readable_on_the_disk() {
    let mut world = World::new();
    world.account(create(&Phone::new(1), ""));
    let code = world.code();
    let holds = |needle: &[u8]| {
        world
            .disk
            .rows
            .iter()
            .any(|(key, (_, value))| [key, value].iter().any(|b| b.windows(needle.len()).any(|w| w == needle)))
    };
    assert!(!holds(code.as_bytes()) && !holds(PHONE.as_bytes()));
    let debug = format!("{:?}", world.ordered);
    assert!(!debug.contains(&code) && !debug.contains(PHONE));
    assert!(matches!(&world.ordered[0], Work::Sms { text, .. } if text != &Private::default()));
}
