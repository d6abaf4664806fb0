//! Whole calls: sign-up, login, reset, change of password, deletion.

use relaymesh_protocol::ids::{DeviceId, EntityId};
use relaymesh_ratchet::{Session as Ratchet, agree};
use zeroize::Zeroizing;

use super::super::identity::load;
use super::world::*;
use crate::command::{AccountCommand, AccountReply, Code, Command, Identity, Reply};
use crate::output::Work;
use crate::record::index::{self, Kind};
use crate::record::key;
use crate::record::vault::{Account, SESSION, Session};

const INVALID_LLT: &str = "The long-lived token is invalid. Please log in again to generate a new token.";

fn by_device(world: &mut World, device: DeviceId) -> Option<EntityId> {
    world.read(|node, tx| index::find(node, tx, Kind::Device, device.as_bytes()))
}

fn vault(world: &mut World, id: EntityId) -> (Account, Option<Session>) {
    world.read(|node, tx| {
        let (entity, account) = load(node, tx, id)?;
        Ok((account, entity.get(node, tx, SESSION, b"")?))
    })
}

fn list(world: &mut World, llt: &str) -> Reply {
    world.account(AccountCommand::ListTokens { llt: llt.into(), migrate_to_device: false })
}

fn is_list(reply: &Reply) -> bool {
    matches!(reply, Reply::Account(AccountReply::Tokens { .. }))
}

fn update(llt: &str, current: &str, new: &str) -> AccountCommand {
    AccountCommand::UpdatePassword { llt: llt.into(), current: current.into(), new: new.into() }
}

/// The existing server derives an account's identifier from the number under a key of its own, the same whenever the number
/// signs up again (`vault_identifier_hash` in the golden vectors). Apps take it for opaque, so here it is random: who holds it
/// can try no numbers against it, and it ties no new account to a deleted one.
#[test]
fn differs_identifiers_of_accounts_are_random() {
    let mut world = World::new();
    let mut eid = || {
        let (_, home) = signed_up(&mut world);
        let id = by_device(&mut world, home.device).expect("an account");
        let eid = vault(&mut world, id).0.eid;
        let deleted = world.account(AccountCommand::Delete { llt: home.llt.into() });
        assert!(matches!(deleted, Reply::Account(AccountReply::Done { .. })), "{deleted:?}");
        eid
    };
    assert_ne!(eid(), eid(), "the same number on the same node");
}

#[test]
fn sign_up_opens_a_session_that_phone_and_home_share() {
    let mut world = World::new();
    let first = world.account(create(&Phone::new(9), ""));
    let until = world.now.seconds() + 300;
    assert!(matches!(&first, Reply::Account(AccountReply::ProofRequired { message, next_attempt })
        if message == "OTP sent. Check your phone." && *next_attempt == until));
    assert!(matches!(&world.ordered[0], Work::Sms { to, text, .. }
        if to.reveal() == PHONE && text.reveal().starts_with("Your SMSWithoutBorders-Auth verification code is: ")));

    // The app makes new keys for its second call; only these count.
    let phone = Phone::new(1);
    let code = world.code();
    let reply = world.account(create(&phone, &code));
    let home = phone.log_in(reply, PHONE);
    assert_eq!(home.message, "Entity created successfully");
    assert!(is_list(&list(&mut world, &home.llt)));

    let id = by_device(&mut world, home.device).expect("payloads find the entity by its device");
    let (account, session) = vault(&mut world, id);
    assert_eq!(account.country.as_deref(), Some("CM"));
    assert_eq!(account.device.map(|device| device.id), Some(home.device));
    let session = session.expect("a session is stored");
    assert_eq!((&session.ad, &session.client), (home.server_publish.as_bytes(), phone.publish.public().as_bytes()));
    let shared = agree(phone.publish.secret(), &home.server_publish).unwrap();
    let mut rng = <rand_chacha::ChaCha20Rng as rand_core::SeedableRng>::from_seed([4; 32]);
    let mut alice = Ratchet::alice(&shared, home.server_publish, &mut rng).unwrap();
    let block = alice.encrypt(b"hello", &session.ad).unwrap();
    let bob = Ratchet::decode(&Zeroizing::new(session.ratchet.clone())).unwrap();
    let opened = bob.decrypt(&block, &session.ad, world.now.0, &mut rng).unwrap();
    assert_eq!(opened.plaintext.as_slice(), b"hello");
}

#[test]
fn a_login_begun_and_never_finished_changes_nothing_for_the_phone_in_use() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    let id = by_device(&mut world, home.device).unwrap();
    let place = key::entity(&id, SESSION, b"");
    let before = world.disk.rows[&place].clone();
    assert!(is_proof_required(&world.account(authenticate(&Phone::new(2), PASSWORD, ""))));
    assert_eq!(refused(&world.account(authenticate(&Phone::new(2), PASSWORD, "nonono"))).0, Code::Unauthenticated);
    assert_eq!(world.disk.rows[&place], before);
    assert_eq!(vault(&mut world, id).0.device.map(|device| device.id), Some(home.device));
    assert!(is_list(&list(&mut world, &home.llt)));
}

