//! 95 % intervals over seeds.

use serde::{Deserialize, Serialize};

/// Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom; beyond, the normal one with a correction.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
/// Normal quantile, and the first term of its Cornish-Fisher correction for many degrees of freedom.
const Z: f64 = 1.959_964;
const Z_CORRECTION: f64 = 2.372_1;

/// A mean over seeds and where it lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Estimate {
    /// Half the interval's width.
    #[must_use]
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// What a paired difference says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The interval lies above zero.
    More,
    /// The interval lies below zero.
    Less,
    /// It holds zero: the worlds that were run do not decide.
    Undecided,
}

fn quantile(degrees: usize) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "few seeds")]
    let wide = Z + Z_CORRECTION / degrees as f64;
    degrees.checked_sub(1).and_then(|at| T.get(at)).copied().unwrap_or(wide)
}

/// The mean of samples with its 95 % interval (Student). `bounded` says that the figure is a share: its interval stays
/// within 0 and 1, and where no world differs from 0 or from 1 the rule of three bounds what was never seen. One sample
/// has no interval but its bounds. `None` without samples.
#[must_use]
pub fn estimate(samples: &[f64], bounded: bool) -> Option<Estimate> {
    #[allow(clippy::cast_precision_loss, reason = "few seeds")]
    let n = samples.len() as f64;
    if samples.is_empty() {
        return None;
    }
    let mean = samples.iter().sum::<f64>() / n;
    let (mut low, mut high) = match samples.len() {
        1 if bounded => (0.0, 1.0),
        1 => (f64::NEG_INFINITY, f64::INFINITY),
        count => {
            let variance = samples.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
            let half = quantile(count - 1) * libm::sqrt(variance / n);
            (mean - half, mean + half)
        }
    };
    if bounded {
        (low, high) = (low.max(0.0), high.min(1.0));
        let all = |value: f64| samples.iter().all(|x| (x - value).abs() < f64::EPSILON);
        // Rule of three (Hanley and Lippman-Hand 1983): never in n worlds means at most 3/n with 95 % confidence.
        if all(0.0) {
            high = (3.0 / n).min(1.0);
        } else if all(1.0) {
            low = (1.0 - 3.0 / n).max(0.0);
        }
    }
    Some(Estimate { estimate: mean, low, high })
}

/// The mean difference `b - a` of paired samples, and what it says.
#[must_use]
pub fn paired(a: &[f64], b: &[f64]) -> Option<(Estimate, Verdict)> {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    let estimate = estimate(&differences, false)?;
    let verdict = if estimate.low > 0.0 {
        Verdict::More
    } else if estimate.high < 0.0 {
        Verdict::Less
    } else {
        Verdict::Undecided
    };
    Some((estimate, verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_students() {
        // Mean 2, standard deviation 1, n = 3: 2 ± 4.303/√3.
        let found = estimate(&[1.0, 2.0, 3.0], false).unwrap();
        assert!((found.estimate - 2.0).abs() < 1e-12);
        assert!((found.half_width() - 4.303 / 3.0_f64.sqrt()).abs() < 1e-9);
        assert!(estimate(&[], false).is_none());
    }

    #[test]
    fn shares_stay_shares_and_never_is_not_impossible() {
        let never = estimate(&[0.0; 100], true).unwrap();
        assert!((never.high - 0.03).abs() < 1e-12 && never.low == 0.0);
        let always = estimate(&[1.0; 10], true).unwrap();
        assert!((always.low - 0.7).abs() < 1e-12);
        let wild = estimate(&[0.0, 1.0], true).unwrap();
        assert!(wild.low >= 0.0 && wild.high <= 1.0);
        assert_eq!(estimate(&[0.4], true).map(|e| (e.low, e.high)), Some((0.0, 1.0)));
    }

    #[test]
    fn pairs_decide_where_means_do_not() {
        let a = [0.1, 0.5, 0.9, 0.3];
        let b: Vec<f64> = a.iter().map(|x| x + 0.01).collect();
        assert_eq!(paired(&a, &b).unwrap().1, Verdict::More);
        assert_eq!(paired(&b, &a).unwrap().1, Verdict::Less);
        assert_eq!(paired(&a, &[0.9, 0.1, 0.5, 0.7]).unwrap().1, Verdict::Undecided);
    }

    #[test]
    fn quantiles_meet_where_the_table_ends() {
        assert!((quantile(31) - 2.0395).abs() < 0.01);
        assert!((quantile(1_000) - 1.9623).abs() < 0.001);
    }
}
