//! What a batch tells the watcher, by the keys of its records alone.

use relaymesh_core::batch::{Batch, Key, Write};
use relaymesh_core::record::{key, vault};
use relaymesh_protocol::ids::{EnvelopeId, MessageId, NodeId};

use super::Watch;

/// A record of a batch that the watcher cares for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The row of a message at its ingress was written, or removed.
    Outbox { message: u32, id: MessageId, there: bool },
    /// A block was noted as consumed.
    Seen { message: u32, row: Key },
    /// The row of a job was written, or removed.
    Job { message: u32, id: MessageId, there: bool },
    /// A custody copy was removed.
    CustodyGone { recipient: NodeId, envelope: EnvelopeId },
    /// Somebody will be told something: an SMS, or a receipt.
    Word,
}

/// The records of a batch that the watcher cares for.
#[must_use]
pub fn marks_of(watch: &Watch, batch: &Batch) -> Vec<Mark> {
    batch.writes.iter().filter_map(|write| mark(watch, write)).collect()
}

fn mark(watch: &Watch, write: &Write) -> Option<Mark> {
    let there = matches!(write, Write::Put { .. });
    let row = write.key();
    let (table, rest) = row.split_first()?;
    let message = |id: &MessageId| watch.by_id(id);
    Some(match *table {
        key::OUTBOX => {
            let id = MessageId::try_from(rest).ok()?;
            Mark::Outbox { message: message(&id)?, id, there }
        }
        key::JOB => {
            let id = MessageId::try_from(rest).ok()?;
            Mark::Job { message: message(&id)?, id, there }
        }
        key::ENTITY if there && rest.get(16) == Some(&vault::SEEN) => {
            Mark::Seen { message: watch.by_block(rest.get(17..)?)?, row: row.clone() }
        }
        key::CUSTODY if !there => {
            let (recipient, envelope) = rest.split_at_checked(32)?;
            let (recipient, envelope) = (NodeId::try_from(recipient).ok()?, EnvelopeId::try_from(envelope).ok()?);
            Mark::CustodyGone { recipient, envelope }
        }
        key::SMS | key::RECEIPT if there => Mark::Word,
        _ => return None,
    })
}
