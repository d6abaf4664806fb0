//! Envelopes that are kept, in memory: all but their bytes, and how much of the room each sender takes.
//!
//! What a custodian said yes to it keeps until it is handed over or ends, so nothing of that gives way to newcomers. Instead
//! each peer may take no more than what is left: one that sends all it can stops at half the room, two at a third each, and
//! there is always some for the next. Letters of this node's own were promised to nobody; they have a room of their own,
//! and the oldest go.

use std::collections::{BTreeMap, BTreeSet};

use relaymesh_protocol::ids::{EnvelopeId, NodeId, Timestamp};

use crate::watch::Gauge;

/// Most bytes of envelopes held for others, all together.
pub(super) const CUSTODY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Most envelopes that one peer can make this node hold.
pub(super) const PER_PEER_MAX: usize = 4_096;
/// Most letters of our own to one recipient. Receipts that must be heard stand in a book of their own besides.
pub(super) const OWN_PER_RECIPIENT_MAX: usize = 256;
/// Most bytes of letters of our own.
pub(super) const OWN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A copy: all but its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Copy {
    /// Who handed it over.
    pub from: NodeId,
    /// It is a letter of this node.
    pub own: bool,
    /// Since when it is here.
    pub at: Timestamp,
    /// Encoded length.
    pub bytes: usize,
    /// Custodians it may still be spread to.
    pub budget: u8,
    /// When it ends.
    pub expires: Timestamp,
}

/// How much somebody takes.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    count: usize,
    bytes: usize,
}

impl Share {
    fn add(&mut self, copy: &Copy) {
        self.count += 1;
        self.bytes += copy.bytes;
    }

    fn remove(&mut self, copy: &Copy) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(copy.bytes);
    }
}

/// Envelopes held for others and own letters that found no way, by recipient.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    by: BTreeMap<NodeId, BTreeMap<EnvelopeId, Copy>>,
    /// Of envelopes held for others, by who handed them over.
    shares: BTreeMap<NodeId, Share>,
    /// All of these.
    others: Share,
    /// Own letters by recipient.
    own: BTreeMap<NodeId, Share>,
    /// The same by recipient and age.
    own_ages: BTreeSet<(NodeId, Timestamp, EnvelopeId)>,
    own_bytes: usize,
    /// Recipients that could not be reached, and since when.
    away: BTreeMap<NodeId, Timestamp>,
    /// Recipients that were reached since the start. There are no more than members.
    met: BTreeSet<NodeId>,
}

impl Copies {
    pub fn len(&self) -> usize {
        self.by.values().map(BTreeMap::len).sum()
    }

    pub fn of(&self, recipient: &NodeId) -> Option<&BTreeMap<EnvelopeId, Copy>> {
        self.by.get(recipient)
    }

    pub fn recipients(&self) -> impl Iterator<Item = &NodeId> {
        self.by.keys()
    }

    /// A recipient could not be reached at `now`. The first time after a start it has been away for as long as its oldest copy
    /// is here: nodes on phones start often, and would begin anew each time to try at the pace of a short outage.
    pub fn missed(&mut self, recipient: NodeId, now: Timestamp) {
        let Some(copies) = self.by.get(&recipient).filter(|_| !self.away.contains_key(&recipient)) else { return };
        let mut since = now;
        if !self.met.contains(&recipient) {
            // A copy of version 1 does not tell its age.
            let ages = copies.values().map(|copy| copy.at).filter(|at| *at > Timestamp::default());
            since = ages.fold(now, Timestamp::min);
        }
        self.away.insert(recipient, since);
    }

    /// It was reached.
    pub fn met(&mut self, recipient: &NodeId) {
        self.away.remove(recipient);
        self.met.insert(*recipient);
    }

    /// Since when a recipient is away.
    pub fn away_since(&self, recipient: &NodeId) -> Option<Timestamp> {
        self.away.get(recipient).copied()
    }

    /// All recipients that are away.
    pub fn away(&self) -> impl Iterator<Item = &NodeId> {
        self.away.keys()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&NodeId, &EnvelopeId, &Copy)> {
        self.by.iter().flat_map(|(recipient, copies)| copies.iter().map(move |(id, copy)| (recipient, id, copy)))
    }

