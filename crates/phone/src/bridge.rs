//! Mail through the bridge, which needs no account: a static key of the server, a key of the phone, and the number that the
//! SMS comes from.

use std::fmt;

use rand_core::CryptoRng;
use relaymesh_protocol::bridge_content::BridgeContent;
use relaymesh_protocol::ids::{Language, Timestamp};
use relaymesh_protocol::payload::{BridgePayload, BridgeVersion, KeyExchange, Payload};
use relaymesh_protocol::platform::{BRIDGE_EMAIL_LETTER, BRIDGE_EMAIL_NAME};
use relaymesh_ratchet::{AgreeError, Block, KeyPair, PublicKey, Session, agree};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::compose::{ComposeError, Composed, Plaintext};
use crate::phone::{Phone, push_bounded};
use crate::text::Style;

/// Most bridge sessions kept; the oldest go first. A logged-out Android opens one per mail, and answers come within days.
pub const BRIDGE_SESSIONS_MAX: usize = 32;

/// One of the server's static keys, from the list that apps carry along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticKey {
    /// Its number in that list.
    pub kid: u8,
    /// X25519.
    pub public: PublicKey,
}

/// What a bridge payload of a kept session begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// Switch 0 again, with the same client key: iOS does so with every mail.
    KeyExchange,
    /// Switch 1.
    PayloadOnly,
}

/// Which session the mail is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A new client key and session, switch 0: the logged-out Android.
    Fresh(StaticKey),
    /// The newest kept session with this static key.
    Kept {
        /// Which.
        key: StaticKey,
        /// With or without the key exchange.
        switch: Switch,
    },
    /// The account's own session, switch 1: the logged-in Android.
    Account,
}

/// A mail for the bridge.
#[derive(Clone)]
pub struct ComposeBridge {
    /// Which layout.
    pub version: BridgeVersion,
    /// In which session.
    pub via: Via,
    /// The mail.
    pub content: BridgeContent,
    /// Language of answers; iOS names none.
    pub language: Option<Language>,
    /// A WebP picture, in front of a version 2 content.
    pub image: Option<Vec<u8>>,
    /// Whose base64, for segments of an image; a single bridge text is never wrapped.
    pub style: Style,
}

/// A session with one static key.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct BridgeSession {
    pub(crate) key: StaticKey,
    pub(crate) client: KeyPair,
    #[serde(with = "crate::state::session")]
    pub(crate) session: Session,
}

/// Where an advanced session goes once nothing can fail any more.
enum Slot {
    New(BridgeSession),
    Kept(usize, BridgeSession),
    Account(Session),
}

impl BridgeSession {
    fn open<R: CryptoRng + ?Sized>(key: StaticKey, rng: &mut R) -> Result<Self, AgreeError> {
        let client = KeyPair::generate(rng);
        let shared = agree(client.secret(), &key.public)?;
        let session = Session::alice(&shared, key.public, rng)?;
        Ok(Self { key, client, session })
    }

    fn exchange(&self) -> KeyExchange {
        KeyExchange { kid: self.key.kid, client_public: *self.client.public().as_bytes() }
    }
}

impl Phone {
    /// Opens a session with a static key and keeps it, without a mail. Draws the client key, then the ratchet key.
    ///
    /// # Errors
    /// When the static key is of small order.
    pub fn open_bridge<R: CryptoRng + ?Sized>(&mut self, key: StaticKey, rng: &mut R) -> Result<(), AgreeError> {
        let opened = BridgeSession::open(key, rng)?;
        push_bounded(&mut self.bridges, opened, BRIDGE_SESSIONS_MAX);
        Ok(())
    }

    /// How many bridge sessions are kept.
    #[must_use]
    pub fn bridge_sessions(&self) -> usize {
        self.bridges.len()
    }

    /// The static key of the newest kept session.
    #[must_use]
    pub fn newest_bridge_key(&self) -> Option<StaticKey> {
        self.bridges.last().map(|kept| kept.key)
    }

    /// Encrypts a mail for the bridge. Draws only for [`Via::Fresh`]: the client key, then the ratchet key.
    ///
    /// # Errors
    /// [`ComposeError`]; the phone is unchanged.
    pub fn compose_bridge<R>(
        &mut self,
        mail: ComposeBridge,
        now: Timestamp,
        rng: &mut R,
    ) -> Result<Composed, ComposeError>
    where
        R: CryptoRng + ?Sized,
    {
        let ComposeBridge { version, via, content, language, image, style } = mail;
        if image.is_some() && version != BridgeVersion::V2 {
            return Err(ComposeError::ImageVersion);
        }
        let content = Zeroizing::new(content.encode(version).map_err(ComposeError::Content)?);
        let plaintext = Plaintext::new(image.as_deref(), &content)?;

        let mut slot = self.slot(via, rng)?;
        let block = self.encrypt(&mut slot, &plaintext.bytes)?;
        let key_exchange = match (&slot, via) {
            (Slot::New(opened), _) => Some(opened.exchange()),
            (Slot::Kept(_, kept), Via::Kept { switch: Switch::KeyExchange, .. }) => Some(kept.exchange()),
            _ => None,
        };
        let payload =
            BridgePayload { version, key_exchange, letter: BRIDGE_EMAIL_LETTER, block: block.into(), language };
        let payload = Payload::Bridge(payload).encode().map_err(ComposeError::Payload)?;
        let sms = self.texts(&payload, &plaintext, Style::Plain, style)?;

        self.keep(slot);
        Ok(self.composed(sms, payload, plaintext.image_len, BRIDGE_EMAIL_NAME.to_owned(), now))
    }

    fn slot<R: CryptoRng + ?Sized>(&self, via: Via, rng: &mut R) -> Result<Slot, ComposeError> {
        match via {
            Via::Fresh(key) => BridgeSession::open(key, rng).map(Slot::New).map_err(ComposeError::BadStaticKey),
            Via::Kept { key, .. } => {
                let newest = self.bridges.iter().enumerate().rfind(|(_, kept)| kept.key == key);
                newest.map(|(at, kept)| Slot::Kept(at, kept.clone())).ok_or(ComposeError::NoBridgeSession)
            }
            Via::Account => {
                let login = self.login.as_ref().ok_or(ComposeError::LoggedOut)?;
                Ok(Slot::Account(login.session.clone()))
            }
        }
    }

    fn encrypt(&self, slot: &mut Slot, plaintext: &[u8]) -> Result<Block, ComposeError> {
        let (session, server) = match slot {
            Slot::New(bridge) | Slot::Kept(_, bridge) => (&mut bridge.session, bridge.key.public),
            Slot::Account(session) => (session, self.server_publish_key().ok_or(ComposeError::LoggedOut)?),
        };
        session.encrypt(plaintext, server.as_bytes()).map_err(ComposeError::Encrypt)
    }

    fn keep(&mut self, slot: Slot) {
        match slot {
            Slot::New(opened) => push_bounded(&mut self.bridges, opened, BRIDGE_SESSIONS_MAX),
            Slot::Kept(at, kept) => {
                if let Some(place) = self.bridges.get_mut(at) {
                    *place = kept;
                }
            }
            Slot::Account(session) => {
                if let Some(login) = &mut self.login {
                    login.session = session;
                }
            }
        }
    }
}

impl fmt::Debug for ComposeBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComposeBridge").field("version", &self.version).field("via", &self.via).finish_non_exhaustive()
    }
}
