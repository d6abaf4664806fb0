//! Whole calls over a pump and a disk in memory.

use crate::accounts::tests::world::*;
use crate::command::{AccountCommand, AccountReply, Code, Command, PublisherCommand, PublisherReply, Reply};
use crate::output::Work;

const REDIRECT: &str = "https://relay.smswithoutborders.com/android";

/// What an exchange sends, mended field by field.
#[derive(Clone)]
struct Asked {
    llt: String,
    platform: &'static str,
    code: &'static str,
    verifier: String,
    redirect: &'static str,
    on_device: bool,
    request: &'static str,
}

impl Asked {
    fn of(llt: &str) -> Self {
        Self {
            llt: llt.to_owned(),
            platform: "mastodon",
            code: "a@m.example",
            verifier: String::new(),
            redirect: REDIRECT,
            on_device: false,
            request: "",
        }
    }

    fn command(&self) -> Command {
        Command::Publisher(PublisherCommand::Exchange {
            llt: self.llt.as_str().into(),
            platform: self.platform.to_owned(),
            code: self.code.into(),
            code_verifier: self.verifier.as_str().into(),
            redirect_url: self.redirect.to_owned(),
            store_on_device: self.on_device,
            request_identifier: self.request.to_owned(),
        })
    }
}

fn url(platform: &str, state: &str, verifier: &str, request: &str) -> Command {
    Command::Publisher(PublisherCommand::AuthorizationUrl {
        platform: platform.to_owned(),
        state: state.to_owned(),
        code_verifier: verifier.into(),
        autogenerate_code_verifier: verifier.is_empty(),
        redirect_url: REDIRECT.to_owned(),
        request_identifier: request.to_owned(),
    })
}

fn revoke(llt: &str, platform: &str, account: &str) -> Command {
    let (llt, account) = (llt.into(), account.into());
    Command::Publisher(PublisherCommand::Revoke { llt, platform: platform.to_owned(), account })
}

fn stored(world: &mut World, llt: &str) -> usize {
    match world.account(AccountCommand::ListTokens { llt: llt.into(), migrate_to_device: false }) {
        Reply::Account(AccountReply::Tokens { tokens, .. }) => tokens.len(),
        other => panic!("{other:?}"),
    }
}

