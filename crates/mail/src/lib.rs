//! SMTP out: one finished message to one smart host, and a small SMTP server to try it against.
//!
//! Every user field goes through [`message`], which refuses whatever could become a second header,
//! a second recipient or a second message; what is left is written by a typed builder only.

#![forbid(unsafe_code)]

mod mailer;
pub mod message;
pub mod sink;

pub use mailer::{Accepted, Config, ConfigError, MAY_RESEND, MailError, Mailer, Tls};
pub use message::{Attachment, Footer, Invalid, Outgoing, is_address};