    pub fn budget(&self, recipient: &NodeId, id: &EnvelopeId) -> u8 {
        self.by.get(recipient).and_then(|copies| copies.get(id)).map_or(0, |copy| copy.budget)
    }

    pub fn spent(&mut self, recipient: &NodeId, id: &EnvelopeId) {
        if let Some(copy) = self.by.get_mut(recipient).and_then(|copies| copies.get_mut(id)) {
            copy.budget = 0;
        }
    }

    pub fn store(&mut self, recipient: NodeId, id: EnvelopeId, copy: Copy) {
        self.remove(&recipient, &id);
        if copy.own {
            self.own.entry(recipient).or_default().add(&copy);
            self.own_ages.insert((recipient, copy.at, id));
            self.own_bytes += copy.bytes;
        } else {
            self.shares.entry(copy.from).or_default().add(&copy);
            self.others.add(&copy);
        }
        self.by.entry(recipient).or_default().insert(id, copy);
    }

    pub fn remove(&mut self, recipient: &NodeId, id: &EnvelopeId) {
        let Some(copies) = self.by.get_mut(recipient) else { return };
        let Some(copy) = copies.remove(id) else { return };
        if copies.is_empty() {
            self.by.remove(recipient);
            self.away.remove(recipient);
        }
        let (shares, holder) = if copy.own { (&mut self.own, recipient) } else { (&mut self.shares, &copy.from) };
        if let Some(share) = shares.get_mut(holder) {
            share.remove(&copy);
            if share.count == 0 {
                shares.remove(holder);
            }
        }
        if copy.own {
            self.own_ages.remove(&(*recipient, copy.at, *id));
            self.own_bytes = self.own_bytes.saturating_sub(copy.bytes);
        } else {
            self.others.remove(&copy);
        }
    }

    /// Whether so many bytes more may be held for `from`. So many copies as are `pending` are on their way to the disk and
    /// not counted here yet: each counts as if it were of `from` and as large as this one, else many at once would get past
    /// the caps.
    pub fn has_room(&self, from: &NodeId, bytes: usize, pending: usize) -> bool {
        let theirs = self.shares.get(from).copied().unwrap_or_default();
        let left = CUSTODY_BYTES_MAX.saturating_sub(self.others.bytes + pending * bytes);
        theirs.count + pending < PER_PEER_MAX && theirs.bytes + (pending + 1) * bytes <= left
    }

    /// Bytes of all that is held for others, copies of whoever has most of them here, and bytes of own letters.
    pub fn gauges(&self) -> [Gauge; 3] {
        let most = self.shares.values().map(|share| share.count).max().unwrap_or_default();
        [
            Gauge { name: "custody_bytes", value: self.others.bytes, cap: CUSTODY_BYTES_MAX },
            Gauge { name: "custody_of_one_peer", value: most, cap: PER_PEER_MAX },
            Gauge { name: "own_letters_bytes", value: self.own_bytes, cap: OWN_BYTES_MAX },
        ]
    }

