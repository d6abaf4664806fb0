//! Envelopes: round trips, every flip, every wrong recipient.

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use relaymesh_protocol::ids::{EnvelopeId, NodeId, Timestamp};
use relaymesh_seal::envelope::{BODY_LEN_MAX, Bucket, EnvelopeError, HEADER_LEN, Header, SealError, open, seal};
use relaymesh_seal::keys::{NodeKey, SealingPublic, SealingSecret};

const CREATED: Timestamp = Timestamp(1_790_000_000_123);
const EXPIRY: Timestamp = Timestamp(1_790_000_000_123 + 120 * 86_400_000);

struct World {
    sender: NodeKey,
    me: NodeId,
    secret: SealingSecret,
    rng: ChaCha20Rng,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        Self {
            sender: NodeKey::generate(&mut rng),
            me: NodeKey::generate(&mut rng).id(),
            secret: SealingSecret::generate(&mut rng),
            rng,
        }
    }

    fn seal(&mut self, body: &[u8]) -> Vec<u8> {
        let id = EnvelopeId([9; 16]);
        seal(&self.sender, &self.me, &self.secret.public(), id, CREATED, EXPIRY, 7, body, &mut self.rng)
            .expect("the body fits and the key is sound")
    }

    fn open(&self, bytes: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        open(bytes, &self.me, |id| (id == self.secret.public().key_id()).then_some(&self.secret))
            .map(|o| o.body.to_vec())
    }
}

#[test]
fn what_was_sealed_is_opened_with_everything_about_it() {
    let mut world = World::new(1);
    let sealed = world.seal(b"hello");
    let opened = open(&sealed, &world.me, |_| Some(&world.secret)).unwrap();
    assert_eq!((opened.body.as_slice(), opened.kind, opened.sender), (b"hello".as_slice(), 7, world.sender.id()));
    assert_eq!(opened.created.0, CREATED.0 / 60_000 * 60_000);
    assert_eq!(opened.header, Header::parse(&sealed).unwrap());
    assert_eq!(opened.header.expiry.0, EXPIRY.0.div_ceil(60_000) * 60_000);
    assert_eq!((opened.header.id, opened.header.bucket), (EnvelopeId([9; 16]), Bucket::B1024));
    assert!(!format!("{opened:?}").contains("hello"));
}

#[test]
fn a_body_takes_the_smallest_bucket() {
    let mut world = World::new(2);
    for bucket in Bucket::ALL {
        let most = bucket.plaintext_len() - 106;
        let sealed = world.seal(&vec![0x80; most]);
        assert_eq!(sealed.len(), bucket.envelope_len());
        assert_eq!(world.open(&sealed).unwrap().len(), most);
        assert_ne!(Bucket::for_body(most + 1), Some(bucket));
    }
    let (sender, me, to) = (&world.sender, &world.me, &world.secret.public());
    let too_long = vec![0; BODY_LEN_MAX + 1];
    let result = seal(sender, me, to, EnvelopeId([0; 16]), CREATED, EXPIRY, 0, &too_long, &mut world.rng);
    assert_eq!(result, Err(SealError::TooLong { len: BODY_LEN_MAX + 1 }));
}

#[test]
fn every_bit_of_a_small_envelope_counts() {
    let mut world = World::new(3);
    let sealed = world.seal(b"hello");
    for bit in 0..sealed.len() * 8 {
        let mut bad = sealed.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        // The lookup answers for any key id, so that a flip there is caught by the cipher and not by chance.
        assert!(open(&bad, &world.me, |_| Some(&world.secret)).is_err(), "bit {bit}");
    }
}

