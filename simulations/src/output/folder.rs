//! The output folder: written once, read again to build reports anew, and merged when a study ran in shards.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::{FORMAT, Frame, Manifest, Sweep, compress_rows, csv, document};
use crate::outcome::SeedRun;
use crate::report::{Lang, Report};
use crate::scenario::Scenario;

const MANIFEST: &str = "manifest.json";
const MESSAGES: &str = "messages.csv.zst";
const SWEEP: &str = "sweep.json";
/// How the files of worlds that have ended are called while others run.
const ROWS: &str = ".rows-";

/// Rows of worlds that have ended, each in a file of its own until all have: rows of a large study do not fit into memory.
#[derive(Debug)]
pub struct Spool(PathBuf);

impl Spool {
    /// In a folder, which is made.
    ///
    /// It is one study's: two runs at once must not share one.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: &Path) -> Result<Self> {
        let problem = || format!("cannot make {}", folder.display());
        fs::create_dir_all(folder).with_context(problem)?;
        for entry in fs::read_dir(folder).with_context(problem)? {
            let entry = entry.with_context(problem)?;
            // What a run that was killed left behind.
            if entry.file_name().to_string_lossy().starts_with(ROWS) {
                fs::remove_file(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
            }
        }
        Ok(Self(folder.to_owned()))
    }

    fn part(&self, seed: u64) -> PathBuf {
        self.0.join(format!("{ROWS}{seed}.csv.zst"))
    }

    /// Keeps the rows of a world.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn put(&self, scenario: &Scenario, run: &SeedRun) -> Result<Frame> {
        let (bytes, rows) = compress_rows(scenario, run)?;
        let path = self.part(run.seed);
        fs::write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Frame { seed: run.seed, offset: 0, length: bytes.len() as u64, rows })
    }

    /// Puts the rows of all worlds into one file, in the order of `frames`, and says where each came to lie.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn join(self, frames: &[Frame]) -> Result<Vec<Frame>> {
        let parts = frames.iter().map(|frame| (*frame, self.part(frame.seed), 0)).collect::<Vec<_>>();
        let joined = join(&self.0.join(MESSAGES), &parts)?;
        for (_, path, _) in parts {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(joined)
    }
}

/// Writes the header and the frames, each out of its file from an offset on.
fn join(target: &Path, parts: &[(Frame, PathBuf, u64)]) -> Result<Vec<Frame>> {
    // Beside it first: a target may be one of the sources.
    let beside = target.with_extension("new");
    let mut file = BufWriter::new(File::create(&beside).with_context(|| format!("cannot write {}", beside.display()))?);
    let header = csv::message_header()?;
    file.write_all(&header)?;
    let (mut offset, mut frames) = (header.len() as u64, Vec::new());
    for (frame, path, from) in parts {
        let mut source = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        source.seek(SeekFrom::Start(*from))?;
        let copied = io::copy(&mut source.take(frame.length), &mut file)?;
        ensure!(copied == frame.length, "{} ends before the rows of seed {}", path.display(), frame.seed);
        frames.push(Frame { offset, ..*frame });
        offset += frame.length;
    }
    file.flush()?;
    drop(file);
    fs::rename(&beside, target).with_context(|| format!("cannot write {}", target.display()))?;
    Ok(frames)
}

/// A folder that was read, or is about to be written.
#[derive(Clone, Debug)]
pub struct Folder {
    /// What it is.
    pub manifest: Manifest,
    /// A sweep, if it has one.
    pub sweep: Option<Sweep>,
    /// Where the rows of each frame are: path of the file.
    sources: Vec<PathBuf>,
}

impl Folder {
    /// A study that has just ended, its rows joined in `path`.
    #[must_use]
    pub fn new(path: &Path, manifest: Manifest, sweep: Option<Sweep>) -> Self {
        let sources = vec![path.join(MESSAGES); manifest.frames.len()];
        Self { manifest, sweep, sources }
    }

    /// Reads a folder.
    ///
    /// # Errors
    /// When it is none, or of another version.
    pub fn read(path: &Path) -> Result<Self> {
        let read = |name: &str| {
            let file = path.join(name);
            fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
        };
        let manifest: Manifest = serde_json::from_slice(&read(MANIFEST)?)
            .with_context(|| format!("{} is no manifest", path.join(MANIFEST).display()))?;
        ensure!(manifest.format == FORMAT, "{}: format {}, not {FORMAT}", path.display(), manifest.format);
        let sweep = if path.join(SWEEP).exists() {
            Some(serde_json::from_slice(&read(SWEEP)?).context("sweep.json is no sweep")?)
        } else {
            None
        };
        Ok(Self::new(path, manifest, sweep))
    }

