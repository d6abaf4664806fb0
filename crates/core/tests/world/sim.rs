//! One node of the world: its pump, its disk, and what it allows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_core::batch::{ABSENT, BATCH_BYTES_MAX, Batch, Key, Outcome, RECORD_BYTES_MAX, Write};
use relaymesh_core::config::{Config, Otp, Platform, Roles};
use relaymesh_core::crypto::RealCrypto;
use relaymesh_core::record::key;
use relaymesh_core::{Input, Load, Loaded, Node, Output, Pump, Unavailable};
use relaymesh_protocol::ids::{MeshId, NodeId, Timestamp};
use relaymesh_seal::keyfile::Keyring;

/// A disk: rows that are durable, and whether it fails now.
#[derive(Clone, Default)]
pub struct Disk(pub BTreeMap<Key, (u64, Vec<u8>)>, pub Health);

/// What a disk does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    #[default]
    Sound,
    /// ENOSPC: writes fail.
    Full,
    /// EIO: reads fail as well.
    Dead,
}

impl Load for Disk {
    fn get(&mut self, key: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Unavailable> {
        if self.1 == Health::Dead {
            return Err(Unavailable);
        }
        Ok(self.0.get(key).cloned())
    }

    fn rows(&mut self, prefix: &[u8], limit: usize) -> Result<Loaded, Unavailable> {
        if self.1 == Health::Dead {
            return Err(Unavailable);
        }
        let from = self.0.range(prefix.to_vec()..);
        let below = from.take_while(|(key, _)| key.starts_with(prefix)).take(limit);
        Ok(below.map(|(key, (version, value))| (key.clone(), *version, value.clone())).collect())
    }
}

pub struct Sim {
    pub name: String,
    pub id: NodeId,
    pub config: Config,
    pub keyring: Keyring,
    pub disk: Disk,
    pub links: BTreeSet<NodeId>,
    pub boots: u32,
    /// Most writes of one batch so far.
    pub largest_batch: usize,
    /// Driven by a test's mind: on the network, without a node behind it.
    seized: bool,
    pump: Option<Pump>,
    staged: BTreeMap<u64, Batch>,
    version: u64,
    allow: BTreeSet<NodeId>,
    blocked: BTreeSet<NodeId>,
    seed: u8,
}

impl Sim {
    pub fn new(name: &str, seed: u8, now: Timestamp) -> Self {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let keyring = Keyring::generate(&mut rng, now);
        Self {
            name: name.to_owned(),
            id: keyring.node_id(),
            config: config(name, seed),
            keyring,
            disk: Disk::default(),
            links: BTreeSet::new(),
            boots: 0,
            largest_batch: 0,
            seized: false,
            pump: None,
            staged: BTreeMap::new(),
            version: 0,
            allow: BTreeSet::new(),
            blocked: BTreeSet::new(),
            seed,
        }
    }

    pub fn instance_id(&self) -> String {
        self.config.instance.clone()
    }

    pub fn alive(&self) -> bool {
        self.pump.is_some() || self.seized
    }

    /// Its node ends; what is sent to it goes to a test's mind.
    pub fn seize(&mut self) {
        self.kill();
        self.seized = true;
    }

    pub fn is(&self, boot: u32) -> bool {
        self.alive() && self.boots == boot
    }

    pub fn boot(&mut self, now: Timestamp) {
        self.boots += 1;
        let node = Node::new(self.config.clone(), self.keyring.clone(), Arc::new(RealCrypto), now);
        let mut seed = [self.seed; 32];
        seed[0] = u8::try_from(self.boots % 251).unwrap_or(0);
        let mut pump = Pump::new(node, seed);
        for table in key::RESTORED {
            let rows = self.disk.rows(&[table], usize::MAX).expect("the disk reads");
            let rows = rows.into_iter().map(|(key, _, value)| (key, value)).collect();
            pump.feed(Input::Restore { table, rows }, now, &mut self.disk);
        }
        pump.feed(Input::Started, now, &mut self.disk);
        self.pump = Some(pump);
    }

