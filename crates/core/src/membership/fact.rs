//! Signed facts: what is said about who is in the mesh, and the one form in which it is said.
//!
//! A fact travels and lies on disk as `signature 64 ‖ version 1 ‖ postcard body`. The signature covers the mesh id and the
//! body under the label of its kind, so that a fact of one mesh means nothing in another. Of two facts about one
//! [`Subject`] the later [`Fact::seq`] wins; with equal numbers the lower hash does, so that every order of arrival ends alike.

use std::time::Duration;

use relaymesh_protocol::ids::{InstanceId, MeshId, NodeId, Timestamp};
use relaymesh_seal::labels;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::Roles;
use crate::crypto::Crypto;

/// Most bytes of one encoded fact: a node record with all it may hold has under 3 KiB.
pub const FACT_BYTES_MAX: usize = 4 * 1024;
/// A node record is valid so long at most; afterwards it is a dial hint.
pub const RECORD_LIFE_MAX: Duration = Duration::from_secs(14 * 86_400);
/// An endorsement is valid so long at most: longer than the 120 days that a cut-off region has to come back.
pub const ENDORSEMENT_LIFE_MAX: Duration = Duration::from_secs(200 * 86_400);
/// A fact may be so far ahead of our clock: a quarter of an hour of skew, and a day for clocks set to another zone.
pub const SKEW_MAX: Duration = Duration::from_secs(86_400 + 15 * 60);
/// Characters of a name or a contact.
const TEXT_MAX: usize = 128;
/// Characters of a multiaddress.
const ADDR_MAX: usize = 256;
/// Multiaddresses in a record.
pub const ADDRS_MAX: usize = 8;
/// Sealing keys in a record: one a week for 120 days, and spare.
pub const SEALING_KEYS_MAX: usize = 20;
/// Oblivious keys in a record: one per 120 days, kept 150.
pub const OBLIVIOUS_KEYS_MAX: usize = 4;
/// Key ids of static bridge keys are one byte.
pub const STATIC_KEYS_MAX: usize = 256;
/// Countries of which a record says that SMS can be sent there; who sends to more says "to all".
pub const SMS_COUNTRIES_MAX: usize = 64;
/// Format version, before the body.
const VERSION: u8 = 1;
/// A federation has no label in the registry of the seal crate, which lists what its own formats use.
const FEDERATION: &[u8] = b"RM1/federation\0";
const SIGNATURE_LEN: usize = 64;

/// An operator's nodes and users, as it presents itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its key.
    pub id: InstanceId,
    /// For people.
    pub name: String,
    /// How to reach the operator.
    pub contact: String,
    /// Who brought it in, as it says; counts with that instance's [`Sponsorship`]. The first instance has none.
    pub sponsor: Option<InstanceId>,
    /// When it was said, in milliseconds since the epoch, and later than what was said before.
    pub seq: u64,
}

/// An instance brought another into the mesh, and answers for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sponsorship {
    /// Who signs.
    pub sponsor: InstanceId,
    /// Whom it brought.
    pub instance: InstanceId,
    /// As [`Instance::seq`].
    pub seq: u64,
}

/// A node or an instance is out for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Who signs.
    pub by: InstanceId,
    /// A node of the signer; none revokes the signer itself.
    pub node: Option<NodeId>,
    /// As [`Instance::seq`].
    pub seq: u64,
}

/// An instance calls a node its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endorsement {
    /// Who signs.
    pub instance: InstanceId,
    /// Its node.
    pub node: NodeId,
    /// Until when.
    pub expires: Timestamp,
    /// As [`Instance::seq`].
    pub seq: u64,
}

/// A node as it presents itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its key.
    pub node: NodeId,
    /// Whose it is; counts with that instance's [`Endorsement`].
    pub instance: InstanceId,
    /// For people.
    pub name: String,
    /// X25519 keys to seal to and when they were made, newest first.
    pub sealing: Vec<([u8; 32], Timestamp)>,
    /// Public oblivious keys by id, newest first.
    pub oblivious: Vec<(u32, [u8; 32])>,
    /// What it does.
    pub roles: Roles,
    /// Where it may be dialled; empty for nodes that only dial.
    pub addrs: Vec<String>,
    /// ISO 3166 alpha-2.
    pub country: Option<String>,
    /// Static bridge keys that live here: key id and the first bytes of the public key's SHA-256.
    pub statics: Vec<(u8, [u8; 4])>,
    /// The relay it can be reached through.
    pub relay: Option<NodeId>,
    /// As [`Instance::seq`].
    pub seq: u64,
    /// When it was made.
    pub issued: Timestamp,
    /// When it becomes a mere dial hint.
    pub expires: Timestamp,
    /// SMS can leave there, to these countries (ISO 3166 alpha-2); to all if none is named.
    pub sms: Option<Vec<String>>,
}

