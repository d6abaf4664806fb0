//! A mesh that has been together for a while: made once for a scenario, and the beginning of all its worlds.
//!
//! Every node first makes its own facts, alone. Then all get each other's, as weeks of gossip would have brought them;
//! neighbours federate, gateway clients are enrolled. The join conversation itself is the node tests' matter.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use relaymesh_core::batch::Key;
use relaymesh_core::command::{Command, OperatorCommand, OperatorReply, Reply};
use relaymesh_core::config::{Config, Otp, Platform, Roles, Without};
use relaymesh_core::crypto::Crypto;
use relaymesh_core::record::key;
use relaymesh_core::{Input, Output, ReplyTo, WorkDone};
use relaymesh_protocol::ids::{GatewayId, MeshId, Timestamp};
use relaymesh_seal::keyfile::Keyring;

use super::disk::Disk;
use super::nodes::{SimNode, keyring};
use super::places::{Labels, Spot};
use crate::crypto;
use crate::kernel::{Chance, Time};
use crate::scenario::{NodeGroup, Role, Scenario};

/// The luck of all bootstraps: node keys and names do not differ between seeds.
const SEED: u64 = 0x626f_6f74;
/// The bootstrap happens at the end of the day before the world begins, so that its clocks run on.
const AGE: Duration = Duration::from_secs(3_600);
/// Time in which a node makes its own records.
const SETTLE: Duration = Duration::from_secs(5);

/// A node as every world of the scenario begins with it.
#[derive(Clone)]
pub struct Seedling {
    pub config: Config,
    pub keyring: Keyring,
    pub disk: Disk,
    /// Facts that it made itself, alone: all that it knows where there is no mesh.
    pub own_facts: BTreeSet<Key>,
    pub spot: Spot,
    pub operator: u32,
    pub group: usize,
}

/// A gateway client and the nodes that know it.
#[derive(Clone)]
pub struct Station {
    pub spot: Spot,
    pub group: usize,
    /// Nodes that it posts to, and its identity there.
    pub posts_to: Vec<(u16, GatewayId)>,
}

/// The beginning of all worlds of a scenario.
#[derive(Clone)]
pub struct Bootstrap {
    pub(super) nodes: Vec<Seedling>,
    pub(super) stations: Vec<Station>,
}

/// A node alone, for a few virtual seconds.
struct Alone {
    node: SimNode,
    now: Timestamp,
    replies: BTreeMap<ReplyTo, Reply>,
}

impl Alone {
    fn world_time(&self) -> Time {
        Time::ZERO
    }

    fn boot(&mut self, index: u16, chance: &Chance) -> Result<()> {
        self.set_clock();
        self.node.boot(index, chance, self.world_time());
        self.drain()?;
        self.now = self.now.after(SETTLE);
        self.set_clock();
        self.node.tick(self.world_time());
        self.drain()
    }

    /// The node's clock is the only one here.
    fn set_clock(&mut self) {
        let begin = Time::ZERO.timestamp();
        self.node.skew_ms = i64::try_from(self.now.0).unwrap_or(i64::MAX) - i64::try_from(begin.0).unwrap_or(i64::MAX);
    }

