//! How a peer has kept its word towards this node. Local, never told, never proof.

/// Successes count up to here, so that an old friend can still fall.
const SCORE_MAX: i32 = 100;
/// A broken promise costs as much as so many kept ones.
const FAILURE_COST: i32 = 10;
/// Below this a peer is asked last.
const SCORE_MIN: i32 = -100;

/// A peer's standing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Standing(i32);

impl Standing {
    /// It proved an acceptance.
    pub fn proved(&mut self) {
        self.0 = (self.0 + 1).min(SCORE_MAX);
    }

    /// It promised and did not prove.
    pub fn failed(&mut self) {
        self.0 = (self.0 - FAILURE_COST).max(SCORE_MIN);
    }

    /// It was caught claiming people that it does not have: all that it earned is gone.
    pub fn forfeit(&mut self) {
        self.0 = SCORE_MIN;
    }

    /// Half of it is forgotten each day.
    pub fn decay(&mut self) {
        self.0 /= 2;
    }

    /// Higher is better.
    pub fn score(self) -> i32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lie_outweighs_ten_kept_promises_and_decays() {
        let mut standing = Standing::default();
        for _ in 0..10 {
            standing.proved();
        }
        standing.failed();
        standing.failed();
        assert_eq!(standing.score(), -10);
        standing.decay();
        assert_eq!(standing.score(), -5);
    }
}
