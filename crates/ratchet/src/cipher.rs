//! AES-CBC with PKCS#7 padding, for messages (256 bit) and Fernet tokens (128 bit). Authenticity is the callers' business:
//! both check a MAC over the ciphertext before they come here.

use aes::{Aes128, Aes256};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use zeroize::Zeroizing;

/// The block of AES in bytes; a padded plaintext is always a positive multiple of it.
pub(crate) const CIPHER_BLOCK_BYTES: usize = 16;

pub(crate) fn encrypt_256(key: &[u8; 32], iv: &[u8; 16], plaintext: &[u8]) -> Vec<u8> {
    encrypt(Aes256::new(key.into()), iv, plaintext)
}

pub(crate) fn decrypt_256(key: &[u8; 32], iv: &[u8; 16], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    decrypt(Aes256::new(key.into()), iv, ciphertext)
}

pub(crate) fn encrypt_128(key: &[u8; 16], iv: &[u8; 16], plaintext: &[u8]) -> Vec<u8> {
    encrypt(Aes128::new(key.into()), iv, plaintext)
}

pub(crate) fn decrypt_128(key: &[u8; 16], iv: &[u8; 16], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    decrypt(Aes128::new(key.into()), iv, ciphertext)
}

fn encrypt<C>(cipher: C, iv: &[u8; 16], plaintext: &[u8]) -> Vec<u8>
where
    C: BlockCipherEncrypt,
    cbc::Encryptor<C>: InnerIvInit<Inner = C> + BlockModeEncrypt,
{
    let padded = (plaintext.len() / CIPHER_BLOCK_BYTES + 1) * CIPHER_BLOCK_BYTES;
    let mut out = vec![0; padded];
    cbc::Encryptor::inner_iv_slice_init(cipher, iv)
        .expect("the IV of AES-CBC has 16 bytes")
        .encrypt_padded_b2b::<Pkcs7>(plaintext, &mut out)
        .expect("the buffer has room for the padding");
    out
}

/// `None` when the length is no positive multiple of a block or the padding is broken.
fn decrypt<C>(cipher: C, iv: &[u8; 16], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>>
where
    C: BlockCipherDecrypt,
    cbc::Decryptor<C>: InnerIvInit<Inner = C> + BlockModeDecrypt,
{
    let mut out = Zeroizing::new(vec![0; ciphertext.len()]);
    let len = cbc::Decryptor::inner_iv_slice_init(cipher, iv)
        .expect("the IV of AES-CBC has 16 bytes")
        .decrypt_padded_b2b::<Pkcs7>(ciphertext, &mut out)
        .ok()?
        .len();
    out.truncate(len);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_round_trips() {
        for len in 0..50 {
            let text = vec![0x5a; len];
            let sealed = encrypt_256(&[1; 32], &[2; 16], &text);
            assert_eq!(sealed.len(), 16 * (len / 16 + 1));
            assert_eq!(decrypt_256(&[1; 32], &[2; 16], &sealed).as_deref(), Some(&text));
            let sealed = encrypt_128(&[1; 16], &[2; 16], &text);
            assert_eq!(decrypt_128(&[1; 16], &[2; 16], &sealed).as_deref(), Some(&text));
        }
    }

    #[test]
    fn ragged_empty_and_badly_padded_input_is_refused() {
        assert!(decrypt_256(&[1; 32], &[2; 16], &[]).is_none());
        assert!(decrypt_256(&[1; 32], &[2; 16], &[0; 15]).is_none());
        assert!(decrypt_256(&[1; 32], &[2; 16], &[0; 16]).is_none());
    }
}
