//! Requests of others that the core has not answered yet.

use std::collections::BTreeMap;

use libp2p::request_response::{InboundRequestId, ResponseChannel};
use relaymesh_protocol::frame::Response;
use relaymesh_protocol::ids::NodeId;

/// Open questions in all.
pub(crate) const OPEN_MAX: usize = 256;
/// Open questions of one peer: twice what an honest one has under way, so that no peer fills the inbox alone.
pub(crate) const OPEN_PER_PEER_MAX: usize = 32;

struct Open {
    from: NodeId,
    request: InboundRequestId,
    channel: ResponseChannel<Response>,
}

#[derive(Default)]
pub(crate) struct Inbox {
    open: BTreeMap<u64, Open>,
    by_request: BTreeMap<InboundRequestId, u64>,
    by_peer: BTreeMap<NodeId, usize>,
}

impl Inbox {
    pub(crate) fn has_room(&self, from: &NodeId) -> bool {
        self.open.len() < OPEN_MAX && self.count(from) < OPEN_PER_PEER_MAX
    }

    pub(crate) fn count(&self, from: &NodeId) -> usize {
        self.by_peer.get(from).copied().unwrap_or(0)
    }

    pub(crate) fn keep(
        &mut self,
        name: u64,
        from: NodeId,
        request: InboundRequestId,
        channel: ResponseChannel<Response>,
    ) {
        self.open.insert(name, Open { from, request, channel });
        self.by_request.insert(request, name);
        *self.by_peer.entry(from).or_default() += 1;
    }

    /// The channel to answer on, unless it is answered or gone.
    pub(crate) fn take(&mut self, name: u64) -> Option<ResponseChannel<Response>> {
        let open = self.open.remove(&name)?;
        self.by_request.remove(&open.request);
        if let Some(count) = self.by_peer.get_mut(&open.from) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_peer.remove(&open.from);
            }
        }
        Some(open.channel)
    }

    /// The asker has given up or gone.
    pub(crate) fn drop_request(&mut self, request: InboundRequestId) {
        if let Some(name) = self.by_request.get(&request).copied() {
            self.take(name);
        }
    }
}