#[test]
fn sampled_bits_of_larger_envelopes_count() {
    let mut world = World::new(4);
    for (bucket, samples) in [(Bucket::B4096, 300), (Bucket::B16384, 150), (Bucket::B65536, 60)] {
        let sealed = world.seal(&vec![1; bucket.plaintext_len() - 200]);
        for _ in 0..samples {
            let bit = world.rng.next_u64() as usize % (sealed.len() * 8);
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&bad, &world.me, |_| Some(&world.secret)).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn lengths_and_cut_envelopes_are_refused() {
    let mut world = World::new(5);
    let sealed = world.seal(b"hello");
    for len in 0..sealed.len() {
        assert!(world.open(&sealed[..len]).is_err());
    }
    let longer = [sealed.as_slice(), &[0]].concat();
    let expected = Bucket::B1024.envelope_len();
    assert_eq!(world.open(&longer), Err(EnvelopeError::Length { expected, got: expected + 1 }));
    assert_eq!(world.open(&sealed[..HEADER_LEN - 1]), Err(EnvelopeError::NotAnEnvelope));
}

#[test]
fn headers_of_other_kinds_are_told_apart() {
    let mut world = World::new(6);
    let sealed = world.seal(b"hello");
    let with = |at: usize, byte: u8| {
        let mut bad = sealed.clone();
        bad[at] = byte;
        Header::parse(&bad).unwrap_err()
    };
    assert_eq!(with(0, b'X'), EnvelopeError::NotAnEnvelope);
    assert_eq!(with(2, 2), EnvelopeError::Version(2));
    assert_eq!(with(3, 2), EnvelopeError::Suite(2));
    assert_eq!(with(40, 0), EnvelopeError::Bucket(0));
    assert_eq!(with(40, 5), EnvelopeError::Bucket(5));
}

#[test]
fn only_the_named_recipient_with_the_named_key_opens() {
    let mut world = World::new(7);
    let sealed = world.seal(b"hello");
    let other = World::new(8);
    assert_eq!(open(&sealed, &other.me, |_| Some(&world.secret)).unwrap_err(), EnvelopeError::OtherRecipient);
    assert_eq!(open(&sealed, &world.me, |_| None).unwrap_err(), EnvelopeError::UnknownKey);
    assert_eq!(open(&sealed, &world.me, |_| Some(&other.secret)).unwrap_err(), EnvelopeError::DoesNotOpen);
}

#[test]
fn an_unsound_recipient_key_is_refused() {
    let World { sender, me, mut rng, .. } = World::new(9);
    let result = seal(&sender, &me, &SealingPublic([0; 32]), EnvelopeId([0; 16]), CREATED, EXPIRY, 0, b"", &mut rng);
    assert_eq!(result, Err(SealError::RecipientKey));
}

#[test]
fn times_beyond_the_format_are_refused() {
    let World { sender, me, secret, mut rng } = World::new(10);
    let far = Timestamp(u64::MAX);
    for (created, expiry) in [(far, EXPIRY), (CREATED, far)] {
        let result = seal(&sender, &me, &secret.public(), EnvelopeId([0; 16]), created, expiry, 0, b"", &mut rng);
        assert_eq!(result, Err(SealError::Time));
    }
}

#[test]
fn the_same_generator_makes_the_same_envelope_and_another_makes_another() {
    assert_eq!(World::new(11).seal(b"x"), World::new(11).seal(b"x"));
    let mut world = World::new(11);
    assert_ne!(world.seal(b"x"), world.seal(b"x"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_body_round_trips(seed: u64, body in proptest::collection::vec(any::<u8>(), 0..5_000)) {
        let mut world = World::new(seed);
        let sealed = world.seal(&body);
        prop_assert_eq!(world.open(&sealed), Ok(body));
    }

    #[test]
    fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..2_000), header in any::<bool>()) {
        let world = World::new(0);
        let mut bytes = noise;
        if header {
            bytes.splice(..0, *b"RM\x01\x01");
        }
        prop_assert!(world.open(&bytes).is_err());
    }

    #[test]
    fn noise_of_the_right_length_never_opens(noise: u64) {
        let mut world = World::new(noise);
        let mut bytes = world.seal(b"");
        let mut tail = vec![0; bytes.len() - HEADER_LEN];
        world.rng.fill_bytes(&mut tail);
        bytes.splice(HEADER_LEN.., tail);
        prop_assert_eq!(world.open(&bytes), Err(EnvelopeError::DoesNotOpen));
    }
}
