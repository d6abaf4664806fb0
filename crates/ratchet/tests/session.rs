//! What a session promises whatever the network does: loss, duplicates, reordering, damage, hostile bytes, full stores.
//! Where we differ from upstream on purpose, a test is named `differs_…`.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions too")]

mod common;

use common::{Recorded, SkippedV1, StateV1};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use relaymesh_ratchet::{
    AgreeError, Block, DecodeError, DecryptError, EncryptError, KeyPair, MAX_SESSION_BYTES, MAX_SKIPPED_KEYS,
    PublicKey, SKIPPED_KEY_TTL_MS, Session, agree, verify_auth,
};

const NOW_MS: u64 = 1_750_000_000_000;

/// Both ends of one conversation.
struct Ends {
    phone: Session,
    server: Session,
    server_ad: [u8; 32],
    phone_ad: [u8; 32],
    rng: ChaCha8Rng,
}

fn ends(seed: u64) -> Ends {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (ours, theirs) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
    let shared = agree(ours.secret(), &theirs.public()).unwrap();
    let phone = Session::alice(&shared, ours.public(), &mut rng).unwrap();
    let server = Session::bob(&ours, &shared);
    Ends { phone, server, server_ad: ours.public().0, phone_ad: theirs.public().0, rng }
}

impl Ends {
    fn send(&mut self, text: &[u8]) -> Block {
        self.phone.encrypt(text, &self.server_ad).unwrap()
    }

    fn receive_at(&mut self, block: &Block, now_ms: u64) -> Result<Vec<u8>, DecryptError> {
        let opened = self.server.decrypt(block, &self.server_ad, now_ms, &mut self.rng)?;
        self.server = opened.session;
        Ok(opened.plaintext.to_vec())
    }

    fn receive(&mut self, block: &Block) -> Result<Vec<u8>, DecryptError> {
        self.receive_at(block, NOW_MS)
    }

    fn answer(&mut self) {
        let block = self.server.encrypt(b"answer", &self.phone_ad).unwrap();
        self.phone = self.phone.decrypt(&block, &self.phone_ad, NOW_MS, &mut self.rng).unwrap().session;
    }

    /// Sends `skip` messages that stay on the way and delivers the one after them.
    fn jump(&mut self, skip: usize) -> Vec<Block> {
        let late = (0..skip).map(|i| self.send(&[u8::try_from(i % 256).unwrap()])).collect();
        let last = self.send(b"last");
        assert_eq!(self.receive(&last).unwrap(), b"last");
        late
    }
}

/// One direction of the network: what is on the way, and what arrived already and may arrive again.
#[derive(Default)]
struct Line {
    flying: Vec<(Block, Vec<u8>)>,
    arrived: Vec<Block>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Send,
    Deliver(prop::sample::Index),
    Lose(prop::sample::Index),
    Repeat(prop::sample::Index),
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => Just(Event::Send),
        4 => index().prop_map(Event::Deliver),
        1 => index().prop_map(Event::Lose),
        1 => index().prop_map(Event::Repeat),
    ]
}

