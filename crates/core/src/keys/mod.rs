//! The care for the node's own keys: which are made when, which are destroyed, and that none is used before it is saved.

mod bridge;
mod epoch;
#[cfg(test)]
mod tests;
mod turn;

use std::time::Duration;

use relaymesh_protocol::ids::Timestamp;
use relaymesh_seal::keyfile::Keyring;
use zeroize::Zeroizing;

use crate::WorkId;
use crate::batch::Key;
use crate::input::ReplyTo;
use crate::locator;
use crate::membership;
use crate::node::Node;
use crate::output::{Output, WorkDone};
use crate::record;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

pub(crate) use bridge::on_operator;

use epoch::Pass;

/// The types that are stored here, for fuzzing.
pub(crate) const STORED: [record::Reader; 1] = [record::Reader::of::<epoch::Marker>()];

/// One day, in milliseconds.
const DAY_MS: u64 = 86_400_000;
/// Nodes do their daily work within this many minutes after midnight UTC, each at its own.
const SPREAD_MINUTES: u64 = 60;
/// When the key file could not be written, the daily work is done again so much later.
const RETRY: Duration = Duration::from_secs(3_600);

/// A keyring on its way to the disk.
#[derive(Debug)]
struct Saving {
    id: WorkId,
    ring: Box<Keyring>,
    /// The operator who waits for it.
    reply: ReplyTo,
}

/// The keys in use.
#[derive(Debug)]
pub(crate) struct State {
    ring: Keyring,
    saving: Option<Saving>,
    pass: Option<Pass>,
    /// When the daily work is to be done next; it was done whole before.
    next_daily: Timestamp,
}

/// How this conversation's memory changes.
#[derive(Debug)]
pub(crate) enum Change {
    Saving { id: WorkId, ring: Box<Keyring>, reply: ReplyTo },
    Saved,
    Unsaved,
    Pass(Option<Pass>),
    NextDaily(Timestamp),
}

impl State {
    pub(crate) fn new(ring: Keyring) -> Self {
        Self { ring, saving: None, pass: None, next_daily: Timestamp(0) }
    }

    /// The keys in use: none that is not saved.
    pub(crate) fn ring(&self) -> &Keyring {
        &self.ring
    }

    /// Whether this work saves the keyring, or is the next step of a pass.
    pub(crate) fn awaits(&self, id: WorkId) -> bool {
        self.saving.as_ref().is_some_and(|saving| saving.id == id)
            || self.pass.as_ref().is_some_and(|pass| pass.id == id)
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Saving { id, ring, reply } => self.saving = Some(Saving { id, ring, reply }),
            Change::Saved => {
                if let Some(saving) = self.saving.take() {
                    self.ring = *saving.ring;
                }
            }
            Change::Unsaved => self.saving = None,
            Change::Pass(pass) => self.pass = pass,
            Change::NextDaily(at) => self.next_daily = at,
        }
    }
}

/// The private half of a static bridge key.
pub(crate) fn static_secret(node: &Node, kid: u8) -> Option<Zeroizing<[u8; 32]>> {
    let secret = node.keys().statics.iter().find(|(id, _)| *id == kid);
    secret.map(|(_, secret)| Zeroizing::new(*secret.danger_bytes()))
}

/// Nothing of this conversation is rebuilt from the store: keys come from the key file, a pass begins anew.
pub(crate) fn restore_meta(_: &mut Node, _: &[(Key, Vec<u8>)], _: Timestamp) {}

/// Catches up with what was due while the node was off.
pub(crate) fn start(node: &Node, tx: &mut Tx<'_>) -> Run {
    daily(node, tx)
}

/// Makes the keys that are due, destroys those that are over, and moves entities to the newest epoch.
pub(crate) fn daily(node: &Node, tx: &mut Tx<'_>) -> Run {
    let next = next_daily(node, tx.now());
    tx.then(Change::NextDaily(next));
    tx.wake(next, Timer::Daily);
    if node.keys.saving.is_some() {
        return Ok(());
    }
    if let Some(ring) = turn::turned(node.keys(), tx.now(), tx.rng()) {
        save(tx, ring, ReplyTo::NOBODY);
        return Ok(());
    }
    epoch::begin(node, tx)
}

/// Whether the daily work was due long ago: a store that fails at that moment takes the next wake-up with it.
pub(crate) fn is_overdue(node: &Node, now: Timestamp) -> bool {
    node.keys.next_daily.after(RETRY) <= now
}

/// The next midnight UTC, and this node's minute of the hour after it.
fn next_daily(node: &Node, now: Timestamp) -> Timestamp {
    let [a, b, ..] = node.id().0;
    let minute = u64::from(u16::from_be_bytes([a, b])) % SPREAD_MINUTES;
    let at = now.0 - now.0 % DAY_MS + minute * 60_000;
    Timestamp(if at > now.0 { at } else { at + DAY_MS })
}

/// Saves a keyring; it is in use once that is done.
fn save(tx: &mut Tx<'_>, ring: Keyring, reply: ReplyTo) {
    let id = WorkId(u64::from_be_bytes(tx.random()));
    let ring = Box::new(ring);
    tx.then(Change::Saving { id, ring: ring.clone(), reply });
    tx.output(Output::SaveKeys { id, keyring: ring });
}

/// The key file was written, or not; or a pass over the entities goes on.
pub(crate) fn on_worked(node: &Node, tx: &mut Tx<'_>, id: WorkId, done: &WorkDone) -> Run {
    let WorkDone::KeysSaved(saved) = done else { return Ok(()) };
    if node.keys.pass.as_ref().is_some_and(|pass| pass.id == id) {
        return epoch::step(node, tx);
    }
    let Some(saving) = node.keys.saving.as_ref().filter(|saving| saving.id == id) else { return Ok(()) };
    if saved.is_err() {
        node.count(tx, "keys_not_saved");
        tx.then(Change::Unsaved);
        tx.wake(tx.now().after(RETRY), Timer::Daily);
        return bridge::not_saved(tx, saving.reply);
    }
    tx.then(Change::Saved);
    bridge::saved(node, tx, saving.reply, &saving.ring);
    membership::see_to_records(tx);
    locator::look_soon(tx);
    epoch::resume(tx);
    Ok(())
}
