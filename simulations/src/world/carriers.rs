//! The SMS network: loss in bursts, a mixture of delays, duplicates. Every draw belongs to a message and a copy of it, so
//! all systems of a world lose the same SMS.

use crate::kernel::{Chance, Purpose, Span, Time};
use crate::scenario::Sms;

use super::places::Renewal;

/// What becomes of an SMS on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// When copies arrive; none when it is lost.
    pub arrivals: Vec<Time>,
}

/// An SMS that is sent: several segments joined to one.
#[derive(Clone, Copy, Debug)]
pub struct Joined {
    /// The sender's carrier, by number.
    pub carrier: u8,
    /// It goes to another carrier.
    pub cross: bool,
    /// Which message, for its luck.
    pub message: u64,
    /// Which send of it.
    pub copy: u64,
    /// How many segments.
    pub segments: u16,
}

/// The carriers of a country.
pub struct Carriers {
    sms: Sms,
    /// Good and bad times of each carrier; up = good.
    states: Vec<Renewal>,
    good_loss: f64,
}

impl Carriers {
    /// Carriers in a random state.
    #[must_use]
    pub fn new(sms: &Sms, count: usize, chance: &Chance) -> Self {
        let bad = sms.bad_share.0;
        let good_mean = Span::from_secs_f64(sms.bad_mean.as_secs_f64() * (1.0 - bad) / bad.max(1e-9));
        let mtbf = (sms.bursty && bad > 0.0).then_some(good_mean);
        let states = (0..count as u64).map(|n| Renewal::new(chance, Purpose::CarrierState, n, mtbf, 1.0, sms.bad_mean));
        let good_loss = if mtbf.is_some() { (sms.loss.0 - bad * sms.bad_loss.0) / (1.0 - bad) } else { sms.loss.0 };
        Self { states: states.collect(), good_loss: good_loss.max(0.0), sms: sms.clone() }
    }

    /// Sends an SMS at `now`.
    pub fn pass(&mut self, chance: &Chance, now: Time, sms: Joined) -> Passage {
        let Joined { carrier, cross, message, copy, segments } = sms;
        let good = self.states.get_mut(usize::from(carrier)).is_none_or(|state| state.at(chance, now).0);
        let loss = if good { self.good_loss } else { self.sms.bad_loss.0 };
        let mut latest = Span::ZERO;
        for segment in 0..segments {
            let n = copy << 16 | u64::from(segment);
            if chance.draw(Purpose::SmsLoss, message, n).happens(loss) {
                return Passage::default();
            }
            let held_back = self.held_back(segment);
            let delay = self.delay(chance, message, n, cross);
            if delay > self.sms.validity {
                return Passage::default();
            }
            latest = latest.max(Span(delay.0 + held_back.0));
        }
        let first = now.after(latest);
        let mut arrivals = vec![first];
        if chance.draw(Purpose::SmsDuplicate, message, copy).happens(self.sms.duplicate.0) {
            arrivals.push(first.after(self.delay(chance, message, copy << 16 | 0xffff, cross)));
        }
        Passage { arrivals }
    }

    /// How long the phone's own limit keeps a segment back.
    fn held_back(&self, segment: u16) -> Span {
        self.sms.throttle.map_or(Span::ZERO, |rate| Span(rate.window.0 * u64::from(u32::from(segment) / rate.count)))
    }

    fn delay(&self, chance: &Chance, message: u64, n: u64, cross: bool) -> Span {
        let weights: Vec<f64> = self.sms.delay.iter().map(|band| band.share).collect();
        let draw = chance.draw(Purpose::SmsDelay, message, n);
        let Some(band) = self.sms.delay.get(draw.weighted(&weights)) else { return Span::ZERO };
        let seconds = draw.again().again().log_normal(band.median.as_secs_f64(), band.sigma);
        let cross = if cross { self.sms.cross_carrier } else { Span::ZERO };
        Span(Span::from_secs_f64(seconds).0 + cross.0)
    }
}
