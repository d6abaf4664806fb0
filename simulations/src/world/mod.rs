//! The world: people, phones, carriers, gateway clients, links, platforms and adversaries around the nodes' own code, in
//! virtual time.

mod bootstrap;
mod carriers;
mod couriers;
mod days;
mod disk;
mod exposure;
mod faults;
mod filters;
mod frames;
mod gateways;
mod lies;
mod lines;
mod message;
mod nodes;
mod outside;
mod people;
mod places;
mod platform;
mod sending;
mod setup;
mod story;
mod upstream;
mod watched;
mod works;

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;

use relaymesh_core::{Input, Output, ReplyTo};
use relaymesh_protocol::ids::NodeId;
use siphasher::sip::SipHasher13;

pub use bootstrap::Bootstrap;
use carriers::Carriers;
pub use disk::Disk;
pub use faults::{Struck, Target, materialise};
pub use frames::BETWEEN_NODES;
use frames::Waiter;
use gateways::Gateway;
use lines::Flying;
use message::Message;
use nodes::SimNode;
use outside::Outside;
pub use outside::{Endpoint, Wish};
use people::Person;
use places::Renewal;
pub use places::{Internet, Labels, Spot};
use platform::Platform;
pub use setup::Options;
pub use story::{Line, Story};

use crate::adversary::Lies;
use crate::invariants::{Fates, Knowledge, Watch, marks_of};
use crate::kernel::{Chance, Checkpoints, Queue, Slab, Span, Time, Trace};
use crate::ledger::Ledger;
use crate::outcome::{Outcome, System, Violation};
use crate::scenario::Scenario;

/// How long a batch takes to be durable.
const FSYNC: Span = Span::millis(2);

/// Something that will happen. Small and copied; what is large lies in a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// A region's next message is due, or was thinned out.
    Load { region: u16, n: u32 },
    /// A copy of a message arrives at a gateway client.
    Arrive { message: u32, gateway: u16, copy: u16 },
    /// A gateway client tries what it keeps.
    Gateway { gateway: u16, boot: u32 },
    /// A sender without an answer sends again.
    Resend { message: u32, sends: u8 },
    /// An SMS to a person arrives.
    Told { slot: u32 },
    /// A node's timer is due.
    Timer { node: u16, boot: u32 },
    /// A batch is durable.
    Persisted { node: u16, boot: u32, token: u64 },
    /// An input for a node's core.
    Input { slot: u32 },
    /// A frame arrives.
    Frame { slot: u32 },
    /// A node's next failure or repair.
    Flip { node: u16 },
    /// A region's mains go or come.
    Mains { region: u16 },
    /// A fault's next step.
    Fault { fault: u32, step: u8 },
    /// A courier sets out.
    Courier { n: u32 },
    /// Midnight.
    Day,
    /// A liar's next lie.
    Lie { node: u16, n: u32 },
    /// The watcher notes what is known.
    Watch,
}

impl Event {
    /// Kind byte and two numbers for the trace.
    fn mark(self) -> (u8, u64, u64) {
        match self {
            Self::Load { region, n } => (1, u64::from(region), u64::from(n)),
            Self::Arrive { message, gateway, copy } => {
                (2, u64::from(message), u64::from(gateway) << 16 | u64::from(copy))
            }
            Self::Gateway { gateway, boot } => (3, u64::from(gateway), u64::from(boot)),
            Self::Resend { message, sends } => (4, u64::from(message), u64::from(sends)),
            Self::Told { slot } => (5, u64::from(slot), 0),
            Self::Timer { node, boot } => (6, u64::from(node), u64::from(boot)),
            Self::Persisted { node, token, .. } => (7, u64::from(node), token),
            Self::Input { slot } => (8, u64::from(slot), 0),
            Self::Frame { slot } => (9, u64::from(slot), 0),
            Self::Flip { node } => (10, u64::from(node), 0),
            Self::Fault { fault, step } => (11, u64::from(fault), u64::from(step)),
            Self::Courier { n } => (12, u64::from(n), 0),
            Self::Day => (13, 0, 0),
            Self::Mains { region } => (14, u64::from(region), 0),
            Self::Lie { node, n } => (15, u64::from(node), u64::from(n)),
            Self::Watch => (16, 0, 0),
        }
    }
}

