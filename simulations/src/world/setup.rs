//! The beginning of a world, and its end.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context as _, Result};
use relaymesh_core::bench;
use relaymesh_core::config::{Pace, TIMELINES};
use relaymesh_core::record::key;
use relaymesh_protocol::ids::Timestamp;

use super::bootstrap::Bootstrap;
use super::carriers::Carriers;
use super::faults::{Struck, materialise};
use super::filters::PEOPLE_AGE;
use super::gateways::Gateway;
use super::nodes::SimNode;
use super::outside::{Outside, Wish};
use super::people::{self, Papers, Person, Place};
use super::places::{Internet, Renewal};
use super::platform::Platform;
use super::{Event, KINDS, Story, World};
use crate::adversary::{Planted, lies};
use crate::crypto;
use crate::invariants::{Fates, Watch};
use crate::kernel::{Chance, Checkpoints, Purpose, Queue, Slab, Span, Time, Trace};
use crate::ledger::Ledger;
use crate::outcome::{Outcome, System, Violation};
use crate::scenario::{NodeGroup, Region, Scenario};

/// Violations that are kept; one is enough to fail.
const VIOLATIONS_MAX: usize = 20;
/// Nodes without a mesh know of nobody, so they need not look for somebody every minute.
const ALONE: Pace = Pace { compare: Duration::from_hours(24 * 3_650), quiet: Duration::ZERO };

/// How a world is to be run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The strikes, instead of what the scenario's faults and luck would make.
    pub faults: Option<Vec<Struck>>,
    /// The number of a message whose story is wanted.
    pub story: Option<u32>,
    /// Events of this range are kept as text.
    pub window: (u64, u64),
    /// A mistake that every node makes, to see that it is caught.
    pub planted: Option<Planted>,
    /// The world ends as soon as this invariant breaks.
    pub until: Option<String>,
    /// Every frame is searched for texts and tokens in clear: slow.
    pub deep: bool,
    /// Frames between nodes travel outside of the world.
    pub outside: bool,
    /// The mesh is young: nobody has the others' filters yet.
    pub young: bool,
}

impl<'s> World<'s> {
    /// A world of a seed, at its first moment.
    ///
    /// # Errors
    /// When the scenario cannot be built.
    pub fn new(
        scenario: &'s Scenario,
        bootstrap: &Bootstrap,
        seed: u64,
        system: System,
        options: Options,
    ) -> Result<Self> {
        let chance = Chance::new(seed);
        let faults = match &options.faults {
            Some(faults) => faults.clone(),
            None => materialise(scenario, &chance, bootstrap)?,
        };
        let forwarders = if scenario.switches.second_forwarder { usize::MAX } else { 1 };
        let gateways = (0_u16..).zip(&bootstrap.stations).map(|(index, station)| {
            Gateway::new(station, index, &scenario.gateways[station.group], &chance, forwarders)
        });
        let mut world = Self {
            scenario,
            system,
            chance,
            now: Time::ZERO,
            end: Time(scenario.duration.0),
            queue: Queue::default(),
            trace: Trace::with_window(options.window.0, options.window.1),
            internet: Internet::new(scenario),
            mains: (0..).zip(&scenario.region).map(|(n, region)| mains(&chance, n, region)).collect(),
            offline: vec![0; scenario.region.len()],
            sms_off: vec![Vec::new(); scenario.region.len()],
            load_factor: 1.0,
            nodes: Vec::new(),
            by_id: HashMap::default(),
            failures: Vec::new(),
            waiters: Slab::default(),
            waiter_count: 0,
            inputs: Slab::default(),
            frames: Slab::default(),
            notices: Slab::default(),
            frame_count: 0,
            people: Vec::new(),
            by_region: vec![Vec::new(); scenario.region.len()],
            carriers: Carriers::new(&scenario.sms, scenario.carrier.len(), &chance),
            gateways: gateways.collect(),
            platform: Platform::default(),
            faults,
            messages: Vec::new(),
            counters: BTreeMap::new(),
            kinds: [0; KINDS.len()],
            seized: Vec::new(),
            violations: Vec::new(),
            outside: options.outside.then(Outside::default),
            story: options.story.map(|message| Box::new(Story::of(message))),
            watch: Watch::new(bootstrap.nodes.len()),
            fates: Fates::default(),
            fullest: BTreeMap::new(),
            known: None,
            lies: lies(scenario, bootstrap, &chance)?,
            ledger: Ledger::new(scenario.people.count as usize, bootstrap.nodes.len()),
            options,
        };
        world.plant(bootstrap)?;
        world.settle_people()?;
        if world.has_mesh() && scenario.switches.filters {
            world.spread_filters()?;
        }
        world.begin();
        Ok(world)
    }

