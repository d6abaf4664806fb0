//! The port over the real thing: `relaymesh-seal` and `relaymesh-ratchet`.

use rand_chacha::ChaCha20Rng;
use relaymesh_protocol::ids::{E164, InstanceId, NodeId, Tag, Timestamp};
use relaymesh_ratchet::{Block, KeyPair, PublicKey, Session, agree, verify_auth};
use relaymesh_seal::envelope;
use relaymesh_seal::keyfile::Keyring;
use relaymesh_seal::keys::{self, SealingPublic};
use relaymesh_seal::oblivious::{self, Blinded, Evaluator, Purpose};
use relaymesh_seal::rest::{self, RecordKey, UserKey};
use zeroize::Zeroizing;

use super::{Crypto, CryptoError, Letter, OpenedLetter, Publics, RatchetOpened, RecordAad};

/// What the body of an envelope is: the core tells bodies apart itself, so there is one kind.
const BODY_KIND: u8 = 1;

/// Cryptography as it is deployed.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealCrypto;

/// A record's place in the seal crate's terms; tables are bytes here and texts there.
fn place<'a>(aad: &'a RecordAad<'a>, table: &'a mut [u8; 4]) -> rest::RecordAad<'a> {
    let table: &str = char::from(aad.table).encode_utf8(table);
    rest::RecordAad { shard: aad.shard, table, entity: &aad.entity, record: aad.record, counter: aad.counter }
}

impl Crypto for RealCrypto {
    fn node_id(&self, keys: &Keyring) -> NodeId {
        keys.node.id()
    }

    fn instance_id(&self, keys: &Keyring) -> InstanceId {
        keys.instance.id()
    }

    fn publics(&self, keys: &Keyring) -> Publics {
        super::ring::publics(self, keys)
    }

    fn seal_letter(&self, keys: &Keyring, letter: Letter<'_>, rng: &mut ChaCha20Rng) -> Result<Vec<u8>, CryptoError> {
        let Letter { to, sealing, id, created, expiry, body } = letter;
        envelope::seal(&keys.node, &to, &SealingPublic(sealing), id, created, expiry, BODY_KIND, body, rng)
            .map_err(|_| CryptoError)
    }

    fn open_letter(&self, keys: &Keyring, envelope: &[u8]) -> Result<OpenedLetter, CryptoError> {
        let opened =
            envelope::open(envelope, &keys.node.id(), |id| super::ring::sealing(keys, id)).map_err(|_| CryptoError)?;
        if opened.kind != BODY_KIND {
            return Err(CryptoError);
        }
        Ok(OpenedLetter { sender: opened.sender, created: opened.created, body: opened.body })
    }

    fn seal_record(&self, key: &[u8; 32], aad: RecordAad<'_>, nonce: [u8; 24], value: &[u8]) -> Vec<u8> {
        rest::seal_record(&RecordKey::from_bytes(*key), place(&aad, &mut [0; 4]), nonce, value)
    }

    fn open_record(
        &self,
        key: &[u8; 32],
        aad: RecordAad<'_>,
        sealed: &[u8],
    ) -> Result<(u64, Zeroizing<Vec<u8>>), CryptoError> {
        rest::open_record_any_counter(&RecordKey::from_bytes(*key), place(&aad, &mut [0; 4]), sealed)
            .map_err(|_| CryptoError)
    }

    fn table_key(&self, user_key: &[u8; 32], table: u8) -> Zeroizing<[u8; 32]> {
        let user = UserKey::from_bytes(*user_key);
        Zeroizing::new(*RecordKey::derive(&user, char::from(table).encode_utf8(&mut [0; 4])).danger_bytes())
    }

    fn index(&self, keys: &Keyring, kind: u8, value: &[u8]) -> [u8; 16] {
        keys.index.index(kind, value)
    }

    fn ratchet_open(
        &self,
        session: &[u8],
        block: &[u8],
        ad: &[u8; 32],
        now: Timestamp,
        rng: &mut ChaCha20Rng,
    ) -> Result<RatchetOpened, CryptoError> {
        let session = Session::decode(session).map_err(|_| CryptoError)?;
        let block = Block::parse(block).map_err(|_| CryptoError)?;
        let opened = session.decrypt(&block, ad, now.0, rng).map_err(|_| CryptoError)?;
        Ok(RatchetOpened {
            plaintext: opened.plaintext,
            session: opened.session.encode(),
            auth_key: *opened.auth_key.as_bytes(),
        })
    }

    fn bob_session(&self, secret: &[u8; 32], client: &[u8; 32]) -> Result<(Zeroizing<Vec<u8>>, [u8; 32]), CryptoError> {
        let pair = KeyPair::from_secret(*secret);
        let shared = agree(pair.secret(), &PublicKey(*client)).map_err(|_| CryptoError)?;
        Ok((Session::bob(&pair, &shared).encode(), *pair.public().as_bytes()))
    }

    fn blind(&self, number: &E164, seed: [u8; 32]) -> (Vec<u8>, [u8; 32]) {
        let Blinded { state, blinded } = Blinded::new(number, seed);
        (state.to_vec(), blinded)
    }

    fn evaluate(&self, key: &[u8; 32], blinded: &[[u8; 32]], seed: [u8; 32]) -> Option<(Vec<[u8; 32]>, Vec<u8>)> {
        Evaluator::from_seed(key).evaluate(blinded, seed).ok()
    }

