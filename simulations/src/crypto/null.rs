//! Stand-ins for large worlds: the same sizes and the same decisions at a fraction of the cost.
//!
//! The ratchet stays real: it decides what can be opened, and it is cheap. Envelopes, signatures, records and oblivious
//! tags become keyed hashes (SipHash) over the same fields, so that what is damaged, misplaced or addressed to somebody
//! else is refused as ever. Nothing here keeps a secret from anybody but the world's own adversaries.

use std::hash::Hasher as _;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use relaymesh_core::crypto::{
    Crypto, CryptoError, Letter, OpenedLetter, Publics, RatchetOpened, RealCrypto, RecordAad, publics,
};
use relaymesh_protocol::ids::{E164, InstanceId, NodeId, Tag, Timestamp};
use relaymesh_seal::envelope::{Bucket, HEADER_LEN, Header};
use relaymesh_seal::keyfile::Keyring;
use relaymesh_seal::keys::{KeyId, SealingPublic};
use relaymesh_seal::oblivious::{BATCH_MAX, PROOF_LEN, Purpose};
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use zeroize::Zeroizing;

/// Bytes of a real envelope between header and plaintext, and behind the ciphertext.
const ENC_LEN: usize = 32;
const TAG_LEN: usize = 16;
/// Bytes of the plaintext before the body: sender 32, created 4, kind 1, signature 64, length 4.
const INNER_LEN: usize = 105;
/// Bytes of a real record before its ciphertext: version, counter, nonce.
const RECORD_HEAD: usize = 33;
/// Values are padded to a multiple of this.
const PAD: usize = 64;
const MINUTE_MS: u64 = 60_000;

/// Cryptography without secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullCrypto;

/// A keyed hash over parts, each behind its length.
fn hash(label: u64, parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = SipHasher13::new_with_keys(label, 0);
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    hasher.finish128().as_bytes()
}

fn wide<const N: usize>(label: u64, parts: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    let first = hash(label, parts);
    for (n, chunk) in (0_u64..).zip(out.chunks_mut(16)) {
        let next = if n == 0 { first } else { hash(label ^ n << 32, &[&first]) };
        chunk.copy_from_slice(&next[..chunk.len()]);
    }
    out
}

const LETTER: u64 = 1;
const RECORD: u64 = 2;
const TABLE: u64 = 3;
const INDEX: u64 = 4;
const SIGN: u64 = 5;
const POINT: u64 = 6;
const PUBLIC: u64 = 7;
const EVALUATED: u64 = 8;
const PROOF: u64 = 9;
const TAGGED: u64 = 10;

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn record_tag(key: &[u8; 32], aad: &RecordAad<'_>, head: &[u8], padded: &[u8]) -> [u8; 16] {
    hash(RECORD, &[key, &aad.shard.0, &[aad.table], &aad.entity.0, aad.record, head, padded])
}

fn evaluated(public: &[u8; 32], point: &[u8; 32]) -> [u8; 32] {
    wide(EVALUATED, &[public, point])
}

fn tag_of(purpose: Purpose, evaluated: &[u8; 32]) -> Tag {
    Tag(hash(TAGGED ^ (purpose as u64) << 8, &[evaluated]))
}

fn point(number: &E164) -> [u8; 32] {
    wide(POINT, &[number.reveal().as_bytes()])
}

fn proof_of(public: &[u8; 32], evaluated: &[[u8; 32]]) -> [u8; PROOF_LEN] {
    let parts: Vec<&[u8]> =
        std::iter::once(public.as_slice()).chain(evaluated.iter().map(<[u8; 32]>::as_slice)).collect();
    wide(PROOF, &parts)
}

impl Crypto for NullCrypto {
    fn node_id(&self, keys: &Keyring) -> NodeId {
        keys.node.id()
    }

    fn instance_id(&self, keys: &Keyring) -> InstanceId {
        keys.instance.id()
    }

    fn publics(&self, keys: &Keyring) -> Publics {
        publics(self, keys)
    }

