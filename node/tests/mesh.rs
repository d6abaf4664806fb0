//! Three real nodes of three instances, a phone that knows only one of them, and what can go wrong between them: everything
//! that was acknowledged is published exactly once.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

#[path = "mesh/operator.rs"]
mod operator;
mod support;
#[path = "mesh/ways.rs"]
mod ways;

use std::path::Path;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use support::World;
use support::kit::gateway::GatewayClient;
use support::kit::mesh;
use support::kit::person::Person;
use support::kit::process::Node;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;

/// The nodes: two where SMS come in, and the home.
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;
/// SMS that arrive in any order.
const OUT_OF_ORDER: usize = 30;
/// Time for something to happen between nodes that reach each other.
const SOON: Duration = Duration::from_secs(20);
/// A receipt that was lost with a kill is said again when the link is back. On a busy machine that takes some seconds.
const RECEIPTS: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Bytes of rubbish for each port.
const RUBBISH_BYTES: usize = 64 * 1024;

/// The mesh, somebody who signed up at C, and a gateway client at A and at B.
struct Story {
    world: World,
    person: Person,
    gateways: Vec<GatewayClient>,
}

impl Story {
    async fn begin() -> Self {
        let world = World::start(3).await.unwrap();
        mesh::federate(&world.nodes[B], &world.nodes[C]).await.unwrap();
        let person = world.person(C, "+237650400001", "mia").await.unwrap();
        let mut gateways = Vec::new();
        for node in [A, B] {
            let client = world.gateway(node, &format!("gc-{node}"), &format!("+23765020000{node}")).await.unwrap();
            gateways.push(client);
        }
        Self { world, person, gateways }
    }

    /// Writes a message: its SMS.
    fn write(&mut self, text: &str) -> String {
        self.person.compose(text, true).unwrap()
    }

    /// Forwards an SMS until it is acknowledged.
    async fn forward(&self, through: usize, sms: &str) {
        let number = self.person.number.reveal();
        let client = &self.gateways[through];
        eventually("the SMS is acknowledged", async || {
            client.forward(number, sms).await.is_ok_and(|answer| answer.accepted())
        })
        .await;
    }

    async fn kill(&mut self, node: usize) {
        self.world.nodes[node].kill().await.unwrap();
    }

    async fn start(&mut self, node: usize) {
        self.world.nodes[node].start().await.unwrap();
    }

    /// Checks that each of the texts gets onto the platform, and once.
    async fn published_once(&self, texts: &[&str]) {
        let counts = self.world.counts(texts).await;
        let wrong: Vec<_> = texts.iter().zip(counts).filter(|(_, count)| *count != 1).collect();
        assert!(wrong.is_empty(), "not published exactly once: {wrong:?}\n{}", self.tails());
    }

    fn tails(&self) -> String {
        self.world.nodes.iter().map(|node| format!("{}:\n{}\n", node.name(), node.tail())).collect()
    }
}

/// Waits until something is so.
async fn eventually(what: &str, look: impl AsyncFnMut() -> bool) {
    within(SOON, what, look).await;
}

