//! Envelopes held for others, and own letters that found no way: persisted before the answer, dropped at hand-over or
//! at their end, with a cap on what anybody can make this node hold.

use std::collections::BTreeMap;
use std::time::Duration;

use relaymesh_protocol::frame::{Carried, Taken};
use relaymesh_protocol::ids::{EnvelopeId, NodeId, Timestamp};
use relaymesh_seal::envelope::Header;
use serde::{Deserialize, Serialize};

use super::letters::{HOPS_MAX, carry, taken};
use super::{Change, Offer, Rows};
use crate::input::{LinkError, ReplyTo};
use crate::node::Node;
use crate::record::{Stored, delete_row, get_node, key, put_node, restore_row};
use crate::timer::Timer;
use crate::tx::{Run, Tx};
use crate::watch::Gauge;

/// Most bytes of envelopes held for others, all together.
const CUSTODY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Most envelopes that one peer can make this node hold.
const PER_PEER_MAX: usize = 4_096;
/// Most envelopes offered in one run.
const OFFERS_PER_RUN: usize = 64;
/// Copies are offered again after this pause when their recipient seems connected.
const RETRY: Duration = Duration::from_secs(60);
/// Spread of one copy: how many custodians further on may get one too, each with one less.
pub(super) const COPY_BUDGET: u8 = 3;
/// A peer that is over its quota is asked to come back after this, in milliseconds.
const BUSY_MS: u32 = 60_000;

/// A copy in memory: all but its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    /// Who handed it over; this node for its own letters.
    pub from: NodeId,
    /// Encoded length.
    pub bytes: usize,
    /// Custodians it may still be spread to.
    pub budget: u8,
}

/// A copy on disk. An envelope is ciphertext to everyone but its recipient.
#[derive(Debug, Serialize, Deserialize)]
struct Row {
    from: NodeId,
    expires: Timestamp,
    hops: u8,
    budget: u8,
    #[serde(with = "serde_bytes")]
    envelope: Vec<u8>,
}

impl Stored for Row {}

impl Row {
    fn copy(&self) -> Copy {
        Copy { from: self.from, bytes: self.envelope.len(), budget: self.budget }
    }
}

/// Takes an envelope for somebody else: durable first, then yes.
pub(super) fn take(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    from: Option<NodeId>,
    header: &Header,
    carried: &Carried,
) -> Run {
    if node.membership.node(&header.recipient).is_none() {
        return taken(node, tx, reply, Taken::Refused, "custody_unknown_recipient");
    }
    let from = from.unwrap_or(node.id());
    if over_quota(node, &from, carried.envelope.len()) {
        return taken(node, tx, reply, Taken::Busy { retry_after_ms: BUSY_MS }, "custody_full");
    }
    let copy_key = key::custody(&header.recipient, &header.id);
    if tx.get(&copy_key)?.is_some() {
        return taken(node, tx, reply, Taken::Known, "envelope_known");
    }
    let row = Row {
        from,
        expires: header.expiry.min(tx.now().after(super::letters::ENVELOPE_LIFE)),
        hops: carried.hops,
        budget: carried.copies.min(COPY_BUDGET),
        envelope: carried.envelope.clone(),
    };
    put_node(node, tx, copy_key, &row)?;
    tx.then(Change::Stored(header.recipient, header.id, row.copy()));
    tx.then(Change::Seen(header.id));
    let soon = tx.now();
    tx.wake(soon, Timer::Custody(header.recipient));
    taken(node, tx, reply, Taken::Yes, "custody_taken")
}

/// Whether a further copy would be too much. Copies that are not durable yet count as if they were all of this peer, and as
/// large as this one: else many at once would get past the cap.
fn over_quota(node: &Node, from: &NodeId, bytes: usize) -> bool {
    let pending = node.pending_rows(key::CUSTODY);
    if node.delivery.copies_bytes + (pending + 1) * bytes > CUSTODY_BYTES_MAX {
        return true;
    }
    let theirs = node.delivery.copies.values().flat_map(|copies| copies.values()).filter(|copy| copy.from == *from);
    *from != node.id() && theirs.count() + pending >= PER_PEER_MAX
}

/// Bytes of all copies, and the copies of whoever has most of them here.
pub(super) fn gauges(node: &Node) -> [Gauge; 2] {
    let mut per_peer: BTreeMap<NodeId, usize> = BTreeMap::new();
    let copies = node.delivery.copies.values().flat_map(BTreeMap::values);
    for copy in copies.filter(|copy| copy.from != node.id()) {
        *per_peer.entry(copy.from).or_default() += 1;
    }
    let most = per_peer.into_values().max().unwrap_or_default();
    [
        Gauge { name: "custody_bytes", value: node.delivery.copies_bytes, cap: CUSTODY_BYTES_MAX },
        Gauge { name: "custody_of_one_peer", value: most, cap: PER_PEER_MAX },
    ]
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
    let row = Row { from: node.id(), expires, hops: 0, budget: COPY_BUDGET, envelope: envelope.to_vec() };
    put_node(node, tx, key::custody(&recipient, &id), &row)?;
    tx.then(Change::Stored(recipient, id, row.copy()));
    node.count(tx, "letter_kept");
    let later = tx.now().after(RETRY);
    tx.wake(later, Timer::Custody(recipient));
    spread(node, tx, recipient, id, &row);
    Ok(())
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
    let mut peers: Vec<_> = node
        .membership
        .connected()
        .iter()
        .filter(|peer| *peer != recipient && !not.contains(peer))
        .filter_map(|peer| node.membership.node(peer))
        .collect();
    peers.sort_by_key(|member| {
        let score = node.delivery.standing.get(&member.id).copied().unwrap_or_default().score();
        (!member.roles.relay, -score, member.id)
    });
    peers.into_iter().take(count).map(|member| member.id).collect()
}

