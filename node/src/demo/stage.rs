//! Nodes, platform and gateway clients, before anything happens.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use relaymesh_publish::sink::{Sink, SinkHandle};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::kit::gateway::GatewayClient;
use super::kit::http::Http;
use super::kit::mesh;
use super::kit::process::{Node, Plan, Ports};
use super::kit::settings;
use super::timeline::{Room, Timeline};

/// Where the instances are. One for each node that a demo may have.
const PLACES: [&str; 12] =
    ["douala", "lagos", "paris", "dakar", "accra", "kigali", "tunis", "lima", "hanoi", "sofia", "oslo", "quito"];
/// Most nodes of a demo.
pub const NODES_MAX: usize = PLACES.len();
/// The number of the first gateway client; the others follow.
const FIRST_GATEWAY_NUMBER: u64 = 237_650_200_001;
/// Where the posts are written down.
const PLATFORM_LOG: &str = "platform.jsonl";
/// The second gateway client where one node serves both.
const SECOND_CLIENT: &str = "gc-yaounde";

/// The stage. Dropping it kills the nodes.
pub struct Stage {
    /// The nodes by name; the last one is where the phone signs up.
    pub nodes: Vec<Node>,
    /// Gateway clients, at least two.
    pub gateways: Vec<GatewayClient>,
    /// The platform.
    pub sink: SinkHandle,
    /// Where everything is.
    pub dir: PathBuf,
    /// Client for gateway clients and the platform's pages.
    pub http: Http,
    /// Removed with the stage, if it was made for it.
    temporary: Option<TempDir>,
}

impl Stage {
    /// Makes and starts everything; the nodes do not know each other yet.
    pub async fn build(count: usize, dir: Option<&Path>, timeline: &Timeline) -> Result<Self> {
        let (dir, temporary) = place(dir)?;
        let sink = Sink::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Some(dir.join(PLATFORM_LOG)));
        let sink = sink.await.context("the platform cannot be started")?;
        let mut stage = Self { nodes: Vec::new(), gateways: Vec::new(), sink, dir, http: Http::new(), temporary };
        let binary = std::env::current_exe().context("the path of this program is not known")?;
        let plans = Ports::free(count)?.into_iter().enumerate().map(|(index, ports)| stage.plan(index, ports));
        stage.nodes = try_join_all(plans.map(|plan| Node::init(&binary, plan))).await?;
        let started = try_join_all(stage.nodes.iter_mut().map(Node::start)).await?;
        try_join_all(stage.nodes.iter_mut().map(mesh::identify)).await?;
        for (node, took) in stage.nodes.iter().zip(started) {
            let (name, place, ms) = (node.name(), node.instance(), took.as_millis());
            timeline.tell(Room::Node, name, format!("ready in {ms} ms, instance {place}, {}", node.http()));
        }
        Ok(stage)
    }

    fn plan(&self, index: usize, ports: Ports) -> Plan {
        let name = name(index);
        let place = PLACES.get(index).copied().unwrap_or("elsewhere");
        let low = name.to_lowercase();
        let key_file = self.dir.join("keys").join(format!("{low}.key"));
        let settings = settings::local(&self.sink, &self.sms_outbox());
        let dir = self.dir.join(low);
        Plan { name, instance: place.to_owned(), dir, key_file, ports, settings }
    }

    /// Makes one mesh of the nodes, the instance of the last one partner of the others, and enrols gateway clients.
    pub async fn meet(&mut self, timeline: &Timeline) -> Result<()> {
        if let Some((home, others)) = self.nodes.split_last() {
            for node in others {
                mesh::join(home, node).await?;
                timeline.tell(Room::Mesh, node.name(), format!("joins with an invite of {}", home.name()));
            }
            let meetings = others.iter().map(|node| mesh::connected(node, &home.peer_id));
            try_join_all(meetings).await?;
            for node in others {
                mesh::federate(home, node).await?;
                let pair = format!("{} and {} are partners", home.instance(), node.instance());
                timeline.tell(Room::Mesh, node.name(), pair);
            }
        }
        for (at, (node, name)) in self.doors().into_iter().enumerate() {
            let number = format!("+{}", FIRST_GATEWAY_NUMBER + at as u64);
            let node = self.nodes.get(node).context("a door is a node")?;
            let client = mesh::enrol(node, &name, &number, self.http.clone()).await?;
            timeline.tell(Room::Mesh, node.name(), format!("enrols gateway client {name}"));
            self.gateways.push(client);
        }
        Ok(())
    }

    /// Gateway clients to be: the node each forwards to and its name. They are never at the home, unless it is alone.
    fn doors(&self) -> Vec<(usize, String)> {
        let count = self.nodes.len().saturating_sub(1).max(1);
        let mut doors: Vec<(usize, String)> = self
            .nodes
            .iter()
            .take(count)
            .enumerate()
            .map(|(at, node)| (at, format!("gc-{}", node.instance())))
            .collect();
        if doors.len() == 1 {
            doors.push((0, SECOND_CLIENT.to_owned()));
        }
        doors
    }

    /// The node where the phone signs up.
    pub fn home(&mut self) -> Result<&mut Node> {
        self.nodes.last_mut().context("a demo has a node")
    }

    /// Where the nodes' SMS go.
    pub fn sms_outbox(&self) -> PathBuf {
        self.dir.join("sms-outbox.jsonl")
    }

    /// Where the posts are written down.
    pub fn platform_log(&self) -> PathBuf {
        self.dir.join(PLATFORM_LOG)
    }

    /// How to look further, line by line.
    pub fn hints(&self) -> Vec<String> {
        let config = self.nodes.first().map(Node::config).unwrap_or_default();
        vec![
            format!("  what was published:  {}/posts", self.sink.url),
            format!("  how a node is:       relaymesh --config {} status", config.display()),
            format!("  everything else:     {}", self.dir.join("demo.json").display()),
        ]
    }

    /// Texts of all posts so far.
    pub fn posts(&self) -> Vec<String> {
        self.sink.posts().into_iter().map(|post| post.status).collect()
    }

    /// Writes `demo.json`, for programs that go on from here.
    pub fn describe(&self) -> Result<PathBuf> {
        let nodes: Vec<Value> = self.nodes.iter().map(describe_node).collect();
        let gateways: Vec<Value> = self
            .gateways
            .iter()
            .map(|client| json!({ "name": client.name, "node": client.node, "url": client.url }))
            .collect();
        let all = json!({
            "nodes": nodes, "gateways": gateways, "sms_outbox": self.sms_outbox(),
            "platform_url": self.sink.url, "platform_log": self.platform_log(),
        });
        let path = self.dir.join("demo.json");
        // Whoever waits for the file finds it whole.
        let draft = self.dir.join("demo.json.new");
        fs::write(&draft, format!("{all:#}\n")).and_then(|()| fs::rename(&draft, &path)).context("no demo.json")?;
        Ok(path)
    }

    /// Keeps the directory when the stage is gone.
    pub fn keep_dir(&mut self) {
        if let Some(temporary) = self.temporary.take() {
            let _ = temporary.keep();
        }
    }

    /// Ends all processes and waits until they are gone.
    pub async fn end(mut self) -> Result<()> {
        try_join_all(self.nodes.iter_mut().map(Node::kill)).await?;
        self.sink.shutdown().await;
        Ok(())
    }
}

