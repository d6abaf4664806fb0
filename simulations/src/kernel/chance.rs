//! Counted chance: every draw is a function of the seed, what it is for, whom it concerns and how often that was asked.
//!
//! No draw depends on another one's order. Two scenarios that differ in one rule therefore share all other luck, and their
//! difference is that rule's alone ("common random numbers"). Samples use `libm`, so that machines agree to the last bit.

use super::Span;

/// What a draw is for. The number is part of the luck: never change or reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u64)]
#[allow(missing_docs, reason = "each name says it")]
pub enum Purpose {
    PersonRegion = 1,
    PersonCarrier = 2,
    PersonHome = 3,
    PersonDevice = 4,
    PersonGateways = 5,
    Load = 6,
    LoadPick = 7,
    MessageLength = 8,
    SmsLoss = 9,
    SmsDelay = 10,
    SmsDuplicate = 11,
    CarrierState = 12,
    GatewayUp = 13,
    Mains = 14,
    NodeUp = 15,
    LinkLatency = 16,
    LinkLoss = 17,
    PlatformDelay = 18,
    PlatformFault = 19,
    FaultPick = 20,
    FaultTime = 21,
    Courier = 22,
    Resend = 23,
    NodeKeys = 24,
    NodeSeed = 25,
    PersonKeys = 26,
    NumberBlock = 27,
    Adversary = 28,
    ClockSkew = 29,
    GatewayPlace = 30,
    NodePlace = 31,
    Hidden = 32,
    Session = 33,
    Fuzz = 34,
    Bootstrap = 35,
}

/// The luck of one world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance {
    seed: u64,
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): a bijection in which every bit depends on all.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Odd constants that keep the four arguments apart.
const STEP: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03, 0x8cb9_2ba7_2f3d_8dd7];

impl Chance {
    /// The luck of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed: mix(seed ^ STEP[0]) }
    }

    /// One draw: the `n`th of `entity` for `purpose`.
    #[must_use]
    pub fn draw(&self, purpose: Purpose, entity: u64, n: u64) -> Draw {
        let a = mix(self.seed ^ (purpose as u64).wrapping_mul(STEP[0]));
        let b = mix(a ^ entity.wrapping_mul(STEP[1]).wrapping_add(STEP[0]));
        Draw(mix(b ^ n.wrapping_mul(STEP[2]).wrapping_add(STEP[1])))
    }

    /// 32 bytes, for what wants a seed of its own.
    #[must_use]
    pub fn bytes(&self, purpose: Purpose, entity: u64, n: u64) -> [u8; 32] {
        let mut draw = self.draw(purpose, entity, n);
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&draw.bits().to_le_bytes());
            draw = draw.again();
        }
        bytes
    }
}

/// 64 equally likely bits, and what can be made of them. [`Draw::again`] gives a further one where a sample needs two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw(u64);

impl Draw {
    /// The bits.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Another draw that follows from this one.
    #[must_use]
    pub fn again(self) -> Self {
        Self(mix(self.0.wrapping_add(STEP[0])))
    }

    /// Uniform in (0, 1): never an end, so that logarithms are finite.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub fn unit(self) -> f64 {
        ((self.0 >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    /// Whether something of this probability happens.
    #[must_use]
    pub fn happens(self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in `0..n`; zero when `n` is.
    #[must_use]
    pub fn below(self, n: usize) -> usize {
        usize::try_from((u128::from(self.0) * n as u128) >> 64).expect("below n")
    }

    /// An index by weight; the last one when the weights are used up by rounding.
    #[must_use]
    pub fn weighted(self, weights: &[f64]) -> usize {
        let total: f64 = weights.iter().sum();
        let mut at = self.unit() * total;
        for (index, weight) in weights.iter().enumerate() {
            if at < *weight {
                return index;
            }
            at -= weight;
        }
        weights.len().saturating_sub(1)
    }

    /// Exponential with this mean.
    #[must_use]
    pub fn exponential(self, mean: f64) -> f64 {
        -mean * libm::log(self.unit())
    }

    /// Standard normal (Box and Muller 1958).
    #[must_use]
    pub fn normal(self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.again().unit())
    }

    /// Log-normal with this median and this standard deviation of the logarithm.
    #[must_use]
    pub fn log_normal(self, median: f64, sigma: f64) -> f64 {
        median * libm::exp(sigma * self.normal())
    }

    /// Weibull with this shape and this mean.
    #[must_use]
    pub fn weibull(self, shape: f64, mean: f64) -> f64 {
        let scale = mean / libm::tgamma(1.0 + 1.0 / shape);
        scale * libm::pow(-libm::log(self.unit()), 1.0 / shape)
    }

    /// Uniform between two spans.
    #[must_use]
    pub fn span(self, low: Span, high: Span) -> Span {
        Span::from_secs_f64(low.as_secs_f64() + self.unit() * (high.as_secs_f64() - low.as_secs_f64()).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(sample: impl Fn(Draw) -> f64) -> f64 {
        let chance = Chance::new(7);
        (0..20_000).map(|n| sample(chance.draw(Purpose::Load, 1, n))).sum::<f64>() / 20_000.0
    }

    #[test]
    fn draws_have_their_means() {
        assert!((mean(Draw::unit) - 0.5).abs() < 0.01);
        assert!((mean(|draw| draw.exponential(3.0)) - 3.0).abs() < 0.1);
        assert!(mean(Draw::normal).abs() < 0.03);
        assert!((mean(|draw| draw.weibull(0.55, 12.0)) - 12.0).abs() < 0.6);
        assert!((mean(|draw| f64::from(u8::from(draw.happens(0.2)))) - 0.2).abs() < 0.01);
    }

    #[test]
    fn draws_depend_on_every_argument_and_on_no_order() {
        let chance = Chance::new(1);
        let draw = chance.draw(Purpose::Load, 2, 3);
        assert_eq!(draw, chance.draw(Purpose::Load, 2, 3));
        for other in [
            Chance::new(2).draw(Purpose::Load, 2, 3),
            chance.draw(Purpose::LoadPick, 2, 3),
            chance.draw(Purpose::Load, 3, 3),
            chance.draw(Purpose::Load, 2, 4),
            chance.draw(Purpose::Load, 3, 2),
        ] {
            assert_ne!(draw, other);
        }
    }

    #[test]
    fn weights_choose() {
        let chance = Chance::new(3);
        let mut counts = [0; 3];
        for n in 0..9_000 {
            counts[chance.draw(Purpose::PersonRegion, n, 0).weighted(&[1.0, 0.0, 2.0])] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((2_700..3_300).contains(&counts[0]), "{counts:?}");
    }

    /// Machines must agree: these bits are the same everywhere and for ever.
    #[test]
    fn samples_are_frozen() {
        let draw = Chance::new(42).draw(Purpose::SmsDelay, 7, 9);
        assert_eq!(draw.bits(), FROZEN_BITS);
        assert_eq!(draw.log_normal(6.0, 0.6).to_bits(), FROZEN_LOG_NORMAL);
    }

    const FROZEN_BITS: u64 = 7_037_423_077_829_785_604;
    const FROZEN_LOG_NORMAL: u64 = 4_623_555_325_348_527_150;
}
