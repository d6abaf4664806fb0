//! `simulate report`: builds the reports of folders again, and merges shards.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use super::run::languages;
use super::{exit_code, text};
use crate::output::{Folder, merge};
use crate::report::{Lang, Report};
use crate::stats::Sample;

/// Arguments of `simulate report`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folders of `--out`: shards of one study, and sweeps of the same scenario.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Where the merged study goes; without it, into the first folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Language of texts and of the report with the plain name.
    #[arg(long, value_enum, default_value_t)]
    lang: Lang,
}

/// Runs it.
///
/// # Errors
/// When a folder cannot be read, the folders do not belong together, or a file cannot be written.
pub fn run(args: Args) -> Result<ExitCode> {
    let folders = args.folders.iter().map(|path| Folder::read(path)).collect::<Result<Vec<_>>>()?;
    let mut merged = merge(folders)?;
    let out = args.out.or_else(|| args.folders.first().cloned()).context("no folder is given")?;
    merged.write(&out, &languages(args.lang))?;
    let scenario = merged.manifest.scenario.scenario()?;
    let report = Report::new(&merged.manifest, &scenario, merged.sweep.as_ref());
    println!("{}", text::study(&report, args.lang));
    eprintln!("written: {}", out.join("report.html").display());
    Ok(exit_code(merged.manifest.samples.iter().any(Sample::is_broken), report.is_missed()))
}
