//! A sink, an adapter that talks to it, and requests to send.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

use std::net::SocketAddr;

use relaymesh_publish::adapter::{Adapter, PartRequest, Sent};
use relaymesh_publish::egress::{self, Client};
use relaymesh_publish::mastodon::{Config, Mastodon};
use relaymesh_publish::sink::{Sink, SinkHandle};
use zeroize::Zeroizing;

pub const REDIRECT: &str = "https://relay.smswithoutborders.com/android";
pub const TEXT: &str = "a text that must not be in any error";
pub const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

pub fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new(egress::Config { allow_private: true }).unwrap()
}

pub async fn sink() -> (SinkHandle, Adapter) {
    let sink = Sink::start(ANY, None).await.unwrap();
    let (id, secret) = sink.client();
    let adapter = adapter(&sink.url, &id, &secret);
    (sink, adapter)
}

pub fn adapter(url: &str, id: &str, secret: &str) -> Adapter {
    Adapter::Mastodon(Mastodon::new(Config::new(url, id, secret), client()).unwrap())
}

/// What the app keeps until the code is exchanged.
pub const VERIFIER: &str = "Zk3vXw81fTzRb5nYd7LpQ0aHc9Mj2Se4Ug6Wi8Ko1Tr3Bv5N";

/// The consent page, as the core sends a browser to it.
pub fn consent_page(instance: &str, client_id: &str, state: &str) -> String {
    let challenge = relaymesh_publish::oauth::challenge(VERIFIER);
    let query = [
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", REDIRECT),
        ("scope", "profile write:statuses write:media"),
        ("state", state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    url::Url::parse_with_params(&format!("{instance}/oauth/authorize"), query).unwrap().into()
}

pub fn token_json(access: &str) -> Zeroizing<String> {
    Zeroizing::new(format!(r#"{{"access_token":"{access}"}}"#))
}

/// What somebody's account at the sink is called: no colon, since apps part fields by colons.
pub fn identifier(name: &str, addr: SocketAddr) -> String {
    format!("{name}@{}_{}", addr.ip(), addr.port())
}

pub fn part(addr: SocketAddr, access: &str, key: &str) -> PartRequest {
    PartRequest {
        idempotency_key: key.into(),
        account: identifier("alice", addr),
        token_json: token_json(access),
        text: Zeroizing::new(TEXT.into()),
        in_reply_to: None,
        media: Vec::new(),
    }
}

pub fn id(sent: Sent) -> String {
    let Sent::Posted { remote_id, .. } = sent;
    remote_id
}
