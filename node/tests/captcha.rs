//! A node with a captcha service: nobody gets a code without it, not even while it is away.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::net::Ipv4Addr;

use axum::extract::Form;
use axum::routing::post;
use axum::{Json, Router};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_phone::{Identity, Kind, Phone, Style};
use serde_json::{Value, json};
use support::kit::process::{Node, Plan, Ports};
use support::kit::rpc::{Answered, Rpc};
use tokio::net::TcpListener;

const SECRET: &str = "secret-of-the-captcha-service";

/// Says yes to one token, as reCAPTCHA and its likes do.
async fn verify(Form(asked): Form<Vec<(String, String)>>) -> Json<Value> {
    let good = asked == [("secret", SECRET), ("response", "a person")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    Json(json!({ "success": good }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_sent_to_people_only_and_to_nobody_while_the_service_is_away() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let url = format!("http://{}/siteverify", listener.local_addr().unwrap());
    let router = Router::new().route("/siteverify", post(verify));
    let service = tokio::spawn(async move { axum::serve(listener, router).await });
    let dir = tempfile::tempdir().unwrap();
    let settings = format!(
        "\n[sms.file]\npath = \"sms.jsonl\"\n[net]\nallow_private = true\n[otp]\ncaptcha = {{ url = \"{url}\", secret = \"{SECRET}\" }}\n"
    );
    let (ports, key_file) = (Ports::free(1).unwrap()[0], dir.path().join("keys/n.key"));
    let (name, instance) = ("n".to_owned(), "i".to_owned());
    let plan = Plan { name, instance, dir: dir.path().join("n"), key_file, ports, settings };
    let mut node = Node::init(support::binary(), plan).await.unwrap();
    node.start().await.unwrap();

    // What `doctor` finds about the service.
    let doctor = || {
        let mut command = std::process::Command::new(support::binary());
        let output = command.args(["doctor", "--json", "--config"]).arg(node.dir().join("relaymesh.toml")).output();
        let found: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        let of = |check: &str| found.as_array().unwrap().iter().find(|one| one["check"] == check).cloned();
        of("otp.captcha").expect("a finding")
    };
    let healthy = tokio::task::block_in_place(doctor);
    assert_eq!(healthy["level"], "ok", "{healthy}");

    let rpc = Rpc::connect(&node.grpc()).await.unwrap();
    let sign_up = async |number: &str, token: &str| {
        let kind = Kind::SignUp { country: "CM".parse().unwrap() };
        let identity = Identity::Phone(number.parse().unwrap());
        let pending = Phone::begin(kind, identity, &mut ChaCha20Rng::seed_from_u64(1));
        rpc.create_entity(pending.request("Correct1Horse!", None, token, Style::Android)).await
    };
    let refused = async |number: &str, token: &str| match sign_up(number, token).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("a code was sent"),
    };
    let outbox = node.dir().join("sms.jsonl");
    let sent = || std::fs::read_to_string(&outbox).unwrap_or_default().lines().count();

    let missing = refused("+237650400021", "").await;
    assert!(missing.contains("InvalidArgument") && missing.contains("captcha_token"), "{missing}");
    let robot = refused("+237650400021", "a robot").await;
    assert!(robot.contains("PermissionDenied"), "{robot}");
    assert_eq!(sent(), 0);
    let answer = sign_up("+237650400021", "a person").await.unwrap();
    assert!(matches!(answer, Answered::ProofRequired));
    assert_eq!(sent(), 1);

    service.abort();
    let _ = service.await;
    let away = refused("+237650400022", "a person").await;
    assert!(away.contains("Unavailable"), "{away}");
    assert_eq!(sent(), 1);
    let ill = tokio::task::block_in_place(doctor);
    assert_eq!(ill["level"], "error", "{ill}");
    assert!(ill["fix"].as_str().unwrap().contains("otp.captcha"), "{ill}");
    let log = std::fs::read_to_string(node.log()).unwrap();
    assert!(log.contains("captcha") && !log.contains(SECRET) && !log.contains("a person"), "{log}");
}
