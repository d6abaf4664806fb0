//! Letters that lie: acceptances of what was never opened, and rubbish under a good header.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use relaymesh_core::crypto::{Crypto, Letter};
use relaymesh_core::delivery::{Body, Receipt, Submission, print_of};
use relaymesh_protocol::frame::Carried;
use relaymesh_protocol::ids::{EnvelopeId, NodeId, Timestamp};
use relaymesh_seal::envelope::{Bucket, HEADER_LEN, Header};
use relaymesh_seal::keyfile::Keyring;

use crate::kernel::Span;

/// What the header of rubbish promises: the longest that custodians keep.
const RUBBISH_LIFE: Span = Span::days(14);

/// What a liar reads and writes with its own keys.
pub struct Letters<'a> {
    /// The mesh's cryptography.
    pub crypto: &'a dyn Crypto,
    /// The liar's keys.
    pub keys: &'a Keyring,
    /// What its clock shows.
    pub now: Timestamp,
    /// Its luck in this lie.
    pub seed: [u8; 32],
}

impl Letters<'_> {
    /// A submission that was sealed to the liar, and who sealed it.
    #[must_use]
    pub fn submission(&self, carried: &Carried) -> Option<(NodeId, Submission)> {
        let opened = self.crypto.open_letter(self.keys, &carried.envelope).ok()?;
        match Body::decode(&opened.body)? {
            Body::Submission(submission) => Some((opened.sender, *submission)),
            _ => None,
        }
    }

    /// "Accepted", under an invented proof, for whoever handed the message in; `sealing` is that node's sealing key.
    #[must_use]
    pub fn false_acceptance(
        &self,
        submission: &Submission,
        to: NodeId,
        sealing: [u8; 32],
    ) -> Option<(EnvelopeId, Carried)> {
        let mut rng = ChaCha20Rng::from_seed(self.seed);
        let (mut auth_key, mut ad, mut id) = ([0; 32], [0; 32], [0; 16]);
        rng.fill_bytes(&mut auth_key);
        rng.fill_bytes(&mut ad);
        rng.fill_bytes(&mut id);
        let body = Body::Receipts(vec![Receipt::Accepted { message: submission.message, auth_key, ad }]).encode();
        let id = EnvelopeId(id);
        let expiry = Timestamp(self.now.0 + RUBBISH_LIFE.0 / 1_000);
        let letter = Letter { to, sealing, id, created: self.now, expiry, body: &body };
        let envelope = self.crypto.seal_letter(self.keys, letter, &mut rng).ok()?;
        Some((print_of(&envelope), Carried { envelope, hops: 0, copies: 0 }))
    }
}

/// Whether a lie of this rate concerns the person behind a submission: always the same ones.
#[must_use]
pub fn is_about(submission: &Submission, chosen: impl Fn(u64) -> bool) -> bool {
    use relaymesh_core::delivery::Route;
    let key: [u8; 8] = match &submission.route {
        Route::Device(device) => device.as_bytes().first_chunk().copied(),
        Route::Number { tag, .. } | Route::Identity { tag, .. } => tag.as_bytes().first_chunk().copied(),
        Route::Bridge { number } => number.reveal().as_bytes().last_chunk().copied(),
    }
    .unwrap_or_default();
    chosen(u64::from_be_bytes(key))
}

/// Random bytes under a good header for `recipient`.
#[must_use]
pub fn rubbish(recipient: NodeId, now: Timestamp, seed: [u8; 32]) -> Option<(EnvelopeId, Carried)> {
    let mut rng = ChaCha20Rng::from_seed(seed);
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    let mut key_id = [0; 4];
    rng.fill_bytes(&mut key_id);
    let id = EnvelopeId(id);
    let header = Header {
        recipient,
        key_id: relaymesh_seal::keys::KeyId(key_id),
        bucket: Bucket::B1024,
        expiry: Timestamp(now.0 + RUBBISH_LIFE.0 / 1_000),
        id,
    };
    let mut envelope = header.encode()?.to_vec();
    envelope.resize(Bucket::B1024.envelope_len(), 0);
    rng.fill_bytes(&mut envelope[HEADER_LEN..]);
    Some((print_of(&envelope), Carried { envelope, hops: 1, copies: 3 }))
}

#[cfg(test)]
mod tests {
    use relaymesh_core::crypto::RealCrypto;

    use super::*;

    #[test]
    fn rubbish_has_a_header_and_opens_for_nobody() {
        let now = Timestamp(1_800_000_000_000);
        let keys = Keyring::generate(&mut ChaCha20Rng::from_seed([1; 32]), now);
        let (id, carried) = rubbish(keys.node.id(), now, [2; 32]).unwrap();
        let header = Header::parse(&carried.envelope).unwrap();
        assert_eq!((header.recipient, print_of(&carried.envelope)), (keys.node.id(), id));
        assert!(RealCrypto.open_letter(&keys, &carried.envelope).is_err());
    }
}
