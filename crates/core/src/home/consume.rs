//! One message, one transaction: find the session, verify the MAC on a copy, parse what it says, and commit session, result
//! and job together. Nothing is written before all of that fits.

use std::time::Duration;

use relaymesh_protocol::ids::{E164, MessageId, NodeId, Tag};
use relaymesh_protocol::payload::Payload;
use sha2::{Digest, Sha256};

use super::find::{self, Try};
use super::job::{self, EMAIL_BRIDGE, Job, Part};
use super::{Change, allowance, bridge, claim, images, keywords, receipts, refusals, run, seen, sessions, spent};
use crate::command::MessageOutcome;
use crate::crypto::RatchetOpened;
use crate::delivery::{self, Cargo, Outbox, Route, Stage, Submission};
use crate::input::Follow;
use crate::locator::Lookup;
use crate::node::Node;
use crate::record::vault::{ACCOUNT, Account, BRIDGE, POSITION, Position, SEEN, Seen, Session};
use crate::record::{Entity, get_node, key};
use crate::tx::{Run, Tx};

/// A job is given up after this: an answer that late helps nobody, and tokens change.
const JOB_LIFE: Duration = Duration::from_hours(72);

/// A complete payload at its possible home.
pub(super) struct Incoming<'a> {
    /// The ingress, which hears the receipt.
    pub from: NodeId,
    pub message: MessageId,
    pub payload: &'a [u8],
    pub image: Option<u16>,
    pub route: Route,
    /// Known for bridge mail, and to the ingress itself.
    pub number: Option<E164>,
    pub submission: &'a Submission,
}

/// A held message whose home may be this node.
pub(crate) fn on_local(node: &Node, tx: &mut Tx<'_>, message: MessageId) -> Run {
    let Some(outbox) = get_node::<Outbox>(node, tx, &key::outbox(&message))? else { return Ok(()) };
    if outbox.stage != Stage::Held {
        return Ok(());
    }
    if outbox.is_keyword() {
        return keywords::on_local(node, tx, message, &outbox);
    }
    let (route, number) = match &outbox.lookup {
        Lookup::Device(device) => (Route::Device(*device), None),
        Lookup::Number(number) | Lookup::Identity(number) | Lookup::Bridge { number, .. } => {
            (Route::Bridge { number: number.clone() }, Some(number.clone()))
        }
    };
    let submission = outbox.submission(message, route);
    take(node, tx, node.id(), &submission, number)
}

/// A submission that another node's envelope brought.
pub(crate) fn on_submission(node: &Node, tx: &mut Tx<'_>, from: NodeId, submission: &Submission) -> Run {
    let number = match &submission.route {
        Route::Bridge { number } => Some(number.clone()),
        Route::Device(_) | Route::Number { .. } | Route::Identity { .. } => None,
    };
    take(node, tx, from, submission, number)
}

fn take(node: &Node, tx: &mut Tx<'_>, from: NodeId, submission: &Submission, number: Option<E164>) -> Run {
    let route = submission.route.clone();
    match &submission.cargo {
        Cargo::Whole { payload, image } => {
            let incoming =
                Incoming { from, message: submission.message, payload, image: *image, route, number, submission };
            consume(node, tx, &incoming)
        }
        Cargo::Parts(set) => images::on_parts(node, tx, from, submission, number.as_ref(), set),
        Cargo::Keyword(keyword) => keywords::on_keyword(node, tx, from, submission, *keyword),
    }
}

/// An assembled submission, as if it had come whole.
pub(crate) fn on_assembled(
    node: &Node,
    tx: &mut Tx<'_>,
    from: NodeId,
    submission: &Submission,
    number: Option<&E164>,
) -> Run {
    take(node, tx, from, submission, number.cloned())
}

/// What the index knows a tag by.
pub(super) fn tag_value(key_id: u32, tag: &Tag) -> Vec<u8> {
    let mut value = key_id.to_be_bytes().to_vec();
    value.extend_from_slice(&tag.0);
    value
}

/// First 16 bytes of SHA-256(block): what consumed blocks are known by.
pub(super) fn block_key(block: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::digest(block)[..16]);
    short
}

