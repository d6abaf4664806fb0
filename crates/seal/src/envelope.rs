//! What one node seals to another: HPKE base mode to the recipient's sealing key, the sender's signature inside.
//!
//! Carriers see the clear header ([`Header`]) and nothing else, not even who sent it. The signature covers recipient, key,
//! header and body, so a recipient cannot pass an envelope on as if it had been meant for somebody else. Each envelope has
//! a key of its own: a message that is sent again is sealed again.
//!
//! ```text
//! header      magic "RM" ‖ version 1 ‖ suite 1 ‖ recipient 32 ‖ key id 4 ‖ bucket 1 ‖ expiry u32 minutes ‖ envelope id 16
//! envelope    header ‖ enc 32 ‖ ciphertext (bucket) ‖ tag 16
//! plaintext   sender 32 ‖ created u32 minutes ‖ kind 1 ‖ signature 64 ‖ length u32 ‖ body ‖ 0x80 ‖ zeros up to the bucket
//! info        "RM1/env-info\0" ‖ LP16(recipient) ‖ LP16(sealing key)
//! aad         "RM1/env-aad\0" ‖ header
//! signature   Ed25519("RM1/env-sig\0" ‖ SHA-256(enc ‖ header ‖ LP16(recipient) ‖ LP16(sealing key) ‖ sender ‖ created ‖ kind ‖ body))
//! ```

mod around;
mod header;
mod inner;

use hpke::aead::{AeadTag, ChaCha20Poly1305};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng};
use rand_core::CryptoRng;
use relaymesh_protocol::ids::{EnvelopeId, NodeId, Timestamp};
use zeroize::Zeroizing;

use crate::aead::TAG_LEN;
use crate::framing::lp16;
use crate::keys::{KeyId, NodeKey, SealingPublic, SealingSecret};
use crate::labels;

pub(crate) use around::open_around;
pub use header::{Bucket, HEADER_LEN, Header, SUITE, VERSION};
use inner::Inner;

/// Length of the encapsulated X25519 key.
const ENC_LEN: usize = 32;
/// Most bytes of a body: the largest bucket without what stands before the body and the padding's mark.
pub const BODY_LEN_MAX: usize = Bucket::B65536.plaintext_len() - inner::OVERHEAD;
/// Most bytes of an envelope, for limits on the way.
pub const ENVELOPE_LEN_MAX: usize = HEADER_LEN + ENC_LEN + Bucket::B65536.plaintext_len() + TAG_LEN;

type EncappedKey = <X25519HkdfSha256 as Kem>::EncappedKey;

/// Why a body could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The body exceeds [`BODY_LEN_MAX`].
    #[error("the body has {len} bytes, an envelope carries at most {BODY_LEN_MAX}")]
    TooLong {
        /// Its length.
        len: usize,
    },
    /// A time lies beyond what 32 bits of minutes hold (the year 10136).
    #[error("the time of creation or expiry is out of range")]
    Time,
    /// The recipient's sealing key is no sound X25519 key.
    #[error("the recipient's sealing key is not a sound one")]
    RecipientKey,
}

/// Why bytes are no envelope for us. Answer nobody with it: count it and drop the envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Shorter than a header, or without the magic.
    #[error("not an envelope")]
    NotAnEnvelope,
    /// Written by a newer release.
    #[error("envelope version {0} is not known here, only {VERSION}")]
    Version(u8),
    /// A cipher suite we do not speak.
    #[error("envelope suite {0} is not known here, only {SUITE}")]
    Suite(u8),
    /// A size class that does not exist.
    #[error("envelope bucket {0} does not exist")]
    Bucket(u8),
    /// Not the one length that the bucket allows.
    #[error("the envelope has {got} bytes, its bucket means {expected}")]
    Length {
        /// What the bucket means.
        expected: usize,
        /// What there is.
        got: usize,
    },
    /// Sealed to another node.
    #[error("the envelope is for another node")]
    OtherRecipient,
    /// Sealed to a key that we never had or already destroyed.
    #[error("the envelope is sealed to a key that is not kept here")]
    UnknownKey,
    /// Damaged, forged, or sealed to something else.
    #[error("the envelope does not open")]
    DoesNotOpen,
    /// It opened, but its inside is not of the one form that exists.
    #[error("the inside of the envelope is malformed")]
    Inside,
    /// The inner signature does not hold for the sender that it names.
    #[error("the sender's signature does not hold")]
    Signature,
}

