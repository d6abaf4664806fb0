//! `relaymesh demo`: the whole thing on one machine, with real processes, files and sockets, so that a person can watch
//! messages survive what they were built to survive, and so that tests find running nodes.
//!
//! Only the world around the nodes is made up: the phone network ([`network`]) and the platform. The nodes are this very
//! binary, started as an operator starts it.

mod air;
pub(crate) mod kit;
mod network;
mod stage;
mod story;
mod tally;
mod timeline;
mod watch;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use stage::{NODES_MAX, Stage};
use story::Story;
use tally::Tally;
use timeline::{Show, Timeline, say};
use watch::watch;

/// Typed lines that may wait to be sent.
const TYPED_MAX: usize = 16;
/// Longest typed text, in characters: one post, and not too many SMS.
const TYPED_CHARS_MAX: usize = 300;

/// Arguments of `relaymesh demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// How many nodes, each of an instance of its own
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = nodes)]
    pub nodes: usize,
    /// End after the story
    #[arg(long, conflicts_with = "keep")]
    pub once: bool,
    /// Tell no story: start nodes and platform, write DIR/demo.json, wait for a signal
    #[arg(long)]
    pub keep: bool,
    /// Print one JSON document at the end instead of the timeline
    #[arg(long)]
    pub json: bool,
    /// An empty directory for everything; by default a temporary one, which goes away without --keep
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Chance of the SMS network; the same seed loses and delays the same SMS
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
}

/// Why the demo did not come to a good end. `Display` is the whole chain of causes.
#[derive(Debug)]
pub struct DemoError(anyhow::Error);

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for DemoError {}

/// Runs the demo to its end. All processes that it started have ended when it returns.
///
/// # Errors
/// When it cannot be set up, when a signal ends it early, or when a message was lost or published twice.
pub async fn run(args: DemoArgs) -> Result<(), DemoError> {
    play(&args).await.map_err(DemoError)
}

fn nodes(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=NODES_MAX).contains(count));
    count.ok_or_else(|| format!("1 to {NODES_MAX} nodes are possible"))
}

async fn play(args: &DemoArgs) -> Result<()> {
    let mut signals = Signals::new()?;
    let show = if args.json { Show::AtEnd } else { Show::lines() };
    let timeline = Arc::new(Timeline::new(show));
    if args.keep {
        return keep(args, &timeline, &mut signals).await;
    }
    let mut told = tokio::select! {
        told = tell(args, &timeline) => told?,
        () = signals.first() => return Err(interrupted()),
    };
    if args.once {
        told.watch.abort();
        // Its last line comes before the count, not behind it.
        let _ = (&mut told.watch).await;
    }
    timeline.note(&told.tally.to_string());
    if !args.once {
        told.story.stage().describe()?;
        stay(&mut told.story, &timeline, &mut signals).await?;
    }
    let Told { story, tally, composed, watch } = told;
    drop(watch);
    story.into_stage().end().await?;
    if args.json {
        say(&json!({
            "schema": "relaymesh.demo/1", "seed": args.seed, "published": tally.published,
            "duplicates": tally.duplicates, "lost": tally.lost, "events": timeline.events(),
        })
        .to_string());
    }
    if tally.is_clean(composed) { Ok(()) } else { bail!("not every message was published once: {tally}") }
}

/// A story that was told, and what came of it.
struct Told {
    story: Story,
    tally: Tally,
    /// How many messages the story had.
    composed: usize,
    watch: AbortOnDropHandle<()>,
}

async fn tell(args: &DemoArgs, timeline: &Arc<Timeline>) -> Result<Told> {
    timeline.note(&format!("{} nodes, seed {}", args.nodes, args.seed));
    let stage = Stage::build(args.nodes, args.dir.as_deref(), timeline).await?;
    let watch = watch(stage.platform_log(), stage.sms_outbox(), Arc::clone(timeline));
    let mut story = Story::begin(stage, Arc::clone(timeline), args.seed).await?;
    let tally = story.tell().await?;
    let composed = story.composed();
    Ok(Told { story, tally, composed, watch })
}

/// Nodes and platform for programs and people that go on from here.
async fn keep(args: &DemoArgs, timeline: &Timeline, signals: &mut Signals) -> Result<()> {
    let set_up = async {
        let mut stage = Stage::build(args.nodes, args.dir.as_deref(), timeline).await?;
        stage.meet(timeline).await?;
        anyhow::Ok(stage)
    };
    let mut stage = tokio::select! {
        stage = set_up => stage?,
        () = signals.first() => return Err(interrupted()),
    };
    stage.keep_dir();
    let path = stage.describe()?;
    if args.json {
        say(&json!({ "schema": "relaymesh.demo/1", "demo": path }).to_string());
    }
    timeline.note(&format!("everything is described in {}; Ctrl-C ends it", path.display()));
    signals.first().await;
    stage.end().await
}

/// After the story: whoever watches may send more, until a signal comes.
async fn stay(story: &mut Story, timeline: &Timeline, signals: &mut Signals) -> Result<()> {
    timeline.note("");
    timeline.note("The nodes stay up. Type a text and press Enter: the phone sends it. Ctrl-C ends the demo.");
    for line in story.stage().hints() {
        timeline.note(&line);
    }
    let mut typed = typed_lines();
    loop {
        tokio::select! {
            () = signals.first() => return Ok(()),
            Some(text) = typed.recv() => story.send_typed(&text)?,
        }
    }
}

/// Lines from standard input. A thread of its own, because a runtime would wait for the next line at its end.
fn typed_lines() -> mpsc::Receiver<String> {
    let (to, lines) = mpsc::channel(TYPED_MAX);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let text: String = line.trim().chars().take(TYPED_CHARS_MAX).collect();
            if !text.is_empty() && to.blocking_send(text).is_err() {
                return;
            }
        }
    });
    lines
}

fn interrupted() -> anyhow::Error {
    anyhow::anyhow!("interrupted before the end")
}

/// The signals that end a demo.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let watch = |kind| signal(kind).context("signals cannot be watched");
        Ok(Self {
            interrupt: watch(SignalKind::interrupt())?,
            terminate: watch(SignalKind::terminate())?,
            hang_up: watch(SignalKind::hangup())?,
        })
    }

    /// Waits for any of them.
    async fn first(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
