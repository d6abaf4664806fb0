//! Agreement, derivations, message encryption and header.

use relaymesh_ratchet::{
    ChainKey, Header, MessageKey, PublicKey, RootKey, SharedSecret, agree, derive_message_keys, kdf, verify_auth,
};

use crate::{array, bytes, number, pair, records};

#[test]
fn x25519_agree() {
    for record in records("x25519_agree", 6) {
        let a = pair(&record["a_priv"], &record["a_pub"]);
        let b = pair(&record["b_priv"], &record["b_pub"]);
        let shared = SharedSecret::from(array(&record["shared"]));
        assert_eq!(agree(a.secret(), &b.public()).unwrap(), shared);
        assert_eq!(agree(b.secret(), &a.public()).unwrap(), shared);
        assert_ne!(shared.as_bytes(), &array(&record["raw_dh"]));
    }
}

#[test]
fn kdf_rk() {
    for record in records("kdf_rk", 5) {
        let (root, chain) =
            kdf::root(&RootKey::from(array(&record["rk"])), &SharedSecret::from(array(&record["dh_out"])));
        assert_eq!(root.as_bytes(), &array(&record["new_rk"]));
        assert_eq!(chain.as_bytes(), &array(&record["ck"]));
    }
}

#[test]
fn kdf_ck() {
    for record in records("kdf_ck", 5) {
        let (next, key) = kdf::chain(&ChainKey::from(array(&record["ck"])));
        assert_eq!(next.as_bytes(), &array(&record["next_ck"]));
        assert_eq!(key.as_bytes(), &array(&record["mk"]));
    }
}

#[test]
fn encrypt() {
    for record in records("encrypt", 9) {
        let keys = derive_message_keys(&MessageKey::from(array(&record["mk"])));
        assert_eq!(keys.enc_key(), &array(&record["enc_key"]));
        assert_eq!(keys.auth_key().as_bytes(), &array(&record["auth_key"]));
        assert_eq!(keys.iv(), &array(&record["iv"]));

        let concat: [u8; 72] = array(&record["ad_concat"]);
        let ad: [u8; 32] = concat[..32].try_into().unwrap();
        // The recorded header is 40 random bytes: counters are set past the check, since what is compared here is the cipher.
        let mut header = Header::new(0, 0, PublicKey(concat[40..].try_into().unwrap())).unwrap();
        header.pn = u32::from_le_bytes(concat[32..36].try_into().unwrap());
        header.n = u32::from_le_bytes(concat[36..40].try_into().unwrap());

        let block = keys.seal(&ad, &header, &bytes(&record["plaintext"]));
        let wire = [&[40, 0, 0, 0], &concat[32..], &bytes(&record["ciphertext_mac"])].concat();
        assert_eq!(block.as_bytes(), wire);
        assert!(verify_auth(&array(&record["auth_key"]), &ad, &block));
        assert_eq!(keys.open(&ad, &block).unwrap().as_slice(), bytes(&record["plaintext"]));
    }
}

#[test]
fn header() {
    for record in records("header", 5) {
        let header = Header::new(number(&record["pn"]), number(&record["n"]), PublicKey(array(&record["dh"]))).unwrap();
        assert_eq!(header.encode(), array(&record["serialized"]));
        assert_eq!(Header::parse(&bytes(&record["serialized"])), Ok(header));
    }
}