    fn seal_letter(&self, keys: &Keyring, letter: Letter<'_>, rng: &mut ChaCha20Rng) -> Result<Vec<u8>, CryptoError> {
        // As much chance as the real one takes: what is drawn after it in the same run (a pause before a retry) must not differ.
        rng.fill_bytes(&mut [0; 32]);
        let bucket = Bucket::for_body(letter.body.len()).ok_or(CryptoError)?;
        let key_id = SealingPublic(letter.sealing).key_id();
        let header = Header { recipient: letter.to, key_id, bucket, expiry: letter.expiry, id: letter.id };
        let created = u32::try_from(letter.created.0 / MINUTE_MS).map_err(|_| CryptoError)?;
        let length = u32::try_from(letter.body.len()).map_err(|_| CryptoError)?;
        let mut out = Vec::with_capacity(bucket.envelope_len());
        out.extend_from_slice(&header.encode().ok_or(CryptoError)?);
        out.resize(HEADER_LEN + ENC_LEN, 0);
        out.extend_from_slice(keys.node.id().as_bytes());
        out.extend_from_slice(&created.to_be_bytes());
        out.resize(HEADER_LEN + ENC_LEN + INNER_LEN - 4, 0);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(letter.body);
        out.push(0x80);
        // Only what is not padding is hashed: the rest is known.
        let tag = hash(LETTER, &[&out]);
        out.resize(bucket.envelope_len() - TAG_LEN, 0);
        out.extend_from_slice(&tag);
        Ok(out)
    }

    fn open_letter(&self, keys: &Keyring, envelope: &[u8]) -> Result<OpenedLetter, CryptoError> {
        let header = Header::parse(envelope).map_err(|_| CryptoError)?;
        let kept = |id: KeyId| keys.sealing.iter().any(|(secret, _)| secret.public().key_id() == id);
        if header.recipient != keys.node.id() || !kept(header.key_id) {
            return Err(CryptoError);
        }
        let plain = envelope.get(HEADER_LEN + ENC_LEN..).ok_or(CryptoError)?;
        let length = u32_at(plain, INNER_LEN - 4).ok_or(CryptoError)? as usize;
        let body = plain.get(INNER_LEN..INNER_LEN + length).ok_or(CryptoError)?;
        let signed = envelope.get(..=HEADER_LEN + ENC_LEN + INNER_LEN + length).ok_or(CryptoError)?;
        let tag = envelope.last_chunk::<TAG_LEN>().ok_or(CryptoError)?;
        if hash(LETTER, &[signed]) != *tag {
            return Err(CryptoError);
        }
        let created = u32_at(plain, 32).ok_or(CryptoError)?;
        Ok(OpenedLetter {
            sender: NodeId(*plain.first_chunk().ok_or(CryptoError)?),
            created: Timestamp(u64::from(created) * MINUTE_MS),
            body: Zeroizing::new(body.to_vec()),
        })
    }

    fn seal_record(&self, key: &[u8; 32], aad: RecordAad<'_>, nonce: [u8; 24], value: &[u8]) -> Vec<u8> {
        let padded = (value.len() + 1).div_ceil(PAD) * PAD;
        let mut out = Vec::with_capacity(RECORD_HEAD + padded + TAG_LEN);
        out.push(1);
        out.extend_from_slice(&aad.counter.to_be_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(value);
        out.push(0x80);
        let (head, body) = out.split_at(RECORD_HEAD);
        let tag = record_tag(key, &aad, head, body);
        out.resize(RECORD_HEAD + padded, 0);
        out.extend_from_slice(&tag);
        out
    }

    fn open_record(
        &self,
        key: &[u8; 32],
        aad: RecordAad<'_>,
        sealed: &[u8],
    ) -> Result<(u64, Zeroizing<Vec<u8>>), CryptoError> {
        let (head, rest) = sealed.split_at_checked(RECORD_HEAD).ok_or(CryptoError)?;
        let (padded, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(CryptoError)?;
        let end = padded.iter().rposition(|byte| *byte != 0).ok_or(CryptoError)?;
        let body = padded.get(..=end).ok_or(CryptoError)?;
        if record_tag(key, &aad, head, body) != *tag {
            return Err(CryptoError);
        }
        let counter =
            head.get(1..9).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes).ok_or(CryptoError)?;
        let value = padded.get(..end).ok_or(CryptoError)?;
        Ok((counter, Zeroizing::new(value.to_vec())))
    }

    fn table_key(&self, user_key: &[u8; 32], table: u8) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(wide(TABLE, &[user_key, &[table]]))
    }

