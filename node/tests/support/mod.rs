//! Nodes for black-box tests: the built binary, started, joined and spoken to as operators, apps and gateway clients do.
//! The parts are the demo's own.

#![allow(dead_code, reason = "each test binary uses what it needs")]
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use relaymesh_publish::sink::{Sink, SinkHandle};
use serde_json::{Value, json};
use tempfile::TempDir;

#[path = "../../src/demo/kit/mod.rs"]
pub mod kit;

pub mod bridge;

use kit::follow::{Follow, Post, Sms};
use kit::gateway::GatewayClient;
use kit::http::Http;
use kit::person::Person;
use kit::process::{Node, Plan, Ports};
use kit::{mesh, settings};

/// A message that is accepted is published within this time. A home tells others of new people once a minute, so the first
/// message of a person may take longer than that.
pub const PUBLISHED_WITHIN: Duration = Duration::from_secs(100);
/// A second post would come within this time.
pub const SETTLE: Duration = Duration::from_secs(2);
/// How often the platform is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The binary under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_relaymesh"))
}

/// Nodes of one instance each, members of one mesh, all partners of the first; and a platform. Dropping it kills the nodes.
pub struct World {
    pub nodes: Vec<Node>,
    pub platform: SinkHandle,
    pub http: Http,
    /// The codes by which nodes joined.
    pub invites: Vec<String>,
    dir: TempDir,
}

/// What is done to a node before it runs for the first time.
type Prepare<'a> = &'a dyn Fn(&Node);

impl World {
    /// Starts `count` nodes and makes them meet.
    pub async fn start(count: usize) -> Result<Self> {
        Self::start_as(count, binary(), &std::env::temp_dir()).await
    }

    /// The same, of nodes with other settings.
    pub async fn start_with(count: usize, prepare: Prepare<'_>) -> Result<Self> {
        Self::build(count, binary(), &std::env::temp_dir(), prepare).await
    }

    /// The same, of a binary that stands in for ours, with the nodes' directories somewhere below `parent`.
    pub async fn start_as(count: usize, binary: &Path, parent: &Path) -> Result<Self> {
        Self::build(count, binary, parent, &|_| ()).await
    }

    async fn build(count: usize, binary: &Path, parent: &Path, prepare: Prepare<'_>) -> Result<Self> {
        let dir = tempfile::tempdir_in(parent)?;
        let platform = Sink::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None).await?;
        let settings = settings::local(&platform, &outbox_path(dir.path()));
        let (mut nodes, mut invites): (Vec<Node>, _) = (Vec::new(), Vec::new());
        for (index, ports) in Ports::free(count)?.into_iter().enumerate() {
            let mut node = Node::init(binary, plan(dir.path(), index, ports, &settings)).await?;
            prepare(&node);
            node.start().await?;
            mesh::identify(&mut node).await?;
            if let Some(first) = nodes.first() {
                invites.push(mesh::join(first, &node).await?);
                mesh::federate(first, &node).await?;
            }
            nodes.push(node);
        }
        Ok(Self { nodes, platform, http: Http::new(), invites, dir })
    }

    /// The SMS that nodes send, from the first on.
    pub fn outbox(&self) -> Follow<Sms> {
        Follow::new(outbox_path(self.dir.path()))
    }

    /// Somebody signs up at a node and connects an account.
    pub async fn person(&self, node: usize, number: &str, login: &str) -> Result<Person> {
        let node = self.nodes.get(node).context("no such node")?;
        let seed = number.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut person = Person::sign_up(&node.grpc(), number, &mut self.outbox(), seed).await?;
        person.connect(&self.http, login).await?;
        Ok(person)
    }

    /// Enrols a gateway client at a node.
    pub async fn gateway(&self, node: usize, name: &str, msisdn: &str) -> Result<GatewayClient> {
        let node = self.nodes.get(node).context("no such node")?;
        mesh::enrol(node, name, msisdn, self.http.clone()).await
    }

    /// How often a text is on the platform.
    pub fn count(&self, text: &str) -> usize {
        self.platform.posts().iter().filter(|post| post.status == text).count()
    }

    /// Waits until each of the texts is published, then a while longer, and gives how often each one is.
    pub async fn counts(&self, texts: &[&str]) -> Vec<usize> {
        let all = async {
            while texts.iter().any(|text| self.count(text) == 0) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        // What is missing is counted as such.
        let _ = tokio::time::timeout(PUBLISHED_WITHIN, all).await;
        tokio::time::sleep(SETTLE).await;
        texts.iter().map(|text| self.count(text)).collect()
    }
}

/// Changes the configuration of a node that does not run.
pub fn configure(node: &Node, change: impl FnOnce(&mut toml::Table)) -> Result<()> {
    let mut config = std::fs::read_to_string(node.config())?.parse()?;
    change(&mut config);
    Ok(std::fs::write(node.config(), config.to_string())?)
}

fn plan(dir: &Path, index: usize, ports: Ports, settings: &str) -> Plan {
    Plan {
        name: format!("n{index}"),
        instance: format!("instance{index}"),
        dir: dir.join(format!("n{index}")),
        key_file: dir.join("keys").join(format!("n{index}.key")),
        ports,
        settings: settings.to_owned(),
    }
}

fn outbox_path(dir: &Path) -> PathBuf {
    dir.join("sms-outbox.jsonl")
}

/// What a node knows and holds, without what moves by itself.
pub async fn state(node: &Node) -> Value {
    let mut status = node.ask(&["status"]).await.unwrap();
    status.as_object_mut().unwrap().remove("uptime_ms").expect("status tells the time");
    // Filters are made again as time goes by.
    status["counters"].as_object_mut().unwrap().retain(|name, _| !name.starts_with("filter_"));
    json!({ "status": status, "gateways": node.ask(&["gateway", "list"]).await.unwrap() })
}

/// Waits until a text is in a platform's log, then a while longer, and gives how often it is.
pub async fn count_in_log(log: &Path, text: &str) -> Result<usize> {
    let mut posts = Follow::<Post>::new(log.to_owned());
    posts.wait_for(PUBLISHED_WITHIN, |post| (post.status == text).then_some(())).await?;
    tokio::time::sleep(SETTLE).await;
    let all = Follow::<Post>::new(log.to_owned()).look()?;
    Ok(all.iter().filter(|post| post.status == text).count())
}

/// Sends a signal, as `kill` does.
pub async fn send_signal(name: &str, pid: u32) -> Result<()> {
    let status = tokio::process::Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().await?;
    anyhow::ensure!(status.success(), "no signal could be sent");
    Ok(())
}

/// Whether a process is there and no zombie.
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.chars().next());
    matches!(state, Some(Some(state)) if state != 'Z')
}
