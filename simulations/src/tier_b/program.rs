//! The program that runs tier B.

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;

use super::Measured;
use crate::cost::Cost;
use crate::kernel::{Difference, difference};
use crate::outcome::{Outcome, SeedRun, Study, System};
use crate::run::{self, Plan};
use crate::scenario::Scenario;
use crate::world::Bootstrap;

/// Its name.
const NAME: &str = "simulate-stack";
/// Names its path, where it is neither built here nor beside this program.
const VARIABLE: &str = "RELAYMESH_STACK";
/// All events of a world.
const WHOLE: &str = "0..18446744073709551615";

/// The program that runs tier B.
#[derive(Clone, Debug)]
pub struct Stack {
    program: PathBuf,
}

impl Stack {
    /// Finds it: what `RELAYMESH_STACK` names; in the source tree what cargo builds there now, so that both tiers are of one
    /// source; else what lies beside this program.
    ///
    /// # Errors
    /// When there is none and it cannot be built: tier B needs Linux with a shared glibc.
    pub fn find() -> Result<Self> {
        if let Some(program) = env::var_os(VARIABLE) {
            return Self::of(program.into());
        }
        if !cfg!(all(target_os = "linux", target_env = "gnu")) {
            bail!("tier B needs Linux with a shared glibc: elsewhere the clock and the entropy cannot be replaced");
        }
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("stack/Cargo.toml");
        if manifest.is_file() {
            return Self::of(build(&manifest)?);
        }
        let beside = env::current_exe().context("this program's own path")?.with_file_name(NAME);
        Self::of(beside)
    }

    fn of(program: PathBuf) -> Result<Self> {
        if !program.is_file() {
            bail!("{} is not there: put {NAME} beside this program, or name it in {VARIABLE}", program.display());
        }
        let stack = Self { program };
        let version = stack.ask(&["--version"], "")?;
        if version.trim() != env!("CARGO_PKG_VERSION") {
            bail!(
                "{} is version {}, this program {}",
                stack.program.display(),
                version.trim(),
                env!("CARGO_PKG_VERSION")
            );
        }
        Ok(stack)
    }

    /// A world of a scenario over real swarms.
    ///
    /// # Errors
    /// When the program cannot run it.
    pub fn world(&self, scenario: &Scenario, seed: u64) -> Result<Outcome> {
        self.read(&["--seed", &seed.to_string()], &toml::to_string(scenario)?)
    }

    /// Runs a world in two processes, and finds the first event in which they differ; `None` = equal to the last byte.
    ///
    /// # Errors
    /// When the program cannot run it.
    pub fn check_determinism(&self, scenario: &Scenario, seed: u64) -> Result<Option<Difference>> {
        let (seed, scenario) = (seed.to_string(), toml::to_string(scenario)?);
        let run = || self.run(&["--seed", &seed, "--window", WHOLE], &scenario, Stdio::piped());
        let (first, second) = (run()?, run()?);
        let lines = |output: &Output| -> Vec<String> {
            String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect()
        };
        let found = difference(0, &lines(&first), &lines(&second));
        // The outcome holds the hash over every byte on the wires: more than the events tell.
        let unseen = (first.stdout != second.stdout).then(|| Difference {
            event: 0,
            first: "what went over the wires differs, no event does".to_owned(),
            second: String::new(),
        });
        Ok(found.or(unseen))
    }

    /// What swarms cost, measured between two of them.
    ///
    /// # Errors
    /// When the program cannot measure it.
    pub fn measure(&self) -> Result<Measured> {
        self.read(&["--measure"], "")
    }

    /// What a world over real swarms costs this machine.
    ///
    /// # Errors
    /// When the program cannot run it.
    pub fn cost(&self, scenario: &Scenario, seed: u64) -> Result<Cost> {
        self.read(&["--cost", "--seed", &seed.to_string()], &toml::to_string(scenario)?)
    }

    /// A plan's worlds, by seed: the mesh over real swarms, the systems without one as in tier A.
    ///
    /// # Errors
    /// When the scenario cannot be built, or the program cannot run it.
    pub fn study(&self, scenario: &Scenario, plan: &Plan, done: impl Fn(&SeedRun) + Sync) -> Result<Study> {
        let bootstrap = Bootstrap::new(scenario)?;
        let keep = |run: SeedRun| {
            done(&run);
            Ok(run)
        };
        let runs = run::each(plan, |seed| self.systems(scenario, &bootstrap, seed, &plan.systems), keep)?;
        Ok(Study { scenario: scenario.name.clone(), tier: "b".to_owned(), runs })
    }

