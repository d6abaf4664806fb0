//! A foreign server as a child process, with everything that it starts.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Kills a process group.
const KILL: &str = "kill -9 \"-$1\"";
/// The same when its input ends: even a test that is killed closes its pipes.
const GUARD: &str = "trap '' HUP INT TERM; read -r _; kill -9 \"-$1\"";
/// A server that does not listen by then has a problem that waiting does not mend.
const LISTENS_WITHIN: Duration = Duration::from_secs(10);
/// Lines of a log that a failure shows.
const TAIL_LINES: usize = 20;

/// The server. Dropping it kills it and what it started.
pub struct Server {
    child: Child,
    guard: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command` in the foreground, in a process group of its own, and waits until all `ports` are open.
    pub fn start(mut command: Command, log: &Path, ports: &[u16]) -> Self {
        let out = File::options().create(true).append(true).open(log).unwrap();
        let name = command.get_program().to_owned();
        command.process_group(0).stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let child = command.spawn().unwrap_or_else(|e| panic!("{name:?} cannot be started ({e}); run .ci/peers"));
        let mut guard = shell(GUARD, child.id());
        let guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self { child, guard, log: log.to_owned() };
        let begun = Instant::now();
        while !ports.iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_ok()) {
            let ended = server.child.try_wait().unwrap();
            let late = begun.elapsed() > LISTENS_WITHIN;
            assert!(ended.is_none() && !late, "{name:?} does not listen ({ended:?}):\n{}", server.tail());
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    /// The last lines that it wrote.
    pub fn tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The guard goes before the process is reaped, so that it never acts on a number that is another's by then.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = shell(KILL, self.child.id()).stdin(Stdio::null()).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

fn shell(script: &str, pid: u32) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "sh"]).arg(pid.to_string()).process_group(0);
    shell
}

/// Runs a tool to its end and gives what it printed.
pub fn run(command: &mut Command) -> String {
    let name = command.get_program().to_owned();
    let output = command.output().unwrap_or_else(|e| panic!("{name:?} cannot be started ({e}); run .ci/peers"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name:?} failed: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Free ports on loopback; all are held until all are found, so that none is given twice.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

#[test]
fn a_server_goes_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "sleep 600 & echo $!; wait"]);
    let log = dir.path().join("log");
    let server = Server::start(command, &log, &[]);
    let begun = Instant::now();
    let pid: u32 = loop {
        if let Ok(pid) = server.tail().trim().parse() {
            break pid;
        }
        assert!(begun.elapsed() < LISTENS_WITHIN);
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(crate::support::is_alive(pid));
    drop(server);
    while crate::support::is_alive(pid) {
        assert!(begun.elapsed() < LISTENS_WITHIN, "the grandchild is alive");
        std::thread::sleep(Duration::from_millis(5));
    }
}