impl NodeRecord {
    /// Whether both say the same of the node, apart from when.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        let dated = Self { seq: other.seq, issued: other.issued, expires: other.expires, ..self.clone() };
        dated == *other
    }
}

/// An instance wants another as its partner, or no longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Federation {
    /// Who signs.
    pub from: InstanceId,
    /// Whom it trusts.
    pub to: InstanceId,
    /// Wanted or not.
    pub on: bool,
    /// As [`Instance::seq`].
    pub seq: u64,
}

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the types say it")]
pub enum Fact {
    Instance(Instance),
    Sponsorship(Sponsorship),
    Revocation(Revocation),
    Endorsement(Endorsement),
    Node(NodeRecord),
    Federation(Federation),
}

/// What a fact is about. Of all facts about one subject only one is kept. Ordered so that what others rest on comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the fields are those of the facts")]
pub enum Subject {
    Sponsorship { instance: InstanceId, sponsor: InstanceId },
    Instance(InstanceId),
    Revocation { by: InstanceId, node: Option<NodeId> },
    Endorsement { instance: InstanceId, node: NodeId },
    Node(NodeId),
    Federation { from: InstanceId, to: InstanceId },
}

impl Subject {
    /// Kind byte and ids: the record's key.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let (kind, ids): (u8, [&[u8]; 2]) = match self {
            Self::Sponsorship { instance, sponsor } => (1, [&instance.0, &sponsor.0]),
            Self::Instance(id) => (2, [&id.0, &[]]),
            Self::Revocation { by, node: Some(node) } => (3, [&by.0, &node.0]),
            Self::Revocation { by, node: None } => (3, [&by.0, &[]]),
            Self::Endorsement { instance, node } => (4, [&instance.0, &node.0]),
            Self::Node(id) => (5, [&id.0, &[]]),
            Self::Federation { from, to } => (6, [&from.0, &to.0]),
        };
        let mut key = vec![kind];
        key.extend_from_slice(ids[0]);
        key.extend_from_slice(ids[1]);
        key
    }
}

/// Why bytes are no fact of this mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactError {
    /// Not the form above, or longer than [`FACT_BYTES_MAX`].
    #[error("not an encoded fact")]
    Malformed,
    /// Too many keys or addresses, a text too long or with control characters, or lives beyond what is allowed.
    #[error("the fact exceeds a limit")]
    Limit,
    /// Dated further ahead than clocks may differ.
    #[error("the fact is dated in the future")]
    Future,
    /// Not signed by whom it must be, or for another mesh.
    #[error("the fact's signature does not hold")]
    Signature,
}

impl Fact {
    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match self {
            Self::Instance(f) => Subject::Instance(f.id),
            Self::Sponsorship(f) => Subject::Sponsorship { instance: f.instance, sponsor: f.sponsor },
            Self::Revocation(f) => Subject::Revocation { by: f.by, node: f.node },
            Self::Endorsement(f) => Subject::Endorsement { instance: f.instance, node: f.node },
            Self::Node(f) => Subject::Node(f.node),
            Self::Federation(f) => Subject::Federation { from: f.from, to: f.to },
        }
    }

    /// When it was said, in milliseconds since the epoch.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Self::Instance(f) => f.seq,
            Self::Sponsorship(f) => f.seq,
            Self::Revocation(f) => f.seq,
            Self::Endorsement(f) => f.seq,
            Self::Node(f) => f.seq,
            Self::Federation(f) => f.seq,
        }
    }

    /// Whose signature it needs, and under which label.
    #[must_use]
    pub fn signer(&self) -> (&[u8; 32], &'static [u8]) {
        match self {
            Self::Instance(f) => (&f.id.0, labels::INSTANCE_RECORD),
            Self::Sponsorship(f) => (&f.sponsor.0, labels::SPONSOR),
            Self::Revocation(f) => (&f.by.0, labels::REVOCATION),
            Self::Endorsement(f) => (&f.instance.0, labels::NODE_ENDORSE),
            Self::Node(f) => (&f.node.0, labels::NODE_RECORD),
            Self::Federation(f) => (&f.from.0, FEDERATION),
        }
    }

    fn body(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![VERSION]).expect("writing to memory cannot fail")
    }

    /// Signs it for a mesh; `sign` signs label and parts with the key that [`Fact::signer`] names.
    #[must_use]
    pub fn signed(self, mesh: &MeshId, sign: impl FnOnce(&'static [u8], &[&[u8]]) -> [u8; SIGNATURE_LEN]) -> Held {
        let body = self.body();
        let mut bytes = sign(self.signer().1, &[&mesh.0, &body]).to_vec();
        bytes.extend_from_slice(&body);
        Held::new(self, bytes)
    }

    fn within_limits(&self) -> bool {
        match self {
            Self::Instance(f) => text(&f.name) && text(&f.contact) && f.sponsor != Some(f.id),
            Self::Sponsorship(f) => f.sponsor != f.instance,
            Self::Endorsement(f) => f.expires <= Timestamp(f.seq).after(ENDORSEMENT_LIFE_MAX),
            Self::Node(f) => f.within_limits(),
            Self::Federation(f) => f.from != f.to,
            Self::Revocation(_) => true,
        }
    }
}

