//! The loop that joins the two clocks: the world's queue of events, and tokio's paused clock under the swarms.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use relaymesh_mesh::Event;
use relaymesh_simulations::kernel::{Chance, Purpose, Time};
use relaymesh_simulations::outcome::{Outcome, System};
use relaymesh_simulations::scenario::{CryptoKind, Scenario};
use relaymesh_simulations::world::{Bootstrap, Options, Wish, World};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::net::{Life, Network};
use crate::node::{Heard, Running};
use crate::overrides::Held;

/// Stack of the thread that a world runs on: polling a swarm nests deep in a debug build.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// What a world leaves.
#[derive(Debug)]
pub struct Ended {
    /// As in tier A.
    pub outcome: Outcome,
    /// Texts of the events of the window.
    pub kept: Vec<String>,
}

/// Runs one world on a thread of its own, whose clock and entropy are virtual. One per process repeats to the bit: libp2p
/// numbers its connections through the whole process.
///
/// # Errors
/// When the scenario cannot be built, has members that lie (they do so in the model's frames, which are not on these wires) or
/// lines with a rate (these wires have none), or this executable does not hold the clock.
pub fn world(scenario: &Scenario, seed: u64, window: (u64, u64)) -> Result<Ended> {
    if !scenario.byzantine.is_empty() {
        bail!("members that lie are in tier A only");
    }
    if let Some(n) = scenario.fault.iter().position(|fault| fault.rate.is_some()) {
        bail!("lines with a rate are in tier A only, and fault.{n} has one");
    }
    let mut scenario = scenario.clone();
    // The swarms authenticate each other by the nodes' keys.
    scenario.crypto = CryptoKind::Real;
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let held = Held::seed(Chance::new(seed).draw(Purpose::Hidden, 0, 0).bits());
        on_this_thread(&scenario, seed, window, &held)
    });
    match thread.context("no thread")?.join() {
        Ok(ended) => ended,
        Err(_) => bail!("the world panicked"),
    }
}

fn on_this_thread(scenario: &Scenario, seed: u64, window: (u64, u64), held: &Held) -> Result<Ended> {
    let bootstrap = Bootstrap::new(scenario)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let ended = runtime.block_on(async {
        held.start_clock();
        if !held.is_effective() {
            bail!("this executable does not hold its clock and entropy: it needs a shared glibc");
        }
        let options = Options { window, outside: true, ..Options::default() };
        let world = World::new(scenario, &bootstrap, seed, System::Mesh, options)?;
        let (ears, heard) = unbounded_channel();
        let network = Network::new(Chance::new(seed), world.ways());
        Stack { world, network, running: BTreeMap::new(), lives: BTreeMap::new(), ears }.run(heard).await
    });
    drop(runtime);
    ended
}

/// A world and its swarms.
struct Stack<'s> {
    world: World<'s>,
    network: Network,
    running: BTreeMap<u16, Running>,
    lives: BTreeMap<u16, u32>,
    ears: UnboundedSender<Heard>,
}

