//! The double ratchet of one phone with one server key (interop `crypto.md` §7).
//!
//! Where upstream changes its state while it still does not know whether the message is genuine, [`Session::decrypt`] leaves
//! the session alone and hands out an advanced copy; the caller stores that together with what the message brought.

use std::fmt;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::block::{Block, Header, MAX_COUNTER, Position};
use crate::kdf;
use crate::keys::{AgreeError, KeyPair, PublicKey, agree};
use crate::message::derive_message_keys;
use crate::secret::{AuthKey, ChainKey, MessageKey, RootKey, SecretKey, SharedSecret};
use crate::skipped::SkippedKeys;

/// Most messages that one message may overtake in a chain. Phones have the same number, so a larger gap never heals anyway.
pub const MAX_SKIP: u32 = 100;

/// The state of a conversation, one side of it. The names in parentheses are those of the Double Ratchet paper.
///
/// A clone is a second writer: two sessions that send from the same state use one message key twice.
#[derive(Clone)]
pub struct Session {
    pub(crate) state: State,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// Our ratchet key (`DHs`), in halves to spare a multiplication at each load.
    pub(crate) our_secret: SecretKey,
    pub(crate) our_public: PublicKey,
    /// Their ratchet key (`DHr`).
    pub(crate) their_public: Option<PublicKey>,
    /// `RK`
    pub(crate) root: RootKey,
    /// `CKs`
    pub(crate) sending: Option<ChainKey>,
    /// `CKr`
    pub(crate) receiving: Option<ChainKey>,
    /// `Ns`, messages sent in the sending chain.
    pub(crate) sent: u32,
    /// `Nr`, messages taken from the receiving chain.
    pub(crate) received: u32,
    /// `PN`, messages sent in the sending chain before.
    pub(crate) previous: u32,
    /// `MKSKIPPED`
    pub(crate) skipped: SkippedKeys,
}

/// A message that was opened, and the session that has moved past it.
pub struct Opened {
    /// What the sender wrote; may be empty.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The session to store instead of the one that was asked.
    pub session: Session,
    /// The MAC key of this message: proof towards others that it was opened.
    pub auth_key: AuthKey,
    /// The header, now proven.
    pub header: Header,
}

/// Why a message cannot be sent. The session is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// The server side speaks second.
    #[error("session has no sending chain yet, a message of the other side must be decrypted first")]
    NoSendingChain,
    #[error("sending chain has used all message numbers of its header, the other side must answer first")]
    ChainFull,
}

/// Why a message was not opened. The session is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// MAC or padding is wrong: damage, another key, other associated data.
    #[error("message authentication failed: damaged, or written under other keys than this session's")]
    Unauthentic,
    /// Opened before, or its skipped key has expired or was evicted.
    #[error("message number lies behind the chain and its key is no longer held: opened before, or too late")]
    Consumed,
    #[error("message is more than {MAX_SKIP} numbers ahead of its chain, the session must be set up again")]
    TooManySkipped,
    /// Only on the side that speaks first, before the first answer.
    #[error("session has no receiving chain for this message")]
    NoReceivingChain,
    #[error("ratchet key of the message is unusable")]
    BadKey(#[from] AgreeError),
}

/// Whether a message stays in the chain that we know or opened a new one, which we answer with a new key of our own.
#[derive(PartialEq, Eq)]
enum Turn {
    Same,
    New,
}

impl Session {
    /// The side that speaks first (a phone): `shared` is the agreement of the two publish keys, `their_public` the server's.
    ///
    /// # Errors
    /// [`AgreeError`] if the server's key is of small order.
    pub fn alice<R>(shared: &SharedSecret, their_public: PublicKey, rng: &mut R) -> Result<Self, AgreeError>
    where
        R: CryptoRng + ?Sized,
    {
        let our = KeyPair::generate(rng);
        let agreement = agree(our.secret(), &their_public)?;
        let (root, chain) = kdf::root(&RootKey::from(*shared.as_bytes()), &agreement);
        let mut state = State::new(&our, root);
        state.their_public = Some(their_public);
        state.sending = Some(chain);
        Ok(Self { state })
    }

    /// The side that listens first (the server): `our` is its publish key pair, `shared` the agreement of the two publish keys.
    #[must_use]
    pub fn bob(our: &KeyPair, shared: &SharedSecret) -> Self {
        Self { state: State::new(our, RootKey::from(*shared.as_bytes())) }
    }

    /// Encrypts `plaintext` under associated data `ad` (the receiver's publish key) and moves the sending chain on. Store the
    /// session before the block leaves, or its key is used twice after a crash.
    ///
    /// # Errors
    /// [`EncryptError`]; the session is unchanged.
    pub fn encrypt(&mut self, plaintext: &[u8], ad: &[u8; 32]) -> Result<Block, EncryptError> {
        let state = &mut self.state;
        let chain = state.sending.as_ref().ok_or(EncryptError::NoSendingChain)?;
        if state.sent == MAX_COUNTER {
            return Err(EncryptError::ChainFull);
        }
        let header = Header::new(state.previous, state.sent, state.our_public).map_err(|_| EncryptError::ChainFull)?;
        let (next, key) = kdf::chain(chain);
        let block = derive_message_keys(&key).seal(ad, &header, plaintext);
        state.sending = Some(next);
        state.sent += 1;
        Ok(block)
    }

