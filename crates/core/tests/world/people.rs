//! A person with a phone: signs up, connects an account, writes.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_core::command::{
    AccountCommand, AccountReply, ClientKeys, Command, Door, Identity, OperatorCommand, OperatorReply,
    PublisherCommand, PublisherReply, Reply, StoredToken, Submit, Submitted,
};
use relaymesh_core::gateway_id;
use relaymesh_protocol::content::{Content, PlatformContent, Tokens};
use relaymesh_protocol::ids::{DeviceId, Language, MessageId};
use relaymesh_protocol::payload::{Payload, PlatformPayload, PlatformVersion};
use relaymesh_protocol::{base64text, segment};
use relaymesh_ratchet::{KeyPair, PublicKey, Session, agree, device_id, llt};

use super::World;

pub struct Person {
    pub number: String,
    pub account: String,
    pub device: DeviceId,
    pub llt: String,
    /// Platform tokens that only the phone keeps.
    pub tokens: Option<Tokens>,
    session: Session,
    ad: [u8; 32],
    rng: ChaCha20Rng,
}

const PASSWORD: &str = "Correct1Horse!";

impl Person {
    /// Signs up at a node and connects a Mastodon account there.
    pub fn sign_up(world: &mut World, node: usize, number: &str, seed: u8) -> Self {
        let identity = Identity { phone_number: number.into(), email_address: "".into() };
        Self::sign_up_as(world, node, number, &identity, seed)
    }

    /// The same, with a mail address and no number in the account; its SMS come from `number` all the same.
    pub fn sign_up_by_mail(world: &mut World, node: usize, address: &str, number: &str, seed: u8) -> Self {
        let identity = Identity { phone_number: "".into(), email_address: address.into() };
        Self::sign_up_as(world, node, number, &identity, seed)
    }

    fn sign_up_as(world: &mut World, node: usize, number: &str, identity: &Identity, seed: u8) -> Self {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        let (publish, device) = (KeyPair::generate(&mut rng), KeyPair::generate(&mut rng));
        let create = |proof: &str| AccountCommand::Create {
            identity: identity.clone(),
            country_code: "CM".to_owned(),
            password: PASSWORD.into(),
            keys: ClientKeys {
                publish: publish.public().to_base64().into(),
                device_id: device.public().to_base64().into(),
            },
            proof: proof.into(),
            captcha: "".into(),
        };
        let reply = world.ask(node, Command::Account(create("")));
        assert!(matches!(reply, Reply::Account(AccountReply::ProofRequired { .. })), "{reply:?}");
        let address = identity.email_address.reveal().to_owned();
        let identifier = if address.is_empty() { number.to_owned() } else { address };
        let code = code(world, &identifier);
        let reply = world.ask(node, Command::Account(create(&code)));
        let Reply::Account(AccountReply::Session { llt, server_publish, server_device_id, .. }) = reply else {
            panic!("sign-up failed: {reply:?}");
        };
        let server_publish = PublicKey::from_base64_lenient(&server_publish).expect("a key");
        let server_device = PublicKey::from_base64_lenient(&server_device_id).expect("a key");
        let shared = agree(device.secret(), &server_device).expect("sound keys");
        let token = llt::open(&shared, llt.reveal()).expect("an own token");
        let root = agree(publish.secret(), &server_publish).expect("sound keys");
        let session = Session::alice(&root, server_publish, &mut rng).expect("sound keys");
        let mut person = Self {
            number: number.to_owned(),
            account: String::new(),
            device: DeviceId(device_id(&shared, &identifier, &device.public())),
            llt: token.plaintext.to_string(),
            tokens: None,
            session,
            ad: *server_publish.as_bytes(),
            rng,
        };
        person.connect(world, node, &format!("user{seed}"));
        person
    }

    /// Connects an account of that name; it is the one that is written under.
    pub fn connect(&mut self, world: &mut World, node: usize, name: &str) {
        let url = world.ask(
            node,
            Command::Publisher(PublisherCommand::AuthorizationUrl {
                platform: "mastodon".to_owned(),
                state: "state".to_owned(),
                code_verifier: "".into(),
                autogenerate_code_verifier: true,
                redirect_url: "https://relay.example/android".to_owned(),
                request_identifier: name.to_owned(),
            }),
        );
        let Reply::Publisher(PublisherReply::AuthorizationUrl { code_verifier, .. }) = url else {
            panic!("no URL: {url:?}");
        };
        let stored = world.ask(
            node,
            Command::Publisher(PublisherCommand::Exchange {
                llt: self.llt.clone().into(),
                platform: "mastodon".to_owned(),
                code: name.into(),
                code_verifier,
                redirect_url: "https://relay.example/android".to_owned(),
                store_on_device: false,
                request_identifier: name.to_owned(),
            }),
        );
        assert!(matches!(stored, Reply::Publisher(PublisherReply::Exchanged { .. })), "{stored:?}");
        self.account = format!("{name}@mastodon.test");
    }

    /// Takes the tokens out of the vault. The platform knows the refresh token as its own.
    pub fn keep_tokens(&mut self, world: &mut World, node: usize, refresh: &str) {
        let listed = self.listed(world, node, true);
        let moved = listed.iter().find(|token| token.account.reveal() == self.account).expect("it is listed");
        let access = moved.tokens.iter().find(|(name, _)| name == "access_token").expect("it is handed over");
        self.tokens = Tokens::both(access.1.reveal().to_owned(), refresh.to_owned());
    }

