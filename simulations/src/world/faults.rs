//! Faults: chosen by labels and chance before the world begins, one entry for each that is struck, so that a run can be
//! written down, shortened and repeated.

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::World;
use super::bootstrap::Bootstrap;
use super::lines::Line;
use super::places::{Labels, Spot, Throttle};
use crate::kernel::{Chance, Purpose, Span};
use crate::scenario::{BitRate, Disk, Fault, FaultKind, Filter, Scenario};

/// Who is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A node, by number.
    Node(u16),
    /// A gateway client, by number.
    Gateway(u16),
    /// The people of a region, by number.
    Region(u16),
    /// Everything.
    World,
}

/// One strike: what happens to whom, from when until when (counted from the end of the warm-up).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Struck {
    /// What.
    pub kind: FaultKind,
    /// Whom.
    pub target: Target,
    /// Which fault of the scenario it came from; partitions of one fault share a side.
    pub of: u16,
    /// From.
    #[serde(with = "crate::scenario::span")]
    pub from: Span,
    /// Until.
    #[serde(default, with = "crate::scenario::span::option")]
    pub until: Option<Span>,
    /// Disk.
    #[serde(default)]
    pub disk: Option<Disk>,
    /// How much.
    #[serde(default)]
    pub amount: Option<f64>,
    /// Added latency.
    #[serde(default, with = "crate::scenario::span::option")]
    pub latency: Option<Span>,
    /// What the line carries.
    #[serde(default)]
    pub rate: Option<BitRate>,
}

/// All strikes of a scenario under a seed's luck.
///
/// # Errors
/// When an expression cannot be read.
pub fn materialise(scenario: &Scenario, chance: &Chance, bootstrap: &Bootstrap) -> Result<Vec<Struck>> {
    let mut all = Vec::new();
    for (of, fault) in (0_u16..).zip(&scenario.fault) {
        let filter = fault.filter.as_deref().map_or(Ok(Filter::All), Filter::parse);
        let filter = filter.with_context(|| format!("fault {} ({:?})", of + 1, fault.kind))?;
        for round in 0..fault.times.max(1) {
            let start = Span(fault.start.0 + fault.every.map_or(0, |every| every.0 * u64::from(round)));
            let struck = strike(fault, of, round, &targets(scenario, bootstrap, fault.kind, &filter), start, chance);
            all.extend(struck);
        }
    }
    Ok(all)
}

fn strike(fault: &Fault, of: u16, round: u32, targets: &[Target], start: Span, chance: &Chance) -> Vec<Struck> {
    let picked: Vec<Target> = match fault.pick {
        None => targets.to_vec(),
        Some(share) => {
            // Exactly that share of them, whoever has the lowest lots.
            let mut lots: Vec<(u64, Target)> = (0..)
                .zip(targets)
                .map(|(n, target)| {
                    let lot = chance.draw(Purpose::FaultPick, u64::from(of) << 32 | u64::from(round), n);
                    (lot.bits(), *target)
                })
                .collect();
            lots.sort_unstable();
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a small number"
            )]
            lots.truncate((lots.len() as f64 * share.0).round() as usize);
            lots.into_iter().map(|(_, target)| target).collect()
        }
    };
    let count = picked.len().max(1) as u64;
    let at = |n: u64| Span(start.0 + fault.over.0 * n / count);
    let spread = !matches!(fault.kind, FaultKind::NumberHunt);
    (0..)
        .zip(picked)
        .map(|(n, target)| {
            let from = if spread { at(n) } else { start };
            let until = if spread { fault.length.map(|length| Span(from.0 + length.0)) } else { Some(fault.over) };
            Struck {
                kind: fault.kind,
                target,
                of,
                from,
                until,
                disk: fault.disk,
                amount: fault.amount,
                latency: fault.latency,
                rate: fault.rate,
            }
        })
        .collect()
}