    /// Opens `block` under associated data `ad` (our publish key). `rng` is drawn from only after the MAC was proven, and only
    /// if the message opened a new chain: once, 32 bytes.
    ///
    /// # Errors
    /// [`DecryptError`]; in every case this session stays as it is.
    pub fn decrypt<R>(&self, block: &Block, ad: &[u8; 32], now_ms: u64, rng: &mut R) -> Result<Opened, DecryptError>
    where
        R: CryptoRng + ?Sized,
    {
        let header = *block.header();
        let mut next = self.clone();
        next.expire_skipped(now_ms);
        let (key, turn) = next.state.receive(&header, now_ms)?;
        let keys = derive_message_keys(&key);
        let plaintext = keys.open(ad, block).ok_or(DecryptError::Unauthentic)?;
        if turn == Turn::New {
            next.state.answer(header.dh, rng)?;
        }
        next.state.skipped.evict();
        Ok(Opened { plaintext, session: next, auth_key: keys.auth_key().clone(), header })
    }

    /// Drops skipped keys older than 30 days, for sessions that receive nothing; [`Session::decrypt`] does it by itself.
    pub fn expire_skipped(&mut self, now_ms: u64) {
        self.state.skipped.expire(now_ms);
    }

    /// How many skipped keys are held.
    #[must_use]
    pub fn skipped_len(&self) -> usize {
        self.state.skipped.len()
    }

    /// The places of the overtaken messages that can still be opened, oldest first.
    pub fn skipped_positions(&self) -> impl Iterator<Item = Position> + '_ {
        self.state.skipped.positions()
    }

    /// Whether [`Session::encrypt`] has a chain to send on.
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.state.sending.is_some()
    }
}

impl State {
    fn new(our: &KeyPair, root: RootKey) -> Self {
        Self {
            our_secret: our.secret().clone(),
            our_public: our.public(),
            their_public: None,
            root,
            sending: None,
            receiving: None,
            sent: 0,
            received: 0,
            previous: 0,
            skipped: SkippedKeys::default(),
        }
    }

    /// Moves up to the key of the message with this header, without anything random.
    fn receive(&mut self, header: &Header, now_ms: u64) -> Result<(MessageKey, Turn), DecryptError> {
        if let Some(key) = self.skipped.take(header.position()) {
            return Ok((key, Turn::Same));
        }
        let turn = if self.their_public == Some(header.dh) { Turn::Same } else { Turn::New };
        if turn == Turn::New {
            self.skip_to(header.pn, now_ms)?;
            self.follow(header.dh)?;
        } else if self.receiving.is_some() && header.n < self.received {
            return Err(DecryptError::Consumed);
        }
        self.skip_to(header.n, now_ms)?;
        let (next, key) = kdf::chain(self.receiving.as_ref().ok_or(DecryptError::NoReceivingChain)?);
        self.receiving = Some(next);
        self.received += 1;
        Ok((key, turn))
    }

    /// Stores the keys of the receiving chain up to, not including, number `until`.
    fn skip_to(&mut self, until: u32, now_ms: u64) -> Result<(), DecryptError> {
        if until > self.received.saturating_add(MAX_SKIP) {
            return Err(DecryptError::TooManySkipped);
        }
        let (Some(chain), Some(dh)) = (&mut self.receiving, self.their_public) else {
            return Ok(());
        };
        while self.received < until {
            let (next, key) = kdf::chain(chain);
            *chain = next;
            self.skipped.push(Position { dh, n: self.received }, key, now_ms);
            self.received += 1;
        }
        Ok(())
    }

    /// The receiving half of a Diffie-Hellman step: their new key with our present one.
    fn follow(&mut self, their_public: PublicKey) -> Result<(), AgreeError> {
        let agreement = agree(&self.our_secret, &their_public)?;
        let (root, chain) = kdf::root(&self.root, &agreement);
        self.root = root;
        self.receiving = Some(chain);
        self.their_public = Some(their_public);
        self.received = 0;
        Ok(())
    }

    /// The sending half: a new key of ours with their new one. Comes last, so that only a proven message makes us draw a key.
    fn answer<R: CryptoRng + ?Sized>(&mut self, their_public: PublicKey, rng: &mut R) -> Result<(), AgreeError> {
        let our = KeyPair::generate(rng);
        let agreement = agree(our.secret(), &their_public)?;
        let (root, chain) = kdf::root(&self.root, &agreement);
        self.root = root;
        self.sending = Some(chain);
        self.our_secret = our.secret().clone();
        self.our_public = our.public();
        self.previous = self.sent;
        self.sent = 0;
        Ok(())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened")
    }
}
