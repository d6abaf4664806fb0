//! What a scenario says. Every field is documented for whoever writes one; `simulate check --schema` prints them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::imports::Import;
use super::units::{BitRate, Rate, Share, SpanText, span};
use crate::kernel::Span;

/// A scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name: the file's, without ending.
    pub name: String,
    /// One sentence for people who have never seen the project, in English.
    pub summary: String,
    /// The same in French.
    pub summary_fr: String,
    /// Simulated time, the warm-up included.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub duration: Span,
    /// Left out of all figures: the mesh settles, people send their first messages.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub warmup: Span,
    /// Messages sent after `duration - drain` are left out too: their time has not come.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub drain: Span,
    /// Real or size-preserving stand-in cryptography.
    #[serde(default)]
    pub crypto: CryptoKind,
    /// People.
    pub people: People,
    /// Regions, by name in the order of this list.
    pub region: Vec<Region>,
    /// Mobile carriers.
    pub carrier: Vec<Carrier>,
    /// Groups of nodes.
    pub nodes: Vec<NodeGroup>,
    /// Groups of gateway clients.
    pub gateways: Vec<GatewayGroup>,
    /// How instances stand to each other.
    #[serde(default)]
    pub mesh: Mesh,
    /// The SMS network.
    pub sms: Sms,
    /// Links between nodes, and from gateway clients to nodes.
    pub links: Links,
    /// The platform that people publish to.
    pub platform: PlatformModel,
    /// People who carry bundles by hand.
    pub couriers: Couriers,
    /// What goes wrong, and when.
    #[serde(default)]
    pub fault: Vec<Fault>,
    /// Members that lie.
    #[serde(default)]
    pub byzantine: Vec<Byzantine>,
    /// Tables that are taken in when the scenario is read: own nodes and gateway clients, a timeline of outages.
    #[serde(default, skip_serializing_if = "Import::is_empty")]
    pub import: Import,
    /// Parts of the design, each of which can be switched off.
    #[serde(default)]
    pub switches: Switches,
    /// Where each number is from, by key (`"people.count"`), or `"assumed"`.
    #[serde(default)]
    pub sources: BTreeMap<String, String>,
    /// What must hold, by metric (`"delivered.72h" = ">= 95%"`).
    #[serde(default)]
    pub expect: BTreeMap<String, String>,
    /// Overrides for a run that fits into continuous integration.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub ci: BTreeMap<String, toml::Value>,
    /// Those overrides were taken, as `--ci` does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_ci_size: bool,
}

/// Which cryptography the nodes and phones run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CryptoKind {
    /// As deployed.
    Real,
    /// Stand-ins of the same sizes, for large worlds.
    #[default]
    Null,
}

/// Who writes, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct People {
    /// How many.
    pub count: u32,
    /// Messages by SMS a day, of a person who has Internet.
    pub daily_online: f64,
    /// Messages by SMS a day, of a person without Internet.
    pub daily_offline: f64,
    /// The share of a day's messages in each of its 24 hours follows waking hours, else it is even.
    pub diurnal: bool,
    /// Share whose app puts the device ID into payloads.
    pub device_id: Share,
    /// Characters of a message, as median of a log-normal distribution with sigma 0.6.
    pub text_median: u32,
    /// How many gateway numbers a person knows and tries in turn.
    pub known_gateways: u8,
    /// A person without an answer sends the same SMS again after this pause, through the next number.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub resend_after: Span,
    /// So often at most; 0 = never.
    pub resend_times: u8,
    /// Share of people whose account lives at a node abroad (of those of their region, the others choose at home).
    pub home_abroad: Share,
}

/// A part of the country, or `abroad = true`: another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its name in faults and reports.
    pub name: String,
    /// Share of all people; the shares are normalised to their sum.
    pub population: f64,
    /// Where it lies on the schematic map, 0 to 100, x to the right and y down.
    pub at: (f64, f64),
    /// Not a part of the country.
    #[serde(default)]
    pub abroad: bool,
    /// Share of time with mains power.
    #[serde(default = "always")]
    pub mains: Share,
    /// Mean length of an outage of the mains.
    #[serde(default, with = "span")]
    #[schemars(with = "SpanText")]
    pub mains_outage: Span,
}

fn always() -> Share {
    Share(1.0)
}

/// A mobile carrier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Carrier {
    /// Its name.
    pub name: String,
    /// Share of the people; normalised.
    pub share: f64,
}

