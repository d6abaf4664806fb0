//! What two connected nodes say to each other, one request and one response at a time, in CBOR over libp2p.
//!
//! A frame is transport: it is believed only as far as the connection's peer may say it. Whatever must survive a
//! detour (a submission, a receipt, an oblivious question without a link) is an envelope and rides in
//! [`Request::Envelopes`].

use serde::{Deserialize, Serialize};

use crate::ids::{MeshId, NodeId};

/// Most envelopes in one request.
pub const ENVELOPES_PER_REQUEST_MAX: usize = 64;
/// Most bytes of envelopes in one request, and of a filter in one response.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;

/// Length of a digest over all that a node knows of the mesh.
pub const DIGEST_LEN: usize = 16;
/// Length of the digest of one part of it.
pub const SUM_LEN: usize = 8;
/// Most parts that heads are divided into.
pub const PARTS_MAX: usize = 1024;
/// Most parts in one [`Request::Heads`].
pub const PARTS_PER_REQUEST_MAX: usize = 64;

/// An envelope on its way, with what may change on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The envelope as sealed; see `relaymesh-seal`.
    #[serde(with = "serde_bytes")]
    pub envelope: Vec<u8>,
    /// Hand-overs so far.
    pub hops: u8,
    /// Copies the receiver may still spread if it cannot reach the recipient.
    pub copies: u8,
}

/// What became of one carried envelope at the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Taken {
    /// Durable there (custody), or opened there (it was the recipient).
    Yes,
    /// Was there already.
    Known,
    /// Not now; try again after so many milliseconds.
    Busy {
        /// Milliseconds to wait.
        retry_after_ms: u32,
    },
    /// Never: malformed, expired, too many hops, or the sender may not.
    Refused,
}

/// Names one fact of the membership set and the newest sequence number known of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FactHead {
    /// What the fact is about (kind byte and key).
    #[serde(with = "serde_bytes")]
    pub subject: Vec<u8>,
    /// Grows with each replacement.
    pub seq: u64,
}

/// Names one filter of a vault node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FilterHead {
    /// The vault node.
    pub node: NodeId,
    /// The daily base, or the small recent one.
    pub layer: FilterLayer,
    /// Grows with each replacement.
    pub version: u64,
    /// Encoded length in bytes, signature included.
    pub bytes: u32,
}

/// Which of a node's two filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FilterLayer {
    /// Everybody, built once a day.
    Base,
    /// Who came since the base, built each minute there is somebody.
    Recent,
}

/// What a node has in some parts of all that is known of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holdings {
    /// The mesh this is about; another mesh's nodes refuse.
    pub mesh: MeshId,
    /// Number of parts in the answer that said that something differs.
    pub of: u16,
    /// Which of them; heads belong to a part by the hash in their name.
    pub parts: Vec<u16>,
    /// Facts.
    pub facts: Vec<FactHead>,
    /// Filters.
    pub filters: Vec<FilterHead>,
}

/// A request to a connected node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Envelopes for the receiver, or for its custody.
    Envelopes(Vec<Carried>),
    /// Here is a digest of the mesh and of all facts and filters that I know; is yours the same?
    Digest(#[serde(with = "serde_bytes")] [u8; DIGEST_LEN]),
    /// In these parts we differ, and this is what I have there: what have you that is newer? Without parts it is mere news.
    Heads(Box<Holdings>),
    /// Send me these facts.
    WantFacts(Vec<FactHead>),
    /// Here are facts that you may lack, signed, encoded.
    Facts(Vec<serde_bytes::ByteBuf>),
    /// Send me part of this filter.
    WantFilter {
        /// Which.
        head: FilterHead,
        /// From this byte on.
        offset: u32,
    },
    /// Evaluate these blinded numbers under your oblivious key.
    Evaluate {
        /// Which of the receiver's keys.
        key_id: u32,
        /// Compressed ristretto255 points.
        blinded: Vec<[u8; 32]>,
    },
    /// Do you hold the person behind this key? (a device tag keyed for the receiver)
    WhoHolds {
        /// `SipHash-2-4(tag, receiver)`.
        keys: Vec<u64>,
    },
    /// I hold an invitation.
    Join {
        /// See `relaymesh-core`'s membership for the proof.
        #[serde(with = "serde_bytes")]
        proof: Vec<u8>,
        /// The joiner's own facts, signed, encoded.
        facts: Vec<serde_bytes::ByteBuf>,
    },
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// One per envelope, in order.
    Envelopes(Vec<Taken>),
    /// Nothing differs.
    Same {
        /// Seconds that the asker may leave me alone for, unless it has news.
        rest_s: u16,
    },
    /// Something differs: digests of the parts that my heads fall into.
    Differs {
        /// As in [`Response::Same`].
        rest_s: u16,
        /// [`SUM_LEN`] bytes for each part, in order; at most [`PARTS_MAX`].
        #[serde(with = "serde_bytes")]
        sums: Vec<u8>,
    },
    /// Heads in the parts asked about that the asker lacks or has in an older version.
    Heads {
        /// Facts.
        facts: Vec<FactHead>,
        /// Filters.
        filters: Vec<FilterHead>,
    },
    /// Facts, signed, encoded.
    Facts(Vec<serde_bytes::ByteBuf>),
    /// Part of a filter.
    Filter {
        /// Which.
        head: FilterHead,
        /// Where the part begins.
        offset: u32,
        /// The part.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// Evaluations in order, and one proof for all of them.
    Evaluated {
        /// Compressed ristretto255 points.
        evaluated: Vec<[u8; 32]>,
        /// Batched DLEQ proof.
        #[serde(with = "serde_bytes")]
        proof: Vec<u8>,
    },
    /// One per key, in order.
    Holds(Vec<bool>),
    /// Joined: the facts of the mesh.
    Joined(Vec<serde_bytes::ByteBuf>),
    /// Taken note of.
    Noted,
    /// Not now.
    Busy {
        /// Milliseconds to wait.
        retry_after_ms: u32,
    },
    /// The sender is no member of this mesh here.
    NotMember,
    /// Malformed, or not allowed.
    Refused,
}
