//! Opening a payload's block, from the stored session to the one that is stored next, as the home does it.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, Result};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_core::crypto::{Crypto as _, RealCrypto};
use relaymesh_protocol::ids::Timestamp;
use relaymesh_ratchet::{Block, Header, KeyPair, MessageKey, Session, agree, derive_message_keys};

use super::Scale;
use super::row::{Budget, Row};

/// A post of 100 characters and what surrounds it.
const CONTENT: [u8; 130] = [b'x'; 130];
/// Measurements of which the middle one counts.
const ROUNDS: usize = 21;

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("ratchet decrypt without DH step", "µs", Budget::AtMost(15.0)),
        Row::new("ratchet decrypt with DH step", "µs", Budget::AtMost(250.0)),
    ]
}

/// A server session before its first message, and the phone's first two messages.
struct Conversation {
    stored: Vec<u8>,
    ad: [u8; 32],
    first: Block,
    second: Block,
}

impl Conversation {
    fn new(rng: &mut ChaCha20Rng) -> Result<Self> {
        let (phone, server) = (KeyPair::generate(rng), KeyPair::generate(rng));
        let mut alice = Session::alice(&agree(phone.secret(), &server.public())?, server.public(), rng)?;
        let bob = Session::bob(&server, &agree(server.secret(), &phone.public())?);
        let ad = *server.public().as_bytes();
        let (first, second) = (alice.encrypt(&CONTENT, &ad)?, alice.encrypt(&CONTENT, &ad)?);
        Ok(Self { stored: bob.encode().to_vec(), ad, first, second })
    }
}

pub fn measure(scale: Scale, rows: &mut [Row]) -> Result<()> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let told = Conversation::new(&mut rng)?;
    let mut open = |session: &[u8], block: &Block| {
        RealCrypto.ratchet_open(session, block.as_bytes(), &told.ad, Timestamp(1), &mut rng).ok()
    };
    let after = open(&told.stored, &told.first).context("the first message does not open")?.session;
    open(&after, &told.second).context("the second message does not open")?;

    let bare = Bare::new(&told)?;
    let per_round = scale.pick(50, 400);
    let (with, bare_with) = compare(per_round, || drop(black_box(open(&told.stored, &told.first))), || bare.step());
    let (without, bare_without) = compare(per_round, || drop(black_box(open(&after, &told.second))), || bare.message());
    if let [row_without, row_with, ..] = rows {
        let note =
            "stored session to stored session; baseline: HKDF-SHA512, HMAC-SHA256 and AES-256-CBC on the same bytes";
        row_without.set(without, Some(bare_without), note);
        let note = "baseline: the same, two X25519 agreements and a new key pair";
        row_with.set(with, Some(bare_with), note);
    }
    Ok(())
}

/// The primitives alone, on the same number of bytes.
struct Bare {
    key: MessageKey,
    ad: [u8; 32],
    block: Block,
    ours: KeyPair,
    theirs: KeyPair,
}

impl Bare {
    fn new(told: &Conversation) -> Result<Self> {
        let rng = &mut ChaCha20Rng::seed_from_u64(2);
        let (ours, theirs) = (KeyPair::generate(rng), KeyPair::generate(rng));
        let key = [7; 32];
        let header = Header::new(0, 1, theirs.public())?;
        let block = derive_message_keys(&MessageKey::from(key)).seal(&told.ad, &header, &CONTENT);
        Ok(Self { key: MessageKey::from(key), ad: told.ad, block, ours, theirs })
    }

    fn message(&self) {
        black_box(derive_message_keys(&self.key).open(&self.ad, &self.block));
    }

    fn step(&self) {
        self.message();
        black_box(agree(self.ours.secret(), &self.theirs.public()).is_ok());
        let fresh = KeyPair::from_secret([9; 32]);
        black_box(agree(fresh.secret(), &self.theirs.public()).is_ok());
    }
}

/// Microseconds of one call of each, the middle of several rounds. The rounds alternate, so that whatever else the machine
/// does hits both.
pub fn compare(per_round: u32, mut one: impl FnMut(), mut other: impl FnMut()) -> (f64, f64) {
    let mut micros = [Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS)];
    for _ in 0..ROUNDS {
        micros[0].push(round(per_round, &mut one));
        micros[1].push(round(per_round, &mut other));
    }
    let [one, other] = micros.map(|mut all| middle(&mut all));
    (one, other)
}

fn round(times: u32, work: &mut impl FnMut()) -> f64 {
    let begun = Instant::now();
    (0..times).for_each(|_| work());
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}

/// The value in the middle; zero of nothing.
pub fn middle(values: &mut [f64]) -> f64 {
    share(values, 0.5)
}

/// The value below which this share of all lies; zero of nothing.
pub fn share(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_measurements() {
        let mut values: Vec<f64> = (0..100).rev().map(f64::from).collect();
        assert_eq!((middle(&mut values), share(&mut values, 0.99), share(&mut values, 1.0)), (50.0, 99.0, 99.0));
        assert_eq!(middle(&mut []), 0.0);
    }
}
