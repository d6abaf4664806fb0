//! Two swarms and nothing else: what a connection, a request and an envelope cost. Tier A's overlay is fitted to this.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use relaymesh_mesh::{Command, Config, Event, Handle, IDLE_TIMEOUT, Mesh, Transport, secured};
use relaymesh_protocol::frame::{Carried, Request, Response, Taken};
use relaymesh_protocol::ids::NodeId;
use relaymesh_simulations::kernel::{Chance, Span};
use relaymesh_simulations::scenario::{Links, Share};
use relaymesh_simulations::tier_b::{Measured, Sample};
use relaymesh_simulations::world::{Internet, Labels, Spot};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep};

use crate::net::{Life, Network, Wires};
use crate::overrides::Held;

/// One-way latencies that are measured, in milliseconds: a town, a country, abroad, a satellite.
const LATENCIES: [u64; 4] = [10, 40, 90, 280];
/// Sizes of envelopes that are measured, in bytes.
const ENVELOPES: [usize; 3] = [1_024, 4_096, 16_384];

/// Measures, on a thread of its own.
///
/// # Errors
/// When two swarms do not find each other, or this executable does not hold the clock.
pub fn measure() -> Result<Measured> {
    let thread = std::thread::spawn(|| {
        let held = Held::seed(1);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        runtime.block_on(async {
            held.start_clock();
            all().await
        })
    });
    thread.join().unwrap_or_else(|_| bail!("a swarm panicked"))
}

async fn all() -> Result<Measured> {
    let mut samples = Vec::new();
    for latency in LATENCIES {
        let mut pair = Pair::new(Span::millis(latency))?;
        let (first_s, _) = pair.ask(Request::WhoHolds { keys: vec![1] }).await?;
        let (next_s, answer_s) = pair.ask(Request::WhoHolds { keys: vec![2] }).await?;
        samples.push(Sample { latency_s: Span::millis(latency).as_secs_f64(), first_s, next_s, answer_s });
    }
    let mut pair = Pair::new(Span::millis(LATENCIES[1]))?;
    pair.ask(Request::WhoHolds { keys: vec![1] }).await?;
    pair.settle().await;
    let connection_bytes = pair.network.tally().bytes;
    let mut envelopes = Vec::new();
    for bytes in ENVELOPES {
        let before = pair.network.tally().bytes;
        let envelope = Carried { envelope: vec![0; bytes], hops: 1, copies: 1 };
        pair.ask(Request::Envelopes(vec![envelope])).await?;
        pair.settle().await;
        envelopes.push((bytes as u64, pair.network.tally().bytes - before));
    }
    Ok(Measured { samples, envelopes, connection_bytes, idle_s: IDLE_TIMEOUT.as_secs_f64() })
}

struct One {
    mesh: Handle,
    events: Receiver<Event>,
}

struct Pair {
    network: Network,
    asker: One,
    asked: One,
    next: u64,
}

impl Pair {
    fn new(latency: Span) -> Result<Self> {
        let links = Links {
            within: latency,
            between: latency,
            abroad: latency,
            sigma: 0.0,
            timeout: Span::secs(20),
            loss: Share(0.0),
        };
        let spots = (0..2).map(|site| Spot::new(0, false, site, Labels::default())).collect();
        let network = Network::new(Chance::new(1), (Internet::of(links), spots));
        let (asker, asked) = (One::start(0, &network)?, One::start(1, &network)?);
        for (one, other) in [(&asker, &asked), (&asked, &asker)] {
            let at = format!("/memory/{}", u64::from(other.mesh.node() == asked.mesh.node()) + 1);
            one.tell(Command::Members { allow: vec![(other.mesh.node(), vec![at])], open: false })?;
        }
        Ok(Self { network, asker, asked, next: 1 })
    }

    /// Seconds from handing a request over to its arrival, and to its answer.
    async fn ask(&mut self, frame: Request) -> Result<(f64, f64)> {
        let answer = match &frame {
            Request::Envelopes(all) => Response::Envelopes(vec![Taken::Yes; all.len()]),
            _ => Response::Same { rest_s: 0 },
        };
        let (to, id) = (self.asked.mesh.node(), self.next);
        self.next += 1;
        let start = Instant::now();
        self.asker.tell(Command::Send { to, id, frame })?;
        let channel = self.asked.asked(self.asker.mesh.node()).await?;
        let arrived = start.elapsed().as_secs_f64();
        self.asked.tell(Command::Respond { channel, frame: answer })?;
        self.asker.answered(id).await?;
        Ok((arrived, start.elapsed().as_secs_f64()))
    }

    /// Until everything that follows from a request has been said.
    async fn settle(&mut self) {
        sleep(Duration::from_secs(5)).await;
    }
}

impl One {
    fn start(node: u16, network: &Network) -> Result<Self> {
        let wires = network.clone();
        let life = Life { node, life: 1 };
        let transport = Transport::new(move |identity| secured(identity, Wires::new(wires.clone(), life)));
        let address = vec![format!("/memory/{}", node + 1)];
        let config = Config { listen: address.clone(), external: address, ..Config::default() };
        let seed = [u8::try_from(node).unwrap_or(u8::MAX) + 1; 32];
        let (mesh, events) = Mesh::start(config, seed, transport).context("a mesh task does not start")?;
        Ok(Self { mesh, events })
    }

    fn tell(&self, command: Command) -> Result<()> {
        self.mesh.try_send(command).context("a mesh task takes no command")
    }

    async fn asked(&mut self, by: NodeId) -> Result<u64> {
        loop {
            match self.events.recv().await.context("a mesh task ended")? {
                Event::Asked { from, channel, .. } if from == by => return Ok(channel),
                _ => {}
            }
        }
    }

    async fn answered(&mut self, of: u64) -> Result<()> {
        loop {
            match self.events.recv().await.context("a mesh task ended")? {
                Event::Answered { id, .. } if id == of => return Ok(()),
                Event::Unanswered { why, .. } => bail!("a request stays unanswered: {why:?}"),
                _ => {}
            }
        }
    }
}
