//! How many messages may wait for a home. Whoever reaches a door can fill it with messages that have none, and each stays
//! for months, so there is a cap for all of them and a smaller one for those of doors without enrolment.

use std::collections::{BTreeMap, BTreeSet};

use relaymesh_protocol::ids::{MessageId, Timestamp};

use super::Change;
use crate::command::{Code, Refusal};
use crate::node::Node;
use crate::record::{delete_row, key};
use crate::tx::{Run, Tx};
use crate::watch::Gauge;

/// Most messages that wait at once, some 300 bytes of memory each: a busy node's traffic of a day with the mesh cut off.
const HELD_MAX: usize = 250_000;
/// And of these, messages that no enrolled gateway client brought.
const STRANGERS_MAX: usize = 10_000;

/// Held messages of doors without enrolment.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    received: BTreeMap<MessageId, Timestamp>,
    /// Those that were never offered to anybody, oldest first: no node claims their sender.
    unclaimed: BTreeSet<(Timestamp, MessageId)>,
}

impl Strangers {
    /// Follows how memory changes.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::Stranger(message, received) => {
                self.received.insert(*message, *received);
                self.unclaimed.insert((*received, *message));
            }
            Change::Leg(message, ..) => {
                if let Some(received) = self.received.get(message) {
                    self.unclaimed.remove(&(*received, *message));
                }
            }
            Change::Release(message) => {
                if let Some(received) = self.received.remove(message) {
                    self.unclaimed.remove(&(received, *message));
                }
            }
            _ => {}
        }
    }
}

/// Messages that wait.
pub(super) fn held_gauge(state: &super::State) -> Gauge {
    Gauge { name: "held", value: state.held(), cap: HELD_MAX }
}

/// And of these, those of doors without enrolment.
pub(super) fn strangers_gauge(state: &super::State) -> Gauge {
    Gauge { name: "held_of_strangers", value: state.strangers.received.len(), cap: STRANGERS_MAX }
}

/// Makes room for one more message: where a cap is reached, the oldest message of a door without enrolment that no node
/// claims goes, and nobody is told, since nobody vouched for its sender.
///
/// # Errors
/// That there are too many, if there is none to let go.
pub(crate) fn make_room(node: &Node, tx: &mut Tx<'_>, message: MessageId, trusted: bool) -> Run {
    let strangers = &node.delivery.strangers;
    let crowded = !trusted && strangers.received.len() >= STRANGERS_MAX;
    if crowded || node.delivery.held() >= HELD_MAX {
        let Some((_, other)) = strangers.unclaimed.first() else {
            node.count(tx, "held_full");
            let text = "too many messages wait for their home; please try again later";
            return Err(Refusal::new(Code::ResourceExhausted, text).into());
        };
        delete_row(tx, key::outbox(other))?;
        tx.then(Change::Release(*other));
        node.count(tx, "message_evicted");
        node.trace(tx, *other, "ingress", || "let go: no node claims its sender, and too many wait");
    }
    if !trusted {
        let received = tx.now();
        tx.then(Change::Stranger(message, received));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use relaymesh_protocol::base64text;
    use relaymesh_protocol::ids::{DeviceId, GatewayId, NodeId};
    use relaymesh_protocol::payload::{Payload, PlatformPayload, PlatformVersion};

    use super::super::legs::{Held, Leg};
    use super::*;
    use crate::accounts::tests::world::{World, refused};
    use crate::command::{Command, Door, OperatorCommand, OperatorReply, Reply, Submit, Submitted};

    fn message(n: usize) -> MessageId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(n as u64).to_be_bytes());
        MessageId(id)
    }

    /// A node that holds `strangers` messages of doors without enrolment and `enrolled` others; the first `claimed` were
    /// offered to somebody.
    fn world(strangers: usize, enrolled: usize, claimed: usize) -> World {
        World::prepared(|node| {
            for n in 0..strangers + enrolled {
                let received = Timestamp(1 + n as u64);
                node.delivery.apply(Change::Hold(message(n), Box::new(Held::new(received, None))));
                if n < strangers {
                    node.delivery.apply(Change::Stranger(message(n), received));
                }
                if n < claimed {
                    node.delivery.apply(Change::Leg(message(n), NodeId([1; 32]), Leg::Declined));
                }
            }
        })
    }

    fn submit(world: &mut World, door: Door, device: u8) -> Reply {
        let mut block = vec![7; 92];
        block[..4].copy_from_slice(&40_u32.to_le_bytes());
        let payload = Payload::Platform(PlatformPayload {
            version: PlatformVersion::V2,
            shortcode: b'm',
            block,
            device_id: Some(DeviceId([device; 32])),
            language: None,
        });
        let text = base64text::encode(&payload.encode().unwrap());
        let (text, sender) = (text.into(), "+237650123456".into());
        world.call(Command::Submit(Submit { door, text, sender, date: None, date_sent: None }))
    }

    fn enrolled(world: &mut World) -> Door {
        let add = OperatorCommand::GatewayAdd {
            name: "modem".to_owned(),
            msisdn: "+237650000000".into(),
            country: None,
            operator: None,
        };
        let Reply::Operator(OperatorReply::GatewayAdded { path, .. }) = world.call(Command::Operator(add)) else {
            panic!("not enrolled")
        };
        let token = path.reveal().split('/').nth(2).unwrap().to_owned();
        let id: GatewayId = crate::ingress::gateway_id(&token);
        Door::Gateway(id)
    }

    fn is_accepted(reply: &Reply) -> bool {
        matches!(reply, Reply::Submitted(Submitted::Accepted { .. }))
    }

    #[test]
    fn a_stranger_too_many_takes_the_place_of_the_oldest_that_nobody_claims() {
        let mut world = world(STRANGERS_MAX, 5, 1);
        assert!(is_accepted(&submit(&mut world, Door::Content, 1)));
        let held = &world.pump.node().delivery;
        assert_eq!(held.strangers.received.len(), STRANGERS_MAX);
        assert!(world.pump.node().holds(&message(0)), "the oldest has a candidate");
        assert!(!world.pump.node().holds(&message(1)));
        assert_eq!(held.held.len(), STRANGERS_MAX + 5, "and one in its place");
        assert_eq!(world.pump.node().egress.queued(), 0, "nobody is told");
    }

    #[test]
    fn strangers_that_all_have_candidates_keep_further_ones_out_and_gateway_clients_in() {
        let mut world = world(STRANGERS_MAX, 0, STRANGERS_MAX);
        for door in [Door::Open, Door::Content] {
            assert_eq!(refused(&submit(&mut world, door, 1)).0, Code::ResourceExhausted);
        }
        let door = enrolled(&mut world);
        assert!(is_accepted(&submit(&mut world, door, 2)));
    }

    #[test]
    fn a_full_node_lets_strangers_go_first_and_then_refuses() {
        let mut world = world(1, HELD_MAX - 1, 0);
        let door = enrolled(&mut world);
        assert!(is_accepted(&submit(&mut world, door, 1)), "in place of the stranger");
        assert_eq!(refused(&submit(&mut world, door, 2)).0, Code::ResourceExhausted);
        assert_eq!(world.pump.node().delivery.held(), HELD_MAX);
        let full = |gauge: &Gauge| gauge.value == gauge.cap;
        let gauges = world.pump.node().gauges();
        assert!(gauges.iter().all(Gauge::is_within) && gauges.iter().any(|gauge| gauge.name == "held" && full(gauge)));
        assert!(is_accepted(&submit(&mut world, door, 1)), "a copy needs no room");
    }
}
