use std::time::Duration;

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
        let task = tokio::spawn(serve(listener, node, shutdown.clone()));
        Self { dir, shutdown, task }
    }
}

#[tokio::test]
async fn questions_are_answered_until_the_end() {
    let server = Server::start("").await;
    let path = server.dir.path().join("s.sock");
    let reply = ask(&path, OperatorCommand::Ping { node: "a".into() }).await.unwrap();
    assert!(matches!(reply, OperatorReply::Ping { millis: 3, hops: 2, .. }));
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
    for rubbish in ["", "{", "\u{0}\u{1}", "{\"command\":\"nonsense\"}", "{\"command\":{\"ping\":{}}}", "[]"] {
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