fn verifier_of(reply: Reply) -> String {
    match reply {
        Reply::Publisher(PublisherReply::AuthorizationUrl { code_verifier, .. }) => code_verifier.reveal().to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_browser_is_sent_with_what_the_app_sent() {
    let mut world = World::new();
    let state = "bWFzdG9kb24sdHJ1ZQ==\n";
    let reply = world.call(url("mastodon", state, "", "key"));
    let Reply::Publisher(PublisherReply::AuthorizationUrl {
        url: address,
        state: echoed,
        code_verifier,
        scope,
        client_id,
        redirect_url,
        message,
    }) = reply
    else {
        panic!("no url")
    };
    assert_eq!((echoed.as_str(), scope.as_str(), client_id.as_str()), (state, "read,write", "client"));
    assert_eq!((redirect_url.as_str(), message.as_str()), (REDIRECT, "Successfully generated authorization url"));
    assert_eq!(code_verifier.reveal().len(), 48);
    assert!(code_verifier.reveal().bytes().all(|b| b.is_ascii_alphanumeric()));
    assert!(
        address.contains("&state=bWFzdG9kb24sdHJ1ZQ%3D%3D%0A&code_challenge=")
            && !address.contains(code_verifier.reveal())
    );

    let Reply::Publisher(PublisherReply::AuthorizationUrl { state, .. }) = world.call(url("mastodon", "", "", ""))
    else {
        panic!("no url")
    };
    assert_eq!(state.len(), 32);
    let own = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_eq!(verifier_of(world.call(url("mastodon", "", own, ""))), own);
}

#[test]
fn the_browser_is_sent_back_only_to_where_the_operator_said_to_the_letter() {
    let mut world = World::new();
    for redirect in [
        "https://evil.example/",
        "https://relay.smswithoutborders.com/android/",
        "https://relay.smswithoutborders.com/android?x",
        "http://relay.smswithoutborders.com/android",
        "https://relay.smswithoutborders.com/Android",
        " https://relay.smswithoutborders.com/android",
    ] {
        let Command::Publisher(PublisherCommand::AuthorizationUrl { platform, state, .. }) =
            url("mastodon", "state", "", "key")
        else {
            panic!("no command")
        };
        let reply = world.call(Command::Publisher(PublisherCommand::AuthorizationUrl {
            platform,
            state,
            code_verifier: "".into(),
            autogenerate_code_verifier: true,
            redirect_url: redirect.to_owned(),
            request_identifier: "key".to_owned(),
        }));
        let text = "The redirect_url is not one that this node sends people back to.";
        assert_eq!(refused(&reply), (Code::InvalidArgument, text), "{redirect}");
    }
    assert!(matches!(world.call(url("mastodon", "", "", "key")), Reply::Publisher(_)));
}

#[test]
fn complaints_about_a_url() {
    let mut world = World::new();
    let unsupported = "The platform 'friendica' with protocol 'oauth2' is currently not supported. Please contact the \
                       developers for more information on when this platform will be implemented.";
    for (command, told) in [
        (url("", "", "", ""), (Code::InvalidArgument, "Missing required field: platform")),
        (url("friendica", "", "", ""), (Code::Unimplemented, unsupported)),
        (
            url("mastodon", "", "too short", ""),
            (
                Code::InvalidArgument,
                "The code_verifier field must have 43 to 128 characters of A-Z, a-z, 0-9, '-', '.', '_' and '~'.",
            ),
        ),
        (
            url("mastodon", &"x".repeat(2_049), "", ""),
            (Code::InvalidArgument, "The state field is longer than 2048 bytes."),
        ),
    ] {
        assert_eq!(refused(&world.call(command)), told);
    }
}

#[test]
fn an_exchange_stores_the_token() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    let reply = world.call(Asked::of(&home.llt).command());
    assert!(matches!(&reply, Reply::Publisher(PublisherReply::Exchanged { message, tokens })
        if message == "Successfully fetched and stored token" && tokens.is_empty()));
    assert_eq!(stored(&mut world, &home.llt), 1);
    world.restart();
    assert_eq!(stored(&mut world, &home.llt), 1);
}

#[test]
fn on_the_device_means_not_in_the_vault() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    let reply = world.call(Asked { on_device: true, ..Asked::of(&home.llt) }.command());
    let Reply::Publisher(PublisherReply::Exchanged { tokens, .. }) = reply else { panic!("{reply:?}") };
    let values: Vec<_> = tokens.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
    assert_eq!(values, [("access_token", "A"), ("refresh_token", "R"), ("id_token", "I")]);
    let listed = world.account(AccountCommand::ListTokens { llt: home.llt.as_str().into(), migrate_to_device: true });
    let Reply::Account(AccountReply::Tokens { tokens, .. }) = listed else { panic!("{listed:?}") };
    assert!(tokens[0].on_device && tokens[0].tokens.is_empty());
    world.call(revoke(&home.llt, "mastodon", "a@m.example"));
    assert_eq!(world.ordered(|work| matches!(work, Work::Revoke { .. })), 0, "there is nothing here to revoke with");
}

#[test]
fn complaints_about_an_exchange_come_in_order() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    let good = Asked::of(&home.llt);
    let invalid = "The long-lived token is invalid. Please log in again to generate a new token.";
    let unsupported = "The platform 'friendica' with protocol 'oauth2' is currently not supported. Please contact the \
                       developers for more information on when this platform will be implemented.";
    for (asked, told) in [
        (
            Asked { llt: String::new(), ..good.clone() },
            (Code::InvalidArgument, "Missing required field: long_lived_token"),
        ),
        (Asked { platform: "", ..good.clone() }, (Code::InvalidArgument, "Missing required field: platform")),
        (Asked { code: "", ..good.clone() }, (Code::InvalidArgument, "Missing required field: authorization_code")),
        (Asked { llt: "x".to_owned(), platform: "friendica", ..good.clone() }, (Code::Unauthenticated, invalid)),
        (Asked { platform: "friendica", ..good.clone() }, (Code::Unimplemented, unsupported)),
        (Asked { code: "bad", ..good.clone() }, (Code::InvalidArgument, "invalid_grant")),
        (
            Asked { code: "lost", ..good.clone() },
            (Code::Unavailable, "The platform could not be reached. Please try again later."),
        ),
    ] {
        assert_eq!(refused(&world.call(asked.command())), told);
    }
    assert_eq!(world.ordered(|work| matches!(work, Work::Exchange { .. })), 2);
    assert!(world.pump.node().publisher.waiting.is_empty());
    assert_eq!(stored(&mut world, &home.llt), 0);
}

