//! The record of a message at its ingress: the copy until an acceptance proves itself, then the outcome for duplicates.

use std::time::Duration;

use relaymesh_protocol::content::ServiceType;
use relaymesh_protocol::ids::{E164, Language, MessageId, NodeId, Timestamp};
use relaymesh_protocol::payload::Payload;
use relaymesh_protocol::platform::Platform;
use relaymesh_protocol::segment::assembly::SEGMENT_TTL;
use relaymesh_protocol::sms_text::Keyword;
use serde::{Deserialize, Serialize};

use super::body::{Cargo, Route, Submission};
use crate::clients::Sms;
use crate::command::MessageOutcome;
use crate::locator::Lookup;
use crate::record::Stored;

/// A message that no home accepted is given up after this long, and its sender is told.
pub const SUBMISSION_LIFE: Duration = Duration::from_hours(120 * 24);
/// `RESEND` is of use for as long as a home keeps what is uncertain.
pub const RESEND_LIFE: Duration = Duration::from_hours(72);
/// `STOP` and `START` still mean something when a cut-off region is back.
pub const STOP_LIFE: Duration = Duration::from_hours(14 * 24);
/// An answer that every candidate has is kept so long for one that is found later.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// The same for an incomplete image, from its first segment on: it leaves its ingress ten minutes after that.
const PARTS_PATIENCE: Duration = Duration::from_secs(20 * 60);
/// An outcome is kept for duplicates this long.
pub const OUTCOME_LIFE: Duration = Duration::from_hours(30 * 24);

/// A message at its ingress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outbox {
    /// Payload or segments; emptied when an acceptance has proven itself.
    pub cargo: Cargo,
    /// Image session of segments; 0 for whole payloads.
    pub session: u8,
    /// What it is routed by.
    pub lookup: Lookup,
    /// Who sent it; emptied when there is nothing left to tell.
    pub sender: Option<E164>,
    /// When it came in.
    pub received: Timestamp,
    /// As the gateway client told, milliseconds.
    pub date: Option<i64>,
    /// As the gateway client told, milliseconds.
    pub date_sent: Option<i64>,
    /// The gateway client's number.
    pub gateway: Option<E164>,
    /// The gateway client was authenticated.
    pub trusted: bool,
    /// Where it stands.
    pub stage: Stage,
}

impl Stored for Outbox {}

/// Where a message stands at its ingress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// No home has proven that it has it.
    Held,
    /// This node proved it, then.
    Accepted {
        /// The home.
        by: NodeId,
        /// When.
        at: Timestamp,
    },
    /// It ended, as the home that proved its acceptance says.
    Done {
        /// The home.
        by: NodeId,
        /// When.
        at: Timestamp,
        /// How.
        outcome: MessageOutcome,
    },
    /// No home in time.
    Expired {
        /// When.
        at: Timestamp,
    },
}

impl Outbox {
    /// How its SMS came in; `gateway` is the gateway client that brought it, or a copy of it.
    pub(crate) fn sms<'a>(&self, gateway: Option<&'a E164>) -> Sms<'a> {
        let Self { received, date, date_sent, .. } = *self;
        Sms { gateway, received, date, date_sent }
    }

    /// The submission for a candidate.
    #[must_use]
    pub fn submission(&self, message: MessageId, route: Route) -> Submission {
        Submission {
            message,
            cargo: self.cargo.clone(),
            session: self.session,
            route,
            received: self.received,
            date: self.date,
            date_sent: self.date_sent,
            gateway: self.gateway.clone().filter(|_| self.is_test()),
            trusted: self.trusted,
        }
    }

    /// Whether it tests a gateway client. Only such a message names the one that took it in: no candidate needs to learn
    /// which volunteer's phone a person writes through.
    pub(crate) fn is_test(&self) -> bool {
        let Cargo::Whole { payload, .. } = &self.cargo else { return false };
        let Ok(Payload::Platform(payload)) = Payload::parse(payload) else { return false };
        Platform::by_shortcode(payload.shortcode).is_some_and(|platform| platform.service == ServiceType::Test)
    }

    /// The language of the payload, while it is here; English else.
    #[must_use]
    pub fn language(&self) -> Language {
        match &self.cargo {
            Cargo::Whole { payload, .. } => Payload::parse(payload).map_or(Language::EN, |payload| payload.language()),
            Cargo::Parts(_) | Cargo::Keyword(_) => Language::EN,
        }
    }

    /// How long a home is looked for.
    #[must_use]
    pub fn life(&self) -> Duration {
        match &self.cargo {
            Cargo::Whole { .. } => SUBMISSION_LIFE,
            Cargo::Parts(_) => SEGMENT_TTL,
            Cargo::Keyword(Keyword::Resend { .. }) => RESEND_LIFE,
            Cargo::Keyword(Keyword::Stop | Keyword::Start) => STOP_LIFE,
        }
    }

    /// When it is given up; no envelope of it opens later.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.received.after(self.life())
    }

    /// Whether it is an answer and no message: nobody accepts it, and nobody is told when it ends.
    #[must_use]
    pub fn is_keyword(&self) -> bool {
        matches!(self.cargo, Cargo::Keyword(_))
    }

    /// How long a message that no node can prove to hold (an answer, an incomplete image) waits for further candidates when
    /// each one known has it. None for messages, which end with a proof.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        match &self.cargo {
            Cargo::Whole { .. } => None,
            Cargo::Keyword(_) => Some(PATIENCE),
            Cargo::Parts(_) => Some(PARTS_PATIENCE),
        }
    }

    /// Drops the copy: somebody else has proven to hold it.
    pub fn drop_cargo(&mut self) {
        self.cargo = Cargo::Whole { payload: Vec::new(), image: None };
    }

    /// What duplicates are told.
    #[must_use]
    pub fn outcome(&self) -> Option<MessageOutcome> {
        match self.stage {
            Stage::Held | Stage::Expired { .. } => None,
            Stage::Accepted { .. } => Some(MessageOutcome::Pending),
            Stage::Done { outcome, .. } => Some(outcome),
        }
    }
}
