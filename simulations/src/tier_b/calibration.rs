//! What swarms cost, as tier A's overlay assumes it: fitted to measurements between two real ones, kept in
//! `data/calibration.toml`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::kernel::Span;

/// One measurement between two swarms whose link has one latency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// One-way latency of the link.
    pub latency_s: f64,
    /// From handing over a request without a connection to its arrival.
    pub first_s: f64,
    /// The same with a connection.
    pub next_s: f64,
    /// From handing over a request with a connection to its answer.
    pub answer_s: f64,
}

/// What was measured between two swarms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// At different latencies.
    pub samples: Vec<Sample>,
    /// Bytes of an envelope, and bytes on the wire until its answer was there, both directions.
    pub envelopes: Vec<(u64, u64)>,
    /// Bytes until a new connection had its first answer, both directions.
    pub connection_bytes: u64,
    /// A connection without a request is closed after this.
    pub idle_s: f64,
}

/// The parameters of tier A's overlay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// When it was fitted, `2026-01-31`.
    pub date: String,
    /// Versions that it was fitted with, by crate.
    pub versions: BTreeMap<String, String>,
    /// Hash of the sources of the swarm that it was fitted with.
    pub swarm: String,
    /// One-way latencies from a request without a connection to its arrival.
    pub first_ways: f64,
    /// The same with a connection.
    pub next_ways: f64,
    /// From a request with a connection to its answer.
    pub answer_ways: f64,
    /// Seconds by which the three lines miss the measurements at most.
    pub residual_s: f64,
    /// A connection without a request is closed after this, in seconds.
    pub idle_s: f64,
    /// Bytes of a new connection.
    pub connection_bytes: f64,
    /// Bytes of a request with one envelope beyond those of the envelope.
    pub envelope_bytes: f64,
    /// Bytes on the wire for each byte of an envelope.
    pub byte_bytes: f64,
}