    pub fn kill(&mut self) {
        self.seized = false;
        self.pump = None;
        self.staged.clear();
    }

    pub fn allows(&self, peer: &NodeId) -> bool {
        self.allow.contains(peer) && !self.blocked.contains(peer)
    }

    pub fn members(&mut self, allow: Vec<(NodeId, Vec<String>)>, blocked: Vec<NodeId>) {
        self.allow = allow.into_iter().map(|(node, _)| node).collect();
        self.blocked = blocked.into_iter().collect();
    }

    pub fn feed(&mut self, input: Input, now: Timestamp) {
        if let Some(pump) = &mut self.pump {
            pump.feed(input, now, &mut self.disk);
        }
    }

    pub fn tick(&mut self, now: Timestamp) {
        if let Some(pump) = &mut self.pump {
            pump.tick(now, &mut self.disk);
        }
    }

    pub fn timeout(&self) -> Option<Timestamp> {
        self.pump.as_ref()?.poll_timeout()
    }

    pub fn outputs(&mut self) -> VecDeque<Output> {
        let mut outputs = VecDeque::new();
        if let Some(pump) = &mut self.pump {
            while let Some(output) = pump.poll_output() {
                outputs.push_back(output);
            }
        }
        outputs
    }

    pub fn stage(&mut self, token: u64, batch: Batch) {
        self.staged.insert(token, batch);
    }

    /// The batch reaches the disk.
    pub fn persisted(&mut self, token: u64, now: Timestamp) {
        let Some(batch) = self.staged.remove(&token) else { return };
        self.largest_batch = self.largest_batch.max(batch.writes.len());
        if self.disk.1 != Health::Sound {
            if let Some(pump) = &mut self.pump {
                pump.persisted(token, Outcome::Failed, now, &mut self.disk);
            }
            return;
        }
        let sizes = batch.writes.iter().map(|write| match write {
            Write::Put { key, value } => key.len() + value.len(),
            Write::Delete { key } => key.len(),
        });
        assert!(sizes.clone().all(|size| size <= RECORD_BYTES_MAX) && sizes.sum::<usize>() <= BATCH_BYTES_MAX);
        let misfit = |(key, version): &&(Vec<u8>, u64)| self.disk.0.get(key).map_or(ABSENT, |row| row.0) != *version;
        if let Some((_, version)) = batch.expects.iter().find(misfit) {
            assert_eq!(
                *version, ABSENT,
                "lanes keep batches of one writer from conflicting, but for what was presumed"
            );
            if let Some(pump) = &mut self.pump {
                pump.persisted(token, Outcome::Conflict, now, &mut self.disk);
            }
            return;
        }
        self.version += 1;
        for write in batch.writes {
            match write {
                Write::Put { key, value } => {
                    self.disk.0.insert(key, (self.version, value));
                }
                Write::Delete { key } => {
                    self.disk.0.remove(&key);
                }
            }
        }
        if let Some(pump) = &mut self.pump {
            pump.persisted(token, Outcome::Ok, now, &mut self.disk);
        }
    }

    pub fn node(&self) -> &Node {
        self.pump.as_ref().expect("the node runs").node()
    }
}

fn config(name: &str, seed: u8) -> Config {
    Config {
        instance: format!("instance-{name}"),
        roles: Roles { gateway: true, vault: true, relay: true, bridge: true },
        country: Some("CM".to_owned()),
        addresses: vec![format!("/memory/{seed}")],
        otp: Otp { sms: true, email: true },
        platforms: vec![Platform {
            redirect_urls: vec!["https://relay.example/android".to_owned()],
            ..Platform::stand_in()
        }],
        bridge_domain: Some("relay.test".to_owned()),
        sms: true,
        ..Config::bare(name, MeshId([seed; 16]))
    }
}
