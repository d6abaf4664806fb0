//! Accounts: `vault.v1.Entity`. Sign-up, login, reset, change of password, deletion and the list of connected platforms,
//! with the order of checks, the texts and the codes that the deployed apps know.
//!
//! A number proves nothing by itself: a session is opened by the password and a code together, or by a code that also
//! takes the stored platform tokens away (see [`reset`]). A login that is begun and never finished changes nothing for the
//! phone in use. Hashing, captchas and the sending of codes happen outside, and whoever waits for them is in [`Waiting`].

mod change;
mod check;
mod delete;
mod identity;
mod limiter;
mod llt;
mod login;
mod otp;
mod reset;
mod session;
mod signup;
mod tokens;
mod waiting;

#[cfg(test)]
pub(crate) mod tests;

use relaymesh_protocol::ids::{DeviceId, EntityId, Timestamp};

pub(crate) use check::{invalid, required};
pub(crate) use llt::{invalid_llt, open as open_llt};
pub(crate) use tokens::{TOKENS_MAX, forget_handed, on_device, split};
pub(crate) use waiting::{Waiter, Waiting};

use crate::command::{AccountCommand, AccountReply, Private, Refusal, Reply};
use crate::input::ReplyTo;
use crate::limit::Bucket;
use crate::node::Node;
use crate::output::{Output, Work, WorkDone, WorkId};
use crate::record;
use crate::tx::{Effects, Halt, Run, Tx};
use check::PhoneKeys;
use identity::Identifier;
use otp::{Proof, Purpose};

/// The types that are stored here, for fuzzing.
pub(crate) const STORED: [record::Reader; 2] =
    [record::Reader::of::<tokens::Handed>(), record::Reader::of::<otp::Row>()];

/// Codes that leave at once, whoever asks: a thousand people signing up together.
const CODES_BURST: u32 = 1_000;
/// Codes that leave per second after that: caps what a flood of strangers can spend, and the rows it can make.
const CODES_PER_SECOND: u32 = 1;

/// What accounts remember: only who waits, and how many codes left lately.
#[derive(Debug)]
pub(crate) struct State {
    /// Who waits for which work: also what the loop around needs to answer a caller whose work was lost.
    pub waiting: Waiting<Step>,
    codes: Bucket,
}

impl Default for State {
    fn default() -> Self {
        Self { waiting: Waiting::default(), codes: Bucket::new(CODES_BURST, CODES_PER_SECOND) }
    }
}

/// How memory changes.
#[derive(Debug)]
pub(crate) enum Change {
    Wait(WorkId, Box<Waiter<Step>>),
    Worked(WorkId),
    CodeMade(Timestamp),
}

/// What a caller waits for, and what it asked.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The same work for an account that is not here, so that the answer takes as long.
    Unknown(Identifier),
    /// Login, phase 1: the password.
    FirstPhase { entity: EntityId, identifier: Identifier, captcha: Private },
    /// Phase 1 of any: the captcha.
    Captcha { purpose: Purpose, identifier: Identifier },
    /// Phase 1 of any: the code is on its way; no other before `until`.
    Sending { purpose: Purpose, identifier: Identifier, until: Timestamp },
    /// Sign-up, phase 2: the hash of the password.
    SignUp { identifier: Identifier, country: String, keys: PhoneKeys, proof: Proof },
    /// Login, phase 2: the password, again.
    SecondPhase { entity: EntityId, identifier: Identifier, keys: PhoneKeys, proof: Proof },
    /// Reset, phase 2: the hash of the new password.
    Reset { entity: EntityId, identifier: Identifier, keys: PhoneKeys, proof: Proof },
    /// Change of password: the old one.
    Current { entity: EntityId, device: DeviceId, new: Private },
    /// Change of password: the hash of the new one.
    New { entity: EntityId, device: DeviceId },
}

impl State {
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Wait(id, waiter) => self.waiting.add(id, *waiter),
            Change::Worked(id) => self.waiting.remove(id),
            Change::CodeMade(now) => {
                self.codes.take(now);
            }
        }
    }

    /// Whether this work was ordered here.
    pub fn waits_for(&self, id: &WorkId) -> bool {
        self.waiting.get(*id).is_some()
    }
}

