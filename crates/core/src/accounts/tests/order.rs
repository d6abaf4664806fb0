//! Which complaint comes first: requests that are wrong in every way, mended one by one.

use super::world::*;
use crate::command::{AccountCommand, ClientKeys, Code, Identity, Private, Reply};

const PHONE_OR_EMAIL: &str = "Missing required field: phone_number or email_address";
const SHORT_KEY: &str = "AQID";

/// A request as text fields, so that a table can mend them.
#[derive(Clone, Default)]
struct Fields {
    phone: String,
    email: String,
    country: String,
    password: String,
    publish: String,
    device: String,
    proof: String,
}

impl Fields {
    fn set(&mut self, field: &str, value: &str) {
        let place = match field {
            "phone" => &mut self.phone,
            "email" => &mut self.email,
            "country" => &mut self.country,
            "password" => &mut self.password,
            "publish" => &mut self.publish,
            "device" => &mut self.device,
            "proof" => &mut self.proof,
            other => panic!("{other}"),
        };
        *place = value.to_owned();
    }

    fn identity(&self) -> Identity {
        Identity { phone_number: self.phone.as_str().into(), email_address: self.email.as_str().into() }
    }

    fn keys(&self) -> ClientKeys {
        ClientKeys { publish: self.publish.as_str().into(), device_id: self.device.as_str().into() }
    }

    fn secrets(&self) -> (Private, Private, Private) {
        (self.password.as_str().into(), self.proof.as_str().into(), Private::default())
    }

    fn create(&self) -> AccountCommand {
        let (password, proof, captcha) = self.secrets();
        let (identity, keys, country_code) = (self.identity(), self.keys(), self.country.clone());
        AccountCommand::Create { identity, country_code, password, keys, proof, captcha }
    }

    fn authenticate(&self) -> AccountCommand {
        let (password, proof, captcha) = self.secrets();
        AccountCommand::Authenticate { identity: self.identity(), password, keys: self.keys(), proof, captcha }
    }

    fn reset(&self) -> AccountCommand {
        let (new_password, proof, captcha) = self.secrets();
        AccountCommand::ResetPassword { identity: self.identity(), new_password, keys: self.keys(), proof, captcha }
    }
}

/// Each row mends one field and names the complaint that is left.
type Row<'a> = ((&'a str, &'a str), Option<(Code, &'a str)>);

