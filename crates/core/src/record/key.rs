//! Where each record lies: one byte of table, then the key within it. A record belongs to exactly one [`Lane`].

use relaymesh_protocol::frame::FilterLayer;
use relaymesh_protocol::ids::{EntityId, EnvelopeId, GatewayId, MessageId, NodeId};

use crate::batch::Key;
use crate::tx::Lane;

/// Entity heads: counter and wrapped key.
pub const HEAD: u8 = b'h';
/// Records of entities.
pub const ENTITY: u8 = b'e';
/// Index: keyed hash of an identifier to an entity.
pub const INDEX: u8 = b'i';
/// Routing tags of own entities, for filters.
pub const TAG: u8 = b't';
/// Messages that this node took in, and their outcomes.
pub const OUTBOX: u8 = b'o';
/// Incomplete segment sets of an ingress.
pub const SEGMENTS: u8 = b'g';
/// Segment sets that came together at their home.
pub const HOME_SET: u8 = b'v';
/// Envelopes held for others.
pub const CUSTODY: u8 = b'c';
/// Publications owed.
pub const JOB: u8 = b'j';
/// How messages ended, until their ingresses have heard.
pub const RECEIPT: u8 = b'n';
/// SMS that wait to leave.
pub const SMS: u8 = b's';
/// Membership facts.
pub const FACT: u8 = b'm';
/// Filters of other nodes.
pub const FILTER: u8 = b'f';
/// Cached number tags.
pub const TAG_CACHE: u8 = b'a';
/// Gateway clients.
pub const GATEWAY: u8 = b'w';
/// Last byte of the rows of what gateway clients brought.
const GATEWAY_USE: u8 = b'u';
/// Local policy: partners, blocks, invites.
pub const POLICY: u8 = b'p';
/// Reliability tests.
pub const TEST: u8 = b'r';
/// One-time codes and their limiters.
pub const OTP: u8 = b'q';
/// Single values of the node.
pub const META: u8 = b'x';
/// Consumed positions of bridge key exchanges, of all numbers together.
pub const SPENT: u8 = b'k';
/// What audits of other nodes' filters found.
pub const AUDIT: u8 = b'd';
/// Traces of messages.
pub const TRACE: u8 = b'z';

/// Tables read whole at start, in this order.
pub const RESTORED: [u8; 16] = [
    META, FACT, POLICY, FILTER, AUDIT, TAG, GATEWAY, TAG_CACHE, OUTBOX, CUSTODY, JOB, RECEIPT, SMS, TEST, SEGMENTS,
    HOME_SET,
];

fn join(table: u8, parts: &[&[u8]]) -> Key {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|p| p.len()).sum::<usize>());
    key.push(table);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// The head of an entity.
#[must_use]
pub fn head(entity: &EntityId) -> Key {
    join(HEAD, &[&entity.0])
}

/// A record of an entity: `table` is the record table's byte.
#[must_use]
pub fn entity(entity: &EntityId, table: u8, record: &[u8]) -> Key {
    join(ENTITY, &[&entity.0, &[table], record])
}

/// All records of an entity.
#[must_use]
pub fn entity_prefix(entity: &EntityId) -> Key {
    join(ENTITY, &[&entity.0])
}

/// An index row, by keyed hash.
#[must_use]
pub fn index(hash: &[u8; 16]) -> Key {
    join(INDEX, &[hash])
}

/// A routing tag row, by keyed hash.
#[must_use]
pub fn tag(hash: &[u8; 16]) -> Key {
    join(TAG, &[hash])
}

/// A message in the outbox.
#[must_use]
pub fn outbox(message: &MessageId) -> Key {
    join(OUTBOX, &[&message.0])
}

/// A segment set, by keyed hash of sender and session.
#[must_use]
pub fn segments(hash: &[u8; 16]) -> Key {
    join(SEGMENTS, &[hash])
}

/// A segment set at its home, by keyed hash of entity and session.
#[must_use]
pub fn home_set(hash: &[u8; 16]) -> Key {
    join(HOME_SET, &[hash])
}