pub(crate) fn on_command(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, command: &AccountCommand) -> Run {
    use AccountCommand as C;
    if !node.config().roles.vault {
        return Err(Refusal::unavailable().into());
    }
    match command {
        C::Create { identity, country_code, password, keys, proof, captcha } => {
            let asked = signup::Asked { identity, country: country_code, password, keys, proof, captcha };
            signup::on_command(node, tx, reply, &asked)
        }
        C::Authenticate { identity, password, keys, proof, captcha } => {
            let asked = login::Asked { identity, password, keys, proof, captcha };
            login::on_command(node, tx, reply, &asked)
        }
        C::ResetPassword { identity, new_password, keys, proof, captcha } => {
            let asked = reset::Asked { identity, password: new_password, keys, proof, captcha };
            reset::on_command(node, tx, reply, &asked)
        }
        C::UpdatePassword { llt, current, new } => change::on_command(node, tx, reply, llt, current, new),
        C::Delete { llt } => delete::on_command(node, tx, reply, llt),
        C::ListTokens { llt, migrate_to_device } => tokens::on_command(node, tx, reply, llt, *migrate_to_device),
    }
}

/// Work came back. Whoever waits gets an answer, also if it is a refusal: the work itself has no caller.
pub(crate) fn on_worked(node: &Node, tx: &mut Tx<'_>, id: &WorkId, done: &WorkDone) -> Run {
    let Some(waiter) = node.accounts.waiting.get(*id) else { return Ok(()) };
    match go_on(node, tx, waiter.reply, &waiter.step, done) {
        Err(Halt::Refused(refusal)) => {
            // A refusal writes nothing, so what the run had begun to write goes.
            tx.effects = Effects::default();
            tx.reply(waiter.reply, Reply::Refused(refusal));
        }
        other => other?,
    }
    tx.then(Change::Worked(*id));
    Ok(())
}

fn go_on(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, step: &Step, done: &WorkDone) -> Run {
    match (step, done) {
        (Step::Unknown(identifier), WorkDone::Verified(checked)) => login::on_unknown(node, identifier, checked),
        (Step::FirstPhase { entity, identifier, captcha }, WorkDone::Verified(fits)) => {
            login::on_first(node, tx, reply, *entity, (identifier, captcha), *fits)
        }
        (Step::Captcha { purpose, identifier }, WorkDone::Captcha(agreed)) => {
            otp::on_captcha(node, tx, reply, *purpose, identifier, *agreed)
        }
        (Step::Sending { purpose, identifier, until }, WorkDone::Sent(sent)) => {
            otp::on_sent(node, tx, reply, (*purpose, identifier, *until), sent)
        }
        (Step::SignUp { identifier, country, keys, proof }, WorkDone::Hashed(hash)) => {
            signup::on_hashed(node, tx, reply, (identifier, country, keys, proof), hash)
        }
        (Step::SecondPhase { entity, identifier, keys, proof }, WorkDone::Verified(fits)) => {
            login::on_second(node, tx, reply, *entity, (identifier, keys, proof), *fits)
        }
        (Step::Reset { entity, identifier, keys, proof }, WorkDone::Hashed(hash)) => {
            reset::on_hashed(node, tx, reply, *entity, (identifier, keys, proof), hash)
        }
        (Step::Current { entity, device, new }, WorkDone::Verified(fits)) => {
            change::on_verified(node, tx, reply, *entity, (*device, new), *fits)
        }
        (Step::New { entity, device }, WorkDone::Hashed(hash)) => {
            change::on_hashed(node, tx, reply, *entity, *device, hash)
        }
        // The driver answered with something else than was asked.
        _ => Err(Refusal::unavailable().into()),
    }
}

/// Orders work; the caller waits until it is done.
fn work(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, step: Step, work: Work) -> Run {
    if !node.accounts.waiting.has_room(tx.now()) {
        return Err(Refusal::unavailable().into());
    }
    let id = WorkId(u64::from_le_bytes(tx.random()));
    let waiter = Waiter { reply, since: tx.now(), step };
    tx.then(Change::Wait(id, Box::new(waiter)));
    tx.output(Output::Work { id, work });
    Ok(())
}

fn done(tx: &mut Tx<'_>, reply: ReplyTo, message: impl Into<String>) -> Run {
    tx.reply(reply, Reply::Account(AccountReply::Done { message: message.into() }));
    Ok(())
}