fn targets(scenario: &Scenario, bootstrap: &Bootstrap, kind: FaultKind, filter: &Filter) -> Vec<Target> {
    let nodes = || {
        let chosen = (0_u16..).zip(&bootstrap.nodes).filter(|(_, node)| filter.chooses(&node.spot.labels));
        chosen.map(|(index, _)| Target::Node(index))
    };
    let gateways = || {
        let chosen = (0_u16..).zip(&bootstrap.stations).filter(|(_, station)| filter.chooses(&station.spot.labels));
        chosen.map(|(index, _)| Target::Gateway(index))
    };
    let regions = || {
        let labels = |name: &str| Labels::new([("kind", "people".to_owned()), ("region", name.to_owned())]);
        let chosen = (0_u16..).zip(&scenario.region).filter(move |(_, region)| filter.chooses(&labels(&region.name)));
        chosen.map(|(index, _)| Target::Region(index))
    };
    match kind {
        FaultKind::InternetCut | FaultKind::Partition | FaultKind::Throttle => {
            nodes().chain(gateways()).chain(regions()).collect()
        }
        FaultKind::SmsOff => regions().collect(),
        FaultKind::NumberBlock | FaultKind::NumberHunt => gateways().collect(),
        FaultKind::ProviderOutage | FaultKind::Crash | FaultKind::Seize | FaultKind::Coerce | FaultKind::ClockSkew => {
            nodes().collect()
        }
        FaultKind::BorderCut | FaultKind::PlatformDown | FaultKind::FlashCrowd => vec![Target::World],
    }
}

