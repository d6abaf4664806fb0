//! The registry of domain-separation labels. One use, one label: ASCII, `RM1/`, ended by NUL, so that none is a prefix of
//! another. Fixed once, never changed; a new meaning gets a new label.

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &[u8] = concat!($text, "\0").as_bytes();)*

        /// Every label there is.
        pub const ALL: &[&[u8]] = &[$($name),*];
    };
}

labels! {
    /// HPKE `info` of an envelope.
    ENV_INFO = "RM1/env-info";
    /// Associated data of an envelope, before its clear header.
    ENV_AAD = "RM1/env-aad";
    /// Inner signature of an envelope.
    ENV_SIG = "RM1/env-sig";
    /// Message id (made in `relaymesh-protocol`).
    MESSAGE = "RM1/message";
    /// Signature of an instance record by its instance key.
    INSTANCE_RECORD = "RM1/instance-record";
    /// Signature of a node record by its node key.
    NODE_RECORD = "RM1/node-record";
    /// Endorsement of a node by its instance key.
    NODE_ENDORSE = "RM1/node-endorse";
    /// Endorsement of an instance by its sponsor.
    SPONSOR = "RM1/sponsor";
    /// Revocation of a node or an instance.
    REVOCATION = "RM1/revocation";
    /// Signature over a set filter.
    FILTER = "RM1/filter";
    /// Signature over an invite code.
    INVITE = "RM1/invite";
    /// Signature over a bundle's manifest.
    BUNDLE = "RM1/bundle";
    /// Key-encrypting key from a passphrase's Argon2id output.
    KEK_PASS = "RM1/kek-pass";
    /// Check value that tells a wrong key from a damaged key file.
    KEK_CHECK = "RM1/kek-check";
    /// Associated data of a key file's slot.
    KEYFILE = "RM1/keyfile";
    /// Associated data of a wrapped user key.
    WRAP_USER = "RM1/wrap-user";
    /// Derivation of a table's key from a user key.
    USER_SUB = "RM1/user-sub";
    /// Associated data of an entity's record.
    REC_AAD = "RM1/rec-aad";
    /// Associated data of a record under a day key.
    DAY_AAD = "RM1/day-aad";
    /// Keyed hash of an identifier for an index row.
    INDEX = "RM1/index";
    /// Derivation of a node's oblivious key from its seed.
    OPRF_KEY = "RM1/oprf-key";
    /// Derivation of one seed per oblivious question.
    OPRF_SEED = "RM1/oprf-seed";
    /// Input of the oblivious function.
    OPRF_CTX = "RM1/oprf-ctx";
    /// Tag of a device ID.
    TAG_DEVICE = "RM1/tag-device";
    /// Tag of a number with an account.
    TAG_PHONE = "RM1/tag-phone";
    /// Tag of a bridge identity.
    TAG_BRIDGE = "RM1/tag-bridge";
    /// One-time code as stored.
    OTP_MAC = "RM1/otp-mac";
    /// Hash chain or deduplication key of a consumed block.
    DEDUP = "RM1/dedup";
    /// What a platform knows one part of a publication by.
    IDEMPOTENCY = "RM1/idempotency";
    /// Token that a reply to bridge mail carries.
    ALIAS = "RM1/alias";
    /// Token in a bounce address.
    BOUNCE_MAC = "RM1/bounce-mac";
    /// Copy of a key file for recovery.
    BACKUP = "RM1/backup";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn labels_are_ascii_ended_by_their_only_nul() {
        for label in ALL {
            let (last, text) = label.split_last().unwrap();
            assert_eq!(*last, 0);
            assert!(text.starts_with(b"RM1/") && text.iter().all(|b| b.is_ascii_graphic()), "{text:?}");
        }
    }

    #[test]
    fn no_label_is_a_prefix_of_another() {
        for (i, a) in ALL.iter().enumerate() {
            for (j, b) in ALL.iter().enumerate() {
                assert!(i == j || !b.starts_with(a), "{a:?} starts {b:?}");
            }
        }
    }
}