impl NodeRecord {
    fn within_limits(&self) -> bool {
        text(&self.name)
            && (1..=SEALING_KEYS_MAX).contains(&self.sealing.len())
            && self.oblivious.len() <= OBLIVIOUS_KEYS_MAX
            && self.addrs.len() <= ADDRS_MAX
            && self.addrs.iter().all(|addr| addr.len() <= ADDR_MAX && plain(addr))
            && self.country.as_deref().is_none_or(country)
            && self.sms.as_ref().is_none_or(|to| to.len() <= SMS_COUNTRIES_MAX && to.iter().all(|c| country(c)))
            && self.statics.len() <= STATIC_KEYS_MAX
            && self.expires <= self.issued.after(RECORD_LIFE_MAX)
    }
}

fn country(letters: &str) -> bool {
    letters.len() == 2 && letters.bytes().all(|b| b.is_ascii_alphabetic())
}

fn plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn text(text: &str) -> bool {
    text.chars().count() <= TEXT_MAX && plain(text)
}

/// A fact that is what it says: its form, its limits and its signature were checked when it was made from bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// It.
    pub fact: Fact,
    /// As it travels.
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes.
    pub hash: [u8; 32],
}

impl Held {
    fn new(fact: Fact, bytes: Vec<u8>) -> Self {
        let hash = Sha256::digest(&bytes).into();
        Self { fact, bytes, hash }
    }

    /// Reads a fact of `mesh` as somebody sent it.
    ///
    /// # Errors
    /// When it is malformed, beyond a limit, dated in the future or not signed by whom it must be.
    pub fn verify(crypto: &dyn Crypto, mesh: &MeshId, bytes: &[u8], now: Timestamp) -> Result<Self, FactError> {
        let (fact, body, signature) = split(bytes)?;
        if !fact.within_limits() {
            return Err(FactError::Limit);
        }
        let latest = now.after(SKEW_MAX).0;
        let issued = if let Fact::Node(record) = &fact { record.issued.0 } else { 0 };
        if fact.seq() > latest || issued > latest {
            return Err(FactError::Future);
        }
        let (signer, label) = fact.signer();
        if !crypto.verify(signer, label, &[&mesh.0, body], signature) {
            return Err(FactError::Signature);
        }
        Ok(Self::new(fact, bytes.to_vec()))
    }

    /// Reads a fact that was verified before.
    #[must_use]
    pub fn stored(bytes: &[u8]) -> Option<Self> {
        let (fact, ..) = split(bytes).ok()?;
        Some(Self::new(fact, bytes.to_vec()))
    }

    /// Reads a fact that was verified before it was stored. Its signature is looked at again: disks damage what they keep,
    /// and letters would be sealed to a key with a flipped bit.
    #[must_use]
    pub fn restored(crypto: &dyn Crypto, mesh: &MeshId, bytes: &[u8]) -> Option<Self> {
        let (fact, body, signature) = split(bytes).ok()?;
        let (signer, label) = fact.signer();
        let sound = crypto.verify(signer, label, &[&mesh.0, body], signature);
        sound.then(|| Self::new(fact, bytes.to_vec()))
    }

    /// Whether it replaces `other`, which is about the same subject.
    #[must_use]
    pub fn beats(&self, other: &Self) -> bool {
        match self.fact.seq().cmp(&other.fact.seq()) {
            std::cmp::Ordering::Equal => self.hash < other.hash,
            order => order.is_gt(),
        }
    }
}

fn split(bytes: &[u8]) -> Result<(Fact, &[u8], &[u8; SIGNATURE_LEN]), FactError> {
    if bytes.len() > FACT_BYTES_MAX {
        return Err(FactError::Malformed);
    }
    let (signature, body) = bytes.split_first_chunk().ok_or(FactError::Malformed)?;
    let Some((&VERSION, coded)) = body.split_first() else { return Err(FactError::Malformed) };
    let (fact, left) = postcard::take_from_bytes(coded).map_err(|_| FactError::Malformed)?;
    if left.is_empty() { Ok((fact, body, signature)) } else { Err(FactError::Malformed) }
}
