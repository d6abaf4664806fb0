//! From a person's fields to the bytes and the envelope of one message.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use url::Host;

/// Recipients of one message, in all fields together: a day's ration of one person.
pub const RECIPIENTS_MAX: usize = 20;
/// Blind recipients of one message; more is what a spammer wants.
pub const BCC_MAX: usize = 5;
/// Subject, in bytes; below the line limit of RFC 5322 even when encoded.
pub const SUBJECT_BYTES_MAX: usize = 500;
/// Body, in bytes: what the phones' length field can say.
pub const BODY_BYTES_MAX: usize = 65_535;
/// Attachment, in bytes: far above what fits into SMS.
pub const ATTACHMENT_BYTES_MAX: usize = 1 << 20;
/// Names of people and files, in bytes.
const NAME_BYTES_MAX: usize = 100;
/// Message-ID, in bytes.
const ID_BYTES_MAX: usize = 200;
/// Longest time that the `Date` header can tell, in milliseconds: the year 9999.
const DATE_MS_MAX: u64 = 253_402_300_799_000;
const NUMBER_NOT_VERIFIED: &str = "Sent by SMS through RelaySMS. The sender's number is not verified.";

/// What stands below the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Footer {
    /// Nothing.
    #[default]
    None,
    /// That the sender's phone number is not verified: for bridge mail, behind which is no account.
    NumberNotVerified,
}

/// One file.
#[derive(Clone)]
pub struct Attachment {
    /// Name as the recipient sees it.
    pub filename: String,
    /// Media type.
    pub mimetype: String,
    /// The bytes.
    pub data: Vec<u8>,
}

/// A message to send. Addresses are bare (`name@host`), without display names.
#[derive(Clone, Default)]
pub struct Outgoing {
    /// The `From` address.
    pub from: String,
    /// The name beside it.
    pub from_name: Option<String>,
    /// Where bounces go, if not to `from`.
    pub return_path: Option<String>,
    /// Recipients.
    pub to: Vec<String>,
    /// Copies.
    pub cc: Vec<String>,
    /// Blind copies: in the envelope only, never in a header.
    pub bcc: Vec<String>,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// At most one file.
    pub attachment: Option<Attachment>,
    /// `left@right`, with or without angle brackets; the same for each try of the same message.
    pub message_id: String,
    /// `Date`, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What stands below the body.
    pub footer: Footer,
    /// `https:` or `mailto:` address with which a recipient stops further mail.
    pub list_unsubscribe: Option<String>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outgoing(..)")
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attachment(..)")
    }
}

/// Why a message is not sent. Names the field, never its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A line break, a NUL or another control character.
    #[error("{0} contains a control character")]
    Control(&'static str),
    /// Longer than allowed.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// Not an address that can be reached over the Internet.
    #[error("{0} is not an e-mail address")]
    Address(&'static str),
    /// Nobody to send to.
    #[error("the message has no recipient")]
    NoRecipient,
    /// More than 20 recipients or more than 5 blind ones.
    #[error("the message has too many recipients")]
    TooManyRecipients,
    /// Not of the form that this field needs.
    #[error("{0} is malformed")]
    Malformed(&'static str),
}

/// A message ready for the wire.
pub struct Ready {
    pub(crate) envelope: Envelope,
    pub(crate) bytes: Vec<u8>,
}

impl Ready {
    /// Envelope recipients.
    pub fn recipients(&self) -> &[Address] {
        self.envelope.to()
    }

    /// The message as it goes over the wire, before dot-stuffing. ASCII only.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready(..)")
    }
}

/// Checks every field and builds the message.
pub fn build(mail: &Outgoing) -> Result<Ready, Invalid> {
    check_lengths(mail)?;
    let from = address("from", &mail.from)?;
    let name = mail.from_name.as_deref().map(|name| line("from_name", name)).transpose()?;
    let mut builder = Message::builder()
        .from(Mailbox::new(name.map(str::to_owned), from.clone()))
        .subject(line("subject", &mail.subject)?)
        .message_id(Some(message_id(&mail.message_id)?))
        .date(date(mail.at_ms)?);
    let (to, cc) = (addresses("to", &mail.to)?, addresses("cc", &mail.cc)?);
    let bcc = addresses("bcc", &mail.bcc)?;
    for address in &to {
        builder = builder.to(Mailbox::new(None, address.clone()));
    }
    for address in &cc {
        builder = builder.cc(Mailbox::new(None, address.clone()));
    }
    if let Some(stop) = &mail.list_unsubscribe {
        builder = builder.raw_header(unsubscribe(stop)?);
    }
    let bounces = mail.return_path.as_deref().map(|text| address("return_path", text));
    let bounces = bounces.transpose()?.unwrap_or(from);
    // Built by hand: the headers name fewer people than the envelope.
    let everybody: BTreeSet<Address> = to.into_iter().chain(cc).chain(bcc).collect();
    let envelope = Envelope::new(Some(bounces), everybody.into_iter().collect()).map_err(|_| Invalid::NoRecipient)?;
    let message = with_content(builder.envelope(envelope.clone()), mail)?;
    let bytes = message.formatted();
    if !bytes.is_ascii() {
        return Err(Invalid::Malformed("message"));
    }
    Ok(Ready { envelope, bytes })
}

fn check_lengths(mail: &Outgoing) -> Result<(), Invalid> {
    let attached = mail.attachment.as_ref();
    for (field, length, limit) in [
        ("subject", mail.subject.len(), SUBJECT_BYTES_MAX),
        ("body", mail.body.len(), BODY_BYTES_MAX),
        ("attachment", attached.map_or(0, |file| file.data.len()), ATTACHMENT_BYTES_MAX),
        ("filename", attached.map_or(0, |file| file.filename.len()), NAME_BYTES_MAX),
        ("from_name", mail.from_name.as_ref().map_or(0, String::len), NAME_BYTES_MAX),
    ] {
        if length > limit {
            return Err(Invalid::TooLong(field));
        }
    }
    let count = mail.to.len() + mail.cc.len() + mail.bcc.len();
    if count > RECIPIENTS_MAX || mail.bcc.len() > BCC_MAX {
        return Err(Invalid::TooManyRecipients);
    }
    if count == 0 { Err(Invalid::NoRecipient) } else { Ok(()) }
}

fn line<'a>(field: &'static str, text: &'a str) -> Result<&'a str, Invalid> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if text.chars().any(breaks) { Err(Invalid::Control(field)) } else { Ok(text) }
}