    /// Whether nodes know each other.
    fn has_mesh(&self) -> bool {
        self.system == System::Mesh && self.scenario.switches.mesh
    }

    fn plant(&mut self, bootstrap: &Bootstrap) -> Result<()> {
        let port = Planted::port(self.options.planted, crypto::port(self.scenario.crypto));
        for (index, seedling) in (0_u16..).zip(&bootstrap.nodes) {
            let (mut config, keys) = (seedling.config.clone(), seedling.keyring.clone());
            if self.story.is_some() {
                config.timelines = TIMELINES;
            }
            let mut disk = seedling.disk.clone();
            if self.system == System::Islands || !self.scenario.switches.mesh {
                config.pace = ALONE;
                disk.lose(|row| row.first() == Some(&key::FACT) && !seedling.own_facts.contains(row));
            }
            let mut node = SimNode::new(config, keys, disk, seedling.spot.clone(), port.clone());
            let group: &NodeGroup = self.scenario.nodes.get(seedling.group).context("a node has a group")?;
            node.operator = seedling.operator;
            node.on_mains = group.mains;
            node.planted = self.options.planted;
            if self.lies.is_liar(index) {
                self.watch.distrust(index);
            }
            self.by_id.insert(node.id, index);
            let entity = u64::from(index);
            let failures =
                Renewal::new(&self.chance, Purpose::NodeUp, entity, group.mtbf, group.mtbf_shape, group.mttr);
            self.failures.push(failures);
            self.nodes.push(node);
        }
        Ok(())
    }

    /// Gives everybody a place and a home whose disk knows them.
    fn settle_people(&mut self) -> Result<()> {
        let vaults = |abroad: bool, region: Option<u16>| -> Vec<u16> {
            let here = |node: &SimNode| region.is_none_or(|region| node.spot.region == region);
            self.indices(|node| node.config.roles.vault && node.spot.abroad == abroad && here(node))
        };
        let (abroad, home) = (vaults(true, None), vaults(false, None));
        let by_region: Vec<Vec<u16>> =
            (0..u16::try_from(self.scenario.region.len())?).map(|region| vaults(false, Some(region))).collect();
        let populations: Vec<f64> = self.scenario.region.iter().map(|region| region.population).collect();
        let shares: Vec<f64> = self.scenario.carrier.iter().map(|carrier| carrier.share).collect();
        for person in 0..self.scenario.people.count {
            let entity = u64::from(person);
            let draw = |purpose| self.chance.draw(purpose, entity, 0);
            let region = u16::try_from(draw(Purpose::PersonRegion).weighted(&populations))?;
            let carrier = u8::try_from(draw(Purpose::PersonCarrier).weighted(&shares))?;
            let wish = draw(Purpose::PersonHome);
            let own = &by_region[usize::from(region)];
            let near = if own.is_empty() { &home } else { own };
            let choice = if near.is_empty() || (wish.happens(self.scenario.people.home_abroad.0) && !abroad.is_empty())
            {
                &abroad
            } else {
                near
            };
            let chosen = choice.get(wish.again().below(choice.len())).copied();
            let node = chosen.context("no node of the scenario has the role `vault`")?;
            let gateways = self.known_gateways(entity, region);
            let place = Place { region, carrier, home: node, gateways };
            let someone = self.sign_up(person, place)?;
            self.ledger.settle(person, someone.home);
            self.people.push(someone);
            self.by_region[usize::from(region)].push(person);
        }
        Ok(())
    }

    /// Numbers that somebody knows: one of the own region, if there is one, then any of the country.
    fn known_gateways(&self, person: u64, region: u16) -> Vec<u16> {
        let count = self.gateways.len();
        let draw = |n| self.chance.draw(Purpose::PersonGateways, person, n);
        let near: Vec<u16> = (0_u16..)
            .zip(&self.gateways)
            .filter(|(_, one)| one.spot.region == region)
            .map(|(index, _)| index)
            .collect();
        let mut known = Vec::new();
        known.extend(near.get(draw(0).below(near.len())).copied());
        let wanted = usize::from(self.scenario.people.known_gateways.max(1)).min(count);
        let mut n = 1;
        while known.len() < wanted && n < 200 {
            let other = u16::try_from(draw(n).below(count)).unwrap_or(0);
            n += 1;
            if !known.contains(&other) {
                known.push(other);
            }
        }
        known
    }