#[test]
fn a_login_takes_over_and_the_old_device_still_answers_duplicates() {
    let mut world = World::new();
    let (_, old) = signed_up(&mut world);
    let id = by_device(&mut world, old.device).unwrap();
    world.pass(6);
    let (_, new) = logged_in(&mut world, 2);
    assert_eq!(new.message, "Entity authenticated successfully!");
    assert_eq!(by_device(&mut world, new.device), Some(id));
    assert_eq!(by_device(&mut world, old.device), Some(id), "retired, and its index row is kept");
    let (account, _) = vault(&mut world, id);
    assert_eq!(account.retired.iter().map(|(device, _)| *device).collect::<Vec<_>>(), [old.device]);
    assert_eq!(refused(&list(&mut world, &old.llt)), (Code::Unauthenticated, INVALID_LLT));
    assert!(is_list(&list(&mut world, &new.llt)));

    world.pass(151 * 24 * 60);
    let (_, third) = logged_in(&mut world, 3);
    assert_eq!(by_device(&mut world, old.device), None, "forgotten after 150 days");
    assert_eq!(by_device(&mut world, new.device), Some(id));
    assert!(is_list(&list(&mut world, &third.llt)));
}

#[test]
fn everything_survives_a_restart_between_the_phases() {
    let mut world = World::new();
    let phone = Phone::new(1);
    world.account(create(&phone, ""));
    let code = world.code();
    world.restart();
    let reply = world.account(create(&phone, &code));
    let home = phone.log_in(reply, PHONE);
    world.restart();
    assert!(is_list(&list(&mut world, &home.llt)));
    world.pass(6);
    assert!(is_proof_required(&world.account(authenticate(&phone, PASSWORD, ""))));
    let code = world.code();
    world.restart();
    let reply = world.account(authenticate(&phone, PASSWORD, &code));
    phone.log_in(reply, PHONE);
}

#[test]
fn the_second_phase_checks_the_password_again() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    world.pass(6);
    assert!(is_proof_required(&world.account(authenticate(&Phone::new(2), PASSWORD, ""))));
    let code = world.code();
    let thief = world.account(authenticate(&Phone::new(3), "wrong-Horse-9", &code));
    let text = "Incorrect credentials. Please double-check your details and try again.";
    assert_eq!(refused(&thief), (Code::Unauthenticated, text));
    assert!(is_list(&list(&mut world, &home.llt)), "the phone in use is untouched");
    let phone = Phone::new(4);
    let reply = world.account(authenticate(&phone, PASSWORD, &code));
    phone.log_in(reply, PHONE);
}

#[test]
fn reset_gives_a_new_password_and_ends_the_old_session() {
    let mut world = World::new();
    let (_, old) = signed_up(&mut world);
    let phone = Phone::new(2);
    world.pass(6);
    assert!(is_proof_required(&world.account(reset(&phone, "brand-New-Horse-1", ""))));
    let code = world.code();
    let reply = world.account(reset(&phone, "brand-New-Horse-1", &code));
    let new = phone.log_in(reply, PHONE);
    assert_eq!(new.message, "Password reset successfully!");
    let again = world.account(reset(&phone, PASSWORD, &code));
    assert_eq!(refused(&again).1, "OTP not initiated. Request a new OTP first.", "the code is used up");
    assert_eq!(refused(&list(&mut world, &old.llt)).0, Code::Unauthenticated);
    assert!(is_list(&list(&mut world, &new.llt)));
    assert_eq!(refused(&world.account(authenticate(&phone, PASSWORD, ""))).0, Code::Unauthenticated);
    world.pass(6);
    assert!(is_proof_required(&world.account(authenticate(&phone, "brand-New-Horse-1", ""))));
}

#[test]
fn a_new_password_ends_every_session() {
    let mut world = World::new();
    let (phone, home) = signed_up(&mut world);
    let id = by_device(&mut world, home.device).unwrap();
    let wrong = world.account(update(&home.llt, "wrong-Horse-9", "brand-New-Horse-1"));
    let text = "The current password you entered is incorrect. Please try again.";
    assert_eq!(refused(&wrong), (Code::Unauthenticated, text));
    let done = world.account(update(&home.llt, PASSWORD, "brand-New-Horse-1"));
    assert!(
        matches!(&done, Reply::Account(AccountReply::Done { message }) if message == "Password updated successfully.")
    );
    let (account, session) = vault(&mut world, id);
    assert!(account.device.is_none() && session.is_none());
    assert_eq!(by_device(&mut world, home.device), Some(id), "duplicates of old messages are still answered");
    assert_eq!(refused(&list(&mut world, &home.llt)), (Code::Unauthenticated, INVALID_LLT));
    world.pass(6);
    assert!(is_proof_required(&world.account(authenticate(&phone, "brand-New-Horse-1", ""))));
}

