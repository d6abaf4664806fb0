//! `simulate calibrate`: measures real swarms and fits tier A's overlay to them.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::tier_b::{Stack, fit};

/// Arguments of `simulate calibrate`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where to write the parameters; the program uses them when it is built again.
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/calibration.toml"))]
    out: PathBuf,
    /// Only print them.
    #[arg(long)]
    dry_run: bool,
}

/// What the file begins with.
const HEAD: &str = "# What real swarms cost, fitted by `simulate calibrate`: do not edit. Tier A takes its overlay from here, and warns \
                    when\n# the versions are no longer these.\n";

/// Runs it.
///
/// # Errors
/// When tier B cannot run, or the file cannot be written.
pub fn run(args: Args) -> Result<ExitCode> {
    let measured = Stack::find()?.measure()?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let text = HEAD.to_owned() + &toml::to_string(&fit(&measured, date(since.as_secs() / 86_400)))?;
    if !args.dry_run {
        fs::write(&args.out, &text).with_context(|| format!("{} cannot be written", args.out.display()))?;
    }
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// A date from days since 1970 (after Howard Hinnant's algorithm).
fn date(days: u64) -> String {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        assert_eq!([0, 59, 20_454, 19_782].map(date), ["1970-01-01", "1970-03-01", "2026-01-01", "2024-02-29"]);
    }
}
