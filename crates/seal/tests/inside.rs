//! The inside of an envelope, which any member can make as it likes: whatever stands behind the cipher is read soundly or
//! refused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use relaymesh_protocol::ids::NodeId;
use relaymesh_seal::envelope::{Bucket, EnvelopeError};
use relaymesh_seal::fuzz::inside;

/// Bytes of an inside before its body: sender, created, kind, signature, length.
const PREFIX_LEN: usize = 32 + 4 + 1 + 64 + 4;

/// An inside from its parts: `told` is the length that it tells, `end` what follows the body.
fn inside_of(prefix: &[u8], told: u32, body: &[u8], end: &[u8]) -> Vec<u8> {
    [&prefix[..PREFIX_LEN - 4], &told.to_be_bytes(), body, end].concat()
}

fn parts() -> impl Strategy<Value = (Vec<u8>, u32, Vec<u8>, Vec<u8>)> {
    let body = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..1_200),
        1 => proptest::collection::vec(prop_oneof![Just(0_u8), Just(0x80)], 900..1_000),
        1 => proptest::collection::vec(any::<u8>(), 3_900..4_200),
    ];
    let off = prop_oneof![3 => Just(0_u32), 1 => (-3_i32..4).prop_map(|n| n as u32), 1 => any::<u32>()];
    let zeros = prop_oneof![3 => Just(0_usize), 1 => 0_usize..4_000];
    let end = prop_oneof![3 => Just(0x80_u8), 1 => any::<u8>()];
    let end = (end, zeros).prop_map(|(mark, zeros)| [vec![mark], vec![0; zeros]].concat());
    (proptest::collection::vec(any::<u8>(), PREFIX_LEN), off, body, end)
        .prop_map(|(prefix, off, body, end)| (prefix, (body.len() as u32).wrapping_add(off), body, end))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// It is taken if the length is the body's, one mark and zeros follow, and the bucket is the smallest: nothing else.
    #[test]
    fn an_inside_is_read_as_it_was_written_or_refused((prefix, told, body, end) in parts()) {
        let plain = inside_of(&prefix, told, &body, &end);
        let bucket = Bucket::ALL.into_iter().find(|bucket| plain.len() <= bucket.plaintext_len());
        // The last mark ends the body, wherever it stands.
        let padded = [&body[..], &end].concat();
        let last = padded.iter().rposition(|byte| *byte != 0).filter(|at| padded[*at] == 0x80);
        let sound = last.filter(|at| *at == told as usize && Bucket::for_body(*at) == bucket);
        match (sound, inside(&plain, true)) {
            (Some(len), Ok(opened)) => {
                prop_assert_eq!(opened.body.as_slice(), &padded[..len]);
                prop_assert_eq!((opened.kind, Some(opened.header.bucket)), (prefix[36], bucket));
                let created = u32::from_be_bytes(prefix[32..36].try_into().unwrap());
                prop_assert_eq!(opened.created.0, u64::from(created) * 60_000);
                prop_assert_ne!(opened.sender, NodeId(prefix[..32].try_into().unwrap()));
                prop_assert_eq!(inside(&plain, false).unwrap_err(), EnvelopeError::Signature);
            }
            (None, Err(why)) => {
                prop_assert_eq!(why, EnvelopeError::Inside);
                prop_assert_eq!(inside(&plain, false).unwrap_err(), EnvelopeError::Inside);
            }
            (sound, opened) => prop_assert!(false, "sound: {:?}, opened: {:?}", sound, opened),
        }
    }

    #[test]
    fn any_bytes_behind_the_cipher_panic_nobody(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = inside(&bytes, true);
        prop_assert!(inside(&bytes, false).is_err());
    }
}

#[test]
fn lengths_at_every_edge_are_read_or_refused() {
    let prefix = [5; PREFIX_LEN];
    for bucket in Bucket::ALL {
        let most = bucket.plaintext_len() - PREFIX_LEN - 1;
        for (len, sound) in [(most, true), (most + 1, bucket != Bucket::B65536)] {
            let plain = inside_of(&prefix, len as u32, &vec![0; len], &[0x80]);
            assert_eq!(inside(&plain, true).map(|opened| opened.body.len()).ok(), sound.then_some(len));
        }
        // No place for the mark.
        let plain = inside_of(&prefix, most as u32 + 1, &vec![0x80; most + 1], &[]);
        assert_eq!(inside(&plain, true).unwrap_err(), EnvelopeError::Inside);
    }
    for len in 0..=PREFIX_LEN {
        assert_eq!(inside(&vec![0x80; len], true).unwrap_err(), EnvelopeError::Inside);
    }
}