    fn drain(&mut self) -> Result<()> {
        while let Some(output) = self.node.output() {
            match output {
                Output::Persist { token, batch } => {
                    self.node.stage(token, batch);
                    self.node.persist(token, self.world_time());
                }
                Output::SaveKeys { id, keyring } => {
                    self.node.keyring = *keyring;
                    self.node.feed(Input::Worked { id, done: WorkDone::KeysSaved(Ok(())) }, self.world_time());
                }
                Output::Reply { to, reply } => {
                    self.replies.insert(to, reply);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn operate(&mut self, command: OperatorCommand) -> Result<OperatorReply> {
        let to = ReplyTo(1);
        self.node.feed(Input::Command { reply: to, command: Command::Operator(command) }, self.world_time());
        self.drain()?;
        match self.replies.remove(&to) {
            Some(Reply::Operator(reply)) => Ok(reply),
            other => bail!("a node at bootstrap answered {other:?}"),
        }
    }
}

impl Bootstrap {
    /// Makes the mesh of a scenario.
    ///
    /// # Errors
    /// When a node refuses what its operator does here.
    pub fn new(scenario: &Scenario) -> Result<Self> {
        let chance = Chance::new(SEED);
        let port = crypto::port(scenario.crypto);
        let begin = Timestamp(Time::ZERO.timestamp().0 - u64::try_from(AGE.as_millis()).unwrap_or(0));
        let mut alone = plant(scenario, &chance, &port, begin)?;
        for (index, node) in (0_u16..).zip(&mut alone) {
            node.boot(index, &chance)?;
        }
        let own_facts: Vec<BTreeSet<Key>> = alone.iter().map(facts_of).collect();
        share_facts(&mut alone);
        let names: Vec<String> = alone.iter().map(|alone| alone.node.config.instance.clone()).collect();
        for (index, node) in (0_u16..).zip(&mut alone) {
            node.boot(index, &chance)?;
            if scenario.switches.mesh {
                federate(node, &names, scenario.mesh.circle)?;
            }
        }
        share_facts(&mut alone);
        let stations = enrol(scenario, &mut alone)?;
        let groups = group_of_each(&scenario.nodes);
        let nodes = alone.into_iter().zip(own_facts).zip(groups).map(|((alone, own_facts), group)| Seedling {
            own_facts,
            config: alone.node.config.clone(),
            keyring: alone.node.keyring.clone(),
            spot: alone.node.spot.clone(),
            operator: alone.node.operator,
            disk: alone.node.disk,
            group,
        });
        Ok(Self { nodes: nodes.collect(), stations })
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What faults and lies choose nodes by, in their order.
    pub fn labels(&self) -> impl Iterator<Item = &Labels> {
        self.nodes.iter().map(|node| &node.spot.labels)
    }
}

fn group_of_each(groups: &[NodeGroup]) -> Vec<usize> {
    groups.iter().enumerate().flat_map(|(group, nodes)| vec![group; nodes.count as usize]).collect()
}

fn pick<T>(from: &[T], n: u32) -> Option<&T> {
    from.get(n as usize % from.len().max(1))
}

fn region(scenario: &Scenario, name: &str) -> Result<u16> {
    let found = scenario.region.iter().position(|region| region.name == name);
    Ok(u16::try_from(found.with_context(|| format!("there is no region `{name}`"))?)?)
}

fn plant(scenario: &Scenario, chance: &Chance, port: &Arc<dyn Crypto>, now: Timestamp) -> Result<Vec<Alone>> {
    let mut all = Vec::new();
    let mut named: BTreeMap<&str, u32> = BTreeMap::new();
    let mut next = 0;
    for group in &scenario.nodes {
        // A name that was seen before is the operator of then.
        let known = group.operator.as_deref().and_then(|name| named.get(name).copied());
        let mut operator = known.unwrap_or(next);
        if let Some(name) = group.operator.as_deref() {
            named.insert(name, operator);
        }
        for n in 0..group.count {
            let index = u32::try_from(all.len())?;
            if group.operator.is_none() && n > 0 && n % group.per_operator.max(1) == 0 {
                operator += 1;
            }
            let place = region(scenario, pick(&group.regions, n).context("a group of nodes needs regions")?)?;
            let abroad = scenario.region[usize::from(place)].abroad;
            let labels = Labels::new([
                ("kind", "node".to_owned()),
                ("group", group.name.clone()),
                ("region", scenario.region[usize::from(place)].name.clone()),
                ("provider", pick(&group.providers, n).cloned().unwrap_or_default()),
                ("jurisdiction", pick(&group.jurisdictions, n).cloned().unwrap_or_default()),
                ("operator", format!("op{operator}")),
            ]);
            let spot = Spot::new(place, abroad, index, labels);
            let config = config(scenario, group, index, operator);
            let keys = keyring(chance, u64::from(index), now);
            let mut node = SimNode::new(config, keys, Disk::default(), spot, Arc::clone(port));
            node.operator = operator;
            all.push(Alone { node, now, replies: BTreeMap::new() });
        }
        next = next.max(operator + 1);
    }
    one_key_per_operator(&mut all);
    Ok(all)
}

/// Nodes of one operator are of one instance: they hold its key.
fn one_key_per_operator(all: &mut [Alone]) {
    let mut first: BTreeMap<u32, usize> = BTreeMap::new();
    for index in 0..all.len() {
        let operator = all[index].node.operator;
        let of = *first.entry(operator).or_insert(index);
        if of != index {
            let instance = all[of].node.keyring.instance.clone();
            all[index].node.keyring.instance = instance;
        }
    }
}

fn config(scenario: &Scenario, group: &NodeGroup, index: u32, operator: u32) -> Config {
    let has = |role| group.roles.contains(&role);
    Config {
        instance: format!("op{operator}"),
        roles: Roles {
            gateway: has(Role::Gateway),
            vault: has(Role::Vault),
            relay: has(Role::Relay),
            bridge: has(Role::Bridge),
        },
        country: Some("CM".to_owned()),
        addresses: if group.reachable { vec![format!("/memory/{}", index + 1)] } else { Vec::new() },
        otp: Otp { sms: true, email: false },
        platforms: vec![Platform::stand_in()],
        sms: true,
        metered: !scenario.switches.mesh || !group.reachable,
        timelines: 0,
        without: Without { custody: !scenario.switches.custody, filters: !scenario.switches.filters },
        ..Config::bare(&format!("n{index}"), MeshId([7; 16]))
    }
}

fn facts_of(alone: &Alone) -> BTreeSet<Key> {
    alone.node.disk.table(key::FACT).map(|(place, _)| place.clone()).collect()
}

/// Everybody gets everybody's facts.
fn share_facts(all: &mut [Alone]) {
    let mut facts: BTreeMap<Key, Arc<[u8]>> = BTreeMap::new();
    for alone in all.iter() {
        for (place, value) in alone.node.disk.table(key::FACT) {
            facts.entry(place.clone()).or_insert_with(|| Arc::clone(value));
        }
    }
    for alone in all.iter_mut() {
        for (place, value) in &facts {
            if !alone.node.disk.has(place) {
                alone.node.disk.share(place.clone(), Arc::clone(value));
            }
        }
    }
}

/// Wants the other instances of its circle as partners.
fn federate(alone: &mut Alone, names: &[String], size: u32) -> Result<()> {
    let own = alone.node.operator;
    let place = |operator: u32| operator / size.max(1);
    let mut circle: Vec<&String> = names
        .iter()
        .filter(|name| {
            let other: Option<u32> = name.strip_prefix("op").and_then(|n| n.parse().ok());
            other.is_some_and(|other| other != own && place(other) == place(own))
        })
        .collect();
    circle.sort();
    circle.dedup();
    for instance in circle {
        alone.operate(OperatorCommand::Federate { instance: instance.clone() })?;
    }
    Ok(())
}

/// Gateway clients and the nodes they post to: of their region first, then by number.
fn enrol(scenario: &Scenario, all: &mut [Alone]) -> Result<Vec<Station>> {
    let mut stations = Vec::new();
    for (group_index, group) in scenario.gateways.iter().enumerate() {
        for n in 0..group.count {
            let index = u32::try_from(stations.len())?;
            let place = region(scenario, pick(&group.regions, n).context("a group of gateway clients needs regions")?)?;
            let name = &scenario.region[usize::from(place)].name;
            let abroad = scenario.region[usize::from(place)].abroad;
            let mut targets: Vec<u16> = (0_u16..)
                .zip(all.iter())
                .filter(|(_, alone)| {
                    let label =
                        |name: &str| crate::scenario::Labelled::label(&alone.node.spot.labels, name).map(str::to_owned);
                    alone.node.config.roles.gateway && label("group").is_some_and(|of| group.nodes.contains(&of))
                })
                .map(|(target, _)| target)
                .collect();
            if targets.is_empty() {
                bail!("gateway clients `{}` have no node to post to", group.name);
            }
            // A node of the own region first; which one differs by client, and so do the others.
            let count = targets.len();
            targets.rotate_left(index as usize % count);
            targets.sort_by_key(|target| all[usize::from(*target)].node.spot.region != place);
            targets.truncate(usize::from(group.forwarders.max(1)));
            let site = if group.beside_node { all[usize::from(targets[0])].node.spot.site } else { u32::MAX - index };
            let mut posts_to = Vec::new();
            for target in targets {
                let command = OperatorCommand::GatewayAdd {
                    name: format!("g{index}"),
                    msisdn: format!("+2372{index:08}").into(),
                    country: Some("CM".to_owned()),
                    operator: None,
                };
                let reply = all[usize::from(target)].operate(command)?;
                let OperatorReply::GatewayAdded { path, .. } = reply else { bail!("no gateway client was added") };
                let token = path.reveal().split('/').nth(2).context("a path has a token")?;
                posts_to.push((target, relaymesh_core::gateway_id(token)));
            }
            let labels =
                Labels::new([("kind", "gateway".to_owned()), ("group", group.name.clone()), ("region", name.clone())]);
            let spot = Spot::new(place, abroad, site, labels);
            stations.push(Station { spot, group: group_index, posts_to });
        }
    }
    Ok(stations)
}
