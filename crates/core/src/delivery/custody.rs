//! Envelopes held for others, and own letters that found no way: persisted before the answer, dropped at hand-over or
//! at their end, with a cap on what anybody can make this node hold.

use std::time::Duration;

use relaymesh_protocol::frame::{Carried, Taken};
use relaymesh_protocol::ids::{EnvelopeId, NodeId, Timestamp};
use relaymesh_seal::envelope::Header;
use serde::{Deserialize, Serialize};

use super::copies::Copy;
use super::letters::{HOPS_MAX, busy_pause, carry, taken};
use super::{Change, Offer, Rows, away};
use crate::input::{LinkError, ReplyTo};
use crate::node::Node;
use crate::record::{Stored, delete_row, get_node, key, put_node, restore_row};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Most envelopes offered in one run.
const OFFERS_PER_RUN: usize = 64;
/// Copies are offered again after this pause when their recipient seems connected.
const RETRY: Duration = Duration::from_secs(60);
/// And when it does not, at least.
const AWAY_RETRY: Duration = Duration::from_mins(15);
/// Spread of one copy: how many custodians further on may get one too, each with one less. More of them brought nothing in any
/// scenario of the simulator, and a cut of weeks filled custodians.
pub(super) const COPY_BUDGET: u8 = 1;
/// A peer that is over its quota is asked to come back after this, in milliseconds.
const BUSY_MS: u32 = 60_000;

/// A copy on disk. An envelope is ciphertext to everyone but its recipient.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    from: NodeId,
    expires: Timestamp,
    hops: u8,
    budget: u8,
    #[serde(with = "serde_bytes")]
    envelope: Vec<u8>,
    /// Since when it is here.
    at: Timestamp,
    /// It is a letter of this node.
    own: bool,
}

impl Stored for Row {
    const VERSION: u8 = 2;

    /// Version 1 ended before `at`: what was kept then is older than all else, and nobody's letter.
    fn migrate(version: u8, bytes: &[u8]) -> Option<Self> {
        if version != 1 {
            return None;
        }
        let whole = [bytes, &[0, 0]].concat();
        let (row, left) = postcard::take_from_bytes(&whole).ok()?;
        left.is_empty().then_some(row)
    }
}

impl Row {
    fn copy(&self) -> Copy {
        Copy {
            from: self.from,
            own: self.own,
            at: self.at,
            bytes: self.envelope.len(),
            budget: self.budget,
            expires: self.expires,
        }
    }
}

/// Takes an envelope for somebody else: durable first, then yes.
pub(super) fn take(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    from: Option<NodeId>,
    header: &Header,
    print: EnvelopeId,
    carried: &Carried,
) -> Run {
    if node.config().without.custody {
        return taken(node, tx, reply, Taken::Refused, "custody_left_out");
    }
    if node.membership.node(&header.recipient).is_none() {
        return taken(node, tx, reply, Taken::Refused, "custody_unknown_recipient");
    }
    let from = from.unwrap_or(node.id());
    if !has_room(node, &from, carried.envelope.len()) {
        return taken(node, tx, reply, Taken::Busy { retry_after_ms: BUSY_MS }, "custody_full");
    }
    let copy_key = key::custody(&header.recipient, &print);
    if tx.get(&copy_key)?.is_some() {
        return taken(node, tx, reply, Taken::Known, "envelope_known");
    }
    let row = Row {
        from,
        expires: header.expiry.min(tx.now().after(super::letters::ENVELOPE_LIFE)),
        hops: carried.hops,
        budget: carried.copies.min(COPY_BUDGET),
        envelope: carried.envelope.clone(),
        at: tx.now(),
        own: false,
    };
    put_node(node, tx, copy_key, &row)?;
    tx.then(Change::Stored(header.recipient, print, row.copy()));
    tx.then(Change::Seen(print));
    if !node.membership.connected().contains(&header.recipient) {
        spread(node, tx, header.recipient, print, &row);
    }
    try_after(node, tx, header.recipient, Duration::ZERO);
    taken(node, tx, reply, Taken::Yes, "custody_taken")
}

/// Whether so much more may be held for a peer.
fn has_room(node: &Node, from: &NodeId, bytes: usize) -> bool {
    node.delivery.copies.has_room(from, bytes, node.pending_rows(key::CUSTODY))
}

