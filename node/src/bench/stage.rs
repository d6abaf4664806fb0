//! Node processes for a measurement, made as the demo makes them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use relaymesh_core::Node as Core;
use relaymesh_core::batch::{Batch, Write};
use relaymesh_core::crypto::RealCrypto;
use relaymesh_protocol::ids::Timestamp;
use relaymesh_store::{Completion, CompletionSink, Outcome, Store};
use tempfile::TempDir;

use crate::config::{Config, Env};
use crate::demo::kit::gateway::GatewayClient;
use crate::demo::kit::http::Http;
use crate::demo::kit::mesh::enrol;
use crate::demo::kit::process::{Node, Plan, Ports};

/// Records in one batch while a directory is filled, about; the store's limits are far.
const RECORDS_PER_BATCH: usize = 1_000;

/// A directory that goes away, with nodes in it.
pub struct Stage {
    /// The nodes, not started.
    pub nodes: Vec<Node>,
    /// Where everything is.
    pub dir: TempDir,
}

impl Stage {
    /// Makes the files of `count` nodes. `settings` is appended to each configuration.
    pub async fn new(count: usize, settings: impl Fn(&TempDir) -> String) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("relaymesh-bench-").tempdir().context("no temporary directory")?;
        let binary = binary()?;
        let mut nodes = Vec::new();
        for (index, ports) in Ports::free(count)?.into_iter().enumerate() {
            let plan = Plan {
                name: format!("n{index}"),
                instance: format!("instance{index}"),
                dir: dir.path().join(format!("n{index}")),
                key_file: dir.path().join("keys").join(format!("n{index}.key")),
                ports,
                settings: settings(&dir),
            };
            nodes.push(Node::init(&binary, plan).await?);
        }
        Ok(Self { nodes, dir })
    }

    /// One of the nodes.
    pub fn node(&mut self, index: usize) -> Result<&mut Node> {
        self.nodes.get_mut(index).context("the node is there")
    }
}

/// This program.
pub fn binary() -> Result<PathBuf> {
    std::env::current_exe().context("the path of this program is not known")
}

/// The port and path of a gateway client's URL.
pub fn door(client: &GatewayClient) -> Result<(SocketAddr, String)> {
    let rest = client.url.strip_prefix("http://").context("the gateway URL is no http")?;
    let at = rest.find('/').context("the gateway URL has no path")?;
    let (host, path) = rest.split_at(at);
    Ok((host.parse().context("the gateway URL has no address")?, path.to_owned()))
}

/// Enrols gateway clients at a running node, enough that none meets its own rate.
pub async fn doors(node: &Node, count: u32) -> Result<Vec<(SocketAddr, String)>> {
    let mut doors = Vec::new();
    for n in 0..count {
        let client = enrol(node, &format!("gc{n}"), &format!("+2376501{n:05}"), Http::new()).await?;
        doors.push(door(&client)?);
    }
    Ok(doors)
}

struct Nobody;

impl CompletionSink for Nobody {
    fn completed(&mut self, _: Vec<Completion>) {}
}

/// Writes records into a node that is not running. `write` gets the node's core and whom to hand batches to.
pub fn fill<T>(node: &Node, write: impl FnOnce(&Core, &mut dyn FnMut(Batch) -> Result<()>) -> Result<T>) -> Result<T> {
    let prepared = Config::load(&node.config(), &Env::of_process())?.config.prepare()?;
    let core = Core::new(prepared.core, prepared.keyring, Arc::new(RealCrypto), Timestamp(0));
    let store = Store::open(prepared.store, Nobody).context("the store cannot be opened")?;
    let mut pending = relaymesh_store::Batch::new();
    let flush = |pending: &mut relaymesh_store::Batch| {
        let batch = std::mem::take(pending);
        ensure!(store.apply(batch) == Outcome::Ok, "the store took no records");
        Ok(())
    };
    let written = write(&core, &mut |batch| {
        for write in batch.writes {
            pending.writes.push(match write {
                Write::Put { key, value } => relaymesh_store::Write::Put { key, value },
                Write::Delete { key } => relaymesh_store::Write::Delete { key },
            });
        }
        if pending.writes.len() >= RECORDS_PER_BATCH { flush(&mut pending) } else { Ok(()) }
    })?;
    flush(&mut pending)?;
    store.close();
    Ok(written)
}