    /// An account, as sign-up and connecting a platform would have left it.
    fn sign_up(&mut self, person: u32, place: Place) -> Result<Person> {
        let papers = Papers::new(&self.chance, person);
        let sim = &mut self.nodes[usize::from(place.home)];
        let draft = bench::Person {
            number: people::number(person),
            device: papers.device,
            publish: papers.draft.public(),
            account: people::account(person),
            token: "{\"access_token\":\"t\"}".to_owned(),
        };
        let at = Timestamp(Time::ZERO.timestamp().0 - PEOPLE_AGE.0 / 1_000);
        let core = sim.idle_core(at);
        let (batch, server) = bench::person(&core, &draft, at, papers.seed).context("a person cannot be written")?;
        sim.disk.apply(batch);
        Person::new(self.scenario, &self.chance, person, papers, place, server).context("a home's key is no key")
    }

    fn begin(&mut self) {
        let upstream = self.system == System::Upstream;
        if !upstream {
            self.start_lies();
        }
        for node in 0..u16::try_from(self.nodes.len()).expect("fewer than 65,536 nodes") {
            let until = self.failures[usize::from(node)].at(&self.chance, self.now).1;
            if upstream {
                continue;
            }
            if until < Time::MAX {
                self.queue.push(until, Event::Flip { node });
            }
            if self.nodes[usize::from(node)].down > 0 {
                continue;
            }
            self.wish(Wish::Start(node));
            self.nodes[usize::from(node)].boot(node, &self.chance, Time::ZERO);
            self.settle(node);
        }
        for region in 0..u16::try_from(self.mains.len()).expect("fewer than 65,536 regions") {
            let until = self.mains[usize::from(region)].at(&self.chance, self.now).1;
            if until < Time::MAX && !upstream {
                self.queue.push(until, Event::Mains { region });
            }
        }
        self.start_load();
        self.start_faults();
        if !upstream {
            self.start_couriers();
            self.start_watch();
        }
        self.push(Span::DAY, Event::Day);
    }

    /// A rule that must hold does not.
    pub(super) fn violate(&mut self, invariant: &str, what: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { invariant: invariant.to_owned(), at: self.now, what });
        }
    }

    /// Adds up what happened.
    pub(super) fn finish(mut self) -> (Outcome, Checkpoints, Vec<String>) {
        self.check_end();
        let from = Time(self.scenario.warmup.0);
        let until = Time(self.scenario.duration.0.saturating_sub(self.scenario.drain.0));
        let counted = (0_u32..).zip(&self.messages).filter(|(_, own)| own.sent >= from && own.sent < until);
        let rows = counted.map(|(id, own)| {
            let region = self.people[own.person as usize].region;
            own.row(id, region, self.is_safe(own), self.scenario.warmup)
        });
        let messages = rows.collect();
        let kinds = KINDS.iter().zip(&self.kinds).filter(|(_, count)| **count > 0);
        let kinds = kinds.map(|(name, count)| (format!("event.{name}"), *count));
        let counters = self.counters.iter().map(|(name, count)| ((*name).to_owned(), *count));
        let metrics = counters.chain(kinds).map(|(name, count)| {
            #[allow(clippy::cast_precision_loss, reason = "counts of one run")]
            let count = count as f64;
            (format!("count.{name}"), count)
        });
        let fullest = self.fullest.iter().map(|(name, share)| (format!("fullest.{name}"), *share));
        let metrics = metrics.chain(fullest).collect();
        let (checkpoints, kept) = self.trace.end();
        let outcome = Outcome {
            system: self.system,
            messages,
            metrics,
            exposure: self.ledger.exposure(),
            seized: self.seized,
            violations: self.violations,
            events: checkpoints.events,
            trace: checkpoints.end,
        };
        (outcome, checkpoints, kept)
    }
}

fn mains(chance: &Chance, region: u64, of: &Region) -> Renewal {
    let off = 1.0 - of.mains.0;
    let up = Span::from_secs_f64(of.mains_outage.as_secs_f64() * of.mains.0 / off.max(1e-9));
    let mtbf = (off > 0.0 && of.mains_outage > Span::ZERO).then_some(up);
    Renewal::new(chance, Purpose::Mains, region, mtbf, 1.0, of.mains_outage)
}
