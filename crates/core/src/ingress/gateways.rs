//! Gateway clients: who may hand SMS in, under which limits, and what each has brought.

use std::time::Duration;

use relaymesh_protocol::ids::{E164, GatewayId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Change;
use crate::batch::Key;
use crate::command::{
    Code, Door, GatewayRow, OperatorCommand, OperatorReply, Private, Refusal, Reply, is_gateway_name,
};
use crate::input::ReplyTo;
use crate::limit::Bucket;
use crate::node::Node;
use crate::record::{Scope, Stored, delete_row, key, put_node, restore_row};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// SMS that one gateway client may bring at once: a phone that comes back on line after a cut.
const BURST: u32 = 2_000;
/// And per second afterwards; a modem receives far less.
const PER_SECOND: u32 = 2_000;
/// The door for everybody on the operator's own network: a handful of phones that come back on line.
const OPEN_BURST: u32 = 1_000;
const OPEN_PER_SECOND: u32 = 20;
/// The door for everybody who reaches the apps' port: people with a command-line client.
const CONTENT_BURST: u32 = 200;
const CONTENT_PER_SECOND: u32 = 10;
/// What gateway clients brought is written down so long after they bring more: a crash costs a minute of counts.
const SAVE_AFTER: Duration = Duration::from_mins(1);
/// Rows written at once; further ones follow in batches of their own.
const SAVED_AT_ONCE: usize = 200;
/// Most gateway clients of one node.
const GATEWAYS_MAX: usize = 10_000;
/// Bytes of a URL token: unguessable, and short enough for a QR code.
const TOKEN_BYTES: usize = 16;

/// A gateway client as the operator enrolled it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// The operator's name for it.
    pub name: String,
    /// Its own number.
    pub msisdn: E164,
    /// ISO 3166 alpha-2: how national numbers are read.
    pub country: Option<String>,
    /// Carrier.
    pub operator: Option<String>,
    /// When it was enrolled.
    pub since: Timestamp,
}

impl Stored for Gateway {
    const SCOPE: Scope = Scope::Node;
}

/// What a gateway client did.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use {
    /// It asked, at this moment.
    Asked(Timestamp),
    /// A payload was taken.
    Accepted,
    /// A private SMS was dropped.
    Ignored,
}

/// What a gateway client has brought since it was enrolled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Brought {
    pub accepted: u64,
    pub ignored: u64,
    pub last_seen: Timestamp,
}

impl Stored for Brought {
    const SCOPE: Scope = Scope::Node;
}

/// What came through a door, how much of it is written down, and what may come now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub brought: Brought,
    pub saved: Brought,
    bucket: Bucket,
}

impl Usage {
    pub fn of(door: Door) -> Self {
        let bucket = match door {
            Door::Gateway(_) => Bucket::new(BURST, PER_SECOND),
            Door::Open => Bucket::new(OPEN_BURST, OPEN_PER_SECOND),
            Door::Content => Bucket::new(CONTENT_BURST, CONTENT_PER_SECOND),
        };
        Self { brought: Brought::default(), saved: Brought::default(), bucket }
    }

    pub fn count(&mut self, used: Use) {
        match used {
            Use::Asked(at) => {
                self.brought.last_seen = at;
                self.bucket.take(at);
            }
            Use::Accepted => self.brought.accepted += 1,
            Use::Ignored => self.brought.ignored += 1,
        }
    }
}

/// Lets a request in, if its door is one and its rate allows.
pub(super) fn admit<'n>(node: &'n Node, tx: &mut Tx<'_>, door: Door) -> Run<Option<&'n Gateway>> {
    let gateway = match door {
        Door::Gateway(id) => {
            Some(node.ingress.gateway(&id).ok_or_else(|| Refusal::new(Code::NotFound, "no such gateway client"))?)
        }
        Door::Open | Door::Content => None,
    };
    if tx.is_again() {
        // It was let in, and paid for it.
        return Ok(gateway);
    }
    let now = tx.now();
    if !node.ingress.usage(door).bucket.allows(now) {
        node.count(tx, "sms_over_rate");
        return Err(Refusal::new(Code::ResourceExhausted, "too many messages; please try again later").into());
    }
    tx.change(Change::Used(door, Use::Asked(now)));
    Ok(gateway)
}

/// Counts what a door was used for; what gateway clients bring is written down within a minute.
pub(super) fn used(node: &Node, tx: &mut Tx<'_>, door: Door, used: Use) {
    tx.then(Change::Used(door, used));
    if matches!(door, Door::Gateway(_)) && !node.ingress.saving {
        tx.then(Change::Saving(true));
        tx.wake(tx.now().after(SAVE_AFTER), Timer::GatewayUse);
    }
}

