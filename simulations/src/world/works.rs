//! What nodes want done outside: publications and SMS. People here have accounts already, so nobody signs up.

use relaymesh_core::{Input, PublishContent, PublishRequest, SendError, Work, WorkDone, WorkId};
use relaymesh_seal::keyfile::Keyring;

use super::frames::Frame;
use super::people::{message_of, person_of};
use super::places::{Labels, Spot};
use super::{Target, World};
use crate::invariants::{NO_INVENTED_MESSAGE, PLAINTEXT_ONLY_AT_HOME, PUBLISHED_ONCE};
use crate::kernel::{Purpose, Span};

/// Standard deviation of the logarithm of the platform's answer times.
const LATENCY_SIGMA: f64 = 0.5;
/// An answer that never comes is given up after this, as the egress client does.
const GIVE_UP: Span = Span::secs(30);
/// How long a key file takes to be saved.
const SAVE: Span = Span::millis(4);

impl World<'_> {
    pub(super) fn work(&mut self, node: u16, id: WorkId, work: Work) {
        let (after, done) = match work {
            Work::Publish { request, .. } => {
                self.note_opened(node, &request);
                if self.has_line(Target::Node(node)) {
                    let boot = self.nodes[usize::from(node)].boots;
                    let frame = Frame::Publish { node, boot, id, request };
                    return self.send_frame(frame, Some(Span::ZERO), false);
                }
                self.publish(node, &request)
            }
            Work::Sms { to, text, .. } => {
                if let Some(person) = person_of(to.reveal()) {
                    self.tell(person, text.reveal().to_owned());
                }
                (Span::millis(300), WorkDone::Sent(Ok(())))
            }
            Work::HashPassword { .. } => (SAVE, WorkDone::Hashed(Ok(String::new()))),
            Work::VerifyPassword { .. } => (SAVE, WorkDone::Verified(Ok(false))),
            Work::Captcha { .. } => (SAVE, WorkDone::Captcha(Ok(true))),
            Work::OtpMail { .. } => (SAVE, WorkDone::Sent(Ok(()))),
            Work::Refresh { .. } => (SAVE, WorkDone::Refreshed(Err(refused()))),
            Work::Exchange { .. } => (SAVE, WorkDone::Exchanged(Err(refused()))),
            Work::Revoke { .. } => (SAVE, WorkDone::Revoked),
        };
        self.feed_later(after, node, Input::Worked { id, done });
    }

    pub(super) fn save_keys(&mut self, node: u16, id: WorkId, keyring: Keyring) {
        self.nodes[usize::from(node)].keyring = keyring;
        self.feed_later(SAVE, node, Input::Worked { id, done: WorkDone::KeysSaved(Ok(())) });
    }

    /// A home has opened what it is about to publish.
    fn note_opened(&mut self, node: u16, request: &PublishRequest) {
        if let PublishContent::Text { text, .. } = &request.content
            && let Some(message) = message_of(text.reveal())
        {
            self.begun(node, message);
        }
    }

    /// A post comes to the platform over a home's slow line.
    pub(super) fn on_publish(&mut self, node: u16, boot: u32, id: WorkId, request: &PublishRequest) {
        if self.nodes[usize::from(node)].boots == boot && self.nodes[usize::from(node)].alive() {
            let (after, done) = self.publish(node, request);
            self.feed_later(after, node, Input::Worked { id, done });
        }
    }

    fn publish(&mut self, node: u16, request: &PublishRequest) -> (Span, WorkDone) {
        let PublishContent::Text { text, .. } = &request.content else {
            return (SAVE, WorkDone::Published(Err(refused())));
        };
        let message = message_of(text.reveal());
        let outside = Spot::new(u16::MAX, true, u32::MAX, Labels::default());
        let (entity, n) = self.luck_of_attempt(message);
        let draw = self.chance.draw(Purpose::PlatformDelay, entity, n);
        let latency = Span::from_secs_f64(draw.log_normal(self.scenario.platform.latency.as_secs_f64(), LATENCY_SIGMA));
        if !self.internet.open(&self.nodes[usize::from(node)].spot, &outside) || self.platform.down > 0 {
            return (latency, WorkDone::Published(Err(SendError::Retry { after_ms: None })));
        }
        let fault = self.chance.draw(Purpose::PlatformFault, entity, n);
        if fault.happens(self.scenario.platform.busy.0) {
            return (latency, WorkDone::Published(Err(SendError::Retry { after_ms: Some(30_000) })));
        }
        if self.platform.post(&request.idempotency_key, self.now)
            && let Some(message) = message
        {
            self.posted(message);
        }
        if fault.again().happens(self.scenario.platform.lost_answers.0) {
            return (GIVE_UP, WorkDone::Published(Err(SendError::Unknown)));
        }
        (latency, WorkDone::Published(Ok(request.idempotency_key.clone())))
    }

    /// Whose luck an attempt at the platform has, and which: the first of a message is the same for every system.
    pub(super) fn luck_of_attempt(&mut self, message: Option<u32>) -> (u64, u64) {
        let Some(own) = message.and_then(|message| self.messages.get_mut(message as usize)) else { return (0, 0) };
        own.attempts = own.attempts.saturating_add(1);
        (1 + u64::from(message.unwrap_or_default()), u64::from(own.attempts))
    }

    /// A home begins to publish a message: it has opened it.
    fn begun(&mut self, node: u16, message: u32) {
        let Some(own) = self.messages.get_mut(message as usize) else {
            return self.violate(NO_INVENTED_MESSAGE, format!("message {message} was never sent"));
        };
        own.consumed = Some(node);
        let who = &mut self.people[own.person as usize];
        let home = who.home;
        if own.ordinal.is_none() {
            who.begun.push(message);
            own.ordinal = Some(who.begun.len() as u64);
        }
        if home != node {
            self.violate(PLAINTEXT_ONLY_AT_HOME, format!("node {node} opened message {message} of node {home}"));
        }
    }

    /// A message is on the platform.
    pub(super) fn posted(&mut self, message: u32) {
        let now = self.now;
        let own = &mut self.messages[message as usize];
        own.posts += 1;
        own.published.get_or_insert(now);
        let posts = own.posts;
        self.count("published");
        self.note(message, |_| ("platform".to_owned(), "it stands there".to_owned()));
        if posts > 1 {
            self.violate(PUBLISHED_ONCE, format!("message {message} stands there {posts} times"));
        }
    }
}

fn refused() -> SendError {
    SendError::Refused { text: String::new() }
}
