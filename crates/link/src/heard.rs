//! Where nodes were last said to be. A node on the local network is heard of once and then not again until its announcement
//! runs out, so what comes before its membership is known must not be lost.

use std::collections::VecDeque;

use relaymesh_protocol::ids::NodeId;

/// Nodes that are remembered. Anybody on the network can announce any number.
pub(crate) const HEARD_MAX: usize = 256;

/// The latest addresses of each node, the node heard of longest ago first.
#[derive(Default)]
pub(crate) struct Heard(VecDeque<(NodeId, Vec<String>)>);

impl Heard {
    /// Remembers where a node is; what was said before does not count any more.
    pub(crate) fn keep(&mut self, node: NodeId, addrs: Vec<String>) {
        self.0.retain(|(known, _)| *known != node);
        if self.0.len() >= HEARD_MAX {
            self.0.pop_front();
        }
        self.0.push_back((node, addrs));
    }

    /// The nodes for which this is so, and where they are.
    pub(crate) fn of(&self, wanted: impl Fn(&NodeId) -> bool) -> Vec<(NodeId, Vec<String>)> {
        self.0.iter().filter(|(node, _)| wanted(node)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: usize) -> NodeId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        NodeId(id)
    }

    #[test]
    fn the_latest_word_counts_and_the_oldest_gives_way() {
        let mut heard = Heard::default();
        for n in 0..HEARD_MAX {
            heard.keep(node(n), vec!["old".to_owned()]);
        }
        heard.keep(node(0), vec!["new".to_owned()]);
        assert_eq!(heard.of(|id| *id == node(0)), [(node(0), vec!["new".to_owned()])]);
        assert_eq!(heard.of(|_| true).len(), HEARD_MAX);
        heard.keep(node(HEARD_MAX), Vec::new());
        assert_eq!(heard.of(|_| true).len(), HEARD_MAX, "there is a limit");
        assert!(heard.of(|id| *id == node(1)).is_empty(), "it was heard of longest ago");
        assert_eq!(heard.of(|id| *id == node(0)).len(), 1);
    }
}
