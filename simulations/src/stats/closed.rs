//! Closed forms: what seizures expose and lose when the seized nodes are drawn evenly, for ways of keeping a person's
//! record. The node has one of them, the single home; the others are drawn for comparison, and said to be so.

/// A way of keeping a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// One home has it: what the node does.
    OneHome,
    /// So many nodes have all of it: copies, or standbys of a home.
    Copies(u32),
    /// `n` nodes have a share each, and `k` shares are needed.
    Shares {
        /// Needed.
        k: u32,
        /// In all.
        n: u32,
    },
}

impl Scheme {
    /// What reports draw.
    pub const DRAWN: [Self; 6] = [
        Self::OneHome,
        Self::Copies(2),
        Self::Copies(3),
        Self::Shares { k: 2, n: 3 },
        Self::Shares { k: 3, n: 5 },
        Self::Shares { k: 5, n: 9 },
    ];

    /// How many nodes have something of a record, and how many of them must be seized to read it.
    fn sizes(self) -> (u32, u32) {
        match self {
            Self::OneHome => (1, 1),
            Self::Copies(n) => (n, 1),
            Self::Shares { k, n } => (n, k),
        }
    }

    /// Whether the node has it.
    #[must_use]
    pub fn is_built(self) -> bool {
        self == Self::OneHome
    }

    /// The expected share of people who are exposed when `seized` of `nodes` are read.
    #[must_use]
    pub fn exposed(self, nodes: u32, seized: u32) -> f64 {
        let (holders, needed) = self.sizes();
        at_least(nodes, seized, holders, needed)
    }

    /// The expected share of people whose record is gone.
    #[must_use]
    pub fn lost(self, nodes: u32, seized: u32) -> f64 {
        let (holders, needed) = self.sizes();
        at_least(nodes, seized, holders, holders - needed + 1)
    }
}

/// The probability that at least `least` of `holders` are among `seized` of `nodes` (hypergeometric).
fn at_least(nodes: u32, seized: u32, holders: u32, least: u32) -> f64 {
    if nodes == 0 || holders > nodes {
        return 0.0;
    }
    let seized = seized.min(nodes);
    let all = ln_choose(nodes, holders);
    let ways = (least..=holders.min(seized)).filter(|hit| holders - hit <= nodes - seized);
    let sum: f64 =
        ways.map(|hit| libm::exp(ln_choose(seized, hit) + ln_choose(nodes - seized, holders - hit) - all)).sum();
    sum.clamp(0.0, 1.0)
}

fn ln_choose(n: u32, k: u32) -> f64 {
    let ln_factorial = |n: u32| libm::lgamma(f64::from(n) + 1.0);
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares of 100 nodes of which 30 are seized, worked out by hand with whole numbers.
    #[test]
    fn the_closed_forms_are_those_of_the_textbook() {
        let percent = |share: f64| (share * 1_000.0).round() / 10.0;
        let both = |scheme: Scheme| (percent(scheme.exposed(100, 30)), percent(scheme.lost(100, 30)));
        assert_eq!(both(Scheme::OneHome), (30.0, 30.0));
        assert_eq!(both(Scheme::Copies(3)), (66.1, 2.5));
        assert_eq!(both(Scheme::Shares { k: 2, n: 3 }), (21.3, 21.3));
        assert_eq!(both(Scheme::Shares { k: 3, n: 5 }), (15.8, 15.8));
        assert_eq!(both(Scheme::Shares { k: 2, n: 5 }), (47.4, 2.7));
        assert_eq!(both(Scheme::Shares { k: 5, n: 9 }), (8.9, 8.9));
    }

    #[test]
    fn ends_are_certain() {
        for scheme in Scheme::DRAWN {
            assert!(scheme.exposed(50, 0).abs() < 1e-9);
            assert!((scheme.exposed(50, 50) - 1.0).abs() < 1e-9);
            assert!((scheme.lost(50, 80) - 1.0).abs() < 1e-9);
        }
        assert!(Scheme::Copies(3).exposed(2, 1).abs() < 1e-9, "fewer nodes than copies");
    }
}