/// Record key of a ratchet position: first 16 bytes of SHA-256(AD ‖ header.dh ‖ n).
pub(super) fn position_key(ad: &[u8; 32], block: &[u8]) -> Option<[u8; 16]> {
    // Block: length field 4, pn 4, n 4, dh 32; see interop of the payloads.
    let n = block.get(8..12)?;
    let dh = find::one_form(block.get(12..44)?.try_into().ok()?);
    let mut hash = Sha256::new();
    hash.update(ad);
    hash.update(dh);
    hash.update(n);
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    Some(short)
}

fn consume(node: &Node, tx: &mut Tx<'_>, incoming: &Incoming<'_>) -> Run {
    let Ok(payload) = Payload::parse(incoming.payload) else {
        return decline(node, tx, incoming.from, incoming.message);
    };
    let block = payload.block();
    let seen_key = block_key(block);
    if !claim::fits_payload(node, incoming, &payload) {
        node.count(tx, "submission_mismatched");
        decoy(node, tx, block);
        return decline(node, tx, incoming.from, incoming.message);
    }
    // A bridge key exchange is made with a public key: its MAC proves nothing about who sent it, and each mail goes out
    // under this operator's name. So somebody whom the operator knows must vouch for the gateway client.
    if matches!(payload, Payload::Bridge(_)) && !claim::is_vouched(node, incoming.from, incoming.submission) {
        node.count(tx, "bridge_unvouched");
        decoy(node, tx, block);
        return decline(node, tx, incoming.from, incoming.message);
    }
    let people = find::people(node, tx, incoming, &payload, &seen_key)?;
    if !claim::fits_number(node, tx, incoming, &people)? {
        node.count(tx, "submission_mismatched");
        decoy(node, tx, block);
        return decline(node, tx, incoming.from, incoming.message);
    }
    // Before any session: one that has ended (a new login, a change of password) still answers for what it consumed.
    for entity in people.iter() {
        if let Some(seen) = entity.get::<Seen>(node, tx, SEEN, &seen_key)? {
            node.count(tx, "block_repeated");
            // Not at a door of this node: the ingress offers a message again until it knows that it was heard.
            node.trace(tx, incoming.message, "vault", || {
                format!(
                    "a repeated copy arrived from {}, answered as the first",
                    node.membership.display(&incoming.from)
                )
            });
            return receipts::repeat(node, tx, (incoming.from, incoming.message), &seen_key, &seen);
        }
    }
    let tries = find::tries(node, tx, people, &payload)?;
    if tries.is_empty() {
        decoy(node, tx, block);
        return decline(node, tx, incoming.from, incoming.message);
    }
    let mut missed = None;
    for candidate in tries {
        if !keywords::lets_in(node, tx, incoming, &payload, &candidate)? {
            node.count(tx, "bridge_frozen");
            decoy(node, tx, block);
            continue;
        }
        let Some(opened) = open(node, tx, &candidate, block)? else {
            missed = missed.or(candidate.entity.as_ref().map(|entity| entity.id));
            continue;
        };
        return opened_by(node, tx, incoming, &payload, seen_key, candidate, opened);
    }
    refusals::mac_failed(node, tx, incoming, missed)?;
    decline(node, tx, incoming.from, incoming.message)
}

/// Opens the block under one session, unless another block was consumed at its position: that position's MAC key has
/// been shown, so it must never count twice.
fn open(node: &Node, tx: &mut Tx<'_>, candidate: &Try, block: &[u8]) -> Run<Option<RatchetOpened>> {
    let session = &candidate.session;
    let spent = match (&candidate.entity, position_key(&session.ad, block)) {
        _ if candidate.slot.0 == BRIDGE => spent::is_spent(node, tx, &session.ad, block)?,
        (Some(entity), Some(position)) => entity.get::<Position>(node, tx, POSITION, &position)?.is_some(),
        (None, _) | (_, None) => false,
    };
    if spent {
        node.count(tx, "position_reused");
        return Ok(None);
    }
    let now = tx.now();
    Ok(node.crypto().ratchet_open(&session.ratchet, block, &session.ad, now, tx.rng()).ok())
}

/// Spends the same work on an unknown sender as on a known one with a damaged payload.
fn decoy(node: &Node, tx: &mut Tx<'_>, block: &[u8]) {
    let (secret, now) = (tx.random(), tx.now());
    let mut client = [9; 32];
    client[31] = 0;
    if let Ok((session, ad)) = node.crypto().bob_session(&secret, &client) {
        let _ = node.crypto().ratchet_open(&session, block, &ad, now, tx.rng());
    }
}

