//! `relaymesh bench`: every budget of the design measured, each beside a raw baseline from the same run, so that a number
//! says something on any machine. A benchmark, not a test: nothing fails because a machine is slow.

mod cbor;
mod floor;
mod home;
mod idle;
mod ingress;
mod load;
mod locator;
mod mesh;
mod people;
mod proc;
mod ratchet;
mod row;
mod stage;
mod traffic;
mod wire;
mod world;

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};

use row::Row;

/// Arguments of `relaymesh bench`.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// Print one JSON array instead of the table
    #[arg(long)]
    pub json: bool,
    /// Smaller counts: under a minute, and rougher
    #[arg(long)]
    pub quick: bool,
    /// Only these, separated by commas
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub only: Vec<Group>,
}

/// What is measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// Accepting SMS durably, at one node
    Ingress,
    /// Three nodes, from SMS to post
    Mesh,
    /// The home's work on a message
    Home,
    /// Opening a payload
    Ratchet,
    /// Finding a home
    Locator,
    /// Memory, start and size of a node
    Idle,
    /// Bytes between nodes that have nothing to do
    Traffic,
}

impl Group {
    /// Rows without values: what would be measured.
    fn rows(self, scale: Scale) -> Vec<Row> {
        match self {
            Self::Ingress => ingress::rows(),
            Self::Mesh => mesh::rows(),
            Self::Home => home::rows(),
            Self::Ratchet => ratchet::rows(),
            Self::Locator => locator::rows(),
            Self::Idle => idle::rows(scale),
            Self::Traffic => traffic::rows(),
        }
    }

    async fn measure(self, scale: Scale, rows: &mut [Row]) -> Result<()> {
        match self {
            Self::Ingress => ingress::measure(scale, rows).await,
            Self::Mesh => mesh::measure(scale, rows).await,
            Self::Home => blocking(scale, rows, home::measure).await,
            Self::Ratchet => blocking(scale, rows, ratchet::measure).await,
            Self::Locator => blocking(scale, rows, locator::measure).await,
            Self::Idle => idle::measure(scale, rows).await,
            Self::Traffic => traffic::measure(scale, rows).await,
        }
    }
}

/// Work that keeps a processor busy, apart from the runtime.
async fn blocking(scale: Scale, rows: &mut [Row], measure: fn(Scale, &mut [Row]) -> Result<()>) -> Result<()> {
    let mut own = rows.to_vec();
    let work = move || measure(scale, &mut own).map(|()| own);
    let done = tokio::task::spawn_blocking(work).await.context("the measurement panicked")??;
    rows.iter_mut().zip(done).for_each(|(row, done)| *row = done);
    Ok(())
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// A first look.
    Quick,
    /// As the budgets are meant.
    Full,
}

impl Scale {
    /// One of two counts.
    fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// Why there are not all results.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// So many rows have no value; each group that failed says why on standard error, and so do the notes of the table.
    #[error("{0} of the rows could not be measured")]
    Unmeasured(usize),
    /// They cannot be told.
    #[error("{0:#}")]
    Output(anyhow::Error),
}

impl BenchError {
    /// What to do.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unmeasured(_) => "see above what failed; --only measures one group",
            Self::Output(_) => "check the pipe",
        }
    }
}

/// Measures, and prints the rows on standard output. All processes that it started have ended when it returns.
///
/// # Errors
/// When a row could not be measured, or standard output cannot be written.
pub async fn run(args: BenchArgs) -> Result<(), BenchError> {
    let rows = measure_all(&args).await;
    print(&args, &rows).map_err(BenchError::Output)?;
    match rows.iter().filter(|row| row.value.is_none()).count() {
        0 => Ok(()),
        unmeasured => Err(BenchError::Unmeasured(unmeasured)),
    }
}

async fn measure_all(args: &BenchArgs) -> Vec<Row> {
    if cfg!(debug_assertions) {
        say("warning: this is a debug build; its numbers say nothing. Build with --release.");
    }
    let scale = if args.quick { Scale::Quick } else { Scale::Full };
    let mut all = Vec::new();
    for group in Group::value_variants() {
        if !args.only.is_empty() && !args.only.contains(group) {
            continue;
        }
        all.extend(measure_group(*group, scale).await);
    }
    all
}

fn print(args: &BenchArgs, rows: &[Row]) -> Result<()> {
    let text = if args.json { row::json(rows)? } else { row::table(rows) };
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(()),
    }
}

async fn measure_group(group: Group, scale: Scale) -> Vec<Row> {
    let name = group.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let begun = Instant::now();
    let mut rows = group.rows(scale);
    if let Err(error) = group.measure(scale, &mut rows).await {
        let note = format!("not measured: {error:#}");
        say(&format!("{name}: {note}"));
        rows.iter_mut().filter(|row| row.value.is_none()).for_each(|row| row.note.clone_from(&note));
    }
    say(&format!("{name}: {:.1} s", begun.elapsed().as_secs_f64()));
    rows
}

/// For people, beside the data.
fn say(text: &str) {
    // Without standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