/// What events are called in the metrics, by their kind byte.
const KINDS: [&str; 17] = [
    "none",
    "load",
    "arrive",
    "gateway",
    "resend",
    "told",
    "timer",
    "persisted",
    "input",
    "frame",
    "flip",
    "fault",
    "courier",
    "day",
    "mains",
    "lie",
    "watch",
];

/// An input that waits for its moment.
struct Due {
    node: u16,
    boot: u32,
    input: Input,
}

/// An SMS on its way to a person.
struct Notice {
    person: u32,
    text: String,
}

/// One world of one seed under one system.
pub struct World<'s> {
    scenario: &'s Scenario,
    system: System,
    chance: Chance,
    now: Time,
    end: Time,
    queue: Queue<Event>,
    trace: Trace,
    internet: Internet,
    mains: Vec<Renewal>,
    offline: Vec<u16>,
    sms_off: Vec<Vec<f64>>,
    load_factor: f64,
    nodes: Vec<SimNode>,
    by_id: HashMap<NodeId, u16, BuildHasherDefault<SipHasher13>>,
    failures: Vec<Renewal>,
    waiters: Slab<(u32, u16, Waiter)>,
    waiter_count: u32,
    inputs: Slab<Due>,
    frames: Slab<Flying>,
    notices: Slab<Notice>,
    frame_count: u64,
    people: Vec<Person>,
    by_region: Vec<Vec<u32>>,
    carriers: Carriers,
    gateways: Vec<Gateway>,
    platform: Platform,
    faults: Vec<Struck>,
    messages: Vec<Message>,
    counters: BTreeMap<&'static str, u64>,
    kinds: [u64; KINDS.len()],
    seized: Vec<(u32, u32)>,
    violations: Vec<Violation>,
    watch: Watch,
    fates: Fates,
    /// The highest share of its cap that each gauge of a node has shown.
    fullest: BTreeMap<&'static str, f64>,
    /// What everybody knew together, some hours before the end.
    known: Option<Knowledge>,
    lies: Lies,
    ledger: Ledger,
    options: Options,
    story: Option<Box<Story>>,
    outside: Option<Outside>,
}

