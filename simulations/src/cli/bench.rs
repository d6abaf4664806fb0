//! `simulate bench`: each speed that the project promises, measured here and now, beside a plain event loop (the standard
//! library's binary heap) that is measured in the same run, so that a slow machine is seen for what it is.
//!
//! Speeds are of CPU time of the one thread that runs a world, as the system counts it; where it does not, of the clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use crate::cost::{peak_memory, thread_nanoseconds};
use crate::kernel::{Chance, Purpose, Queue, Span, Time};
use crate::outcome::System;
use crate::scenario::{Scenario, find, load, load_from};
use crate::tier_b::{Stack, Tier};
use crate::world::{Bootstrap, Options, World};

/// Measures the simulator's speed against its budgets.
#[derive(clap::Args)]
pub struct Args {
    /// The scenario that the worlds are of: a name (`simulate list`), or the path of a file.
    #[arg(long, default_value = "cameroon-2017")]
    scenario: String,
    /// Small sizes: a minute instead of many. Budgets of whole runs are then not judged.
    #[arg(long)]
    quick: bool,
    /// Also a world of a million people, in whatever time it takes.
    #[arg(long)]
    million: bool,
    /// Only one world, of so many people. No budget is judged.
    #[arg(long)]
    people: Option<u32>,
    /// With --people: of so many days, instead of all of the scenario's.
    #[arg(long, requires = "people")]
    days: Option<u64>,
    /// Only worlds over real swarms.
    #[arg(long, value_enum, conflicts_with_all = ["people", "million"])]
    tier: Option<Tier>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// What a row must reach.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Budget {
    AtLeast(f64),
    AtMost(f64),
    None,
}

impl Budget {
    fn met(self, measured: f64) -> Option<bool> {
        match self {
            Self::AtLeast(least) => Some(measured >= least),
            Self::AtMost(most) => Some(measured <= most),
            Self::None => None,
        }
    }
}

/// A line of the table.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    unit: &'static str,
    measured: f64,
    budget: Budget,
    met: Option<bool>,
    /// What the plain loop does, in events per second.
    baseline: Option<f64>,
    note: String,
}

impl Row {
    fn new(name: impl Into<String>, unit: &'static str, measured: f64, budget: Budget) -> Self {
        let met = budget.met(measured);
        Self { name: name.into(), unit, measured, budget, met, baseline: None, note: String::new() }
    }
}

/// Measures and prints.
///
/// # Errors
/// When the scenario cannot be read or built.
pub fn run(args: &Args) -> Result<ExitCode> {
    let rows = measure(args)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "quick": args.quick, "rows": rows }))?);
    } else {
        rows.iter().for_each(print_row);
    }
    let missed = rows.iter().any(|row| row.met == Some(false));
    Ok(if missed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn print_row(row: &Row) {
    let budget = match row.budget {
        Budget::AtLeast(least) => format!(">= {least:.4}"),
        Budget::AtMost(most) => format!("<= {most:.4}"),
        Budget::None => "-".to_owned(),
    };
    let verdict = match row.met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    };
    let baseline = row.baseline.map(|baseline| format!("plain loop {baseline:.2} M/s; ")).unwrap_or_default();
    println!(
        "{:<46} {:>10.3} {:<8} {budget:>11}  {verdict:<7} {baseline}{}",
        row.name, row.measured, row.unit, row.note
    );
}

fn measure(args: &Args) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    if let Some(people) = args.people {
        let size = Size { people, days: args.days, seconds: None, rate: None, bytes: None };
        world_rows(&args.scenario, size, &mut rows)?;
        return Ok(rows);
    }
    if args.tier == Some(Tier::B) {
        tier_b_rows(args.quick, &mut rows)?;
        return Ok(rows);
    }
    let events = if args.quick { 2_000_000 } else { 20_000_000 };
    for (pending, budget) in [(1_000, Budget::None), (40_000, Budget::AtLeast(5.0)), (4_000_000, Budget::None)] {
        let mut row = Row::new(format!("queue, {pending} pending"), "M/s", queue_rate(pending, events), budget);
        row.baseline = Some(heap_rate(pending, events));
        rows.push(row);
    }
    let sizes: &[Size] = if args.quick { &QUICK } else { &FULL };
    let million =
        args.million.then_some(Size { people: 1_000_000, days: None, seconds: None, rate: None, bytes: None });
    for size in sizes.iter().chain(&million) {
        world_rows(&args.scenario, *size, &mut rows)?;
    }
    if args.tier.is_none() && !args.quick {
        tier_b_rows(false, &mut rows)?;
    }
    Ok(rows)
}