    fn finish(
        &self,
        purpose: Purpose,
        states: &[&[u8]],
        evaluated: &[[u8; 32]],
        proof: &[u8],
        public: &[u8; 32],
    ) -> Option<Vec<Tag>> {
        oblivious::finish(purpose, states, evaluated, proof, public).ok()
    }

    fn direct(&self, key: &[u8; 32], number: &E164, purpose: Purpose) -> Tag {
        oblivious::direct(&Evaluator::from_seed(key), number, purpose)
    }

    fn oblivious_public(&self, key: &[u8; 32]) -> [u8; 32] {
        Evaluator::from_seed(key).public()
    }

    fn proves(&self, auth_key: &[u8; 32], ad: &[u8; 32], block: &[u8]) -> bool {
        Block::parse(block).is_ok_and(|block| verify_auth(auth_key, ad, &block))
    }

    fn sign(&self, keys: &Keyring, label: &'static [u8], parts: &[&[u8]]) -> [u8; 64] {
        keys.node.sign(label, parts)
    }

    fn sign_instance(&self, keys: &Keyring, label: &'static [u8], parts: &[&[u8]]) -> [u8; 64] {
        keys.instance.sign(label, parts)
    }

    fn verify(&self, signer: &[u8; 32], label: &'static [u8], parts: &[&[u8]], signature: &[u8; 64]) -> bool {
        keys::verify(signer, label, parts, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;
    use relaymesh_protocol::ids::{EntityId, EnvelopeId};

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn ring(n: u8) -> Keyring {
        Keyring::generate(&mut ChaCha20Rng::from_seed([n; 32]), NOW)
    }

    #[test]
    fn a_letter_opens_at_its_recipient_under_old_keys_too() {
        let (mut rng, from, mut to) = (ChaCha20Rng::from_seed([9; 32]), ring(1), ring(2));
        let sealing = RealCrypto.publics(&to).sealing[0].0;
        let recipient = RealCrypto.node_id(&to);
        let expiry = NOW.after(std::time::Duration::from_secs(60));
        let letter = Letter { to: recipient, sealing, id: EnvelopeId([3; 16]), created: NOW, expiry, body: b"hello" };
        let envelope = RealCrypto.seal_letter(&from, letter, &mut rng).unwrap();
        to.sealing.insert(0, (relaymesh_seal::keys::SealingSecret::generate(&mut rng), Timestamp(NOW.0 + 1)));
        assert_ne!(RealCrypto.publics(&to).sealing[0].0, sealing, "a newer key is announced first");
        let opened = RealCrypto.open_letter(&to, &envelope).unwrap();
        assert_eq!((opened.sender, opened.body.as_slice()), (RealCrypto.node_id(&from), b"hello".as_slice()));
        assert!(RealCrypto.open_letter(&from, &envelope).is_err(), "not the recipient");
        to.sealing.truncate(1);
        assert!(RealCrypto.open_letter(&to, &envelope).is_err(), "the key was destroyed");
    }

    #[test]
    fn a_record_opens_only_at_its_place() {
        let place =
            |table, record| RecordAad { shard: NodeId([1; 32]), table, entity: EntityId([2; 16]), record, counter: 5 };
        let sealed = RealCrypto.seal_record(&[7; 32], place(b'o', b"key"), [8; 24], b"value");
        let elsewhere = RecordAad { counter: 0, ..place(b'o', b"key") };
        let (counter, value) = RealCrypto.open_record(&[7; 32], elsewhere, &sealed).unwrap();
        assert_eq!((counter, value.as_slice()), (5, b"value".as_slice()), "the counter is told, not asked");
        assert!(RealCrypto.open_record(&[7; 32], place(b'c', b"key"), &sealed).is_err());
        assert!(RealCrypto.open_record(&[7; 32], place(b'o', b"kez"), &sealed).is_err());
        assert!(RealCrypto.open_record(&[6; 32], place(b'o', b"key"), &sealed).is_err());
        // Tables above 127 are told apart from those below.
        assert_ne!(RealCrypto.table_key(&[1; 32], 0x41), RealCrypto.table_key(&[1; 32], 0xc1));
    }

    #[test]
    fn a_fresh_bridge_session_opens_what_the_phone_wrote_and_proves_it() {
        let mut rng = ChaCha20Rng::from_seed([4; 32]);
        let (server, phone) = (KeyPair::from_secret([5; 32]), KeyPair::generate(&mut rng));
        let (session, ad) = RealCrypto.bob_session(&[5; 32], phone.public().as_bytes()).unwrap();
        assert_eq!(ad, *server.public().as_bytes());
        let shared = agree(phone.secret(), &server.public()).unwrap();
        let mut alice = Session::alice(&shared, server.public(), &mut rng).unwrap();
        let block = alice.encrypt(b"bonjour", &ad).unwrap();
        let opened = RealCrypto.ratchet_open(&session, block.as_bytes(), &ad, NOW, &mut rng).unwrap();
        assert_eq!(opened.plaintext.as_slice(), b"bonjour");
        assert!(RealCrypto.proves(&opened.auth_key, &ad, block.as_bytes()));
        assert!(!RealCrypto.proves(&[0; 32], &ad, block.as_bytes()));
        assert!(RealCrypto.ratchet_open(&opened.session, block.as_bytes(), &ad, NOW, &mut rng).is_err(), "once");
        assert!(RealCrypto.bob_session(&[5; 32], &[0; 32]).is_err(), "a key that agrees on nothing");
    }
}
