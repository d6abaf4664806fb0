//! How many bridge mails go out: for one number, through one gateway client, through one ingress, and from this node.
//!
//! Who writes from a number, or forges it, can make mail; what is over the allowance is declined before anything of it is
//! used up, waits at its ingress, and goes when the next day has room.

use std::collections::BTreeMap;
use std::time::Duration;

use relaymesh_protocol::ids::{E164, Language, NodeId, Timestamp};
use relaymesh_protocol::sms_text::Notice;
use serde::{Deserialize, Serialize};

use super::Change;
use super::consume::Incoming;
use crate::egress;
use crate::node::Node;
use crate::record::{Entity, Stored};
use crate::tx::{Run, Tx};

/// Mails of a number in an hour, and in a day.
const PER_HOUR: u32 = 5;
const PER_DAY: u32 = 20;
/// Mails of a new number in a day, and how long it is new.
const NEW_PER_DAY: u32 = 3;
const NEW_FOR: Duration = Duration::from_hours(72);
/// Mails in a day through one gateway client, through one ingress, and of all.
const GATEWAY_PER_DAY: u32 = 500;
const INGRESS_PER_DAY: u32 = 5_000;
const NODE_PER_DAY: u32 = 10_000;
/// Numbers in a day that write for the first time; each is told so by SMS.
const NEW_NUMBERS_PER_DAY: u32 = 1_000;
/// Table byte of [`Allowance`]; one record, key empty.
const ALLOWANCE: u8 = 13;
const HOUR_MS: u64 = 3_600_000;

/// What a number has used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Allowance {
    /// Its first mail.
    since: Timestamp,
    /// Day, and mails on it.
    day: (u64, u32),
    /// Hour, and mails in it.
    hour: (u64, u32),
    /// Day on which it was told that it has used all.
    told_day: u64,
    /// Of its last mail.
    language: Language,
}

impl Stored for Allowance {}

impl Allowance {
    fn new(now: Timestamp, language: Language) -> Self {
        Self { since: now, day: (0, 0), hour: (0, 0), told_day: 0, language }
    }

    /// Counts a mail, if it may go.
    fn take(&mut self, now: Timestamp, language: Language) -> bool {
        let used = |(at, used): (u64, u32), this: u64| if at == this { used } else { 0 };
        let (day, hour) = (now.day(), now.0 / HOUR_MS);
        let (today, this_hour) = (used(self.day, day), used(self.hour, hour));
        let per_day = if now.since(self.since) < NEW_FOR { NEW_PER_DAY } else { PER_DAY };
        if today >= per_day || this_hour >= PER_HOUR {
            return false;
        }
        (self.day, self.hour, self.language) = ((day, today + 1), (hour, this_hour + 1), language);
        true
    }
}

/// Through whom a mail came. Which gateway client it was is known of this node's own only: another ingress does not tell, and
/// all of its gateway clients are one here.
pub(super) type Via = (NodeId, Option<E164>);

/// Mails of this day, as far as this process saw it. Every entry stands for a mail, so there are no more than mails.
#[derive(Debug, Default)]
pub(super) struct Tally {
    day: u64,
    all: u32,
    new: u32,
    by_ingress: BTreeMap<NodeId, u32>,
    by_gateway: BTreeMap<Via, u32>,
}

impl Tally {
    fn allows(&self, via: &Via, new: bool, now: Timestamp) -> bool {
        now.day() > self.day
            || (self.all < NODE_PER_DAY
                && (!new || self.new < NEW_NUMBERS_PER_DAY)
                && self.by_ingress.get(&via.0).is_none_or(|count| *count < INGRESS_PER_DAY)
                && self.by_gateway.get(via).is_none_or(|count| *count < GATEWAY_PER_DAY))
    }

    pub fn count(&mut self, via: Via, new: bool, at: Timestamp) {
        if at.day() > self.day {
            *self = Self { day: at.day(), ..Self::default() };
        }
        self.all += 1;
        self.new += u32::from(new);
        *self.by_ingress.entry(via.0).or_default() += 1;
        *self.by_gateway.entry(via).or_default() += 1;
    }
}

