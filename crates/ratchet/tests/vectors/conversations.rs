//! Whole conversations with every intermediate state, and the messages that must fail.

use relaymesh_ratchet::{DecryptError, Session};
use serde_json::Value;

use crate::common::{Recorded, SkippedV1, StateV1};
use crate::{Publish, VECTORS, array, block, bytes, number, optional, records, text};

const NOW_MS: u64 = 1_750_000_000_000;

/// The state as upstream had it. Upstream keeps skipped keys in no order that matters, so both sides are sorted.
fn recorded_state(record: &Value) -> StateV1 {
    let skipped = record["MKSKIPPED"].as_array().unwrap().iter().map(|key| SkippedV1 {
        dh: array(&key["dh"]),
        n: number(&key["n"]),
        key: array(&key["mk"]),
        stored_at_ms: NOW_MS,
    });
    sorted(StateV1 {
        our_secret: array(&record["DHs"]["priv"]),
        our_public: array(&record["DHs"]["pub"]),
        their_public: optional(&record["DHr"]),
        root: array(&record["RK"]),
        sending: optional(&record["CKs"]),
        receiving: optional(&record["CKr"]),
        sent: number(&record["Ns"]),
        received: number(&record["Nr"]),
        previous: number(&record["PN"]),
        skipped: skipped.collect(),
    })
}

fn sorted(mut state: StateV1) -> StateV1 {
    state.skipped.sort_by_key(|key| (key.dh, key.n));
    state
}

fn assert_state(session: &Session, record: &Value, at: &str) {
    assert_eq!(sorted(StateV1::of(session)), recorded_state(record), "{at}");
}

/// One step of a conversation; the session goes through its stored form first, as it does in real life.
fn step(session: &Session, step: &Value) -> Session {
    let mut session = Session::decode(&session.encode()).unwrap();
    let ad = array(&step["ad"]);
    match text(&step["op"]) {
        "encrypt" => {
            let sent = session.encrypt(&bytes(&step["plaintext"]), &ad).unwrap();
            assert_eq!(sent, block(&step["framed"]));
            assert_eq!(sent.header().encode(), array(&step["header"]));
            assert_eq!((sent.header().pn, sent.header().n), (number(&step["pn"]), number(&step["n"])));
            assert_eq!([sent.ciphertext(), sent.mac()].concat(), bytes(&step["ciphertext_mac"]));
            session
        }
        "decrypt" => {
            let mut rng = Recorded::keys(optional(&step["new_dh_priv"]));
            let opened = session.decrypt(&block(&step["framed"]), &ad, NOW_MS, &mut rng).unwrap();
            assert_eq!(opened.plaintext.as_slice(), bytes(&step["plaintext"]));
            assert!(rng.is_used_up(), "a new chain is answered with a new key");
            opened.session
        }
        other => panic!("unknown step {other}"),
    }
}

fn replay(record: &Value) -> usize {
    let name = text(&record["name"]);
    let publish = Publish::of(record);
    let first_key = array(&record["alice_after_init"]["DHs"]["priv"]);
    let mut client =
        Session::alice(&publish.shared, publish.server.public(), &mut Recorded::keys([first_key])).unwrap();
    let mut server = Session::bob(&publish.server, &publish.shared);
    assert_state(&client, &record["alice_after_init"], name);
    assert_state(&server, &record["bob_after_init"], name);

    let steps = record["steps"].as_array().unwrap();
    for (index, recorded) in steps.iter().enumerate() {
        let session = match text(&recorded["actor"]) {
            "client" => &mut client,
            "server" => &mut server,
            other => panic!("unknown actor {other}"),
        };
        *session = step(session, recorded);
        assert_state(session, &recorded["state_after"], &format!("{name}, step {index}, {}", recorded["id"]));
    }
    steps.len()
}

#[test]
fn conversations() {
    let steps: Vec<(&str, usize)> =
        records("conversations", 4).iter().map(|record| (text(&record["name"]), replay(record))).collect();
    assert_eq!(
        steps,
        [
            ("in_order_10x10", 40),
            ("out_of_order_two_way", 38),
            ("exactly_max_skip_100", 107),
            ("one_way_20_shuffled", 40),
        ]
    );
}

/// The `negative` case whose name starts so: results of our decryptions in order.
fn negative(name: &str, upstream: &[&str]) -> Vec<Result<(), DecryptError>> {
    let group = &VECTORS["negative"];
    let cases = group["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    let case = cases.iter().find(|case| text(&case["name"]).starts_with(name)).expect("the case is recorded");
    assert_eq!(case["upstream_result"], serde_json::json!(upstream));

    let publish = Publish::of(group);
    let mut session = Session::bob(&publish.server, &publish.shared);
    let mut results = Vec::new();
    for (framed, upstream) in case["framed"].as_array().unwrap().iter().zip(upstream) {
        // Where upstream fails, ours must fail too, and without drawing a key.
        let mut rng = Recorded::keys((*upstream == "ok").then_some([0x55; 32]));
        let before = session.encode();
        match session.decrypt(&block(framed), &array(&case["ad"]), NOW_MS, &mut rng) {
            Ok(opened) => {
                session = opened.session;
                results.push(Ok(()));
            }
            Err(error) => {
                assert_eq!(*session.encode(), *before, "a failure changes nothing");
                results.push(Err(error));
            }
        }
    }
    results
}

#[test]
fn negative_first_message_101_ahead() {
    let got = negative("first message n=101", &["Exception: MAX_SKIP Exceeded"]);
    assert_eq!(got, [Err(DecryptError::TooManySkipped)]);
}

#[test]
fn negative_101_skipped() {
    let got = negative("n=0 then n=102", &["ok", "Exception: MAX_SKIP Exceeded"]);
    assert_eq!(got, [Ok(()), Err(DecryptError::TooManySkipped)]);
}

#[test]
fn negative_flipped_mac() {
    assert_eq!(negative("bit flipped in MAC", &["ValueError: MAC check failed"]), [Err(DecryptError::Unauthentic)]);
}

#[test]
fn negative_wrong_ad() {
    assert_eq!(negative("wrong AD", &["ValueError: MAC check failed"]), [Err(DecryptError::Unauthentic)]);
}

/// Upstream derives the next key for a number that lies behind the chain and then reports a bad MAC. We say what it is, so that
/// a duplicate is never counted as damage.
#[test]
fn differs_replay_is_named_consumed() {
    let got = negative("replay of n=0", &["ok", "ValueError: MAC check failed"]);
    assert_eq!(got, [Ok(()), Err(DecryptError::Consumed)]);
}

/// Upstream takes an empty plaintext under a skipped key for a failure; the key is then lost with the message.
#[test]
fn differs_empty_plaintext_under_a_skipped_key_is_a_success() {
    let publish = Publish::of(&VECTORS["negative"]);
    let ad = publish.server.public().0;
    let mut client = Session::alice(&publish.shared, publish.server.public(), &mut Recorded::keys([[7; 32]])).unwrap();
    let empty = client.encrypt(b"", &ad).unwrap();
    let second = client.encrypt(b"second", &ad).unwrap();
    let server = Session::bob(&publish.server, &publish.shared);
    let opened = server.decrypt(&second, &ad, NOW_MS, &mut Recorded::keys([[8; 32]])).unwrap();
    let opened = opened.session.decrypt(&empty, &ad, NOW_MS, &mut Recorded::nothing()).unwrap();
    assert!(opened.plaintext.is_empty());
    assert_eq!(opened.session.skipped_len(), 0);
}