/// Worlds over real swarms: name, seconds of simulated time (all when left out), budgets in CPU seconds and gigabytes.
const SWARMS: [(&str, Option<u64>, f64, Option<f64>); 2] =
    [("twenty", Some(3_600), 10.0, None), ("hundred", None, 50.0, Some(0.6))];

/// Each world in a process of its own, as always in tier B.
fn tier_b_rows(quick: bool, rows: &mut Vec<Row>) -> Result<()> {
    let stack = Stack::find()?;
    for (name, seconds, budget, memory) in SWARMS.into_iter().take(if quick { 1 } else { SWARMS.len() }) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("stack/scenarios/{name}.toml"));
        let mut sets = Vec::new();
        if let Some(seconds) = seconds {
            let text = |seconds: u64| toml::Value::String(format!("{seconds}s"));
            sets = vec![("duration".to_owned(), text(seconds)), ("drain".to_owned(), text(seconds / 6))];
        }
        let scenario = load(&path, &sets)?;
        let cost = stack.cost(&scenario, 1)?;
        let nodes: u32 = scenario.nodes.iter().map(|group| group.count).sum();
        let name = format!("tier B, {nodes} nodes, {:.0} min", scenario.duration.as_secs_f64() / 60.0);
        let mut row = Row::new(format!("{name}: a seed"), "s", cost.seconds, Budget::AtMost(budget));
        row.note = "of CPU, its start included".to_owned();
        rows.push(row);
        let memory = memory.map_or(Budget::None, Budget::AtMost);
        rows.push(Row::new(format!("{name}: memory at most"), "GB", cost.gigabytes, memory));
    }
    Ok(())
}

/// A world to measure, and what it must reach.
#[derive(Clone, Copy)]
struct Size {
    people: u32,
    /// Of the scenario's days, or all of them.
    days: Option<u64>,
    seconds: Option<f64>,
    /// Events per second, in millions.
    rate: Option<f64>,
    /// Memory of the whole process, in gigabytes.
    bytes: Option<f64>,
}

const FULL: [Size; 2] = [
    Size { people: 10_000, days: None, seconds: Some(15.0), rate: None, bytes: None },
    Size { people: 100_000, days: None, seconds: Some(150.0), rate: Some(1.0), bytes: Some(2.0) },
];
const QUICK: [Size; 2] = [
    Size { people: 1_000, days: Some(12), seconds: None, rate: None, bytes: None },
    Size { people: 10_000, days: Some(12), seconds: None, rate: None, bytes: None },
];

