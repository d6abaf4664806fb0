//! The ways that an SMS may take, in the operator's order: own ports, nodes of the own instance, nodes of partners.

use std::time::Duration;

use relaymesh_protocol::ids::NodeId;

use super::row::Row;
use super::{Change, end};
use crate::config::SmsWay;
use crate::delivery::{self, SmsEnd, SmsRequest};
use crate::membership::{Member, Relation};
use crate::node::Node;
use crate::output::{Output, Work, WorkId};
use crate::record::{key, put_node};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Shortest and longest pause between attempts.
const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// Nodes that are asked in one round of the order.
const ASKED_MAX: usize = 4;
/// Digits of an instance's id that name it.
const ID_PREFIX_MIN: usize = 8;

/// Takes the next way, if there is one.
pub(super) fn go_on(node: &Node, tx: &mut Tx<'_>, id: [u8; 16], mut row: Row) -> Run {
    if row.from.is_some() {
        return send(node, tx, id, row, None);
    }
    while let Some(way) = node.config().egress.order.get(row.way) {
        if let SmsWay::Ports(group) = way {
            if node.config().sms {
                return send(node, tx, id, row, Some(*group));
            }
        } else if let Some(other) = pick(node, way, &row) {
            return ask(node, tx, id, row, other);
        }
        row.way += 1;
    }
    let Some(after_ms) = row.later.take() else {
        let nobody = row.declined.is_empty() && !node.config().sms;
        node.count(tx, if nobody { "sms_no_route" } else { "sms_failed" });
        return end(node, tx, id, row, SmsEnd::Refused);
    };
    row.attempts = row.attempts.saturating_add(1);
    row.way = 0;
    row.declined.clear();
    let pause = pause(row.attempts);
    let pause = after_ms.map_or(pause, Duration::from_millis).min(PAUSE_MAX);
    put_node(node, tx, key::sms(&id), &row)?;
    tx.wake(tx.now().after(pause), Timer::Sms(id));
    Ok(())
}

fn pause(attempts: u32) -> Duration {
    PAUSE_MIN.saturating_mul(1 << attempts.min(9)).min(PAUSE_MAX)
}

/// Hands it to own ports.
fn send(node: &Node, tx: &mut Tx<'_>, id: [u8; 16], row: Row, ports: Option<usize>) -> Run {
    put_node(node, tx, key::sms(&id), &row)?;
    let work = WorkId(u64::from_be_bytes(tx.random()));
    tx.then(Change::Sending(work, id));
    let to = row.to.reveal().to_owned().into();
    let sms = Work::Sms { to, text: row.text, id, purpose: row.purpose, ports };
    tx.output(Output::Work { id: work, work: sms });
    Ok(())
}

/// A node of this way that says it can send there and did not decline: connected ones first.
fn pick(node: &Node, way: &SmsWay, row: &Row) -> Option<NodeId> {
    if row.declined.len() >= ASKED_MAX {
        return None;
    }
    let country = row.to.country().unwrap_or_default();
    let fits = |member: &&Member| {
        let relation = node.membership.relation(&member.id);
        let of = match way {
            SmsWay::Ports(_) => false,
            SmsWay::Own => relation == Relation::Own,
            SmsWay::Partner(name) => relation == Relation::Partner && is_named(member, name),
        };
        of && member.sends_to(&country) && !row.declined.contains(&member.id)
    };
    let members = node.membership.members().filter(fits);
    members.min_by_key(|member| (!node.membership.connected().contains(&member.id), member.id)).map(|member| member.id)
}

/// Whether an instance is called so: by its name, or the beginning of its id.
pub(super) fn is_named(member: &Member, name: &str) -> bool {
    member.instance_name == name || (name.len() >= ID_PREFIX_MIN && member.instance.to_string().starts_with(name))
}

/// Asks another node. Until it answers, or surely has not got the request, it is asked again and nobody else is.
pub(super) fn ask(node: &Node, tx: &mut Tx<'_>, id: [u8; 16], mut row: Row, other: NodeId) -> Run {
    row.asked = Some(other);
    let request = SmsRequest { id, to: row.to.clone(), text: row.text.clone(), purpose: row.purpose };
    let pause = pause(row.attempts + 3);
    put_node(node, tx, key::sms(&id), &row)?;
    node.count(tx, "sms_asked");
    delivery::offer_sms(node, tx, other, id, request);
    tx.wake(tx.now().after(pause), Timer::Sms(id));
    Ok(())
}
