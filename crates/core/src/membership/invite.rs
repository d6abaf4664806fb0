//! Invite codes: what one operator hands another, out of band, so that a node can join.
//!
//! `rm1` and unpadded base32 (lower case) of a postcard body and the first four bytes of its labelled SHA-256. Whoever has
//! the code may join once; the inviting node keeps only what checks a proof, never the secret.

use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use relaymesh_protocol::ids::{InstanceId, MeshId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::record::{Scope, Stored};

/// What a code begins with: kind and version.
const PREFIX: &str = "rm1";
/// Bytes of the checksum at the end.
const CHECK_LEN: usize = 4;
/// Longest code looked at, in characters: two nodes with two long addresses each.
const CODE_CHARS_MAX: usize = 2_048;
/// Nodes in a code, and addresses of each.
pub(super) const BOOTSTRAPS_MAX: usize = 2;
/// An invite is good for so long.
pub(super) const LIFE: Duration = Duration::from_secs(7 * 86_400);
/// Invites that wait to be used.
pub(super) const INVITES_MAX: usize = 1_000;

/// What a code says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(super) struct Code {
    #[zeroize(skip)]
    pub mesh: MeshId,
    /// The inviting node first.
    #[zeroize(skip)]
    pub bootstraps: Vec<(NodeId, Vec<String>)>,
    /// The inviting instance.
    #[zeroize(skip)]
    pub instance: InstanceId,
    pub secret: [u8; 16],
    #[zeroize(skip)]
    pub expires: Timestamp,
    /// The joiner becomes a node of the inviting instance.
    pub own: bool,
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code")
    }
}

/// Why a text is no invite code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CodeError {
    #[error("this is no invite code: one begins with rm1 and comes from `relaymesh node invite`")]
    Prefix,
    #[error("the invite code has a typo or is not complete: copy it again")]
    Check,
    #[error("the invite code was made by a newer release: update this node")]
    Form,
}

impl Code {
    /// The code as people see it.
    pub fn encode(&self) -> String {
        let mut body = postcard::to_stdvec(self).expect("writing to memory cannot fail");
        let check = checksum(&body);
        body.extend_from_slice(&check);
        let text = format!("{PREFIX}{}", BASE32_NOPAD.encode(&body).to_ascii_lowercase());
        body.zeroize();
        text
    }

    /// Reads a code as people type it: any case, with blanks, line ends and dashes anywhere.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        let compact: String = text
            .chars()
            .take(CODE_CHARS_MAX)
            .filter(|c| !c.is_whitespace() && *c != '-')
            .map(|c| c.to_ascii_lowercase())
            .collect();
        let rest = compact.strip_prefix(PREFIX).ok_or(CodeError::Prefix)?;
        let bytes = BASE32_NOPAD.decode(rest.to_ascii_uppercase().as_bytes()).map_err(|_| CodeError::Check)?;
        let (body, check) = bytes.split_last_chunk::<CHECK_LEN>().ok_or(CodeError::Check)?;
        if *check != checksum(body) {
            return Err(CodeError::Check);
        }
        let (code, left) = postcard::take_from_bytes::<Self>(body).map_err(|_| CodeError::Form)?;
        let few = |(_, addrs): &(NodeId, Vec<String>)| addrs.len() <= BOOTSTRAPS_MAX;
        let sound =
            left.is_empty() && (1..=BOOTSTRAPS_MAX).contains(&code.bootstraps.len()) && code.bootstraps.iter().all(few);
        if sound { Ok(code) } else { Err(CodeError::Form) }
    }
}

/// Whether a text has the form of an invite code; whether it is still good only the inviting node knows.
///
/// # Errors
/// What is wrong with it, and what to do. The text is not repeated.
pub fn check_code(text: &str) -> Result<(), String> {
    Code::parse(text).map(drop).map_err(|error| error.to_string())
}

fn checksum(body: &[u8]) -> [u8; CHECK_LEN] {
    let digest = Sha256::new().chain_update(b"RM1/invite-code\0").chain_update(body).finalize();
    *digest.first_chunk().expect("SHA-256 has 32 bytes")
}

/// What the inviting node keeps of an invite.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Invite {
    /// Checks proofs.
    key: [u8; 32],
    #[zeroize(skip)]
    pub expires: Timestamp,
    pub own: bool,
    /// Who used it; the same node may ask again, since an answer can be lost.
    #[zeroize(skip)]
    pub used_by: Option<NodeId>,
}

impl Stored for Invite {
    const SCOPE: Scope = Scope::Node;
}

impl std::fmt::Debug for Invite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invite").field("expires", &self.expires).field("own", &self.own).finish_non_exhaustive()
    }
}

/// That the joiner holds a secret, told to this inviter by this joiner only.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Proof {
    pub id: [u8; 8],
    mac: [u8; 32],
}

