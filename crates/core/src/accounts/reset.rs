//! Forgotten password: a code alone gives a new password and a new session, and therefore nothing else.
//!
//! Whoever owns a number for an hour (a carrier, a thief of a SIM card) can pass this door. A number is no authority over
//! what the account was connected to, so every stored platform token is removed in the same batch, those handed over to the
//! phone a moment ago included: the person connects the platforms again. Upstream keeps the tokens here.

use relaymesh_protocol::ids::EntityId;

use super::check::{self, PhoneKeys, required};
use super::identity::{Identifier, load};
use super::otp::{self, Proof, Purpose};
use super::{Step, session, tokens, work};
use crate::command::{ClientKeys, Identity, Private, Refusal, Reply};
use crate::input::ReplyTo;
use crate::node::Node;
use crate::output::{Work, WorkError};
use crate::record::vault::PasswordLimiter;
use crate::tx::{Run, Tx};

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
            ("new_password", self.password.reveal()),
            ("client_publish_pub_key", self.keys.publish.reveal()),
            ("client_device_id_pub_key", self.keys.device_id.reveal()),
        ])?;
        check::email(&self.identity.email_address)?;
        let keys = check::keys(self.keys)?;
        check::password(self.password)?;
        Ok(keys)
    }
}

pub(super) fn on_command(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, asked: &Asked<'_>) -> Run {
    let keys = asked.check()?;
    let identifier = Identifier::of(asked.identity);
    let entity = identifier.find(node, tx)?.ok_or_else(|| identifier.not_found(node))?;
    if asked.proof.reveal().is_empty() {
        return otp::begin(node, tx, reply, Purpose::Reset, &identifier, asked.captcha);
    }
    let proof = match otp::try_code(node, tx, Purpose::Reset, &identifier, asked.proof)? {
        Ok(proof) => proof,
        Err(refusal) => {
            tx.reply(reply, Reply::Refused(refusal));
            return Ok(());
        }
    };
    let salt = tx.random();
    let step = Step::Reset { entity, identifier, keys, proof };
    work(node, tx, reply, step, Work::HashPassword { password: asked.password.clone(), salt })
}

/// The new password is hashed.
pub(super) fn on_hashed(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    id: EntityId,
    (identifier, keys, proof): (&Identifier, &PhoneKeys, &Proof),
    hash: &Result<String, WorkError>,
) -> Run {
    let hash = hash.as_ref().map_err(|_| Refusal::unavailable())?;
    if identifier.find(node, tx)? != Some(id) {
        return Err(identifier.not_found(node).into());
    }
    let (mut entity, mut account) = load(node, tx, id)?;
    otp::consume(node, tx, proof)?;
    tokens::remove_all(node, tx, &mut entity)?;
    account.password = Some(hash.clone());
    account.limiter = PasswordLimiter::default();
    let opened = session::open(node, tx, &mut entity, account, keys, "Password reset successfully!")?;
    tx.reply(reply, Reply::Account(opened));
    Ok(())
}
