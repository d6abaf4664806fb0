//! Whether a stored row is what was once written in its place. A door for tests that damage rows: readers open a row as the
//! one type that lies there, so they take no more than this does.

use relaymesh_protocol::ids::EntityId;

use super::head::OpenedHead;
use super::{Head, decode, key, sealed};
use crate::crypto::{self, RecordAad};
use crate::membership;
use crate::node::Node;

/// Whether `row` opens at `key`. `head` is the head row of an entity, for records and jobs of entities.
#[must_use]
pub fn is_sound(node: &Node, key: &[u8], row: &[u8], head: impl Fn(&EntityId) -> Option<Vec<u8>>) -> bool {
    let sound = match key {
        [key::HEAD, id @ ..] => EntityId::try_from(id).ok().and_then(|id| open_head(node, &id, row)).map(drop),
        [key::ENTITY, rest @ ..] => rest.split_first_chunk::<16>().and_then(|(id, rest)| {
            let (table, record) = rest.split_first()?;
            of_entity(node, &EntityId(*id), &head, *table, record, row)
        }),
        [key::JOB, message @ ..] => row
            .split_first_chunk::<16>()
            .and_then(|(id, row)| of_entity(node, &EntityId(*id), &head, super::vault::JOB, message, row)),
        [key::FACT, ..] => membership::is_sound(node, key, row).then_some(()),
        _ => of_node(node, key, row),
    };
    sound.is_some()
}

fn open_head(node: &Node, id: &EntityId, row: &[u8]) -> Option<OpenedHead> {
    decode::<Head>(row)?.open(node, node.keys(), id)
}

fn of_entity(
    node: &Node,
    id: &EntityId,
    head: impl Fn(&EntityId) -> Option<Vec<u8>>,
    table: u8,
    record: &[u8],
    row: &[u8],
) -> Option<()> {
    let head = open_head(node, id, &head(id)?)?;
    let aad = RecordAad { shard: node.id(), table, entity: *id, record, counter: 0 };
    let (counter, _) = node.crypto().open_record(&node.crypto().table_key(&head.key, table), aad, row).ok()?;
    (counter <= head.counter).then_some(())
}

fn of_node(node: &Node, key: &[u8], row: &[u8]) -> Option<()> {
    let (table, record) = key.split_first()?;
    let aad = RecordAad { shard: node.id(), table: *table, entity: sealed::NO_ENTITY, record, counter: 0 };
    let lasting = node.crypto().open_record(&crypto::table_root(node.keys()), aad, row).is_ok();
    let daily = || {
        let (day, row) = row.split_first_chunk::<4>()?;
        let key = crypto::day_key(node.keys(), u32::from_be_bytes(*day))?;
        node.crypto().open_record(&key, aad, row).ok()
    };
    (lasting || daily().is_some()).then_some(())
}
