//! What the fuzz targets `block`, `session` and `token` have found worth keeping: read or refused, never a panic.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_ratchet::llt::Eid;
use relaymesh_ratchet::{Block, Session, SharedSecret, fuzz, llt};

fn block(bytes: &[u8]) {
    if let Ok(block) = Block::parse(bytes) {
        assert_eq!(block.as_bytes(), bytes);
    }
}

/// A stored session, and behind it what may be a block.
fn session(bytes: &[u8]) {
    for cut in 0..bytes.len() {
        let (stored, rest) = bytes.split_at(cut);
        let Ok(session) = Session::decode(stored) else { continue };
        let before = session.encode();
        assert_eq!(Session::decode(&before).unwrap().encode(), before);
        if let Ok(block) = Block::parse(rest) {
            let _ = session.decrypt(&block, &[7; 32], 1_800_000_000_000, &mut ChaCha20Rng::from_seed([7; 32]));
            assert_eq!(session.encode(), before, "reading changes nothing");
        }
    }
}

fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = llt::split_eid(&text);
    assert!(llt::verify(&[7; 32].into(), &text, 1_800_000_000).is_err(), "a token that nobody made");
    assert!(llt::open(&[7; 32].into(), &text).is_err());
}

/// The same as content that the right key authenticated. A line break stands between header and claims.
fn authentic(bytes: &[u8]) -> bool {
    let (key, me) = (SharedSecret::from([7; 32]), Eid::from([9; 16]));
    let text = String::from_utf8_lossy(bytes);
    let (header, claims) = text.split_once('\n').unwrap_or((r#"{"alg":"HS256"}"#, &text));
    let presented = fuzz::presented(&key, &me, header.as_bytes(), claims.as_bytes());
    let opened = llt::open(&key, &fuzz::login_token(&key, text.as_bytes()));
    assert_eq!(opened.ok().map(|opened| opened.eid), llt::split_eid(&text).ok().map(|(eid, _)| eid));
    let _ = llt::open(&key, &fuzz::authentic_token(&key, bytes));
    llt::verify(&key, &presented, 1_800_000_000).is_ok()
}

#[test]
fn of_authentic_tokens_those_count_that_hold_all_claims() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/token");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let count: Vec<_> = files.filter(|file| authentic(&fs::read(file).unwrap())).collect();
    let mut names: Vec<_> = count.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["claims-escaped", "claims-sound"]);
}

#[test]
fn every_corpus_file_is_read_or_refused() {
    for (name, read, files_min) in [("block", block as fn(&[u8]), 5), ("session", session, 50), ("token", token, 50)] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
        assert!(files.len() >= files_min, "{name} has {} files", files.len());
        files.iter().for_each(|file| read(file));
    }
}
