//! All that a phone keeps.

use std::fmt;

use relaymesh_protocol::content::Tokens;
use relaymesh_protocol::ids::{DeviceId, Language, Timestamp};
use relaymesh_ratchet::PublicKey;
use relaymesh_ratchet::llt::Eid;
use serde::{Deserialize, Serialize};

use crate::api::{ANDROID_REDIRECT_URL, AuthorizationUrlRequest, StoredToken, oauth_state};
use crate::bridge::BridgeSession;
use crate::identity::Identity;
use crate::login::Login;
use crate::secret::SecretText;

/// Most messages that the log remembers; the oldest go first. Far more than anybody compares by hand.
pub const SENT_MAX: usize = 1000;
/// Most accounts taken from a server's list, so that a hostile one cannot fill the phone.
pub(crate) const ACCOUNTS_MAX: usize = 256;
/// Most bytes of a name or token in that list; real tokens are below 4 KiB.
const FIELD_BYTES_MAX: usize = 8 * 1024;
/// The app counts images from 1.
const FIRST_IMAGE_SESSION: u8 = 1;

/// A phone with the app on it. Logged out, it can still write bridge mail.
#[derive(Serialize, Deserialize)]
pub struct Phone {
    pub(crate) identity: Identity,
    pub(crate) language: Language,
    pub(crate) login: Option<Login>,
    pub(crate) bridges: Vec<BridgeSession>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) next_image_session: u8,
    pub(crate) next_ordinal: u32,
    pub(crate) sent: Vec<Sent>,
    /// MACs of the replies that were read, oldest first.
    pub(crate) read: Vec<[u8; 32]>,
}

/// An account at a platform. `Debug` prints the platform only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Platform name.
    pub platform: String,
    /// The account as the platform knows it.
    pub identifier: String,
    /// The access token, where the phone keeps it.
    pub access: Option<SecretText>,
    /// The refresh token, where the phone keeps it.
    pub refresh: Option<SecretText>,
}

/// A message that was composed, to compare with what the platform shows and what delivery texts tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Counts this phone's messages from 1.
    pub ordinal: u32,
    /// Platform name, or the letter of an unknown one.
    pub platform: String,
    /// When it was composed.
    pub at: Timestamp,
}

/// Why a server's list of accounts was not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Too many.
    #[error("the server lists {count} accounts, at most {ACCOUNTS_MAX} are kept")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// A field too long.
    #[error("an entry's {field} is {len} bytes long, at most {FIELD_BYTES_MAX} are kept")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// Its bytes.
        len: usize,
    },
}

