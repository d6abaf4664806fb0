//! The device ID by which a payload names its sender's account (interop `crypto.md` §8.1).

use crate::kdf::hmac_sha256;
use crate::keys::PublicKey;
use crate::secret::SharedSecret;

/// `HMAC-SHA256(device secret, identifier ‖ client's device key)`. `shared` is the agreement of the two device keys, the
/// identifier the number or e-mail address exactly as the phone sent it (trimming is the caller's decision).
/// In payloads these are the 32 bytes, in the Vault's interface their lower-case hex.
#[must_use]
pub fn device_id(shared: &SharedSecret, identifier: &str, client_device_pub: &PublicKey) -> [u8; 32] {
    *hmac_sha256(shared.as_bytes(), &[identifier.as_bytes(), client_device_pub.as_bytes()])
}
