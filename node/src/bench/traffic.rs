//! What nodes that have nothing to do say to each other.
//!
//! Fifty cores run in virtual time for a week, so that everything that is due daily or weekly is in it, and the frames that
//! they exchange are counted as CBOR; links that carry no frame for as long as the transport allows are closed there too.
//! What a frame, a connection and a ping cost around that on a real wire is measured in the same run ([`super::wire`]) and
//! multiplied. Not in it: nodes behind a NAT (they ping more often), LAN discovery (off by default), dead peers,
//! partners' audits, DNS, TLS fronts, and packets that are lost and sent again.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Scale;
use super::row::{Budget, Row};
use super::wire::{self, Costs};
use super::world::{Disk, Frames, Said, World, config, keyring};

/// Nodes of the mesh.
const NODES: u8 = 50;
/// In the second row every so many-th node is metered; it lives among others that are not.
const METERED_EVERY: u8 = 5;
/// Everybody has every filter by then: a start of all nodes at once makes all filters anew.
const SETTLED_AFTER: Duration = Duration::from_secs(4 * 3_600);
/// What traffic is spent on where no frame is sent.
const CONNECTIONS: &str = "connections";
const PINGS: &str = "pings";
const LINKS_ALONE: [&str; 2] = [CONNECTIONS, PINGS];
/// A month of thirty days, in hours.
const MONTH_HOURS: f64 = 720.0;

pub fn rows() -> Vec<Row> {
    let name = "idle traffic, 50-node mesh";
    vec![
        Row::new(name, "MB/month", Budget::AtMost(100.0)),
        Row::new(format!("{name}, a metered node among others"), "MB/month", Budget::AtMost(30.0)),
    ]
}

pub async fn measure(scale: Scale, rows: &mut [Row]) -> Result<()> {
    let span = Duration::from_secs(scale.pick(24, 7 * 24) * 3_600);
    let costs = wire::measure().await?;
    for (row, metered) in rows.iter_mut().zip([false, true]) {
        let work = move || run(span, metered);
        let said = tokio::task::spawn_blocking(work).await.context("the measurement panicked")??;
        let traffic = Traffic::of(&said, &costs, span, metered);
        row.set(traffic.total(), Some(traffic.bare()), traffic.note(&costs));
    }
    Ok(())
}

/// What the nodes of one kind said in so much time.
fn run(span: Duration, metered: bool) -> Result<Vec<Said>> {
    let is_metered = |node: u8| metered && node.is_multiple_of(METERED_EVERY);
    let mut world = World::new(relaymesh_mesh::IDLE_TIMEOUT);
    for node in 1..=NODES {
        let config = relaymesh_core::config::Config { metered: is_metered(node), ..config(&format!("n{node}"), node) };
        let index = world.add(config, keyring(node), Disk::default());
        if index > 0 {
            world.join(0, index)?;
        }
    }
    // A filter that was made before its author joined is signed for no mesh of ours; a start makes it anew.
    world.restart();
    world.run_for(SETTLED_AFTER);
    for sim in &mut world.nodes {
        sim.said = Said::default();
    }
    world.run_for(span);
    Ok((1..).zip(world.nodes).filter(|(node, _)| is_metered(*node) == metered).map(|(_, sim)| sim.said).collect())
}

/// Of the mean node, in MB a month.
struct Traffic {
    /// What it is spent on, the largest share first.
    parts: Vec<(&'static str, f64)>,
    links: f64,
}

impl Traffic {
    fn of(said: &[Said], costs: &Costs, span: Duration, metered: bool) -> Self {
        let seconds = span.as_secs_f64();
        let to_month = MONTH_HOURS * 3_600.0 / seconds / 1e6 / said.len().max(1) as f64;
        let mut parts: Vec<(&'static str, f64)> = Vec::new();
        let kinds: std::collections::BTreeSet<&'static str> =
            said.iter().flat_map(|said| said.kinds.keys().copied()).collect();
        for kind in kinds {
            let of = |said: &Said| {
                let Frames { bytes, requests } = said.kinds.get(kind).copied().unwrap_or_default();
                bytes as f64 + requests as f64 * costs.exchange
            };
            parts.push((kind, said.iter().map(of).sum::<f64>() * to_month));
        }
        let connections = said.iter().map(|said| said.connections).sum::<u64>() as f64;
        parts.push((CONNECTIONS, connections * costs.connection * to_month));
        let alive = said.iter().map(|said| said.alive_ms).sum::<u64>() as f64 / 1e3;
        // Both sides ping, each as it is configured; the other side of a metered node's link is hardly ever metered.
        let external = vec!["/ip4/192.0.2.1/tcp/4001".to_owned()];
        let every = |metered| {
            let config = relaymesh_mesh::Config { metered, external: external.clone(), ..Default::default() };
            config.ping_interval().as_secs_f64()
        };
        let pings = alive / every(metered) + alive / every(false);
        parts.push((PINGS, pings * costs.ping * to_month));
        parts.sort_by(|a, b| b.1.total_cmp(&a.1));
        Self { parts, links: alive / seconds / said.len().max(1) as f64 }
    }

    /// What the same links cost that carry nothing.
    fn bare(&self) -> f64 {
        self.parts.iter().filter(|(kind, _)| LINKS_ALONE.contains(kind)).map(|(_, megabytes)| megabytes).sum()
    }

    fn total(&self) -> f64 {
        self.parts.iter().map(|(_, megabytes)| megabytes).sum()
    }

    fn note(&self, costs: &Costs) -> String {
        let parts: Vec<String> = self.parts.iter().map(|(kind, megabytes)| format!("{kind} {megabytes:.1}")).collect();
        let Costs { connection, exchange, ping } = costs;
        format!(
            "frames of cores in virtual time, in and out: {} (MB); {:.1} links; measured on loopback, headers included: \
             {exchange:.0} bytes around a request and its answer, {connection:.0} for a connection, {ping:.0} for a ping; \
             baseline: the same links when they carry nothing",
            parts.join(", "),
            self.links,
        )
    }
}