impl Phone {
    /// A phone that is not logged in, with the app in English.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            language: Language::EN,
            login: None,
            bridges: Vec::new(),
            accounts: Vec::new(),
            next_image_session: FIRST_IMAGE_SESSION,
            next_ordinal: 1,
            sent: Vec::new(),
            read: Vec::new(),
        }
    }

    /// Who it says it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The app's language, by which pasted token updates are recognised.
    #[must_use]
    pub fn language(&self) -> Language {
        self.language
    }

    /// Sets the app's language.
    pub fn set_language(&mut self, language: Language) {
        self.language = language;
    }

    /// Whether it holds a login.
    #[must_use]
    pub fn is_logged_in(&self) -> bool {
        self.login.is_some()
    }

    /// Forgets login and accounts, as the app does when it is logged in elsewhere. Bridge sessions stay.
    pub fn log_out(&mut self) {
        self.login = None;
        self.accounts.clear();
    }

    /// The `long_lived_token` field of every later request.
    #[must_use]
    pub fn long_lived_token(&self) -> Option<&SecretText> {
        self.login.as_ref().map(|login| &login.token)
    }

    /// What the server calls this person.
    #[must_use]
    pub fn eid(&self) -> Option<Eid> {
        self.login.as_ref().map(|login| login.eid)
    }

    /// What payloads name this person by.
    #[must_use]
    pub fn device_id(&self) -> Option<DeviceId> {
        self.login.as_ref().map(|login| login.device_id)
    }

    /// Its own publish key, under which replies are encrypted.
    #[must_use]
    pub fn publish_key(&self) -> Option<PublicKey> {
        self.login.as_ref().map(|login| login.publish.public())
    }

    /// The server's publish key.
    #[must_use]
    pub fn server_publish_key(&self) -> Option<PublicKey> {
        self.login.as_ref().map(|login| login.server_publish)
    }

    /// Its own device key and the server's.
    #[must_use]
    pub fn device_keys(&self) -> Option<(PublicKey, PublicKey)> {
        self.login.as_ref().map(|login| (login.device.public(), login.server_device))
    }

    /// The accounts as last listed.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The messages composed so far, oldest first.
    #[must_use]
    pub fn sent(&self) -> &[Sent] {
        &self.sent
    }

    /// The number that the next image message will have.
    #[must_use]
    pub fn next_image_session(&self) -> u8 {
        self.next_image_session
    }

    /// Sets it, to test what a server does with a number that was used before.
    pub fn set_next_image_session(&mut self, session: u8) {
        self.next_image_session = session;
    }

    /// Takes over the server's list. Tokens in it move to the phone; tokens that the phone holds stay while their account is
    /// listed. Nothing changes on error.
    ///
    /// # Errors
    /// When the list is too long, or a field of it.
    pub fn import_accounts(&mut self, listed: &[StoredToken]) -> Result<(), ImportError> {
        if listed.len() > ACCOUNTS_MAX {
            return Err(ImportError::TooMany { count: listed.len() });
        }
        let accounts = listed.iter().map(|entry| self.import(entry)).collect::<Result<Vec<_>, _>>()?;
        self.accounts = accounts;
        Ok(())
    }

    fn import(&self, entry: &StoredToken) -> Result<Account, ImportError> {
        let known = self.account(&entry.platform, &entry.account_identifier);
        check_len("platform", &entry.platform)?;
        check_len("account identifier", &entry.account_identifier)?;
        let token = |name: &'static str, known: Option<&SecretText>| {
            let sent = entry.account_tokens.get(name).filter(|token| !token.reveal().is_empty());
            sent.map(|token| check_len(name, token.reveal())).transpose()?;
            Ok(sent.or(known).cloned())
        };
        Ok(Account {
            platform: entry.platform.clone(),
            identifier: entry.account_identifier.clone(),
            access: token("access_token", known.and_then(|a| a.access.as_ref()))?,
            refresh: token("refresh_token", known.and_then(|a| a.refresh.as_ref()))?,
        })
    }

    /// The account of that name, if it is listed.
    #[must_use]
    pub fn account(&self, platform: &str, identifier: &str) -> Option<&Account> {
        self.accounts.iter().find(|a| a.platform == platform && a.identifier == identifier)
    }

    /// The fields of `GetOAuth2AuthorizationUrl` as Android has them; nothing when logged out.
    #[must_use]
    pub fn authorization_request(&self, platform: &str) -> Option<AuthorizationUrlRequest> {
        Some(AuthorizationUrlRequest {
            platform: platform.to_owned(),
            state: oauth_state(platform, false),
            autogenerate_code_verifier: true,
            redirect_url: ANDROID_REDIRECT_URL.to_owned(),
            request_identifier: self.server_publish_key()?.to_base64(),
        })
    }

    /// Logs a message that was composed, and returns its number.
    pub(crate) fn log_sent(&mut self, platform: String, at: Timestamp) -> u32 {
        let ordinal = self.next_ordinal;
        self.next_ordinal = ordinal.saturating_add(1);
        push_bounded(&mut self.sent, Sent { ordinal, platform, at }, SENT_MAX);
        ordinal
    }
}

impl Account {
    /// Both tokens, to send along; nothing when one is missing.
    #[must_use]
    pub fn tokens(&self) -> Option<Tokens> {
        let (access, refresh) = (self.access.as_ref()?, self.refresh.as_ref()?);
        Tokens::both(access.reveal().to_owned(), refresh.reveal().to_owned())
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Phone")
            .field("identity", &self.identity)
            .field("logged_in", &self.is_logged_in())
            .field("accounts", &self.accounts.len())
            .field("sent", &self.sent.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("platform", &self.platform).finish_non_exhaustive()
    }
}

/// Appends, and drops the oldest beyond `max`.
pub(crate) fn push_bounded<T>(list: &mut Vec<T>, item: T, max: usize) {
    list.push(item);
    let excess = list.len().saturating_sub(max);
    list.drain(..excess);
}

fn check_len(field: &'static str, text: &str) -> Result<(), ImportError> {
    let len = text.len();
    if len > FIELD_BYTES_MAX { Err(ImportError::TooLong { field, len }) } else { Ok(()) }
}