    /// One seed's world under each system.
    ///
    /// # Errors
    /// When the scenario cannot be built, or the program cannot run it.
    pub fn systems(
        &self,
        scenario: &Scenario,
        bootstrap: &Bootstrap,
        seed: u64,
        systems: &[System],
    ) -> Result<SeedRun> {
        let mut outcomes = Vec::new();
        for system in systems {
            match system {
                System::Mesh => outcomes.push(self.world(scenario, seed)?),
                other => outcomes.append(&mut run::world(scenario, bootstrap, seed, &[*other])?.outcomes),
            }
        }
        Ok(SeedRun { seed, outcomes })
    }

    fn read<T: DeserializeOwned>(&self, args: &[&str], input: &str) -> Result<T> {
        let text = self.ask(args, input)?;
        serde_json::from_str(&text).with_context(|| format!("what {NAME} says cannot be read"))
    }

    fn ask(&self, args: &[&str], input: &str) -> Result<String> {
        Ok(String::from_utf8(self.run(args, input, Stdio::inherit())?.stdout)?)
    }

    fn run(&self, args: &[&str], input: &str, errors: Stdio) -> Result<Output> {
        let mut child = Command::new(&self.program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("{} cannot run", self.program.display()))?;
        // A program that ends without reading says why itself.
        let _ = child.stdin.take().context("its input is a pipe")?.write_all(input.as_bytes());
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{NAME} {} failed ({})", args.join(" "), output.status);
        }
        Ok(output)
    }
}

/// Builds it as this program was built, and returns its path.
fn build(manifest: &Path) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--locked",
        "--bin",
        NAME,
        "--message-format",
        "json-render-diagnostics",
        "--manifest-path",
    ]);
    command.arg(manifest).stdout(Stdio::piped());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.spawn().context("cargo is needed to build tier B")?.wait_with_output()?;
    if !output.status.success() {
        bail!("tier B cannot be built: cargo build --manifest-path {}", manifest.display());
    }
    let lines = String::from_utf8(output.stdout)?;
    let mut messages = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let path = messages.find_map(|message| {
        let is_it = message["reason"] == "compiler-artifact" && message["target"]["name"] == NAME;
        message["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
    });
    path.context("cargo built no program")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A program that says `text` to everything, after `before`.
    fn stack(dir: &Path, before: &str, text: &str) -> Result<Stack> {
        let program = dir.join(NAME);
        fs::write(&program, format!("#!/bin/sh\n{before}\necho '{text}'\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Stack::of(program)
    }

    #[test]
    fn a_program_is_of_this_version_and_what_it_says_is_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Stack::of(dir.path().join("nothing")).unwrap_err().to_string().contains(VARIABLE));
        assert!(stack(dir.path(), "", "9.9.9").unwrap_err().to_string().contains("9.9.9"));
        let right = env!("CARGO_PKG_VERSION");
        let fails = stack(dir.path(), "[ \"$1\" = --version ] || exit 3", right).unwrap();
        assert!(fails.measure().unwrap_err().to_string().contains("--measure"));
        let mumbles = stack(dir.path(), "", right).unwrap();
        assert!(mumbles.measure().unwrap_err().to_string().contains("cannot be read"));
        finds_the_first_event_that_differs(dir.path());
    }

    /// In the same test: a program that is being written must not be inherited by another one that starts.
    fn finds_the_first_event_that_differs(dir: &Path) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/small.toml");
        let scenario = crate::scenario::load(&path, &[]).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let equal = stack(dir, "cat >/dev/null; echo one >&2; echo two >&2", version).unwrap();
        assert_eq!(equal.check_determinism(&scenario, 1).unwrap(), None);
        let differs = stack(dir, "cat >/dev/null; echo one >&2; echo $$ >&2", version).unwrap();
        assert_eq!(differs.check_determinism(&scenario, 1).unwrap().unwrap().event, 1);
    }
}