impl Line {
    fn run(
        &mut self,
        event: Event,
        from: &mut Session,
        to: &mut Session,
        ad: &[u8; 32],
        rng: &mut ChaCha8Rng,
        serial: usize,
    ) {
        match event {
            Event::Send => match from.encrypt(&serial.to_le_bytes()[..serial % 9], ad) {
                Ok(block) => self.flying.push((block, serial.to_le_bytes()[..serial % 9].to_vec())),
                Err(error) => assert!(!from.can_send(), "{error}"),
            },
            Event::Deliver(at) if !self.flying.is_empty() => {
                let (block, text) = self.flying.remove(at.index(self.flying.len()));
                let opened = to.decrypt(&block, ad, NOW_MS, rng).expect("every first copy opens");
                assert_eq!(*opened.plaintext, text);
                assert!(verify_auth(opened.auth_key.as_bytes(), ad, &block));
                *to = opened.session;
                self.arrived.push(block);
            }
            Event::Lose(at) if !self.flying.is_empty() => {
                self.flying.remove(at.index(self.flying.len()));
            }
            Event::Repeat(at) if !self.arrived.is_empty() => {
                let before = to.encode();
                let error = to
                    .decrypt(&self.arrived[at.index(self.arrived.len())], ad, NOW_MS, &mut Recorded::nothing())
                    .unwrap_err();
                assert!(matches!(error, DecryptError::Consumed | DecryptError::Unauthentic), "{error}");
                assert_eq!(*before, *to.encode());
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_schedule_opens_every_first_copy(seed: u64, events in prop::collection::vec((any::<bool>(), event()), 1..100)) {
        let mut ends = ends(seed);
        let (mut up, mut down) = (Line::default(), Line::default());
        for (serial, (upward, event)) in events.into_iter().enumerate() {
            let Ends { phone, server, server_ad, phone_ad, rng } = &mut ends;
            if upward {
                up.run(event, phone, server, server_ad, rng, serial);
            } else {
                down.run(event, server, phone, phone_ad, rng, serial);
            }
            let stored = ends.server.encode();
            prop_assert_eq!(&*Session::decode(&stored).unwrap().encode(), &*stored);
        }
    }

    #[test]
    fn one_flipped_bit_opens_nothing_and_changes_nothing(seed: u64, at: prop::sample::Index, bit in 0..8u8) {
        let mut ends = ends(seed);
        ends.jump(3);
        let block = ends.send(b"text of two blocks");
        let mut bytes = block.as_bytes().to_vec();
        bytes[at.index(block.as_bytes().len())] ^= 1 << bit;
        if let Ok(damaged) = Block::parse(&bytes) {
            let before = ends.server.encode();
            prop_assert!(ends.server.decrypt(&damaged, &ends.server_ad, NOW_MS, &mut Recorded::nothing()).is_err());
            prop_assert_eq!(&*before, &*ends.server.encode());
        }
        prop_assert_eq!(ends.receive(&block).unwrap(), b"text of two blocks");
    }

    #[test]
    fn hostile_blocks_never_panic(body in prop::collection::vec(any::<u8>(), 88..=88), pn in 0..250u32, n in 0..250u32, known: bool) {
        let mut ends = ends(1);
        let first = ends.send(b"first");
        ends.receive(&first).unwrap();
        let mut bytes = [&[40, 0, 0, 0], body.as_slice()].concat();
        bytes[4..8].copy_from_slice(&pn.to_le_bytes());
        bytes[8..12].copy_from_slice(&n.to_le_bytes());
        if known {
            bytes[12..44].copy_from_slice(first.header().dh.as_bytes());
        }
        let block = Block::parse(&bytes).unwrap();
        for session in [&ends.server, &ends.phone] {
            prop_assert!(session.decrypt(&block, &ends.server_ad, NOW_MS, &mut Recorded::nothing()).is_err());
        }
    }

    #[test]
    fn any_bytes_are_a_session_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Session::decode(&bytes);
    }

    #[test]
    fn a_damaged_record_never_panics(seed: u64, at: prop::sample::Index, value: u8) {
        let mut ends = ends(seed);
        ends.jump(3);
        let block = ends.send(b"next");
        let mut bytes = ends.server.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(mut session) = Session::decode(&bytes) {
            let _ = session.encrypt(b"text", &ends.phone_ad);
            let _ = session.decrypt(&block, &ends.server_ad, NOW_MS, &mut ends.rng);
        }
    }
}

/// Upstream keeps every skipped key.
#[test]
fn differs_the_store_of_skipped_keys_stays_within_400_and_drops_the_oldest() {
    let mut ends = ends(2);
    let late: Vec<Block> = (0..5).flat_map(|_| ends.jump(100)).collect();
    assert_eq!(ends.server.skipped_len(), MAX_SKIPPED_KEYS);
    assert!(ends.server.encode().len() <= MAX_SESSION_BYTES);
    assert_eq!(ends.receive(&late[99]), Err(DecryptError::Consumed));
    assert_eq!(ends.receive(&late[100]), Ok(vec![0]));
    assert_eq!(ends.receive(&late[499]), Ok(vec![99]));
    assert_eq!(ends.server.skipped_len(), MAX_SKIPPED_KEYS - 2);
}

#[test]
fn one_message_may_skip_a_hundred_in_the_old_and_in_the_new_chain() {
    let mut ends = ends(3);
    let first = ends.send(b"first");
    ends.receive(&first).unwrap();
    let old: Vec<Block> = (0..100).map(|_| ends.send(b"old")).collect();
    ends.answer();
    let new = ends.jump(100);
    assert_eq!(ends.server.skipped_len(), 200);
    for (block, text) in
        [(&old[0], b"old".to_vec()), (&old[99], b"old".to_vec()), (&new[0], vec![0]), (&new[99], vec![99])]
    {
        assert_eq!(ends.receive(block), Ok(text));
    }
}

#[test]
fn a_hundred_and_one_are_too_many_in_either_chain() {
    let mut same = ends(4);
    let late: Vec<Block> = (0..102).map(|_| same.send(b"x")).collect();
    assert_eq!(same.receive(&late[101]), Err(DecryptError::TooManySkipped));
    assert_eq!(same.receive(&late[100]), Ok(b"x".to_vec()));

    let mut old = ends(5);
    let first = old.send(b"first");
    old.receive(&first).unwrap();
    (0..101).for_each(|_| drop(old.send(b"old")));
    old.answer();
    let next = old.send(b"next");
    assert_eq!(old.receive(&next), Err(DecryptError::TooManySkipped));
}

/// Upstream keeps a skipped key for ever.
#[test]
fn differs_a_skipped_key_expires_after_thirty_days() {
    let mut ends = ends(6);
    let late = ends.jump(3);
    assert_eq!(ends.receive_at(&late[0], NOW_MS + SKIPPED_KEY_TTL_MS - 1), Ok(vec![0]));
    assert_eq!(ends.receive_at(&late[1], NOW_MS + SKIPPED_KEY_TTL_MS), Err(DecryptError::Consumed));
    assert_eq!(ends.server.skipped_len(), 2, "a failure changes nothing, not even by expiry");
    ends.server.expire_skipped(NOW_MS + SKIPPED_KEY_TTL_MS);
    assert_eq!(ends.server.skipped_len(), 0);
}

#[test]
fn positions_name_what_can_still_arrive() {
    let mut ends = ends(7);
    let late = ends.jump(2);
    let wanted: Vec<_> = late.iter().map(|block| block.header().position()).collect();
    assert_eq!(ends.server.skipped_positions().collect::<Vec<_>>(), wanted);
}

#[test]
fn a_ratchet_key_of_small_order_is_refused() {
    let mut ends = ends(8);
    let mut bytes = ends.send(b"text").as_bytes().to_vec();
    bytes[12..44].fill(0);
    let block = Block::parse(&bytes).unwrap();
    assert_eq!(ends.receive(&block), Err(DecryptError::BadKey(AgreeError::NotContributory)));

    let shared = agree(KeyPair::from_secret([1; 32]).secret(), &KeyPair::from_secret([2; 32]).public()).unwrap();
    assert_eq!(Session::alice(&shared, PublicKey([0; 32]), &mut ends.rng).err(), Some(AgreeError::NotContributory));
}

#[test]
fn the_server_speaks_second_and_the_phone_waits_for_it() {
    let mut ends = ends(9);
    assert_eq!(ends.server.encrypt(b"x", &ends.phone_ad), Err(EncryptError::NoSendingChain));
    let mut bytes = ends.send(b"x").as_bytes().to_vec();
    bytes[12..44].copy_from_slice(&ends.server_ad);
    let echo = Block::parse(&bytes).unwrap();
    let error = ends.phone.decrypt(&echo, &ends.phone_ad, NOW_MS, &mut Recorded::nothing()).unwrap_err();
    assert_eq!(error, DecryptError::NoReceivingChain);
}

#[test]
fn a_full_chain_sends_no_more() {
    let ends = ends(10);
    let mut state = StateV1::of(&ends.phone);
    state.sent = i32::MAX as u32;
    let mut full = Session::decode(&state.encode()).unwrap();
    assert_eq!(full.encrypt(b"x", &ends.server_ad), Err(EncryptError::ChainFull));
    state.sent -= 1;
    let mut last = Session::decode(&state.encode()).unwrap();
    assert!(last.encrypt(b"x", &ends.server_ad).is_ok());
    assert_eq!(last.encrypt(b"x", &ends.server_ad), Err(EncryptError::ChainFull));
}

#[test]
fn only_a_sound_record_of_this_version_is_decoded() {
    let mut ends = ends(11);
    ends.jump(2);
    let bytes = ends.server.encode();
    assert_eq!(Session::decode(&[]).err(), Some(DecodeError::Empty));
    assert_eq!(Session::decode(&[2]).err(), Some(DecodeError::Version { found: 2 }));
    assert_eq!(Session::decode(&[&bytes[..], &[0]].concat()).err(), Some(DecodeError::Trailing { count: 1 }));
    assert_eq!(Session::decode(&vec![1; MAX_SESSION_BYTES + 1]).err(), Some(DecodeError::TooLong));
    for len in 1..bytes.len() {
        assert_eq!(Session::decode(&bytes[..len]).err(), Some(DecodeError::Malformed), "{len}");
    }
}

#[test]
fn a_state_that_cannot_be_is_refused() {
    let mut ends = ends(12);
    ends.jump(2);
    let good = StateV1::of(&ends.server);
    assert!(Session::decode(&good.encode()).is_ok());
    let key = SkippedV1 { dh: [1; 32], n: 0, key: [2; 32], stored_at_ms: 0 };
    let spoil: [fn(&mut StateV1, SkippedV1); 7] = [
        |state, key| state.skipped = vec![key; MAX_SKIPPED_KEYS + 1],
        |state, key| state.skipped = vec![SkippedV1 { n: 1 << 31, ..key }],
        |state, _| state.sent = 1 << 31,
        |state, _| state.previous = u32::MAX,
        |state, _| state.received = u32::MAX,
        |state, _| state.their_public = None,
        |state, _| state.receiving = None,
    ];
    for (index, spoil) in spoil.iter().enumerate() {
        let mut state = good.clone();
        spoil(&mut state, key.clone());
        assert!(matches!(Session::decode(&state.encode()), Err(DecodeError::Inconsistent { .. })), "case {index}");
    }
}

#[test]
fn a_session_inside_another_record_keeps_its_version_byte() {
    let mut ends = ends(13);
    ends.jump(2);
    let stored = postcard::to_stdvec(&(7u8, &ends.server)).unwrap();
    let (_, session) = postcard::from_bytes::<(u8, Session)>(&stored).unwrap();
    assert_eq!(*session.encode(), *ends.server.encode());
    assert!(stored.windows(ends.server.encode().len()).any(|part| part == &**ends.server.encode()));
}

#[test]
fn debug_tells_nothing() {
    let mut ends = ends(14);
    let block = ends.send(b"text");
    let opened = ends.server.decrypt(&block, &ends.server_ad, NOW_MS, &mut ends.rng).unwrap();
    assert_eq!(format!("{:?} {opened:?} {:?}", ends.server, opened.auth_key), "Session Opened AuthKey");
}
