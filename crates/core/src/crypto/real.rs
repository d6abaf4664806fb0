//! The port over the real thing: `relaymesh-seal` and `relaymesh-ratchet`.

use rand_chacha::ChaCha20Rng;
use relaymesh_protocol::ids::{InstanceId, NodeId, Timestamp};
use relaymesh_ratchet::{Block, KeyPair, PublicKey, Session, agree, verify_auth};
use relaymesh_seal::keyfile::Keyring;
use relaymesh_seal::keys::{self, SealingPublic};
use relaymesh_seal::rest::{self, RecordKey, UserKey};
use relaymesh_seal::envelope;
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
        super::ring::publics(keys)
    }

    fn seal_letter(&self, keys: &Keyring, letter: Letter<'_>, rng: &mut ChaCha20Rng) -> Result<Vec<u8>, CryptoError> {
        let Letter { to, sealing, id, created, expiry, body } = letter;
        envelope::seal(&keys.node, &to, &SealingPublic(sealing), id, created, expiry, BODY_KIND, body, rng)
            .map_err(|_| CryptoError)
    }

    fn open_letter(&self, keys: &Keyring, envelope: &[u8]) -> Result<OpenedLetter, CryptoError> {
        let opened = envelope::open(envelope, &keys.node.id(), |id| super::ring::sealing(keys, id)).map_err(|_| CryptoError)?;
        if opened.kind != BODY_KIND {
            return Err(CryptoError);
        }
        Ok(OpenedLetter { sender: opened.sender, created: opened.created, body: opened.body })
    }

    fn seal_record(&self, key: &[u8; 32], aad: RecordAad<'_>, nonce: [u8; 24], value: &[u8]) -> Vec<u8> {
        rest::seal_record(&RecordKey::from_bytes(*key), place(&aad, &mut [0; 4]), nonce, value)
    }

    fn open_record(&self, key: &[u8; 32], aad: RecordAad<'_>, sealed: &[u8]) -> Result<(u64, Zeroizing<Vec<u8>>), CryptoError> {
        rest::open_record_any_counter(&RecordKey::from_bytes(*key), place(&aad, &mut [0; 4]), sealed).map_err(|_| CryptoError)
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
