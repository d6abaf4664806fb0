//! Connected platforms: list, hand-over to the phone, and what a reset leaves of them.

use super::world::*;
use crate::command::{AccountCommand, AccountReply, Code, Command, PublisherCommand, Reply, StoredToken};
use crate::record::key;

fn connect(world: &mut World, llt: &str, account: &str) {
    let reply = world.call(Command::Publisher(PublisherCommand::Exchange {
        llt: llt.into(),
        platform: "mastodon".to_owned(),
        code: account.into(),
        code_verifier: "".into(),
        redirect_url: "https://r.example".to_owned(),
        store_on_device: false,
        request_identifier: String::new(),
    }));
    assert!(matches!(reply, Reply::Publisher(_)), "{reply:?}");
}

fn list(world: &mut World, llt: &str, migrate_to_device: bool) -> Vec<StoredToken> {
    match world.account(AccountCommand::ListTokens { llt: llt.into(), migrate_to_device }) {
        Reply::Account(AccountReply::Tokens { tokens, message }) => {
            assert_eq!(message, "Tokens retrieved successfully.");
            tokens
        }
        other => panic!("{other:?}"),
    }
}

fn values(token: &StoredToken) -> Vec<String> {
    token.tokens.iter().map(|(name, value)| format!("{name}={}", value.reveal())).collect()
}

const ALL: [&str; 3] = ["access_token=A", "refresh_token=R", "id_token=I"];

#[test]
fn tokens_are_listed_in_order_and_without_their_values() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    assert!(list(&mut world, &home.llt, true).is_empty());
    for account in ["b@m.example", "a@m.example", "a@m.example"] {
        connect(&mut world, &home.llt, account);
    }
    let tokens = list(&mut world, &home.llt, false);
    let accounts: Vec<_> = tokens.iter().map(|t| (t.platform.as_str(), t.account.reveal())).collect();
    assert_eq!(accounts, [("mastodon", "a@m.example"), ("mastodon", "b@m.example")]);
    assert!(tokens.iter().all(|token| token.tokens.is_empty() && !token.on_device));
}

#[test]
fn a_lost_answer_loses_no_token() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    connect(&mut world, &home.llt, "a@m.example");
    for minutes in [0, 9] {
        world.pass(minutes);
        let tokens = list(&mut world, &home.llt, true);
        assert_eq!((values(&tokens[0]).as_slice(), tokens[0].on_device), (ALL.map(str::to_owned).as_slice(), false));
        world.restart();
    }
    let kept = list(&mut world, &home.llt, false);
    assert!(kept[0].tokens.is_empty() && kept[0].on_device, "the vault's own copy is stripped");
    world.pass(1);
    let rows = world.disk.rows.len();
    let tokens = list(&mut world, &home.llt, true);
    assert!(tokens[0].tokens.is_empty() && tokens[0].on_device);
    assert_eq!(world.disk.rows.len(), rows - 1, "what was handed over is gone");
}

#[test]
fn a_platform_connected_again_is_handed_over_again() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    connect(&mut world, &home.llt, "a@m.example");
    list(&mut world, &home.llt, true);
    connect(&mut world, &home.llt, "a@m.example");
    let tokens = list(&mut world, &home.llt, false);
    assert!(!tokens[0].on_device, "the new token is in the vault");
    assert_eq!(values(&list(&mut world, &home.llt, true)[0]), ALL);
}

#[test]
fn an_account_with_tokens_is_not_deleted() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    connect(&mut world, &home.llt, "a@m.example");
    connect(&mut world, &home.llt, "b@m.example");
    let reply = world.account(AccountCommand::Delete { llt: home.llt.as_str().into() });
    let text = "You cannot delete entity because it still has stored tokens. Revoke stored tokens with the following \
                platforms and try again: mastodon";
    assert_eq!(refused(&reply), (Code::FailedPrecondition, text));
    assert_eq!(list(&mut world, &home.llt, false).len(), 2);
}

#[test]
fn a_reset_by_code_alone_unlocks_no_token() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    connect(&mut world, &home.llt, "a@m.example");
    connect(&mut world, &home.llt, "b@m.example");
    list(&mut world, &home.llt, true);
    connect(&mut world, &home.llt, "b@m.example");
    let entities = |world: &World| world.disk.rows.keys().filter(|key| key[0] == key::ENTITY).count();
    let before = entities(&world);
    let phone = Phone::new(2);
    world.pass(6);
    assert!(is_proof_required(&world.account(reset(&phone, PASSWORD, ""))));
    assert_eq!(entities(&world), before, "a reset that is begun takes nothing");
    let code = world.code();
    let reply = world.account(reset(&phone, PASSWORD, &code));
    let new = phone.log_in(reply, PHONE);
    assert!(list(&mut world, &new.llt, true).is_empty());
    assert_eq!(entities(&world), before - 3, "two tokens and what was handed over of one");
}

#[test]
fn a_login_with_password_and_code_keeps_the_tokens() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    connect(&mut world, &home.llt, "a@m.example");
    world.pass(6);
    let (_, new) = logged_in(&mut world, 2);
    assert_eq!(list(&mut world, &new.llt, false).len(), 1);
}