    fn index(&self, keys: &Keyring, kind: u8, value: &[u8]) -> [u8; 16] {
        hash(INDEX, &[keys.node.id().as_bytes(), &[kind], value])
    }

    fn ratchet_open(
        &self,
        session: &[u8],
        block: &[u8],
        ad: &[u8; 32],
        now: Timestamp,
        rng: &mut ChaCha20Rng,
    ) -> Result<RatchetOpened, CryptoError> {
        RealCrypto.ratchet_open(session, block, ad, now, rng)
    }

    fn bob_session(&self, secret: &[u8; 32], client: &[u8; 32]) -> Result<(Zeroizing<Vec<u8>>, [u8; 32]), CryptoError> {
        RealCrypto.bob_session(secret, client)
    }

    fn blind(&self, number: &E164, _: [u8; 32]) -> (Vec<u8>, [u8; 32]) {
        let point = point(number);
        let mut state = vec![0; 64];
        state.extend_from_slice(&point);
        (state, point)
    }

    fn evaluate(&self, key: &[u8; 32], blinded: &[[u8; 32]], _: [u8; 32]) -> Option<(Vec<[u8; 32]>, Vec<u8>)> {
        if blinded.is_empty() || blinded.len() > BATCH_MAX {
            return None;
        }
        let public = self.oblivious_public(key);
        let answers: Vec<[u8; 32]> = blinded.iter().map(|point| evaluated(&public, point)).collect();
        let proof = proof_of(&public, &answers).to_vec();
        Some((answers, proof))
    }

    fn finish(
        &self,
        purpose: Purpose,
        states: &[&[u8]],
        evaluated: &[[u8; 32]],
        proof: &[u8],
        public: &[u8; 32],
    ) -> Option<Vec<Tag>> {
        let sound = !states.is_empty() && states.len() == evaluated.len() && proof == proof_of(public, evaluated);
        sound.then(|| evaluated.iter().map(|answer| tag_of(purpose, answer)).collect())
    }

    fn direct(&self, key: &[u8; 32], number: &E164, purpose: Purpose) -> Tag {
        tag_of(purpose, &evaluated(&self.oblivious_public(key), &point(number)))
    }

    fn oblivious_public(&self, key: &[u8; 32]) -> [u8; 32] {
        wide(PUBLIC, &[key])
    }

    fn proves(&self, auth_key: &[u8; 32], ad: &[u8; 32], block: &[u8]) -> bool {
        RealCrypto.proves(auth_key, ad, block)
    }

    fn sign(&self, keys: &Keyring, label: &'static [u8], parts: &[&[u8]]) -> [u8; 64] {
        signature(keys.node.id().as_bytes(), label, parts)
    }

    fn sign_instance(&self, keys: &Keyring, label: &'static [u8], parts: &[&[u8]]) -> [u8; 64] {
        signature(keys.instance.id().as_bytes(), label, parts)
    }

    fn verify(&self, signer: &[u8; 32], label: &'static [u8], parts: &[&[u8]], sig: &[u8; 64]) -> bool {
        signature(signer, label, parts) == *sig
    }
}

