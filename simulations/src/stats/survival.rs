//! Time to deliver over all messages that were sent (Kaplan and Meier 1958): who was not delivered is censored at the end
//! of its watch, never left out. A percentile that was not reached says so.

use crate::kernel::Span;
use crate::outcome::MessageRow;

/// The share of messages that were delivered within a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survival {
    /// Seconds and the share delivered by then, rising.
    steps: Vec<(f64, f64)>,
}

impl Survival {
    /// From rows; `end` is when the watching ended, counted as the rows count.
    #[must_use]
    pub fn of<'r>(rows: impl Iterator<Item = &'r MessageRow>, end: crate::kernel::Time) -> Self {
        let mut times: Vec<(Span, bool)> = rows
            .map(|row| match row.published {
                Some(at) => (at.since(row.sent), true),
                None => (end.since(row.sent), false),
            })
            .collect();
        times.sort_unstable_by_key(|(time, delivered)| (*time, !*delivered));
        let mut at_risk = times.len();
        let mut waiting = 1.0;
        let mut steps = Vec::new();
        let mut index = 0;
        while index < times.len() {
            let time = times[index].0;
            let here = times[index..].iter().take_while(|(other, _)| *other == time);
            let (mut all, mut delivered) = (0, 0);
            for (_, arrived) in here {
                all += 1;
                delivered += usize::from(*arrived);
            }
            if delivered > 0 {
                #[allow(clippy::cast_precision_loss, reason = "messages are fewer than 2^52")]
                let share = delivered as f64 / at_risk as f64;
                waiting *= 1.0 - share;
                steps.push((time.as_secs_f64(), 1.0 - waiting));
            }
            at_risk -= all;
            index += all;
        }
        Self { steps }
    }

    /// The share delivered within so many seconds.
    #[must_use]
    pub fn within(&self, seconds: f64) -> f64 {
        let at = self.steps.partition_point(|(time, _)| *time <= seconds);
        at.checked_sub(1).and_then(|at| self.steps.get(at)).map_or(0.0, |(_, share)| *share)
    }

    /// When this share was delivered, in seconds; `None` = not reached.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let at = self.steps.partition_point(|(_, reached)| *reached < share - 1e-12);
        self.steps.get(at).map(|(time, _)| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Time;
    use crate::outcome::{Fate, Told};

    fn row(sent: u64, after: Option<u64>) -> MessageRow {
        let sent = Time(Span::secs(sent).0);
        MessageRow {
            id: 0,
            region: 0,
            route: crate::outcome::Route::Device,
            sent,
            accepted: None,
            published: after.map(|after| sent.after(Span::secs(after))),
            posts: 0,
            sends: 1,
            segments: 1,
            fate: Fate::Waiting,
            told: Told::Nothing,
        }
    }

    #[test]
    fn the_undelivered_are_not_left_out() {
        let rows = [row(0, Some(10)), row(0, Some(20)), row(0, None), row(0, None)];
        let survival = Survival::of(rows.iter(), Time(Span::secs(100).0));
        assert!((survival.within(15.0) - 0.25).abs() < 1e-12);
        assert!((survival.within(1e9) - 0.5).abs() < 1e-12);
        assert_eq!(survival.percentile(0.5), Some(20.0));
        assert_eq!(survival.percentile(0.9), None, "not reached");
    }

    #[test]
    fn the_late_are_censored_where_their_watch_ends() {
        // Watched for 5 s only: at risk before, not after.
        let rows = [row(0, Some(10)), row(95, None)];
        let survival = Survival::of(rows.iter(), Time(Span::secs(100).0));
        assert!((survival.within(10.0) - 1.0).abs() < 1e-12);
    }
}