/// Writes down what gateway clients brought since the last time.
pub(crate) fn on_save(node: &Node, tx: &mut Tx<'_>) -> Run {
    let unsaved = node.ingress.usage.iter().filter_map(|(door, usage)| match door {
        Door::Gateway(id) if usage.brought != usage.saved => Some((*id, usage.brought)),
        _ => None,
    });
    let mut unsaved: Vec<_> = unsaved.filter(|(id, _)| node.ingress.gateway(id).is_some()).collect();
    let more = unsaved.len() > SAVED_AT_ONCE;
    unsaved.truncate(SAVED_AT_ONCE);
    for (id, brought) in unsaved {
        put_node(node, tx, key::gateway_use(&id), &brought)?;
        tx.then(Change::Saved(id, brought));
    }
    if more {
        tx.wake(tx.now(), Timer::GatewayUse);
    } else {
        tx.then(Change::Saving(false));
    }
    Ok(())
}

/// The id of the gateway client that holds a URL token.
#[must_use]
pub fn id_of(token: &str) -> GatewayId {
    let mut hash = Sha256::new();
    hash.update(b"RM1/gateway-token\0");
    hash.update(token.as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let mut id = [0; 8];
    id.copy_from_slice(&digest[..8]);
    GatewayId(id)
}

/// `gateway add | list | remove`.
pub(crate) fn on_operator(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, command: &OperatorCommand) -> Run {
    let answer = match command {
        OperatorCommand::GatewayAdd { name, msisdn, country, operator } => {
            add(node, tx, name, msisdn, country.clone(), operator.clone())?
        }
        OperatorCommand::GatewayRemove { name } => remove(node, tx, name)?,
        _ => OperatorReply::Gateways(node.ingress.gateways().map(|(id, gateway)| row(node, id, gateway)).collect()),
    };
    tx.reply(reply, Reply::Operator(answer));
    Ok(())
}

fn add(
    node: &Node,
    tx: &mut Tx<'_>,
    name: &str,
    msisdn: &Private,
    country: Option<String>,
    operator: Option<String>,
) -> Run<OperatorReply> {
    let invalid = |text: String| Refusal::new(Code::InvalidArgument, text);
    if !is_gateway_name(name) {
        return Err(invalid("a gateway client's name has 1 to 64 bytes of printable characters".to_owned()).into());
    }
    if node.ingress.gateways().any(|(_, gateway)| gateway.name == name) {
        let text = "a gateway client of that name exists; remove it first or choose another name";
        return Err(Refusal::new(Code::AlreadyExists, text).into());
    }
    if node.ingress.gateways.len() >= GATEWAYS_MAX {
        return Err(Refusal::new(Code::ResourceExhausted, "too many gateway clients on this node").into());
    }
    let msisdn: E164 =
        msisdn.reveal().parse().map_err(|why| invalid(format!("the gateway client's number is {why}")))?;
    let country = country.map(|code| code.to_ascii_uppercase()).or_else(|| msisdn.country());
    if country.as_deref().is_some_and(|code| !E164::is_region(code)) {
        return Err(
            invalid("the country has no numbering plan; give a code of two letters, such as CM".to_owned()).into()
        );
    }
    let token: [u8; TOKEN_BYTES] = tx.random();
    let token = hex::encode(token);
    let id = id_of(&token);
    let gateway = Gateway { name: name.to_owned(), msisdn, country, operator, since: tx.now() };
    put_node(node, tx, key::gateway(&id), &gateway)?;
    tx.then(Change::Gateway(id, Box::new(gateway)));
    Ok(OperatorReply::GatewayAdded { name: name.to_owned(), path: format!("/g/{token}/v3/publish").into() })
}

fn remove(node: &Node, tx: &mut Tx<'_>, name: &str) -> Run<OperatorReply> {
    let found = node.ingress.gateways().find(|(_, gateway)| gateway.name == name).map(|(id, _)| *id);
    let id = found
        .ok_or_else(|| Refusal::new(Code::NotFound, "no gateway client of that name; see `relaymesh gateway list`"))?;
    delete_row(tx, key::gateway(&id))?;
    delete_row(tx, key::gateway_use(&id))?;
    tx.then(Change::GatewayGone(id));
    Ok(OperatorReply::Done { message: "removed; its URL answers 404 from now on".to_owned() })
}

fn row(node: &Node, id: &GatewayId, gateway: &Gateway) -> GatewayRow {
    let brought = node.ingress.brought(id);
    GatewayRow {
        name: gateway.name.clone(),
        id: id.to_string(),
        msisdn: gateway.msisdn.to_string(),
        country: gateway.country.clone(),
        accepted: brought.accepted,
        ignored: brought.ignored,
        last_seen: brought.last_seen,
    }
}

/// Reads gateway clients, and what they brought, at start.
pub(crate) fn restore(node: &mut Node, rows: &[(Key, Vec<u8>)], _now: Timestamp) {
    for (row_key, row) in rows {
        if let Some(id) = key::gateway_of_use(row_key) {
            if let Some(brought) = restore_row::<Brought>(node, row_key, row) {
                let door = Door::Gateway(id);
                node.ingress.usage.insert(door, Usage { brought, saved: brought, ..Usage::of(door) });
            }
            continue;
        }
        let id = row_key.get(1..).map(GatewayId::try_from);
        if let (Some(Ok(id)), Some(gateway)) = (id, restore_row::<Gateway>(node, row_key, row)) {
            node.ingress.gateways.insert(id, gateway);
        }
    }
}
