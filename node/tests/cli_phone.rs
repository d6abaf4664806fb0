//! The built binary's `phone` against a running node.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "cli_phone/platform.rs"]
mod platform;
mod running;
mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Output;
use std::time::{Duration, Instant};

use platform::{connect, listed, with_platform};
use relaymesh_mail::sink::{SmtpSink, Stored};
use relaymesh_protocol::detect::{Detected, detect};
use relaymesh_protocol::payload::{BridgeVersion, Payload, PlatformVersion};
use running::{Running, text};
use serde_json::Value;
use support::kit::gateway::GatewayClient;
use support::kit::http::Http;

const NUMBER: &str = "+237650123456";
/// A mail that a node accepted is at the smart host by then.
const MAILED_WITHIN: Duration = Duration::from_secs(30);

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The SMS that `phone compose` or `phone mail` printed.
fn sms(output: &Output) -> Vec<String> {
    json(output)["sms"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

fn payload(sms: &[String]) -> Payload {
    assert_eq!(sms.len(), 1);
    match detect(&sms[0]).unwrap() {
        Detected::Message(message) => message.payload,
        Detected::Segment(_) => panic!("a whole message"),
    }
}

/// The last code that the node sent by SMS.
fn code(node: &Running) -> String {
    let sms = std::fs::read_to_string(node.path("node/sms.jsonl")).unwrap();
    let last: Value = serde_json::from_str(sms.lines().last().unwrap()).unwrap();
    last["text"].as_str().unwrap().chars().filter(char::is_ascii_digit).collect()
}

fn sign_up(node: &Running) {
    let entry = ["signup", "--grpc", &node.grpc, "--number", NUMBER, "--country", "CM"];
    let first = node.phone(&entry);
    assert!(first.status.success() && !node.path("phone").exists(), "{}", text(&first.stderr));
    let wrong = node.phone(&[&entry[..], &["--code", "000000"]].concat());
    assert!(!wrong.status.success() && !node.path("phone").exists());
    let second = node.phone(&[&entry[..], &["--code", &code(node)]].concat());
    assert!(second.status.success(), "{}", text(&second.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_signs_up_and_writes_in_every_version() {
    let (node, platform) = with_platform().await;
    sign_up(&node);
    assert_eq!(listed(&node), []);
    assert_eq!(node.phone(&["compose", "hello"]).status.code(), Some(1), "no account is known");
    connect(&node, &platform, "mia");
    let account = listed(&node)[0].1.clone();
    for (words, why) in [
        (&["compose", "--account", "me@m.example", "hello"][..], "--account names none that is connected"),
        (&["compose", "  "], "the text is empty"),
        (&["compose", "hello", "--to", "ada"], "leave --to out"),
    ] {
        let refused = node.phone(words);
        let told = text(&refused.stderr);
        assert!(refused.status.code() == Some(2) && told.contains(why) && told.contains("help: "), "{words:?}: {told}");
        assert!(!told.contains("me@m.example") && refused.stdout.is_empty(), "{told}");
    }
    let post = ["compose", "--account", &account, "hello", "--json"];
    let (one, two) = (json(&node.phone(&post)), json(&node.phone(&post)));
    assert_eq!((one["ordinal"].as_u64(), two["ordinal"].as_u64()), (Some(1), Some(2)));
    assert!(one["sms"] != two["sms"]);
    for (name, version) in [
        ("v0", PlatformVersion::V0),
        ("v1", PlatformVersion::V1),
        ("v2", PlatformVersion::V2),
        ("v3", PlatformVersion::V3),
    ] {
        let sms = sms(&node.phone(&[&post[..], &["--payload-version", name]].concat()));
        assert!(
            matches!(payload(&sms), Payload::Platform(it) if it.version == version && it.device_id.is_some()),
            "{name}"
        );
    }
    let shown = node.phone(&post[..4]);
    assert!(text(&shown.stderr).contains("one SMS of 2 segments"), "{}", text(&shown.stderr));
    assert!(detect(text(&shown.stdout).trim()).is_ok(), "standard output is the SMS alone");
    let wrong = node.phone(&["compose", "--platform", "mastodno", "hello"]);
    assert!(text(&wrong.stderr).contains("did you mean \"mastodon\"?"), "{}", text(&wrong.stderr));
    assert_eq!(wrong.status.code(), Some(2));
    // No port, another protocol, another port of the node, TLS where there is none.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let rude = other.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in other.incoming() {
            let _ = std::io::Write::write_all(&mut stream.unwrap(), b"220 mail.example.org ESMTP\r\n");
        }
    });
    let ca = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/doctor/certificate/chain.pem");
    let tls = node.grpc.replace("http:", "https:");
    for (url, more) in
        [("http://127.0.0.1:1", &[][..]), (&format!("http://{rude}"), &[]), (&node.http, &[]), (&tls, &["--ca", ca])]
    {
        let nobody = node.phone(&[&["list", "--grpc", url], more].concat());
        let told = text(&nobody.stderr);
        assert_eq!(nobody.status.code(), Some(3), "{url}: {told}");
        assert!(told.contains(&format!("nothing that speaks gRPC answers at {url}")), "{url}: {told}");
        assert!(told.contains("help: name the node's listen.grpc with --grpc"), "{told}");
    }
}

#[test]
fn a_password_is_changed_and_reset() {
    let node = Running::start(&[]);
    sign_up(&node);
    std::fs::write(node.path("new"), "correct-Horse-10\n").unwrap();
    let new = node.path("new").to_str().unwrap().to_owned();
    let open = ["password", "--grpc", &node.grpc, "--new-password-file", &new];
    assert!(text(&node.phone(&open).stderr).contains("chmod 600"));
    std::fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let wrong = node.phone_under("wrong-Horse-9", &open);
    assert!(text(&wrong.stderr).contains("does not open"), "{}", text(&wrong.stderr));
    let changed = node.phone(&open);
    assert!(changed.status.success(), "{}", text(&changed.stderr));
    // The state is sealed under the new password, and nobody is logged in.
    let post = ["compose", "--account", "me@m.example", "hello"];
    assert!(text(&node.phone(&post).stderr).contains("does not open"));
    assert!(text(&node.phone_under("correct-Horse-10", &post).stderr).contains("phone login"));

    let reset = ["reset", "--grpc", &node.grpc, "--number", NUMBER];
    let refused = node.phone_under("correct-Horse-11", &reset);
    assert!(text(&refused.stderr).contains("name a new --state"), "{}", text(&refused.stderr));
    std::fs::rename(node.path("phone"), node.path("old phone")).unwrap();
    let asked = node.phone_under("correct-Horse-11", &reset);
    assert!(asked.status.success() && !node.path("phone").exists(), "{}", text(&asked.stderr));
    let done = node.phone_under("correct-Horse-11", &[&reset[..], &["--code", &code(&node)]].concat());
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert!(node.phone_under("correct-Horse-11", &["list", "--grpc", &node.grpc]).status.success());

    let deleted = node.phone_under("correct-Horse-11", &["delete", "--yes", "--grpc", &node.grpc]);
    assert!(deleted.status.success(), "{}", text(&deleted.stderr));
    assert_eq!(node.json(&["status"])["entities"], 0);
}

/// A node with a bridge, and a phone without an account.
struct Bridge {
    node: Running,
    sink: SmtpSink,
    client: GatewayClient,
    keys: String,
}

impl Bridge {
    async fn start() -> Self {
        let sink = SmtpSink::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let port = sink.addr().port().to_string();
        let node = Running::start(&[
            ("RELAYMESH_BRIDGE__DOMAIN", "sms.example.org"),
            ("RELAYMESH_BRIDGE__SMTP__HOST", "127.0.0.1"),
            ("RELAYMESH_BRIDGE__SMTP__PORT", &port),
            ("RELAYMESH_BRIDGE__SMTP__TLS", "off"),
        ]);
        assert!(node.ask(&["bridge", "keys", "generate", "--count", "3"]).status.success());
        let keys = node.path("keys.json").to_str().unwrap().to_owned();
        assert!(node.ask(&["bridge", "keys", "export", &keys]).status.success());
        let added = node.json(&["gateway", "add", "gc", "--msisdn", "+237650200001"]);
        let url = format!("{}{}", node.http, added["path"].as_str().unwrap());
        let client = GatewayClient::new("gc", "one", url, Http::new());
        Self { node, sink, client, keys }
    }

    /// Composes with these words and forwards every SMS.
    async fn send(&self, words: &[&str]) -> Vec<String> {
        self.send_from(NUMBER, words).await
    }

    async fn send_from(&self, number: &str, words: &[&str]) -> Vec<String> {
        let mail = ["mail", "--json", "--to", "bob@example.org", "--subject", "Hi"];
        let sms = sms(&self.node.phone(&[&mail[..], words].concat()));
        for one in &sms {
            let answer = self.client.forward(number, one).await.unwrap();
            assert!(answer.accepted(), "{} {}", answer.status, answer.text);
        }
        sms
    }

    /// The mail with this text, once it is at the smart host.
    async fn mailed(&self, body: &str) -> Stored {
        let begun = Instant::now();
        loop {
            if let Some(mail) = self.sink.messages().into_iter().find(|mail| mail.text.contains(body)) {
                return mail;
            }
            assert!(begun.elapsed() < MAILED_WITHIN, "{body:?} is not mailed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bridge_mail_leaves_in_every_version_and_session() {
    let bridge = Bridge::start().await;
    let none = bridge.node.phone(&["mail", "--to", "bob@example.org", "x"]);
    assert!(!none.status.success() && !bridge.node.path("phone").exists(), "without keys there is no session");
    let empty = bridge.node.phone(&["mail", "--to", "bob@example.org", "--keys", &bridge.keys, " "]);
    assert!(
        empty.status.code() == Some(2) && text(&empty.stderr).contains("the text is empty"),
        "{}",
        text(&empty.stderr)
    );
    for (at, (version, expected)) in
        [("v1", BridgeVersion::V1), ("v2", BridgeVersion::V2), ("v3", BridgeVersion::V3)].into_iter().enumerate()
    {
        let kid = at.to_string();
        // Three mails are what a new number may send in a day.
        let number = format!("+23765012345{at}");
        for (session, exchange) in [("new", true), ("again", true), ("kept", false)] {
            let body = format!("{session} in {version}");
            let mut words = vec!["--payload-version", version, "--session", session, &body];
            if session == "new" {
                words.extend(["--keys", &bridge.keys, "--kid", &kid]);
            }
            let Payload::Bridge(sent) = payload(&bridge.send_from(&number, &words).await) else {
                panic!("bridge mail")
            };
            assert_eq!((sent.version, sent.key_exchange.is_some()), (expected, exchange), "{body}");
            assert!(sent.key_exchange.is_none_or(|exchange| usize::from(exchange.kid) == at));
            let mail = bridge.mailed(&body).await;
            assert_eq!(mail.to, ["bob@example.org"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_goes_in_segments_as_many_as_can_be_counted() {
    let bridge = Bridge::start().await;
    let picture = bridge.node.path("p.webp");
    let file = picture.to_str().unwrap();
    let put = |len: usize| {
        let noise = (0..len - 12).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect::<Vec<_>>();
        std::fs::write(&picture, [b"RIFF\0\0\0\0WEBP".as_slice(), &noise].concat()).unwrap();
    };
    put(300);
    let words = ["--keys", &bridge.keys, "--image", file, "look at this"];
    let sent = bridge.send(&words).await;
    assert!(sent.len() > 1 && sent.iter().all(|sms| matches!(detect(sms), Ok(Detected::Segment(_)))));
    assert!(bridge.mailed("look at this").await.text.contains("image/webp"));
    let mail = ["mail", "--to", "bob@example.org"];
    let shown = bridge.node.phone(&[&mail[..], &words].concat());
    let told = text(&shown.stderr);
    assert_eq!(told.lines().count(), sent.len(), "one line for each SMS: {told}");
    assert!(told.contains(&format!("SMS 1 of {}, 1 segment", sent.len())), "{told}");
    assert_eq!(text(&shown.stdout).split("\n\n").count(), sent.len());
    for (len, words) in [(30_000, ["segments, at most 255", "26,000"]), (70_000, ["70000 bytes", "26,000"])] {
        put(len);
        let refused =
            bridge.node.phone(&["mail", "--to", "b@example.org", "--keys", &bridge.keys, "--image", file, "x"]);
        let told = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1));
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    }
    put(26_000);
    let most =
        bridge.node.phone(&["mail", "--json", "--to", "b@example.org", "--keys", &bridge.keys, "--image", file, "x"]);
    assert!((250..=255).contains(&sms(&most).len()));
}
