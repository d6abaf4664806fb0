//! A message's way from its ingress to its home: legs to candidates, receipts back, custody for others, bundles.
//!
//! `route` decides what happens to an envelope that no one accepts.

mod away;
mod body;
mod bundle;
mod copies;
mod custody;
mod fits;
mod legs;
mod letters;
mod links;
mod outbox;
mod quota;
mod receipts;
mod room;
mod route;
mod standing;
mod window;

use std::collections::{BTreeMap, VecDeque};

use relaymesh_protocol::ids::{EnvelopeId, MessageId, NodeId, Timestamp};

pub use body::{Answer, Body, Cargo, Opened, Question, Receipt, Route, SmsEnd, SmsRequest, Submission};
pub use outbox::{OUTCOME_LIFE, Outbox, RESEND_LIFE, STOP_LIFE, SUBMISSION_LIFE, Stage};

pub(crate) use away::{on_news, on_reach};
pub use bundle::BUNDLE_BYTES_MAX;
pub(crate) use bundle::{on_import, on_operator, read_bundle};
pub(crate) use custody::on_custody;
pub use letters::print_of;
pub(crate) use letters::{offer_sms, on_carried, on_envelope, send};
pub(crate) use links::{on_link, on_link_again};
pub(crate) use receipts::{on_declines, on_flush, on_receipt, on_receipts, say, say_declined};
pub(crate) use room::make_room;
pub(crate) use route::{
    daily, hold, on_forget, on_leg_silent, on_route, restore, route_all, route_some, start, withdraw,
};
pub use window::Line;
pub(crate) use window::on_window;

use crate::batch::Key;
use crate::home::Word;
use crate::node::Node;
use crate::record;
use crate::tx::Tx;
use crate::watch::Gauge;
use bundle::{Importing, Turns};
use copies::{Copies, Copy};
use legs::Held;
use quota::Quotas;
use standing::Standing;
use window::Waiting;

/// The types that are stored here, for fuzzing.
pub(crate) const STORED: [record::Reader; 2] = [record::Reader::of::<custody::Row>(), record::Reader::of::<Outbox>()];

/// Envelopes remembered against repeats, by [`letters::print_of`].
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
    /// Envelopes held for others and own letters that found no way.
    copies: Copies,
    /// How many envelopes each peer may hand over.
    quotas: Quotas,
    /// Candidates that could not be reached.
    absent: away::Absent,
    /// When a link to each member last set something in motion.
    passes: links::Passes,
    /// Receipts that wait a moment for company.
    gathered: BTreeMap<NodeId, receipts::Gathered>,
    declines: BTreeMap<NodeId, Vec<Receipt>>,
    standing: BTreeMap<NodeId, Standing>,
    seen: BTreeMap<EnvelopeId, ()>,
    seen_order: VecDeque<EnvelopeId>,
    /// Where the last bundle stopped.
    turns: Turns,
    /// A bundle that is being taken in.
    importing: Option<Importing>,
}

/// What an envelope under way is.
#[derive(Clone, Debug)]
pub(crate) enum Offer {
    /// A leg's, straight to the candidate.
    Leg(MessageId),
    /// A leg's (to this candidate), to a custodian.
    Spray(MessageId, NodeId),
    /// A letter of our own (a receipt, a question).
    Letter { recipient: NodeId, envelope: Vec<u8>, expires: Timestamp, loss: Loss },
    /// A request for an SMS, straight to the node that shall send it.
    Sms([u8; 16]),
    /// A custody copy, on to its recipient or to another custodian.
    Copy { recipient: NodeId },
}

/// What becomes of a letter that did not arrive.
#[derive(Clone, Debug)]
pub(crate) enum Loss {
    /// It goes into custody here, so that others or a stick carry it.
    Kept,
    /// These are said again until they are heard; see [`crate::home`].
    SaidAgain(Vec<(MessageId, Word)>),
    /// Nothing: whoever it is for asks again.
    Forgotten,
}

/// How delivery's memory changes. Envelopes are named by [`letters::print_of`].
#[derive(Debug)]
pub(crate) enum Change {
    Hold(MessageId, Box<Held>),
    /// It came through a door without enrolment, then.
    Stranger(MessageId, Timestamp),
    Release(MessageId),
    Leg(MessageId, NodeId, legs::Leg),
    Attempted(MessageId, std::time::Duration),
    /// After so many changes of the filters they name these.
    Named(MessageId, u64, Vec<NodeId>),
    Parked(MessageId),
    Sprays(MessageId, Timestamp),
    Sprayed(MessageId, NodeId, Timestamp),
    Missed(NodeId, std::time::Duration, Timestamp),
    TryAgain(NodeId),
    Found(NodeId),
    Linked(NodeId, Timestamp),
    Offered(NodeId, EnvelopeId, Offer),
    Answered(NodeId, EnvelopeId),
    Stored(NodeId, EnvelopeId, Copy),
    Dropped(NodeId, EnvelopeId),
    CopySpread(NodeId, EnvelopeId),
    /// A recipient of copies could not be reached, then, or was.
    CopyMissed(NodeId, Timestamp),
    CopyMet(NodeId),
    Came(NodeId, Timestamp),
    Gather(NodeId, Vec<Receipt>),
    Flushed(NodeId, Timestamp),
    Passed(NodeId, Timestamp),
    GatherDecline(NodeId, Receipt),
    DeclinesFlushed(NodeId),
    Proved(NodeId),
    Failed(NodeId),
    Forfeited(NodeId),
    Seen(EnvelopeId),
    Decay,
    Bundled(Turns),
    Import(Option<Box<Importing>>),
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