impl World<'_> {
    /// Runs to the end and tells what happened.
    #[must_use]
    pub fn run(mut self) -> (Outcome, Checkpoints, Vec<String>) {
        self.run_events();
        self.finish()
    }

    /// Runs to the end and tells the story of the message that [`Options::story`] names.
    #[must_use]
    pub fn run_for_story(mut self) -> Story {
        self.run_events();
        self.end_story().unwrap_or_default()
    }

    fn run_events(&mut self) {
        // What comes after the end stays in the queue: it is still on its way.
        while self.queue.next().is_some_and(|at| at <= self.end) {
            let Some((time, event)) = self.queue.pop() else { break };
            self.happen_at(time, event);
            if self.is_enough() {
                self.end = time;
                break;
            }
        }
        self.now = self.end;
    }

    fn happen_at(&mut self, time: Time, event: Event) {
        self.now = time;
        let (kind, a, b) = event.mark();
        self.trace.event(time, kind, a, b, || format!("{event:?}"));
        self.kinds[usize::from(kind)] += 1;
        self.happen(event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Load { region, n } => self.on_load(region, n),
            Event::Arrive { message, gateway, copy } => self.on_arrive(message, gateway, copy),
            Event::Gateway { gateway, boot } => self.on_gateway(gateway, boot),
            Event::Resend { message, sends } => self.on_resend(message, sends),
            Event::Told { slot } => self.on_told(slot),
            Event::Timer { node, boot } => self.on_timer(node, boot),
            Event::Persisted { node, boot, token } => self.on_persisted(node, boot, token),
            Event::Input { slot } => self.on_input(slot),
            Event::Frame { slot } => self.on_frame(slot),
            Event::Flip { node } => self.on_flip(node),
            Event::Fault { fault, step } => self.on_fault(fault, step),
            Event::Courier { n } => self.on_courier(n),
            Event::Day => self.on_day(),
            Event::Mains { region } => self.on_mains(region),
            Event::Lie { node, n } => self.on_lie(node, n),
            Event::Watch => self.on_watch(),
        }
    }

    fn push(&mut self, after: Span, event: Event) {
        self.queue.push(self.now.after(after), event);
    }

    fn count(&mut self, name: &'static str) {
        *self.counters.entry(name).or_default() += 1;
    }

    fn on_timer(&mut self, node: u16, boot: u32) {
        let sim = &mut self.nodes[usize::from(node)];
        if sim.boots != boot || !sim.alive() || sim.timer_at > self.now {
            return;
        }
        sim.timer_at = Time::MAX;
        self.close_idle(node);
        self.nodes[usize::from(node)].tick(self.now);
        self.settle(node);
    }

    fn on_persisted(&mut self, node: u16, boot: u32, token: u64) {
        let sim = &mut self.nodes[usize::from(node)];
        if sim.boots == boot && sim.alive() {
            let marks = sim.staged(token).map(|batch| marks_of(&self.watch, batch)).unwrap_or_default();
            sim.persist(token, self.now);
            self.note_durable(node, marks);
            self.settle(node);
        }
    }

    fn on_input(&mut self, slot: u32) {
        let Some(Due { node, boot, input }) = self.inputs.take(slot) else { return };
        if self.nodes[usize::from(node)].boots == boot {
            self.feed(node, input);
        }
    }

    /// Gives a node an input at a later moment of its present life.
    fn feed_later(&mut self, after: Span, node: u16, input: Input) {
        let boot = self.nodes[usize::from(node)].boots;
        let slot = self.inputs.insert(Due { node, boot, input });
        self.push(after, Event::Input { slot });
    }

    fn feed(&mut self, node: u16, input: Input) {
        let sim = &mut self.nodes[usize::from(node)];
        if sim.alive() {
            sim.feed(input, self.now);
            self.settle(node);
        }
    }

    /// Does what a node wants done, and queues its next timer.
    fn settle(&mut self, node: u16) {
        while let Some(output) = self.nodes[usize::from(node)].output() {
            self.perform(node, output);
        }
        let sim = &mut self.nodes[usize::from(node)];
        let Some(at) = sim.timeout() else { return };
        // Not in the same moment: a timer that is due already waits for the clock to move on.
        let at = at.max(self.now.after(Span(1)));
        if at < sim.timer_at {
            sim.timer_at = at;
            let boot = sim.boots;
            self.queue.push(at, Event::Timer { node, boot });
        }
    }

    fn perform(&mut self, node: u16, output: Output) {
        let Some(output) = self.let_out(node, output) else { return };
        match output {
            Output::Persist { token, batch } => {
                let sim = &mut self.nodes[usize::from(node)];
                sim.stage(token, batch);
                let boot = sim.boots;
                self.push(FSYNC, Event::Persisted { node, boot, token });
            }
            Output::Reply { to, reply } => self.on_reply(node, to, reply),
            Output::Taken { to, taken } => self.on_taken(node, to, taken),
            Output::Respond { to, response } => self.on_response(node, to, response),
            Output::Carry { to, envelope, carried } => self.carry(node, to, envelope, carried),
            Output::Ask { to, token, request } => self.ask(node, to, token, request),
            Output::Work { id, work } => self.work(node, id, work),
            Output::SaveKeys { id, keyring } => self.save_keys(node, id, *keyring),
            Output::Members { allow, .. } => {
                self.nodes[usize::from(node)].set_members(allow.into_iter().map(|(id, _)| id));
            }
            Output::Dial { .. } | Output::Note(_) => {}
            Output::Follow(_) => unreachable!("the pump runs follow-ups"),
        }
    }

    /// Somebody waits for a node's answer.
    fn wait(&mut self, node: u16, waiter: Waiter) -> ReplyTo {
        self.waiter_count += 1;
        let slot = self.waiters.insert((self.waiter_count, node, waiter));
        ReplyTo(u64::from(self.waiter_count) << 32 | u64::from(slot))
    }

    /// Who waits for this answer, the first time it is given.
    fn waiter(&mut self, node: u16, to: ReplyTo) -> Option<Waiter> {
        let (count, slot) = ((to.0 >> 32) as u32, to.0 as u32);
        let (known, of, _) = self.waiters.get(slot)?;
        if *known != count || *of != node {
            return None;
        }
        self.waiters.take(slot).map(|(.., waiter)| waiter)
    }

    fn node_of(&self, id: &NodeId) -> Option<u16> {
        self.by_id.get(id).copied()
    }
}
