//! What the watcher sees of this world, and when it looks. The rules and the books are in `crate::invariants`.

use relaymesh_protocol::detect::parse_text;
use relaymesh_protocol::frame::{Carried, Taken};
use relaymesh_protocol::ids::{EnvelopeId, MessageId, NodeId};
use relaymesh_seal::envelope::Header;
use sha2::{Digest as _, Sha256};

use super::frames::{Frame, Waiter};
use super::people::number;
use super::{Event, World};
use crate::invariants::{
    BOUNDED_QUEUES, CONSERVATION, HEAL, HEAL_CONVERGES, Knowledge, Loss, Mark, NOTHING_HELD_FOR_REACHABLE,
    PLAINTEXT_ONLY_AT_HOME, WITHIN_HOLDINGS, shows_secret,
};
use crate::kernel::{Span, Time};
use crate::outcome::System;
use crate::scenario::FaultKind;

/// A ratchet skips so many messages of one person at most; what comes after a longer gap cannot be opened.
const SKIP_MAX: usize = 100;

impl World<'_> {
    fn break_all(&mut self, losses: impl IntoIterator<Item = Loss>) {
        for (invariant, what) in losses {
            self.violate(invariant, what);
        }
    }

    /// Whether the world was only run to see this invariant break, and it has.
    pub(super) fn is_enough(&self) -> bool {
        let wanted = self.options.until.as_deref();
        wanted.is_some_and(|wanted| self.violations.iter().any(|violation| violation.invariant == wanted))
    }

    /// Somebody has written a message.
    pub(super) fn note_written(&mut self, person: u32, text: &str) {
        let Ok(message) = parse_text(text) else { return };
        let id = match message.payload.device_id() {
            Some(device) => MessageId::of(device.as_bytes(), &message.bytes),
            None => MessageId::of(number(person).reveal().as_bytes(), &message.bytes),
        };
        let mut block = [0; 16];
        block.copy_from_slice(&Sha256::digest(message.payload.block())[..16]);
        let home = self.people[person as usize].home;
        self.watch.written(&id, &block, home);
        let day = self.day();
        self.ledger.wrote(person, day);
    }

    /// A batch of a node is durable.
    pub(super) fn note_durable(&mut self, node: u16, marks: Vec<Mark>) {
        if marks.is_empty() {
            return;
        }
        self.note_holdings(node, &marks);
        let Some(core) = self.nodes[usize::from(node)].core() else { return };
        let published = |message: u32| self.messages.get(message as usize).is_some_and(|own| own.published.is_some());
        let losses = self.watch.durable(node, self.now, marks, core, &published);
        self.break_all(losses);
    }

    /// A node said yes to a gateway client.
    pub(super) fn note_accepted(&mut self, node: u16, message: u32, id: &MessageId) {
        let on_disk = self.nodes[usize::from(node)].disk.has(&relaymesh_core::record::key::outbox(id));
        let loss = self.watch.accepted(node, message, self.now, on_disk);
        self.break_all(loss);
    }

    /// Whose envelope this is, if it is not the receiver's own, and when its time is over.
    pub(super) fn foreign(&mut self, to: u16, carried: &Carried) -> Option<(NodeId, Time)> {
        if self.options.deep {
            self.search(carried);
        }
        let header = Header::parse(&carried.envelope).ok()?;
        let own = header.recipient == self.nodes[usize::from(to)].id;
        (!own).then(|| (header.recipient, Time::of(header.expiry)))
    }

    /// No frame shows a text or a token.
    fn search(&mut self, carried: &Carried) {
        if shows_secret(&carried.envelope) {
            self.violate(PLAINTEXT_ONLY_AT_HOME, "an envelope shows a text or a token".to_owned());
        }
    }

    /// A node said what became of an envelope that a peer handed it.
    pub(super) fn note_taken(
        &mut self,
        node: u16,
        from: u16,
        envelope: EnvelopeId,
        foreign: Option<(NodeId, Time)>,
        taken: Taken,
    ) {
        let id = self.nodes[usize::from(node)].id;
        match foreign {
            Some((recipient, expires)) if taken == Taken::Yes => {
                let row = relaymesh_core::record::key::custody(&recipient, &envelope);
                let on_disk = self.nodes[usize::from(node)].disk.has(&row);
                let loss = self.watch.acknowledged(node, (recipient, envelope), expires, on_disk);
                self.break_all(loss);
            }
            None if !matches!(taken, Taken::Busy { .. }) => self.watch.handed(from, &(id, envelope)),
            _ => {}
        }
    }

    /// A node lost its memory or starts again.
    pub(super) fn check_disk(&mut self, node: u16) {
        let disk = &self.nodes[usize::from(node)].disk;
        let losses = self.watch.check_disk(node, &|row| disk.has(row));
        self.break_all(losses);
    }

    /// A declared fault took a node's disk.
    pub(super) fn lose_node(&mut self, node: u16) {
        self.watch.lost_disk(node);
        self.ledger.lost(node);
    }

    /// Rules that only the whole state shows.
    pub(super) fn check_midnight(&mut self) {
        if let Some(what) = self.copies_differ() {
            self.violate(CONSERVATION, what);
        }
        let fates: Vec<_> = self.messages.iter().map(|own| own.fate(self.is_safe(own))).collect();
        if self.system != System::Upstream
            && let Some(what) = self.fates.count(fates.into_iter())
        {
            self.violate(CONSERVATION, what);
        }
        let orphans = self.watch.orphans();
        self.break_all(orphans);
        for node in 0..self.nodes.len() {
            let Some(core) = self.nodes[node].core() else { continue };
            for gauge in core.gauges() {
                #[allow(clippy::cast_precision_loss, reason = "a share to look at")]
                let share = gauge.value as f64 / gauge.cap as f64;
                let fullest = self.fullest.entry(gauge.name).or_default();
                *fullest = fullest.max(share);
                if gauge.is_within() {
                    continue;
                }
                self.violate(
                    BOUNDED_QUEUES,
                    format!("{} of node {node}: {} of {}", gauge.name, gauge.value, gauge.cap),
                );
            }
        }
    }

    /// Every copy that a message is said to have is somewhere, and no other.
    fn copies_differ(&self) -> Option<String> {
        let mut on_the_way = vec![0_u16; self.messages.len()];
        let mut at_gateways = vec![0_u16; self.messages.len()];
        for event in self.queue.iter() {
            if let Event::Arrive { message, .. } = event {
                on_the_way[*message as usize] += 1;
            }
        }
        let kept = self.gateways.iter().flat_map(super::Gateway::kept);
        let posted = self.frames.iter().filter_map(|(_, flying)| match &flying.frame {
            Frame::Post { message, .. } | Frame::Central { message, .. } => Some(*message),
            _ => None,
        });
        let waiting = self.waiters.iter().filter_map(|(_, (.., waiter))| match waiter {
            Waiter::Gateway { message, .. } => Some(*message),
            _ => None,
        });
        for message in kept.chain(posted).chain(waiting) {
            at_gateways[message as usize] += 1;
        }
        let differs = |n: usize| {
            let own = &self.messages[n];
            u16::from(own.in_flight) != on_the_way[n] || u16::from(own.at_gateways) != at_gateways[n]
        };
        let at = (0..self.messages.len()).find(|n| differs(*n))?;
        let own = &self.messages[at];
        let (sms, phones) = (on_the_way[at], at_gateways[at]);
        Some(format!(
            "message {at}: {} copies on the way and {} at gateway clients, seen {sms} and {phones}",
            own.in_flight, own.at_gateways
        ))
    }

    /// Sets the moment from which the mesh has its time to come together, before the end.
    pub(super) fn start_watch(&mut self) {
        if self.end.0 > HEAL.0 {
            self.push(Span(self.end.0 - HEAL.0), Event::Watch);
        }
    }

    pub(super) fn on_watch(&mut self) {
        let mut known = Knowledge::default();
        for node in self.settled(self.now) {
            if let Some(core) = self.nodes[usize::from(node)].core() {
                known.add(core);
            }
        }
        self.known = Some(known);
    }

    /// Honest nodes that have been up since `since`, with a clock that is right.
    fn settled(&self, since: Time) -> Vec<u16> {
        let fit = |node: &super::SimNode| node.alive() && node.up_since <= since && node.skew_ms == 0;
        self.indices(fit).into_iter().filter(|node| !self.watch.is_liar(*node)).collect()
    }

    /// Whether nothing has disturbed the mesh since then.
    fn calm(&self, since: Time) -> bool {
        let lasting = |kind| {
            use FaultKind as K;
            matches!(
                kind,
                K::Seize | K::NumberBlock | K::NumberHunt | K::Coerce | K::PlatformDown | K::FlashCrowd | K::SmsOff
            )
        };
        let origin = self.scenario.warmup;
        let disturbs = |struck: &&super::Struck| {
            let gone = struck.kind == FaultKind::Crash && struck.disk == Some(crate::scenario::Disk::Lost);
            let begun = origin.0 + struck.from.0 <= self.now.0;
            let over = struck.until.is_some_and(|until| origin.0 + until.0 <= since.0);
            begun && !over && !lasting(struck.kind) && !gone
        };
        self.watch.calm_since <= since && !self.faults.iter().any(|struck| disturbs(&struck))
    }

    /// Some hours after the last fault the mesh has come together.
    pub(super) fn check_healed(&mut self) {
        let since = Time(self.now.0.saturating_sub(HEAL.0));
        let meshed = self.system == System::Mesh && self.scenario.switches.mesh;
        if !meshed || self.now < self.end || !self.calm(since) {
            return;
        }
        self.count("heal_checked");
        let settled = self.settled(since);
        if let Some(known) = self.known.take() {
            for node in &settled {
                let mut own = Knowledge::default();
                if let Some(core) = self.nodes[usize::from(*node)].core() {
                    own.add(core);
                }
                let missing = known.missing_in(&own);
                if let Some(first) = missing.first() {
                    let what = format!("node {node} lacks {} facts and filters, {first} first", missing.len());
                    self.violate(HEAL_CONVERGES, what);
                }
            }
        }
        for node in &settled {
            for message in self.stuck(*node, &settled, since) {
                let home = self.people[self.messages[message as usize].person as usize].home;
                let what = format!("node {node} holds message {message} for node {home}, which it can reach");
                self.violate(NOTHING_HELD_FOR_REACHABLE, what);
            }
        }
    }

    /// Messages that a node has held since then although their home is settled and can be reached. Only those with a device
    /// ID: a number is found by partners alone.
    fn stuck(&self, node: u16, settled: &[u16], since: Time) -> Vec<u32> {
        let held = self.watch.copies(node).held.iter().filter(|(_, (_, at))| *at <= since);
        let stuck = held.filter(|(message, _)| {
            let person = self.messages[**message as usize].person;
            let who = &self.people[person as usize];
            let spot = |of: u16| &self.nodes[usize::from(of)].spot;
            who.names_device
                && settled.contains(&who.home)
                && self.internet.open(spot(node), spot(who.home))
                && self.gap_before(person, **message) < SKIP_MAX
        });
        stuck.map(|(message, _)| *message).collect()
    }

    /// How many messages of a person before this one have not reached the home, since the last one that has.
    fn gap_before(&self, person: u32, message: u32) -> usize {
        let before = (0..message).rev().filter(|other| self.messages[*other as usize].person == person);
        before.take_while(|other| !self.watch.is_consumed(*other)).count()
    }

    /// Whole days since the warm-up.
    pub(super) fn day(&self) -> u32 {
        let since = self.now.since(Time(self.scenario.warmup.0));
        u32::try_from(since.0 / Span::DAY.0).unwrap_or(u32::MAX)
    }

    /// Somebody knows more than its part needs.
    pub(super) fn overstep(&mut self, what: String) {
        self.violate(WITHIN_HOLDINGS, what);
    }
}