fn walk(world: &mut World, of: fn(&Fields) -> AccountCommand, rows: &[Row<'_>]) {
    use Code::InvalidArgument as I;
    let mut fields = Fields::default();
    assert_eq!(refused(&world.account(of(&fields))), (I, PHONE_OR_EMAIL));
    for ((field, value), told) in rows {
        fields.set(field, value);
        let reply = world.account(of(&fields));
        match told {
            Some(told) => assert_eq!(refused(&reply), *told, "after {field} = {value}"),
            None => assert!(is_proof_required(&reply), "after {field} = {value}: {reply:?}"),
        }
    }
}

#[test]
fn sign_up_complains_in_order() {
    use Code::InvalidArgument as I;
    let mut world = World::new();
    let good = Phone::new(1).publish.public().to_base64();
    let rows: &[Row<'_>] = &[
        (("email", "nonsense"), Some((I, "Missing required field: country_code"))),
        (("phone", "650"), Some((I, "Missing required field: country_code"))),
        (("country", "ng"), Some((I, "Missing required field: password"))),
        (("password", "short"), Some((I, "Missing required field: client_publish_pub_key"))),
        (("publish", "A"), Some((I, "Missing required field: client_device_id_pub_key"))),
        (("device", SHORT_KEY), Some((I, "The phone number is invalid. It must start with + and the country code."))),
        (
            ("phone", "+237 650 123456"),
            Some((I, "The phone number does not match the provided country code NG. Expected country code is CM.")),
        ),
        (("country", "cm"), Some((I, "Invalid email address format."))),
        (("email", ""), Some((I, "The client_publish_pub_key field has an Invalid base64 encoding."))),
        (
            ("publish", SHORT_KEY),
            Some((
                I,
                "The client_publish_pub_key field has an Invalid X25519 public key: An X25519 public key is 32 bytes long.",
            )),
        ),
        (
            ("publish", &good),
            Some((
                I,
                "The client_device_id_pub_key field has an Invalid X25519 public key: An X25519 public key is 32 bytes long.",
            )),
        ),
        (("device", &good), Some((I, "Password must be at least 8 characters long"))),
        (("password", PASSWORD), None),
    ];
    walk(&mut world, Fields::create, rows);
    let (phone, _) = {
        world.pass(6);
        signed_up(&mut world)
    };
    for proof in ["", "123456"] {
        let again = world.account(create(&phone, proof));
        assert_eq!(refused(&again), (Code::AlreadyExists, "Entity with this phone_number already exists."));
    }
}

#[test]
fn login_complains_in_order() {
    use Code::InvalidArgument as I;
    let mut world = World::new();
    signed_up(&mut world);
    world.pass(6);
    let good = Phone::new(1).publish.public().to_base64();
    let incorrect = "Incorrect credentials. Please double-check your details and try again.";
    let rows: &[Row<'_>] = &[
        (("email", "nonsense"), Some((I, "Missing required field: password"))),
        (("password", "short"), Some((I, "Missing required field: client_publish_pub_key"))),
        (("publish", "A"), Some((I, "Missing required field: client_device_id_pub_key"))),
        (("device", "A"), Some((I, "Invalid email address format."))),
        (("email", "a@b.cm"), Some((I, "The client_publish_pub_key field has an Invalid base64 encoding."))),
        (("publish", &good), Some((I, "The client_device_id_pub_key field has an Invalid base64 encoding."))),
        (("device", &good), Some((Code::NotFound, "Entity with this email_address not found."))),
        (("email", ""), Some((I, PHONE_OR_EMAIL))),
        (("phone", "650"), Some((Code::NotFound, "Entity with this phone_number not found."))),
        (("phone", "+237650999999"), Some((Code::NotFound, "Entity with this phone_number not found."))),
        (("phone", "+237 650 12 34 56"), Some((Code::Unauthenticated, incorrect))),
        (("proof", "123456"), Some((Code::Unauthenticated, "OTP not initiated. Request a new OTP first."))),
        (("proof", ""), Some((Code::Unauthenticated, incorrect))),
        (("password", PASSWORD), None),
    ];
    walk(&mut world, Fields::authenticate, rows);
}

#[test]
fn reset_complains_in_order() {
    use Code::InvalidArgument as I;
    let mut world = World::new();
    signed_up(&mut world);
    world.pass(6);
    let good = Phone::new(1).publish.public().to_base64();
    let rows: &[Row<'_>] = &[
        (("email", "nonsense"), Some((I, "Missing required field: new_password"))),
        (("password", "short"), Some((I, "Missing required field: client_publish_pub_key"))),
        (("publish", "A"), Some((I, "Missing required field: client_device_id_pub_key"))),
        (("device", "A"), Some((I, "Invalid email address format."))),
        (("email", ""), Some((I, PHONE_OR_EMAIL))),
        (("phone", "+237650999999"), Some((I, "The client_publish_pub_key field has an Invalid base64 encoding."))),
        (("publish", &good), Some((I, "The client_device_id_pub_key field has an Invalid base64 encoding."))),
        (("device", &good), Some((I, "Password must be at least 8 characters long"))),
        (("password", PASSWORD), Some((Code::NotFound, "Entity with this phone_number not found."))),
        (("phone", "+237 650 12 34 56"), None),
    ];
    walk(&mut world, Fields::reset, rows);
}

#[test]
fn calls_with_a_token_complain_in_order() {
    use Code::{InvalidArgument as I, Unauthenticated as U};
    let mut world = World::new();
    let (_, home) = signed_up(&mut world);
    let invalid = "The long-lived token is invalid. Please log in again to generate a new token.";
    let missing = "Missing required field: long_lived_token";
    let update = |llt: &str, current: &str, new: &str| AccountCommand::UpdatePassword {
        llt: llt.into(),
        current: current.into(),
        new: new.into(),
    };
    let mut told = |command| match world.account(command) {
        Reply::Refused(refusal) => (refusal.code, refusal.text),
        other => panic!("{other:?}"),
    };
    let other_eid = home.llt.replacen(|c: char| c.is_ascii_hexdigit(), "0", 1);
    let forged = format!("{}x", home.llt);
    assert_eq!(told(update("", "", "")), (I, missing.to_owned()));
    assert_eq!(told(update("x", "", "")), (I, "Missing required field: current_password".to_owned()));
    assert_eq!(told(update("x", "c", "")), (I, "Missing required field: new_password".to_owned()));
    assert_eq!(told(update("x", "c", "n")), (I, "Password must be at least 8 characters long".to_owned()));
    assert_eq!(told(AccountCommand::Delete { llt: "".into() }), (I, missing.to_owned()));
    let list = |llt: &str| AccountCommand::ListTokens { llt: llt.into(), migrate_to_device: false };
    assert_eq!(told(list("")), (I, missing.to_owned()));
    for llt in ["x", ":", "0123456789abcdef0123456789abcdef:x.y.z", &other_eid, &forged] {
        if llt == home.llt {
            continue;
        }
        assert_eq!(told(update(llt, "c", PASSWORD)), (U, invalid.to_owned()), "{llt}");
        assert_eq!(told(AccountCommand::Delete { llt: llt.into() }), (U, invalid.to_owned()), "{llt}");
        assert_eq!(told(list(llt)), (U, invalid.to_owned()), "{llt}");
    }
}

#[test]
fn a_key_that_contributes_nothing_opens_no_session_and_spends_no_code() {
    let mut world = World::new();
    let phone = Phone::new(1);
    world.account(create(&phone, ""));
    let code = world.code();
    let mut weak = create(&phone, &code);
    if let AccountCommand::Create { keys, .. } = &mut weak {
        keys.publish = relaymesh_ratchet::PublicKey([0; 32]).to_base64().into();
    }
    let reply = world.account(weak);
    let text = "The client_publish_pub_key field has an Invalid X25519 public key: The key contributes nothing to the agreement.";
    assert_eq!(refused(&reply), (Code::InvalidArgument, text));
    let reply = world.account(create(&phone, &code));
    phone.log_in(reply, PHONE);
}
