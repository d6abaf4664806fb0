//! Answers of people to our SMS (`RESEND n`, `STOP`, `START`): durable like a message, then routed by the sender's number.
//!
//! Only a gateway client's own URL brings them: a number is no authority, and at the open door anybody claims any.

use std::collections::BTreeMap;

use relaymesh_protocol::ids::{E164, GatewayId, MessageId, Timestamp};
use relaymesh_protocol::sms_text::Keyword;

use super::{Change, Gateway, gateways, sender};
use crate::command::{Code, Door, Refusal, Reply, Submit, Submitted};
use crate::delivery::{self, Cargo, Outbox, Stage};
use crate::input::ReplyTo;
use crate::locator::Lookup;
use crate::node::Node;
use crate::record::{get_node, key, put_node};
use crate::tx::{Run, Tx};

/// Answers of one number through one gateway client in a day; more than anybody needs, and its ration of questions to
/// partners is spared.
const PER_DAY: u8 = 10;
/// Numbers that are counted in a day; further ones are asked to come tomorrow.
const COUNTED_MAX: usize = 50_000;
/// Kind byte of the keyed hash that names a number in memory.
const KIND_NAME: u8 = 0xA5;

/// Gateway client, and keyed hash of the sender.
pub(super) type Who = (GatewayId, [u8; 16]);

/// Answers of this day.
#[derive(Debug, Default)]
pub(super) struct Counts {
    day: u64,
    by: BTreeMap<Who, u8>,
}

impl Counts {
    fn allows(&self, who: &Who, now: Timestamp) -> bool {
        if now.day() > self.day {
            return true;
        }
        self.by.get(who).map_or(self.by.len() < COUNTED_MAX, |count| *count < PER_DAY)
    }

    pub fn count(&mut self, who: Who, at: Timestamp) {
        if at.day() > self.day {
            *self = Self { day: at.day(), by: BTreeMap::new() };
        }
        let count = self.by.entry(who).or_default();
        *count = count.saturating_add(1);
    }
}

/// Takes an SMS that is no payload, if it is an answer. Whether one was taken: the caller drops what is none.
pub(super) fn take(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    submit: &Submit,
    gateway: Option<&Gateway>,
) -> Run<bool> {
    let (Door::Gateway(id), Some(gateway)) = (submit.door, gateway) else { return Ok(false) };
    let Some(keyword) = Keyword::parse(submit.text.reveal()) else { return Ok(false) };
    // A sender that is no number (a carrier's name) did not get an SMS of ours.
    let Ok(number) = sender(&submit.sender, Some(gateway)) else { return Ok(false) };
    let who = (id, node.crypto().index(node.keys(), KIND_NAME, number.reveal().as_bytes()));
    let now = tx.now();
    if !node.ingress.keywords.allows(&who, now) {
        node.count(tx, "keyword_over_rate");
        return Err(Refusal::new(Code::ResourceExhausted, "too many answers; please try again tomorrow").into());
    }
    let mut first = None;
    for lookup in lookups(keyword, &number) {
        let message = message_id(&number, keyword, &lookup, submit, now);
        first = first.or(Some(message));
        hold(node, tx, message, keyword, lookup, submit, gateway)?;
    }
    tx.change(Change::Keyword(who, now));
    gateways::used(node, tx, submit.door, gateways::Use::Accepted);
    if let Some(message) = first {
        tx.reply(reply, Reply::Submitted(Submitted::Accepted { message, outcome: None }));
    }
    Ok(true)
}

/// Whose the answer may be. What was uncertain may be an account's or a bridge identity's; `STOP` is about the latter alone.
fn lookups(keyword: Keyword, number: &E164) -> Vec<Lookup> {
    let identity = Lookup::Identity(number.clone());
    match keyword {
        Keyword::Resend { .. } => vec![Lookup::Number(number.clone()), identity],
        Keyword::Stop | Keyword::Start => vec![identity],
    }
}

/// The same SMS has the same id at every node: it is told by when it was sent. Without that, each is one of its own.
fn message_id(number: &E164, keyword: Keyword, lookup: &Lookup, submit: &Submit, now: Timestamp) -> MessageId {
    let received = i64::try_from(now.0).unwrap_or(i64::MAX);
    let when = submit.date_sent.or(submit.date).unwrap_or(received);
    let (word, n) = match keyword {
        Keyword::Resend { number } => (b'R', number),
        Keyword::Stop => (b'S', 0),
        Keyword::Start => (b'T', 0),
    };
    let mut bytes = b"keyword\0".to_vec();
    bytes.extend([word, u8::from(matches!(lookup, Lookup::Identity(_)))]);
    bytes.extend(n.to_be_bytes());
    bytes.extend(when.to_be_bytes());
    MessageId::of(number.reveal().as_bytes(), &bytes)
}

fn hold(
    node: &Node,
    tx: &mut Tx<'_>,
    message: MessageId,
    keyword: Keyword,
    lookup: Lookup,
    submit: &Submit,
    gateway: &Gateway,
) -> Run {
    if get_node::<Outbox>(node, tx, &key::outbox(&message))?.is_some() {
        node.count(tx, "sms_duplicate");
        return Ok(());
    }
    delivery::make_room(node, tx, message, true)?;
    let received = tx.now();
    let outbox = Outbox {
        cargo: Cargo::Keyword(keyword),
        session: 0,
        lookup,
        sender: None,
        received,
        date: submit.date,
        date_sent: submit.date_sent,
        gateway: Some(gateway.msisdn.clone()),
        trusted: true,
        stage: Stage::Held,
    };
    put_node(node, tx, key::outbox(&message), &outbox)?;
    node.count(tx, "keyword_accepted");
    node.trace(tx, message, "ingress", || "answer stored");
    delivery::hold(tx, message, &outbox);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_its_share_of_a_day_and_all_have_a_bound() {
        let mut counts = Counts::default();
        let (now, who) = (Timestamp(86_400_000 * 400), |n: u32| {
            let mut name = [0; 16];
            name[..4].copy_from_slice(&n.to_be_bytes());
            (GatewayId([1; 8]), name)
        });
        for _ in 0..PER_DAY {
            assert!(counts.allows(&who(1), now));
            counts.count(who(1), now);
        }
        assert!(!counts.allows(&who(1), now) && counts.allows(&who(2), now));
        for n in 2..=COUNTED_MAX as u32 {
            counts.count(who(n), now);
        }
        assert!(!counts.allows(&who(u32::MAX), now) && counts.allows(&who(2), now));
        let tomorrow = Timestamp(now.0 + 86_400_000);
        assert!(counts.allows(&who(1), tomorrow));
        counts.count(who(1), tomorrow);
        assert_eq!(counts.by.len(), 1);
    }
}
