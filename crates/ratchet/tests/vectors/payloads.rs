//! The ciphertext blocks inside recorded payloads, each with a session of its own: opened as the server does and sealed again
//! as the phone did. The formats around the blocks are the protocol crate's.

use relaymesh_ratchet::{Block, Session, verify_auth};
use serde_json::Value;

use crate::common::Recorded;
use crate::{Publish, VECTORS, array, block, bytes, drawn_private, records};

const NOW_MS: u64 = 1_750_000_000_000;

/// A block of the length that `len_at` gives (u16 LE) at `block_at`.
fn block_in(payload: &[u8], len_at: usize, block_at: usize) -> Block {
    let len = usize::from(u16::from_le_bytes([payload[len_at], payload[len_at + 1]]));
    Block::parse(&payload[block_at..block_at + len]).unwrap()
}

/// Opens the first message of a session and seals it again from the phone's recorded key. Returns both sides.
fn round_trip(session: &Value, first: &Block, fresh: [u8; 32]) -> (Session, Session, Vec<u8>) {
    let publish = Publish::of(session);
    let ad = publish.server.public().0;
    let server = Session::bob(&publish.server, &publish.shared);
    let opened = server.decrypt(first, &ad, NOW_MS, &mut Recorded::keys([fresh])).unwrap();
    assert_eq!(opened.header, *first.header());
    assert!(verify_auth(opened.auth_key.as_bytes(), &ad, first));
    assert!(!verify_auth(opened.auth_key.as_bytes(), &publish.client.public().0, first));

    let key = drawn_private(&first.header().dh);
    let mut client = Session::alice(&publish.shared, publish.server.public(), &mut Recorded::keys([key])).unwrap();
    assert_eq!(client.encrypt(&opened.plaintext, &ad).unwrap(), *first);
    (client, opened.session, opened.plaintext.to_vec())
}

#[test]
fn platform_payload() {
    for record in records("platform_payload", 32) {
        let (_, _, plaintext) = round_trip(&record["session"], &block(&record["ciphertext_block"]), [0x42; 32]);
        assert_eq!(plaintext, bytes(&record["content"]));
    }
}

#[test]
fn bridge_payload() {
    for record in records("bridge_payload", 12) {
        let (_, _, plaintext) = round_trip(&record["session"], &block(&record["ciphertext_block"]), [0x42; 32]);
        assert_eq!(plaintext, bytes(&record["content"]));
    }
}

#[test]
fn android_wrapped_base64() {
    let record = &VECTORS["android_wrapped_base64"];
    // Version, length, device ID length, shortcode.
    let block = block_in(&bytes(&record["payload"]), 1, 5);
    let (_, _, plaintext) = round_trip(&record["session"], &block, [0x42; 32]);
    assert_eq!(plaintext, bytes(&record["content"]));
}

#[test]
fn image_text() {
    for record in records("image_text", 2) {
        // Bridge marker, version, switch, length, bridge letter.
        let block = block_in(&bytes(&record["assembled_payload"]), 3, 6);
        let (_, _, plaintext) = round_trip(&record["session"], &block, [0x42; 32]);
        assert_eq!(plaintext, bytes(&record["plaintext"]));
        assert_eq!(plaintext, [bytes(&record["image"]), bytes(&record["text_content"])].concat());
    }
}

#[test]
fn reply() {
    for record in records("reply", 2) {
        let first = block(&record["client_first_message_framed"]);
        let fresh = array(&record["server_ratchet_dh_priv"]);
        let (client, mut server, _) = round_trip(&record["session"], &first, fresh);
        let ad = Publish::of(&record["session"]).client.public().0;
        let reply = server.encrypt(&bytes(&record["plaintext"]), &ad).unwrap();
        assert_eq!(reply, block(&record["ciphertext_block"]));
        let opened = client.decrypt(&reply, &ad, NOW_MS, &mut Recorded::keys([[0x43; 32]])).unwrap();
        assert_eq!(opened.plaintext.as_slice(), bytes(&record["plaintext"]));
    }
}
