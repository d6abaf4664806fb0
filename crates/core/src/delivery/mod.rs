//! A message's way from its ingress to its home: legs to candidates, receipts back, custody for others, bundles.
//!
//! `route` decides what happens to an envelope that no one accepts.

mod body;
mod bundle;
mod custody;
mod fits;
mod legs;
mod letters;
mod outbox;
mod receipts;
mod room;
mod route;
mod standing;
mod window;

use std::collections::{BTreeMap, VecDeque};

use relaymesh_protocol::ids::{EnvelopeId, MessageId, NodeId, Timestamp};

pub use body::{Answer, Body, Cargo, Opened, Question, Receipt, Route, SmsRequest, Submission};
pub use outbox::{OUTCOME_LIFE, Outbox, RESEND_LIFE, STOP_LIFE, SUBMISSION_LIFE, Stage};

pub(crate) use bundle::{on_operator, read_bundle};
pub(crate) use custody::on_custody;
pub(crate) use letters::{on_carried, on_envelope, send};
pub(crate) use receipts::{on_declines, on_flush, on_receipt, on_receipts, say, say_declined};
pub(crate) use room::make_room;
pub(crate) use route::{daily, hold, on_connected, on_forget, on_leg_silent, on_route, restore, route_all, start};
pub use window::Line;
pub(crate) use window::on_window;

use crate::batch::Key;
use crate::home::Word;
use crate::node::Node;
use crate::watch::Gauge;
use custody::Copy;
use legs::Held;
use standing::Standing;
use window::Waiting;

/// Envelope ids remembered against repeats.
const SEEN_MAX: usize = 100_000;

/// What delivery remembers.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Messages that no home has accepted.
    held: Waiting,
    /// Those of them that came through a door without enrolment.
    strangers: room::Strangers,
    /// Offers under way: which message or custody copy an envelope belongs to.
    offers: BTreeMap<(NodeId, EnvelopeId), Offer>,
    /// Envelopes held for others and own letters that found no way, by recipient.
    copies: BTreeMap<NodeId, BTreeMap<EnvelopeId, Copy>>,
    copies_bytes: usize,
    /// Receipts that wait a moment for company.
    gathered: BTreeMap<NodeId, Vec<Receipt>>,
    declines: BTreeMap<NodeId, Vec<Receipt>>,
    standing: BTreeMap<NodeId, Standing>,
    seen: BTreeMap<EnvelopeId, ()>,
    seen_order: VecDeque<EnvelopeId>,
}

/// What an envelope under way is.
#[derive(Clone, Debug)]
pub(crate) enum Offer {
    /// A leg's, straight to the candidate.
    Leg(MessageId),
    /// A leg's (to this candidate), to a custodian.
    Spray(MessageId, NodeId),
    /// A letter of our own (a receipt, a question): stored if it finds no way.
    Letter { recipient: NodeId, envelope: Vec<u8>, expires: Timestamp, words: Vec<(MessageId, Word)> },
    /// A custody copy, on to its recipient or to another custodian.
    Copy { recipient: NodeId },
}

/// How delivery's memory changes.
#[derive(Debug)]
pub(crate) enum Change {
    Hold(MessageId, Box<Held>),
    /// It came through a door without enrolment, then.
    Stranger(MessageId, Timestamp),
    Release(MessageId),
    Leg(MessageId, NodeId, legs::Leg),
    Attempted(MessageId, std::time::Duration),
    Parked(MessageId),
    Sprayed(MessageId, NodeId, Timestamp),
    Offered(NodeId, EnvelopeId, Offer),
    Answered(NodeId, EnvelopeId),
    Stored(NodeId, EnvelopeId, Copy),
    Dropped(NodeId, EnvelopeId),
    CopySpread(NodeId, EnvelopeId),
    Gather(NodeId, Vec<Receipt>),
    Flushed(NodeId),
    GatherDecline(NodeId, Receipt),
    DeclinesFlushed(NodeId),
    Proved(NodeId),
    Failed(NodeId),
    Seen(EnvelopeId),
    Decay,
}