impl Invite {
    /// What is kept of a secret, and the id that names it.
    pub(super) fn of(secret: &[u8; 16], expires: Timestamp, own: bool) -> ([u8; 8], Self) {
        (id(secret), Self { key: key(secret), expires, own, used_by: None })
    }

    /// Whether a node may join by this proof, now.
    pub(super) fn admits(&self, proof: &Proof, joiner: &NodeId, inviter: &NodeId, now: Timestamp) -> bool {
        let fresh = match self.used_by {
            Some(node) => node == *joiner,
            None => now < self.expires,
        };
        fresh && mac(&self.key, joiner, inviter).verify_slice(&proof.mac).is_ok()
    }
}

impl Proof {
    /// By the secret.
    pub fn new(secret: &[u8; 16], joiner: &NodeId, inviter: &NodeId) -> Self {
        let mac = mac(&key(secret), joiner, inviter).finalize().into_bytes().into();
        Self { id: id(secret), mac }
    }

    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("writing to memory cannot fail")
    }

    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (proof, left) = postcard::take_from_bytes(bytes).ok()?;
        left.is_empty().then_some(proof)
    }
}

fn id(secret: &[u8; 16]) -> [u8; 8] {
    let digest = Sha256::new().chain_update(b"RM1/invite-id\0").chain_update(secret).finalize();
    *digest.first_chunk().expect("SHA-256 has 32 bytes")
}

fn key(secret: &[u8; 16]) -> [u8; 32] {
    Sha256::new().chain_update(b"RM1/invite-key\0").chain_update(secret).finalize().into()
}

fn mac(key: &[u8; 32], joiner: &NodeId, inviter: &NodeId) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key)
        .expect("HMAC takes a key of any length")
        .chain_update(b"RM1/join\0")
        .chain_update(joiner.0)
        .chain_update(inviter.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code() -> Code {
        Code {
            mesh: MeshId([1; 16]),
            bootstraps: vec![(NodeId([2; 32]), vec!["/ip4/192.0.2.1/tcp/7443".into()])],
            instance: InstanceId([3; 32]),
            secret: [4; 16],
            expires: Timestamp(5),
            own: true,
        }
    }

    #[test]
    fn a_code_is_read_as_people_type_it() {
        let text = code().encode();
        assert!(text.starts_with("rm1") && text.bytes().all(|b| b.is_ascii_alphanumeric()));
        let (head, tail) = text.split_at(40);
        for typed in [text.clone(), text.to_uppercase(), format!(" {head}\n  {tail}\n"), format!("{head}-{tail}")] {
            assert_eq!(Code::parse(&typed), Ok(code()));
        }
    }

    #[test]
    fn every_typo_is_told() {
        let text = code().encode();
        for at in PREFIX.len()..text.len() {
            let other = if &text[at..=at] == "a" { "b" } else { "a" };
            let typo = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(Code::parse(&typo), Err(CodeError::Check), "{at}");
        }
        assert_eq!(Code::parse(&text[..text.len() - 8]), Err(CodeError::Check));
        assert_eq!(Code::parse("hello"), Err(CodeError::Prefix));
        assert_eq!(Code::parse(""), Err(CodeError::Prefix));
    }

    #[test]
    fn a_proof_is_good_for_one_joiner_at_one_inviter() {
        let (a, b, c) = (NodeId([1; 32]), NodeId([2; 32]), NodeId([3; 32]));
        let (id, mut invite) = Invite::of(&[7; 16], Timestamp(10), false);
        let proof = Proof::parse(&Proof::new(&[7; 16], &b, &a).encode()).unwrap();
        assert_eq!(proof.id, id);
        assert!(invite.admits(&proof, &b, &a, Timestamp(9)));
        assert!(!invite.admits(&proof, &b, &a, Timestamp(10)), "expired");
        assert!(!invite.admits(&proof, &c, &a, Timestamp(9)), "another joiner");
        assert!(!invite.admits(&proof, &b, &c, Timestamp(9)), "another inviter");
        assert!(!invite.admits(&Proof::new(&[8; 16], &b, &a), &b, &a, Timestamp(9)), "another secret");
        invite.used_by = Some(c);
        assert!(!invite.admits(&proof, &b, &a, Timestamp(9)), "used up");
        invite.used_by = Some(b);
        assert!(invite.admits(&proof, &b, &a, Timestamp(9)), "the answer was lost");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_text_and_any_proof_is_read_or_refused(text in "(rm1)?\\PC{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Code::parse(&text);
            let _ = Proof::parse(&bytes);
            let mut body = bytes;
            let check = checksum(&body);
            body.extend_from_slice(&check);
            let _ = Code::parse(&format!("{PREFIX}{}", BASE32_NOPAD.encode(&body)));
        }
    }
}
