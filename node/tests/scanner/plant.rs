//! A node's own secrets, and those that it keeps for people, as what is searched for.

use std::path::Path;

use relaymesh_api::client::{self, Target, vault_v1};
use relaymesh_phone::{Phone, SecretText};
use relaymesh_seal::keyfile::{KekSource, KeyFile, Keyring};
use sha2::{Digest as _, Sha256};

use crate::harness::scan::Scanner;
use crate::support::kit::process::Node;

/// What an invite's code begins with; base32 follows.
const INVITE: &str = "rm1";
/// Bytes in a code behind its secret: the moment of its end, for whom it is, the checksum.
const BEHIND_SECRET: usize = 6 + 1 + 4;

/// All keys of a node, as the key file opens them.
pub fn keys(node: &Node, scanner: &mut Scanner) -> Keyring {
    let config: toml::Table = toml::from_str(&std::fs::read_to_string(node.config()).unwrap()).unwrap();
    let key_file = Path::new(config["keys"]["file"].as_str().unwrap()).to_owned();
    let key = std::fs::read(&key_file).unwrap();
    scanner.plant("key file", key.trim_ascii());
    let (_, keyring) = KeyFile::open(&node.dir().join("keyring"), &KekSource::KeyFile(key_file)).unwrap();
    scanner.plant("node key", &*keyring.node.danger_to_seed());
    scanner.plant("instance key", &*keyring.instance.danger_to_seed());
    scanner.plant("root key", keyring.root.danger_bytes());
    scanner.plant("index key", keyring.index.danger_bytes());
    scanner.plant("key of codes", keyring.otp.danger_bytes());
    scanner.plant("pepper", keyring.pepper.danger_bytes());
    assert!(!keyring.sealing.is_empty() && !keyring.oblivious.is_empty());
    for (key, _) in &keyring.sealing {
        scanner.plant("sealing key", key.danger_to_seed());
    }
    for (_, key) in &keyring.wraps {
        scanner.plant("wrapping key", key.danger_bytes());
    }
    for (_, key) in &keyring.days {
        scanner.plant("key of a day", key.danger_bytes());
    }
    for (_, key) in &keyring.statics {
        scanner.plant("bridge key", key.danger_bytes());
    }
    for (key, _) in &keyring.oblivious {
        scanner.plant("oblivious key", key.danger_bytes());
    }
    keyring
}

/// An invite's code, its secret, and the key that checks who has it.
pub fn invite(code: &str, scanner: &mut Scanner) {
    let base32 = code.strip_prefix(INVITE).unwrap();
    scanner.plant("invite code", &base32.as_bytes()[base32.len() / 2..]);
    let bytes = from_base32(base32);
    let secret = &bytes[bytes.len() - BEHIND_SECRET - 16..][..16];
    scanner.plant("secret of an invite", secret);
    let key = Sha256::new().chain_update(b"RM1/invite-key\0").chain_update(secret).finalize();
    scanner.plant("key of an invite", &key);
}

/// Lower case, without padding.
fn from_base32(text: &str) -> Vec<u8> {
    let bits = text.bytes().flat_map(|letter| {
        let five = if letter.is_ascii_digit() { letter - b'2' + 26 } else { letter - b'a' };
        (0..5).rev().map(move |bit| (five >> bit) & 1)
    });
    let bits: Vec<u8> = bits.collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |all, bit| all << 1 | bit)).collect()
}

/// Takes the platform's token out of the vault, as a phone does that wants to keep it itself.
pub async fn tokens(home: &Node, phone: &Phone, scanner: &mut Scanner) {
    let target = Target { url: home.grpc(), ..Target::default() };
    let request = vault_v1::ListEntityStoredTokensRequest {
        long_lived_token: phone.long_lived_token().map(SecretText::reveal).unwrap().to_owned(),
        migrate_to_device: true,
    };
    let mut vault = client::vault(&target).await.unwrap();
    let listed = vault.list_entity_stored_tokens(request).await.unwrap().into_inner();
    let token = listed.stored_tokens[0].account_tokens.get("access_token").expect("the token moves to the phone");
    assert!(token.len() > 16);
    scanner.plant("platform token", token.as_bytes());
}
