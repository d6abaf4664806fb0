use proptest::prelude::*;

use super::super::{Payload, sample_block};
use super::*;
use crate::wire::Truncated;

fn sample(version: PlatformVersion) -> PlatformPayload {
    PlatformPayload {
        version,
        shortcode: b'g',
        block: sample_block(2, 7),
        device_id: Some(DeviceId([9; 32])),
        language: (version != PlatformVersion::V0).then_some(Language::FR),
    }
}

#[test]
fn every_cut_is_an_error_but_the_missing_language() {
    for version in [PlatformVersion::V0, PlatformVersion::V1, PlatformVersion::V2, PlatformVersion::V3] {
        let whole = sample(version).encode().unwrap();
        for len in 0..whole.len() {
            let parsed = PlatformPayload::parse(&whole[..len]);
            let no_language = version != PlatformVersion::V0 && len == whole.len() - 2;
            // Version 0 says nowhere whether a device id follows.
            let no_device_id = version == PlatformVersion::V0 && len == whole.len() - 32;
            assert_eq!(parsed.is_ok(), no_language || no_device_id, "{version:?} cut to {len}");
        }
        let mut long = whole;
        long.push(0);
        assert!(PlatformPayload::parse(&long).is_err(), "{version:?} with a byte more");
    }
}

#[test]
fn errors_name_the_field() {
    let whole = sample(PlatformVersion::V2).encode().unwrap();
    let cut = PlatformPayload::parse(&whole[..100]).unwrap_err();
    assert_eq!(cut.to_string(), "ciphertext block is cut off: 108 bytes expected, 95 left");
    let v0 = sample(PlatformVersion::V0).encode().unwrap();
    let expected = Truncated { field: "ciphertext block", need: 108, have: 95 };
    assert_eq!(PlatformPayload::parse(&v0[..100]), Err(expected.into()));
    let mut short_id = whole.clone();
    short_id[3] = 31;
    assert!(matches!(PlatformPayload::parse(&short_id), Err(PayloadError::FieldLength { len: 31, .. })));
    let mut unknown = whole;
    unknown[0] = 9;
    let expected = PayloadError::UnknownVersion { kind: "platform", version: 9 };
    assert_eq!(PlatformPayload::parse(&unknown), Err(expected));
}

#[test]
fn debug_shows_no_bytes() {
    let text = format!("{:?}", sample(PlatformVersion::V2));
    assert!(text.contains("block_bytes: 108") && text.contains("device_id: true"), "{text}");
}

#[test]
fn what_does_not_fit_is_not_written() {
    let mut v0 = sample(PlatformVersion::V0);
    v0.language = Some(Language::EN);
    assert_eq!(v0.encode(), Err(EncodeError::NoField { field: "language" }));
    let mut v2 = sample(PlatformVersion::V2);
    v2.block = sample_block(4100, 0);
    assert!(matches!(v2.encode(), Err(EncodeError::TooLong { max: 65_535, .. })));
    v2.block.clear();
    assert!(matches!(v2.encode(), Err(EncodeError::Block(_))));
}

fn any_payload() -> impl Strategy<Value = PlatformPayload> {
    let version =
        prop::sample::select(vec![PlatformVersion::V0, PlatformVersion::V1, PlatformVersion::V2, PlatformVersion::V3]);
    let language = prop::option::of("[a-z]{2}".prop_map(|l| Language([l.as_bytes()[0], l.as_bytes()[1]])));
    let id = prop::option::of(any::<[u8; 32]>().prop_map(DeviceId));
    (version, any::<u8>(), 1..40usize, any::<u8>(), id, language).prop_map(
        |(version, shortcode, k, fill, device_id, language)| PlatformPayload {
            version,
            shortcode,
            block: sample_block(k, fill),
            device_id,
            language: language.filter(|_| version != PlatformVersion::V0),
        },
    )
}

proptest! {
    #[test]
    fn reads_back_what_it_writes(payload in any_payload()) {
        let bytes = payload.encode().unwrap();
        prop_assert_eq!(Payload::parse(&bytes), Ok(Payload::Platform(payload)));
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = PlatformPayload::parse(&bytes);
    }

    #[test]
    fn a_changed_byte_never_panics(payload in any_payload(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = payload.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Payload::parse(&bytes);
    }
}
