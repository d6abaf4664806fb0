//! Where everybody stands, and who can reach whom now: labels, cuts, throttles, and alternating up and down times.

use std::collections::BTreeMap;

use super::lines::Line;
use crate::kernel::{Chance, Purpose, Span, Time};
use crate::scenario::{Labelled, Links, Scenario};

/// What a node or a gateway client is known by to faults.
#[derive(Clone, Debug, Default)]
pub struct Labels(BTreeMap<&'static str, String>);

impl Labels {
    /// Labels from pairs.
    pub fn new(pairs: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl Labelled for Labels {
    fn label(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// A place from which one speaks over the Internet: a node's or a gateway client's.
#[derive(Clone, Debug)]
pub struct Spot {
    /// By number in the scenario.
    pub region: u16,
    /// Whether the region is abroad.
    pub abroad: bool,
    /// What stands on one site needs no Internet to speak.
    pub site: u32,
    /// What faults choose by.
    pub labels: Labels,
    /// How many cuts of the Internet concern it now.
    pub cut: u16,
    /// Partitions that it is inside of now, by number of the fault.
    pub sides: Vec<u16>,
    /// What slows it down now.
    pub throttle: Option<Throttle>,
}

/// What slows a spot down.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    /// Added loss.
    pub loss: f64,
    /// Added one-way latency.
    pub latency: Span,
    /// Its line, if that has a rate.
    pub line: Option<Line>,
}

impl Spot {
    /// A spot where nothing is wrong.
    #[must_use]
    pub fn new(region: u16, abroad: bool, site: u32, labels: Labels) -> Self {
        Self { region, abroad, site, labels, cut: 0, sides: Vec::new(), throttle: None }
    }
}

/// The Internet between spots.
#[derive(Clone, Debug)]
pub struct Internet {
    links: Links,
    /// How many cuts at the border there are now.
    pub border_cuts: u16,
}

impl Internet {
    /// The Internet of a scenario, whole.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        Self::of(scenario.links.clone())
    }

    /// An Internet of such links, whole.
    #[must_use]
    pub fn of(links: Links) -> Self {
        Self { links, border_cuts: 0 }
    }

    /// Whether these two can speak now.
    #[must_use]
    pub fn open(&self, a: &Spot, b: &Spot) -> bool {
        if a.site == b.site {
            return true;
        }
        let border = self.border_cuts > 0 && a.abroad != b.abroad;
        a.cut == 0 && b.cut == 0 && !border && a.sides == b.sides
    }

    /// One-way latency of what `entity` sends for the `n`th time, or none when it is lost.
    #[must_use]
    pub fn latency(&self, a: &Spot, b: &Spot, chance: &Chance, (entity, n): (u64, u64)) -> Option<Span> {
        if a.site == b.site {
            return Some(Span::millis(1));
        }
        let base = match (a.abroad || b.abroad, a.region == b.region) {
            (true, _) => self.links.abroad,
            (false, true) => self.links.within,
            (false, false) => self.links.between,
        };
        let throttles = [a.throttle, b.throttle];
        let loss = throttles.iter().flatten().fold(self.links.loss.0, |loss, more| loss + more.loss).min(1.0);
        if loss > 0.0 && chance.draw(Purpose::LinkLoss, entity, n).happens(loss) {
            return None;
        }
        let varied = chance.draw(Purpose::LinkLatency, entity, n).log_normal(base.as_secs_f64(), self.links.sigma);
        let extra: u64 = throttles.iter().flatten().map(|more| more.latency.0).sum();
        Some(Span(Span::from_secs_f64(varied).0 + extra))
    }

    /// How long a request may go without its answer.
    #[must_use]
    pub fn timeout(&self) -> Span {
        self.links.timeout
    }
}

/// An alternating renewal process: up, down, up, … Looked at only forward in time; draws are counted, so two systems see
/// the same.
#[derive(Clone, Debug)]
pub struct Renewal {
    purpose: Purpose,
    entity: u64,
    shape: f64,
    up_mean: f64,
    down_mean: f64,
    n: u64,
    up: bool,
    until: Time,
}

impl Renewal {
    /// A process that is up at first. Without `mtbf` it never goes down.
    #[must_use]
    pub fn new(chance: &Chance, purpose: Purpose, entity: u64, mtbf: Option<Span>, shape: f64, mttr: Span) -> Self {
        let mut renewal = Self {
            purpose,
            entity,
            shape,
            up_mean: mtbf.map_or(f64::INFINITY, Span::as_secs_f64),
            down_mean: mttr.as_secs_f64(),
            n: 0,
            up: true,
            until: Time::MAX,
        };
        if mtbf.is_some() {
            // It did not begin with the world: the first up time is cut at a random place.
            let length = renewal.length(chance);
            let cut = chance.draw(Purpose::Hidden, entity.wrapping_add(purpose as u64), 0).unit();
            renewal.until = Time(Span::from_secs_f64(length * cut).0);
        }
        renewal
    }

    fn length(&mut self, chance: &Chance) -> f64 {
        let draw = chance.draw(self.purpose, self.entity, self.n);
        self.n += 1;
        if self.up { draw.weibull(self.shape, self.up_mean) } else { draw.exponential(self.down_mean) }
    }

    /// Whether it is up at `now`, and when that ends.
    pub fn at(&mut self, chance: &Chance, now: Time) -> (bool, Time) {
        while self.until <= now {
            self.up = !self.up;
            let length = Span::from_secs_f64(self.length(chance)).0.max(1_000_000);
            self.until = self.until.after(Span(length));
        }
        (self.up, self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_up_for_its_share_of_time() {
        let chance = Chance::new(1);
        let (mtbf, mttr) = (Span::hours(30), Span::hours(10));
        let mut renewal = Renewal::new(&chance, Purpose::NodeUp, 3, Some(mtbf), 1.0, mttr);
        let ups = (0..40_000).filter(|hour| renewal.at(&chance, Time(Span::hours(*hour).0)).0).count();
        assert!((28_000..32_000).contains(&ups), "{ups}");
        let mut never = Renewal::new(&chance, Purpose::NodeUp, 3, None, 1.0, mttr);
        assert_eq!(never.at(&chance, Time(u64::MAX - 1)), (true, Time::MAX));
    }
}
