//! The messages of a world, from the thumb that sends them to the platform.

use crate::kernel::{Span, Time};
use crate::outcome::{Fate, MessageRow, Route, Told};

/// A message and all that the world knows of it.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who wrote it.
    pub person: u32,
    /// What it takes to bring it to its home.
    pub route: Route,
    /// When it was first sent.
    pub sent: Time,
    /// The SMS, while it may be sent again.
    pub text: Option<Box<str>>,
    /// Sends so far.
    pub sends: u8,
    /// Segments paid for so far.
    pub segments: u16,
    /// Copies that are in the SMS network now.
    pub in_flight: u8,
    /// Copies that wait at gateway clients now.
    pub at_gateways: u8,
    /// A gateway client gave up on a copy.
    pub gateway_lost: bool,
    /// When a node first said that it is safe.
    pub accepted: Option<Time>,
    /// Nodes that said so.
    pub holders: Vec<u16>,
    /// The home that opened it.
    pub consumed: Option<u16>,
    /// Attempts to publish it.
    pub attempts: u16,
    /// When it was first on the platform.
    pub published: Option<Time>,
    /// How often it is there.
    pub posts: u16,
    /// A system without memory dropped it.
    pub dropped: bool,
    /// What its sender was last told.
    pub told: Told,
    /// Which publication of its person it is, once begun.
    pub ordinal: Option<u64>,
}

impl Message {
    /// A message that is about to be sent.
    #[must_use]
    pub fn new(person: u32, route: Route, sent: Time, text: Box<str>) -> Self {
        Self {
            person,
            route,
            sent,
            text: Some(text),
            sends: 0,
            segments: 0,
            in_flight: 0,
            at_gateways: 0,
            gateway_lost: false,
            accepted: None,
            holders: Vec::new(),
            consumed: None,
            attempts: 0,
            published: None,
            posts: 0,
            dropped: false,
            told: Told::Nothing,
            ordinal: None,
        }
    }

    /// Whether nothing more is expected of it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.published.is_some() || matches!(self.told, Told::Failed | Told::Uncertain)
    }

    /// What became of it; `safe` tells whether one of its holders or its home still has it.
    #[must_use]
    pub fn fate(&self, safe: bool) -> Fate {
        match (self.published, self.told, self.accepted) {
            (Some(_), ..) => Fate::Published,
            (None, Told::Failed, _) => Fate::Refused,
            (None, Told::Uncertain, _) => Fate::Uncertain,
            // A system without memory has it no longer, whatever it answered.
            (None, ..) if self.dropped => Fate::LostNode,
            (None, _, Some(_)) if safe => Fate::Waiting,
            (None, _, Some(_)) => Fate::LostNode,
            (None, _, None) if self.at_gateways > 0 => Fate::AtGateway,
            (None, _, None) if self.gateway_lost => Fate::LostGateway,
            (None, _, None) => Fate::LostSms,
        }
    }

    /// The row of the results.
    #[must_use]
    pub fn row(&self, id: u32, region: u16, safe: bool, origin: Span) -> MessageRow {
        let shift = |time: Time| Time(time.0.saturating_sub(origin.0));
        MessageRow {
            id,
            region,
            route: self.route,
            sent: shift(self.sent),
            accepted: self.accepted.map(shift),
            published: self.published.map(shift),
            posts: self.posts,
            sends: self.sends,
            segments: self.segments,
            fate: self.fate(safe),
            told: self.told,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_system_without_memory_drops_is_lost_and_not_on_its_way() {
        let mut own = Message::new(0, Route::Device, Time(1), "sms".into());
        own.accepted = Some(Time(2));
        assert_eq!(own.fate(true), Fate::Waiting);
        own.dropped = true;
        assert_eq!(own.fate(true), Fate::LostNode);
        own.published = Some(Time(3));
        assert_eq!(own.fate(true), Fate::Published, "another copy may have come through");
    }
}
