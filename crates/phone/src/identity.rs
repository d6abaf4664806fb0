//! Who the phone says it is. The identifier goes into the device ID byte for byte, so it is kept exactly as it was sent.

use std::fmt;
use std::str::FromStr;

use relaymesh_protocol::ids::E164;
use serde::{Deserialize, Serialize};

/// Longest address that mail can carry (RFC 5321 §4.5.3.1.3, without the angle brackets).
const EMAIL_BYTES_MAX: usize = 254;

/// A telephone number or a mail address. `Debug` masks both.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// A number in E.164.
    Phone(E164),
    /// An address; the phone has no number that the server knows.
    Email(Email),
}

/// A mail address as typed: case and dots count. `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

/// Why a text names nobody. Never holds the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdentityError {
    /// Neither.
    #[error("not a phone number; write it as + and country code, or give a mail address")]
    Phone(#[source] relaymesh_protocol::ids::ParseIdError),
    /// Has an `@`, but is no address.
    #[error("not a mail address of at most {EMAIL_BYTES_MAX} bytes, without blanks, with a dot in its domain")]
    Email,
}

impl Identity {
    /// The identifier that counts: what the device ID is made of.
    #[must_use]
    pub fn reveal(&self) -> &str {
        match self {
            Self::Phone(number) => number.reveal(),
            Self::Email(email) => &email.0,
        }
    }

    /// The `phone_number` field of requests; empty for an address.
    #[must_use]
    pub fn phone_number(&self) -> &str {
        match self {
            Self::Phone(number) => number.reveal(),
            Self::Email(_) => "",
        }
    }

    /// The `email_address` field of requests; empty for a number.
    #[must_use]
    pub fn email_address(&self) -> &str {
        match self {
            Self::Phone(_) => "",
            Self::Email(email) => &email.0,
        }
    }

    /// Whether the server cannot find this person by the sender's number.
    #[must_use]
    pub fn needs_device_id(&self) -> bool {
        matches!(self, Self::Email(_))
    }
}

impl FromStr for Identity {
    type Err = ParseIdentityError;

    fn from_str(text: &str) -> Result<Self, ParseIdentityError> {
        if text.contains('@') {
            return text.to_owned().try_into().map(Self::Email);
        }
        text.parse().map(Self::Phone).map_err(ParseIdentityError::Phone)
    }
}

impl TryFrom<String> for Email {
    type Error = ParseIdentityError;

    fn try_from(text: String) -> Result<Self, ParseIdentityError> {
        let sound = text.len() <= EMAIL_BYTES_MAX
            && !text.contains(|c: char| c.is_whitespace() || c.is_control())
            && text.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'));
        if sound { Ok(Self(text)) } else { Err(ParseIdentityError::Email) }
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phone(number) => write!(f, "Identity({number})"),
            Self::Email(email) => write!(f, "Identity({email:?})"),
        }
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_addresses_are_told_apart() {
        let phone: Identity = "+237650123456".parse().unwrap();
        assert_eq!((phone.phone_number(), phone.email_address()), ("+237650123456", ""));
        let email: Identity = "Ada.L@example.org".parse().unwrap();
        assert_eq!((email.phone_number(), email.email_address()), ("", "Ada.L@example.org"));
        assert!(email.needs_device_id() && !phone.needs_device_id());
        for wrong in ["", "650123456", "@example.org", "a@b", "a b@example.org", "a@ex\nample.org"] {
            assert!(wrong.parse::<Identity>().is_err(), "{wrong:?}");
        }
        assert!(format!("{}@example.org", "a".repeat(250)).parse::<Identity>().is_err());
    }

    #[test]
    fn nobody_is_printed() {
        let phone: Identity = "+237650123456".parse().unwrap();
        let email: Identity = "ada@example.org".parse().unwrap();
        let printed = format!("{phone:?} {email:?}");
        assert!(!printed.contains("65012") && !printed.contains("ada"), "{printed}");
    }
}
