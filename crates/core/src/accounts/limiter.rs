//! Wrong passwords. A try counts, durably, before it is evaluated, so that tries sent at the same time cannot slip
//! past a limit; while an account is blocked nothing is evaluated.

use std::time::Duration;

use relaymesh_protocol::ids::Timestamp;

use crate::command::{Code, Refusal};
use crate::record::vault::PasswordLimiter;

/// The try that blocks, and for how long. Every try past the last one blocks as long as that one: no gap.
const BLOCKS: [(u32, Duration); 4] = [
    (3, Duration::from_mins(2)),
    (5, Duration::from_mins(15)),
    (7, Duration::from_mins(60)),
    (9, Duration::from_mins(1_440)),
];

impl PasswordLimiter {
    /// Counts a try that is about to be evaluated.
    ///
    /// # Errors
    /// When the account is blocked: nothing may be evaluated.
    pub(super) fn count(&mut self, now: Timestamp) -> Result<(), Refusal> {
        self.check(now)?;
        self.attempts = self.attempts.saturating_add(1);
        if let Some(span) = block(self.attempts) {
            self.blocked_until = now.after(span);
        }
        Ok(())
    }

    /// Whether a try may be evaluated now.
    ///
    /// # Errors
    /// When the account is blocked.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), Refusal> {
        if now < self.blocked_until {
            let text = "Too many password attempts. Please wait and try again later.";
            return Err(Refusal::new(Code::Unavailable, text));
        }
        Ok(())
    }

    /// Takes back a try that was counted and then not evaluated, because the node was busy.
    pub(super) fn refund(&mut self) {
        self.attempts = self.attempts.saturating_sub(1);
        if block(self.attempts).is_none() {
            self.blocked_until = Timestamp::default();
        }
    }
}

fn block(attempts: u32) -> Option<Duration> {
    let (last, longest) = BLOCKS[BLOCKS.len() - 1];
    if attempts > last {
        return Some(longest);
    }
    BLOCKS.iter().find(|(at, _)| *at == attempts).map(|(_, span)| *span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_at_three_five_seven_nine_and_at_each_try_after() {
        let mut limiter = PasswordLimiter::default();
        let mut now = Timestamp(1_000_000);
        let minutes = [0, 0, 2, 0, 15, 0, 60, 0, 1_440, 1_440, 1_440];
        for (i, minutes) in minutes.into_iter().enumerate() {
            assert_eq!(limiter.count(now), Ok(()), "try {i}");
            let end = now.after(Duration::from_mins(minutes));
            if minutes > 0 {
                assert!(limiter.count(Timestamp(end.0 - 1)).is_err(), "blocked after try {i}");
            }
            now = end;
        }
        assert_eq!(limiter.attempts, 11);
    }

    #[test]
    fn a_refund_takes_the_try_and_its_block_back() {
        let mut limiter = PasswordLimiter { attempts: 2, blocked_until: Timestamp(0) };
        let now = Timestamp(5);
        limiter.count(now).unwrap();
        assert!(limiter.check(now).is_err());
        limiter.refund();
        assert_eq!(limiter, PasswordLimiter { attempts: 2, blocked_until: Timestamp(0) });
        limiter.attempts = 10;
        limiter.blocked_until = Timestamp(9);
        limiter.refund();
        assert!(limiter.check(now).is_err(), "nine wrong tries before it still block");
    }
}
