//! The three derivations of the ratchet (interop `crypto.md` §2–4). Public because they are facts of the wire that tests and
//! other implementations compare against; sessions call them in the right order.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use crate::secret::{AuthKey, ChainKey, MessageKey, RootKey, SharedSecret};

const ROOT_INFO: &[u8] = b"KDF_RK";
const MESSAGE_INFO: &[u8] = b"ENCRYPT";

/// The salt of the message derivation: as many zero bytes as it puts out.
const MESSAGE_SALT: [u8; 80] = [0; 80];

/// HMAC input that moves a chain on, and the one that gives its message key: the reverse of Signal's usual choice.
const NEXT_CHAIN: u8 = 0x01;
const MESSAGE: u8 = 0x02;

/// `KDF_RK`: mixes one agreement into the root key; gives the next root key and a fresh chain.
#[must_use]
pub fn root(root: &RootKey, agreement: &SharedSecret) -> (RootKey, ChainKey) {
    let mut out = Zeroizing::new([0; 64]);
    Hkdf::<Sha512>::new(Some(root.as_bytes()), agreement.as_bytes())
        .expand(ROOT_INFO, out.as_mut())
        .expect("64 bytes are within what HKDF-SHA512 expands to");
    (RootKey::from(piece(&out, 0)), ChainKey::from(piece(&out, 32)))
}

/// `KDF_CK`: one step of a chain; gives the next chain key and the key of this message.
#[must_use]
pub fn chain(chain: &ChainKey) -> (ChainKey, MessageKey) {
    (
        ChainKey::from(*hmac_sha256(chain.as_bytes(), &[&[NEXT_CHAIN]])),
        MessageKey::from(*hmac_sha256(chain.as_bytes(), &[&[MESSAGE]])),
    )
}

/// `ENCRYPT`: cipher key, MAC key and IV of one message.
pub(crate) fn message(key: &MessageKey) -> (Zeroizing<[u8; 32]>, AuthKey, Zeroizing<[u8; 16]>) {
    let mut out = Zeroizing::new([0; 80]);
    Hkdf::<Sha512>::new(Some(&MESSAGE_SALT), key.as_bytes())
        .expand(MESSAGE_INFO, out.as_mut())
        .expect("80 bytes are within what HKDF-SHA512 expands to");
    (Zeroizing::new(piece(&out, 0)), AuthKey::from(piece(&out, 32)), Zeroizing::new(piece(&out, 64)))
}

/// HMAC-SHA256 over the concatenation of `parts`.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn piece<const M: usize, const N: usize>(out: &[u8; M], at: usize) -> [u8; N] {
    let mut piece = [0; N];
    piece.copy_from_slice(&out[at..at + N]);
    piece
}
