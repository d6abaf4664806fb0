//! Known mistakes, planted through the ports of every node: a disk that keeps less than it says, cryptography that believes
//! everything. The node's own code has no door for them. Each must be caught by an invariant, or the invariants are worth
//! nothing.

use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use relaymesh_core::batch::{Batch, Write};
use relaymesh_core::crypto::{Crypto, CryptoError, Letter, OpenedLetter, Publics, RatchetOpened, RecordAad};
use relaymesh_core::record::{key, vault};
use relaymesh_protocol::ids::{E164, InstanceId, NodeId, Tag, Timestamp};
use relaymesh_seal::keyfile::Keyring;
use relaymesh_seal::oblivious::Purpose;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::kernel::{Span, Time};
use crate::world::Disk;

/// What a disk that lies has not written yet.
const WRITE_BACK: Span = Span::secs(600);

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Planted {
    /// A custodian says yes before its copy is durable: a crash within ten minutes loses it.
    CustodyBeforeDurable,
    /// A home forgets which blocks it consumed when it starts again.
    ForgetsConsumed,
    /// An ingress believes an acceptance that proves nothing.
    BelievesUnproven,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::CustodyBeforeDurable, Self::ForgetsConsumed, Self::BelievesUnproven];

    /// The nodes' cryptography with the mistake.
    #[must_use]
    pub fn port(planted: Option<Self>, crypto: Arc<dyn Crypto>) -> Arc<dyn Crypto> {
        if planted == Some(Self::BelievesUnproven) { Arc::new(Credulous(crypto)) } else { crypto }
    }

    /// A batch is written.
    pub fn at_write(planted: Option<Self>, disk: &mut Disk, batch: &Batch, now: Time) {
        if planted != Some(Self::CustodyBeforeDurable) {
            return;
        }
        for write in &batch.writes {
            if let Write::Put { key: row, .. } = write
                && row.first() == Some(&key::CUSTODY)
            {
                disk.delay(row.clone(), now);
            }
        }
    }

    /// The node dies.
    pub fn at_crash(planted: Option<Self>, disk: &mut Disk, now: Time) {
        if planted == Some(Self::CustodyBeforeDurable) {
            disk.lose_since(Time(now.0.saturating_sub(WRITE_BACK.0)));
        }
    }

    /// The node starts again.
    pub fn at_start(planted: Option<Self>, disk: &mut Disk) {
        if planted == Some(Self::ForgetsConsumed) {
            disk.lose(|row| row.first() == Some(&key::ENTITY) && row.get(17) == Some(&vault::SEEN));
        }
    }
}

/// Cryptography to which every acceptance is proven.
#[derive(Debug)]
struct Credulous(Arc<dyn Crypto>);

impl Crypto for Credulous {
    fn proves(&self, _: &[u8; 32], _: &[u8; 32], _: &[u8]) -> bool {
        true
    }

    fn node_id(&self, keys: &Keyring) -> NodeId {
        self.0.node_id(keys)
    }

    fn instance_id(&self, keys: &Keyring) -> InstanceId {
        self.0.instance_id(keys)
    }

    fn publics(&self, keys: &Keyring) -> Publics {
        self.0.publics(keys)
    }

    fn seal_letter(&self, keys: &Keyring, letter: Letter<'_>, rng: &mut ChaCha20Rng) -> Result<Vec<u8>, CryptoError> {
        self.0.seal_letter(keys, letter, rng)
    }

    fn open_letter(&self, keys: &Keyring, envelope: &[u8]) -> Result<OpenedLetter, CryptoError> {
        self.0.open_letter(keys, envelope)
    }

    fn seal_record(&self, key: &[u8; 32], aad: RecordAad<'_>, nonce: [u8; 24], value: &[u8]) -> Vec<u8> {
        self.0.seal_record(key, aad, nonce, value)
    }

    fn open_record(
        &self,
        key: &[u8; 32],
        aad: RecordAad<'_>,
        sealed: &[u8],
    ) -> Result<(u64, Zeroizing<Vec<u8>>), CryptoError> {
        self.0.open_record(key, aad, sealed)
    }

    fn table_key(&self, user_key: &[u8; 32], table: u8) -> Zeroizing<[u8; 32]> {
        self.0.table_key(user_key, table)
    }

    fn index(&self, keys: &Keyring, kind: u8, value: &[u8]) -> [u8; 16] {
        self.0.index(keys, kind, value)
    }

    fn ratchet_open(
        &self,
        session: &[u8],
        block: &[u8],
        ad: &[u8; 32],
        now: Timestamp,
        rng: &mut ChaCha20Rng,
    ) -> Result<RatchetOpened, CryptoError> {
        self.0.ratchet_open(session, block, ad, now, rng)
    }

    fn bob_session(&self, secret: &[u8; 32], client: &[u8; 32]) -> Result<(Zeroizing<Vec<u8>>, [u8; 32]), CryptoError> {
        self.0.bob_session(secret, client)
    }

    fn blind(&self, number: &E164, seed: [u8; 32]) -> (Vec<u8>, [u8; 32]) {
        self.0.blind(number, seed)
    }

    fn evaluate(&self, key: &[u8; 32], blinded: &[[u8; 32]], seed: [u8; 32]) -> Option<(Vec<[u8; 32]>, Vec<u8>)> {
        self.0.evaluate(key, blinded, seed)
    }

    fn finish(
        &self,
        purpose: Purpose,
        states: &[&[u8]],
        evaluated: &[[u8; 32]],
        proof: &[u8],
        public: &[u8; 32],
    ) -> Option<Vec<Tag>> {
        self.0.finish(purpose, states, evaluated, proof, public)
    }

    fn direct(&self, key: &[u8; 32], number: &E164, purpose: Purpose) -> Tag {
        self.0.direct(key, number, purpose)
    }

    fn oblivious_public(&self, key: &[u8; 32]) -> [u8; 32] {
        self.0.oblivious_public(key)
    }

    fn sign(&self, keys: &Keyring, label: &'static [u8], parts: &[&[u8]]) -> [u8; 64] {
        self.0.sign(keys, label, parts)
    }

    fn sign_instance(&self, keys: &Keyring, label: &'static [u8], parts: &[&[u8]]) -> [u8; 64] {
        self.0.sign_instance(keys, label, parts)
    }

    fn verify(&self, signer: &[u8; 32], label: &'static [u8], parts: &[&[u8]], signature: &[u8; 64]) -> bool {
        self.0.verify(signer, label, parts, signature)
    }
}
