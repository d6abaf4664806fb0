//! A phone whose account has a platform: connecting, the SMS that come back, another phone, disconnecting.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use relaymesh_publish::sink::{Sink, SinkHandle};
use serde_json::Value;

use crate::running::{Running, text};
use crate::support::kit::gateway::GatewayClient;
use crate::support::kit::http::{Http, query};
use crate::{NUMBER, code, json, sign_up, sms};

/// What an accepted message leads to is there by then.
const TOLD_WITHIN: Duration = Duration::from_secs(30);

/// A platform, and a node that is registered there.
pub async fn with_platform() -> (Running, SinkHandle) {
    let platform = Sink::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None).await.unwrap();
    let (client_id, client_secret) = platform.client();
    let node = Running::start(&[
        ("RELAYMESH_PLATFORM__MASTODON__BASE_URL", &platform.url),
        ("RELAYMESH_PLATFORM__MASTODON__CLIENT_ID", &client_id),
        ("RELAYMESH_PLATFORM__MASTODON__CLIENT_SECRET", &client_secret),
        ("RELAYMESH_NET__ALLOW_PRIVATE", "true"),
        ("RELAYMESH_OTP__SMS", "true"),
    ]);
    (node, platform)
}

/// The accounts that `phone list` shows.
pub fn listed(node: &Running) -> Vec<(String, String)> {
    let rows = json(&node.phone(&["list", "--grpc", &node.grpc, "--json"]));
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(|row| (text(row, "platform"), text(row, "account"))).collect()
}

/// Connects an account as `login`: the address, the platform's page, and the code of the address it leads back to.
pub fn connect(node: &Running, platform: &SinkHandle, login: &str) {
    let words = ["connect", "mastodon", "--grpc", &node.grpc, "--json"];
    let begun = json(&node.phone(&words));
    let (url, verifier) = (begun["url"].as_str().unwrap(), begun["verifier"].as_str().unwrap());
    let back = platform.approve(url, login).expect("the platform takes the address");
    let code = query(&back, "code").unwrap();
    let spoilt = node.phone(&[&words[..], &["--code", "spoilt", "--verifier", verifier]].concat());
    assert!(!spoilt.status.success() && !text(&spoilt.stderr).contains(verifier), "{}", text(&spoilt.stderr));
    let done = json(&node.phone(&[&words[..], &["--code", &code, "--verifier", verifier]].concat()));
    assert_eq!(done["stage"], "connected");
}

