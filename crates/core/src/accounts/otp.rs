//! One-time codes: asked for, sent, tried, used up.
//!
//! A code is stored as a MAC bound to what it is for and whom, so a disk or a memory dump shows none. A try is counted in
//! a durable batch before it is answered, and all tries of one code share a lane: however many are sent at the same time,
//! four are evaluated. A right code is used up in the same batch as what it buys, so that a busy node costs nobody a code.

use std::fmt;
use std::time::Duration;

use relaymesh_protocol::ids::{Language, Timestamp};
use relaymesh_protocol::sms_text::{Notice, OtpCode};
use relaymesh_seal::password::{macs_equal, otp_mac};
use serde::{Deserialize, Serialize};

use super::check::{invalid, required};
use super::identity::Identifier;
use super::{Change, Step, work};
use crate::batch::Key;
use crate::command::{AccountReply, Code, Private, Refusal, Reply};
use crate::input::ReplyTo;
use crate::node::Node;
use crate::output::{SendError, SmsPurpose, Work, WorkError};
use crate::record::{Scope, Stored, get_node, key, put_node};
use crate::tx::{Run, Tx};

/// How long a code may be used.
const CODE_LIFE: Duration = Duration::from_mins(10);
/// The try that ends a code, even if it is right: four usable ones, as upstream has it.
const TRIES_MAX: u8 = 5;
/// How long the nth request blocks further ones, in minutes; then the count begins again.
const BLOCKS_MIN: [u64; 5] = [5, 10, 30, 120, 1_440];
/// An identifier's requests are forgotten so long after their last block ended.
const REQUESTS_LIFE: Duration = Duration::from_hours(24);
/// Rows looked at for expired ones whenever a code is made: more than the two that are added, so the table stays small.
const SWEEP_ROWS: usize = 32;
/// Kind of index hash under which a code lies; apart from those of [`crate::record::index::Kind`].
const KIND_CODE: u8 = 32;
/// Kind of index hash under which an identifier's requests lie.
const KIND_REQUESTS: u8 = 33;

const FAILED: &str = "Failed to send OTP. Try again.";
const LIMITED: &str = "Too many OTP requests. Wait and try again.";

/// What a code is for. A code for one purpose is no code for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    SignUp,
    Login,
    Reset,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::SignUp, Self::Login, Self::Reset];

    fn name(self) -> &'static str {
        match self {
            Self::SignUp => "signup",
            Self::Login => "auth",
            Self::Reset => "reset_password",
        }
    }
}

/// A row of the table.
#[derive(Serialize, Deserialize)]
pub(super) enum Row {
    Code { mac: [u8; 32], ends: Timestamp, tries: u8 },
    Requests { count: u8, until: Timestamp },
}

impl Stored for Row {
    const SCOPE: Scope = Scope::Day;
}

impl Row {
    fn is_over(&self, now: Timestamp) -> bool {
        match self {
            Self::Code { ends, .. } => now >= *ends,
            Self::Requests { until, .. } => now >= until.after(REQUESTS_LIFE),
        }
    }
}

