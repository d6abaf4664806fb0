//! Random small worlds: each from a seed, with random faults, and liars in every third.

use anyhow::{Context as _, Result};

use crate::kernel::{Chance, Draw, Purpose, Span};
use crate::scenario::{Behaviour, BitRate, Byzantine, Disk, Fault, FaultKind, Scenario, Share};

/// What every world is made from.
const BASE: &str = include_str!("base.toml");
/// Most faults of one world.
const FAULTS_MAX: usize = 12;
/// Faults begin within this time after the warm-up, so that the mesh can come together before the end.
const FAULTS_WITHIN: Span = Span::hours(10);
/// The longest fault.
const LENGTH_MAX: Span = Span::hours(2);

/// Draws that follow each other.
struct Luck {
    chance: Chance,
    n: u64,
}

impl Luck {
    fn draw(&mut self) -> Draw {
        self.n += 1;
        self.chance.draw(Purpose::Fuzz, 0, self.n)
    }

    /// The rate of a throttled line: none, that of the oldest mobile networks, or ten times as much. A draw beside the others, so
    /// that the world of a seed is otherwise what it was before there were rates.
    fn rate(&self) -> Option<BitRate> {
        let rates = [None, BitRate::new(20_000), BitRate::new(200_000)];
        rates[self.chance.draw(Purpose::Fuzz, 1, self.n).below(rates.len())]
    }

    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.draw().below(high + 1 - low)
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.draw().below(of.len())]
    }

    fn span(&mut self, low: Span, high: Span) -> Span {
        // Whole seconds read better, and nothing here needs finer ones.
        Span::secs(self.draw().span(low, high).0 / 1_000_000)
    }
}

/// The world of a seed.
///
/// # Errors
/// When the base is no scenario, which a test rules out.
pub fn draw(seed: u64) -> Result<Scenario> {
    let mut scenario: Scenario = toml::from_str(BASE).context("the base of fuzzed worlds")?;
    let mut luck = Luck { chance: Chance::new(seed), n: 0 };
    scenario.people.count = u32::try_from(luck.between(4, 14))?;
    for group in &mut scenario.nodes {
        group.count = u32::try_from(luck.between(2, 4))?;
    }
    for group in &mut scenario.gateways {
        group.count = u32::try_from(luck.between(2, 5))?;
    }
    scenario.people.device_id = Share(luck.one(&[1.0, 1.0, 0.8, 0.5]));
    scenario.switches.bundles = luck.draw().happens(0.5);
    for _ in 0..luck.between(2, FAULTS_MAX) {
        let fault = fault(&mut luck);
        scenario.fault.push(fault);
    }
    if luck.draw().happens(1.0 / 3.0) {
        scenario.byzantine = liars(&mut luck);
    }
    Ok(scenario)
}

fn fault(luck: &mut Luck) -> Fault {
    use FaultKind as K;
    let kind = luck.one(&[
        K::Crash,
        K::Crash,
        K::Crash,
        K::Crash,
        K::ProviderOutage,
        K::InternetCut,
        K::InternetCut,
        K::BorderCut,
        K::Partition,
        K::Throttle,
        K::SmsOff,
        K::PlatformDown,
        K::ClockSkew,
        K::FlashCrowd,
        K::Seize,
        K::Coerce,
    ]);
    let region = luck.one(&["north", "south", "abroad"]);
    let over_region = matches!(kind, K::InternetCut | K::Partition | K::Throttle | K::SmsOff);
    let over_nodes = matches!(kind, K::Crash | K::ProviderOutage | K::ClockSkew | K::Seize | K::Coerce);
    let amount = match kind {
        K::Throttle => Some(0.3),
        K::ClockSkew => Some(300.0),
        K::FlashCrowd => Some(4.0),
        _ => None,
    };
    let disk = match kind {
        K::Crash if luck.draw().happens(0.1) => Some(Disk::Lost),
        K::Crash => Some(Disk::Kept),
        K::Seize => Some(luck.one(&[Disk::Locked, Disk::Unlocked, Disk::Live])),
        _ => None,
    };
    let start = luck.span(Span::ZERO, FAULTS_WITHIN);
    let length = if kind == K::Crash { (Span::secs(10), Span::secs(1_200)) } else { (Span::secs(300), LENGTH_MAX) };
    let length = luck.span(length.0, length.1);
    let rate = luck.rate().filter(|_| kind == K::Throttle);
    Fault {
        kind,
        filter: over_region.then(|| format!("region == \"{region}\"")),
        pick: over_nodes.then(|| Share(luck.one(&[0.15, 0.3, 0.5]))),
        start,
        length: (kind != K::Seize).then_some(length),
        over: Span::ZERO,
        every: None,
        times: 1,
        disk,
        amount,
        latency: (kind == K::Throttle).then(|| Span::millis(400)),
        rate,
    }
}

/// One hand's nodes, with one or two ways to lie. Whoever says yes to what it cannot open must first be asked, so it claims
/// everybody too.
fn liars(luck: &mut Luck) -> Vec<Byzantine> {
    use Behaviour as B;
    let all = [
        B::Drop,
        B::Delay,
        B::Duplicate,
        B::CopiedFilter,
        B::StuffedFilter,
        B::FalseAccept,
        B::Flood,
        B::Eclipse,
        B::Sybil,
        B::Silence,
    ];
    let group = luck.one(&["vps", "pi"]);
    let share = Share(luck.one(&[0.25, 0.5]));
    let one = |behaviour, rate| Byzantine {
        behaviour,
        filter: Some(format!("group == \"{group}\"")),
        share: if matches!(behaviour, B::FalseAccept | B::StuffedFilter) { Share(0.5) } else { share },
        // A flood over a whole day would only be slow.
        rate: Share(if behaviour == B::Flood { 0.02 } else { rate }),
        start: Span::ZERO,
    };
    let first = luck.one(&all);
    let rate = luck.one(&[0.1, 0.5, 1.0]);
    let second = luck.one(&all);
    match first {
        // The same lot chooses both: see `adversary::lies`, which draws by place in this list, so both take the whole group.
        B::FalseAccept => [B::StuffedFilter, B::FalseAccept]
            .into_iter()
            .map(|behaviour| Byzantine { share: Share(1.0), ..one(behaviour, 1.0) })
            .collect(),
        _ => vec![one(first, rate), one(second, rate)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worlds_differ_and_repeat() {
        let (a, b) = (draw(1).unwrap(), draw(2).unwrap());
        assert_eq!(a, draw(1).unwrap());
        assert_ne!(a, b);
        let drawn: Vec<Fault> = (0..60).flat_map(|seed| draw(seed).unwrap().fault).collect();
        let throttles = drawn.iter().filter(|fault| fault.kind == FaultKind::Throttle);
        let (slow, fast): (Vec<_>, Vec<_>) = throttles.partition(|fault| fault.rate.is_some());
        assert!(slow.len() > 5 && fast.len() > 2, "{} lines with a rate, {} without", slow.len(), fast.len());
        let liars = (0..60).filter(|seed| !draw(*seed).unwrap().byzantine.is_empty()).count();
        assert!((8..35).contains(&liars), "{liars}");
    }

    #[test]
    fn a_drawn_world_survives_being_written_down() {
        for seed in 0..50 {
            let scenario = draw(seed).unwrap();
            let text = serde_json::to_string(&scenario).unwrap();
            assert_eq!(serde_json::from_str::<Scenario>(&text).unwrap(), scenario);
        }
    }
}
