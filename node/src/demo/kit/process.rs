//! One node as a process of its own, with its files, its ports and its log.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::guard::Guard;

/// A node that is not ready by then has a problem that waiting does not mend.
pub const READY_WITHIN: Duration = Duration::from_secs(10);
/// Longest time for one command to a node.
const COMMAND_TIME: Duration = Duration::from_secs(30);
/// How often the log is looked at for the line that says `ready`.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Lines of a log that an error shows.
const TAIL_LINES: usize = 12;

/// What a node is to be.
pub struct Plan {
    /// Its name.
    pub name: String,
    /// The name of its instance.
    pub instance: String,
    /// Its directory; must not hold a node yet.
    pub dir: PathBuf,
    /// Its key file, outside of that directory.
    pub key_file: PathBuf,
    /// Its ports.
    pub ports: Ports,
    /// Appended to the configuration that `init` writes.
    pub settings: String,
}

/// Where a node listens, on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Gateway clients.
    pub http: u16,
    /// Apps.
    pub grpc: u16,
    /// Other nodes.
    pub mesh: u16,
}

impl Ports {
    /// Free ports for `count` nodes. All are held until all are found, so that none is given twice.
    pub fn free(count: usize) -> Result<Vec<Self>> {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let held = (0..count * 3).map(|_| bind()).collect::<Result<Vec<_>, _>>().context("no free port")?;
        let ports = held.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>().context("no free port")?;
        let sets = ports.chunks_exact(3).filter_map(|set| match set {
            [http, grpc, mesh] => Some(Self { http: http.port(), grpc: grpc.port(), mesh: mesh.port() }),
            _ => None,
        });
        Ok(sets.collect())
    }
}

/// A node. Dropping it kills its process.
pub struct Node {
    plan: Plan,
    binary: PathBuf,
    /// libp2p peer id; empty until the node is asked for it.
    pub peer_id: String,
    /// Goes first, so that it never acts on a process that is another's by then.
    guard: Option<Guard>,
    child: Option<Child>,
}

impl Node {
    /// Makes the node's files with `relaymesh init`.
    pub async fn init(binary: &Path, plan: Plan) -> Result<Self> {
        let node = Self { plan, binary: binary.to_owned(), peer_id: String::new(), guard: None, child: None };
        let Plan { name, instance, dir, key_file, ports, settings } = &node.plan;
        make_private(dir)?;
        make_private(key_file.parent().unwrap_or(dir))?;
        let mut init = relaymesh(binary);
        init.arg("init").arg("--dir").arg(dir).args(["--name", name, "--instance", instance]);
        init.arg("--http").arg(address(ports.http)).arg("--grpc").arg(address(ports.grpc));
        init.arg("--mesh").arg(multiaddress(ports.mesh)).arg("--key-file").arg(key_file);
        finish(init).await.with_context(|| format!("node {name} cannot be made"))?;
        let mut config = OpenOptions::new().append(true).open(node.config()).context("init wrote no configuration")?;
        config.write_all(settings.as_bytes()).context("the configuration cannot be written")?;
        Ok(node)
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// The name of its instance.
    pub fn instance(&self) -> &str {
        &self.plan.instance
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.plan.dir
    }

    /// Its configuration.
    pub fn config(&self) -> PathBuf {
        self.plan.dir.join("relaymesh.toml")
    }

    /// What it wrote to its output.
    pub fn log(&self) -> PathBuf {
        self.plan.dir.join("log")
    }

    /// Where gateway clients reach it.
    pub fn http(&self) -> String {
        format!("http://{}", address(self.plan.ports.http))
    }

    /// Where apps reach it.
    pub fn grpc(&self) -> String {
        format!("http://{}", address(self.plan.ports.grpc))
    }

    /// Where other nodes reach it.
    pub fn mesh(&self) -> String {
        multiaddress(self.plan.ports.mesh)
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Starts the process and waits until it is ready; says how long that took.
    ///
    /// # Errors
    /// When it ends or is not ready in time; the error shows the end of its log.
    pub async fn start(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        let mut log = OpenOptions::new().create(true).append(true).open(self.log()).context("no log can be written")?;
        let from = log.seek(SeekFrom::End(0)).context("no log can be written")?;
        let child = relaymesh(&self.binary)
            .arg("run")
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("no log can be written")?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("no process can be started")?;
        self.guard = child.id().map(Guard::of);
        self.child = Some(child);
        while !self.is_ready(from) {
            let name = &self.plan.name;
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
                bail!("node {name} ended at its start ({status}); its log ends with:\n{}", self.tail());
            }
            if begun.elapsed() > READY_WITHIN {
                let seconds = READY_WITHIN.as_secs();
                bail!("node {name} was not ready within {seconds} s; its log ends with:\n{}", self.tail());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(begun.elapsed())
    }

    fn is_ready(&self, from: u64) -> bool {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(self.log())?;
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().is_ok_and(|log| log.lines().any(|line| line.starts_with("ready")))
    }

    /// The last lines of the log.
    pub fn tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.iter().rev().take(TAIL_LINES).rev().map(|line| format!("  {line}"));
        tail.collect::<Vec<_>>().join("\n")
    }

    /// Kills the process as a power cut would: SIGKILL, nothing is said before.
    pub async fn kill(&mut self) -> Result<()> {
        self.guard = None;
        let Some(mut child) = self.child.take() else { return Ok(()) };
        // It may have ended by itself; then there is only its end to wait for.
        let _ = child.start_kill();
        child.wait().await.with_context(|| format!("node {} cannot be killed", self.plan.name))?;
        Ok(())
    }

    /// Asks the running node something through its command line; the answer is its JSON document.
    pub async fn ask(&self, words: &[&str]) -> Result<Value> {
        let mut command = relaymesh(&self.binary);
        command.arg("--config").arg(self.config()).arg("--json").args(words);
        let said = finish(command).await.with_context(|| format!("node {} refused", self.plan.name))?;
        serde_json::from_str(&said).context("the answer is not JSON")
    }
}

/// The binary, without settings that the environment has for another node.
fn relaymesh(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("RELAYMESH_")) {
        command.env_remove(name);
    }
    command
}

/// Runs a command of the binary to its end and gives what it printed.
async fn finish(mut command: Command) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(COMMAND_TIME, command.output()).await.context("no end in sight")?;
    let output = output.context("no process can be started")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{}", said.trim().trim_start_matches("error: "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Makes a directory that nobody else may enter, if it is not there. Several nodes may want the same one at once.
fn make_private(dir: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("{} cannot be made", dir.display()))
}

fn address(port: u16) -> String {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string()
}

fn multiaddress(port: u16) -> String {
    format!("/ip4/127.0.0.1/tcp/{port}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let sets = Ports::free(7).unwrap();
        let all: BTreeSet<u16> = sets.iter().flat_map(|set| [set.http, set.grpc, set.mesh]).collect();
        assert_eq!((sets.len(), all.len()), (7, 21));
        assert!(!all.contains(&0));
    }
}
