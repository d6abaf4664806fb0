//! What nodes that have nothing to do say to each other, computed: the core runs in virtual time and its frames are
//! counted; what libp2p and TCP/IP add to them is estimated from the formats.

use std::time::Duration;

use anyhow::Result;

use super::Scale;
use super::row::{Budget, Row};
use super::world::{Disk, World, config, keyring};

/// Nodes of the mesh.
const NODES: u8 = 50;
/// Everybody has every filter by then: a start of all nodes at once makes all filters anew, and that takes hours to settle.
const SETTLED_AFTER: Duration = Duration::from_secs(4 * 3_600);
/// A month of thirty days, in hours.
const MONTH_HOURS: f64 = 720.0;
/// A connection without frames is closed after this, by the configuration of the mesh.
const SILENCE: Duration = Duration::from_secs(5 * 60);

/// What one request and its response cost beside their CBOR, both directions together: the negotiation of a stream
/// (2 × 40 bytes), 7 yamux headers of 12, 6 noise frames of 18, and 6 TCP/IP packets of 52.
const EXCHANGE_BYTES: u64 = 80 + 7 * 12 + 6 * 18 + 6 * 52;
/// A new connection, both directions together: TCP and its end (6 × 52), noise XX with its negotiation (600), yamux, and
/// identify with signed records both ways (some 1,000 each).
const CONNECTION_BYTES: u64 = 6 * 52 + 600 + 100 + 2 * 1_000;
/// A ping on a connection, both sides' together: 280 bytes each.
const PING_BYTES: u64 = 2 * 280;
/// Time between pings of a connection.
const PING_EVERY: Duration = Duration::from_secs(5 * 60);
const PING_EVERY_METERED: Duration = Duration::from_secs(20 * 60);

pub fn rows() -> Vec<Row> {
    let name = "idle traffic, 50-node mesh (computed)";
    vec![
        Row::new(name, "MB/month", Budget::AtMost(100.0)),
        Row::new(format!("{name}, metered"), "MB/month", Budget::AtMost(30.0)),
    ]
}

pub fn measure(scale: Scale, rows: &mut [Row]) -> Result<()> {
    let span = Duration::from_secs(scale.pick(2 * 3_600, 24 * 3_600));
    for (row, metered) in rows.iter_mut().zip([false, true]) {
        let traffic = hours(span, metered)?;
        row.set(traffic.total(), None, traffic.note());
    }
    Ok(())
}

/// Of the mean node, in MB a month.
struct Traffic {
    frames: f64,
    exchanges: f64,
    connections: f64,
    pings: f64,
    /// Share of the frames' bytes by kind.
    kinds: Vec<(&'static str, f64)>,
}

impl Traffic {
    fn total(&self) -> f64 {
        self.frames + self.exchanges + self.connections + self.pings
    }

    fn note(&self) -> String {
        let Self { frames, exchanges, connections, pings, kinds } = self;
        let kinds: Vec<String> = kinds.iter().map(|(kind, share)| format!("{kind} {:.0} %", share * 100.0)).collect();
        let kinds = kinds.join(", ");
        format!(
            "virtual time, in and out with TCP/IP headers: {frames:.1} frames (counted: {kinds}), {exchanges:.1} libp2p and TCP/IP around them, \
             {connections:.1} connections made again, {pings:.1} pings (estimated); no baseline"
        )
    }
}

fn hours(span: Duration, metered: bool) -> Result<Traffic> {
    let mut world = World::new(SILENCE);
    for node in 1..=NODES {
        let config = relaymesh_core::config::Config { metered, ..config(&format!("n{node}"), node) };
        let index = world.add(config, keyring(node), Disk::default());
        if index > 0 {
            world.join(0, index)?;
        }
    }
    // A filter that was made before its author joined is signed for no mesh of ours; a start makes it anew.
    world.restart();
    world.run_for(SETTLED_AFTER);
    for sim in &mut world.nodes {
        (sim.frame_bytes, sim.exchanges, sim.connections, sim.alive_ms) = (0, 0, 0, 0);
    }
    world.kinds.clear();
    world.run_for(span);
    Ok(traffic(&world, span, if metered { PING_EVERY_METERED } else { PING_EVERY }))
}

fn traffic(world: &World, span: Duration, ping_every: Duration) -> Traffic {
    let month = MONTH_HOURS * 3_600.0 / span.as_secs_f64() / 1e6;
    let mean = |count: fn(&super::world::Sim) -> u64| {
        world.nodes.iter().map(count).sum::<u64>() as f64 / world.nodes.len() as f64
    };
    let connections = mean(|sim| sim.connections);
    let alive = mean(|sim| sim.alive_ms) / 1e3 / span.as_secs_f64();
    let all = world.kinds.values().sum::<u64>().max(1) as f64;
    Traffic {
        kinds: world.kinds.iter().map(|(kind, bytes)| (*kind, *bytes as f64 / all)).collect(),
        frames: mean(|sim| sim.frame_bytes) * month,
        exchanges: mean(|sim| sim.exchanges) * EXCHANGE_BYTES as f64 * month,
        connections: connections * CONNECTION_BYTES as f64 * month,
        pings: alive * PING_BYTES as f64 * (span.as_secs_f64() / ping_every.as_secs_f64()) * month,
    }
}