fn sized(name: &str, size: Size) -> Result<Scenario> {
    let text = |text: String| toml::Value::String(text);
    let mut sets = vec![("people.count".to_owned(), toml::Value::Integer(size.people.into()))];
    if let Some(days) = size.days {
        sets.push(("duration".to_owned(), text(format!("{days}d"))));
    }
    Ok(load_from(&find(name)?, &sets, false)?)
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn world_rows(scenario: &str, size: Size, rows: &mut Vec<Row>) -> Result<()> {
    let scenario = sized(scenario, size)?;
    let (at, clock) = (Cpu::now(), Instant::now());
    let bootstrap = Bootstrap::new(&scenario)?;
    let made = at.seconds();
    let at = Cpu::now();
    let world = World::new(&scenario, &bootstrap, 1, System::Mesh, Options::default())?;
    let begun = at.seconds();
    let (outcome, ..) = world.run();
    let seconds = at.seconds();
    let days = scenario.duration.as_secs_f64() / 86_400.0;
    let name = format!("{}, {} people, {days:.0} days", scenario.name, size.people);
    let mut whole =
        Row::new(format!("{name}: a seed"), "s", seconds, size.seconds.map_or(Budget::None, Budget::AtMost));
    whole.note = format!(
        "of CPU; {begun:.2} s before its first event; the mesh before all seeds {made:.2} s; {:.1} s by the clock; {} messages",
        clock.elapsed().as_secs_f64(),
        outcome.messages.len(),
    );
    rows.push(whole);
    let millions = outcome.events as f64 / 1e6;
    let rate = millions / (seconds - begun).max(1e-9);
    let mut row = Row::new(format!("{name}: events"), "M/s", rate, size.rate.map_or(Budget::None, Budget::AtLeast));
    let pending = scenario.people.count as usize / 10;
    row.baseline = Some(heap_rate(pending.max(1_000), 2_000_000));
    let kinds = outcome
        .metrics
        .iter()
        .filter_map(|(name, count)| Some(format!("{} {count}", name.strip_prefix("count.event.")?)));
    let kinds: Vec<String> = kinds.collect();
    row.note = format!("{millions:.2} M events: {}", kinds.join(", "));
    rows.push(row);
    if let Some(peak) = peak_memory() {
        let budget = size.bytes.map_or(Budget::None, Budget::AtMost);
        rows.push(Row::new(format!("{name}: memory at most"), "GB", peak, budget));
    }
    Ok(())
}

/// Holds a queue at so many pending events, each of which brings the next (PHOLD): millions a second.
fn queue_rate(pending: u64, events: u64) -> f64 {
    let chance = Chance::new(1);
    let mut queue = Queue::default();
    for n in 0..pending {
        queue.push(after(&chance, Time::ZERO, n), n);
    }
    let at = Cpu::now();
    for n in pending..pending + events {
        let (time, event) = queue.pop().expect("each event brings another");
        queue.push(after(&chance, time, n), std::hint::black_box(event));
    }
    rate(events, &at)
}

/// The same with the standard library's heap, and nothing else around it.
fn heap_rate(pending: impl TryInto<u64>, events: u64) -> f64 {
    let pending = pending.try_into().unwrap_or(u64::MAX);
    let chance = Chance::new(1);
    let mut heap = BinaryHeap::new();
    for n in 0..pending {
        heap.push(Reverse((after(&chance, Time::ZERO, n), n, n)));
    }
    let at = Cpu::now();
    for n in pending..pending + events {
        let Reverse((time, _, event)) = heap.pop().expect("each event brings another");
        heap.push(Reverse((after(&chance, time, n), n, std::hint::black_box(event))));
    }
    rate(events, &at)
}

/// The same luck for both: a draw of the world's own kind, evenly within a minute.
fn after(chance: &Chance, time: Time, n: u64) -> Time {
    time.after(Span(1 + chance.draw(Purpose::Hidden, 0, n).bits() % 60_000_000))
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn rate(events: u64, since: &Cpu) -> f64 {
    events as f64 / 1e6 / since.seconds().max(1e-9)
}

/// CPU time of this thread.
struct Cpu {
    nanoseconds: Option<u64>,
    clock: Instant,
}

impl Cpu {
    #[allow(clippy::disallowed_methods, reason = "the speed of the simulator itself is measured")]
    fn now() -> Self {
        Self { nanoseconds: thread_nanoseconds(), clock: Instant::now() }
    }

    #[allow(clippy::cast_precision_loss, reason = "for people")]
    fn seconds(&self) -> f64 {
        match (self.nanoseconds, thread_nanoseconds()) {
            (Some(before), Some(now)) => now.saturating_sub(before) as f64 / 1e9,
            _ => self.clock.elapsed().as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_judged_on_their_side() {
        assert_eq!(Budget::AtLeast(5.0).met(5.0), Some(true));
        assert_eq!(Budget::AtLeast(5.0).met(4.9), Some(false));
        assert_eq!(Budget::AtMost(15.0).met(15.1), Some(false));
        assert_eq!(Budget::AtMost(15.0).met(14.0), Some(true));
        assert_eq!(Budget::None.met(1.0), None);
    }

    #[test]
    fn queue_and_plain_loop_do_the_same_work() {
        let chance = Chance::new(1);
        let (mut queue, mut heap) = (Queue::default(), BinaryHeap::new());
        for n in 0..100 {
            queue.push(after(&chance, Time::ZERO, n), n);
            heap.push(Reverse((after(&chance, Time::ZERO, n), n, n)));
        }
        for n in 100..5_000 {
            let (time, event) = queue.pop().unwrap();
            let Reverse((same, _, other)) = heap.pop().unwrap();
            assert_eq!((time, event), (same, other));
            queue.push(after(&chance, time, n), n);
            heap.push(Reverse((after(&chance, time, n), n, n)));
        }
        assert!(queue_rate(100, 1_000) > 0.0 && heap_rate(100_u64, 1_000) > 0.0);
    }
}
