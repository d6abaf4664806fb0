//! XChaCha20-Poly1305 over one buffer, so that no copy of a plaintext stays behind.

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};

/// Length of a random nonce: 192 bits never repeat by chance, not even on a store that was rolled back.
pub const NONCE_LEN: usize = 24;
/// Length of the authentication tag.
pub const TAG_LEN: usize = 16;

/// Encrypts `buf[from..]` in place and appends the tag.
pub(crate) fn seal_tail(key: &[u8; 32], nonce: &[u8; NONCE_LEN], aad: &[u8], buf: &mut Vec<u8>, from: usize) {
    let tail = buf.get_mut(from..).expect("callers write the prefix first");
    let tag = XChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(nonce.into(), aad, tail.into())
        .expect("a record is far below the cipher's 256 GiB");
    buf.extend_from_slice(&tag);
}

/// Decrypts ciphertext and tag in place; returns the plaintext's part of `buf`, or nothing when anything differs.
pub(crate) fn open_in_place<'b>(
    key: &[u8; 32],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    buf: &'b mut [u8],
) -> Option<&'b mut [u8]> {
    let (text, tag) = buf.split_last_chunk_mut::<TAG_LEN>()?;
    let tag: &[u8; TAG_LEN] = tag;
    XChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(nonce.into(), aad, (&mut *text).into(), tag.into())
        .ok()?;
    Some(text)
}