/// Stores a letter of our own that could not be handed over, and tries to spread it.
pub(super) fn keep_own(
    node: &Node,
    tx: &mut Tx<'_>,
    recipient: NodeId,
    id: EnvelopeId,
    envelope: &[u8],
    expires: Timestamp,
) -> Run {
    if let Some((whose, oldest)) = node.delivery.copies.gives_way(&recipient, envelope.len()) {
        delete_row(tx, key::custody(&whose, &oldest))?;
        tx.then(Change::Dropped(whose, oldest));
        node.count(tx, "letter_evicted");
    }
    let (from, at, envelope) = (node.id(), tx.now(), envelope.to_vec());
    let row = Row { from, expires, hops: 0, budget: COPY_BUDGET, envelope, at, own: true };
    put_node(node, tx, key::custody(&recipient, &id), &row)?;
    tx.then(Change::Stored(recipient, id, row.copy()));
    node.count(tx, "letter_kept");
    try_after(node, tx, recipient, RETRY);
    spread(node, tx, recipient, id, &row);
    Ok(())
}

/// Since when a recipient is away, by what became of copies for it, or of this node's own messages.
fn away_since(node: &Node, recipient: &NodeId) -> Option<Timestamp> {
    node.delivery.copies.away_since(recipient).or_else(|| node.delivery.absent.since(recipient))
}

/// A copy was stored: it is offered after a pause. Whether somebody who is away is back is tried at the pace of that, and not
/// once for each copy.
fn try_after(node: &Node, tx: &mut Tx<'_>, recipient: NodeId, pause: Duration) {
    let now = tx.now();
    let long = away_since(node, &recipient).map(|since| away::long_pause(now.since(since), tx.rng()).max(AWAY_RETRY));
    tx.wake_by(now.after(long.unwrap_or(pause)), Timer::Custody(recipient));
}

/// A recipient that was away is there.
pub(super) fn on_found(node: &Node, tx: &mut Tx<'_>, recipient: NodeId) {
    if node.delivery.copies.of(&recipient).is_some() {
        tx.wake_by(tx.now(), Timer::Custody(recipient));
    }
}

/// Gives a copy to one more connected peer, if its budget and hops allow.
fn spread(node: &Node, tx: &mut Tx<'_>, recipient: NodeId, id: EnvelopeId, row: &Row) {
    if row.budget == 0 || row.hops >= HOPS_MAX {
        return;
    }
    let peers = spread_targets(node, &recipient, &[row.from], 1);
    for to in peers {
        let offer = Offer::Copy { recipient };
        carry(tx, to, id, row.envelope.clone(), row.hops + 1, row.budget - 1, offer);
        tx.then(Change::CopySpread(recipient, id));
    }
}

/// Up to `count` connected members that may carry on: relays first, then by standing.
pub(super) fn spread_targets(node: &Node, recipient: &NodeId, not: &[NodeId], count: usize) -> Vec<NodeId> {
    if node.config().without.custody {
        return Vec::new();
    }
    let mut peers: Vec<_> = node
        .membership
        .connected()
        .iter()
        .filter(|peer| *peer != recipient && !not.contains(peer))
        .filter_map(|peer| node.membership.node(peer))
        .collect();
    peers.sort_by_key(|member| {
        let score = node.delivery.score(&member.id);
        (!member.roles.relay, -score, member.id)
    });
    peers.into_iter().take(count).map(|member| member.id).collect()
}

/// Offers what is held for a recipient; ends what is over. A recipient that is away is offered one copy, to see whether it
/// is back: its link coming up calls for all. The others only spread.
pub(crate) fn on_custody(node: &Node, tx: &mut Tx<'_>, recipient: NodeId) -> Run {
    let Some(copies) = node.delivery.copies.of(&recipient) else { return Ok(()) };
    let now = tx.now();
    let away = !node.membership.connected().contains(&recipient);
    // A message of this node's own that waits for it tries whether it is back, for all.
    let probe = copies.keys().next().filter(|_| !node.delivery.absent.is_out(&recipient));
    let spreads = !spread_targets(node, &recipient, &[], 1).is_empty();
    let wanted = |id: &EnvelopeId, copy: &Copy| {
        !away || Some(id) == probe || (copy.budget > 0 && spreads) || copy.expires <= now
    };
    let under_way = |id: &EnvelopeId| node.delivery.offers.contains_key(&(recipient, *id));
    let due = copies.iter().filter(|(id, copy)| wanted(id, copy) && !under_way(id)).map(|(id, _)| *id);
    let due: Vec<EnvelopeId> = due.take(OFFERS_PER_RUN).collect();
    tx.prefetch(due.iter().map(|id| key::custody(&recipient, id)))?;
    for id in &due {
        let id = *id;
        let copy_key = key::custody(&recipient, &id);
        let Some(row) = get_node::<Row>(node, tx, &copy_key)? else {
            tx.then(Change::Dropped(recipient, id));
            continue;
        };
        if row.expires <= now {
            delete_row(tx, copy_key)?;
            tx.then(Change::Dropped(recipient, id));
            node.count(tx, "custody_expired");
            continue;
        }
        if away && Some(&id) != probe {
            spread(node, tx, recipient, id, &row);
            continue;
        }
        // The way to its recipient is never one hop too many.
        let hops = row.hops.saturating_add(1).min(HOPS_MAX);
        carry(tx, recipient, id, row.envelope, hops, 0, Offer::Copy { recipient });
    }
    let long = away_since(node, &recipient).map(|since| away::long_pause(now.since(since), tx.rng()));
    let seldom = away::among_many(long.unwrap_or_default().max(AWAY_RETRY), node.delivery.copies.away().count());
    let again = if due.len() == OFFERS_PER_RUN { Duration::from_secs(1) } else { seldom };
    tx.wake(now.after(again), Timer::Custody(recipient));
    Ok(())
}

