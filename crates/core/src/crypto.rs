//! The `Crypto` port: all ratchet, seal and at-rest cryptography that the node does, so that a large simulated world can
//! swap in size-preserving stand-ins.

mod real;
mod ring;

use rand_chacha::ChaCha20Rng;
use relaymesh_protocol::ids::{E164, EntityId, EnvelopeId, InstanceId, NodeId, Tag, Timestamp};
use relaymesh_seal::keyfile::Keyring;
use relaymesh_seal::oblivious::Purpose;
use zeroize::Zeroizing;

pub use real::RealCrypto;
pub use ring::publics;
pub(crate) use ring::{day_key, newest_day_key, newest_wrap_key, table_root, wrap_key};

/// Cryptography refused its input. Which check failed is no one's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("does not open")]
pub struct CryptoError;

/// What an at-rest record is bound to.
#[derive(Clone, Copy, Debug)]
pub struct RecordAad<'a> {
    /// The node whose disk it is on.
    pub shard: NodeId,
    /// Table byte.
    pub table: u8,
    /// Its entity; zeros where it has none.
    pub entity: EntityId,
    /// Key within the table.
    pub record: &'a [u8],
    /// The entity's counter when it was written; zero where it has no entity.
    pub counter: u64,
}

/// What is to be sealed to a node.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The recipient.
    pub to: NodeId,
    /// The recipient's newest known sealing key.
    pub sealing: [u8; 32],
    /// Random.
    pub id: EnvelopeId,
    /// Now.
    pub created: Timestamp,
    /// When carriers may drop it.
    pub expiry: Timestamp,
    /// The encoded body.
    pub body: &'a [u8],
}

/// An envelope as its recipient opened it.
#[derive(Clone, Debug)]
pub struct OpenedLetter {
    /// Who signed it.
    pub sender: NodeId,
    /// When, as the sender tells.
    pub created: Timestamp,
    /// The encoded body.
    pub body: Zeroizing<Vec<u8>>,
}

/// A payload that opened under a ratchet session.
#[derive(Clone, Debug)]
pub struct RatchetOpened {
    /// The content.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The advanced session, encoded.
    pub session: Zeroizing<Vec<u8>>,
    /// This message's MAC key: what an acceptance proves itself with.
    pub auth_key: [u8; 32],
}

/// The public halves that a node's record announces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publics {
    /// X25519 keys to seal to and when they were made, newest first.
    pub sealing: Vec<([u8; 32], Timestamp)>,
    /// Oblivious keys by id, newest first.
    pub oblivious: Vec<(u32, [u8; 32])>,
    /// Static bridge keys by key id.
    pub statics: Vec<(u8, [u8; 32])>,
}

/// The port. Every method is a function of its arguments.
pub trait Crypto: Send + Sync + std::fmt::Debug {
    /// Who the keyring's node is.
    fn node_id(&self, keys: &Keyring) -> NodeId;

    /// Whose instance key the keyring holds.
    fn instance_id(&self, keys: &Keyring) -> InstanceId;

    /// What the node's record announces.
    fn publics(&self, keys: &Keyring) -> Publics;

    /// Seals and signs a letter.
    ///
    /// # Errors
    /// When the body fits no bucket, or the recipient's key is not one.
    fn seal_letter(&self, keys: &Keyring, letter: Letter<'_>, rng: &mut ChaCha20Rng) -> Result<Vec<u8>, CryptoError>;

    /// Opens an envelope that is addressed to the keyring's node, and verifies its signature.
    ///
    /// # Errors
    /// Whenever anything about it is wrong.
    fn open_letter(&self, keys: &Keyring, envelope: &[u8]) -> Result<OpenedLetter, CryptoError>;

    /// Seals a record under a 32-byte key.
    fn seal_record(&self, key: &[u8; 32], aad: RecordAad<'_>, nonce: [u8; 24], value: &[u8]) -> Vec<u8>;

    /// Opens a record; the counter in `aad` is ignored, the stored one is authenticated and returned.
    ///
    /// # Errors
    /// Whenever key, place or bytes differ.
    fn open_record(
        &self,
        key: &[u8; 32],
        aad: RecordAad<'_>,
        sealed: &[u8],
    ) -> Result<(u64, Zeroizing<Vec<u8>>), CryptoError>;

    /// Derives the key of one of an entity's tables from the entity's key.
    fn table_key(&self, user_key: &[u8; 32], table: u8) -> Zeroizing<[u8; 32]>;

    /// Keyed hash of an identifier: where its index row lies.
    fn index(&self, keys: &Keyring, kind: u8, value: &[u8]) -> [u8; 16];

    /// Opens a ratchet block on a copy of the session.
    ///
    /// # Errors
    /// Whenever the MAC does not fit, or the header is out of bounds.
    fn ratchet_open(
        &self,
        session: &[u8],
        block: &[u8],
        ad: &[u8; 32],
        now: Timestamp,
        rng: &mut ChaCha20Rng,
    ) -> Result<RatchetOpened, CryptoError>;

    /// A fresh server-side session between a static or vault secret and a client's public key: the encoded session and
    /// the secret's public key, which is the associated data of its messages.
    ///
    /// # Errors
    /// When the agreement is not contributory.
    fn bob_session(&self, secret: &[u8; 32], client: &[u8; 32]) -> Result<(Zeroizing<Vec<u8>>, [u8; 32]), CryptoError>;

    /// A number under a random blind, for the oblivious function: what [`Crypto::finish`] needs, and what is sent. `seed`
    /// must be fresh.
    fn blind(&self, number: &E164, seed: [u8; 32]) -> (Vec<u8>, [u8; 32]);

    /// Evaluates others' blinded numbers under the oblivious key of a stored seed, with one proof for all. `None` when a
    /// point is none, or the batch is empty or too large.
    fn evaluate(&self, key: &[u8; 32], blinded: &[[u8; 32]], seed: [u8; 32]) -> Option<(Vec<[u8; 32]>, Vec<u8>)>;

    /// The tags of a batch; `None` when an answer or the proof is wrong: then none of them counts.
    fn finish(
        &self,
        purpose: Purpose,
        states: &[&[u8]],
        evaluated: &[[u8; 32]],
        proof: &[u8],
        public: &[u8; 32],
    ) -> Option<Vec<Tag>>;

    /// The tag that the oblivious key of a stored seed gives a number.
    fn direct(&self, key: &[u8; 32], number: &E164, purpose: Purpose) -> Tag;

    /// The public half of the oblivious key of a stored seed.
    fn oblivious_public(&self, key: &[u8; 32]) -> [u8; 32];

    /// Whether `auth_key` is the MAC key of `block`: only the holder of the ratchet can know it.
    fn proves(&self, auth_key: &[u8; 32], ad: &[u8; 32], block: &[u8]) -> bool;

    /// Signs parts under a label with the node's key.
    fn sign(&self, keys: &Keyring, label: &'static [u8], parts: &[&[u8]]) -> [u8; 64];

    /// Signs parts under a label with the instance's key.
    fn sign_instance(&self, keys: &Keyring, label: &'static [u8], parts: &[&[u8]]) -> [u8; 64];

    /// Verifies a signature of a node or an instance.
    fn verify(&self, signer: &[u8; 32], label: &'static [u8], parts: &[&[u8]], signature: &[u8; 64]) -> bool;
}
