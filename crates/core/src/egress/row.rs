//! One SMS of the queue, as stored.

use relaymesh_protocol::ids::{E164, NodeId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::delivery::SmsEnd;
use crate::record::Stored;

/// An SMS that waits, or one of another node whose end may not have been heard there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub to: E164,
    pub text: String,
    pub since: Timestamp,
    pub attempts: u32,
    /// Where in the order of ways it stands.
    pub way: usize,
    /// Some way said "later" since the order began, and after how long, in milliseconds.
    pub later: Option<Option<u64>>,
    /// The node that was asked, until it answers.
    pub asked: Option<NodeId>,
    /// That node may have the request: nobody else is asked before it answers.
    pub reached: bool,
    /// Nodes that sent nothing since the order began.
    pub declined: Vec<NodeId>,
    /// Who asked for it, and by which id.
    pub from: Option<(NodeId, [u8; 16])>,
    /// How it ended, for the asker.
    pub end: Option<SmsEnd>,
}

impl Stored for Row {}

impl Row {
    pub fn new(to: E164, text: String, since: Timestamp, from: Option<(NodeId, [u8; 16])>) -> Self {
        let (later, asked, declined, end) = (None, None, Vec::new(), None);
        Self { to, text, since, attempts: 0, way: 0, later, asked, reached: false, declined, from, end }
    }

    /// The node that was asked sent nothing.
    pub fn decline(&mut self, by: NodeId, later: bool) {
        self.asked = None;
        self.reached = false;
        self.declined.push(by);
        if later {
            self.later = self.later.or(Some(None));
        }
    }
}