/// A link came up: what is held for that peer goes, and if it was away for long, others may be back too.
pub(super) fn on_connected(node: &Node, tx: &mut Tx<'_>, peer: NodeId) {
    let (copies, now) = (&node.delivery.copies, tx.now());
    if copies.of(&peer).is_none() {
        return;
    }
    tx.wake(now, Timer::Custody(peer));
    if copies.away_since(&peer).is_some_and(|since| now.since(since) >= away::LONG) {
        for other in copies.away().filter(|other| **other != peer) {
            tx.wake_by(now, Timer::Custody(*other));
        }
    }
    tx.change(Change::CopyMet(peer));
}

/// A recipient says something new of itself: if it was away, it is tried.
pub(super) fn on_news(node: &Node, tx: &mut Tx<'_>, recipient: &NodeId) {
    if node.delivery.copies.of(recipient).is_some() && away_since(node, recipient).is_some() {
        tx.wake_by(tx.now(), Timer::Custody(*recipient));
    }
}

/// What became of a copy that was offered to `to`.
pub(super) fn on_offered(
    node: &Node,
    tx: &mut Tx<'_>,
    recipient: NodeId,
    to: NodeId,
    id: EnvelopeId,
    taken: Result<Taken, LinkError>,
) -> Run {
    if to != recipient {
        // A further custodian has a copy or has not; ours stays until its own hand-over.
        return Ok(());
    }
    match taken {
        Ok(_) if node.delivery.copies.away_since(&recipient).is_some() => tx.change(Change::CopyMet(recipient)),
        Err(LinkError::Busy) | Ok(_) => {}
        Err(_) => tx.change(Change::CopyMissed(recipient, tx.now())),
    }
    let copy_key = key::custody(&recipient, &id);
    match taken {
        // Who refuses may not know this node as a member yet, and ours may be the only copy left.
        Ok(Taken::Refused) => {
            node.count(tx, "custody_refused");
            tx.wake(tx.now().after(AWAY_RETRY), Timer::Custody(recipient));
        }
        Ok(Taken::Yes | Taken::Known) => {
            delete_row(tx, copy_key)?;
            tx.then(Change::Dropped(recipient, id));
            node.count(tx, "custody_handed_over");
        }
        Ok(Taken::Busy { retry_after_ms }) => {
            let at = tx.now().after(busy_pause(retry_after_ms));
            tx.wake(at, Timer::Custody(recipient));
        }
        Err(_) => {
            let budget = node.delivery.copies.budget(&recipient, &id);
            if budget > 0
                && let Some(mut row) = get_node::<Row>(node, tx, &copy_key)?
            {
                row.budget = budget;
                spread(node, tx, recipient, id, &row);
            }
        }
    }
    Ok(())
}

/// A copy as a bundle carries it on; none if it went through too many hands already.
pub(super) fn export(node: &Node, tx: &mut Tx<'_>, recipient: &NodeId, id: &EnvelopeId) -> Run<Option<Carried>> {
    let row = get_node::<Row>(node, tx, &key::custody(recipient, id))?.filter(|row| row.hops < HOPS_MAX);
    Ok(row.map(|row| Carried { envelope: row.envelope, hops: row.hops + 1, copies: row.budget }))
}

