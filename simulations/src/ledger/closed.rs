//! Closed forms of exposure and loss when `seized` of `nodes` nodes are taken at random, each equally likely.
//!
//! [`one_home`] is what the node does today, and the ledger is tested against it. The others are of designs that the node
//! does not have (copies, standbys, guardians): whoever prints them must say so, and [`Scheme::is_built`] tells.

/// A design for keeping a person's secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// One home, its key beside it: today's design, seized with its key.
    OneHome,
    /// So many full copies, each of which opens.
    Copies(u32),
    /// A home, and a standby that holds what it cannot open.
    Standby,
    /// Shares at `n` nodes, any `k` of which open and restore.
    Threshold {
        /// Shares that open.
        k: u32,
        /// Shares in all.
        n: u32,
    },
    /// A home whose disk opens only with `k` of `n` guardians, who are other nodes.
    Guardians {
        /// Guardians that open.
        k: u32,
        /// Guardians in all.
        n: u32,
    },
}

impl Scheme {
    /// What reports draw.
    pub const DRAWN: [Self; 6] = [
        Self::OneHome,
        Self::Copies(3),
        Self::Standby,
        Self::Threshold { k: 2, n: 3 },
        Self::Threshold { k: 3, n: 5 },
        Self::Guardians { k: 3, n: 5 },
    ];

    /// Whether the node does this today.
    #[must_use]
    pub fn is_built(self) -> bool {
        self == Self::OneHome
    }

    /// Its name for reports, with what it is not.
    #[must_use]
    pub fn label(self) -> String {
        let name = match self {
            Self::OneHome => return "one home".to_owned(),
            Self::Copies(copies) => format!("{copies} full copies"),
            Self::Standby => "a standby that cannot open".to_owned(),
            Self::Threshold { k, n } => format!("{k} of {n} shares"),
            Self::Guardians { k, n } => format!("a home that {k} of {n} guardians open"),
        };
        format!("{name} (closed form; the node does not have it)")
    }

    /// The share of people whose secrets are open.
    #[must_use]
    pub fn exposed(self, nodes: u32, seized: u32) -> f64 {
        let draw = |marked| Hypergeometric { nodes, marked, seized };
        match self {
            Self::OneHome | Self::Standby => draw(1).at_least(1),
            Self::Copies(copies) => draw(copies).at_least(1),
            Self::Threshold { k, n } => draw(n).at_least(k),
            Self::Guardians { k, n } => {
                let others =
                    Hypergeometric { nodes: nodes.saturating_sub(1), marked: n, seized: seized.saturating_sub(1) };
                draw(1).at_least(1) * others.at_least(k)
            }
        }
    }

    /// The share of people whose account is lost.
    #[must_use]
    pub fn lost(self, nodes: u32, seized: u32) -> f64 {
        let draw = |marked| Hypergeometric { nodes, marked, seized };
        match self {
            Self::OneHome => draw(1).at_least(1),
            Self::Copies(copies) => draw(copies).exactly(copies),
            Self::Standby => draw(2).exactly(2),
            Self::Threshold { k, n } => draw(n).at_least(n - k + 1),
            // The disk is at the home alone.
            Self::Guardians { .. } => draw(1).at_least(1),
        }
    }
}

/// The share of people whose home is among the seized: what today's design exposes when disks are seized with their keys.
#[must_use]
pub fn one_home(nodes: u32, seized: u32) -> f64 {
    Scheme::OneHome.exposed(nodes, seized)
}

/// How many of `marked` nodes are among `seized` ones drawn from `nodes` without putting back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hypergeometric {
    /// Nodes.
    pub nodes: u32,
    /// Of them, those that matter.
    pub marked: u32,
    /// Drawn.
    pub seized: u32,
}