fn addresses(field: &'static str, texts: &[String]) -> Result<Vec<Address>, Invalid> {
    texts.iter().map(|text| address(field, text)).collect()
}

/// Whether mail can go to this text: one address, without a name.
#[must_use]
pub fn is_address(text: &str) -> bool {
    address("address", text).is_ok()
}

/// `local@domain`: the local part unquoted ASCII, the domain a name of at least two labels, written
/// in its ASCII form. A single label would be a mailbox on the smart host itself.
fn address(field: &'static str, text: &str) -> Result<Address, Invalid> {
    let bad = Invalid::Address(field);
    let (local, domain) = line(field, text)?.rsplit_once('@').ok_or(bad)?;
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b);
    let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
    if !(1..=64).contains(&local.len()) || !local.bytes().all(atom) || dots {
        return Err(bad);
    }
    // The first character decides how a relay's command line reads it.
    if local.starts_with('-') {
        return Err(bad);
    }
    let Ok(Host::Domain(host)) = Host::parse(domain) else {
        return Err(bad);
    };
    if !host.contains('.') || host.ends_with('.') || host.len() > 253 {
        return Err(bad);
    }
    Address::new(local, &host).map_err(|_| bad)
}

fn message_id(text: &str) -> Result<String, Invalid> {
    let bad = Invalid::Malformed("message_id");
    let bare = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(text);
    let (left, right) = bare.split_once('@').ok_or(bad)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.+=".contains(&b);
    let sound = |part: &str| !part.is_empty() && part.bytes().all(allowed);
    let fits = bare.len() <= ID_BYTES_MAX && sound(left) && sound(right);
    if fits { Ok(format!("<{bare}>")) } else { Err(bad) }
}

fn date(at_ms: u64) -> Result<SystemTime, Invalid> {
    if at_ms > DATE_MS_MAX {
        return Err(Invalid::Malformed("at_ms"));
    }
    Ok(SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms))
}

fn unsubscribe(text: &str) -> Result<HeaderValue, Invalid> {
    let bad = Invalid::Malformed("list_unsubscribe");
    let known = text.starts_with("https://") || text.starts_with("mailto:");
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b','));
    if !known || !plain || text.len() > 500 {
        return Err(bad);
    }
    let name = HeaderName::new_from_ascii_str("List-Unsubscribe");
    Ok(HeaderValue::new(name, format!("<{text}>")))
}

fn with_content(builder: lettre::message::MessageBuilder, mail: &Outgoing) -> Result<Message, Invalid> {
    if mail.body.contains('\0') {
        return Err(Invalid::Control("body"));
    }
    let mut body = mail.body.replace("\r\n", "\n").replace('\r', "\n");
    if mail.footer == Footer::NumberNotVerified {
        body.push_str("\n\n-- \n");
        body.push_str(NUMBER_NOT_VERIFIED);
        body.push('\n');
    }
    let text = SinglePart::plain(body);
    let built = match &mail.attachment {
        None => builder.singlepart(text),
        Some(file) => builder.multipart(MultiPart::mixed().singlepart(text).singlepart(part(file)?)),
    };
    built.map_err(|_| Invalid::Malformed("message"))
}

fn part(file: &Attachment) -> Result<SinglePart, Invalid> {
    let name = line("filename", &file.filename)?;
    if name.is_empty() || name.contains(['/', '\\', '"']) {
        return Err(Invalid::Malformed("filename"));
    }
    let bad = Invalid::Malformed("mimetype");
    let mimetype = line("mimetype", &file.mimetype)?;
    let kind = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+.".contains(&b));
    mimetype.split_once('/').filter(|(a, b)| kind(a) && kind(b)).ok_or(bad)?;
    let content_type = ContentType::parse(mimetype).map_err(|_| bad)?;
    let attachment = lettre::message::Attachment::new(name.to_owned());
    Ok(attachment.body(file.data.clone(), content_type))
}
