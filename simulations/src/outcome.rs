//! What a run leaves: one row for each message, a few numbers by name, and series over the days. Everything that is printed,
//! compared or drawn is made from these.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::{Time, TraceHash};

/// Which system carried the messages. All of one seed share their luck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    /// relaymesh, as the scenario's switches say.
    Mesh,
    /// Our nodes without a mesh: a gateway client reaches only its own.
    Islands,
    /// One gateway server, one vault, no queue.
    Upstream,
}

impl System {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 3] = [Self::Mesh, Self::Islands, Self::Upstream];
}

/// What it takes to bring a message to its home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Its payload has a device ID, by which every node finds its home.
    Device,
    /// It has none: only nodes of the home's circle of partners find it, by its sender's number.
    Number,
    /// Its home was gone, or the home's Internet was cut, when it was first sent.
    HomeAway,
}

impl Route {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 3] = [Self::Device, Self::Number, Self::HomeAway];
}

/// One message of one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRow {
    /// Number of the message in its world, by time of sending; the same in every system of a seed.
    pub id: u32,
    /// Region of its sender, by the scenario's order.
    pub region: u16,
    /// What it takes to bring it to its home.
    pub route: Route,
    /// When the person sent it.
    pub sent: Time,
    /// When a node first said that it is safe.
    pub accepted: Option<Time>,
    /// When it was first on the platform.
    pub published: Option<Time>,
    /// How often it stands on the platform.
    pub posts: u16,
    /// How often the person sent it.
    pub sends: u8,
    /// SMS segments that were paid for it, all sends together.
    pub segments: u16,
    /// What became of it at the end of the run.
    pub fate: Fate,
    /// What its sender was last told.
    pub told: Told,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// On the platform.
    Published,
    /// Safe at a node, on its way.
    Waiting,
    /// At a gateway client that cannot reach a node yet.
    AtGateway,
    /// Never left the SMS network.
    LostSms,
    /// A gateway client lost it.
    LostGateway,
    /// A node that held it is gone with its disk, or a system without memory dropped it.
    LostNode,
    /// The platform or the home refused it, and its sender is told.
    Refused,
    /// Nobody can tell; its sender is told so.
    Uncertain,
    /// No home took it in time.
    Expired,
}

impl Fate {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 9] = [
        Self::Published,
        Self::Waiting,
        Self::AtGateway,
        Self::Uncertain,
        Self::Refused,
        Self::Expired,
        Self::LostNode,
        Self::LostGateway,
        Self::LostSms,
    ];
}

/// What a sender was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// Nothing.
    #[default]
    Nothing,
    /// Published.
    Published,
    /// Not published.
    Failed,
    /// Perhaps.
    Uncertain,
}

/// What an adversary can know of a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exposure {
    /// Nothing.
    #[default]
    None,
    /// That the person uses the mesh, and when.
    Metadata,
    /// A platform token: it can publish as the person.
    Token,
    /// Texts.
    Plaintext,
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Its name.
    pub invariant: String,
    /// When.
    pub at: Time,
    /// What was seen.
    pub what: String,
}

/// What one system did in one world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which.
    pub system: System,
    /// One row for each message that counts (sent after the warm-up and before the drain).
    pub messages: Vec<MessageRow>,
    /// Figures by name, shares between 0 and 1, times in seconds.
    pub metrics: BTreeMap<String, f64>,
    /// Persons by what an adversary knows of them at the end, with the day it came to that: (exposure, day, persons).
    pub exposure: Vec<(Exposure, u32, u32)>,
    /// Nodes that were seized, by day: (day, all so far).
    pub seized: Vec<(u32, u32)>,
    /// The first invariants that broke; the run goes on to its end.
    pub violations: Vec<Violation>,
    /// Events that were handled.
    pub events: u64,
    /// Hash over all of them.
    pub trace: TraceHash,
}

/// One world: all systems over the same luck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeedRun {
    /// The seed.
    pub seed: u64,
    /// What each system did.
    pub outcomes: Vec<Outcome>,
}

/// All seeds of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Study {
    /// The scenario's name.
    pub scenario: String,
    /// `a` or `b`.
    pub tier: String,
    /// The worlds, by seed.
    pub runs: Vec<SeedRun>,
}