/// Crates whose versions decide how swarms behave.
const CRATES: [&str; 7] = [
    "libp2p",
    "libp2p-noise",
    "libp2p-request-response",
    "libp2p-swarm",
    "libp2p-yamux",
    "multistream-select",
    "yamux",
];
/// The lock file of the node, and of tier B, which it follows.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// A running hash (FNV-1a) over the sources that decide what goes over a link and when.
const SWARM: u64 = {
    let sources: [&[u8]; 8] = [
        include_bytes!("../../../crates/mesh/src/asks.rs"),
        include_bytes!("../../../crates/mesh/src/behaviour.rs"),
        include_bytes!("../../../crates/mesh/src/codec.rs"),
        include_bytes!("../../../crates/mesh/src/config.rs"),
        include_bytes!("../../../crates/mesh/src/dial.rs"),
        include_bytes!("../../../crates/mesh/src/gathered.rs"),
        include_bytes!("../../../crates/mesh/src/transport.rs"),
        include_bytes!("../../../crates/link/src/lib.rs"),
    ];
    let (mut hash, mut file) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while file < sources.len() {
        let mut at = 0;
        while at < sources[file].len() {
            hash = (hash ^ sources[file][at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        file += 1;
    }
    hash
};

/// The versions that this program is of.
fn versions() -> BTreeMap<String, String> {
    let lock: toml::Table = toml::from_str(LOCK).expect("cargo writes its lock file as TOML");
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let text = |package: &toml::Value, key: &str| package.get(key).and_then(toml::Value::as_str).map(str::to_owned);
    let of = packages.filter_map(|package| Some((text(package, "name")?, text(package, "version")?)));
    of.filter(|(name, _)| CRATES.contains(&name.as_str())).collect()
}

impl Calibration {
    /// The one that tier A uses: kept in the tree, and in this program.
    #[must_use]
    pub fn kept() -> &'static Self {
        static KEPT: OnceLock<Calibration> = OnceLock::new();
        KEPT.get_or_init(|| toml::from_str(include_str!("../../data/calibration.toml")).expect("a test reads the file"))
    }

    /// One-way latencies that a new connection costs before its first request travels.
    #[must_use]
    pub fn connecting_ways(&self) -> f64 {
        (self.first_ways - self.next_ways).max(0.0)
    }

    /// How long a connection without a request stays.
    #[must_use]
    pub fn idle(&self) -> Span {
        Span::from_secs_f64(self.idle_s)
    }
}

/// Slope, intercept and largest miss of the line of least squares.
fn line(points: &[(f64, f64)]) -> (f64, f64, f64) {
    #[allow(clippy::cast_precision_loss, reason = "a handful")]
    let n = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let slope = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread.max(1e-12);
    let intercept = y - slope * x;
    let miss = points.iter().map(|point| (point.1 - intercept - slope * point.0).abs()).fold(0.0, f64::max);
    (slope, intercept, miss)
}

/// Fits the parameters to measurements.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "bytes of small worlds")]
pub fn fit(measured: &Measured, date: String) -> Calibration {
    let time = |of: fn(&Sample) -> f64| {
        line(&measured.samples.iter().map(|sample| (sample.latency_s, of(sample))).collect::<Vec<_>>())
    };
    let (first, next, answer) = (time(|one| one.first_s), time(|one| one.next_s), time(|one| one.answer_s));
    let sizes: Vec<(f64, f64)> = measured.envelopes.iter().map(|(bytes, wire)| (*bytes as f64, *wire as f64)).collect();
    let (byte_bytes, envelope_bytes, _) = line(&sizes);
    let round = |value: f64| (value * 1e4).round() / 1e4;
    Calibration {
        date,
        versions: versions(),
        swarm: format!("{SWARM:016x}"),
        first_ways: round(first.0),
        next_ways: round(next.0),
        answer_ways: round(answer.0),
        residual_s: round(
            [first, next, answer].iter().map(|(_, at_zero, miss)| at_zero.abs() + miss).fold(0.0, f64::max),
        ),
        idle_s: measured.idle_s,
        connection_bytes: measured.connection_bytes as f64,
        envelope_bytes: round(envelope_bytes),
        byte_bytes: round(byte_bytes),
    }
}

/// Why the kept calibration is not of this program, if so.
#[must_use]
pub fn stale() -> Option<String> {
    let kept = Calibration::kept();
    let now = versions();
    let other = now.iter().find(|(name, version)| kept.versions.get(*name) != Some(version));
    if let Some((name, version)) = other {
        let was = kept.versions.get(name).map_or("none", String::as_str);
        return Some(format!("it was fitted with {name} {was}, now there is {version}"));
    }
    (kept.swarm != format!("{SWARM:016x}")).then(|| "the swarm's sources have changed since".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_finds_the_ways_and_the_bytes() {
        let sample = |latency_s: f64| Sample {
            latency_s,
            first_s: 7.0 * latency_s + 0.001,
            next_s: latency_s,
            answer_s: 2.0 * latency_s,
        };
        let measured = Measured {
            samples: [0.01, 0.05, 0.2].map(sample).to_vec(),
            envelopes: vec![(1_000, 1_300), (4_000, 4_300), (16_000, 16_300)],
            connection_bytes: 5_000,
            idle_s: 1_800.0,
        };
        let fitted = fit(&measured, String::new());
        assert!((fitted.first_ways - 7.0).abs() < 1e-3 && (fitted.connecting_ways() - 6.0).abs() < 1e-3);
        assert!((fitted.envelope_bytes - 300.0).abs() < 1e-3 && (fitted.byte_bytes - 1.0).abs() < 1e-3);
        assert!((fitted.residual_s - 0.001).abs() < 1e-6);
        assert_eq!(fitted.idle(), Span::secs(1_800));
    }

    #[test]
    fn the_kept_calibration_reads_and_names_every_version() {
        let kept = Calibration::kept();
        assert!(kept.first_ways > kept.next_ways && kept.answer_ways > kept.next_ways);
        assert_eq!(versions().len(), CRATES.len(), "{:?}", versions());
        assert_eq!(kept.versions.keys().collect::<Vec<_>>(), versions().keys().collect::<Vec<_>>());
    }
}
