//! Taking a bundle in, part by part: each part is durable before the next one begins, so that one batch never grows
//! larger than the store takes, and what a part rests on (a member before its filter) is there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use relaymesh_protocol::frame::Carried;
use relaymesh_seal::envelope::Header;

use super::{Bundle, parse};
use crate::command::{Code, OperatorReply, Refusal, Reply};
use crate::delivery::letters::{HOPS_MAX, print_of};
use crate::delivery::{Body, Change};
use crate::input::{Input, ReplyTo};
use crate::locator;
use crate::membership;
use crate::node::Node;
use crate::output::Output;
use crate::record::key;
use crate::timer::Timer;
use crate::tx::{Run, Tx};

/// Bytes of facts or filters of one part; a single filter may be larger.
const PART_BYTES: usize = membership::WRITE_BYTES_MAX;
/// Envelopes of one part: each makes a batch of its own, and the store has room for some hundreds.
const PART_ENVELOPES: usize = 64;
/// Between two parts others have their turn.
const PAUSE: Duration = Duration::from_millis(2);

/// A bundle that is being taken in, and how far.
#[derive(Clone, Debug)]
pub(crate) struct Importing {
    reply: ReplyTo,
    bundle: Arc<Bundle>,
    facts: usize,
    filters: usize,
    carried: usize,
    /// Facts and filters that were new.
    new: u64,
    /// Envelopes that were new.
    envelopes: u64,
    refused: u64,
}

/// Begins to take a bundle in; the caller hears when all of it is.
pub(super) fn begin(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, bytes: &[u8]) -> Run {
    if node.delivery.importing.is_some() {
        return Err(Refusal::new(Code::Unavailable, "another bundle is just being taken in").into());
    }
    let mut bundle = parse(bytes)?;
    if bundle.mesh != node.membership.mesh() {
        return Err(Refusal::new(Code::FailedPrecondition, "this bundle is of another mesh").into());
    }
    let mut seen = BTreeSet::new();
    bundle.carried.retain(|carried| seen.insert(carried.envelope.clone()));
    let bundle = Arc::new(bundle);
    go_on(tx, Importing { reply, bundle, facts: 0, filters: 0, carried: 0, new: 0, envelopes: 0, refused: 0 });
    Ok(())
}

fn go_on(tx: &mut Tx<'_>, importing: Importing) {
    tx.then(Change::Import(Some(Box::new(importing))));
    let soon = tx.now().after(PAUSE);
    tx.wake(soon, Timer::Import);
}

/// Takes the next part in. If its batch fails, the same part has another turn.
pub(crate) fn on_import(node: &Node, tx: &mut Tx<'_>) -> Run {
    let Some(importing) = &node.delivery.importing else { return Ok(()) };
    let mut next = importing.clone();
    let bundle = &importing.bundle;
    if let Some(page) = page(&bundle.facts, &mut next.facts, |bytes| bytes.len()) {
        let (new, refused) = membership::import(node, tx, page)?;
        next.new += new;
        next.refused += refused;
    } else if let Some(page) = page(&bundle.filters, &mut next.filters, |bytes| bytes.len()) {
        next.new += locator::import(node, tx, page)?;
    } else if let Some(page) = page(&bundle.carried, &mut next.carried, |_| PART_BYTES / PART_ENVELOPES) {
        for carried in page {
            match arrival(node, tx, carried)? {
                Arrival::Known => continue,
                Arrival::Refused => next.refused += 1,
                Arrival::New => next.envelopes += 1,
            }
            let carried = carried.clone();
            tx.output(Output::Follow(Input::Envelope { reply: ReplyTo::NOBODY, from: None, carried }));
        }
    } else {
        tx.then(Change::Import(None));
        let Importing { new: facts, envelopes, refused, .. } = next;
        tx.reply(next.reply, Reply::Operator(OperatorReply::Imported { envelopes, facts, refused }));
        return Ok(());
    }
    go_on(tx, next);
    Ok(())
}

/// What an envelope is to this node.
enum Arrival {
    New,
    Known,
    Refused,
}

/// What will come of an envelope. Peers are told the same of each that is for this node; whoever holds the stick must know
/// whether to keep it.
fn arrival(node: &Node, tx: &mut Tx<'_>, carried: &Carried) -> Run<Arrival> {
    let header = Header::parse(&carried.envelope).ok();
    let Some(header) = header.filter(|header| header.expiry >= tx.now() && carried.hops <= HOPS_MAX) else {
        return Ok(Arrival::Refused);
    };
    let print = print_of(&carried.envelope);
    let is_own = header.recipient == node.id();
    if node.delivery.seen.contains_key(&print)
        || (!is_own && tx.get(&key::custody(&header.recipient, &print))?.is_some())
    {
        return Ok(Arrival::Known);
    }
    let opens = || {
        let letter = node.crypto().open_letter(node.keys(), &carried.envelope).ok()?;
        Body::decode(&letter.body).filter(|_| node.membership.is_member(&letter.sender))
    };
    let is_of_use = if is_own { opens().is_some() } else { node.membership.node(&header.recipient).is_some() };
    Ok(if is_of_use { Arrival::New } else { Arrival::Refused })
}

/// The next items that fit into one part, at least one; moves the mark behind them.
fn page<'b, T>(all: &'b [T], mark: &mut usize, size: impl Fn(&T) -> usize) -> Option<&'b [T]> {
    let rest = all.get(*mark..).filter(|rest| !rest.is_empty())?;
    let mut left = PART_BYTES;
    let fits = rest.iter().take_while(|item| {
        let size = size(item);
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    });
    let count = fits.count().max(1);
    *mark += count;
    rest.get(..count)
}
