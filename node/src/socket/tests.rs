use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use proptest::prelude::*;
use relaymesh_core::command::{Code, OperatorCommand, OperatorReply, Refusal, Reply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use super::server::BindError;
use super::*;

async fn node(command: OperatorCommand) -> Reply {
    match command {
        OperatorCommand::Ping { node } => Reply::Operator(OperatorReply::Ping { peer_id: node, millis: 3, hops: 2 }),
        OperatorCommand::BundleImport { bytes } => {
            Reply::Operator(OperatorReply::Imported { envelopes: bytes.len() as u64, facts: 0, refused: 0 })
        }
        OperatorCommand::Status => Reply::Refused(Refusal::unavailable()),
        _ => Reply::Refused(Refusal::new(Code::NotFound, "no")),
    }
}

const LISTENING: Listening = Listening {
    http: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080)),
    grpc: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 8443)),
};

struct Server {
    dir: tempfile::TempDir,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(below: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join(below)).unwrap();
        let listener = Listener::bind(&dir.path().join(below).join("s.sock")).await.unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(serve(listener, node, LISTENING, shutdown.clone()));
        Self { dir, shutdown, task }
    }
}

#[tokio::test]
async fn questions_are_answered_until_the_end() {
    let server = Server::start("").await;
    let path = server.dir.path().join("s.sock");
    let reply = ask(&path, OperatorCommand::Ping { node: "a".into() }).await.unwrap();
    assert!(matches!(reply, OperatorReply::Ping { millis: 3, hops: 2, .. }));
    assert_eq!(listening(&path).await.unwrap(), LISTENING);
    let refused = ask(&path, OperatorCommand::Status).await.unwrap_err();
    assert!(
        matches!(&refused, AskError::Refused(told) if told.code == "unavailable" && !told.hint.is_empty()),
        "{refused}"
    );
    server.shutdown.cancel();
    server.task.await.unwrap();
    assert!(!path.exists());
    assert!(matches!(ask(&path, OperatorCommand::Status).await, Err(AskError::Unreachable { .. })));
}

#[tokio::test]
async fn the_socket_is_private_and_has_one_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::start("").await;
    let path = server.dir.path().join("s.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(matches!(Listener::bind(&path).await, Err(BindError::InUse { .. })));
    server.task.abort();
    let _ = server.task.await;
    // What a killed node leaves behind is in nobody's way.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    Listener::bind(&path).await.unwrap();
}

#[tokio::test]
async fn a_long_path_works_too() {
    let below = format!("{0}/{0}/{0}", "d".repeat(60));
    let server = Server::start(&below).await;
    let path = server.dir.path().join(below).join("s.sock");
    assert!(ask(&path, OperatorCommand::Ping { node: "a".into() }).await.is_ok());
}

#[tokio::test]
async fn rubbish_gets_an_error_line_and_the_connection_lives_on() {
    let server = Server::start("").await;
    let mut stream = UnixStream::connect(server.dir.path().join("s.sock")).await.unwrap();
    let rubbish = ["", "{", "\u{0}\u{1}", "{\"command\":\"nonsense\"}", "{\"command\":{\"ping\":{}}}", "[]"];
    let two = ["{\"listening\":{\"nonsense\":1}}", "{\"listening\":{},\"command\":\"status\"}", "\"listening\""];
    for rubbish in rubbish.into_iter().chain(two) {
        stream.write_all(format!("{rubbish}\n").as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let length = stream.read(&mut answer).await.unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer[..length]).unwrap();
        assert_eq!(answer["error"]["code"], "invalid_argument", "{rubbish:?}");
        assert!(!answer.to_string().contains("nonsense"));
    }
    stream.write_all(b"\xff\xfe\n{\"command\":{\"ping\":{\"node\":\"b\"}}}\n").await.unwrap();
    let mut all = String::new();
    stream.shutdown().await.unwrap();
    stream.read_to_string(&mut all).await.unwrap();
    assert!(all.lines().count() == 2 && all.contains("\"millis\":3"), "{all}");
}

