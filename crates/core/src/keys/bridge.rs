//! Static bridge keys: what phones without an account encrypt their first mail to.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use relaymesh_seal::Secret32;
use relaymesh_seal::keyfile::Keyring;

use super::save;
use crate::command::{BridgeKeyRow, Code, OperatorCommand, OperatorReply, Refusal, Reply};
use crate::home;
use crate::input::ReplyTo;
use crate::membership;
use crate::node::Node;
use crate::tx::{Run, Tx};

/// Key ids are one byte, and upstream's asset has at most so many.
const KEYS_MAX: u16 = 255;

/// `bridge keys generate`, `bridge keys list` and `bridge keys retire`.
pub(crate) fn on_operator(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, command: &OperatorCommand) -> Run {
    match command {
        OperatorCommand::BridgeKeysGenerate { count } => generate(node, tx, reply, *count),
        OperatorCommand::BridgeKeysRetire { kid } => retire(node, tx, reply, *kid),
        _ => {
            tell(node, tx, reply, node.keys());
            Ok(())
        }
    }
}

fn generate(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, count: u16) -> Run {
    if !(1..=KEYS_MAX).contains(&count) {
        return no(Code::InvalidArgument, format!("the number of keys must be from 1 to {KEYS_MAX}"));
    }
    if !node.keys().statics.is_empty() {
        return no(
            Code::AlreadyExists,
            "this node has static bridge keys already, and phones may use them; `relaymesh bridge keys list` shows them",
        );
    }
    not_saving(node)?;
    let mut ring = node.keys().clone();
    for kid in (0..=u8::MAX).take(usize::from(count)) {
        ring.statics.push((kid, Secret32::random(tx.rng())));
    }
    if let Some(other) = announced_elsewhere(node, tx, &ring) {
        return no(Code::AlreadyExists, format!("{other} announces one of these keys; a key lives at one node only"));
    }
    save(tx, ring, reply);
    Ok(())
}

/// A key is destroyed. Sessions that began with it go on; a first mail under it opens for nobody any more, so the positions
/// that were remembered against repeats of it are swept once the key file is written.
fn retire(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, kid: u8) -> Run {
    if !node.keys().statics.iter().any(|(id, _)| *id == kid) {
        return no(
            Code::NotFound,
            format!("this node has no static bridge key {kid}; see `relaymesh bridge keys list`"),
        );
    }
    not_saving(node)?;
    let mut ring = node.keys().clone();
    ring.statics.retain(|(id, _)| *id != kid);
    save(tx, ring, reply);
    Ok(())
}

fn not_saving(node: &Node) -> Run {
    match node.keys.saving {
        Some(_) => no(Code::Unavailable, "the key file is being written; try again in a moment"),
        None => Ok(()),
    }
}

/// Another node whose live record announces one of the keyring's static keys.
fn announced_elsewhere(node: &Node, tx: &Tx<'_>, ring: &Keyring) -> Option<String> {
    let publics = node.crypto().publics(ring).statics;
    let ours: Vec<_> = publics.iter().map(|(kid, public)| (*kid, membership::fingerprint(public))).collect();
    let mut live = node.membership.members().filter(|member| member.expires > tx.now());
    live.find(|member| member.statics.iter().any(|announced| ours.contains(announced)))
        .map(|member| member.name.clone())
}

/// Answers the operator who waited for the key file.
pub(super) fn saved(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, ring: &Keyring) {
    if ring.statics.len() < node.keys().statics.len() {
        home::sweep_spent(tx);
    }
    if reply != ReplyTo::NOBODY {
        tell(node, tx, reply, ring);
    }
}

/// The key file could not be written.
pub(super) fn not_saved(tx: &mut Tx<'_>, reply: ReplyTo) -> Run {
    if reply != ReplyTo::NOBODY {
        let text = "the key file could not be written; see `relaymesh doctor`, nothing was changed";
        tx.reply(reply, Reply::Refused(Refusal::new(Code::Unavailable, text)));
    }
    Ok(())
}

fn tell(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, ring: &Keyring) {
    let row = |(kid, public): &(u8, [u8; 32])| BridgeKeyRow {
        kid: *kid,
        keypair: BASE64_STANDARD.encode(public),
        status: "active".to_owned(),
        version: "v1".to_owned(),
    };
    let rows = node.crypto().publics(ring).statics.iter().map(row).collect();
    tx.reply(reply, Reply::Operator(OperatorReply::BridgeKeys(rows)));
}

fn no(code: Code, text: impl Into<String>) -> Run {
    Err(Refusal::new(code, text).into())
}