/// Nodes with the same description. Each carries five labels that faults choose by: `region`, `provider`, `operator`,
/// `jurisdiction`, `group`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeGroup {
    /// Name of the group, and label `group`.
    pub name: String,
    /// How many.
    pub count: u32,
    /// Regions in turn.
    pub regions: Vec<String>,
    /// Hosting providers or access networks in turn.
    pub providers: Vec<String>,
    /// Nodes of one operator; each operator is one instance.
    #[serde(default = "one")]
    pub per_operator: u32,
    /// All nodes of the group, and of other groups with the same word here, are of one operator.
    #[serde(default)]
    pub operator: Option<String>,
    /// Jurisdictions in turn.
    pub jurisdictions: Vec<String>,
    /// What they do: `gateway`, `vault`, `relay`, `bridge`.
    pub roles: Vec<Role>,
    /// Others can dial them.
    #[serde(default = "yes")]
    pub reachable: bool,
    /// Mean time between failures; none = never fails by itself.
    #[serde(default, with = "span::option")]
    #[schemars(with = "Option<SpanText>")]
    pub mtbf: Option<Span>,
    /// Shape of the Weibull distribution of time between failures; 1 = exponential.
    #[serde(default = "exponential")]
    pub mtbf_shape: f64,
    /// Mean time to repair (exponential).
    #[serde(default, with = "span")]
    #[schemars(with = "SpanText")]
    pub mttr: Span,
    /// Goes down with the region's mains.
    #[serde(default)]
    pub mains: bool,
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn exponential() -> f64 {
    1.0
}

/// A node's role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "as in the node's configuration")]
pub enum Role {
    Gateway,
    Vault,
    Relay,
    Bridge,
}

/// Gateway clients with the same description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayGroup {
    /// Name, and label `group`.
    pub name: String,
    /// How many.
    pub count: u32,
    /// Regions in turn.
    pub regions: Vec<String>,
    /// Nodes that each one posts to.
    #[serde(default = "one_u8")]
    pub forwarders: u8,
    /// Groups of nodes that they post to; a node of the own region first.
    pub nodes: Vec<String>,
    /// What it does when no node answers.
    pub when_unreachable: WhenUnreachable,
    /// The node stands beside it: no Internet lies between them.
    #[serde(default)]
    pub beside_node: bool,
    /// Mean time between failures.
    #[serde(default, with = "span::option")]
    #[schemars(with = "Option<SpanText>")]
    pub mtbf: Option<Span>,
    /// Shape of the Weibull distribution of time between failures.
    #[serde(default = "exponential")]
    pub mtbf_shape: f64,
    /// Mean time to repair.
    #[serde(default, with = "span")]
    #[schemars(with = "SpanText")]
    pub mttr: Span,
    /// Goes down with the region's mains.
    #[serde(default)]
    pub mains: bool,
}

fn one_u8() -> u8 {
    1
}

/// What a gateway client does with an SMS when no node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenUnreachable {
    /// It tries once, as DekuSMS does, after waiting for its own network to be there.
    Once,
    /// It keeps the SMS and tries again, every few minutes.
    Queue,
}

/// How instances stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mesh {
    /// Instances of one circle are partners of each other: so many, by the order of operators; the last circle may be smaller.
    /// 1 = nobody has a partner, as many as there are operators or more = everybody is everybody's. A message without device ID
    /// is found only by nodes of the home's own instance and of its partners.
    pub circle: u32,
}

impl Default for Mesh {
    fn default() -> Self {
        Self { circle: 8 }
    }
}

/// The SMS network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sms {
    /// Mean loss of a segment.
    pub loss: Share,
    /// Losses come in bursts (Gilbert and Elliott), else one by one.
    pub bursty: bool,
    /// Share of time in the bad state.
    pub bad_share: Share,
    /// Mean length of the bad state.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub bad_mean: Span,
    /// Loss in the bad state; the good state's follows from the mean.
    pub bad_loss: Share,
    /// Bands of delay; their shares are normalised.
    pub delay: Vec<DelayBand>,
    /// The network gives up after this.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub validity: Span,
    /// Share of segments that arrive twice.
    pub duplicate: Share,
    /// Extra median delay between carriers.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub cross_carrier: Span,
    /// What a phone may send.
    pub throttle: Option<Rate>,
    /// Price of a segment, in the currency of `currency`.
    pub price: f64,
    /// Currency of the price.
    pub currency: String,
}

/// One band of a mixture of log-normal delays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelayBand {
    /// Its share.
    pub share: f64,
    /// Median.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub median: Span,
    /// Standard deviation of the logarithm.
    pub sigma: f64,
}

/// Links over the Internet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// One-way latency within a region.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub within: Span,
    /// One-way latency between regions of the country.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub between: Span,
    /// One-way latency to and between places abroad.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub abroad: Span,
    /// Latency varies log-normally with this sigma.
    pub sigma: f64,
    /// A request without an answer is given up after this.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub timeout: Span,
    /// Requests that are lost.
    pub loss: Share,
}

/// The platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlatformModel {
    /// Median time of an answer (log-normal, sigma 0.5).
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub latency: Span,
    /// Answers that never come although the post was made.
    pub lost_answers: Share,
    /// Answers that ask to come back later.
    pub busy: Share,
}

