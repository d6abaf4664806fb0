//! One SMS of the queue, as stored.

use std::time::Duration;

use relaymesh_protocol::ids::{E164, NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::command::Private;
use crate::delivery::SmsEnd;
use crate::output::SmsPurpose;
use crate::record::Stored;

/// An SMS that could not leave for so long is no longer news.
const SMS_LIFE: Duration = Duration::from_hours(24);
/// A refreshed token is needed for as long as the phone has not got it; later ones take its place.
const TOKEN_LIFE: Duration = Duration::from_hours(72);
/// How it ended is kept for so long behind its life.
const ANSWER_LIFE: Duration = Duration::from_hours(24);

/// An SMS that waits, or one of another node whose end may not have been heard there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub to: E164,
    pub text: Private,
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
    /// Why it is sent.
    pub purpose: SmsPurpose,
}

impl Stored for Row {
    const VERSION: u8 = 2;

    /// Version 1 ended before `purpose`: all were notices.
    fn migrate(version: u8, bytes: &[u8]) -> Option<Self> {
        if version != 1 {
            return None;
        }
        let whole = Zeroizing::new([bytes, &[SmsPurpose::Notice as u8]].concat());
        let (row, left) = postcard::take_from_bytes(&whole).ok()?;
        left.is_empty().then_some(row)
    }
}

impl Row {
    pub fn new(
        to: E164,
        text: Private,
        purpose: SmsPurpose,
        since: Timestamp,
        from: Option<(NodeId, [u8; 16])>,
    ) -> Self {
        let (later, asked, declined, end) = (None, None, Vec::new(), None);
        Self { to, text, since, attempts: 0, way: 0, later, asked, reached: false, declined, from, end, purpose }
    }

    /// When it is no longer news, if it could not leave.
    pub fn expires(&self) -> Timestamp {
        self.since.after(if self.purpose == SmsPurpose::Token { TOKEN_LIFE } else { SMS_LIFE })
    }

    /// How it ended is kept for an asker until then: longer than anybody asks.
    pub fn forgotten(&self) -> Timestamp {
        self.expires().after(ANSWER_LIFE)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{decode, encode};

    #[test]
    fn a_row_of_version_1_is_a_notice() {
        let to: E164 = "+237650123456".parse().unwrap();
        let row = Row::new(to.clone(), "text".into(), SmsPurpose::Notice, Timestamp(7), None);
        let mut bytes = encode(&row).to_vec();
        assert_eq!((bytes[0], bytes.pop()), (2, Some(2)));
        bytes[0] = 1;
        let read: Row = decode(&bytes).unwrap();
        assert_eq!((read.to, read.since, read.purpose), (to, Timestamp(7), SmsPurpose::Notice));
        bytes[0] = 0;
        assert!(decode::<Row>(&bytes).is_none());
    }
}
