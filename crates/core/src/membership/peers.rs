//! What people call nodes and instances, and whom the transport is told of.

use relaymesh_protocol::ids::NodeId;

use super::{Member, Relation, State};
use crate::command::{Code, Refusal};
use crate::node::Node;
use crate::output::Output;

/// Leading characters that may name an id.
const PREFIX_MIN: usize = 4;
/// Every Ed25519 peer id begins so; only what comes after tells one from another.
const PEER_ID_PREFIX: &str = "12D3KooW";
/// Ids that are shown where a text names several.
const SHOWN_MAX: usize = 4;
/// Relays that a node keeps a reservation at: one may go away, two may share a fate.
const RELAYS_MAX: usize = 3;

/// The one thing that a text names: its whole id, else its name in any case, else leading characters of its id.
pub(super) fn find<'n, T: Copy + Ord>(
    kind: &str,
    text: &str,
    named: impl Iterator<Item = (T, &'n str, String)>,
) -> Result<T, Refusal> {
    let text = text.trim();
    let all: Vec<_> = named.collect();
    if let Some((exact, ..)) = all.iter().find(|(_, _, id)| id == text) {
        return Ok(*exact);
    }
    let by_name: Vec<_> = all.iter().filter(|(_, name, _)| name.eq_ignore_ascii_case(text)).collect();
    match by_name.as_slice() {
        [(one, ..)] => return Ok(*one),
        [] => {}
        several => return Err(ambiguous(&format!("{} {kind}s are called {text}", several.len()), several)),
    }
    let leads = |id: &str| {
        !text.is_empty()
            && (id.starts_with(text) || id.strip_prefix(PEER_ID_PREFIX).is_some_and(|id| id.starts_with(text)))
    };
    let by_id: Vec<_> = all.iter().filter(|(_, _, id)| leads(id)).collect();
    // So few characters mean one node today and another one tomorrow.
    let short = text.len() < PREFIX_MIN || PEER_ID_PREFIX.starts_with(text);
    match by_id.as_slice() {
        [] => Err(unknown(kind, text)),
        [(one, ..)] if !short => Ok(*one),
        [_] => Err(ambiguous(&format!("{text} is too short: one {kind} id begins so, and others may"), &by_id)),
        several => Err(ambiguous(&format!("{text} is ambiguous: {} {kind} ids begin so", several.len()), several)),
    }
}

/// More is needed to tell which one is meant.
fn ambiguous<T>(what: &str, found: &[&(T, &str, String)]) -> Refusal {
    let ids: Vec<&str> = found.iter().take(SHOWN_MAX).map(|(_, _, id)| id.as_str()).collect();
    let more = if found.len() > ids.len() { ", …" } else { "" };
    Refusal::new(Code::InvalidArgument, format!("{what}; say which by more of its id: {}{more}", ids.join(", ")))
}

/// Nothing is named so.
pub(super) fn unknown(kind: &str, text: &str) -> Refusal {
    let what = format!("no {kind} is called {text}; `relaymesh node list` shows those that are known");
    Refusal::new(Code::NotFound, what)
}

impl State {
    /// Relays to keep a reservation at, for a node that cannot be dialled: own instance's first, then partners', then
    /// those whose ids are nearest, so that not everybody chooses the same.
    #[must_use]
    pub fn relays(&self, node: &Node) -> Vec<NodeId> {
        let config = node.config();
        let only_dials = config.roles.gateway && !config.roles.vault && !config.roles.relay && !config.roles.bridge;
        if !config.addresses.is_empty() || only_dials {
            return Vec::new();
        }
        let me = node.id();
        let mut relays: Vec<&Member> = self.members().filter(|m| m.roles.relay && !m.addrs.is_empty()).collect();
        relays.sort_by_cached_key(|relay| {
            let rank = match self.relation_of(relay.instance) {
                Relation::Own => 0,
                Relation::Partner => 1,
                Relation::Offered | Relation::Member => 2,
            };
            let distance: Vec<u8> = relay.id.0.iter().zip(me.0).map(|(a, b)| a ^ b).collect();
            (rank, distance)
        });
        relays.into_iter().take(RELAYS_MAX).map(|relay| relay.id).collect()
    }

    /// Where a member may be dialled, its relay included.
    #[must_use]
    pub fn addresses_of(&self, member: &Member) -> Vec<String> {
        let mut addrs = member.addrs.clone();
        let relay = member.relay.filter(|relay| self.is_member(relay) || self.me == Some(*relay));
        addrs.extend(relay.map(|relay| circuit(&relay)));
        addrs
    }
}

/// The address behind a relay whose own addresses are known.
pub(super) fn circuit(relay: &NodeId) -> String {
    format!("/p2p/{}/p2p-circuit", relay.peer_id())
}

/// Who may connect, and where they may be reached.
pub(super) fn announcement(node: &Node) -> Output {
    let state = &node.membership;
    let cut = |id: &NodeId| state.facts.record(id).is_some() && !state.is_member(id) && Some(*id) != state.me;
    let mut blocked: Vec<NodeId> = state.blocked_nodes.iter().copied().collect();
    let held = state.facts.records().map(|record| record.node);
    blocked.extend(held.filter(|id| cut(id) && is_cut_off(state, id)));
    blocked.sort();
    blocked.dedup();
    Output::Members {
        allow: state.members().map(|member| (member.id, state.addresses_of(member))).collect(),
        blocked,
        relays: state.relays(node),
        open: node.config().accept != crate::config::Accept::List,
    }
}

/// Blocked here or revoked by its instance, not merely unendorsed.
fn is_cut_off(state: &State, id: &NodeId) -> bool {
    let Some(record) = state.facts.record(id) else { return false };
    state.blocked_instances.contains(&record.instance)
        || state.facts.revoked(record.instance, Some(*id))
        || state.facts.revoked(record.instance, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_one_thing_or_says_why_not() {
        let all = [(1, "Douala", "12D3KooWabcdef"), (2, "Lagos", "12D3KooWabxyz"), (3, "lagos", "12D3KooWqqqqqq")];
        let find = |text| {
            find("node", text, all.iter().map(|(n, name, id)| (*n, *name, (*id).to_owned()))).map_err(|r| r.code)
        };
        assert_eq!(find("12D3KooWabcdef"), Ok(1));
        assert_eq!(find("douala"), Ok(1));
        assert_eq!(find("LAGOS"), Err(Code::InvalidArgument));
        assert_eq!(find("12D3KooWq"), Ok(3));
        assert_eq!(find("abxy"), Ok(2));
        assert_eq!(find("12D3KooW"), Err(Code::InvalidArgument), "what all share names nobody");
        assert_eq!(find("qqq"), Err(Code::InvalidArgument), "too short");
        assert_eq!((find("zzz"), find("")), (Err(Code::NotFound), Err(Code::NotFound)));
        assert_eq!(find("Paris"), Err(Code::NotFound));
    }
}