/// People who carry bundles by hand out of regions that are cut, and into them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Couriers {
    /// Times a day at which somebody sets out from every node that is cut off, each for a node that is not.
    pub daily: f64,
    /// How long a trip takes.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub travel: Span,
}

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Whom it concerns: an expression over labels, such as `region in ["NW","SW"] and group == "pi"`; everything when
    /// left out.
    #[serde(default, rename = "where")]
    pub filter: Option<String>,
    /// Only this share of those, drawn by chance.
    #[serde(default)]
    pub pick: Option<Share>,
    /// When it begins.
    #[serde(with = "span")]
    #[schemars(with = "SpanText")]
    pub start: Span,
    /// How long it lasts; until the end when left out.
    #[serde(default, rename = "for", with = "span::option")]
    #[schemars(with = "Option<SpanText>")]
    pub length: Option<Span>,
    /// The concerned are struck one by one, spread evenly over this time.
    #[serde(default, with = "span")]
    #[schemars(with = "SpanText")]
    pub over: Span,
    /// It happens again this often (daily at the same hour: `"24h"`).
    #[serde(default, with = "span::option")]
    #[schemars(with = "Option<SpanText>")]
    pub every: Option<Span>,
    /// So many times in all, with `every`.
    #[serde(default = "one")]
    pub times: u32,
    /// Seizures and crashes: what becomes of the disk.
    #[serde(default)]
    pub disk: Option<Disk>,
    /// How much: added loss (`throttle`), share that is lost (`sms_off`), seconds (`clock_skew`), times (`flash_crowd`),
    /// shortest time in days (`number_hunt`).
    #[serde(default)]
    pub amount: Option<f64>,
    /// Throttling: added one-way latency.
    #[serde(default, with = "span::option")]
    #[schemars(with = "Option<SpanText>")]
    pub latency: Option<Span>,
    /// Throttling: what the line of each throttled node and gateway client carries, both directions together; more than this
    /// waits in turn, and what would wait longer than `links.timeout` is given up.
    #[serde(default)]
    pub rate: Option<BitRate>,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// No Internet for people, gateway clients and nodes there; what stands beside each other still speaks.
    InternetCut,
    /// The country is cut from abroad; within it the Internet works.
    BorderCut,
    /// The chosen nodes and the others cannot speak; each side can among itself.
    Partition,
    /// More latency (`latency`) and loss (`amount`), and a line of a rate (`rate`).
    Throttle,
    /// No SMS to or from there; `amount` = share that is lost instead of all.
    SmsOff,
    /// Gateway numbers are blocked by the carriers.
    NumberBlock,
    /// Each gateway number is blocked so long after its first use: uniform up to `over`.
    NumberHunt,
    /// A hosting provider is dark: its nodes are down, with their disks.
    ProviderOutage,
    /// The platform does not answer.
    PlatformDown,
    /// Nodes stop; they start again after `for`.
    Crash,
    /// Nodes are taken away for good, and their disk is read.
    Seize,
    /// Operators are made to let somebody read along, silently.
    Coerce,
    /// Clocks are wrong by up to `amount` seconds.
    ClockSkew,
    /// Load times `amount`.
    FlashCrowd,
}

/// What becomes of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disk {
    /// Kept, and there again after a crash.
    Kept,
    /// Lost.
    Lost,
    /// Seized without its key.
    Locked,
    /// Seized with its key.
    Unlocked,
    /// Seized running: memory too.
    Live,
}

/// Members that lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Byzantine {
    /// How.
    pub behaviour: Behaviour,
    /// Which nodes, as in faults.
    #[serde(default, rename = "where")]
    pub filter: Option<String>,
    /// Which share of those.
    pub share: Share,
    /// How often it does so, where that varies.
    #[serde(default = "always")]
    pub rate: Share,
    /// From when on.
    #[serde(default, with = "span")]
    #[schemars(with = "SpanText")]
    pub start: Span,
}

/// How a member lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Takes envelopes for others and drops them.
    Drop,
    /// Hands them on hours later.
    Delay,
    /// Hands everything on several times.
    Duplicate,
    /// Publishes copies of others' filters under its own name.
    CopiedFilter,
    /// Publishes a filter that says yes to everything.
    StuffedFilter,
    /// Says `accepted` of what it cannot open.
    FalseAccept,
    /// Sends envelopes of rubbish.
    Flood,
    /// Answers questions where to find a home by pointing at itself.
    Eclipse,
    /// Many nodes of one hand join and claim everybody.
    Sybil,
    /// Serves all but chosen people.
    Silence,
}

/// Parts of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Switches {
    /// Nodes speak with each other at all; off = `islands`.
    pub mesh: bool,
    /// Envelopes go to custodians when a home cannot be reached. Off: nodes hold nothing for others, whether it comes over a link
    /// or in a bundle; a bundle then only serves the node that it is brought to.
    pub custody: bool,
    /// People send again.
    pub resend: bool,
    /// Gateway clients post to a second node.
    pub second_forwarder: bool,
    /// People carry bundles between nodes that cannot speak.
    pub bundles: bool,
    /// Homes are found by filters, else by asking. Off: nodes publish none and take in none; they ask connected nodes and partners
    /// who holds a device, and offer a number's message to one node after the other.
    pub filters: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self { mesh: true, custody: true, resend: true, second_forwarder: true, bundles: true, filters: true }
    }
}
