//! What the home tells people about messages that it refused, and how seldom.

use std::time::Duration;

use relaymesh_protocol::ids::{EntityId, MessageId, Timestamp};
use relaymesh_protocol::payload::Payload;
use relaymesh_protocol::sms_text::Notice;
use serde::{Deserialize, Serialize};

use super::bridge::Misfit;
use super::consume::Incoming;
use super::{Change, claim};
use crate::egress;
use crate::node::Node;
use crate::record::vault::{ACCOUNT, Account, NOTICES};
use crate::record::{Entity, Stored};
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// The undamaged copy has this long to arrive before the person hears of the damaged one.
const GRACE: Duration = Duration::from_secs(10 * 60);
/// So many messages in a row that do not open, from authenticated gateway clients, mean that the phone's session is lost.
pub(super) const FAILURES_BEFORE_NOTICE: usize = 3;

/// Book-keeping of what a person was told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Notices {
    /// Publications so far; the next one is called one more.
    pub ordinal: u64,
    /// Messages consumed so far.
    pub consumed: u64,
    /// Day of the last "came damaged".
    pub damaged_day: u64,
    /// Day of the last "log in again".
    pub login_day: u64,
    /// A refusal that waits for its good copy, and how many were consumed when it came.
    pub waiting: Option<(Timestamp, u64)>,
}

impl Stored for Notices {}

fn notices(node: &Node, tx: &mut Tx<'_>, entity: &Entity) -> Run<Notices> {
    Ok(entity.get::<Notices>(node, tx, NOTICES, b"")?.unwrap_or_default())
}

/// The number of an entity's next publication, counted in the same batch.
pub(super) fn next_ordinal(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity) -> Run<u64> {
    let mut notices = notices(node, tx, entity)?;
    notices.ordinal += 1;
    notices.consumed += 1;
    entity.put(node, tx, NOTICES, b"", &notices)?;
    Ok(notices.ordinal)
}

/// The payload opened, but something outside its MAC does not fit: its key is not consumed, and the person is told if no
/// good copy comes.
pub(super) fn misfit(
    node: &Node,
    tx: &mut Tx<'_>,
    incoming: &Incoming<'_>,
    _payload: &Payload,
    entity: Option<EntityId>,
    misfit: Misfit,
) -> Run {
    node.count(tx, counter(misfit));
    let Some(id) = entity.filter(|_| misfit != Misfit::Elsewhere) else { return Ok(()) };
    let Some(mut entity) = Entity::load(node, tx, id)? else { return Ok(()) };
    let mut notices = notices(node, tx, &entity)?;
    if notices.waiting.is_some_and(|(since, _)| !is_over(since, tx.now())) {
        return Ok(());
    }
    // An older one was left by a restart, which takes timers along.
    end_wait(node, tx, &entity, &mut notices)?;
    notices.waiting = Some((tx.now(), notices.consumed));
    entity.put(node, tx, NOTICES, b"", &notices)?;
    tx.wake(tx.now().after(GRACE), Timer::Refusal(id, incoming.message));
    Ok(())
}

fn counter(misfit: Misfit) -> &'static str {
    match misfit {
        Misfit::Shortcode => "refused_shortcode",
        Misfit::Content => "refused_content",
        Misfit::Account => "refused_account",
        Misfit::Platform => "refused_platform",
        Misfit::TooLong => "refused_too_long",
        Misfit::Elsewhere => "refused_test_elsewhere",
    }
}

fn is_over(since: Timestamp, now: Timestamp) -> bool {
    now.since(since) >= GRACE
}

/// The grace of a refused payload is over.
pub(crate) fn on_refusal(node: &Node, tx: &mut Tx<'_>, id: EntityId, _message: MessageId) -> Run {
    let Some(mut entity) = Entity::load(node, tx, id)? else { return Ok(()) };
    let mut notices = notices(node, tx, &entity)?;
    if !notices.waiting.is_some_and(|(since, _)| is_over(since, tx.now())) {
        return Ok(());
    }
    end_wait(node, tx, &entity, &mut notices)?;
    entity.put(node, tx, NOTICES, b"", &notices)
}

/// As [`on_refusal`], for a wait whose timer a restart took along.
pub(super) fn catch_up(node: &Node, tx: &mut Tx<'_>, entity: &Entity) -> Run {
    let waiting = notices(node, tx, entity)?.waiting;
    if waiting.is_some_and(|(since, _)| is_over(since, tx.now())) {
        tx.wake(tx.now(), Timer::Refusal(entity.id, MessageId([0; 32])));
    }
    Ok(())
}

/// Ends the wait for a good copy; the person is told if none came.
fn end_wait(node: &Node, tx: &mut Tx<'_>, entity: &Entity, notices: &mut Notices) -> Run {
    let Some((_, consumed)) = notices.waiting.take() else { return Ok(()) };
    let today = tx.now().day();
    if notices.consumed == consumed && notices.damaged_day != today {
        notices.damaged_day = today;
        tell(node, tx, entity, Notice::Damaged)?;
    }
    Ok(())
}

/// No session opened the block. Three in a row from authenticated gateway clients: the phone's session is lost.
pub(super) fn mac_failed(node: &Node, tx: &mut Tx<'_>, incoming: &Incoming<'_>, id: Option<EntityId>) -> Run {
    node.count(tx, "mac_failed");
    let Some(id) = id.filter(|_| claim::is_vouched(node, incoming.from, incoming.submission)) else { return Ok(()) };
    tx.change(Change::MacFailed(id, incoming.message));
    let before = node.home.failures.get(&id);
    let others = before.map_or(0, |failed| failed.iter().filter(|message| **message != incoming.message).count());
    if others + 1 < FAILURES_BEFORE_NOTICE {
        return Ok(());
    }
    let Some(mut entity) = Entity::load(node, tx, id)? else { return Ok(()) };
    let mut notices = notices(node, tx, &entity)?;
    let today = tx.now().day();
    if notices.login_day == today {
        return Ok(());
    }
    notices.login_day = today;
    tell(node, tx, &entity, Notice::LoginAgain)?;
    entity.put(node, tx, NOTICES, b"", &notices)
}

fn tell(node: &Node, tx: &mut Tx<'_>, entity: &Entity, notice: Notice) -> Run {
    let account = entity.get::<Account>(node, tx, ACCOUNT, b"")?;
    let Some((number, language)) = account.and_then(|a| Some((a.phone.clone()?, a.language))) else { return Ok(()) };
    egress::notice(node, tx, &number, language, &notice)
}
