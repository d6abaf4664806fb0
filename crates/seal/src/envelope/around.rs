//! Envelopes around any inside, for fuzzing: a member seals what it likes, so what stands behind the cipher is hostile too.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_protocol::ids::{EnvelopeId, NodeId};

use super::inner::Inner;
use super::{Bucket, EnvelopeError, Opened, encrypt, header, open};
use crate::keys::{NodeKey, SealingSecret};
use crate::labels;

/// Opens an envelope of which `plain` is the inside, with zeros up to the bucket, as whoever knows the recipient's public key
/// can make one. If it has the form of an inside and is to be `signed`, the signature in it is replaced by a sound one.
///
/// # Panics
/// When what has the form of an inside is not written again as it was.
pub(crate) fn open_around(
    plain: &[u8],
    signed: Option<&NodeKey>,
    secret: &SealingSecret,
) -> Result<Opened, EnvelopeError> {
    let fits = |bucket: &Bucket| plain.len() <= bucket.plaintext_len();
    let bucket = Bucket::ALL.into_iter().find(fits).ok_or(EnvelopeError::Inside)?;
    let (me, to) = (NodeId([9; 32]), secret.public());
    let mut plain = plain.to_vec();
    plain.resize(bucket.plaintext_len(), 0);
    let head = header::encode(&me, to.key_id(), bucket, u32::MAX, EnvelopeId([8; 16]));
    let mut rng = ChaCha20Rng::from_seed([7; 32]);
    let envelope = encrypt(&me, &to, &head, bucket, &mut rng, |enc, out, end| match Inner::parse(&plain) {
        None => out.extend_from_slice(&plain),
        Some(mut inner) => {
            let start = out.len();
            inner.write(out, end);
            assert!(out.get(start..) == Some(&plain), "an inside has one encoding");
            if let Some(sender) = signed {
                inner.sender = sender.id();
                inner.sig = sender.sign_digest(labels::ENV_SIG, &inner.digest(enc, &head, &me, &to));
                out.truncate(start);
                inner.write(out, end);
            }
        }
    });
    open(&envelope.expect("the key is sound"), &me, |_| Some(secret))
}
