//! Login. The second phase checks the password again, and nothing of the account changes before it: a login that somebody
//! begins and never finishes does nothing to the phone in use.

use std::sync::LazyLock;

use relaymesh_protocol::ids::EntityId;
use relaymesh_seal::password::Cost;

use super::check::{self, PhoneKeys, required};
use super::identity::{Identifier, load};
use super::otp::{self, Proof, Purpose};
use super::{Step, session, work};
use crate::command::{AccountReply, ClientKeys, Code, Identity, Private, Refusal, Reply};
use crate::input::ReplyTo;
use crate::node::Node;
use crate::output::{Work, WorkError};
use crate::record::Entity;
use crate::record::vault::{ACCOUNT, Account, PasswordLimiter};
use crate::tx::{Halt, Run, Tx};

/// A hash that no password has, at the cost of a real one: what an account that is not here is checked against, so that
/// the answer takes as long.
static DUMMY_HASH: LazyLock<String> = LazyLock::new(|| {
    let Cost { memory_kib, passes, lanes } = Cost::PASSWORD;
    // Salt of 16 and hash of 32 zero bytes in base64.
    format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${}${}", "A".repeat(22), "A".repeat(43))
});

pub(super) struct Asked<'a> {
    pub identity: &'a Identity,
    pub password: &'a Private,
    pub keys: &'a ClientKeys,
    pub proof: &'a Private,
    pub captcha: &'a Private,
}

impl Asked<'_> {
    fn check(&self) -> Result<PhoneKeys, Refusal> {
        required(&[
            check::either(self.identity),
            ("password", self.password.reveal()),
            ("client_publish_pub_key", self.keys.publish.reveal()),
            ("client_device_id_pub_key", self.keys.device_id.reveal()),
        ])?;
        check::email(&self.identity.email_address)?;
        let keys = check::keys(self.keys)?;
        if check::is_hashable(self.password) { Ok(keys) } else { Err(incorrect()) }
    }
}

pub(super) fn on_command(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, asked: &Asked<'_>) -> Run {
    let keys = asked.check()?;
    let identifier = Identifier::of(asked.identity);
    let Some(id) = identifier.find(node, tx)? else {
        let verify = Work::VerifyPassword { password: asked.password.clone(), hash: DUMMY_HASH.clone() };
        return work(node, tx, reply, Step::Unknown(identifier), verify);
    };
    let (entity, account) = load(node, tx, id)?;
    account.limiter.check(tx.now())?;
    let Some(hash) = account.password.clone() else {
        let message = "Please reset your password to continue.".to_owned();
        tx.reply(reply, Reply::Account(AccountReply::PasswordResetRequired { message }));
        return Ok(());
    };
    let step = if asked.proof.reveal().is_empty() {
        Step::FirstPhase { entity: id, identifier, captcha: asked.captcha.clone() }
    } else {
        match otp::try_code(node, tx, Purpose::Login, &identifier, asked.proof)? {
            Ok(proof) => Step::SecondPhase { entity: id, identifier, keys, proof },
            Err(refusal) => {
                tx.reply(reply, Reply::Refused(refusal));
                return Ok(());
            }
        }
    };
    verify_counted(node, tx, reply, (entity, account), step, (asked.password, hash))
}

/// Counts a password in the account's limiter, and has it checked when the count is durable.
pub(super) fn verify_counted(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    (mut entity, mut account): (Entity, Account),
    step: Step,
    (password, hash): (&Private, String),
) -> Run {
    account.limiter.count(tx.now())?;
    entity.put(node, tx, ACCOUNT, b"", &account)?;
    work(node, tx, reply, step, Work::VerifyPassword { password: password.clone(), hash })
}

/// What a password check means for the account's limiter; `Ok` if it fits. A try that was not evaluated does not count.
pub(super) fn settle(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    (entity, account): (&mut Entity, &mut Account),
    fits: Result<bool, WorkError>,
    wrong: fn() -> Refusal,
) -> Run<bool> {
    match fits {
        Ok(true) => account.limiter = PasswordLimiter::default(),
        Ok(false) => return Err(wrong().into()),
        Err(_) => {
            account.limiter.refund();
            tx.reply(reply, Reply::Refused(Refusal::unavailable()));
        }
    }
    entity.put(node, tx, ACCOUNT, b"", account)?;
    Ok(fits.is_ok())
}

pub(super) fn incorrect() -> Refusal {
    let text = "Incorrect credentials. Please double-check your details and try again.";
    Refusal::new(Code::Unauthenticated, text)
}

/// Nobody was checked.
pub(super) fn on_unknown(node: &Node, identifier: &Identifier, checked: &Result<bool, WorkError>) -> Run {
    match checked {
        Ok(_) => Err(identifier.not_found(node).into()),
        Err(_) => Err(Refusal::unavailable().into()),
    }
}

/// Phase 1: the right password gets a code.
pub(super) fn on_first(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    id: EntityId,
    (identifier, captcha): (&Identifier, &Private),
    fits: Result<bool, WorkError>,
) -> Run {
    let (mut entity, mut account) = load(node, tx, id)?;
    if !settle(node, tx, reply, (&mut entity, &mut account), fits, incorrect)? {
        return Ok(());
    }
    match otp::begin(node, tx, reply, Purpose::Login, identifier, captcha) {
        // The password was right, whatever becomes of the code: the limiter's reset stays.
        Err(Halt::Refused(refusal)) => {
            tx.reply(reply, Reply::Refused(refusal));
            Ok(())
        }
        other => other,
    }
}

/// Phase 2: code and password are right, so the new phone takes the place of the old one.
pub(super) fn on_second(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    id: EntityId,
    (identifier, keys, proof): (&Identifier, &PhoneKeys, &Proof),
    fits: Result<bool, WorkError>,
) -> Run {
    if identifier.find(node, tx)? != Some(id) {
        return Err(identifier.not_found(node).into());
    }
    let (mut entity, mut account) = load(node, tx, id)?;
    if !settle(node, tx, reply, (&mut entity, &mut account), fits, incorrect)? {
        return Ok(());
    }
    otp::consume(node, tx, proof)?;
    let opened = session::open(node, tx, &mut entity, account, keys, "Entity authenticated successfully!")?;
    tx.reply(reply, Reply::Account(opened));
    Ok(())
}
