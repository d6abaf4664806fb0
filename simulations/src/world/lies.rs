//! Liars at work: what they do with frames that reach them, and what they do by the clock. Who lies how is decided in
//! `crate::adversary`; each lie is counted.

use relaymesh_core::{Input, ReplyTo, bench};
use relaymesh_protocol::frame::{Carried, Request, Response, Taken};
use relaymesh_protocol::ids::EnvelopeId;
use relaymesh_seal::envelope::Header;

use super::people::number;
use super::{Event, World};
use crate::adversary::{Letters, is_about, rubbish};
use crate::kernel::{Purpose, Span, Time};
use crate::scenario::Behaviour;

/// Copies of everything that a duplicator hands on.
const DUPLICATES: u64 = 3;
/// A delayer hands on so much later.
const DELAY: (Span, Span) = (Span::hours(1), Span::hours(8));
/// A flooder's pause, and the rubbish that it sends then at rate 1.
const FLOOD_EVERY: Span = Span::secs(60);
const FLOOD_MOST: f64 = 256.0;
/// Share of the rubbish that goes to one and the same node.
const VICTIM_SHARE: f64 = 0.75;
/// Liars that publish begin a moment after the start, when they know the others.
const PUBLISH_AFTER: Span = Span::secs(60);

impl World<'_> {
    /// Whether a liar does something of this kind now.
    fn tempted(&self, node: u16, behaviour: Behaviour) -> bool {
        self.lies.rate(node, behaviour, self.now).is_some_and(|rate| {
            let draw = self.chance.draw(Purpose::Adversary, u64::from(node) << 8 | behaviour as u64, self.frame_count);
            draw.happens(rate)
        })
    }

    /// Begins what liars do by the clock.
    pub(super) fn start_lies(&mut self) {
        for node in self.lies.liars().to_vec() {
            for lie in self.lies.of(node).to_vec() {
                let at = match lie.behaviour {
                    Behaviour::Sybil if lie.from > Time::ZERO => {
                        // They are not there before.
                        self.take_down(node);
                        lie.from
                    }
                    Behaviour::Sybil | Behaviour::StuffedFilter if lie.from == Time::ZERO => {
                        self.claim_everybody(node);
                        continue;
                    }
                    Behaviour::StuffedFilter => lie.from,
                    Behaviour::CopiedFilter | Behaviour::Flood => lie.from.max(Time(PUBLISH_AFTER.0)),
                    _ => continue,
                };
                self.queue.push(at, Event::Lie { node, n: 0 });
            }
        }
    }

    pub(super) fn on_lie(&mut self, node: u16, n: u32) {
        let lies = |world: &Self, behaviour| world.lies.rate(node, behaviour, world.now);
        if lies(self, Behaviour::Flood).is_some() {
            self.flood(node, n);
        }
        if n > 0 {
            return;
        }
        let sybil = lies(self, Behaviour::Sybil).is_some();
        if sybil || lies(self, Behaviour::StuffedFilter).is_some() {
            self.claim_everybody(node);
        }
        if lies(self, Behaviour::CopiedFilter).is_some() {
            self.copy_filter(node);
        }
        if sybil && !self.nodes[usize::from(node)].alive() {
            return self.bring_up(node);
        }
        self.restart(node);
    }

    /// A liar starts again over the records that it has made up.
    fn restart(&mut self, node: u16) {
        let publishes = [Behaviour::StuffedFilter, Behaviour::CopiedFilter, Behaviour::Sybil];
        let changed = publishes.iter().any(|behaviour| self.lies.rate(node, *behaviour, self.now).is_some());
        if changed && self.nodes[usize::from(node)].alive() {
            self.take_down(node);
            self.bring_up(node);
        }
    }

    /// Records by which a liar's own filters name everybody.
    fn claim_everybody(&mut self, node: u16) {
        let at = self.now.timestamp();
        let core = self.nodes[usize::from(node)].idle_core(at);
        for person in 0..u32::try_from(self.people.len()).unwrap_or(u32::MAX) {
            if self.people[person as usize].home == node {
                continue;
            }
            let device = self.people[person as usize].device();
            let seed = self.chance.bytes(Purpose::Adversary, 1 << 60 | u64::from(node), u64::from(person));
            if let Some(batch) = bench::claim(&core, Some(device), &number(person), at, seed) {
                self.nodes[usize::from(node)].disk.apply(batch);
            }
        }
        self.count("lie_claimed");
    }

    /// Another node's filter under a liar's own name.
    fn copy_filter(&mut self, node: u16) {
        let others = self.indices(|other| other.config.roles.vault);
        let others: Vec<u16> = others.into_iter().filter(|other| *other != node).collect();
        let draw = self.chance.draw(Purpose::Adversary, 2 << 60 | u64::from(node), 0);
        let Some(victim) = others.get(draw.below(others.len())) else { return };
        let victim = self.nodes[usize::from(*victim)].id;
        let Some(core) = self.nodes[usize::from(node)].core() else { return };
        if let Some((row, value)) = bench::copied_filter(core, &victim, self.now.timestamp()) {
            self.nodes[usize::from(node)].disk.share(row, value.into());
            self.count("lie_copied");
        }
    }

    /// Rubbish, most of it to one victim, for recipients that are away if there are any: that is what custodians keep.
    fn flood(&mut self, node: u16, n: u32) {
        self.push(FLOOD_EVERY, Event::Lie { node, n: n + 1 });
        if !self.nodes[usize::from(node)].alive() {
            return;
        }
        let rate = self.lies.rate(node, Behaviour::Flood, self.now).unwrap_or(0.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
        let many = (rate * FLOOD_MOST).ceil() as u64;
        let others = self.indices(|other| other.id != self.nodes[usize::from(node)].id);
        let away: Vec<u16> = others.iter().copied().filter(|other| !self.nodes[usize::from(*other)].alive()).collect();
        let victim = self.chance.draw(Purpose::Adversary, 3 << 60 | u64::from(node), u64::MAX).below(others.len());
        for k in 0..many {
            let which = u64::from(n) << 16 | k;
            let draw = self.chance.draw(Purpose::Adversary, 3 << 60 | u64::from(node), which);
            let to = if draw.happens(VICTIM_SHARE) { victim } else { draw.again().below(others.len()) };
            let pool = if away.is_empty() { &others } else { &away };
            let recipient = pool.get(draw.again().again().below(pool.len())).copied();
            let (Some(to), Some(recipient)) = (others.get(to).copied(), recipient) else { return };
            let (to, recipient) = (self.nodes[usize::from(to)].id, self.nodes[usize::from(recipient)].id);
            let seed = self.chance.bytes(Purpose::Adversary, 4 << 60 | u64::from(node), which);
            if let Some((envelope, carried)) = rubbish(recipient, self.now.timestamp(), seed) {
                self.count("lie_flooded");
                self.carry(node, to, envelope, carried);
            }
        }
    }

    /// How often a frame is sent.
    pub(super) fn times_carried(&mut self, from: u16) -> u64 {
        if !self.tempted(from, Behaviour::Duplicate) {
            return 1;
        }
        self.count("lie_duplicated");
        DUPLICATES
    }

    /// Whether a liar that gets an envelope does something else with it than its core would.
    pub(super) fn lies_about(
        &mut self,
        node: u16,
        from: u16,
        boot: u32,
        envelope: EnvelopeId,
        carried: &Carried,
    ) -> bool {
        if !self.lies.is_liar(node) {
            return false;
        }
        let Ok(header) = Header::parse(&carried.envelope) else { return false };
        let foreign = header.recipient != self.nodes[usize::from(node)].id;
        let lied = if foreign { self.misroutes(node, from, carried) } else { self.misreceives(node, carried) };
        if lied {
            let id = self.nodes[usize::from(node)].id;
            let taken = Taken::Yes;
            if !foreign {
                self.watch.handed(from, &(id, envelope));
            }
            self.answer(node, from, boot, Input::Carried { to: id, envelope, taken: Ok(taken) });
        }
        lied
    }

    /// A liar's way with others' envelopes.
    fn misroutes(&mut self, node: u16, from: u16, carried: &Carried) -> bool {
        if self.tempted(node, Behaviour::Drop) {
            self.count("lie_dropped");
            return true;
        }
        if !self.tempted(node, Behaviour::Delay) {
            return false;
        }
        self.count("lie_delayed");
        let draw = self.chance.draw(Purpose::Adversary, 5 << 60 | u64::from(node), self.frame_count);
        let from = Some(self.nodes[usize::from(from)].id);
        let input = Input::Envelope { reply: ReplyTo::NOBODY, from, carried: carried.clone() };
        self.feed_later(draw.span(DELAY.0, DELAY.1), node, input);
        true
    }

    /// A liar's way with what is sealed to itself.
    fn misreceives(&mut self, node: u16, carried: &Carried) -> bool {
        let rate = |behaviour| self.lies.rate(node, behaviour, self.now);
        let sybil = rate(Behaviour::Sybil).is_some();
        let silence = rate(Behaviour::Silence);
        let accepts = self.tempted(node, Behaviour::FalseAccept);
        if !(sybil || accepts || silence.is_some()) {
            return false;
        }
        let sim = &self.nodes[usize::from(node)];
        let seed = self.chance.bytes(Purpose::Adversary, 6 << 60 | u64::from(node), self.frame_count);
        let letters = Letters { crypto: sim.crypto(), keys: &sim.keyring, now: sim.clock(self.now), seed };
        let Some((sender, submission)) = letters.submission(carried) else { return false };
        if accepts {
            let sealing = self.node_of(&sender).and_then(|of| {
                let of = &self.nodes[usize::from(of)];
                of.crypto().publics(&of.keyring).sealing.first().map(|(key, _)| *key)
            });
            let lie = sealing.and_then(|sealing| letters.false_acceptance(&submission, sender, sealing));
            if let Some((id, carried)) = lie {
                self.count("lie_accepted");
                self.carry(node, sender, id, carried);
                return true;
            }
        }
        let chosen = |key| self.chance.draw(Purpose::Adversary, 7 << 60 | u64::from(node), key);
        if silence.is_some_and(|rate| is_about(&submission, |key| chosen(key).happens(rate))) {
            self.count("lie_silent");
            return true;
        }
        if sybil {
            self.count("lie_sybil");
        }
        sybil
    }

    /// Whether a liar that is asked something answers it without its core.
    pub(super) fn lies_to(&mut self, node: u16, from: u16, boot: u32, token: u64, request: &Request) -> bool {
        let Request::WhoHolds { keys } = request else { return false };
        let claims = self.lies.rate(node, Behaviour::Sybil, self.now).is_some();
        if !(claims || self.tempted(node, Behaviour::Eclipse)) {
            return false;
        }
        self.count("lie_held");
        let id = self.nodes[usize::from(node)].id;
        let response = Response::Holds(vec![true; keys.len()]);
        self.answer(node, from, boot, Input::Answered { token, from: id, response: Ok(response) });
        true
    }
}
