//! Bundles: envelopes, facts and filters in one file that a person carries; the same code as on a link takes them in.

use std::collections::BTreeSet;

use relaymesh_protocol::frame::Carried;
use relaymesh_protocol::ids::{MeshId, MessageId};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::body::Body;
use super::legs::{Leg, SILENT_AFTER};
use super::outbox::{Outbox, Stage};
use super::{Change, custody, letters, route};
use crate::command::{Code, OperatorCommand, OperatorReply, Refusal, Reply};
use crate::input::{Input, ReplyTo};
use crate::locator;
use crate::membership;
use crate::node::Node;
use crate::output::Output;
use crate::record::{get_node, key};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// First bytes of a bundle file: name and format version.
const MAGIC: &[u8; 8] = b"RMBUNDL1";
/// Largest bundle: what a small stick and a small node can bear.
const BUNDLE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Held messages that one bundle carries; the next bundle carries the next ones.
const MESSAGES_MAX: usize = 4_096;

#[derive(Debug, Serialize, Deserialize)]
struct Bundle {
    mesh: MeshId,
    facts: Vec<ByteBuf>,
    filters: Vec<ByteBuf>,
    carried: Vec<Carried>,
}

/// `bundle export` and `bundle import`.
pub(crate) fn on_operator(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, command: &OperatorCommand) -> Run {
    match command {
        OperatorCommand::BundleImport { bytes } => import(node, tx, reply, bytes),
        _ => export(node, tx, reply),
    }
}

fn export(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo) -> Run {
    let mut messages = node.delivery.held.by_arrival();
    messages.truncate(MESSAGES_MAX);
    tx.prefetch(messages.iter().map(key::outbox))?;
    let mut carried = custody::export(node, tx, BUNDLE_BYTES_MAX / 2)?;
    for message in messages {
        carried.extend(offers(node, tx, message)?);
    }
    for (to, question) in locator::questions(node, tx) {
        if let Some(sealed) = letters::seal(node, tx, to, &Body::Question(question)) {
            carried.push(Carried { envelope: sealed.envelope, hops: 0, copies: custody::COPY_BUDGET });
        }
    }
    let bundle = Bundle {
        mesh: node.membership.mesh(),
        facts: membership::all_facts(node),
        filters: locator::all_filters(node),
        carried,
    };
    let envelopes = bundle.carried.len() as u64;
    let bytes = postcard::to_extend(&bundle, MAGIC.to_vec()).expect("writing to memory cannot fail");
    tx.reply(reply, Reply::Operator(OperatorReply::Bundle { bytes, envelopes }));
    Ok(())
}

/// A held message, sealed to each of its candidates; the legs count as offered, so that a receipt is expected.
fn offers(node: &Node, tx: &mut Tx<'_>, message: MessageId) -> Run<Vec<Carried>> {
    let Some(outbox) = get_node::<Outbox>(node, tx, &key::outbox(&message))? else { return Ok(Vec::new()) };
    if outbox.stage != Stage::Held {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for candidate in locator::locate(node, tx, message, &outbox.lookup)? {
        if candidate.node == node.id() {
            continue;
        }
        let Some(submission) = route::submission(&outbox, message, &candidate) else { continue };
        let body = Body::Submission(Box::new(submission));
        let Some(sealed) = letters::seal(node, tx, candidate.node, &body) else { continue };
        let at = tx.now();
        tx.then(Change::Leg(message, candidate.node, Leg::Offered { at }));
        tx.wake(at.after(SILENT_AFTER), Timer::LegSilent(message, candidate.node));
        node.trace(tx, message, "custody", || "written to a bundle".to_owned());
        all.push(Carried { envelope: sealed.envelope, hops: 0, copies: custody::COPY_BUDGET });
    }
    Ok(all)
}

fn import(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, bytes: &[u8]) -> Run {
    let bundle = parse(bytes)?;
    if bundle.mesh != node.membership.mesh() {
        return Err(Refusal::new(Code::InvalidArgument, "this bundle is of another mesh").into());
    }
    let envelopes = bundle.carried.len() as u64;
    let (facts, refused) = membership::import(node, tx, &bundle.facts)?;
    let filters = locator::import(node, tx, &bundle.filters)?;
    let mut seen = BTreeSet::new();
    for carried in bundle.carried {
        if seen.insert(carried.envelope.clone()) {
            tx.output(Output::Follow(Input::Envelope { reply: ReplyTo::NOBODY, from: None, carried }));
        }
    }
    let imported = OperatorReply::Imported { envelopes, facts: facts + filters, refused };
    tx.reply(reply, Reply::Operator(imported));
    Ok(())
}

fn parse(bytes: &[u8]) -> Result<Bundle, Refusal> {
    let refuse = |text: &str| Refusal::new(Code::InvalidArgument, text);
    if bytes.len() > BUNDLE_BYTES_MAX {
        return Err(refuse("the bundle is larger than 64 MiB"));
    }
    let body = bytes.strip_prefix(MAGIC).ok_or_else(|| refuse("not a bundle file"))?;
    let (bundle, left) = postcard::take_from_bytes::<Bundle>(body).map_err(|_| refuse("the bundle file is damaged"))?;
    if left.is_empty() { Ok(bundle) } else { Err(refuse("the bundle file has bytes after its end")) }
}

/// Whether bytes are a bundle file.
pub(crate) fn read_bundle(bytes: &[u8]) -> bool {
    parse(bytes).is_ok()
}
