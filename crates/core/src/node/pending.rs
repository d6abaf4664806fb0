//! Batches on their way to the disk: what rests on them happens when they are durable, and what becomes of it when the store
//! fails.

use relaymesh_protocol::frame::{Response, Taken};
use relaymesh_protocol::ids::Timestamp;

use super::{Change, Node};
use crate::batch::Outcome;
use crate::command::{Refusal, Reply};
use crate::input::{Follow, Input, ReplyTo};
use crate::output::{Output, WorkId};
use crate::timer::Timer;
use crate::tx::{Effects, Lane, Wake};

/// How long a caller or peer is asked to wait when the store is down or a lane is full, in milliseconds.
const RETRY_AFTER_MS: u32 = 5_000;

/// A batch that met another version of a record is run again so often.
const RERUNS_MAX: u8 = 3;

/// A batch on its way to the disk, and what waits for it.
#[derive(Debug)]
pub(super) struct Pending {
    lanes: Vec<Lane>,
    then: Vec<Change>,
    outputs: Vec<Output>,
    timers: Vec<Wake>,
    input: Input,
    reruns: u8,
}

/// What [`Node::persisted`] gives back to the loop around the node.
#[derive(Debug, Default)]
pub struct Freed {
    /// Lanes that the batch held.
    pub lanes: Vec<Lane>,
    /// An input to run again, and how often it was run again before.
    pub rerun: Option<(Input, u8)>,
}

impl Node {
    pub(super) fn commit(&mut self, input: &Input, effects: Effects, lanes: Vec<Lane>, reruns: u8) {
        self.apply_all(effects.at_once);
        self.outputs.extend(effects.early);
        if effects.batch.writes.is_empty() {
            self.finish(effects.then, effects.outputs, effects.timers);
            return;
        }
        let token = self.next_token;
        self.next_token += 1;
        self.busy.extend(lanes.iter().cloned());
        self.pending.insert(
            token,
            Pending {
                lanes,
                then: effects.then,
                outputs: effects.outputs,
                timers: effects.timers,
                input: input.clone(),
                reruns,
            },
        );
        self.outputs.push_back(Output::Persist { token, batch: effects.batch });
    }

    fn finish(&mut self, then: Vec<Change>, outputs: Vec<Output>, timers: Vec<Wake>) {
        self.apply_all(then);
        for wake in timers {
            self.wake(wake);
        }
        self.outputs.extend(outputs);
    }

    /// How a batch ended. Tokens end in the order they were made; an unknown token changes nothing.
    pub fn persisted(&mut self, token: u64, outcome: Outcome) -> Freed {
        let Some(pending) = self.pending.remove(&token) else { return Freed::default() };
        for lane in &pending.lanes {
            self.busy.remove(lane);
        }
        let mut freed = Freed { lanes: pending.lanes, rerun: None };
        match outcome {
            Outcome::Ok => self.finish(pending.then, pending.outputs, pending.timers),
            Outcome::Conflict if pending.reruns < RERUNS_MAX => {
                freed.rerun = Some((pending.input, pending.reruns + 1));
            }
            Outcome::Conflict | Outcome::Failed => {
                self.bump("store_failed");
                let soonest = self.retry_at();
                for wake in pending.timers {
                    self.wake(Wake { at: wake.at.max(soonest), ..wake });
                }
                let mut told = false;
                for output in pending.outputs {
                    told |= self.unsay(output);
                }
                if !told {
                    self.refuse(&pending.input, Refusal::unavailable());
                }
            }
        }
        freed
    }

    /// What rested on a failed batch is not said; whoever waits hears that it did not work. Whether somebody did.
    fn unsay(&mut self, output: Output) -> bool {
        let retry_after_ms = RETRY_AFTER_MS;
        let instead = match output {
            Output::Reply { to, .. } => Output::Reply { to, reply: Reply::Refused(Refusal::unavailable()) },
            Output::Taken { to, .. } => Output::Taken { to, taken: Taken::Busy { retry_after_ms } },
            Output::Respond { to, .. } => Output::Respond { to, response: Response::Busy { retry_after_ms } },
            _ => return false,
        };
        self.outputs.push_back(instead);
        true
    }

    /// Tells whoever waits for an input that it was refused; nothing else happens.
    pub fn refuse(&mut self, input: &Input, refusal: Refusal) {
        let retry_after_ms = RETRY_AFTER_MS;
        let output = match input {
            Input::Command { reply, .. } => Output::Reply { to: *reply, reply: Reply::Refused(refusal) },
            Input::Envelope { reply, .. } => Output::Taken { to: *reply, taken: Taken::Busy { retry_after_ms } },
            Input::Asked { reply, .. } => Output::Respond { to: *reply, response: Response::Busy { retry_after_ms } },
            Input::Worked { id, .. } if self.caller_of(*id).is_some() => {
                let to = self.caller_of(*id).unwrap_or(ReplyTo::NOBODY);
                Output::Reply { to, reply: Reply::Refused(refusal) }
            }
            _ => {
                self.bump("input_refused");
                self.retry_later(input);
                return;
            }
        };
        self.outputs.push_back(output);
    }

    /// When something that the store refused may be tried again.
    fn retry_at(&self) -> Timestamp {
        Timestamp(self.seen.0.saturating_add(u64::from(RETRY_AFTER_MS)))
    }

    /// Who waits for the end of a piece of work.
    fn caller_of(&self, id: crate::WorkId) -> Option<ReplyTo> {
        let account = self.accounts.waiting.get(id).map(|waiter| waiter.reply);
        account.or_else(|| self.publisher.waiting.get(id).map(|waiter| waiter.reply))
    }

    /// Whether a conversation goes on with the end of this piece of work.
    fn awaits(&self, id: WorkId) -> bool {
        self.home.awaits(id) || self.egress.awaits(id) || self.keys.awaits(id)
    }

    /// Work that nobody waits for must not be forgotten because the store was down for a moment.
    fn retry_later(&mut self, input: &Input) {
        let at = self.retry_at();
        let timer = match input {
            Input::Timer(timer) => timer.clone(),
            Input::Started => Timer::Start,
            Input::Follow(Follow::Route(message) | Follow::Local(message)) => Timer::Route(*message),
            Input::Follow(Follow::RunJob(message)) => Timer::Job(*message),
            Input::Follow(Follow::RunSms(id)) => Timer::Sms(*id),
            // What happened outside happened: a post that is out, a token that was changed for another.
            Input::Worked { id, done } if self.awaits(*id) => {
                self.unsettled.insert(*id, done.clone());
                Timer::Worked(*id)
            }
            _ => return,
        };
        self.timers.set(at, timer);
    }
}
