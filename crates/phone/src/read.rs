//! What comes back: texts that a person pastes into the app, told apart as the app does it.

use std::fmt;

use rand_core::CryptoRng;
use relaymesh_protocol::base64text::TEXT_BYTES_MAX;
use relaymesh_protocol::ids::{Language, Timestamp};
use relaymesh_protocol::reply::{Reply, ReplyError, ReplyMail};
use relaymesh_protocol::sms_text::{TokenLine, marker};
use relaymesh_ratchet::{Block, BlockError, DecryptError, Opened, Session};

use crate::phone::{Phone, Sent, push_bounded};
use crate::secret::SecretText;

/// Most replies remembered as read; a copy of an older one is reported as unreadable instead of as a duplicate.
pub const READ_REPLIES_MAX: usize = 256;

/// What Android's auto-fill looks for, and what the second SMS provider sends, which nobody fills in automatically.
const OTP_PROMPTS: [&str; 2] =
    ["Your SMSWithoutBorders-Auth verification code is: ", "Your RelaySMS Verification Code is: "];
const OTP_DIGITS: usize = 6;
/// The languages of the app; each has a marker of its own.
const LANGUAGES: [&[u8; 2]; 12] = [b"en", b"fr", b"es", b"de", b"tr", b"sw", b"sn", b"ar", b"fa", b"hi", b"ko", b"zh"];
/// The existing server's French marker, which no app takes for one.
const FRENCH_MARKER_OF_SERVER: &str = "Livraison RelaySMS:";
/// Beginnings of the reply prompts; free text to the app, so they only tell a damaged reply from something else.
const REPLY_PROMPTS: [&str; 2] = ["RelaySMS Reply:", "Réponse de RelaySMS"];

/// What a pasted text is. `Debug` prints nothing that names somebody.
#[derive(Clone, PartialEq, Eq)]
pub enum Incoming {
    /// Tells of a message.
    Delivery(Delivery),
    /// Bridge mail, decrypted.
    Reply {
        /// The mail.
        mail: ReplyMail,
        /// Its time, in seconds since the epoch.
        at_s: u64,
        /// Whether a later one was read before: Android could not have opened it any more.
        late: bool,
    },
    /// A reply that was read before.
    Duplicate,
    /// A new refresh token, already stored where the account is known.
    TokenUpdate {
        /// The account as the platform knows it.
        account: String,
        /// The token.
        refresh: SecretText,
    },
    /// A one-time code.
    Otp(SecretText),
    /// Nothing for the app.
    Other,
}

/// What a delivery text says; whatever it does not say is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// How it ended.
    pub status: Status,
    /// Platform name.
    pub platform: Option<String>,
    /// Which message of this person, as the home counts.
    pub number: Option<u32>,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The platform has it.
    Published,
    /// It does not.
    Failed,
    /// Nobody knows.
    Uncertain,
    /// The text says something else.
    Unknown,
}

/// Why a reply was not read. The phone is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The text was cut or changed on its way.
    #[error("the reply is damaged; paste the entire message")]
    Damaged(#[source] ReplyError),
    /// Its ciphertext block.
    #[error("the reply is damaged; paste the entire message")]
    Block(#[source] BlockError),
    /// Its key is gone.
    #[error("the reply's key was used before or has expired")]
    Consumed,
    /// No session fits.
    #[error(
        "no session of this phone opens the reply: changed on its way, for another phone or an older login, or too many were lost"
    )]
    Unreadable,
}

/// Whose session opened a reply.
#[derive(Clone, Copy)]
enum Owner {
    Account,
    Bridge(usize),
}

impl Phone {
    /// Reads a pasted text. Draws 32 bytes, and moves a session on, only for a reply that opens a new chain.
    ///
    /// # Errors
    /// [`ReadError`] for replies that cannot be read; the phone is unchanged.
    pub fn read<R>(&mut self, text: &str, now: Timestamp, rng: &mut R) -> Result<Incoming, ReadError>
    where
        R: CryptoRng + ?Sized,
    {
        if text.len() > TEXT_BYTES_MAX {
            return Ok(Incoming::Other);
        }
        if let Some(code) = otp(text) {
            return Ok(Incoming::Otp(code.into()));
        }
        if let Some((account, refresh)) = TokenLine::read(text, self.language) {
            return Ok(self.update_token(account, refresh.into()));
        }
        if let Some(delivery) = Delivery::parse(text) {
            return Ok(Incoming::Delivery(delivery));
        }
        match Reply::from_sms(text) {
            Ok((reply, at_s)) => self.open_reply(&reply, at_s, now, rng),
            Err(why) if REPLY_PROMPTS.iter().any(|prompt| text.contains(prompt)) => Err(ReadError::Damaged(why)),
            Err(_) => Ok(Incoming::Other),
        }
    }

    /// The message that a delivery text tells of, if the log still has it and both name the same platform.
    #[must_use]
    pub fn sent_of(&self, delivery: &Delivery) -> Option<&Sent> {
        let number = delivery.number?;
        let platform = delivery.platform.as_deref()?;
        self.sent.iter().find(|sent| sent.ordinal == number && sent.platform == platform)
    }