/// An envelope as its recipient read it; the signature holds.
#[derive(Clone)]
pub struct Opened {
    /// The clear header, authenticated.
    pub header: Header,
    /// Who signed it.
    pub sender: NodeId,
    /// When, in whole minutes, as the sender tells.
    pub created: Timestamp,
    /// What the body is; the core names the kinds.
    pub kind: u8,
    /// The body. Wiped on drop.
    pub body: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("id", &self.header.id)
            .field("sender", &self.sender)
            .field("kind", &self.kind)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Seals `body` to `recipient`'s sealing key `to`, signed by `sender`. `created` is rounded down to minutes, `expiry` up.
///
/// # Errors
/// When the body is too long, a time is out of range, or the recipient's key is not sound.
#[expect(clippy::too_many_arguments, reason = "each is a field of the format; a struct would only rename them")]
pub fn seal(
    sender: &NodeKey,
    recipient: &NodeId,
    to: &SealingPublic,
    id: EnvelopeId,
    created: Timestamp,
    expiry: Timestamp,
    kind: u8,
    body: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, SealError> {
    let bucket = Bucket::for_body(body.len()).ok_or(SealError::TooLong { len: body.len() })?;
    let expiry_minutes = minutes(expiry.0.div_ceil(MINUTE_MS))?;
    let head = header::encode(recipient, to.key_id(), bucket, expiry_minutes, id);
    let created_minutes = minutes(created.0 / MINUTE_MS)?;
    encrypt(recipient, to, &head, bucket, rng, |enc, out, end| {
        let mut inner = Inner { sender: sender.id(), created_minutes, kind, body, sig: [0; 64] };
        inner.sig = sender.sign_digest(labels::ENV_SIG, &inner.digest(enc, &head, recipient, to));
        inner.write(out, end);
    })
}

/// Encrypts what `write` appends up to the length that it is given, behind the header and the encapsulated key.
fn encrypt(
    recipient: &NodeId,
    to: &SealingPublic,
    head: &[u8; HEADER_LEN],
    bucket: Bucket,
    rng: &mut impl CryptoRng,
    write: impl FnOnce(&[u8; ENC_LEN], &mut Vec<u8>, usize),
) -> Result<Vec<u8>, SealError> {
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&to.0).map_err(|_| SealError::RecipientKey)?;
    let (enc, mut context) = setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        &info(recipient, to),
        rng,
    )
    .map_err(|_| SealError::RecipientKey)?;
    let enc: [u8; ENC_LEN] = enc.to_bytes().into();

    let start = HEADER_LEN + ENC_LEN;
    let mut out = Vec::with_capacity(start + bucket.plaintext_len() + TAG_LEN);
    out.extend_from_slice(head);
    out.extend_from_slice(&enc);
    write(&enc, &mut out, start + bucket.plaintext_len());
    let plain = out.get_mut(start..).expect("the plaintext was just written");
    let tag = context
        .seal_inout_detached(InOutBuf::from(plain), &aad(head))
        .expect("the first message of a context is within every limit");
    out.extend_from_slice(&tag.to_bytes());
    Ok(out)
}

/// Opens an envelope that is addressed to `me`, with the key that `key` finds for its id, and verifies the signature.
///
/// # Errors
/// Whenever anything about it is wrong; the one who sent it must not learn which.
pub fn open<'k>(
    envelope: &[u8],
    me: &NodeId,
    key: impl Fn(KeyId) -> Option<&'k SealingSecret>,
) -> Result<Opened, EnvelopeError> {
    let header = Header::parse(envelope)?;
    if header.recipient != *me {
        return Err(EnvelopeError::OtherRecipient);
    }
    let secret = key(header.key_id).ok_or(EnvelopeError::UnknownKey)?;
    let (head, enc, ciphertext, tag) = split(envelope).ok_or(EnvelopeError::NotAnEnvelope)?;
    let plain = decrypt(secret, me, head, enc, ciphertext, tag).ok_or(EnvelopeError::DoesNotOpen)?;
    let inner = Inner::parse(&plain).filter(|i| Bucket::for_body(i.body.len()) == Some(header.bucket));
    let inner = inner.ok_or(EnvelopeError::Inside)?;
    inner.verify(enc, head, me, &secret.public()).map_err(|_| EnvelopeError::Signature)?;
    Ok(Opened {
        header,
        sender: inner.sender,
        created: Timestamp(u64::from(inner.created_minutes) * MINUTE_MS),
        kind: inner.kind,
        body: Zeroizing::new(inner.body.to_vec()),
    })
}

type Split<'e> = (&'e [u8; HEADER_LEN], &'e [u8; ENC_LEN], &'e [u8], &'e [u8; TAG_LEN]);

fn split(envelope: &[u8]) -> Option<Split<'_>> {
    let (head, rest) = envelope.split_first_chunk()?;
    let (enc, rest) = rest.split_first_chunk()?;
    let (ciphertext, tag) = rest.split_last_chunk()?;
    Some((head, enc, ciphertext, tag))
}

fn decrypt(
    secret: &SealingSecret,
    me: &NodeId,
    head: &[u8; HEADER_LEN],
    enc: &[u8; ENC_LEN],
    ciphertext: &[u8],
    tag: &[u8; TAG_LEN],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut context = setup_receiver::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret.private_key(),
        &EncappedKey::from_bytes(enc).ok()?,
        &info(me, &secret.public()),
    )
    .ok()?;
    let mut plain = Zeroizing::new(ciphertext.to_vec());
    let tag = AeadTag::from_bytes(tag).ok()?;
    context.open_inout_detached(InOutBuf::from(plain.as_mut_slice()), &aad(head), &tag).ok()?;
    Some(plain)
}

/// Milliseconds in the unit of the header's times.
const MINUTE_MS: u64 = 60_000;

fn minutes(value: u64) -> Result<u32, SealError> {
    u32::try_from(value).map_err(|_| SealError::Time)
}

fn info(recipient: &NodeId, to: &SealingPublic) -> Vec<u8> {
    let mut out = labels::ENV_INFO.to_vec();
    lp16(&mut out, recipient.as_bytes());
    lp16(&mut out, &to.0);
    out
}

fn aad(head: &[u8; HEADER_LEN]) -> Vec<u8> {
    [labels::ENV_AAD, head].concat()
}