/// The logarithm of n over k; minus infinity where there is no way.
fn ln_choose(n: u32, k: u32) -> f64 {
    if k > n {
        return f64::NEG_INFINITY;
    }
    let ln_factorial = |n: u32| libm::lgamma(f64::from(n) + 1.0);
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

impl Hypergeometric {
    /// The probability of exactly `k`.
    #[must_use]
    pub fn exactly(self, k: u32) -> f64 {
        let Self { nodes, marked, seized } = self;
        if k > seized || marked > nodes || seized > nodes || seized - k > nodes - marked {
            return 0.0;
        }
        libm::exp(ln_choose(marked, k) + ln_choose(nodes - marked, seized - k) - ln_choose(nodes, seized))
    }

    /// The probability of `k` or more.
    #[must_use]
    pub fn at_least(self, k: u32) -> f64 {
        (k..=self.marked.min(self.seized)).map(|j| self.exactly(j)).sum::<f64>().min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMES: [Scheme; 8] = [
        Scheme::OneHome,
        Scheme::Copies(2),
        Scheme::Copies(3),
        Scheme::Standby,
        Scheme::Threshold { k: 2, n: 3 },
        Scheme::Threshold { k: 3, n: 5 },
        Scheme::Guardians { k: 2, n: 3 },
        Scheme::Guardians { k: 3, n: 5 },
    ];

    /// Every way of seizing, counted. Node 0 is the home, the ones behind it hold copies, shares or keys.
    fn enumerated(scheme: Scheme, nodes: u32, seized: u32) -> (f64, f64) {
        let (mut all, mut exposed, mut lost) = (0_u32, 0_u32, 0_u32);
        for set in (0_u32..1 << nodes).filter(|set| set.count_ones() == seized) {
            let among = |from: u32, count: u32| (set >> from & ((1 << count) - 1)).count_ones();
            let home = among(0, 1) == 1;
            let (open, gone) = match scheme {
                Scheme::OneHome => (home, home),
                Scheme::Copies(copies) => (among(0, copies) > 0, among(0, copies) == copies),
                Scheme::Standby => (home, among(0, 2) == 2),
                Scheme::Threshold { k, n } => (among(0, n) >= k, n - among(0, n) < k),
                Scheme::Guardians { k, n } => (home && among(1, n) >= k, home),
            };
            all += 1;
            exposed += u32::from(open);
            lost += u32::from(gone);
        }
        (f64::from(exposed) / f64::from(all), f64::from(lost) / f64::from(all))
    }

    #[test]
    fn closed_forms_are_what_counting_gives() {
        for scheme in SCHEMES {
            for seized in 0..=12 {
                let (exposed, lost) = enumerated(scheme, 12, seized);
                assert!((scheme.exposed(12, seized) - exposed).abs() < 1e-9, "{scheme:?} {seized}");
                assert!((scheme.lost(12, seized) - lost).abs() < 1e-9, "{scheme:?} {seized}");
            }
        }
    }

    /// The figures of the notes on simulation: 100 nodes, 30 seized, exposed and lost, in tenths of a percent.
    #[test]
    fn closed_forms_are_the_published_figures() {
        let figures = [
            (Scheme::Copies(3), 661, 25),
            (Scheme::Threshold { k: 2, n: 3 }, 213, 213),
            (Scheme::Threshold { k: 3, n: 5 }, 158, 158),
            (Scheme::Threshold { k: 2, n: 5 }, 474, 27),
            (Scheme::Threshold { k: 5, n: 9 }, 89, 89),
        ];
        for (scheme, exposed, lost) in figures {
            #[allow(clippy::cast_possible_truncation, reason = "tenths of a percent")]
            let tenths = |share: f64| (share * 1_000.0).round() as i32;
            assert_eq!((tenths(scheme.exposed(100, 30)), tenths(scheme.lost(100, 30))), (exposed, lost), "{scheme:?}");
        }
    }

    #[test]
    fn only_one_home_is_built_and_labels_say_so() {
        for scheme in SCHEMES {
            assert_eq!(scheme.label().contains("does not have it"), !scheme.is_built());
        }
        assert!((one_home(100, 30) - 0.3).abs() < 1e-12);
    }
}