    /// Writes everything that follows from the study. Rows that lie elsewhere are copied.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&mut self, path: &Path, langs: &[Lang]) -> Result<()> {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let messages = path.join(MESSAGES);
        if self.sources.iter().any(|source| *source != messages) || !messages.exists() {
            let sources = self.manifest.frames.iter().zip(&self.sources);
            let parts: Vec<_> = sources.map(|(frame, source)| (*frame, source.clone(), frame.offset)).collect();
            self.manifest.frames = join(&messages, &parts)?;
            self.sources = vec![messages; self.manifest.frames.len()];
        }
        let scenario = self.manifest.scenario.scenario()?;
        let Manifest { tier, samples, model_error, .. } = &self.manifest;
        let summary = document(&scenario, tier, samples, model_error.as_ref());
        let write = |name: &str, text: String| {
            let file = path.join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
        };
        write(MANIFEST, serde_json::to_string(&self.manifest)? + "\n")?;
        write("summary.json", serde_json::to_string_pretty(&summary)? + "\n")?;
        write("metrics.csv", csv::metrics(&scenario, tier, samples))?;
        write("scenario.toml", self.manifest.scenario.toml.clone())?;
        if let Some(sweep) = &self.sweep {
            write(SWEEP, serde_json::to_string(sweep)? + "\n")?;
            write("sweep.csv", csv::sweep(sweep))?;
        }
        let report = Report::new(&self.manifest, &scenario, self.sweep.as_ref());
        for (n, lang) in langs.iter().enumerate() {
            // The first language has the plain name.
            let name =
                |ending| if n == 0 { format!("report.{ending}") } else { format!("report.{}.{ending}", lang.code()) };
            write(&name("md"), report.markdown(*lang))?;
            write(&name("html"), report.html(*lang))?;
        }
        Ok(())
    }
}

/// Merges shards of one study, and lays the sweeps of others beside them.
///
/// # Errors
/// When they are not of one scenario and program version, or have a seed twice.
pub fn merge(folders: Vec<Folder>) -> Result<Folder> {
    let mut folders = folders.into_iter();
    let mut merged = folders.next().context("no folder is given")?;
    for next in folders {
        let (a, b) = (&merged.manifest, &next.manifest);
        if a.scenario.sha256 != b.scenario.sha256 || a.tier != b.tier {
            bail!("{} and {} are not of one scenario with the same overrides", a.scenario.name, b.scenario.name);
        }
        ensure!(
            a.program.version == b.program.version,
            "the parts are of versions {} and {}",
            a.program.version,
            b.program.version
        );
        merge_sweep(&mut merged.sweep, next.sweep)?;
        let known: BTreeSet<u64> = merged.manifest.samples.iter().map(|sample| sample.seed).collect();
        let (same, new): (Vec<_>, Vec<_>) =
            next.manifest.samples.iter().partition(|sample| known.contains(&sample.seed));
        // A sweep runs the scenario itself as well: those worlds may be in a run too, and must then be equal.
        ensure!(same.is_empty() || merged.sweep.is_some(), "{} seeds are in two of the parts", same.len());
        ensure!(same.iter().all(|sample| merged.manifest.samples.contains(sample)), "one seed gave two worlds");
        let new: BTreeSet<u64> = new.iter().map(|sample| sample.seed).collect();
        let rows = next.manifest.frames.iter().zip(next.sources).filter(|(frame, _)| new.contains(&frame.seed));
        for (frame, source) in rows {
            merged.manifest.frames.push(*frame);
            merged.sources.push(source);
        }
        merged.manifest.samples.extend(next.manifest.samples.into_iter().filter(|sample| new.contains(&sample.seed)));
        merged.manifest.seconds += next.manifest.seconds;
        merged.manifest.started = merged.manifest.started.min(next.manifest.started);
    }
    let mut rows: Vec<_> = merged.manifest.frames.drain(..).zip(merged.sources.drain(..)).collect();
    rows.sort_by_key(|(frame, _)| frame.seed);
    (merged.manifest.frames, merged.sources) = rows.into_iter().unzip();
    merged.manifest.samples.sort_by_key(|sample| sample.seed);
    merged.manifest.shard = None;
    Ok(merged)
}

/// Points with the same settings get the worlds of both.
fn merge_sweep(into: &mut Option<Sweep>, next: Option<Sweep>) -> Result<()> {
    let (Some(own), Some(next)) = (into.as_mut(), next.clone()) else {
        *into = into.take().or(next);
        return Ok(());
    };
    if own.keys.is_empty() {
        own.keys.clone_from(&next.keys);
    }
    ensure!(next.keys.is_empty() || own.keys == next.keys, "the sweeps are over {:?} and {:?}", own.keys, next.keys);
    for (list, more) in [(&mut own.points, next.points), (&mut own.alone, next.alone)] {
        for point in more {
            match list.iter_mut().find(|other| other.settings == point.settings) {
                None => list.push(point),
                Some(other) => {
                    let twice = |seed| other.samples.iter().any(|sample| sample.seed == seed);
                    ensure!(
                        !point.samples.iter().any(|sample| twice(sample.seed)),
                        "`{}` has a seed twice",
                        point.label()
                    );
                    other.samples.extend(point.samples);
                    other.samples.sort_by_key(|sample| sample.seed);
                }
            }
        }
    }
    Ok(())
}