#[tokio::test]
async fn only_bundles_may_be_long() {
    let server = Server::start("").await;
    let path = server.dir.path().join("s.sock");
    let bundle = OperatorCommand::BundleImport { bytes: vec![7; 3 << 20] };
    assert!(
        matches!(ask(&path, bundle).await.unwrap(), OperatorReply::Imported { envelopes, .. } if envelopes == 3 << 20)
    );
    let long = OperatorCommand::Ping { node: "a".repeat(2 << 20) };
    let refused = tokio::time::timeout(Duration::from_secs(10), ask(&path, long)).await.unwrap().unwrap_err();
    assert!(matches!(refused, AskError::Refused(_) | AskError::Broken), "{refused}");
    assert!(ask(&path, OperatorCommand::Ping { node: "a".into() }).await.is_ok());
}

/// What the fuzz target `operator` has found worth keeping, each as a line.
#[tokio::test]
async fn each_line_of_the_corpus_gets_one_answer_that_repeats_nothing() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/operator");
    let files = std::fs::read_dir(dir).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let lines: Vec<_> = files.filter(|bytes| !bytes.contains(&b'\n')).collect();
    let server = Server::start("").await;
    let stream = UnixStream::connect(server.dir.path().join("s.sock")).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let (all, mut answers) = (lines.join(&b'\n'), String::new());
    let ask = async {
        write.write_all(&all).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let (_, heard) = tokio::join!(ask, read.read_to_string(&mut answers));
    heard.unwrap();
    let answers: Vec<serde_json::Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), lines.len(), "one each");
    let refusals = answers.iter().filter(|answer| answer["error"]["code"] == "invalid_argument");
    let refusals = refusals.inspect(|answer| {
        assert_eq!(answer["error"]["message"], "the line is no command; is this program of the same version?")
    });
    assert!((20..lines.len() - 10).contains(&refusals.count()), "some of {} lines are commands", lines.len());
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-z0-9+.-]{0,20}"]
}

fn command() -> impl Strategy<Value = OperatorCommand> {
    use OperatorCommand as C;
    let gateway = (text(), text(), proptest::option::of(text()), proptest::option::of(text()));
    prop_oneof![
        prop::sample::select(vec![
            C::Status,
            C::Doctor,
            C::GatewayList,
            C::NodeId,
            C::NodeList,
            C::BundleExport,
            C::BridgeKeysList
        ]),
        gateway.prop_map(|(name, msisdn, country, operator)| C::GatewayAdd {
            name,
            msisdn: msisdn.into(),
            country,
            operator
        }),
        text().prop_map(|message| C::Trace { message }),
        text().prop_map(|node| C::Ping { node }),
        text().prop_map(|name| C::GatewayRemove { name }),
        any::<bool>().prop_map(|own| C::Invite { own }),
        text().prop_map(|code| C::Join { code: code.into() }),
        text().prop_map(|instance| C::Federate { instance }),
        text().prop_map(|target| C::Block { target }),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(|bytes| C::BundleImport { bytes }),
        any::<u16>().prop_map(|count| C::BridgeKeysGenerate { count }),
        any::<u8>().prop_map(|kid| C::BridgeKeysRetire { kid }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_command_is_one_line_and_read_as_it_was(command in command()) {
        let line = serde_json::to_string(&Question::Command(command)).unwrap();
        prop_assert!(!line.contains('\n'));
        let question = Question::parse(line.as_bytes()).expect("what was written is read");
        prop_assert_eq!(serde_json::to_string(&question).unwrap(), line);
    }

    #[test]
    fn a_command_with_a_damaged_byte_is_read_or_refused(
        command in command(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut line = serde_json::to_vec(&Question::Command(command)).unwrap();
        let at = at.index(line.len());
        line[at] = byte;
        if let Some(question) = Question::parse(&line) {
            let written = serde_json::to_vec(&question).unwrap();
            prop_assert!(Question::parse(&written).is_some());
        }
    }

    #[test]
    fn any_bytes_are_no_command(line in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Question::parse(&line).is_none());
    }
}