/// An envelope in custody, by the hash of its bytes.
#[must_use]
pub fn custody(recipient: &NodeId, envelope: &EnvelopeId) -> Key {
    join(CUSTODY, &[&recipient.0, &envelope.0])
}

/// A job.
#[must_use]
pub fn job(message: &MessageId) -> Key {
    join(JOB, &[&message.0])
}

/// How a message ended, for its ingress.
#[must_use]
pub fn receipt(message: &MessageId) -> Key {
    join(RECEIPT, &[&message.0])
}

/// A queued SMS.
#[must_use]
pub fn sms(id: &[u8; 16]) -> Key {
    join(SMS, &[id])
}

/// A membership fact, by subject.
#[must_use]
pub fn fact(subject: &[u8]) -> Key {
    join(FACT, &[subject])
}

/// A filter of another node.
#[must_use]
pub fn filter(node: &NodeId, layer: FilterLayer) -> Key {
    join(FILTER, &[&node.0, &[layer as u8]])
}

/// What audits of a node's filter found.
#[must_use]
pub fn audit(node: &NodeId) -> Key {
    join(AUDIT, &[&node.0])
}

/// A cached number tag, by keyed hash.
#[must_use]
pub fn tag_cache(hash: &[u8; 16]) -> Key {
    join(TAG_CACHE, &[hash])
}

/// A gateway client.
#[must_use]
pub fn gateway(id: &GatewayId) -> Key {
    join(GATEWAY, &[&id.0])
}

/// What a gateway client has brought, behind its own row.
#[must_use]
pub fn gateway_use(id: &GatewayId) -> Key {
    join(GATEWAY, &[&id.0, &[GATEWAY_USE]])
}

/// The gateway client of a row that [`gateway_use`] names.
#[must_use]
pub fn gateway_of_use(row: &[u8]) -> Option<GatewayId> {
    let ([GATEWAY], rest) = row.split_first_chunk::<1>()? else { return None };
    let (id, [GATEWAY_USE]) = rest.split_first_chunk::<8>()? else { return None };
    Some(GatewayId(*id))
}

/// A policy record.
#[must_use]
pub fn policy(kind: u8, subject: &[u8]) -> Key {
    join(POLICY, &[&[kind], subject])
}

/// A reliability test.
#[must_use]
pub fn test(id: u64) -> Key {
    join(TEST, &[&id.to_be_bytes()])
}

/// A one-time code, by keyed hash of purpose and identifier.
#[must_use]
pub fn otp(hash: &[u8; 16]) -> Key {
    join(OTP, &[hash])
}

/// A single value.
#[must_use]
pub fn meta(name: &str) -> Key {
    join(META, &[name.as_bytes()])
}

/// A consumed position under a static bridge key: the key's print, then a keyed hash.
#[must_use]
pub fn spent(print: &[u8; 8], hash: &[u8; 16]) -> Key {
    join(SPENT, &[print, hash])
}

/// A message's trace.
#[must_use]
pub fn trace(message: &MessageId) -> Key {
    join(TRACE, &[&message.0])
}

/// The lane that a record belongs to: an entity's records share one, every other record has its own.
#[must_use]
pub fn lane(key: &[u8]) -> Lane {
    match key {
        [HEAD | ENTITY, rest @ ..] => {
            let entity = rest.get(..16).unwrap_or(rest);
            let mut lane = vec![HEAD];
            lane.extend_from_slice(entity);
            Lane(lane)
        }
        _ => Lane(key.to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entitys_records_share_a_lane_and_others_do_not() {
        let a = EntityId([1; 16]);
        let b = EntityId([2; 16]);
        assert_eq!(lane(&head(&a)), lane(&entity(&a, 1, b"x")));
        assert_ne!(lane(&head(&a)), lane(&head(&b)));
        assert_ne!(lane(&job(&MessageId([1; 32]))), lane(&outbox(&MessageId([1; 32]))));
    }
}
