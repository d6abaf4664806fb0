use relaymesh_core::batch::{Batch, Write};
use relaymesh_core::record::vault;

use super::super::marks_of;
use super::*;

const ID: MessageId = MessageId([7; 32]);
const NOW: Time = Time(1_000_000);
const COPY: (NodeId, EnvelopeId) = (NodeId([3; 32]), EnvelopeId([4; 16]));

/// A core that says the same of every message.
struct Says {
    holds: bool,
    owes: bool,
}

impl Core for Says {
    fn holds(&self, _: &MessageId) -> bool {
        self.holds
    }

    fn owes(&self, _: &MessageId) -> bool {
        self.owes
    }
}

/// Node 0 holds message 0, whose home is node 1.
fn held() -> Watch {
    let mut watch = Watch::new(3);
    watch.written(&ID, &[9; 16], 1);
    assert!(batch(&mut watch, 0, vec![outbox(true)], true, false).is_empty());
    assert_eq!(watch.accepted(0, 0, NOW, true), None);
    watch
}

fn outbox(there: bool) -> Mark {
    Mark::Outbox { message: 0, id: ID, there }
}

fn job(there: bool) -> Mark {
    Mark::Job { message: 0, id: ID, there }
}

fn seen() -> Mark {
    Mark::Seen { message: 0, row: vec![1] }
}

fn batch(watch: &mut Watch, node: u16, marks: Vec<Mark>, holds: bool, owes: bool) -> Vec<&'static str> {
    let losses = watch.durable(node, NOW, marks, &Says { holds, owes }, &|_| false);
    losses.into_iter().map(|(invariant, _)| invariant).collect()
}

#[test]
fn a_copy_may_go_when_the_home_has_consumed_it() {
    let mut watch = held();
    assert!(batch(&mut watch, 1, vec![seen(), job(true)], false, true).is_empty());
    assert!(batch(&mut watch, 0, vec![outbox(true)], false, false).is_empty());
    assert!(batch(&mut watch, 1, vec![job(false), Mark::Word], false, false).is_empty());
    assert!(watch.orphans().is_empty());
}

#[test]
fn a_copy_that_goes_before_is_freed_by_a_lie_and_leaves_nobody() {
    let mut watch = held();
    assert_eq!(batch(&mut watch, 0, vec![outbox(true)], false, false), [LIE_FREES_NO_COPY, ACCEPTED_KEPT]);
    assert_eq!(watch.orphans().len(), 1);
    let mut watch = held();
    watch.distrust(0);
    assert_eq!(batch(&mut watch, 0, vec![outbox(true)], false, false), [ACCEPTED_KEPT], "liars may let go");
}

#[test]
fn another_node_that_opens_is_seen() {
    let mut watch = held();
    assert_eq!(batch(&mut watch, 2, vec![seen(), job(true)], false, true)[0], PLAINTEXT_ONLY_AT_HOME);
}

#[test]
fn a_home_owes_a_publication_or_a_word() {
    let mut watch = held();
    assert_eq!(batch(&mut watch, 1, vec![seen()], false, false), [ACCEPTED_KEPT]);
    let mut watch = held();
    assert!(batch(&mut watch, 1, vec![seen(), Mark::Word], false, false).is_empty(), "refused, and told");
    let mut watch = held();
    assert!(batch(&mut watch, 1, vec![seen(), job(true)], false, true).is_empty());
    assert_eq!(batch(&mut watch, 1, vec![job(false)], false, false), [ACCEPTED_KEPT], "given up, and not told");
}

#[test]
fn a_yes_before_the_disk_has_it_is_none() {
    let mut watch = held();
    assert_eq!(watch.accepted(0, 0, NOW, false).unwrap().0, ACCEPTED_KEPT);
    assert_eq!(watch.acknowledged(0, COPY, Time(9), false).unwrap().0, CUSTODY_KEPT);
}

#[test]
fn what_was_said_yes_to_is_on_the_disk_after_a_crash() {
    let mut watch = held();
    watch.acknowledged(0, COPY, Time(9), true);
    batch(&mut watch, 1, vec![seen(), job(true)], false, true);
    let lost = |node| watch.check_disk(node, &|_| false).into_iter().map(|(rule, _)| rule).collect::<Vec<_>>();
    assert_eq!(lost(0), [ACCEPTED_KEPT, CUSTODY_KEPT]);
    assert_eq!(lost(1), [ACCEPTED_KEPT, CONSUMED_REMEMBERED]);
    assert!(watch.check_disk(0, &|_| true).is_empty());
    watch.lost_disk(0);
    watch.lost_disk(1);
    assert!(watch.check_disk(0, &|_| false).is_empty() && watch.check_disk(1, &|_| false).is_empty());
    assert!(watch.orphans().is_empty(), "a declared fault took them");
}

#[test]
fn a_custodian_drops_a_copy_at_hand_over_or_at_its_end() {
    let gone = || vec![Mark::CustodyGone { recipient: COPY.0, envelope: COPY.1 }];
    let far = NOW.after(Span::days(14));
    let with = |expires, handed| {
        let mut watch = held();
        watch.acknowledged(0, COPY, expires, true);
        if handed {
            watch.handed(0, &COPY);
        }
        batch(&mut watch, 0, gone(), true, false)
    };
    assert_eq!(with(far, false), [CUSTODY_KEPT]);
    assert!(with(far, true).is_empty());
    assert!(with(NOW, false).is_empty());
}

#[test]
fn marks_are_read_from_keys_alone() {
    let mut watch = Watch::new(1);
    watch.written(&ID, &[9; 16], 0);
    let put = |key: Key| Write::Put { key, value: Vec::new() };
    let entity = relaymesh_protocol::ids::EntityId([5; 16]);
    let writes = vec![
        put(key::outbox(&ID)),
        Write::Delete { key: key::job(&ID) },
        put(key::entity(&entity, vault::SEEN, &[9; 16])),
        put(key::entity(&entity, vault::POSITION, &[9; 16])),
        Write::Delete { key: key::custody(&COPY.0, &COPY.1) },
        put(key::custody(&COPY.0, &COPY.1)),
        put(key::sms(&[1; 16])),
        put(key::outbox(&MessageId([8; 32]))),
    ];
    let marks = marks_of(&watch, &Batch { expects: Vec::new(), writes });
    let consumed = Mark::Seen { message: 0, row: key::entity(&entity, vault::SEEN, &[9; 16]) };
    let handed = Mark::CustodyGone { recipient: COPY.0, envelope: COPY.1 };
    assert_eq!(marks, [outbox(true), job(false), consumed, handed, Mark::Word]);
}
