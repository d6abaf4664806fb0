//! Which keys are due, and which are over.

use rand_core::CryptoRng;
use relaymesh_protocol::ids::Timestamp;
use relaymesh_seal::Secret32;
use relaymesh_seal::keyfile::Keyring;
use relaymesh_seal::keys::SealingSecret;
use relaymesh_seal::rest::{DayKey, WrapKey};

use super::DAY_MS;

/// A sealing key is published as the newest for so many days.
const SEALING_DAYS: u64 = 7;
/// And opens envelopes for so many more: as long as a submission lives.
const SEALING_KEPT_DAYS: u64 = 120;
/// Day keys live so many days: the longest life of a record without an entity, and a month of grace.
const DAY_KEYS_KEPT: u32 = 150;
/// An oblivious key is published as the newest for so many days.
const OBLIVIOUS_DAYS: u64 = 120;
/// And lives so many days in all, so that cached tags outlive the change.
const OBLIVIOUS_KEPT_DAYS: u64 = 150;

/// The keyring with today's keys; none if nothing is due.
pub(super) fn turned(ring: &Keyring, now: Timestamp, rng: &mut impl CryptoRng) -> Option<Keyring> {
    let today = u32::try_from(now.day()).unwrap_or(u32::MAX);
    let mut next = ring.clone();
    let mut due = false;
    if next.days.iter().all(|(day, _)| *day < today) {
        next.days.push((today, DayKey::random(rng)));
        due = true;
    }
    if next.wraps.iter().all(|(epoch, _)| *epoch < today) {
        next.wraps.push((today, WrapKey::random(rng)));
        due = true;
    }
    if is_due(next.sealing.iter().map(|(_, made)| *made), SEALING_DAYS, now) {
        next.sealing.insert(0, (SealingSecret::generate(rng), now));
        due = true;
    }
    if is_due(next.oblivious.iter().map(|(_, made)| *made), OBLIVIOUS_DAYS, now) {
        next.oblivious.insert(0, (Secret32::random(rng), now));
        due = true;
    }
    let before = (next.days.len(), next.sealing.len(), next.oblivious.len());
    next.days.retain(|(day, _)| day.saturating_add(DAY_KEYS_KEPT) >= today);
    next.sealing.retain(|(_, made)| !is_over(*made, SEALING_DAYS + SEALING_KEPT_DAYS, now));
    next.oblivious.retain(|(_, made)| !is_over(*made, OBLIVIOUS_KEPT_DAYS, now));
    due |= before != (next.days.len(), next.sealing.len(), next.oblivious.len());
    due.then_some(next)
}

fn is_due(made: impl Iterator<Item = Timestamp>, days: u64, now: Timestamp) -> bool {
    made.max().is_none_or(|newest| is_over(newest, days, now))
}

fn is_over(made: Timestamp, days: u64, now: Timestamp) -> bool {
    made.0.saturating_add(days * DAY_MS) <= now.0
}