/// Copies read at start.
pub(super) fn restore(node: &mut Node, rows: &Rows) {
    for (row_key, row) in rows {
        let Some(row) = restore_row::<Row>(node, row_key, row) else { continue };
        let Some((recipient, id)) = row_key.get(1..).and_then(|rest| rest.split_at_checked(32)) else { continue };
        if let (Ok(recipient), Ok(id)) = (NodeId::try_from(recipient), EnvelopeId::try_from(id)) {
            node.delivery.copies.store(recipient, id, row.copy());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::copies::{CUSTODY_BYTES_MAX, PER_PEER_MAX};
    use super::*;
    use crate::accounts::tests::world::World;
    use crate::record::{decode, encode};

    const PEER: NodeId = NodeId([5; 32]);
    const RECIPIENT: NodeId = NodeId([6; 32]);

    fn id(n: usize) -> EnvelopeId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(n as u64).to_be_bytes());
        EnvelopeId(id)
    }

    /// A node that holds `stored` copies of a peer; `pending` more are on their way to the disk.
    fn world(stored: usize, pending: usize, bytes: usize) -> World {
        World::prepared(|node| {
            for n in 0..stored {
                let (at, expires) = (Timestamp(1), Timestamp(u64::MAX));
                let copy = Copy { from: PEER, own: false, at, bytes, budget: 0, expires };
                node.delivery.apply(Change::Stored(RECIPIENT, id(n), copy));
            }
            for n in 0..pending {
                node.make_busy(&key::custody(&RECIPIENT, &id(stored + n)));
            }
            node.make_busy(&key::outbox(&relaymesh_protocol::ids::MessageId([1; 32])));
        })
    }

    #[test]
    fn a_copy_of_version_1_is_the_oldest_and_nobodys_letter() {
        let row = Row {
            from: PEER,
            expires: Timestamp(9),
            hops: 3,
            budget: 1,
            envelope: vec![7; 200],
            at: Timestamp(5),
            own: true,
        };
        let mut bytes = encode(&row).to_vec();
        assert_eq!((bytes[0], bytes.pop(), bytes.pop()), (2, Some(1), Some(5)));
        bytes[0] = 1;
        let read: Row = decode(&bytes).unwrap();
        assert_eq!((read.from, read.expires, read.hops, read.budget), (PEER, Timestamp(9), 3, 1));
        assert_eq!((read.envelope, read.at, read.own), (row.envelope, Timestamp(0), false));
        // Neither of another version, nor with more or less than that version had.
        assert!(decode::<Row>(&[bytes.as_slice(), &[0]].concat()).is_none());
        assert!(decode::<Row>(&bytes[..bytes.len() - 1]).is_none());
        for version in [0, 3] {
            bytes[0] = version;
            assert!(decode::<Row>(&bytes).is_none());
        }
    }

    /// When a node that holds a copy looks after a recipient that only a message of its own has found away.
    fn custody_timers(ask: impl Fn(&Node, &mut Tx<'_>)) -> Vec<Timestamp> {
        let now = Timestamp(100_000_000);
        let world = World::prepared(|node| {
            let copy = Copy { from: PEER, own: false, at: now, bytes: 10, budget: 0, expires: Timestamp(u64::MAX) };
            node.delivery.apply(Change::Stored(RECIPIENT, id(1), copy));
            node.delivery.apply(Change::Missed(RECIPIENT, Duration::from_secs(2), now));
        });
        let (view, idle) = (crate::tx::View::default(), |_: &crate::tx::Lane| false);
        let mut tx = Tx::new(now, [1; 32], &view, &idle);
        ask(world.pump.node(), &mut tx);
        let wakes = tx.effects.timers.iter().filter(|wake| wake.timer == Timer::Custody(RECIPIENT));
        wakes.map(|wake| Timestamp(wake.at.0 - now.0)).collect()
    }

    #[test]
    fn a_copy_for_somebody_that_own_messages_found_away_goes_when_that_one_is_back() {
        let soon = custody_timers(|node, tx| on_news(node, tx, &RECIPIENT));
        assert_eq!(soon, [Timestamp(0)], "its newer record");
        let none = custody_timers(|node, tx| away::on_reach(node, tx, RECIPIENT).unwrap());
        assert_eq!(none, [Timestamp(0)], "no message of its own tries any more whether it is back");
        let stored = custody_timers(|node, tx| try_after(node, tx, RECIPIENT, Duration::ZERO));
        assert_eq!(stored, [Timestamp(AWAY_RETRY.as_millis() as u64)], "one more copy for it");
    }

    #[test]
    fn copies_on_their_way_to_the_disk_count_towards_the_caps() {
        let over = |stored, pending, bytes| !has_room(world(stored, pending, bytes).pump.node(), &PEER, bytes);
        assert!(!over(PER_PEER_MAX - 1, 0, 1_000));
        assert!(over(PER_PEER_MAX - 1, 1, 1_000) && over(PER_PEER_MAX, 0, 1_000) && over(0, PER_PEER_MAX, 1_000));
        // A peer may take no more than is left free: of three parts, two at most.
        let third = CUSTODY_BYTES_MAX / 3;
        assert!(!over(1, 0, third) && !over(0, 1, third) && over(1, 1, third) && over(0, 2, third));
    }
}
