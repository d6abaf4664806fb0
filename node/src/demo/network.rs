//! The fake SMS network between phone and gateway clients. It delays, loses, doubles and reorders, and does the same again
//! for the same seed.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// What the network does to an SMS.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Shortest way.
    pub delay_min: Duration,
    /// Longest way. SMS that leave within this time of each other may overtake.
    pub delay_max: Duration,
    /// How many of a hundred are lost.
    pub loss_percent: u32,
    /// How many of a hundred arrive twice.
    pub double_percent: u32,
}

impl Weather {
    /// Bad for a real network, quick enough to watch.
    pub const ROUGH: Self = Self {
        delay_min: Duration::from_millis(20),
        delay_max: Duration::from_millis(260),
        loss_percent: 20,
        double_percent: 15,
    };
}

/// The network.
pub struct SmsNetwork {
    rng: ChaCha20Rng,
    weather: Weather,
}

impl SmsNetwork {
    /// A network whose chance is this seed.
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self { rng: ChaCha20Rng::seed_from_u64(seed), weather }
    }

    /// Takes one SMS: after which times copies of it arrive. None: it is lost.
    pub fn carry(&mut self) -> Vec<Duration> {
        if self.percent(self.weather.loss_percent) {
            return Vec::new();
        }
        let copies = if self.percent(self.weather.double_percent) { 2 } else { 1 };
        (0..copies).map(|_| self.delay()).collect()
    }

    /// An order for `count` things, each as likely.
    pub fn shuffle(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            let other = self.below(last as u64 + 1);
            order.swap(last, usize::try_from(other).unwrap_or(last));
        }
        order
    }

    fn delay(&mut self) -> Duration {
        let Weather { delay_min, delay_max, .. } = self.weather;
        let span = u64::try_from(delay_max.saturating_sub(delay_min).as_millis()).unwrap_or(u64::MAX);
        delay_min + Duration::from_millis(self.below(span.saturating_add(1)))
    }

    fn percent(&mut self, of: u32) -> bool {
        self.below(100) < u64::from(of)
    }

    /// A number below `end`. The slight preference for small ones does not matter here.
    fn below(&mut self, end: u64) -> u64 {
        self.rng.next_u64() % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_does_the_same() {
        let fates = |seed| {
            let mut network = SmsNetwork::new(seed, Weather::ROUGH);
            (0..50).map(|_| network.carry()).collect::<Vec<_>>()
        };
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
    }

    #[test]
    fn it_loses_doubles_and_reorders_within_its_weather() {
        let mut network = SmsNetwork::new(1, Weather::ROUGH);
        let fates: Vec<Vec<Duration>> = (0..2_000).map(|_| network.carry()).collect();
        let share = |copies: usize| fates.iter().filter(|fate| fate.len() == copies).count();
        assert!((300..500).contains(&share(0)), "{} lost", share(0));
        assert!((160..320).contains(&share(2)), "{} doubled", share(2));
        let all: Vec<Duration> = fates.concat();
        assert!(all.iter().all(|d| (Weather::ROUGH.delay_min..=Weather::ROUGH.delay_max).contains(d)));
        assert!(all.windows(2).any(|pair| pair[1] < pair[0]), "later ones overtake");
        let calm = Weather { loss_percent: 0, double_percent: 0, ..Weather::ROUGH };
        assert!((0..100).all(|_| SmsNetwork::new(1, calm).carry().len() == 1));
    }

    #[test]
    fn a_shuffle_keeps_everything() {
        let mut order = SmsNetwork::new(3, Weather::ROUGH).shuffle(9);
        assert_ne!(order, (0..9).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..9).collect::<Vec<_>>());
    }
}
