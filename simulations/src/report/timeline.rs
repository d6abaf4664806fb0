//! When what goes wrong, in days from the end of the warm-up: for shading, and for the map.

use super::Lang;
use crate::kernel::Span;
use crate::scenario::{Fault, FaultKind, Filter, Labelled, Scenario};

/// Stretches that are drawn at most; a daily curfew over months is one picture all the same.
const STRETCHES_MAX: usize = 400;

/// A fault that lasts.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// From, in days.
    pub from: f64,
    /// Until.
    pub to: f64,
    /// What.
    pub kind: FaultKind,
}

/// Regions as faults choose them.
struct Inhabitants<'n>(&'n str);

impl Labelled for Inhabitants<'_> {
    fn label(&self, name: &str) -> Option<&str> {
        match name {
            "kind" => Some("people"),
            "region" => Some(self.0),
            _ => None,
        }
    }
}

fn days(span: Span) -> f64 {
    span.as_secs_f64() / 86_400.0
}

/// Whether a fault is a stretch of time, or a moment (a seizure lasts, but its moment is what one looks for).
fn lasts(kind: FaultKind) -> bool {
    !matches!(
        kind,
        FaultKind::Seize | FaultKind::Coerce | FaultKind::NumberHunt | FaultKind::ClockSkew | FaultKind::Crash
    )
}

fn rounds<'f>(scenario: &'f Scenario, fault: &'f Fault) -> impl Iterator<Item = (f64, f64)> + 'f {
    let end = days(scenario.duration) - days(scenario.warmup);
    (0..fault.times.max(1)).map(move |n| {
        let from = days(fault.start) + fault.every.map_or(0.0, |every| days(every) * f64::from(n));
        let to = fault.length.map_or(end, |length| from + days(length) + days(fault.over));
        (from.min(end), to.min(end))
    })
}

/// All stretches of a scenario.
pub fn stretches(scenario: &Scenario) -> Vec<Stretch> {
    let lasting = scenario.fault.iter().filter(|fault| lasts(fault.kind));
    let all =
        lasting.flat_map(|fault| rounds(scenario, fault).map(|(from, to)| Stretch { from, to, kind: fault.kind }));
    all.filter(|stretch| stretch.to > stretch.from).take(STRETCHES_MAX).collect()
}

/// Moments: seizures, crashes, coercion.
pub fn moments(scenario: &Scenario) -> Vec<(f64, FaultKind)> {
    let sudden = scenario
        .fault
        .iter()
        .filter(|fault| matches!(fault.kind, FaultKind::Seize | FaultKind::Coerce | FaultKind::Crash));
    let all = sudden.flat_map(|fault| rounds(scenario, fault).map(|(from, _)| (from, fault.kind)));
    all.take(STRETCHES_MAX).collect()
}

/// Share of a day on which the people of a region have no Internet; chance (`pick`) is left out.
pub fn cut(scenario: &Scenario, region: &str, day: usize) -> f64 {
    let (from, to) = (day as f64, day as f64 + 1.0);
    let cuts = scenario
        .fault
        .iter()
        .filter(|fault| fault.kind == FaultKind::InternetCut && fault.pick.is_none() && concerns(fault, region));
    let longest = cuts.flat_map(|fault| rounds(scenario, fault).map(move |(a, b)| (b.min(to) - a.max(from)).max(0.0)));
    longest.sum::<f64>().min(1.0)
}

fn concerns(fault: &Fault, region: &str) -> bool {
    let filter = fault.filter.as_deref().map_or(Ok(Filter::All), Filter::parse);
    filter.is_ok_and(|filter| filter.chooses(&Inhabitants(region)))
}

/// A fault's name.
pub fn name(kind: FaultKind, lang: Lang) -> &'static str {
    match kind {
        FaultKind::InternetCut => lang.pick("Internet cut", "Internet coupé"),
        FaultKind::BorderCut => lang.pick("cut from abroad", "coupé de l’étranger"),
        FaultKind::Partition => lang.pick("mesh split", "maillage coupé en deux"),
        FaultKind::Throttle => lang.pick("Internet throttled", "Internet ralenti"),
        FaultKind::SmsOff => lang.pick("SMS off", "SMS coupés"),
        FaultKind::NumberBlock | FaultKind::NumberHunt => lang.pick("numbers blocked", "numéros bloqués"),
        FaultKind::ProviderOutage => lang.pick("provider down", "hébergeur en panne"),
        FaultKind::PlatformDown => lang.pick("platform down", "plateforme en panne"),
        FaultKind::Crash => lang.pick("crash", "panne"),
        FaultKind::Seize => lang.pick("seizure", "saisie"),
        FaultKind::Coerce => lang.pick("coercion", "contrainte"),
        FaultKind::ClockSkew => lang.pick("wrong clocks", "horloges fausses"),
        FaultKind::FlashCrowd => lang.pick("rush", "affluence"),
    }
}