/// Waits so long until something is so.
async fn within(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !look().await {
        assert!(begun.elapsed() < limit, "{what}: not within {} s", limit.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How many messages wait at a node for their home.
async fn held(node: &Node) -> u64 {
    let status = node.ask(&["status"]).await.unwrap();
    status["held"].as_u64().unwrap_or_else(|| panic!("status tells what is held: {status}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_between_three_nodes_each_message_is_published_once() {
    let mut story = Story::begin().await;
    let sms = story.write("through A");
    story.forward(A, &sms).await;
    let sms = story.write("through A and B");
    story.forward(A, &sms).await;
    story.forward(B, &sms).await;
    story.published_once(&["through A", "through A and B"]).await;
    operator::follows_a_message(&mut story).await;
    operator::answers_a_ping(&story.world.nodes[A], &story.world.nodes[C]).await;

    let sms = story.write("the home is dead");
    story.kill(C).await;
    story.forward(A, &sms).await;
    operator::does_not_answer_a_ping(&story.world.nodes[A], &story.world.nodes[C]).await;
    story.start(C).await;
    let sms = story.write("the ingress dies");
    story.forward(A, &sms).await;
    story.kill(A).await;
    story.start(A).await;
    let sms = story.person.compose("known by the number", false).unwrap();
    story.forward(A, &sms).await;
    story.published_once(&["the home is dead", "the ingress dies", "known by the number"]).await;

    let texts: Vec<String> = (0..OUT_OF_ORDER).map(|n| format!("note {n}")).collect();
    let mut letters: Vec<String> = texts.iter().map(|text| story.write(text)).collect();
    let mut chance = ChaCha20Rng::seed_from_u64(4);
    for n in 0..OUT_OF_ORDER {
        let left = letters.len();
        let sms = letters.swap_remove(usize::try_from(chance.next_u64()).unwrap() % left);
        story.forward(if n % 2 == 0 { A } else { B }, &sms).await;
    }
    story.published_once(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;

    by_stick(&mut story, "on a stick", true).await;
    by_stick(&mut story, "on a stick, known by the number", false).await;
    assert_eq!(story.world.platform.post_count(), 8 + OUT_OF_ORDER as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_reaches_the_home_only_through_another_has_its_messages_published_once() {
    let mut story = Story::begin().await;
    let sms = story.person.compose("before", false).unwrap();
    story.forward(A, &sms).await;
    story.published_once(&["before"]).await;
    // Neither listens any more, so that both can only call B.
    for node in [A, C] {
        story.kill(node).await;
        ways::set(&story.world.nodes[node], "listen", "mesh", Vec::<String>::new());
        story.start(node).await;
        mesh::connected(&story.world.nodes[node], &story.world.nodes[B].peer_id).await.unwrap();
    }

    let sms = story.write("around");
    story.forward(A, &sms).await;
    let sms = story.person.compose("around, known by the number", false).unwrap();
    story.forward(A, &sms).await;
    story.published_once(&["around", "around, known by the number"]).await;
    within(RECEIPTS, "the receipts come back around", async || held(&story.world.nodes[A]).await == 0).await;
    assert_ne!(ways::state(&story.world.nodes[A], &story.world.nodes[C].peer_id).await, "connected");
}

/// A message goes to its home on a stick, and so does the receipt on its way back. No two nodes ever run at the same time.
async fn by_stick(story: &mut Story, text: &str, names_device: bool) {
    let sms = story.person.compose(text, names_device).unwrap();
    // A post is seen before its receipt is back; killed now, the home would have to say it again.
    for node in [A, B] {
        within(RECEIPTS, "all receipts are back", async || held(&story.world.nodes[node]).await == 0).await;
    }
    for node in [B, C] {
        story.kill(node).await;
    }
    story.forward(A, &sms).await;
    eventually("A holds the message", async || held(&story.world.nodes[A]).await == 1).await;
    let stick = tempfile::tempdir().unwrap();
    let (there, back) = (stick.path().join("there"), stick.path().join("back"));
    bundle(&story.world.nodes[A], "export", &there).await;
    story.kill(A).await;

    story.start(C).await;
    bundle(&story.world.nodes[C], "import", &there).await;
    story.published_once(&[text]).await;
    bundle(&story.world.nodes[C], "export", &back).await;
    story.kill(C).await;

    story.start(A).await;
    assert_eq!(held(&story.world.nodes[A]).await, 1, "A cannot know yet");
    bundle(&story.world.nodes[A], "import", &back).await;
    eventually("the receipt is believed", async || held(&story.world.nodes[A]).await == 0).await;
    for node in [B, C] {
        story.start(node).await;
    }
    story.published_once(&[text]).await;
}

async fn bundle(node: &Node, verb: &str, file: &Path) {
    node.ask(&["bundle", verb, file.to_str().unwrap()]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_at_every_port_leaves_a_node_alive_and_answering() {
    let world = World::start(1).await.unwrap();
    let node = &world.nodes[0];
    let pid = node.pid().unwrap();
    // Somebody has an account, and a gateway client is enrolled: there is something that could change.
    let mut person = world.person(0, "+237650400003", "lea").await.unwrap();
    let gateway = world.gateway(0, "booth", "+237650200008").await.unwrap();
    let before = support::state(node).await;
    let mut chance = ChaCha20Rng::seed_from_u64(5);
    let mut rubbish = vec![0; RUBBISH_BYTES];
    chance.fill_bytes(&mut rubbish);
    let lines: Vec<u8> = b"{}\n[]\n{\"command\":\n{\"command\":{\"status\":1}}\n\xff\xfe\n\n".repeat(200);
    let half_http =
        b"POST /v3/publish HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n{".to_vec();
    let mesh = node.mesh().rsplit('/').next().unwrap().to_owned();
    let ports = [address(&node.http()), address(&node.grpc()), format!("127.0.0.1:{mesh}")];
    for bytes in [&rubbish, &lines, &half_http] {
        for port in &ports {
            throw(TcpStream::connect(port).await.unwrap(), bytes).await;
        }
        throw(UnixStream::connect(socket(node)).await.unwrap(), bytes).await;
    }

    assert_eq!(node.pid(), Some(pid));
    assert!(support::is_alive(pid));
    for page in ["health/live", "health/ready", "v1/platforms"] {
        assert_eq!(world.http.get(&format!("{}/{page}", node.http())).await.unwrap().status, 200, "{page}");
    }
    assert_eq!(support::state(node).await, before, "nothing of it came further than the door");
    let sms = person.compose("still here", true).unwrap();
    assert!(gateway.forward(person.number.reveal(), &sms).await.unwrap().accepted());
    assert_eq!(world.counts(&["still here"]).await, [1], "who was there still is");
    world.person(0, "+237650400002", "noa").await.unwrap();
    assert_ne!(support::state(node).await, before, "what is taken shows");
    assert!(!std::fs::read_to_string(node.log()).unwrap().contains("panicked"), "{}", node.tail());
}

/// Says something and hears the answer, if there is one.
async fn throw(mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, bytes: &[u8]) {
    let talk = async {
        // The node may hang up in the middle: that is its right.
        if stream.write_all(bytes).await.is_ok() {
            let _ = stream.read(&mut [0; 1024]).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(500), talk).await;
}

fn address(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

fn socket(node: &Node) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(node.dir()).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|end| end == "sock")).expect("the node has a socket")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_run_says_why_in_one_line() {
    let mut world = World::start(1).await.unwrap();
    world.nodes[0].kill().await.unwrap();
    let node = &world.nodes[0];
    let config = std::fs::read_to_string(node.config()).unwrap();

    let taken = tokio::net::TcpListener::bind(address(&node.http())).await.unwrap();
    refuses(node, "listen.http").await;
    drop(taken);

    let written = toml::from_str::<toml::Table>(&config).unwrap();
    let key_file = written["keys"]["file"].as_str().unwrap().to_owned();
    let key = std::fs::read(&key_file).unwrap();
    std::fs::write(&key_file, "no key").unwrap();
    refuses(node, &key_file).await;
    std::fs::remove_file(&key_file).unwrap();
    std::fs::create_dir(&key_file).unwrap();
    refuses(node, &key_file).await;
    std::fs::remove_dir(&key_file).unwrap();
    std::fs::write(&key_file, key).unwrap();
    refuses(node, "chmod 600").await;
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key_file, private).unwrap();

    let format = format_file(node.dir());
    let own = std::fs::read_to_string(&format).unwrap();
    let newer = own.replace(|c: char| c.is_ascii_digit(), "9");
    assert_ne!(own, newer);
    std::fs::write(&format, newer).unwrap();
    refuses(node, "9").await;
    std::fs::write(&format, own).unwrap();

    world.nodes[0].start().await.expect("nothing was broken by the attempts");
}

/// Checks that `run` ends with exit code 4 and one line that has these words.
async fn refuses(node: &Node, words: &str) {
    let mut run = Command::new(support::binary());
    run.arg("run").arg("--config").arg(node.config()).kill_on_drop(true);
    let output = tokio::time::timeout(SOON, run.output()).await.expect("it ends at once").unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    // Log lines begin with the time.
    let lines: Vec<&str> = told.lines().filter(|line| !line.starts_with("20")).collect();
    assert_eq!((output.status.code(), lines.len()), (Some(4), 1), "{words}: {told}");
    assert!(lines[0].contains(words), "{words}: {told}");
}

/// The file that tells a store's format.
fn format_file(dir: &Path) -> std::path::PathBuf {
    let mut below = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path().join("FORMAT"));
    below.find(|path| path.is_file()).expect("a store has a FORMAT")
}
