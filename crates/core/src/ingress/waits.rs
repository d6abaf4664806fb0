//! Callers that wait a moment for a message's outcome.

use relaymesh_protocol::ids::MessageId;

use super::Change;
use crate::command::{MessageOutcome, Reply, Submitted};
use crate::input::ReplyTo;
use crate::node::Node;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// A caller that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    pub reply: ReplyTo,
    pub message: MessageId,
}

/// Lets a caller wait for at most `ingress.wait`.
pub(super) fn wait(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, message: MessageId) {
    let id = u64::from_be_bytes(tx.random());
    let until = tx.now().after(node.config().ingress_wait);
    tx.then(Change::Wait(id, Wait { reply, message }));
    tx.wake(until, Timer::ReplyWait(id));
}

/// The wait is over: accepted is all there is to say.
pub(crate) fn on_reply_wait(node: &Node, tx: &mut Tx<'_>, id: u64) -> Run {
    if let Some(wait) = node.ingress.waits.get(&id) {
        tell(tx, id, *wait, None);
    }
    Ok(())
}

/// An outcome is known, and it stands behind a proven acceptance: whoever waits is told.
pub(crate) fn settle(node: &Node, tx: &mut Tx<'_>, message: MessageId, outcome: MessageOutcome) {
    for id in node.ingress.by_message.get(&message).into_iter().flatten() {
        if let Some(wait) = node.ingress.waits.get(id) {
            tell(tx, *id, *wait, Some(outcome));
        }
    }
}

fn tell(tx: &mut Tx<'_>, id: u64, wait: Wait, outcome: Option<MessageOutcome>) {
    tx.then(Change::Waited(id));
    tx.reply(wait.reply, Reply::Submitted(Submitted::Accepted { message: wait.message, outcome }));
}
