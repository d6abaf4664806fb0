//! SMS that other nodes ask for. Each request is answered once it is known how it ended, and again with the same words when
//! it comes again: an answer that was lost never sends an SMS twice, and one that says "nothing was sent" gives the asker's
//! next way its turn.

use std::collections::BTreeMap;
use std::time::Duration;

use relaymesh_protocol::ids::{InstanceId, NodeId, Timestamp};
use sha2::{Digest, Sha256};

use super::row::Row;
use super::ways::is_named;
use super::{Change, QUEUE_MAX, queue, text_max};
use crate::delivery::{self, Body, SmsEnd, SmsRequest};
use crate::membership::{Member, Relation};
use crate::node::Node;
use crate::output::SmsPurpose;
use crate::record::{get_node, key};
use crate::tx::{Run, Tx};

/// A budget day is a UTC day.
const DAY: Duration = Duration::from_hours(24);

/// SMS of a day by instance. Only partners are in it, so there are few.
#[derive(Debug, Default)]
pub(super) struct Served(BTreeMap<InstanceId, (u64, u32)>);

impl Served {
    pub fn count(&mut self, instance: InstanceId, day: u64) {
        let had = self.0.entry(instance).or_insert((day, 0));
        // A clock that goes back does not open a day anew.
        if day > had.0 {
            *had = (day, 0);
        }
        had.1 = had.1.saturating_add(1);
    }

    fn on(&self, instance: &InstanceId, day: u64) -> u32 {
        self.0.get(instance).filter(|(of, _)| *of >= day).map_or(0, |(_, count)| *count)
    }
}

fn day(now: Timestamp) -> u64 {
    now.0 / (DAY.as_millis() as u64)
}

/// Another node asks for an SMS.
pub(crate) fn on_request(node: &Node, tx: &mut Tx<'_>, from: NodeId, request: &SmsRequest) -> Run {
    let relation = node.membership.relation(&from);
    let Some(member) = node.membership.node(&from).filter(|_| matches!(relation, Relation::Own | Relation::Partner))
    else {
        node.count(tx, "sms_request_refused");
        return Ok(());
    };
    let id = place(&from, &request.id);
    if let Some(row) = get_node::<Row>(node, tx, &key::sms(&id))? {
        return match row.end {
            Some(how) => answer(node, tx, from, request.id, how),
            None => Ok(()),
        };
    }
    if let Err(how) = judge(node, tx.now(), member, relation, request) {
        node.count(tx, "sms_request_refused");
        return answer(node, tx, from, request.id, how);
    }
    if relation == Relation::Partner {
        tx.then(Change::Served(member.instance, day(tx.now())));
    }
    let purpose = purpose_for(relation, request.purpose);
    let row = Row::new(request.to.clone(), request.text.clone(), purpose, tx.now(), Some((from, request.id)));
    queue(node, tx, id, &row, None)
}

/// As what an SMS goes that another node orders. The share that is kept for this instance's own codes and tokens is nobody
/// else's.
pub(crate) fn purpose_for(relation: Relation, asked: SmsPurpose) -> SmsPurpose {
    match relation {
        Relation::Own => asked,
        _ => asked.max(SmsPurpose::Notice),
    }
}

/// Whether this node sends it.
fn judge(node: &Node, now: Timestamp, from: &Member, relation: Relation, request: &SmsRequest) -> Result<(), SmsEnd> {
    let egress = &node.config().egress;
    let served = relation == Relation::Own || egress.partners.iter().any(|name| is_named(from, name));
    let country = request.to.country().unwrap_or_default();
    let there = egress.countries.is_empty() || egress.countries.iter().any(|c| c.eq_ignore_ascii_case(&country));
    let sound = (1..=text_max(request.purpose)).contains(&request.text.reveal().len());
    if !(served && there && sound && node.config().sms) {
        return Err(SmsEnd::Refused);
    }
    let spent =
        relation == Relation::Partner && node.egress.served.on(&from.instance, day(now)) >= egress.per_partner_per_day;
    if spent || node.egress.queued.len() >= QUEUE_MAX {
        return Err(SmsEnd::NotNow);
    }
    Ok(())
}

/// Where a request lies here: askers choose their ids, and must not hit those of others.
fn place(from: &NodeId, id: &[u8; 16]) -> [u8; 16] {
    let hash = Sha256::new().chain_update(from.as_bytes()).chain_update(id).finalize();
    *hash.first_chunk().expect("SHA-256 has 32 bytes")
}

/// Tells an asker how its SMS ended.
pub(super) fn answer(node: &Node, tx: &mut Tx<'_>, to: NodeId, id: [u8; 16], how: SmsEnd) -> Run {
    delivery::send(node, tx, to, Body::SmsAnswer { id, end: how })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_and_a_clock_that_goes_back_opens_none() {
        let (one, two) = (InstanceId([1; 32]), InstanceId([2; 32]));
        let mut served = Served::default();
        served.count(one, 5);
        served.count(one, 5);
        assert_eq!((served.on(&one, 5), served.on(&two, 5), served.on(&one, 6)), (2, 0, 0));
        served.count(one, 4);
        assert_eq!((served.on(&one, 4), served.on(&one, 5)), (3, 3));
        served.count(one, 6);
        assert_eq!(served.on(&one, 6), 1);
    }
}
