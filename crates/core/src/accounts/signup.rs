//! Sign-up.

use relaymesh_protocol::ids::Language;
use relaymesh_ratchet::llt::Eid;

use super::check::{self, PhoneKeys, required};
use super::identity::Identifier;
use super::otp::{self, Proof, Purpose};
use super::{Step, session, work};
use crate::command::{ClientKeys, Identity, Private, Refusal, Reply};
use crate::input::ReplyTo;
use crate::node::Node;
use crate::output::{Work, WorkError};
use crate::record::Entity;
use crate::record::index::{self, Kind};
use crate::record::vault::{Account, PasswordLimiter};
use crate::tx::{Run, Tx};

pub(super) struct Asked<'a> {
    pub identity: &'a Identity,
    pub country: &'a str,
    pub password: &'a Private,
    pub keys: &'a ClientKeys,
    pub proof: &'a Private,
    pub captcha: &'a Private,
}

impl Asked<'_> {
    fn check(&self) -> Result<PhoneKeys, Refusal> {
        required(&[
            check::either(self.identity),
            ("country_code", self.country),
            ("password", self.password.reveal()),
            ("client_publish_pub_key", self.keys.publish.reveal()),
            ("client_device_id_pub_key", self.keys.device_id.reveal()),
        ])?;
        check::country(&self.identity.phone_number, self.country)?;
        check::email(&self.identity.email_address)?;
        let keys = check::keys(self.keys)?;
        check::password(self.password)?;
        Ok(keys)
    }
}

pub(super) fn on_command(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, asked: &Asked<'_>) -> Run {
    let keys = asked.check()?;
    let identifier = Identifier::of(asked.identity);
    if identifier.find(node, tx)?.is_some() {
        return Err(identifier.exists().into());
    }
    if asked.proof.reveal().is_empty() {
        return otp::begin(node, tx, reply, Purpose::SignUp, &identifier, asked.captcha);
    }
    let proof = match otp::try_code(node, tx, Purpose::SignUp, &identifier, asked.proof)? {
        Ok(proof) => proof,
        Err(refusal) => {
            tx.reply(reply, Reply::Refused(refusal));
            return Ok(());
        }
    };
    let country = asked.country.trim().to_uppercase();
    let salt = tx.random();
    let step = Step::SignUp { identifier, country, keys, proof };
    work(node, tx, reply, step, Work::HashPassword { password: asked.password.clone(), salt })
}

/// The password is hashed: the account comes to be, with its first session, in one batch. Only what the code proved is its
/// identifier; a number typed beside an e-mail address is nobody's word and is not kept.
pub(super) fn on_hashed(
    node: &Node,
    tx: &mut Tx<'_>,
    reply: ReplyTo,
    (identifier, country, keys, proof): (&Identifier, &str, &PhoneKeys, &Proof),
    hash: &Result<String, WorkError>,
) -> Run {
    let hash = hash.as_ref().map_err(|_| Refusal::unavailable())?;
    if identifier.find(node, tx)?.is_some() {
        return Err(identifier.exists().into());
    }
    otp::consume(node, tx, proof)?;
    let mut entity = Entity::create(node, tx)?;
    let account = Account {
        phone: identifier.phone(),
        email: identifier.email(),
        eid: Eid::from(tx.random::<16>()).to_string(),
        country: Some(country.to_owned()),
        password: Some(hash.clone()),
        language: Language::EN,
        device: None,
        retired: Vec::new(),
        limiter: PasswordLimiter::default(),
        created: tx.now(),
    };
    identifier.put(node, tx, entity.id)?;
    index::put(node, tx, Kind::Eid, account.eid.as_bytes(), entity.id)?;
    let opened = session::open(node, tx, &mut entity, account, keys, "Entity created successfully")?;
    node.count(tx, "accounts_created");
    tx.reply(reply, Reply::Account(opened));
    Ok(())
}
