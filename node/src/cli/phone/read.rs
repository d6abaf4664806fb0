//! `phone read`: what an SMS says.

use relaymesh_phone::{Delivery, Incoming};
use relaymesh_protocol::ids::Timestamp;
use relaymesh_protocol::reply::ReplyMail;
use serde::Serialize;

use super::args::State;
use super::messages::text_or_input;
use super::{keep, now};
use crate::cli::args::Global;
use crate::cli::exit::ExitError;
use crate::cli::{print, print_json};
use crate::render::date;

#[derive(Serialize)]
struct Shown {
    kind: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail: Option<Mail>,
}

#[derive(Serialize)]
struct Mail {
    alias: String,
    from: String,
    cc: String,
    bcc: String,
    subject: String,
    body: String,
    at: u64,
    late: bool,
}

impl Shown {
    fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), mail: None }
    }
}

/// Shows what an SMS says; the phone is stored when reading changed it.
pub fn read(global: &Global, state: &State, text: String) -> Result<(), ExitError> {
    let text = text_or_input(text)?;
    let password = keep::password(state)?;
    let mut phone = keep::load(state, &password)?;
    let mut rng = keep::chance()?;
    let incoming = phone
        .read(&text, now(), &mut rng)
        .map_err(|e| ExitError::failed(e.to_string(), "paste the whole SMS, once"))?;
    keep::save(state, &password, &phone, &mut rng)?;
    let shown = show(incoming);
    if global.json { print_json(global, &shown) } else { print(&format!("{}\n", shown.text)) }
}

fn show(incoming: Incoming) -> Shown {
    match incoming {
        Incoming::Delivery(Delivery { status, platform, number }) => {
            let platform = platform.map(|name| format!(" to {name}")).unwrap_or_default();
            let number = number.map(|number| format!(" {number}")).unwrap_or_default();
            Shown::new("delivery", format!("message{number}{platform}: {status}"))
        }
        Incoming::Reply { mail, at_s, late } => reply(mail, at_s, late),
        Incoming::Duplicate => Shown::new("duplicate", "this reply was read before"),
        Incoming::TokenUpdate { account, .. } => {
            Shown::new("token_update", format!("the new token of {account} is kept"))
        }
        Incoming::Otp(code) => Shown::new("otp", code.reveal()),
        Incoming::Other => Shown::new("other", "not a message of RelaySMS"),
    }
}

fn reply(mail: ReplyMail, at_s: u64, late: bool) -> Shown {
    let ReplyMail { alias, sender: from, cc, bcc, subject, body } = mail;
    let when = date(Timestamp(at_s.saturating_mul(1000)));
    let came = if late { " (came late)" } else { "" };
    let mut text = format!("from:    {from}\nto:      {alias}\n");
    for (name, who) in [("cc:  ", &cc), ("bcc: ", &bcc)] {
        if !who.is_empty() {
            text.push_str(&format!("{name}    {who}\n"));
        }
    }
    text.push_str(&format!("date:    {when}{came}\nsubject: {subject}\n\n{body}"));
    // Others wrote it; line breaks of the body are the only control characters that a terminal should get.
    let text = text.chars().map(|c| if c.is_control() && c != '\n' { '·' } else { c }).collect::<String>();
    Shown { mail: Some(Mail { alias, from, cc, bcc, subject, body, at: at_s, late }), ..Shown::new("reply", text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_a_mail_and_safe_for_a_terminal() {
        let mail = ReplyMail {
            alias: "237650123456@relay.example.org".to_owned(),
            sender: "Ada <ada@example.org>".to_owned(),
            cc: "bob@example.org".to_owned(),
            bcc: String::new(),
            subject: "a\u{1b}[31m".to_owned(),
            body: "one\ntwo".to_owned(),
        };
        let shown = show(Incoming::Reply { mail, at_s: 1_750_000_000, late: false });
        assert_eq!(
            shown.text,
            "from:    Ada <ada@example.org>\nto:      237650123456@relay.example.org\ncc:      bob@example.org\n\
             date:    2025-06-15 15:06:40Z\nsubject: a·[31m\n\none\ntwo"
        );
        assert_eq!(shown.mail.unwrap().subject, "a\u{1b}[31m");
    }
}