fn describe_node(node: &Node) -> Value {
    json!({
        "name": node.name(), "peer_id": node.peer_id, "http": node.http(), "grpc": node.grpc(),
        "mesh": node.mesh(), "dir": node.dir(), "pid": node.pid(),
    })
}

/// The directory of a demo: the one that was named, if no demo was in it, or one that goes away with it.
fn place(dir: Option<&Path>) -> Result<(PathBuf, Option<TempDir>)> {
    let Some(dir) = dir else {
        let temporary =
            tempfile::Builder::new().prefix("relaymesh-demo-").tempdir().context("no temporary directory")?;
        return Ok((temporary.path().to_owned(), Some(temporary)));
    };
    fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let used = fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?.next().is_some();
    ensure!(!used, "{} is not empty; name a new directory", dir.display());
    let dir = dir.canonicalize().with_context(|| format!("{} cannot be read", dir.display()))?;
    Ok((dir, None))
}

/// A, B, C …
fn name(index: usize) -> String {
    u8::try_from(index)
        .ok()
        .and_then(|index| b'A'.checked_add(index))
        .map_or_else(String::new, |letter| char::from(letter).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_letters() {
        assert_eq!((0..3).map(name).collect::<String>(), "ABC");
        assert_eq!(name(NODES_MAX - 1), "L");
    }

    #[test]
    fn only_an_empty_directory_is_taken() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("demo");
        assert!(place(Some(&dir)).is_ok_and(|(_, temporary)| temporary.is_none()));
        fs::write(dir.join("demo.json"), "{}").unwrap();
        assert!(place(Some(&dir)).is_err_and(|error| error.to_string().contains("is not empty")));
        let (own, temporary) = place(None).unwrap();
        drop(temporary);
        assert!(!own.exists());
    }
}