/// The last SMS from the node that has these words, once it is there.
async fn sms_with(node: &Running, words: &str) -> String {
    let begun = Instant::now();
    loop {
        let sent = std::fs::read_to_string(node.path("node/sms.jsonl")).unwrap();
        let texts = sent.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(found) =
            texts.filter_map(|sms| sms["text"].as_str().map(str::to_owned)).rfind(|it| it.contains(words))
        {
            return found;
        }
        assert!(begun.elapsed() < TOLD_WITHIN, "no SMS has {words:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_connects_posts_reads_the_answer_logs_in_elsewhere_and_disconnects() {
    let (node, platform) = with_platform().await;
    sign_up(&node);
    let otp = node.phone(&["read", &sms_with(&node, "verification code").await, "--json"]);
    assert_eq!((&json(&otp)["kind"], &json(&otp)["text"]), (&"otp".into(), &code(&node).into()));
    connect(&node, &platform, "mia");
    let [(name, account)] = listed(&node).try_into().unwrap();
    assert!(name == "mastodon" && account.contains("mia"), "{name} {account}");

    // A post, and what the SMS that tells of it says.
    let post = sms(&node.phone(&["compose", "from the command line", "--json"]));
    let added = node.json(&["gateway", "add", "gc", "--msisdn", "+237650200001"]);
    let url = format!("{}{}", node.http, added["path"].as_str().unwrap());
    let client = GatewayClient::new("gc", "one", url, Http::new());
    assert!(client.forward(NUMBER, &post[0]).await.unwrap().accepted());
    let answer = sms_with(&node, "Successfully sent").await;
    assert_eq!(platform.posts().iter().map(|post| post.status.as_str()).collect::<Vec<_>>(), ["from the command line"]);
    let read = json(&node.phone(&["read", &answer, "--json"]));
    assert_eq!(read["kind"], "delivery");
    assert_eq!(text(&node.phone(&["read", &answer]).stdout).trim(), read["text"].as_str().unwrap());
    assert!(read["text"].as_str().unwrap().ends_with("to mastodon: published"), "{read}");
    assert_eq!(json(&node.phone(&["read", "See you at eight", "--json"]))["kind"], "other");

    // Another phone: the code, then the same accounts. The first one is logged out.
    std::fs::rename(node.path("phone"), node.path("first phone")).unwrap();
    let login = ["login", "--grpc", &node.grpc, "--number", NUMBER];
    let wrong = node.phone_under("wrong-Horse-9", &login);
    assert!(!wrong.status.success() && !node.path("phone").exists(), "{}", text(&wrong.stderr));
    let before = code(&node);
    let asked = json(&node.phone(&[&login[..], &["--json"]].concat()));
    assert!(asked["stage"] == "code_sent" && !node.path("phone").exists() && code(&node) != before);
    let entered = json(&node.phone(&[&login[..], &["--json", "--code", &code(&node)]].concat()));
    assert_eq!(entered["stage"], "logged_in");
    assert_eq!(listed(&node), [(name, account)]);

    let gone = ["disconnect", "mastodon", "--grpc", &node.grpc];
    let other = node.phone(&[&gone[..], &["--account", "noa"]].concat());
    assert!(!other.status.success() && listed(&node).len() == 1, "{}", text(&other.stderr));
    assert_eq!(json(&node.phone(&[&gone[..], &["--json"]].concat()))["stage"], "disconnected");
    assert!(listed(&node).is_empty());
    let again = node.phone(&gone);
    assert!(text(&again.stderr).contains("no account at mastodon"), "{}", text(&again.stderr));
    assert_eq!(node.phone(&["compose", "x"]).status.code(), Some(1), "it is not known any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_keeps_its_tokens_reads_the_new_one_and_goes_on_with_it() {
    let (node, platform) = with_platform().await;
    platform.rotate_tokens(true);
    sign_up(&node);
    connect(&node, &platform, "mia");
    let taken = json(&node.phone(&["list", "--grpc", &node.grpc, "--take-tokens", "--json"]));
    assert_eq!(taken[0]["on_device"], true);
    let added = node.json(&["gateway", "add", "gc", "--msisdn", "+237650200001"]);
    let url = format!("{}{}", node.http, added["path"].as_str().unwrap());
    let client = GatewayClient::new("gc", "one", url, Http::new());
    // The language of one message is that of the app from then on, and tells the token apart.
    for (n, words) in
        [(1, &["compose", "post 1", "--language", "fr", "--json"][..]), (2, &["compose", "post 2", "--json"])]
    {
        platform.expire_tokens();
        let post = sms(&node.phone(words));
        assert!(client.forward(NUMBER, &post[0]).await.unwrap().accepted());
        let told = sms_with(&node, &format!("#{n}")).await;
        assert!(told.starts_with("Livraison RelaySMS :") && told.lines().count() == 4, "{n}");
        let read = json(&node.phone(&["read", &told, "--json"]));
        assert_eq!(read["kind"], "token_update", "{n}");
    }
    let posts = platform.posts();
    assert_eq!(posts.iter().map(|post| post.status.as_str()).collect::<Vec<_>>(), ["post 1", "post 2"]);
    let listed = json(&node.phone(&["list", "--grpc", &node.grpc, "--json"]));
    assert_eq!(listed[0]["on_device"], true, "the vault keeps none of them");
}
