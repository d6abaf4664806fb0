//! Replays the golden vectors that were recorded from upstream's own library. `RELAYMESH_VECTORS` names another file than the
//! copy beside this test. Where we differ from upstream on purpose, a test is named `differs_…`.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions too")]

#[path = "../common/mod.rs"]
mod common;
mod conversations;
mod identities;
mod payloads;
mod primitives;

use std::path::PathBuf;
use std::sync::LazyLock;

use relaymesh_ratchet::{Block, KeyPair, PublicKey, SharedSecret, agree};
use serde_json::Value;

static VECTORS: LazyLock<Value> = LazyLock::new(|| {
    let path = std::env::var_os("RELAYMESH_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/relaysms.json"), PathBuf::from);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("cannot read the golden vectors {}: {error}; set RELAYMESH_VECTORS to relaysms.json", path.display())
    });
    serde_json::from_str(&text).expect("the golden vectors are JSON")
});

/// The records of a group, whose number must be the known one: a record that vanishes is no success.
fn records(group: &str, count: usize) -> &'static [Value] {
    let records = VECTORS[group].as_array().unwrap_or_else(|| panic!("the vectors have no group {group}"));
    assert_eq!(records.len(), count, "records in {group}");
    records
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("expected text, found {value}"))
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_else(|| panic!("expected a counter, found {value}"))
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap_or_else(|_| panic!("expected {N} bytes, found {value}"))
}

fn optional(value: &Value) -> Option<[u8; 32]> {
    (!value.is_null()).then(|| array(value))
}

fn pair(private: &Value, public: &Value) -> KeyPair {
    let pair = KeyPair::from_secret(array(private));
    assert_eq!(pair.public().0, array(public));
    pair
}

fn block(value: &Value) -> Block {
    Block::parse(&bytes(value)).unwrap()
}

/// The publish keys of a recorded session and what they agree on, seen from both sides.
struct Publish {
    server: KeyPair,
    client: KeyPair,
    shared: SharedSecret,
}

impl Publish {
    fn of(record: &Value) -> Self {
        let server = pair(&record["server_publish_priv"], &record["server_publish_pub"]);
        let client = pair(&record["client_publish_priv"], &record["client_publish_pub"]);
        let shared = agree(server.secret(), &client.public()).unwrap();
        assert_eq!(shared, agree(client.secret(), &server.public()).unwrap());
        assert_eq!(shared.as_bytes(), &array(&record["SK"]));
        Self { server, client, shared }
    }
}

/// The private key that upstream drew for a public key that shows up in a message.
fn drawn_private(public: &PublicKey) -> [u8; 32] {
    let drawn = records("all_generated_private_keys_in_order", 228);
    let wanted = hex::encode(public.0);
    let record = drawn.iter().find(|record| text(&record["pub"]) == wanted).expect("every ratchet key was recorded");
    array(&record["priv"])
}

/// Every group of the file is either replayed here or belongs to the crate of payload formats.
#[test]
fn no_group_is_forgotten() {
    const HERE: [&str; 13] = [
        "x25519_agree",
        "kdf_rk",
        "kdf_ck",
        "encrypt",
        "header",
        "conversations",
        "negative",
        "device_id",
        "llt",
        "platform_payload",
        "bridge_payload",
        "image_text",
        "reply",
    ];
    const HERE_TOO: [&str; 2] = ["android_wrapped_base64", "all_generated_private_keys_in_order"];
    const ELSEWHERE: [&str; 7] = [
        "meta",
        // Not followed: see `differs_identifiers_of_accounts_are_random` among the core's tests of accounts.
        "vault_identifier_hash",
        "platform_content",
        "bridge_content",
        "bridge_payload_v0_rejected_upstream",
        "refresh_token_sms",
        "bitpacked",
    ];
    for group in VECTORS.as_object().unwrap().keys() {
        let known = HERE.iter().chain(&HERE_TOO).chain(&ELSEWHERE).any(|name| name == group);
        assert!(known, "group {group} is replayed nowhere");
    }
}
