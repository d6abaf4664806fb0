//! SMS out: the ports an SMS can leave through, and the budget that stands before all of them.
//!
//! A port is tried once per call and says what that means; which port comes next is decided by
//! whoever holds `sms.reply_order`.

#![forbid(unsafe_code)]

pub mod budget;
mod file;
mod http;
mod template;

use std::fmt;

pub use budget::{Ask, Budget, Exceeded, Limits, Purpose, Spent};
pub use file::FilePort;
pub use http::{HttpConfig, HttpPort};
pub use template::{ConfigError, Escape};

/// One SMS to send.
pub struct Sms<'a> {
    /// E.164 with its plus sign.
    pub to: &'a str,
    /// The text.
    pub text: &'a str,
    /// The same for each try of the same SMS.
    pub id: &'a str,
    /// Now, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl fmt::Debug for Sms<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sms(..)")
    }
}

/// The port has taken responsibility for the SMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted;

/// Why an SMS is not known to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Nothing was sent; try again or take the next port.
    #[error("sms was not sent, try again later or by another port")]
    Retry {
        /// How long the provider asked us to wait, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// The provider may have it; another port might send it twice.
    #[error("sms was handed over and no usable answer came")]
    Unknown,
    /// The provider refused for good.
    #[error("sms was refused with status {status}")]
    Refused {
        /// Its HTTP status.
        status: u16,
    },
    /// The SMS cannot be sent as it is.
    #[error("sms not sent: {0}")]
    Invalid(&'static str),
}

/// A way out for SMS.
#[derive(Debug)]
pub enum Port {
    /// Lines in a file, for development.
    File(FilePort),
    /// A provider's HTTP interface.
    Http(HttpPort),
}

impl Port {
    /// Sends one SMS. Bounded in time. When the future is dropped the outcome is
    /// [`SendError::Unknown`].
    pub async fn send(&self, sms: &Sms<'_>) -> Result<Accepted, SendError> {
        check(sms)?;
        match self {
            Self::File(port) => port.send(sms).await,
            Self::Http(port) => port.send(sms).await,
        }
    }
}

/// Longest text, in bytes; a provider makes some 40 segments of it.
const TEXT_BYTES_MAX: usize = 6_000;

fn check(sms: &Sms<'_>) -> Result<(), SendError> {
    let digits = sms.to.strip_prefix('+').unwrap_or_default();
    let number =
        (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    if !number {
        return Err(SendError::Invalid("the number is not E.164"));
    }
    if sms.text.is_empty() || sms.text.len() > TEXT_BYTES_MAX {
        return Err(SendError::Invalid("the text is empty or longer than 6000 bytes"));
    }
    if sms.id.len() > 128 || !sms.id.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(SendError::Invalid("the id is longer than 128 bytes or not ascii"));
    }
    Ok(())
}
