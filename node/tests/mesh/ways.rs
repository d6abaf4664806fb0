//! Ways between nodes that do not reach each other by an address they were given: through a member's relay, and on a local
//! network.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use toml::Value;

use crate::support::kit::process::Node;
use crate::support::{self, World};
use crate::{A, B, C, RECEIPTS, Story, held, within};

/// Longest wait for a way that must be found.
const FOUND_WITHIN: Duration = Duration::from_secs(60);
/// Nodes that could find each other by chance would have done so by then.
const ALONE: Duration = Duration::from_secs(4);

/// Sets one value of a node's configuration.
pub fn set(node: &Node, section: &str, key: &str, value: impl Into<Value>) {
    let change = |config: &mut toml::Table| {
        let section = config.entry(section).or_insert_with(|| toml::Table::new().into());
        section.as_table_mut().unwrap().insert(key.to_owned(), value.into());
    };
    support::configure(node, change).unwrap();
}

/// The state in which `node` lists the node with this peer id.
pub async fn state(node: &Node, peer_id: &str) -> String {
    let members = node.ask(&["node", "list"]).await.unwrap();
    let row = members.as_array().unwrap().iter().find(|row| row["peer_id"] == peer_id).expect("a member");
    row["state"].as_str().unwrap().to_owned()
}

async fn counter(node: &Node, name: &str) -> u64 {
    let status = node.ask(&["status"]).await.unwrap();
    let counters = &status["counters"];
    counters.get(name).map_or(0, |n| n.as_u64().unwrap_or_else(|| panic!("{counters}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_node_behind_nat_is_reached_through_a_members_relay() {
    let mut story = Story::begin().await;
    let relay = story.world.nodes[B].mesh();
    story.kill(B).await;
    set(&story.world.nodes[B], "mesh", "external", vec![relay.clone()]);
    story.start(B).await;
    // Neither of the others can be called. The home comes first, so that its reservation stands.
    for node in [A, C] {
        story.kill(node).await;
        set(&story.world.nodes[node], "listen", "mesh", Vec::<String>::new());
    }
    story.start(C).await;
    let circuit = format!("{relay}/p2p/{}/p2p-circuit", story.world.nodes[B].peer_id);
    let log = story.world.nodes[C].log();
    let listens = async || {
        let log = std::fs::read_to_string(&log).unwrap();
        log.lines().any(|line| line.contains("listening") && line.contains(&circuit))
    };
    within(FOUND_WITHIN, "the home listens through the relay", listens).await;
    story.start(A).await;

    let (a, b, c) = (&story.world.nodes[A], &story.world.nodes[B], &story.world.nodes[C]);
    let straight = async || {
        let pong = a.ask(&["ping", c.name()]).await;
        pong.is_ok_and(|pong| pong["hops"] == 0) && state(a, &c.peer_id).await == "connected"
    };
    within(FOUND_WITHIN, "A reaches the home itself", straight).await;
    assert_eq!(state(c, &a.peer_id).await, "connected");
    let carried = counter(b, "custody_taken").await;

    let sms = story.write("through the relay");
    story.forward(A, &sms).await;
    let sms = story.person.compose("through the relay, known by the number", false).unwrap();
    story.forward(A, &sms).await;
    story.published_once(&["through the relay", "through the relay, known by the number"]).await;
    let (a, b) = (&story.world.nodes[A], &story.world.nodes[B]);
    within(RECEIPTS, "the receipts come back", async || held(a).await == 0).await;
    assert_eq!(counter(b, "custody_taken").await, carried, "B relays bytes, it keeps no letters");
}

/// Two hosts on one cable, as network namespaces. Dropping it takes them away.
struct Lan {
    hosts: [String; 2],
}

impl Lan {
    /// None where this process may not make namespaces.
    fn new() -> Option<Self> {
        let pid = std::process::id();
        let lan = Self { hosts: [format!("rm{pid}a"), format!("rm{pid}b")] };
        let [a, b] = &lan.hosts;
        let made = [a, b].iter().all(|host| ip(&format!("netns add {host}")))
            && ip(&format!("link add cable netns {a} type veth peer name cable netns {b}"));
        let up = || {
            [a, b].iter().enumerate().all(|(at, host)| {
                ip(&format!("-n {host} link set lo up"))
                    && ip(&format!("-n {host} addr add {}/24 dev cable", Self::address(at)))
                    && ip(&format!("-n {host} link set cable up"))
            })
        };
        (made && up()).then_some(lan)
    }

    fn address(host: usize) -> String {
        format!("10.77.0.{}", host + 1)
    }

    /// A script that stands in for the binary. Nodes run on their own host once the file that it gives is there.
    fn binary(&self, place: &Path) -> (PathBuf, PathBuf) {
        let (script, switch, binary) = (place.join("relaymesh"), place.join("apart"), support::binary().display());
        let [a, b] = &self.hosts;
        let lines = format!(
            "#!/bin/sh\nif [ -e '{}' ]; then\n  case \"$*\" in\n\
             \x20   'run --config '*/n0/*) exec ip netns exec {a} '{binary}' \"$@\" ;;\n\
             \x20   'run --config '*/n1/*) exec ip netns exec {b} '{binary}' \"$@\" ;;\n  esac\nfi\n\
             exec '{binary}' \"$@\"\n",
            switch.display()
        );
        std::fs::write(&script, lines).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        (script, switch)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for host in &self.hosts {
            ip(&format!("netns del {host}"));
        }
    }
}

/// Whether `ip` does it.
fn ip(words: &str) -> bool {
    let output = Command::new("ip").args(words.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_of_one_mesh_meet_on_a_local_network_without_any_bootstrap() {
    let Some(lan) = Lan::new() else {
        assert!(std::env::var_os("RELAYMESH_PEERS").is_none(), "network namespaces need root and iproute2");
        eprintln!("SKIPPED: network namespaces cannot be made here (that needs root and iproute2)");
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let (binary, apart) = lan.binary(place.path());
    let mut world = World::start_as(2, &binary, place.path()).await.unwrap();
    let (one, other) = (world.nodes[0].peer_id.clone(), world.nodes[1].peer_id.clone());
    // They move: nothing that either knows of the other is true any more.
    std::fs::write(apart, "").unwrap();
    for looks in [false, true] {
        for (at, node) in world.nodes.iter_mut().enumerate() {
            node.kill().await.unwrap();
            set(node, "listen", "mesh", vec![format!("/ip4/{}/tcp/7443", Lan::address(at))]);
            set(node, "mesh", "lan", looks);
            node.start().await.unwrap();
        }
        if !looks {
            tokio::time::sleep(ALONE).await;
            assert_ne!(state(&world.nodes[0], &other).await, "connected", "they cannot know where the other is");
        }
    }
    within(FOUND_WITHIN, "they meet", async || {
        state(&world.nodes[0], &other).await == "connected" && state(&world.nodes[1], &one).await == "connected"
    })
    .await;
    let pong = world.nodes[0].ask(&["ping", world.nodes[1].name()]).await.unwrap();
    assert_eq!((pong["peer_id"].as_str(), pong["hops"].as_u64()), (Some(other.as_str()), Some(0)));
}