/// A right code that is not used up yet.
#[derive(Clone)]
pub(crate) struct Proof {
    code: Key,
    requests: Key,
    mac: [u8; 32],
    field: &'static str,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

fn code_key(node: &Node, purpose: Purpose, identifier: &Identifier) -> Key {
    let value = format!("{}\0{}", purpose.name(), identifier.text());
    key::otp(&node.crypto().index(node.keys(), KIND_CODE, value.as_bytes()))
}

fn requests_key(node: &Node, identifier: &Identifier) -> Key {
    key::otp(&node.crypto().index(node.keys(), KIND_REQUESTS, identifier.text().as_bytes()))
}

fn mac(node: &Node, purpose: Purpose, identifier: &Identifier, code: &str) -> [u8; 32] {
    otp_mac(&node.keys().otp, purpose.name(), identifier.text(), code)
}

/// Phase 1 ends here: a captcha if one is asked for, then a code. Refuses before it writes anything.
pub(super) fn begin(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    purpose: Purpose,
    identifier: &Identifier,
    captcha: &Private,
) -> Run {
    if !node.config().captcha {
        return send(node, tx, reply, purpose, identifier);
    }
    required(&[("captcha_token", captcha.reveal())])?;
    let step = Step::Captcha { purpose, identifier: identifier.clone() };
    work(node, tx, reply, step, Work::Captcha { token: captcha.clone() })
}

/// The captcha service answered.
pub(super) fn on_captcha(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    purpose: Purpose,
    identifier: &Identifier,
    agreed: Result<bool, WorkError>,
) -> Run {
    match agreed {
        Ok(true) => send(node, tx, reply, purpose, identifier),
        Ok(false) => {
            Err(Refusal::new(Code::PermissionDenied, "The captcha could not be verified. Please try again.").into())
        }
        Err(_) => Err(Refusal::unavailable().into()),
    }
}

/// Makes a code and sends it, unless too many were asked for.
fn send(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, purpose: Purpose, identifier: &Identifier) -> Run {
    channel(node, identifier)?;
    let (code_key, requests_key) = (code_key(node, purpose, identifier), requests_key(node, identifier));
    tx.prefetch([code_key.clone(), requests_key.clone()])?;
    let before = requests(node, tx, &requests_key)?;
    let (count, until) = next_request(before, tx.now())?;
    if !node.accounts.codes.allows(tx.now()) {
        return Err(invalid(LIMITED).into());
    }
    sweep(node, tx)?;
    let code = draw(tx);
    let row =
        Row::Code { mac: mac(node, purpose, identifier, code.reveal()), ends: tx.now().after(CODE_LIFE), tries: 0 };
    put_node(node, tx, code_key, &row)?;
    put_node(node, tx, requests_key, &Row::Requests { count, until })?;
    let at = tx.now();
    tx.change(Change::CodeMade(at));
    let step = Step::Sending { purpose, identifier: identifier.clone(), until };
    let letter = letter(tx, identifier, code)?;
    work(node, tx, reply, step, letter)
}

/// Whether a code can reach the identifier at all.
fn channel(node: &Node, identifier: &Identifier) -> Result<(), Refusal> {
    let config = node.config();
    let Identifier::Phone(phone) = identifier else {
        let on = config.otp.email && matches!(identifier, Identifier::Email(_));
        let off = "EMAIL OTP service unavailable for your region. Contact support.";
        return if on { Ok(()) } else { Err(invalid(off)) };
    };
    if !config.otp.sms {
        return Err(invalid("SMS OTP service unavailable for your region. Contact support."));
    }
    let country = phone.country().unwrap_or_default();
    let allowed = config.otp_countries.iter().any(|c| c.eq_ignore_ascii_case(&country));
    if !allowed && !config.otp_countries.is_empty() {
        return Err(invalid("SMS OTP service unavailable for your region. Try email OTP or contact support."));
    }
    Ok(())
}

fn requests(node: &Node, tx: &mut Tx<'_>, place: &[u8]) -> Run<Option<(u8, Timestamp)>> {
    Ok(match get_node(node, tx, place)? {
        Some(Row::Requests { count, until }) if tx.now() < until.after(REQUESTS_LIFE) => Some((count, until)),
        _ => None,
    })
}

/// Count and block of one more request.
fn next_request(before: Option<(u8, Timestamp)>, now: Timestamp) -> Result<(u8, Timestamp), Refusal> {
    let (count, until) = before.unwrap_or_default();
    if now < until {
        return Err(invalid(LIMITED));
    }
    let minutes = BLOCKS_MIN.get(usize::from(count));
    let (count, minutes) = minutes.map_or((1, BLOCKS_MIN[0]), |minutes| (count + 1, *minutes));
    Ok((count, now.after(Duration::from_mins(minutes))))
}

fn draw(tx: &mut Tx<'_>) -> Private {
    // 64 bits over a million: the bias is far below anything that could be observed.
    let number = u64::from_le_bytes(tx.random()) % 1_000_000;
    Private(format!("{number:06}"))
}

fn letter(tx: &mut Tx<'_>, identifier: &Identifier, code: Private) -> Run<Work> {
    let Identifier::Phone(phone) = identifier else {
        return Ok(Work::OtpMail { to: identifier.text().into(), code });
    };
    let otp = OtpCode::new(code.reveal()).map_err(|_| Refusal::unavailable())?;
    let text = Notice::Otp(otp).text(Language::EN).into();
    Ok(Work::Sms { to: phone.reveal().into(), text, id: tx.random(), purpose: SmsPurpose::Code, ports: None })
}

/// Removes what is over from a random 256th of the table: nothing wakes for a code that nobody tries.
fn sweep(node: &Node, tx: &mut Tx<'_>) -> Run {
    let [part] = tx.random();
    let now = tx.now();
    for (place, _) in tx.rows(&[key::OTP, part], SWEEP_ROWS)? {
        let over = get_node::<Row>(node, tx, &place)?.is_none_or(|row| row.is_over(now));
        if over {
            tx.delete(place)?;
        }
    }
    Ok(())
}

/// The code left, or did not.
pub(super) fn on_sent(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    (purpose, identifier, until): (Purpose, &Identifier, Timestamp),
    sent: &Result<(), SendError>,
) -> Run {
    // Nobody knows whether it arrived: the person looks, and may ask again when the block ends.
    if matches!(sent, Ok(()) | Err(SendError::Unknown)) {
        let to = if matches!(identifier, Identifier::Email(_)) { "email" } else { "phone" };
        let message = format!("OTP sent. Check your {to}.");
        tx.reply(reply, Reply::Account(AccountReply::ProofRequired { message, next_attempt: until.seconds() }));
        return Ok(());
    }
    let (code_key, requests_key) = (code_key(node, purpose, identifier), requests_key(node, identifier));
    tx.prefetch([code_key.clone(), requests_key.clone()])?;
    // A code that never left blocks nobody from asking again at once, but still counts.
    if let Some((count, blocked)) = requests(node, tx, &requests_key)?
        && blocked == until
    {
        let until = tx.now();
        put_node(node, tx, requests_key, &Row::Requests { count, until })?;
        tx.delete(code_key)?;
    }
    tx.reply(reply, Reply::Refused(invalid(FAILED)));
    Ok(())
}

/// Evaluates a code. The try is counted in the batch of this run, whatever becomes of it: a refusal comes back as a value
/// so that the caller can still write it.
pub(super) fn try_code(
    node: &Node,
    tx: &mut Tx<'_>,
    purpose: Purpose,
    identifier: &Identifier,
    code: &Private,
) -> Run<Result<Proof, Refusal>> {
    let (place, requests_place) = (code_key(node, purpose, identifier), requests_key(node, identifier));
    let others = Purpose::ALL.map(|purpose| code_key(node, purpose, identifier));
    tx.prefetch(others.iter().cloned().chain([requests_place.clone()]))?;
    let Some(Row::Code { mac: stored, ends, tries }) = get_node(node, tx, &place)? else {
        return missing(node, tx, identifier, &requests_place, &others).map(Err);
    };
    let tries = tries.saturating_add(1);
    let told = if tx.now() >= ends {
        Some("OTP expired. Request a new one.")
    } else if tries >= TRIES_MAX {
        Some("Too many incorrect attempts. OTP invalidated. Request a new one.")
    } else {
        None
    };
    if let Some(text) = told {
        tx.delete(place)?;
        return Ok(Err(unauthenticated(text)));
    }
    put_node(node, tx, place.clone(), &Row::Code { mac: stored, ends, tries })?;
    let given = mac(node, purpose, identifier, code.reveal().trim());
    if !macs_equal(&given, &stored) {
        return Ok(Err(unauthenticated("Incorrect OTP. Try again.")));
    }
    Ok(Ok(Proof { code: place, requests: requests_place, mac: stored, field: identifier.field() }))
}

/// Why there is no code of this purpose.
fn missing(
    node: &Node,
    tx: &mut Tx<'_>,
    identifier: &Identifier,
    requests_place: &[u8],
    others: &[Key],
) -> Run<Refusal> {
    for place in others {
        if get_node::<Row>(node, tx, place)?.is_some() {
            return Ok(unauthenticated("OTP action mismatch. Request a new OTP."));
        }
    }
    if requests(node, tx, requests_place)?.is_none() {
        return Ok(unauthenticated("OTP not initiated. Request a new OTP first."));
    }
    Ok(no_record(identifier.field()))
}

fn no_record(field: &str) -> Refusal {
    let what = if field == "email_address" { "email" } else { "phone number" };
    unauthenticated(format!("No OTP record found for this {what}."))
}

fn unauthenticated(text: impl Into<String>) -> Refusal {
    Refusal::new(Code::Unauthenticated, text)
}

/// Uses up a right code, in the batch of what it buys. Of several that came at the same time with the same code, one wins.
pub(super) fn consume(node: &Node, tx: &mut Tx<'_>, proof: &Proof) -> Run {
    tx.prefetch([proof.code.clone(), proof.requests.clone()])?;
    match get_node(node, tx, &proof.code)? {
        Some(Row::Code { mac, .. }) if macs_equal(&mac, &proof.mac) => {}
        _ => return Err(no_record(proof.field).into()),
    }
    tx.delete(proof.code.clone())?;
    tx.delete(proof.requests.clone())
}
