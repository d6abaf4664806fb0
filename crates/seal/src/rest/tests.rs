//! Every field and every bit of what lies on disk counts.

use proptest::prelude::*;
use relaymesh_protocol::ids::{EntityId, NodeId};

use super::*;

const SHARD: NodeId = NodeId([1; 32]);
const ENTITY: EntityId = EntityId([2; 16]);
const NONCE: [u8; NONCE_LEN] = [3; NONCE_LEN];

fn aad() -> RecordAad<'static> {
    RecordAad { shard: SHARD, table: "ratchet", entity: &ENTITY, record: b"rec", counter: 9 }
}

fn key() -> RecordKey {
    RecordKey::derive(&UserKey::from_bytes([4; 32]), "ratchet")
}

#[test]
fn every_field_of_the_place_counts() {
    let sealed = seal_record(&key(), aad(), NONCE, b"value");
    assert_eq!(open_record(&key(), aad(), &sealed).unwrap().as_slice(), b"value");
    let places = [
        RecordAad { shard: NodeId([9; 32]), ..aad() },
        RecordAad { table: "token", ..aad() },
        RecordAad { table: "ratche", record: b"trec", ..aad() },
        RecordAad { entity: &EntityId([9; 16]), ..aad() },
        RecordAad { record: b"other", ..aad() },
        RecordAad { counter: 8, ..aad() },
        RecordAad { counter: 10, ..aad() },
    ];
    for place in places {
        assert_eq!(open_record(&key(), place, &sealed), Err(OpenError::DoesNotOpen), "{place:?}");
    }
    let any = open_record_any_counter(&key(), RecordAad { counter: 0, ..aad() }, &sealed).unwrap();
    assert_eq!((any.0, any.1.as_slice()), (9, b"value".as_slice()));
    let other = RecordKey::derive(&UserKey::from_bytes([4; 32]), "token");
    assert_eq!(open_record(&other, aad(), &sealed), Err(OpenError::DoesNotOpen));
}

#[test]
fn every_bit_of_a_record_counts() {
    let sealed = seal_record(&key(), aad(), NONCE, b"value");
    for bit in 0..sealed.len() * 8 {
        let mut bad = sealed.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(open_record_any_counter(&key(), aad(), &bad).is_err(), "bit {bit}");
    }
    for len in 0..sealed.len() {
        assert!(open_record_any_counter(&key(), aad(), &sealed[..len]).is_err());
    }
    assert_eq!(open_record(&key(), aad(), &[2]), Err(OpenError::Version(2)));
}

#[test]
fn day_records_are_another_world() {
    let day = DayKey::from_bytes(*key().danger_bytes());
    let zeros = EntityId([0; 16]);
    let place = DayAad { shard: SHARD, table: "outbox", record: b"rec", counter: 9 };
    let sealed = seal_day_record(&day, place, NONCE, b"value");
    assert_eq!(open_day_record(&day, place, &sealed).unwrap().as_slice(), b"value");
    let as_entity = RecordAad { entity: &zeros, table: "outbox", ..aad() };
    assert_eq!(open_record(&key(), as_entity, &sealed), Err(OpenError::DoesNotOpen));
    let places = [
        DayAad { shard: NodeId([9; 32]), ..place },
        DayAad { table: "custody", ..place },
        DayAad { record: b"other", ..place },
        DayAad { counter: 8, ..place },
    ];
    for other in places {
        assert_eq!(open_day_record(&day, other, &sealed), Err(OpenError::DoesNotOpen), "{other:?}");
    }
    assert_eq!(open_day_record_any_counter(&day, DayAad { counter: 0, ..place }, &sealed).unwrap().0, 9);
}

#[test]
fn a_wrapped_key_is_bound_to_epoch_node_and_entity() {
    let (wrap, user) = (WrapKey::from_bytes([5; 32]), UserKey::from_bytes([6; 32]));
    let wrapped = wrap_user_key(&wrap, 7, &SHARD, &ENTITY, &user, NONCE);
    assert_eq!(wrapped.len(), WRAPPED_LEN);
    assert_eq!(unwrap_user_key(&wrap, 7, &SHARD, &ENTITY, &wrapped), Ok(user));
    let no = Err(OpenError::DoesNotOpen);
    assert_eq!(unwrap_user_key(&wrap, 8, &SHARD, &ENTITY, &wrapped), no);
    assert_eq!(unwrap_user_key(&wrap, 7, &NodeId([9; 32]), &ENTITY, &wrapped), no);
    assert_eq!(unwrap_user_key(&wrap, 7, &SHARD, &EntityId([9; 16]), &wrapped), no);
    assert_eq!(unwrap_user_key(&WrapKey::from_bytes([9; 32]), 7, &SHARD, &ENTITY, &wrapped), no);
    for bit in 0..wrapped.len() * 8 {
        let mut bad = wrapped.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(unwrap_user_key(&wrap, 7, &SHARD, &ENTITY, &bad).is_err(), "bit {bit}");
    }
    assert!((0..wrapped.len()).all(|len| unwrap_user_key(&wrap, 7, &SHARD, &ENTITY, &wrapped[..len]).is_err()));
}

#[test]
fn index_rows_differ_by_key_kind_and_value() {
    let index = IndexKey::from_bytes([1; 32]);
    assert_eq!(index.index(1, b"x"), index.index(1, b"x"));
    assert_ne!(index.index(1, b"x"), index.index(2, b"x"));
    assert_ne!(index.index(1, b"x"), index.index(1, b"y"));
    assert_ne!(index.index(1, b"x"), IndexKey::from_bytes([2; 32]).index(1, b"x"));
}

#[test]
fn lengths_are_hidden_in_steps_of_64() {
    let len = |n: usize| seal_record(&key(), aad(), NONCE, &vec![0; n]).len();
    assert_eq!((len(0), len(63), len(64)), (33 + 64 + 16, 33 + 64 + 16, 33 + 128 + 16));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_value_round_trips(value in proptest::collection::vec(any::<u8>(), 0..300), nonce: [u8; NONCE_LEN], counter: u64) {
        let place = RecordAad { counter, ..aad() };
        let sealed = seal_record(&key(), place, nonce, &value);
        prop_assert_eq!(open_record(&key(), place, &sealed).unwrap().to_vec(), value);
    }

    #[test]
    fn noise_never_opens(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let noise = [&[1], noise.as_slice()].concat();
        prop_assert_eq!(open_record_any_counter(&key(), aad(), &noise), Err(OpenError::DoesNotOpen));
        prop_assert!(unwrap_user_key(&WrapKey::from_bytes([1; 32]), 0, &SHARD, &ENTITY, &noise).is_err());
    }
}