    /// The platform accounts as the vault lists them.
    pub fn listed(&self, world: &mut World, node: usize, migrate_to_device: bool) -> Vec<StoredToken> {
        let list = AccountCommand::ListTokens { llt: self.llt.clone().into(), migrate_to_device };
        let reply = world.ask(node, Command::Account(list));
        let Reply::Account(AccountReply::Tokens { tokens, .. }) = reply else { panic!("no list: {reply:?}") };
        tokens
    }

    /// Changes the password: the phone is logged out.
    pub fn change_password(&self, world: &mut World, node: usize) {
        let command = AccountCommand::UpdatePassword {
            llt: self.llt.clone().into(),
            current: PASSWORD.into(),
            new: "Another2Horse!".into(),
        };
        let reply = world.ask(node, Command::Account(command));
        assert!(matches!(reply, Reply::Account(AccountReply::Done { .. })), "{reply:?}");
    }

    /// Disconnects the platform account, then deletes the account.
    pub fn delete(&self, world: &mut World, node: usize) {
        let revoke = PublisherCommand::Revoke {
            llt: self.llt.clone().into(),
            platform: "mastodon".to_owned(),
            account: self.account.clone().into(),
        };
        let reply = world.ask(node, Command::Publisher(revoke));
        assert!(matches!(reply, Reply::Publisher(PublisherReply::Revoked { .. })), "{reply:?}");
        let reply = world.ask(node, Command::Account(AccountCommand::Delete { llt: self.llt.clone().into() }));
        assert!(matches!(reply, Reply::Account(AccountReply::Done { .. })), "{reply:?}");
    }

    /// The SMS text of a post.
    pub fn compose(&mut self, text: &str, with_device: bool) -> String {
        let content = PlatformContent {
            content: Content::Text { from: self.account.clone(), body: text.to_owned() },
            tokens: self.tokens.clone(),
        };
        let plain = content.encode(PlatformVersion::V2).expect("a short post");
        let block = self.session.encrypt(&plain, &self.ad).expect("a session");
        let payload = Payload::Platform(PlatformPayload {
            version: PlatformVersion::V2,
            shortcode: b'm',
            block: block.as_bytes().to_vec(),
            device_id: with_device.then_some(self.device),
            language: Some(Language::FR),
        });
        base64text::encode_wrapped(&payload.encode().expect("a small payload"))
    }

    /// The SMS text of a reliability test.
    pub fn compose_test(&mut self, id: u64) -> String {
        self.compose_test_as(id, true)
    }

    /// The same, as phones write that know no device ID.
    pub fn compose_test_as(&mut self, id: u64, with_device: bool) -> String {
        let content = PlatformContent { content: Content::Test { id: id.to_string() }, tokens: None };
        let plain = content.encode(PlatformVersion::V2).expect("a number");
        let block = self.session.encrypt(&plain, &self.ad).expect("a session");
        let payload = Payload::Platform(PlatformPayload {
            version: PlatformVersion::V2,
            shortcode: b'r',
            block: block.as_bytes().to_vec(),
            device_id: with_device.then_some(self.device),
            language: Some(Language::FR),
        });
        base64text::encode_wrapped(&payload.encode().expect("a small payload"))
    }

    /// The SMS texts of a post with an image.
    pub fn compose_image(&mut self, text: &str, image: &[u8], session: u8) -> Vec<String> {
        let content = PlatformContent {
            content: Content::Text { from: self.account.clone(), body: text.to_owned() },
            tokens: None,
        };
        let content = content.encode(PlatformVersion::V2).expect("a short post");
        let block = self.session.encrypt(&[image, &content].concat(), &self.ad).expect("a session");
        let payload = Payload::Platform(PlatformPayload {
            version: PlatformVersion::V2,
            shortcode: b'm',
            block: block.as_bytes().to_vec(),
            device_id: Some(self.device),
            language: Some(Language::FR),
        });
        let letters = base64text::encode_wrapped(&payload.encode().expect("a small payload"));
        let len = |bytes: &[u8]| u16::try_from(bytes.len()).expect("a small image");
        segment::split(&letters, session, len(image), len(&content)).expect("a small image")
    }

    pub fn submit(&self, text: &str) -> Command {
        self.submit_through(Door::Open, text)
    }

    pub fn submit_through(&self, door: Door, text: &str) -> Command {
        Command::Submit(Submit {
            door,
            text: text.into(),
            sender: self.number.clone().into(),
            date: Some(1_767_225_600_000),
            date_sent: Some(1_767_225_590_000),
        })
    }

    /// Sends an SMS text through a node; it must be accepted.
    pub fn send(&self, world: &mut World, node: usize, text: &str) -> MessageId {
        match world.ask(node, self.submit(text)) {
            Reply::Submitted(Submitted::Accepted { message, .. }) => message,
            other => panic!("not accepted: {other:?}"),
        }
    }

    pub fn rng(&mut self) -> &mut ChaCha20Rng {
        &mut self.rng
    }
}

/// Enrols a gateway client at a node.
pub fn enrol(world: &mut World, node: usize, name: &str, msisdn: &str) -> Door {
    let (name, msisdn) = (name.to_owned(), msisdn.into());
    let add = OperatorCommand::GatewayAdd { name, msisdn, country: None, operator: None };
    let OperatorReply::GatewayAdded { path, .. } = world.operate(node, add) else { panic!("no gateway client") };
    Door::Gateway(gateway_id(path.reveal().split('/').nth(2).expect("a path with a token")))
}

/// The newest code that was sent to a number.
pub fn code(world: &World, number: &str) -> String {
    if let Some((_, code)) = world.codes.iter().rev().find(|(to, _)| to == number) {
        return code.clone();
    }
    let (_, text) = world.sms.iter().rev().find(|(to, _)| to == number).expect("a code was sent");
    text.rsplit(' ').next().expect("a code").to_owned()
}