fn signature(signer: &[u8; 32], label: &[u8], parts: &[&[u8]]) -> [u8; 64] {
    let parts: Vec<&[u8]> = [signer.as_slice(), label].into_iter().chain(parts.iter().copied()).collect();
    wide(SIGN, &parts)
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng as _;
    use relaymesh_protocol::ids::{EntityId, EnvelopeId};

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn ring(n: u8) -> Keyring {
        Keyring::generate(&mut ChaCha20Rng::from_seed([n; 32]), NOW)
    }

    fn letter<'a>(to: &Keyring, body: &'a [u8]) -> Letter<'a> {
        let sealing = RealCrypto.publics(to).sealing[0].0;
        let expiry = Timestamp(NOW.0 + 600_000);
        Letter { to: to.node.id(), sealing, id: EnvelopeId([3; 16]), created: NOW, expiry, body }
    }

    #[test]
    fn sizes_are_the_real_ones() {
        let (mut rng, from, to) = (ChaCha20Rng::from_seed([9; 32]), ring(1), ring(2));
        for length in [0, 1, 500, 918, 919, 920, 4_000, 65_000] {
            let body = vec![7; length];
            let real = RealCrypto.seal_letter(&from, letter(&to, &body), &mut rng).unwrap();
            let null = NullCrypto.seal_letter(&from, letter(&to, &body), &mut rng).unwrap();
            assert_eq!(real.len(), null.len(), "{length}");
        }
        let aad = RecordAad { shard: NodeId([1; 32]), table: 3, entity: EntityId([2; 16]), record: b"r", counter: 5 };
        for length in [0, 62, 63, 64, 65, 1_000] {
            let value = vec![7; length];
            let real = RealCrypto.seal_record(&[1; 32], aad, [2; 24], &value);
            let null = NullCrypto.seal_record(&[1; 32], aad, [2; 24], &value);
            assert_eq!(real.len(), null.len(), "{length}");
            assert_eq!(*NullCrypto.open_record(&[1; 32], aad, &null).unwrap().1, value);
        }
    }

    #[test]
    fn every_flip_is_noticed_and_so_is_a_wrong_place() {
        let (mut rng, from, to) = (ChaCha20Rng::from_seed([9; 32]), ring(1), ring(2));
        let sealed = NullCrypto.seal_letter(&from, letter(&to, b"hello"), &mut rng).unwrap();
        let opened = NullCrypto.open_letter(&to, &sealed).unwrap();
        assert_eq!((opened.sender, opened.body.as_slice()), (from.node.id(), b"hello".as_slice()));
        assert!(NullCrypto.open_letter(&from, &sealed).is_err());
        for at in 0..HEADER_LEN + ENC_LEN + INNER_LEN + 6 {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(NullCrypto.open_letter(&to, &damaged).is_err(), "{at}");
        }
        let aad = RecordAad { shard: NodeId([1; 32]), table: 3, entity: EntityId([2; 16]), record: b"r", counter: 5 };
        let record = NullCrypto.seal_record(&[1; 32], aad, [2; 24], b"value");
        for at in 0..record.len() {
            let mut damaged = record.clone();
            damaged[at] ^= 1;
            assert!(NullCrypto.open_record(&[1; 32], aad, &damaged).is_err(), "{at}");
        }
        assert!(NullCrypto.open_record(&[1; 32], RecordAad { table: 4, ..aad }, &record).is_err());
    }

    #[test]
    fn tags_of_asker_and_home_agree() {
        let number: E164 = "+237612345678".parse().unwrap();
        let (key, other) = ([4; 32], [5; 32]);
        let (state, blinded) = NullCrypto.blind(&number, [0; 32]);
        let (answers, proof) = NullCrypto.evaluate(&key, &[blinded], [0; 32]).unwrap();
        let public = NullCrypto.oblivious_public(&key);
        let tags = NullCrypto.finish(Purpose::Phone, &[&state], &answers, &proof, &public).unwrap();
        assert_eq!(tags, [NullCrypto.direct(&key, &number, Purpose::Phone)]);
        assert_ne!(tags[0], NullCrypto.direct(&key, &number, Purpose::Bridge));
        assert_ne!(tags[0], NullCrypto.direct(&other, &number, Purpose::Phone));
        let lie = NullCrypto.oblivious_public(&other);
        assert!(NullCrypto.finish(Purpose::Phone, &[&state], &answers, &proof, &lie).is_none());
    }
}
