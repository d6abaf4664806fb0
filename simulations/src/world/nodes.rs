//! The nodes: each a core in its pump over a disk of its own. Here their outputs become events and their events inputs;
//! nothing is decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_core::batch::Batch;
use relaymesh_core::config::Config;
use relaymesh_core::crypto::Crypto;
use relaymesh_core::record::key;
use relaymesh_core::{Input, Load as _, Node, Output, Pump};
use relaymesh_protocol::ids::{NodeId, Timestamp};
use relaymesh_seal::keyfile::Keyring;

use super::disk::Disk;
use super::places::Spot;
use crate::adversary::Planted;
use crate::kernel::{Chance, Purpose, Time};

/// One node of the world.
pub struct SimNode {
    /// Who.
    pub id: NodeId,
    /// Its settings.
    pub config: Config,
    /// Its keys, as its key file has them.
    pub keyring: Keyring,
    /// What is durable.
    pub disk: Disk,
    /// Where it stands.
    pub spot: Spot,
    /// Which instance, by number.
    pub operator: u32,
    /// Starts so far; what belongs to an earlier one is void.
    pub boots: u32,
    /// Peers that a link is up with, and when it was last used.
    pub links: BTreeMap<u16, Time>,
    /// When its next timer event is queued.
    pub timer_at: Time,
    /// Reasons for it to be down, all together; up when none is left.
    pub down: u16,
    /// Goes down with the mains of its region.
    pub on_mains: bool,
    /// Gone for good.
    pub gone: bool,
    /// Milliseconds that its clock is ahead; negative = behind.
    pub skew_ms: i64,
    /// A mistake that it makes.
    pub planted: Option<Planted>,
    /// When it last started.
    pub up_since: Time,
    pump: Option<Pump>,
    /// What it was when it was last killed: its facts and filters are those on the disk.
    killed: Option<Node>,
    /// No link is idle for too long before then.
    pub links_from: Time,
    staged: BTreeMap<u64, Batch>,
    members: BTreeMap<NodeId, ()>,
    crypto: Arc<dyn Crypto>,
}

impl SimNode {
    /// A node that has not started yet.
    #[must_use]
    pub fn new(config: Config, keyring: Keyring, disk: Disk, spot: Spot, crypto: Arc<dyn Crypto>) -> Self {
        Self {
            id: crypto.node_id(&keyring),
            config,
            keyring,
            disk,
            spot,
            operator: 0,
            boots: 0,
            links: BTreeMap::new(),
            timer_at: Time::MAX,
            down: 0,
            on_mains: false,
            gone: false,
            skew_ms: 0,
            planted: None,
            up_since: Time::ZERO,
            pump: None,
            killed: None,
            links_from: Time::ZERO,
            staged: BTreeMap::new(),
            members: BTreeMap::new(),
            crypto,
        }
    }

    /// Whether it runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.pump.is_some()
    }

    /// Its core, while it runs.
    #[must_use]
    pub fn core(&self) -> Option<&Node> {
        self.pump.as_ref().map(Pump::node)
    }

    /// What its clock shows.
    #[must_use]
    pub fn clock(&self, now: Time) -> Timestamp {
        Timestamp(now.timestamp().0.saturating_add_signed(self.skew_ms))
    }

    /// When its clock shows `at`.
    pub fn world_time(&self, at: Timestamp) -> Time {
        Time::of(Timestamp(at.0.saturating_add_signed(self.skew_ms.saturating_neg())))
    }

    /// A core of this node that only knows its keys, for what is written before it first starts.
    #[must_use]
    pub fn idle_core(&self, at: Timestamp) -> Node {
        Node::new(self.config.clone(), self.keyring.clone(), Arc::clone(&self.crypto), at)
    }

    /// Starts it over its disk.
    pub fn boot(&mut self, index: u16, chance: &Chance, now: Time) {
        if self.boots > 0 {
            Planted::at_start(self.planted, &mut self.disk);
        }
        self.boots += 1;
        self.up_since = now;
        let at = self.clock(now);
        let node = Node::new(self.config.clone(), self.keyring.clone(), Arc::clone(&self.crypto), at);
        let seed = chance.bytes(Purpose::NodeSeed, u64::from(index), u64::from(self.boots));
        let mut node = node;
        let killed = self.killed.take();
        let inherits = killed.is_some();
        if let Some(killed) = killed {
            node.inherit(killed);
        }
        let mut pump = Pump::new(node, seed);
        let read = key::RESTORED.into_iter().filter(|table| !inherits || !matches!(*table, key::FACT | key::FILTER));
        for table in read {
            let rows = self.disk.rows(&[table], usize::MAX).unwrap_or_default();
            let rows = rows.into_iter().map(|(key, _, value)| (key, value)).collect();
            pump.feed(Input::Restore { table, rows }, at, &mut self.disk);
        }
        pump.feed(Input::Started, at, &mut self.disk);
        self.pump = Some(pump);
        self.timer_at = Time::MAX;
    }

    /// kill -9: memory and what was not yet durable are gone.
    pub fn kill(&mut self, now: Time) {
        Planted::at_crash(self.planted, &mut self.disk, now);
        self.killed = self.pump.take().map(Pump::into_node);
        self.staged.clear();
        self.links.clear();
        self.members.clear();
    }

    /// Gives it an input.
    pub fn feed(&mut self, input: Input, now: Time) {
        let at = self.clock(now);
        if let Some(pump) = &mut self.pump {
            pump.feed(input, at, &mut self.disk);
        }
    }

    /// Runs its timers that are due.
    pub fn tick(&mut self, now: Time) {
        let at = self.clock(now);
        if let Some(pump) = &mut self.pump {
            pump.tick(at, &mut self.disk);
        }
    }

    /// When it wants to be woken.
    #[must_use]
    pub fn timeout(&self) -> Option<Time> {
        Some(self.world_time(self.pump.as_ref()?.poll_timeout()?))
    }

    /// The next thing it wants done.
    pub fn output(&mut self) -> Option<Output> {
        self.pump.as_mut()?.poll_output()
    }

    /// A batch is on its way to the disk.
    pub fn stage(&mut self, token: u64, batch: Batch) {
        self.staged.insert(token, batch);
    }

    /// A batch that is on its way to the disk.
    #[must_use]
    pub fn staged(&self, token: u64) -> Option<&Batch> {
        self.staged.get(&token)
    }

    /// Its cryptography.
    #[must_use]
    pub fn crypto(&self) -> &dyn Crypto {
        self.crypto.as_ref()
    }

    /// The batch is durable.
    pub fn persist(&mut self, token: u64, now: Time) {
        let Some(batch) = self.staged.remove(&token) else { return };
        let at = self.clock(now);
        Planted::at_write(self.planted, &mut self.disk, &batch, now);
        let outcome = self.disk.apply(batch);
        if let Some(pump) = &mut self.pump {
            pump.persisted(token, outcome, at, &mut self.disk);
        }
    }

    /// Who may connect now.
    pub fn set_members(&mut self, members: impl Iterator<Item = NodeId>) {
        self.members = members.map(|id| (id, ())).collect();
    }

    /// Whether it lets this one connect.
    #[must_use]
    pub fn allows(&self, peer: &NodeId) -> bool {
        self.members.contains_key(peer)
    }
}

/// A node's keys, from a scenario's luck.
#[must_use]
pub fn keyring(chance: &Chance, index: u64, now: Timestamp) -> Keyring {
    Keyring::generate(&mut ChaCha20Rng::from_seed(chance.bytes(Purpose::NodeKeys, index, 0)), now)
}