impl Stack<'_> {
    async fn run(mut self, mut heard: UnboundedReceiver<Heard>) -> Result<Ended> {
        let (start, end) = (Instant::now(), self.world.end());
        self.assign_ports();
        loop {
            let now = Time(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
            self.world.advance(now);
            self.grant()?;
            if now >= end {
                break;
            }
            let next = self.world.next_event().unwrap_or(end).min(end);
            tokio::select! {
                biased;
                Some((life, event)) = heard.recv() => self.on_event(life, event)?,
                () = tokio::time::sleep_until(start + Duration::from_micros(next.0)) => {}
            }
        }
        Ok(self.close())
    }

    fn assign_ports(&mut self) {
        for node in 0..self.world.node_count() {
            for address in self.world.endpoint(node).addresses {
                if let Some(port) = address.strip_prefix("/memory/").and_then(|port| port.parse().ok()) {
                    self.network.assign(port, node);
                }
            }
        }
    }

    /// Does what the world wishes, and what follows from it, until nothing does.
    fn grant(&mut self) -> Result<()> {
        loop {
            let mut spoke = BTreeSet::new();
            while let Some(wish) = self.world.next_wish() {
                match wish {
                    Wish::Start(node) => self.start(node)?,
                    Wish::Kill(node) => self.kill(node),
                    Wish::Ways => self.network.change(self.world.ways()),
                    Wish::Frame(node, output) => {
                        if let Some(running) = self.running.get_mut(&node) {
                            running.on_output(*output);
                            spoke.insert(node);
                        }
                    }
                }
            }
            if spoke.is_empty() {
                return Ok(());
            }
            for node in spoke {
                let failed = self.running.get_mut(&node).map(Running::flush).unwrap_or_default();
                failed.into_iter().for_each(|input| self.world.hear(node, input));
            }
        }
    }

    fn start(&mut self, node: u16) -> Result<()> {
        let life = self.lives.entry(node).or_default();
        *life += 1;
        let life = Life { node, life: *life };
        let running = Running::start(life, self.world.endpoint(node), &self.network, self.ears.clone())?;
        self.running.insert(node, running);
        Ok(())
    }

    /// Its wires first, so that nothing of what the task does at its end is heard.
    fn kill(&mut self, node: u16) {
        if let Some(running) = self.running.remove(&node) {
            self.network.kill(running.life());
        }
    }

    fn on_event(&mut self, life: Life, event: Event) -> Result<()> {
        let now = self.network.now();
        self.world.advance(now);
        self.grant()?;
        let Some(running) = self.running.get_mut(&life.node).filter(|running| running.life() == life) else {
            return Ok(());
        };
        let kind = kind_of(&event);
        let (node, tally) = (u64::from(life.node), self.network.tally());
        self.world.mark(node << 8 | kind, tally.bytes, || format!("node {node}: {event:?}"));
        if let Event::Restarted { panics } = &event {
            self.world.break_rule("swarm_never_panics", format!("node {node}: {panics} so far"));
        }
        for input in running.on_event(event) {
            self.world.hear(life.node, input);
        }
        self.grant()
    }

    fn close(mut self) -> Ended {
        let (tally, hash) = (self.network.tally(), self.network.hash());
        self.running.clear();
        #[allow(clippy::cast_possible_truncation, reason = "its two halves")]
        self.world.mark((hash >> 64) as u64, hash as u64, || format!("{tally:?}"));
        let (mut outcome, _, kept) = self.world.close();
        #[allow(clippy::cast_precision_loss, reason = "counts of one run")]
        for (name, count) in [
            ("stack.dials", tally.dials),
            ("stack.connections", tally.connections),
            ("stack.writes", tally.writes),
            ("stack.bytes", tally.bytes),
        ] {
            outcome.metrics.insert(name.to_owned(), count as f64);
        }
        Ended { outcome, kept }
    }
}

/// A number for what kind of event it is, in the trace.
fn kind_of(event: &Event) -> u64 {
    match event {
        Event::Listening { .. } => 1,
        Event::Connected { .. } => 2,
        Event::Disconnected { .. } => 3,
        Event::Asked { .. } => 4,
        Event::Answered { .. } => 5,
        Event::Unanswered { .. } => 6,
        Event::Seen { .. } => 7,
        Event::AddressConfirmed { .. } => 8,
        Event::Restarted { .. } => 9,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use relaymesh_simulations::kernel::Span;
    use relaymesh_simulations::scenario::{Behaviour, Byzantine, FaultKind, Share, load, parse_bit_rate};

    use super::*;

    #[test]
    fn lines_with_a_rate_are_refused_and_not_taken_for_fast_ones() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/twenty.toml");
        let mut scenario = load(&path, &[]).unwrap();
        let fault = scenario.fault.last_mut().unwrap();
        (fault.kind, fault.rate) = (FaultKind::Throttle, Some(parse_bit_rate("20kbit/s").unwrap()));
        let said = world(&scenario, 1, (0, 0)).unwrap_err().to_string();
        assert!(said.contains("rate are in tier A only"), "{said}");
    }

    #[test]
    fn members_that_lie_are_refused_and_not_left_out() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/twenty.toml");
        let mut scenario = load(&path, &[]).unwrap();
        scenario.byzantine.push(Byzantine {
            behaviour: Behaviour::Drop,
            filter: None,
            share: Share(0.1),
            rate: Share(1.0),
            start: Span::ZERO,
        });
        assert!(world(&scenario, 1, (0, 0)).unwrap_err().to_string().contains("tier A"));
    }
}