    /// The text names no platform: every account of that name gets the token, as in the app.
    fn update_token(&mut self, account: String, refresh: SecretText) -> Incoming {
        for known in self.accounts.iter_mut().filter(|known| known.identifier == account) {
            known.refresh = Some(refresh.clone());
        }
        Incoming::TokenUpdate { account, refresh }
    }

    fn open_reply<R>(&mut self, reply: &Reply, at_s: u64, now: Timestamp, rng: &mut R) -> Result<Incoming, ReadError>
    where
        R: CryptoRng + ?Sized,
    {
        let block = Block::parse(&reply.block).map_err(ReadError::Block)?;
        let mac: [u8; 32] = block.mac().try_into().expect("a block ends in 32 bytes of MAC");
        if self.read.contains(&mac) {
            return Ok(Incoming::Duplicate);
        }
        let (owner, opened, late) = self.decrypt(&block, now, rng)?;
        // Its lengths travel outside the MAC: a damaged copy must not use up the key of the good one.
        let mail = ReplyMail::from_plaintext(reply.lengths, &opened.plaintext).map_err(ReadError::Damaged)?;
        self.keep_session(owner, opened.session);
        push_bounded(&mut self.read, mac, READ_REPLIES_MAX);
        Ok(Incoming::Reply { mail, at_s, late })
    }

    /// A reply names no session, so each is asked, the account's first and then the newest.
    fn decrypt<R>(&self, block: &Block, now: Timestamp, rng: &mut R) -> Result<(Owner, Opened, bool), ReadError>
    where
        R: CryptoRng + ?Sized,
    {
        let account = self.login.iter().map(|login| (Owner::Account, &login.session, login.publish.public()));
        let bridges = self.bridges.iter().enumerate().rev();
        let bridges = bridges.map(|(at, bridge)| (Owner::Bridge(at), &bridge.session, bridge.client.public()));
        let mut error = ReadError::Unreadable;
        for (owner, session, ours) in account.chain(bridges) {
            match session.decrypt(block, ours.as_bytes(), now.0, rng) {
                Ok(opened) => {
                    let position = opened.header.position();
                    let late = session.skipped_positions().any(|skipped| skipped == position);
                    return Ok((owner, opened, late));
                }
                Err(DecryptError::Consumed) => error = ReadError::Consumed,
                Err(_) => {}
            }
        }
        Err(error)
    }

    fn keep_session(&mut self, owner: Owner, session: Session) {
        let place = match owner {
            Owner::Account => self.login.as_mut().map(|login| &mut login.session),
            Owner::Bridge(at) => self.bridges.get_mut(at).map(|bridge| &mut bridge.session),
        };
        if let Some(place) = place {
            *place = session;
        }
    }
}

impl Delivery {
    /// Reads a delivery text in any language that has a marker; details are understood in English and French.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let after = LANGUAGES
            .iter()
            .map(|code| marker(Language(**code)))
            .chain([FRENCH_MARKER_OF_SERVER])
            .find_map(|marker| text.split_once(marker))
            .map(|(_, after)| after)?;
        let line = after.lines().next().unwrap_or_default();
        let number = line.split('#').nth(1).map(leading_digits).and_then(|digits| digits.parse().ok());
        Some(Self { status: Status::of(line), platform: platform(line), number })
    }
}

impl Status {
    fn of(line: &str) -> Self {
        let phrases = [
            ("Successfully sent", Self::Published),
            ("Envoyé avec succès", Self::Published),
            ("Failed to send", Self::Failed),
            ("Échec de l'envoi", Self::Failed),
            ("uncertain", Self::Uncertain),
            ("incertain", Self::Uncertain),
        ];
        phrases.into_iter().find(|(phrase, _)| line.contains(phrase)).map_or(Self::Unknown, |(_, status)| status)
    }
}

/// The name between "message (#n) to" and "at"; a capital M begins some of the texts.
fn platform(line: &str) -> Option<String> {
    let (_, line) = line.split_once("essage")?;
    [(" to ", " at "), (" à ", " à ")].into_iter().find_map(|(before, behind)| {
        let (_, rest) = line.split_once(before)?;
        let (name, _) = rest.split_once(behind)?;
        Some(name.to_owned())
    })
}

fn otp(text: &str) -> Option<&str> {
    let after = OTP_PROMPTS.iter().find_map(|prompt| text.split_once(prompt)).map(|(_, after)| after)?;
    let code = leading_digits(after);
    (code.len() == OTP_DIGITS).then_some(code)
}

fn leading_digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivery(delivery) => f.debug_tuple("Delivery").field(delivery).finish(),
            Self::Reply { at_s, late, .. } => write!(f, "Reply {{ at_s: {at_s}, late: {late}, .. }}"),
            Self::Duplicate => f.write_str("Duplicate"),
            Self::TokenUpdate { .. } => f.write_str("TokenUpdate(..)"),
            Self::Otp(_) => f.write_str("Otp(..)"),
            Self::Other => f.write_str("Other"),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Published => "published",
            Self::Failed => "failed",
            Self::Uncertain => "uncertain",
            Self::Unknown => "unknown",
        })
    }
}