    /// How many of them came before a moment.
    pub(crate) fn held_before(&self, moment: Timestamp) -> usize {
        self.held.iter().filter(|(_, held)| held.received < moment).count()
    }

    /// Envelopes held for others, and own letters that found no way yet.
    pub(crate) fn custody(&self) -> usize {
        self.copies.len()
    }

    /// How a node kept its word; higher is better.
    pub(crate) fn score(&self, node: &NodeId) -> i32 {
        self.standing.get(node).copied().unwrap_or_default().score()
    }

    pub(crate) fn apply(&mut self, change: Change) {
        self.strangers.note(&change);
        match change {
            Change::Stranger(..) => {}
            Change::Hold(message, held) => self.held.hold(message, *held),
            Change::Release(message) => self.held.release(&message),
            Change::Leg(message, node, leg) => self.held.leg(message, node, leg),
            Change::Attempted(message, delay) => self.held.attempted(&message, delay),
            Change::Named(message, changes, nodes) => self.held.named(&message, changes, nodes),
            Change::Parked(message) => self.held.park(&message),
            Change::Sprays(message, at) => self.held.sprays(&message, at),
            Change::Sprayed(message, candidate, at) => self.held.sprayed(&message, candidate, at),
            Change::Missed(node, pause, now) => self.absent.missed(node, pause, now),
            Change::TryAgain(node) => self.absent.try_again(&node),
            Change::Found(node) => self.absent.found(&node),
            Change::Linked(node, now) => self.absent.linked(&node, now),
            Change::Offered(to, envelope, offer) => {
                self.offers.insert((to, envelope), offer);
            }
            Change::Answered(to, envelope) => {
                self.offers.remove(&(to, envelope));
            }
            Change::Stored(recipient, envelope, copy) => self.copies.store(recipient, envelope, copy),
            Change::Dropped(recipient, envelope) => self.copies.remove(&recipient, &envelope),
            Change::CopyMissed(recipient, now) => self.copies.missed(recipient, now),
            Change::CopyMet(recipient) => self.copies.met(&recipient),
            Change::CopySpread(recipient, envelope) => self.copies.spent(&recipient, &envelope),
            Change::Came(peer, at) => self.quotas.count(peer, at),
            Change::Gather(to, receipts) => {
                self.gathered.entry(to).or_default().add(receipts);
            }
            Change::Flushed(to, at) => self.gathered.entry(to).or_default().flushed(at),
            Change::Passed(peer, at) => self.passes.passed(peer, at),
            Change::GatherDecline(to, receipt) => self.declines.entry(to).or_default().push(receipt),
            Change::DeclinesFlushed(to) => {
                self.declines.remove(&to);
            }
            Change::Proved(node) => self.standing.entry(node).or_default().proved(),
            Change::Failed(node) => self.standing.entry(node).or_default().failed(),
            Change::Forfeited(node) => self.standing.entry(node).or_default().forfeit(),
            Change::Seen(envelope) => self.remember(envelope),
            Change::Bundled(turns) => self.turns = turns,
            Change::Import(importing) => self.importing = importing.map(|importing| *importing),
            Change::Decay => {
                self.standing.values_mut().for_each(Standing::decay);
                self.gathered.retain(|_, gathered| !gathered.is_empty());
            }
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

/// Whom the filters name for a message that waits, unless they have changed since they were asked.
pub(crate) fn named<'n>(node: &'n Node, message: &MessageId, changes: u64) -> Option<&'n [NodeId]> {
    let (then, nodes) = node.delivery.held.get(message)?.named.as_ref()?;
    (*then == changes).then_some(nodes)
}

/// Remembers whom they name.
pub(crate) fn name(tx: &mut Tx<'_>, message: MessageId, changes: u64, nodes: Vec<NodeId>) {
    tx.then(Change::Named(message, changes, nodes));
}

/// How full everything is that others can fill.
pub(crate) fn gauges(node: &Node) -> Vec<Gauge> {
    let state = &node.delivery;
    let mut gauges = vec![
        Gauge { name: "envelopes_seen", value: state.seen.len(), cap: SEEN_MAX },
        room::held_gauge(state),
        room::strangers_gauge(state),
    ];
    gauges.extend(state.copies.gauges());
    gauges
}

/// Rows of one table.
type Rows = [(Key, Vec<u8>)];