    /// The letter that gives way to one more of our own: the oldest to the same recipient, or to who has most of them.
    pub fn gives_way(&self, recipient: &NodeId, bytes: usize) -> Option<(NodeId, EnvelopeId)> {
        let theirs = self.own.get(recipient).map_or(0, |share| share.count);
        let whose = if theirs >= OWN_PER_RECIPIENT_MAX {
            *recipient
        } else if self.own_bytes + bytes > OWN_BYTES_MAX {
            *self.own.iter().max_by_key(|(id, share)| (share.bytes, **id))?.0
        } else {
            return None;
        };
        let oldest = self.own_ages.range((whose, Timestamp::default(), EnvelopeId([0; 16]))..).next();
        oldest.filter(|(of, ..)| *of == whose).map(|(of, _, id)| (*of, *id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 64 * 1024;

    fn node(n: u8) -> NodeId {
        NodeId([n; 32])
    }

    fn id(n: usize) -> EnvelopeId {
        EnvelopeId((n as u128).to_be_bytes())
    }

    fn copy(from: NodeId, own: bool, at: usize, bytes: usize) -> Copy {
        Copy { from, own, at: Timestamp(at as u64), bytes, budget: 0, expires: Timestamp(u64::MAX) }
    }

    /// What a peer brings in until it is refused, in bytes.
    fn fill(copies: &mut Copies, from: u8, bytes: usize) -> usize {
        let first = usize::from(from) * 1_000_000;
        let mut n = 0;
        while copies.has_room(&node(from), bytes, 0) {
            copies.store(node(200), id(first + n), copy(node(from), false, n, bytes));
            n += 1;
        }
        n * bytes
    }

    #[test]
    fn who_sends_all_it_can_leaves_as_much_for_others() {
        let mut copies = Copies::default();
        assert_eq!(fill(&mut copies, 1, LARGE), CUSTODY_BYTES_MAX / 2);
        assert_eq!(fill(&mut copies, 2, LARGE), CUSTODY_BYTES_MAX / 4);
        for newcomer in 3..20 {
            assert!(copies.has_room(&node(newcomer), LARGE / 32, 0), "peer {newcomer}");
            fill(&mut copies, newcomer, LARGE / 32);
        }
        assert!(copies.others.bytes < CUSTODY_BYTES_MAX);
        // What leaves makes room again.
        for n in 0..2_048 {
            copies.remove(&node(200), &id(1_000_000 + n));
        }
        assert!(copies.has_room(&node(2), LARGE, 0) && copies.has_room(&node(1), LARGE, 0));
    }

    #[test]
    fn small_envelopes_are_counted() {
        let mut copies = Copies::default();
        assert_eq!(fill(&mut copies, 1, 1_024), PER_PEER_MAX * 1_024);
        assert_eq!(copies.len(), PER_PEER_MAX);
    }

    #[test]
    fn own_letters_take_nobodys_room_and_the_oldest_give_way() {
        let (me, mut copies) = (node(100), Copies::default());
        for n in 0..OWN_PER_RECIPIENT_MAX {
            assert_eq!(copies.gives_way(&node(1), LARGE), None);
            // The oldest has the highest name.
            copies.store(node(1), id(OWN_PER_RECIPIENT_MAX - n), copy(me, true, n, LARGE));
        }
        copies.store(node(1), id(9_999), copy(node(2), false, 0, LARGE));
        assert_eq!(copies.gives_way(&node(1), LARGE), Some((node(1), id(OWN_PER_RECIPIENT_MAX))));
        assert_eq!(copies.others.bytes, LARGE);
        // Room for three more recipients that have as many; then whoever has most gives way.
        for recipient in 2..=4 {
            for n in 0..OWN_PER_RECIPIENT_MAX - usize::from(recipient) {
                copies.store(node(recipient), id(n), copy(me, true, n, LARGE));
            }
        }
        let last = (0..).find_map(|n| {
            let way = copies.gives_way(&node(5), LARGE);
            copies.store(node(5), id(n), copy(me, true, n, LARGE));
            way
        });
        assert_eq!(last, Some((node(1), id(OWN_PER_RECIPIENT_MAX))));
    }

    #[test]
    fn a_recipient_is_away_since_its_oldest_copy_came() {
        let mut copies = Copies::default();
        copies.missed(node(1), Timestamp(9));
        assert_eq!(copies.away_since(&node(1)), None, "nothing is here for it");
        for at in [0, 7, 5] {
            copies.store(node(1), id(at), copy(node(2), false, at, 10));
        }
        copies.missed(node(1), Timestamp(9));
        copies.missed(node(1), Timestamp(11));
        assert_eq!(copies.away_since(&node(1)), Some(Timestamp(5)), "a copy of unknown age tells nothing");
        copies.met(&node(1));
        copies.missed(node(1), Timestamp(12));
        assert_eq!(copies.away_since(&node(1)), Some(Timestamp(12)), "it was there since");
    }

    #[test]
    fn a_copy_that_is_stored_twice_counts_once() {
        let mut copies = Copies::default();
        for _ in 0..2 {
            copies.store(node(1), id(1), copy(node(2), false, 0, 10));
        }
        assert_eq!((copies.len(), copies.others.bytes, copies.shares.len()), (1, 10, 1));
        copies.remove(&node(1), &id(1));
        assert_eq!((copies.len(), copies.others.bytes, copies.shares.len()), (0, 0, 0));
    }
}