impl World<'_> {
    /// Queues all strikes.
    pub(super) fn start_faults(&mut self) {
        let origin = self.scenario.warmup;
        for fault in 0..u32::try_from(self.faults.len()).expect("fewer than 2^32 strikes") {
            let struck = &self.faults[fault as usize];
            if struck.kind == FaultKind::NumberHunt {
                continue;
            }
            let (from, until) = (struck.from, struck.until);
            self.push(Span(origin.0 + from.0), super::Event::Fault { fault, step: 0 });
            if let Some(until) = until {
                self.push(Span(origin.0 + until.0), super::Event::Fault { fault, step: 1 });
            }
        }
    }

    pub(super) fn on_fault(&mut self, fault: u32, step: u8) {
        let struck = self.faults[fault as usize].clone();
        let begins = step == 0;
        self.watch.calm_since = self.now;
        match struck.kind {
            FaultKind::InternetCut => self.on_cut(struck.target, begins),
            FaultKind::BorderCut => step_counter(&mut self.internet.border_cuts, begins),
            FaultKind::PlatformDown => step_counter(&mut self.platform.down, begins),
            FaultKind::Partition => self.on_partition(&struck, begins),
            FaultKind::Throttle => self.on_throttle(&struck, begins),
            FaultKind::SmsOff => self.on_sms_off(&struck, begins),
            FaultKind::NumberBlock => {
                if let Target::Gateway(gateway) = struck.target {
                    self.gateways[usize::from(gateway)].blocked = begins;
                }
            }
            FaultKind::ProviderOutage => self.on_outage(struck.target, begins),
            FaultKind::Crash => self.on_crash(&struck, begins),
            FaultKind::Seize => self.on_seizure(&struck),
            FaultKind::ClockSkew => self.on_skew(fault, &struck, begins),
            FaultKind::FlashCrowd => {
                let factor = struck.amount.unwrap_or(1.0);
                self.load_factor = if begins { self.load_factor * factor } else { self.load_factor / factor };
            }
            FaultKind::Coerce => self.on_coercion(struck.target, begins),
            FaultKind::NumberHunt => {}
        }
        self.drop_links();
        self.wake_gateways();
    }

    pub(super) fn spot(&mut self, target: Target) -> Option<&mut Spot> {
        match target {
            Target::Node(node) => Some(&mut self.nodes[usize::from(node)].spot),
            Target::Gateway(gateway) => Some(&mut self.gateways[usize::from(gateway)].spot),
            Target::Region(_) | Target::World => None,
        }
    }

    fn on_cut(&mut self, target: Target, begins: bool) {
        if let Target::Region(region) = target {
            step_counter(&mut self.offline[usize::from(region)], begins);
        }
        if let Some(spot) = self.spot(target) {
            step_counter(&mut spot.cut, begins);
        }
    }

    fn on_partition(&mut self, struck: &Struck, begins: bool) {
        let side = struck.of;
        if let Some(spot) = self.spot(struck.target) {
            spot.sides.retain(|other| *other != side);
            if begins {
                spot.sides.push(side);
                spot.sides.sort_unstable();
            }
        }
    }

    fn on_throttle(&mut self, struck: &Struck, begins: bool) {
        let throttle = Throttle {
            loss: struck.amount.unwrap_or(0.0),
            latency: struck.latency.unwrap_or_default(),
            line: struck.rate.map(Line::new),
        };
        if let Some(spot) = self.spot(struck.target) {
            spot.throttle = begins.then_some(throttle);
        }
    }

    fn on_sms_off(&mut self, struck: &Struck, begins: bool) {
        let Target::Region(region) = struck.target else { return };
        let loss = struck.amount.unwrap_or(1.0);
        let losses = &mut self.sms_off[usize::from(region)];
        if begins {
            losses.push(loss);
        } else if let Some(at) = losses.iter().position(|other| (other - loss).abs() < f64::EPSILON) {
            losses.remove(at);
        }
    }

    fn on_outage(&mut self, target: Target, begins: bool) {
        if let Target::Node(node) = target {
            if begins { self.take_down(node) } else { self.bring_up(node) }
        }
    }

    fn on_crash(&mut self, struck: &Struck, begins: bool) {
        let Target::Node(node) = struck.target else { return };
        if begins && struck.disk == Some(Disk::Lost) {
            self.take_down(node);
            self.nodes[usize::from(node)].gone = true;
            self.lose_node(node);
            return;
        }
        self.on_outage(struck.target, begins);
    }

    fn on_seizure(&mut self, struck: &Struck) {
        let Target::Node(node) = struck.target else { return };
        if self.nodes[usize::from(node)].gone {
            return;
        }
        self.expose_seized(node, struck.disk);
        self.take_down(node);
        self.nodes[usize::from(node)].gone = true;
        self.lose_node(node);
        self.count("seized");
        let day =
            u32::try_from(self.now.since(crate::kernel::Time(self.scenario.warmup.0)).0 / Span::DAY.0).unwrap_or(0);
        let so_far = self.seized.last().map_or(0, |(_, count)| *count) + 1;
        self.seized.push((day, so_far));
    }

    fn on_skew(&mut self, fault: u32, struck: &Struck, begins: bool) {
        let Target::Node(node) = struck.target else { return };
        let most = struck.amount.unwrap_or(0.0);
        let unit = self.chance.draw(Purpose::ClockSkew, u64::from(node), u64::from(fault)).unit();
        #[allow(clippy::cast_possible_truncation, reason = "clocks are wrong by less than centuries")]
        let skew = ((unit * 2.0 - 1.0) * most * 1_000.0) as i64;
        self.nodes[usize::from(node)].skew_ms = if begins { skew } else { 0 };
        self.nodes[usize::from(node)].timer_at = crate::kernel::Time::MAX;
        self.settle(node);
    }

    /// One more reason for a node to be down.
    pub(super) fn take_down(&mut self, node: u16) {
        let sim = &mut self.nodes[usize::from(node)];
        sim.down += 1;
        if sim.alive() {
            self.kill(node);
        }
    }

    /// One reason less.
    pub(super) fn bring_up(&mut self, node: u16) {
        let (chance, now) = (self.chance, self.now);
        let sim = &mut self.nodes[usize::from(node)];
        sim.down = sim.down.saturating_sub(1);
        if sim.down == 0 && !sim.gone && !sim.alive() {
            sim.boot(node, &chance, now);
            self.check_disk(node);
            self.wish(super::Wish::Start(node));
            self.settle(node);
        }
    }

    /// A node's own failure or repair.
    pub(super) fn on_flip(&mut self, node: u16) {
        let (chance, now) = (self.chance, self.now);
        let (up, until) = self.failures[usize::from(node)].at(&chance, now);
        if until < crate::kernel::Time::MAX {
            self.queue.push(until, super::Event::Flip { node });
        }
        if up {
            self.bring_up(node)
        } else {
            self.take_down(node)
        }
        self.wake_gateways();
    }
}

impl World<'_> {
    /// A region's mains change: so do the nodes that hang on them.
    pub(super) fn on_mains(&mut self, region: u16) {
        let (chance, now) = (self.chance, self.now);
        let (up, until) = self.mains[usize::from(region)].at(&chance, now);
        if until < crate::kernel::Time::MAX {
            self.queue.push(until, super::Event::Mains { region });
        }
        let there: Vec<u16> = self.indices(|node| node.spot.region == region && node.on_mains);
        for node in there {
            if up { self.bring_up(node) } else { self.take_down(node) }
        }
        self.wake_gateways();
    }
}

fn step_counter(counter: &mut u16, begins: bool) {
    *counter = if begins { counter.saturating_add(1) } else { counter.saturating_sub(1) };
}
