//! Sign-up, login and password reset: two key pairs go out, two public keys and a token come back.

use std::fmt;

use rand_core::CryptoRng;
use relaymesh_protocol::ids::DeviceId;
use relaymesh_ratchet::llt::{self, Eid};
use relaymesh_ratchet::{AgreeError, KeyPair, ParseKeyError, PublicKey, Session, agree, device_id};
use serde::{Deserialize, Serialize};

use crate::api::{EntityAnswer, EntityRequest};
use crate::identity::Identity;
use crate::phone::Phone;
use crate::secret::SecretText;
use crate::text::Style;

/// How far Android lets the token's time be from its own clock, in seconds; both ends excluded. Beyond it the login fails
/// although the code is spent.
pub const TOKEN_AGE_MAX_S: u64 = 60;

/// Which call it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `CreateEntity`.
    SignUp {
        /// ISO 3166 alpha-2 of the number.
        country: String,
    },
    /// `AuthenticateEntity`.
    LogIn,
    /// `ResetPassword`.
    Reset,
}

/// Whether the token's age is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgeCheck {
    /// As Android does, [`TOKEN_AGE_MAX_S`] around the clock.
    Android,
    /// As iOS, Desktop and the python client: not at all.
    Skip,
}

/// A call under way, with the private halves of the keys that it names. The keys of the second phase are the ones that count;
/// the same pending call may serve both phases.
pub struct Pending {
    kind: Kind,
    identity: Identity,
    publish: KeyPair,
    device: KeyPair,
}

/// Why an answer gives no login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinishError {
    /// A key field.
    #[error("the answer's {field} is no key")]
    Key {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        why: ParseKeyError,
    },
    /// A key of small order.
    #[error("the answer's {field} cannot be used")]
    Agree {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        why: AgreeError,
    },
    /// The token.
    #[error("the answer's long_lived_token does not open")]
    Token(#[source] llt::OpenError),
    /// The clocks disagree.
    #[error(
        "the token is {off_s} s away from this clock, {TOKEN_AGE_MAX_S} s are not reached by a working login; check both clocks"
    )]
    Age {
        /// Seconds between the two.
        off_s: u64,
    },
}

/// What a login leaves on the phone.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) eid: Eid,
    pub(crate) token: SecretText,
    pub(crate) device: KeyPair,
    pub(crate) server_device: PublicKey,
    pub(crate) device_id: DeviceId,
    pub(crate) publish: KeyPair,
    pub(crate) server_publish: PublicKey,
    #[serde(with = "crate::state::session")]
    pub(crate) session: Session,
}

const PUBLISH_FIELD: &str = "server_publish_pub_key";
const DEVICE_FIELD: &str = "server_device_id_pub_key";

impl Phone {
    /// Begins a call with fresh keys: publish key first, then device key, 32 bytes drawn for each.
    pub fn begin<R: CryptoRng + ?Sized>(kind: Kind, identity: Identity, rng: &mut R) -> Pending {
        let publish = KeyPair::generate(rng);
        let device = KeyPair::generate(rng);
        Pending { kind, identity, publish, device }
    }
}

impl Pending {
    /// Which call it is.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The request's fields; without `code` it is the first phase. [`Style::Android`] ends the keys with a line break.
    #[must_use]
    pub fn request(&self, password: &str, code: Option<&str>, captcha: &str, style: Style) -> EntityRequest {
        let country_code = match &self.kind {
            Kind::SignUp { country } => country.clone(),
            Kind::LogIn | Kind::Reset => String::new(),
        };
        EntityRequest {
            country_code,
            phone_number: self.identity.phone_number().to_owned(),
            email_address: self.identity.email_address().to_owned(),
            password: password.into(),
            client_publish_pub_key: style.base64(self.publish.public().as_bytes()),
            client_device_id_pub_key: style.base64(self.device.public().as_bytes()),
            ownership_proof_response: code.unwrap_or_default().into(),
            captcha_token: captcha.to_owned(),
        }
    }

    /// A phone that has nothing but this login. Draws 32 bytes, the first ratchet key.
    ///
    /// # Errors
    /// [`FinishError`] names the field that is wrong.
    pub fn finish<R>(&self, answer: &EntityAnswer, now_s: u64, age: AgeCheck, rng: &mut R) -> Result<Phone, FinishError>
    where
        R: CryptoRng + ?Sized,
    {
        let mut phone = Phone::new(self.identity.clone());
        phone.login = Some(self.login(answer, now_s, age, rng)?);
        Ok(phone)
    }

    /// Logs a phone in again: identity, keys, token and session are new, all else stays. The phone is unchanged on error.
    ///
    /// # Errors
    /// [`FinishError`] names the field that is wrong.
    pub fn renew<R>(
        &self,
        phone: &mut Phone,
        answer: &EntityAnswer,
        now_s: u64,
        age: AgeCheck,
        rng: &mut R,
    ) -> Result<(), FinishError>
    where
        R: CryptoRng + ?Sized,
    {
        phone.login = Some(self.login(answer, now_s, age, rng)?);
        phone.identity = self.identity.clone();
        Ok(())
    }

    fn login<R>(&self, answer: &EntityAnswer, now_s: u64, age: AgeCheck, rng: &mut R) -> Result<Login, FinishError>
    where
        R: CryptoRng + ?Sized,
    {
        let server_publish = key(PUBLISH_FIELD, &answer.server_publish_pub_key)?;
        let server_device = key(DEVICE_FIELD, &answer.server_device_id_pub_key)?;
        let unusable = |field| move |why| FinishError::Agree { field, why };
        let device_secret = agree(self.device.secret(), &server_device).map_err(unusable(DEVICE_FIELD))?;
        let token = llt::open(&device_secret, answer.long_lived_token.reveal().trim()).map_err(FinishError::Token)?;
        check_age(token.minted_at_s, now_s, age)?;
        let shared = agree(self.publish.secret(), &server_publish).map_err(unusable(PUBLISH_FIELD))?;
        let session = Session::alice(&shared, server_publish, rng).map_err(unusable(PUBLISH_FIELD))?;
        Ok(Login {
            eid: token.eid,
            token: token.plaintext.as_str().into(),
            device_id: DeviceId(device_id(&device_secret, self.identity.reveal(), &self.device.public())),
            device: self.device.clone(),
            server_device,
            publish: self.publish.clone(),
            server_publish,
            session,
        })
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("kind", &self.kind).finish_non_exhaustive()
    }
}

fn key(field: &'static str, text: &str) -> Result<PublicKey, FinishError> {
    PublicKey::from_base64_lenient(text).map_err(|why| FinishError::Key { field, why })
}

fn check_age(minted_at_s: u64, now_s: u64, age: AgeCheck) -> Result<(), FinishError> {
    let off_s = minted_at_s.abs_diff(now_s);
    if age == AgeCheck::Android && off_s >= TOKEN_AGE_MAX_S { Err(FinishError::Age { off_s }) } else { Ok(()) }
}