/// Offers what is held for a recipient; ends what is over. A recipient that is away is offered one copy, to see whether it
/// is back: its link coming up calls for all. The others only spread.
pub(crate) fn on_custody(node: &Node, tx: &mut Tx<'_>, recipient: NodeId) -> Run {
    let Some(copies) = node.delivery.copies.get(&recipient) else { return Ok(()) };
    let now = tx.now();
    let away = !node.membership.connected().contains(&recipient);
    let probe = copies.keys().next();
    let wanted = |id: &EnvelopeId, copy: &Copy| !away || Some(id) == probe || copy.budget > 0;
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
        carry(tx, recipient, id, row.envelope, row.hops.saturating_add(1), 0, Offer::Copy { recipient });
    }
    let again = if due.len() == OFFERS_PER_RUN { Duration::from_secs(1) } else { RETRY * 15 };
    tx.wake(now.after(again), Timer::Custody(recipient));
    Ok(())
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
    let copy_key = key::custody(&recipient, &id);
    match taken {
        Ok(Taken::Yes | Taken::Known | Taken::Refused) => {
            delete_row(tx, copy_key)?;
            tx.then(Change::Dropped(recipient, id));
            node.count(tx, "custody_handed_over");
        }
        Ok(Taken::Busy { retry_after_ms }) => {
            let at = tx.now().after(Duration::from_millis(u64::from(retry_after_ms)));
            tx.wake(at, Timer::Custody(recipient));
        }
        Err(_) => {
            let budget = node.delivery.copies.get(&recipient).and_then(|c| c.get(&id)).map_or(0, |c| c.budget);
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

/// The copies' bytes for a bundle, up to `bytes_max`.
pub(super) fn export(node: &Node, tx: &mut Tx<'_>, bytes_max: usize) -> Run<Vec<Carried>> {
    let mut size = 0;
    let keys: Vec<_> = node
        .delivery
        .copies
        .iter()
        .flat_map(|(recipient, copies)| copies.iter().map(move |(id, copy)| (key::custody(recipient, id), copy.bytes)))
        .take_while(|(_, bytes)| {
            size += bytes;
            size <= bytes_max
        })
        .map(|(copy_key, _)| copy_key)
        .collect();
    tx.prefetch(keys.iter().cloned())?;
    let mut all = Vec::with_capacity(keys.len());
    for copy_key in keys {
        if let Some(row) = get_node::<Row>(node, tx, &copy_key)?
            && row.hops < HOPS_MAX
        {
            all.push(Carried { envelope: row.envelope, hops: row.hops + 1, copies: row.budget });
        }
    }
    Ok(all)
}

/// Copies read at start.
pub(super) fn restore(node: &mut Node, rows: &Rows) {
    for (row_key, row) in rows {
        let Some(row) = restore_row::<Row>(node, row_key, row) else { continue };
        let Some((recipient, id)) = row_key.get(1..).and_then(|rest| rest.split_at_checked(32)) else { continue };
        if let (Ok(recipient), Ok(id)) = (NodeId::try_from(recipient), EnvelopeId::try_from(id)) {
            node.delivery.store(recipient, id, row.copy());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::tests::world::World;

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
                node.delivery.apply(Change::Stored(RECIPIENT, id(n), Copy { from: PEER, bytes, budget: 0 }));
            }
            for n in 0..pending {
                node.make_busy(&key::custody(&RECIPIENT, &id(stored + n)));
            }
            node.make_busy(&key::outbox(&relaymesh_protocol::ids::MessageId([1; 32])));
        })
    }

    #[test]
    fn copies_on_their_way_to_the_disk_count_towards_the_caps() {
        let over = |stored, pending, bytes| over_quota(world(stored, pending, bytes).pump.node(), &PEER, bytes);
        assert!(!over(PER_PEER_MAX - 1, 0, 1_000));
        assert!(over(PER_PEER_MAX - 1, 1, 1_000) && over(PER_PEER_MAX, 0, 1_000) && over(0, PER_PEER_MAX, 1_000));
        let half = CUSTODY_BYTES_MAX / 2;
        assert!(!over(1, 0, half) && over(1, 1, half) && over(0, 2, half));
    }
}
