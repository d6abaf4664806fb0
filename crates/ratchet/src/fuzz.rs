//! Doors for fuzzing, and for nothing else: what stands behind a MAC, authenticated with a key that the caller knows. A phone
//! knows its device secret, so it can have anything signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::llt::Eid;
use crate::secret::SharedSecret;
use crate::{fernet, jwt};

/// What a phone presents: an entity, and a signed JWT of any header and claims.
#[must_use]
pub fn presented(key: &SharedSecret, eid: &Eid, header: &[u8], claims: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(format!("{eid}:{}", *jwt::sign_parts(key, header, claims)))
}

/// The `long_lived_token` of a login's answer: an authentic Fernet token of any plaintext.
#[must_use]
pub fn login_token(key: &SharedSecret, plaintext: &[u8]) -> String {
    STANDARD.encode(fernet::seal(key, 0, &[7; 16], plaintext))
}

/// The same, of any bytes before the MAC: version, time and ciphertext are not even of the right form.
#[must_use]
pub fn authentic_token(key: &SharedSecret, before_mac: &[u8]) -> String {
    STANDARD.encode(fernet::authenticate(key, before_mac.to_vec()))
}
