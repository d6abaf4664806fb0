//! A long-lived token as presented and as answered: of any text, and of any content that the right key authenticated.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relaymesh_ratchet::llt::{self, Eid};
use relaymesh_ratchet::{SharedSecret, fuzz};

const NOW_S: u64 = 1_800_000_000;
const HEADER: &str = r#"{"alg":"HS256"}"#;

fuzz_target!(|text: &str| {
    let key = SharedSecret::from([7; 32]);
    let _ = llt::split_eid(text);
    assert!(llt::verify(&key, text, NOW_S).is_err(), "nobody made it");
    assert!(llt::open(&key, text).is_err(), "nobody made it");
    // A line break stands between header and claims.
    let (header, claims) = text.split_once('\n').unwrap_or((HEADER, text));
    let me = Eid::from([9; 16]);
    if llt::verify(&key, &fuzz::presented(&key, &me, header.as_bytes(), claims.as_bytes()), NOW_S).is_ok() {
        let claims: serde_json::Value = serde_json::from_str(claims).expect("they were read");
        assert!(claims["eid"] == me.to_string().as_str() && claims["exp"].as_u64() > Some(NOW_S));
    }
    let opened = llt::open(&key, &fuzz::login_token(&key, text.as_bytes()));
    assert_eq!(opened.ok().map(|opened| opened.eid), llt::split_eid(text).ok().map(|(eid, _)| eid));
    let _ = llt::open(&key, &fuzz::authentic_token(&key, text.as_bytes()));
});