/// Not mine, or not openable: one answer for every reason, at a time that tells nothing.
pub(super) fn decline(node: &Node, tx: &mut Tx<'_>, from: NodeId, message: MessageId) -> Run {
    node.count(tx, "submission_declined");
    delivery::say_declined(node, tx, from, message)
}

/// The MAC fits. If the content fits too, everything is committed at once.
fn opened_by(
    node: &Node,
    tx: &mut Tx<'_>,
    incoming: &Incoming<'_>,
    payload: &Payload,
    seen_key: [u8; 16],
    candidate: Try,
    opened: RatchetOpened,
) -> Run {
    let Try { entity, slot, session } = candidate;
    let known = entity.is_some();
    let mut entity = match entity {
        Some(entity) => entity,
        None => Entity::create(node, tx)?,
    };
    let plan = match bridge::plan(node, tx, incoming, payload, &entity, known, &opened.plaintext)? {
        Ok(plan) => plan,
        Err(misfit) => {
            refusals::misfit(node, tx, incoming, payload, known.then_some(entity.id), misfit)?;
            return decline(node, tx, incoming.from, incoming.message);
        }
    };
    let mails = plan.platform == EMAIL_BRIDGE;
    if mails && !allowance::take(node, tx, incoming, &mut entity, !known, payload.language())? {
        return decline(node, tx, incoming.from, incoming.message);
    }
    let now = tx.now();
    if !known {
        bridge::register(node, tx, incoming, &mut entity, payload.language())?;
    }
    let advanced =
        Session { ratchet: opened.session.to_vec(), ad: session.ad, client: session.client, kid: session.kid };
    entity.put(node, tx, slot.0, &slot.1, &advanced)?;
    if slot.0 == BRIDGE {
        sessions::used(node, tx, &mut entity, &slot.1)?;
        keywords::begun(node, tx, &mut entity)?;
        spent::spend(node, tx, &session.ad, payload.block())?;
        seen::note(node, tx, &mut entity, &seen_key)?;
    } else if let Some(position) = position_key(&session.ad, payload.block()) {
        entity.put(node, tx, POSITION, &position, &Position { block: seen_key })?;
    }
    let outcome = plan.at_once.unwrap_or(MessageOutcome::Pending);
    let seen = Seen { auth_key: opened.auth_key, ad: session.ad, at: now, outcome };
    entity.put(node, tx, SEEN, &seen_key, &seen)?;
    let message = incoming.message;
    node.trace(tx, message, "vault", || "decrypted; result and publication are durable");
    if let Some(content) = plan.content {
        let number = notify_number(node, tx, &entity, incoming)?;
        let parts = vec![Part::Ready; content.parts()];
        let mut job = Job {
            platform: plan.platform,
            account: plan.account,
            device_tokens: plan.device_tokens,
            content,
            parts,
            ingress: incoming.from,
            number,
            language: payload.language(),
            block: seen_key,
            deadline: now.after(JOB_LIFE),
            refreshed: false,
            attempts: 0,
            ordinal: refusals::next_ordinal(node, tx, &mut entity)?,
            kept_until: None,
            asked: Vec::new(),
            renewed: None,
        };
        tx.then(Change::Owed(message, entity.id));
        if !run::begin_new(node, tx, &entity, &message, &mut job)? {
            tx.follow(Follow::RunJob(message));
        }
        job::create(node, tx, &mut entity, &message, &job)?;
    }
    tx.then(Change::MacGood(entity.id));
    node.count_then(tx, "message_consumed");
    if outcome == MessageOutcome::Pending {
        return receipts::accepted(node, tx, incoming.from, message, &seen);
    }
    receipts::ended(node, tx, (incoming.from, message), &seen_key, &seen, None)
}

/// Who is told by SMS: the account's number, or the bridge identity's.
fn notify_number(node: &Node, tx: &mut Tx<'_>, entity: &Entity, incoming: &Incoming<'_>) -> Run<Option<E164>> {
    if incoming.number.is_some() && matches!(incoming.submission.route, Route::Bridge { .. }) {
        return Ok(incoming.number.clone());
    }
    Ok(entity.get::<Account>(node, tx, ACCOUNT, b"")?.and_then(|account| account.phone))
}