#[test]
fn deletion_leaves_no_row() {
    let mut world = World::new();
    let (phone, _) = signed_up(&mut world);
    world.pass(6);
    let (_, home) = logged_in(&mut world, 2);
    let done = world.account(AccountCommand::Delete { llt: home.llt.as_str().into() });
    assert!(
        matches!(&done, Reply::Account(AccountReply::Done { message }) if message == "Entity deleted successfully.")
    );
    assert_eq!(world.disk.rows.keys().filter(|row| row[0] == key::HEAD).count(), 0, "its key goes first");
    for _ in 0..3 {
        world.pass(1);
        world.tick();
    }
    let mine = [key::HEAD, key::ENTITY, key::INDEX, key::OTP];
    assert_eq!(world.disk.rows.keys().filter(|key| mine.contains(&key[0])).count(), 0);
    assert_eq!(refused(&list(&mut world, &home.llt)), (Code::Unauthenticated, INVALID_LLT));
    assert!(is_proof_required(&world.account(create(&phone, ""))), "the number may sign up again");
}

#[test]
fn an_e_mail_address_wins_and_a_number_beside_it_is_nobodys_word() {
    let mut world = World::new();
    let phone = Phone::new(1);
    let command = |proof: &str| AccountCommand::Create {
        identity: Identity { phone_number: PHONE.into(), email_address: "a@b.cm".into() },
        country_code: "CM".to_owned(),
        password: PASSWORD.into(),
        keys: phone.keys(),
        proof: proof.into(),
        captcha: "".into(),
    };
    let first = world.account(command(""));
    assert!(matches!(&first, Reply::Account(AccountReply::ProofRequired { message, .. })
        if message == "OTP sent. Check your email."));
    let code = world.code();
    let reply = world.account(command(&code));
    let home = phone.log_in(reply, "a@b.cm");
    let id = by_device(&mut world, home.device).unwrap();
    let (account, _) = vault(&mut world, id);
    assert_eq!((account.phone, account.email.as_deref()), (None, Some("a@b.cm")));
    assert!(is_proof_required(&world.account(create(&Phone::new(2), ""))), "the number is still free");
    let again = world.account(command(""));
    assert_eq!(refused(&again), (Code::AlreadyExists, "Entity with this email_address already exists."));
}

#[test]
fn a_captcha_comes_before_the_code() {
    let mut world = World::with(crate::config::Config { captcha: true, ..config() });
    let command = |captcha: &str| match create(&Phone::new(1), "") {
        AccountCommand::Create { identity, country_code, password, keys, proof, .. } => {
            let captcha = captcha.into();
            AccountCommand::Create { identity, country_code, password, keys, proof, captcha }
        }
        other => other,
    };
    let missing = world.account(command(""));
    assert_eq!(refused(&missing), (Code::InvalidArgument, "Missing required field: captcha_token"));
    assert_eq!(refused(&world.account(command("robot"))).0, Code::PermissionDenied);
    assert!(is_proof_required(&world.account(command("human"))));
    assert_eq!(world.ordered(|work| matches!(work, Work::Sms { .. })), 1);
}

#[test]
fn an_unknown_user_costs_a_password_check() {
    let mut world = World::new();
    for proof in ["", "123456"] {
        let reply = world.account(authenticate(&Phone::new(1), PASSWORD, proof));
        assert_eq!(refused(&reply), (Code::NotFound, "Entity with this phone_number not found."));
    }
    let dummies = world.ordered.iter().filter(
        |work| matches!(work, Work::VerifyPassword { hash, .. } if hash.starts_with("$argon2id$v=19$m=65536,t=3,p=1$")),
    );
    assert_eq!(dummies.count(), 2);
    for work in &world.ordered {
        let Work::VerifyPassword { hash, .. } = work else { continue };
        let pepper = relaymesh_seal::password::Pepper::from_bytes([0; 32]);
        let checked = relaymesh_seal::password::verify(b"x", &pepper, hash);
        assert_eq!(checked, Err(relaymesh_seal::password::VerifyError::Mismatch), "it is computed in full");
        break;
    }
}

#[test]
fn a_node_that_cannot_read_says_so_and_throws_nobody_out() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    world.disk.down = true;
    assert_eq!(refused(&list(&mut world, &home.llt)).0, Code::Unavailable);
    world.disk.down = false;
    for row in world.disk.rows.values_mut() {
        row.1.reverse();
    }
    assert_eq!(refused(&list(&mut world, &home.llt)).0, Code::Unavailable, "damaged rows are no missing account");
    assert_eq!(refused(&world.account(create(&Phone::new(2), ""))).0, Code::Unavailable);

    let mut roles = config();
    roles.roles.vault = false;
    assert_eq!(refused(&list(&mut World::with(roles), &home.llt)).0, Code::Unavailable);
}

#[test]
fn nothing_is_said_before_it_is_durable() {
    let mut world = World::new();
    let phone = Phone::new(1);
    world.account(create(&phone, ""));
    let code = world.code();
    let caller = world.ask(Command::Account(create(&phone, &code)));
    assert!(world.work.is_empty(), "the try is not durable, so nothing is hashed");
    world.persist();
    world.perform();
    assert!(!world.replies.contains_key(&caller), "the account is not durable");
    world.settle();
    phone.log_in(world.replies.remove(&caller).unwrap(), PHONE);
}