impl State {
    /// Whether a message waits for a home here.
    pub(crate) fn holds(&self, message: &MessageId) -> bool {
        self.held.get(message).is_some()
    }

    /// Messages that wait for a home.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// Envelopes held for others, and own letters that found no way yet.
    pub(crate) fn custody(&self) -> usize {
        self.copies.values().map(BTreeMap::len).sum()
    }

    pub(crate) fn apply(&mut self, change: Change) {
        self.strangers.note(&change);
        match change {
            Change::Stranger(..) => {}
            Change::Hold(message, held) => self.held.hold(message, *held),
            Change::Release(message) => self.held.release(&message),
            Change::Leg(message, node, leg) => self.held.leg(message, node, leg),
            Change::Attempted(message, delay) => self.held.attempted(&message, delay),
            Change::Parked(message) => self.held.park(&message),
            Change::Sprayed(message, candidate, at) => self.held.sprayed(&message, candidate, at),
            Change::Offered(to, envelope, offer) => {
                self.offers.insert((to, envelope), offer);
            }
            Change::Answered(to, envelope) => {
                self.offers.remove(&(to, envelope));
            }
            Change::Stored(recipient, envelope, copy) => self.store(recipient, envelope, copy),
            Change::Dropped(recipient, envelope) => self.drop_copy(&recipient, &envelope),
            Change::CopySpread(recipient, envelope) => {
                if let Some(copy) = self.copies.get_mut(&recipient).and_then(|c| c.get_mut(&envelope)) {
                    copy.budget = 0;
                }
            }
            Change::Gather(to, receipts) => {
                let gathered = self.gathered.entry(to).or_default();
                // An acceptance travels again beside the outcome.
                gathered.retain(|waiting| !receipts.contains(waiting));
                gathered.extend(receipts);
            }
            Change::Flushed(to) => {
                self.gathered.remove(&to);
            }
            Change::GatherDecline(to, receipt) => self.declines.entry(to).or_default().push(receipt),
            Change::DeclinesFlushed(to) => {
                self.declines.remove(&to);
            }
            Change::Proved(node) => self.standing.entry(node).or_default().proved(),
            Change::Failed(node) => self.standing.entry(node).or_default().failed(),
            Change::Seen(envelope) => self.remember(envelope),
            Change::Decay => self.standing.values_mut().for_each(Standing::decay),
        }
    }

    fn store(&mut self, recipient: NodeId, envelope: EnvelopeId, copy: Copy) {
        self.copies_bytes += copy.bytes;
        if let Some(old) = self.copies.entry(recipient).or_default().insert(envelope, copy) {
            self.copies_bytes = self.copies_bytes.saturating_sub(old.bytes);
        }
    }

    fn drop_copy(&mut self, recipient: &NodeId, envelope: &EnvelopeId) {
        let Some(copies) = self.copies.get_mut(recipient) else { return };
        if let Some(old) = copies.remove(envelope) {
            self.copies_bytes = self.copies_bytes.saturating_sub(old.bytes);
        }
        if copies.is_empty() {
            self.copies.remove(recipient);
        }
    }

    fn remember(&mut self, envelope: EnvelopeId) {
        if self.seen.insert(envelope, ()).is_none() {
            self.seen_order.push_back(envelope);
        }
        while self.seen_order.len() > SEEN_MAX {
            if let Some(old) = self.seen_order.pop_front() {
                self.seen.remove(&old);
            }
        }
    }
}

/// How full everything is that others can fill.
pub(crate) fn gauges(node: &Node) -> Vec<Gauge> {
    let state = &node.delivery;
    let mut gauges = vec![
        Gauge { name: "envelopes_seen", value: state.seen.len(), cap: SEEN_MAX },
        room::held_gauge(state),
        room::strangers_gauge(state),
    ];
    gauges.extend(custody::gauges(node));
    gauges
}

/// Rows of one table.
type Rows = [(Key, Vec<u8>)];