#[test]
fn an_exchange_brings_back_what_was_handed_out_and_once() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    let verifier = verifier_of(world.call(url("mastodon", "", "", "key")));
    let good = Asked { verifier, request: "key", ..Asked::of(&home.llt) };
    let text = "The code_verifier or redirect_url does not belong to this request. Please try again.";
    for bad in [
        Asked { verifier: "another".to_owned(), ..good.clone() },
        Asked { verifier: String::new(), ..good.clone() },
        Asked { redirect: "https://evil.example", ..good.clone() },
    ] {
        assert_eq!(refused(&world.call(bad.command())), (Code::InvalidArgument, text));
    }
    assert_eq!(world.ordered(|work| matches!(work, Work::Exchange { .. })), 0, "the platform was not asked");
    let invalid = Asked { llt: "x".to_owned(), ..good.clone() };
    assert_eq!(refused(&world.call(invalid.command())).0, Code::Unauthenticated);
    assert!(matches!(world.call(good.command()), Reply::Publisher(_)));
    assert!(world.pump.node().publisher.urls.is_empty(), "used up");

    world.call(url("mastodon", "", "", "key"));
    world.restart();
    assert!(
        matches!(world.call(good.command()), Reply::Publisher(_)),
        "after a restart the platform's own check remains"
    );
}

#[test]
fn who_is_logged_out_meanwhile_stores_nothing() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    let asked = world.ask(Asked::of(&home.llt).command());
    let exchange = world.work.pop_front().expect("the platform is asked");
    world.pass(6);
    let (_, new) = logged_in(&mut world, 2);
    world.work.push_back(exchange);
    world.settle();
    let reply = world.replies.remove(&asked).expect("an answer");
    assert_eq!(refused(&reply).0, Code::Unauthenticated);
    assert_eq!(stored(&mut world, &new.llt), 0);
}

#[test]
fn a_revoked_token_is_gone_before_the_platform_hears_of_it() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    world.call(Asked::of(&home.llt).command());
    for (command, told) in [
        (revoke("", "mastodon", "a"), (Code::InvalidArgument, "Missing required field: long_lived_token")),
        (revoke(&home.llt, "", "a"), (Code::InvalidArgument, "Missing required field: platform")),
        (revoke(&home.llt, "mastodon", ""), (Code::InvalidArgument, "Missing required field: account_identifier")),
        (revoke(&home.llt, "mastodon", "b"), (Code::NotFound, "No token found with account identifier b for mastodon")),
    ] {
        assert_eq!(refused(&world.call(command)), told);
    }
    assert_eq!(refused(&world.call(revoke(&home.llt, "friendica", "a"))).0, Code::Unimplemented);
    let asked = world.ask(revoke(&home.llt, "mastodon", " a@m.example "));
    assert!(world.work.is_empty() && !world.replies.contains_key(&asked));
    world.settle();
    assert!(matches!(&world.replies[&asked], Reply::Publisher(PublisherReply::Revoked { message })
        if message == "Successfully deleted token"));
    assert_eq!(world.ordered(|work| matches!(work, Work::Revoke { .. })), 1);
    assert_eq!(stored(&mut world, &home.llt), 0);
    let deleted = world.account(AccountCommand::Delete { llt: home.llt.as_str().into() });
    assert!(
        matches!(deleted, Reply::Account(AccountReply::Done { .. })),
        "nothing is left that would keep the account"
    );
}

#[test]
fn one_person_connects_so_many_accounts_and_no_more() {
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    let names: Vec<&'static str> =
        (0..=crate::accounts::TOKENS_MAX).map(|i| &*format!("p{i}@m.example").leak()).collect();
    let (last, first) = names.split_last().unwrap();
    for code in first {
        assert!(matches!(world.call(Asked { code, ..Asked::of(&home.llt) }.command()), Reply::Publisher(_)));
    }
    assert_eq!(refused(&world.call(Asked { code: last, ..Asked::of(&home.llt) }.command())).0, Code::InvalidArgument);
    assert!(matches!(world.call(Asked { code: first[0], ..Asked::of(&home.llt) }.command()), Reply::Publisher(_)));
}