/// Counts a mail of an entity (`new`: of a number that never wrote), if all four allow it. A number that is over its
/// allowance hears so, at most once a day; nothing else changes then.
pub(super) fn take(
    node: &Node,
    tx: &mut Tx<'_>,
    incoming: &Incoming<'_>,
    entity: &mut Entity,
    new: bool,
    language: Language,
) -> Run<bool> {
    let (now, via) = (tx.now(), (incoming.from, incoming.submission.gateway.clone()));
    let stored = if new { None } else { entity.get::<Allowance>(node, tx, ALLOWANCE, b"")? };
    let mut allowance = stored.unwrap_or_else(|| Allowance::new(now, language));
    let room = node.home.tally.allows(&via, new, now);
    if room && allowance.take(now, language) {
        tx.change(Change::Mailed(via, new, now));
        entity.put(node, tx, ALLOWANCE, b"", &allowance)?;
        return Ok(true);
    }
    node.count(tx, if room { "bridge_over_allowance" } else { "bridge_over_capacity" });
    if let (false, true, Some(number)) = (new, allowance.told_day != now.day(), &incoming.number) {
        allowance.told_day = now.day();
        entity.put(node, tx, ALLOWANCE, b"", &allowance)?;
        egress::notice(node, tx, number, language, &Notice::BridgeLimit)?;
    }
    Ok(false)
}

/// The language of a number's last mail.
pub(super) fn language(node: &Node, tx: &mut Tx<'_>, entity: &Entity) -> Run<Language> {
    Ok(entity.get::<Allowance>(node, tx, ALLOWANCE, b"")?.map_or(Language::EN, |allowance| allowance.language))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(86_400_000 * 20_000);

    fn taken(allowance: &mut Allowance, from: Timestamp, tries: u64, every_ms: u64) -> usize {
        (0..tries).filter(|n| allowance.take(Timestamp(from.0 + n * every_ms), Language::EN)).count()
    }

    #[test]
    fn a_new_number_sends_three_a_day_and_an_old_one_twenty_and_five_an_hour() {
        let mut allowance = Allowance::new(START, Language::EN);
        assert_eq!(taken(&mut allowance, START, 10, 1_000), 3);
        let next = Timestamp(START.0 + 2 * 86_400_000);
        assert_eq!(taken(&mut allowance, next, 24, HOUR_MS), 3, "on the third day");
        let old = START.after(NEW_FOR);
        assert_eq!(taken(&mut allowance, old, 100, 1_000), 5, "in one hour");
        assert_eq!(taken(&mut allowance, Timestamp(old.0 + HOUR_MS), 23 * 60, 60_000), 15, "the rest of the day");
    }

    #[test]
    fn a_refusal_changes_nothing() {
        let mut allowance = Allowance::new(START, Language::EN);
        assert_eq!(taken(&mut allowance, START, 3, 1), 3);
        let before = allowance.clone();
        assert!(!allowance.take(START, Language::FR));
        assert_eq!(allowance, before);
    }

    #[test]
    fn gateway_clients_ingresses_and_the_node_have_their_bounds() {
        let via = |node: u8, gateway: u32| (NodeId([node; 32]), Some(format!("+2376{gateway:08}").parse().unwrap()));
        let mut tally = Tally::default();
        let mut send = |via: Via, tries: u32| {
            (0..tries)
                .filter(|_| tally.allows(&via, false, START).then(|| tally.count(via.clone(), false, START)).is_some())
                .count()
        };
        assert_eq!(send(via(1, 1), 600), 500);
        let rest: usize = (2..30).map(|gateway| send(via(1, gateway), 300)).sum();
        assert_eq!(rest, 4_500, "through one ingress");
        let rest: usize = (2..30).map(|node| send(via(node, 1), 400)).sum();
        assert_eq!(rest, 5_000, "of all");
        assert!(!tally.allows(&via(99, 1), false, START));
        assert!(tally.allows(&via(99, 1), true, START.after(Duration::from_hours(24))));
    }

    #[test]
    fn so_many_numbers_write_for_the_first_time_in_a_day() {
        let mut tally = Tally::default();
        for n in 0..NEW_NUMBERS_PER_DAY {
            let via = (NodeId([(n % 7) as u8; 32]), None);
            assert!(tally.allows(&via, true, START));
            tally.count(via, true, START);
            if n % 400 == 399 {
                tally.by_gateway.clear();
            }
        }
        let via = (NodeId([9; 32]), None);
        assert!(!tally.allows(&via, true, START) && tally.allows(&via, false, START));
    }
}
