//! What people answer to our SMS, and how much mail a number can make.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "keywords/limits.rs"]
mod limits;
#[path = "keywords/resend.rs"]
mod resend;
#[path = "keywords/stop.rs"]
mod stop;
mod world;

use relaymesh_core::command::{Command, Door, Reply, Submit, Submitted};
use relaymesh_core::record::key;
use relaymesh_protocol::ids::EntityId;
use relaymesh_ratchet::PublicKey;
use world::{NUMBER, Stranger, World, booth, bridge_text, counter, minutes, static_key};

const OTHER: &str = "+237650999999";
const DAY_MS: u64 = 86_400_000;

/// Three nodes of three instances; the first and the last are partners.
fn three() -> (World, usize, usize, usize) {
    let (mut world, a, b, c) = world::three();
    world.federate(a, c);
    (world, a, b, c)
}

fn sms(text: &str, from: &str, door: Door, sent: Option<i64>) -> Command {
    Command::Submit(Submit { door, text: text.into(), sender: from.into(), date: sent, date_sent: sent })
}

/// A gateway client forwards an SMS of its own time; whether the node took it.
fn forward(world: &mut World, node: usize, door: Door, from: &str, text: &str) -> bool {
    let sent = i64::try_from(world.now.0).unwrap();
    match world.ask(node, sms(text, from, door, Some(sent))) {
        Reply::Submitted(Submitted::Accepted { outcome: None, .. }) => true,
        Reply::Submitted(Submitted::Ignored) | Reply::Refused(_) => false,
        other => panic!("{other:?}"),
    }
}

/// Texts that were sent to a number and have something in them.
fn told(world: &World, number: &str, what: &str) -> usize {
    world.sms.iter().filter(|(to, text)| to == number && text.contains(what)).count()
}

fn rows(world: &World, node: usize, table: u8) -> usize {
    world.nodes[node].disk.0.keys().filter(|row| row.first() == Some(&table)).count()
}

fn entities(world: &World, node: usize) -> Vec<EntityId> {
    let disk = &world.nodes[node].disk.0;
    let heads = disk.keys().filter(|row| row.first() == Some(&key::HEAD));
    heads.map(|row| EntityId::try_from(&row[1..]).unwrap()).collect()
}

/// The texts of the mails that went out.
fn mails(world: &World) -> Vec<String> {
    let body = |mail: &relaymesh_core::PublishRequest| match &mail.content {
        relaymesh_core::PublishContent::Email { body, .. } => body.reveal().to_owned(),
        other => panic!("no mail: {other:?}"),
    };
    world.mails.iter().map(body).collect()
}

/// A number without an account whose first mail went out from `home`, through `node`.
fn bridge_user(world: &mut World, node: usize, door: Door, home: usize) -> (Stranger, PublicKey) {
    let server = static_key(world, home, 1).1;
    world.run_for(minutes(2));
    let mut phone = Stranger::new(server, 0, 1);
    let hello = bridge_text(phone.mail("hello", true));
    assert!(forward(world, node, door, NUMBER, &hello));
    world.run_for(minutes(3));
    assert_eq!(mails(world), ["hello"]);
    (phone, server)
}
