//! Nothing that identifies people or opens their messages is on a node's disk or in its logs in a readable form: known
//! numbers, addresses, texts, tokens and keys go through a node that logs everything, and are searched for in all it wrote.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod harness;
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::scan::Scanner;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_api::client::{self, Target, vault_v1};
use relaymesh_mail::sink::SmtpSink;
use relaymesh_phone::{
    AgeCheck, Compose, ComposeBridge, Identity, Kind, Phone, SecretText, StaticKey, Style, Via, api,
};
use relaymesh_protocol::bridge_content::BridgeContent;
use relaymesh_protocol::content::Content;
use relaymesh_protocol::ids::{DeviceId, Timestamp};
use relaymesh_protocol::payload::{BridgeVersion, Payload, PlatformVersion};
use relaymesh_seal::keyfile::{KekSource, KeyFile};
use support::World;
use support::kit::gateway::{GatewayClient, epoch_ms};
use support::kit::http::query;
use support::kit::rpc::{Answered, Rpc};

const NUMBER: &str = "+237650778812";
const EMAIL: &str = "ada.lovelace@people.example.org";
const PASSWORD: &str = "Zq7!wolkenkratzer";
const EMAIL_PASSWORD: &str = "Zr8!fensterbrett";
const LOGIN: &str = "ada-the-first";
const GATEWAY_NUMBER: &str = "+237650990713";
const POSTED: &str = "The bridge at Foumban is closed since Tuesday";
const MAIL_TO: &str = "charles.babbage@engines.example.net";
const MAIL_SUBJECT: &str = "Concerning the engine";
const MAIL_BODY: &str = "Bring the brass wheels before the rain";
const UNKNOWN_SENDER: &str = "+237650665544";
const UNKNOWN_DEVICE: [u8; 32] = *b"\x91\x13\xf7\x5a\x02\xc8\x6d\xe4\x3b\xaf\x80\x17\x59\xd6\x2e\xbb\x44\x0c\x9d\x71\xe8\x26\xfa\x53\xb0\x6f\x1a\xc5\x38\x97\x04\xdd";
/// Time for what was handed in to get where it goes.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_readable_is_on_the_disk_or_in_the_logs() {
    let mail = SmtpSink::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let mut world = World::start(1).await.unwrap();
    let mut scanner = Scanner::default();
    configure(&mut world, &mail).await;
    let mut use_of = Use { rng: ChaCha20Rng::seed_from_u64(11), world: &world, mail: &mail, scanner: &mut scanner };

    let mut phone = use_of.sign_up_by_number().await;
    use_of.sign_up_by_email().await;
    use_of.connect(&mut phone).await;
    use_of.messages(&mut phone).await;
    use_of.bridge_mail(&mut phone).await;
    scanner.state("state of the phone", &phone.encode());
    plant_keys(&world, &mut scanner);

    stop(&mut world).await;
    // What is on the disk while the token is kept, before it moves to the phone.
    let kept = tempfile::tempdir().unwrap();
    copy(world.nodes[0].dir(), &kept.path().join("n0"));
    world.nodes[0].start().await.unwrap();
    plant_tokens(&world, &phone, &mut scanner).await;
    stop(&mut world).await;

    let log = std::fs::read_to_string(world.nodes[0].log()).unwrap();
    assert!(log.contains("TRACE") && log.contains("DEBUG"), "the node was to log everything");
    let mut control = Scanner::default();
    control.plant("peer id", world.nodes[0].peer_id.as_bytes());
    control.plant("format", b"relaymesh-store");
    let seen = control.scan(kept.path()).join("\n");
    assert!(seen.contains("n0/log") && seen.contains("store/FORMAT"), "what may be read is found: {seen}");
    let mut found = scanner.scan(kept.path());
    found.extend(scanner.scan(world.nodes[0].dir()));
    assert!(found.is_empty(), "readable on the disk:\n{}", found.join("\n"));
}

/// Serves bridge mail and codes by mail, and logs everything.
async fn configure(world: &mut World, mail: &SmtpSink) {
    let config = world.nodes[0].config();
    let mut text = std::fs::read_to_string(&config).unwrap();
    let port = mail.addr().port();
    text += &format!(
        "\n[log]\nlevel = \"trace\"\n\n[bridge]\ndomain = \"relay.example.org\"\n\n\
         [bridge.smtp]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"off\"\n"
    );
    std::fs::write(config, text).unwrap();
    world.nodes[0].kill().await.unwrap();
    world.nodes[0].start().await.unwrap();
}

/// A node in use, and what must not be found afterwards.
struct Use<'a> {
    rng: ChaCha20Rng,
    world: &'a World,
    mail: &'a SmtpSink,
    scanner: &'a mut Scanner,
}

impl Use<'_> {
    async fn sign_up_by_number(&mut self) -> Phone {
        let identity = Identity::Phone(NUMBER.parse().unwrap());
        let mut outbox = self.world.outbox();
        self.scanner.plant("number", &NUMBER.as_bytes()[1..]);
        let code = async || outbox.wait_for(SOON, |sms| digits(&sms.text)).await.unwrap();
        self.sign_up(identity, PASSWORD, code).await
    }

    async fn sign_up_by_email(&mut self) {
        self.scanner.plant("e-mail address", EMAIL.as_bytes());
        let mail = self.mail;
        let code = async || {
            let mut found = None;
            eventually("a code by mail", || {
                found = mail
                    .messages()
                    .iter()
                    .find(|mail| mail.to == [EMAIL])
                    .and_then(|mail| mail.text.split_once("\r\n\r\n").and_then(|(_, body)| digits(body)));
                found.is_some()
            })
            .await;
            found.unwrap()
        };
        self.sign_up(EMAIL.parse().unwrap(), EMAIL_PASSWORD, code).await;
    }

    async fn sign_up(&mut self, identity: Identity, password: &str, code: impl AsyncFnOnce() -> String) -> Phone {
        let rpc = Rpc::connect(&self.world.nodes[0].grpc()).await.unwrap();
        let pending = Phone::begin(Kind::SignUp { country: "CM".parse().unwrap() }, identity, &mut self.rng);
        let first = rpc.create_entity(pending.request(password, None, "", Style::Android)).await.unwrap();
        assert!(matches!(first, Answered::ProofRequired));
        let code = code().await;
        let second = rpc.create_entity(pending.request(password, Some(&code), "", Style::Android)).await.unwrap();
        let Answered::Session(answer) = second else { panic!("the code was right") };
        self.scanner.plant("password", password.as_bytes());
        self.scanner.plant("one-time code", code.as_bytes());
        let phone = pending.finish(&answer, epoch_ms() / 1000, AgeCheck::Android, &mut self.rng).unwrap();
        self.scanner.plant("long-lived token", phone.long_lived_token().unwrap().reveal().as_bytes());
        self.scanner.plant("device id", phone.device_id().unwrap().as_bytes());
        phone
    }

    /// As the kit's person does, but every secret on the way is planted.
    async fn connect(&mut self, phone: &mut Phone) {
        let rpc = Rpc::connect(&self.world.nodes[0].grpc()).await.unwrap();
        let request = phone.authorization_request("mastodon").unwrap();
        let token = phone.long_lived_token().unwrap().clone();
        let (redirect_url, request_identifier) = (request.redirect_url.clone(), request.request_identifier.clone());
        let authorization = rpc.authorization_url(request).await.unwrap();
        let back = self.world.platform.approve(&authorization.url, LOGIN).unwrap();
        let code = query(&back, "code").unwrap();
        self.scanner.plant("authorization code", code.as_bytes());
        self.scanner.plant("code verifier", authorization.code_verifier.reveal().as_bytes());
        self.scanner.plant("account name", LOGIN.as_bytes());
        let exchange = api::ExchangeCodeRequest {
            long_lived_token: token.clone(),
            platform: "mastodon".to_owned(),
            authorization_code: code.into(),
            code_verifier: authorization.code_verifier,
            redirect_url,
            store_on_device: false,
            request_identifier,
        };
        rpc.exchange_code(exchange).await.unwrap();
        phone.import_accounts(&rpc.stored_tokens(&token).await.unwrap()).unwrap();
    }

    /// One that is published, one for a home that nobody is, and the first segment of an image.
    async fn messages(&mut self, phone: &mut Phone) {
        let from = phone.accounts()[0].identifier.clone();
        let content = |body: &str| Content::Text { from: from.clone(), body: body.to_owned() };
        let client =
            support::kit::mesh::enrol(&self.world.nodes[0], "gc-scan", GATEWAY_NUMBER, self.world.http.clone());
        let client = client.await.unwrap();
        self.scanner.plant("gateway client's number", &GATEWAY_NUMBER.as_bytes()[1..]);
        let token = client.url.split("/g/").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
        self.scanner.plant("gateway client's token", token.as_bytes());

        let composed = phone.compose(Compose::new(b'm', PlatformVersion::V2, content(POSTED)), now()).unwrap();
        self.scanner.plant("published text", POSTED.as_bytes());
        self.hand_in(&client, NUMBER, &composed.sms[0], &composed.payload).await;
        let world = self.world;
        eventually("the text is published", || world.count(POSTED) == 1).await;

        let composed = phone.compose(Compose::new(b'm', PlatformVersion::V2, content("nobody home")), now()).unwrap();
        let Payload::Platform(mut payload) = Payload::parse(&composed.payload).unwrap() else { panic!("a post") };
        payload.device_id = Some(DeviceId(UNKNOWN_DEVICE));
        let payload = Payload::Platform(payload).encode().unwrap();
        self.scanner.plant("unknown device id", &UNKNOWN_DEVICE);
        self.scanner.plant("unknown sender", &UNKNOWN_SENDER.as_bytes()[1..]);
        self.hand_in(&client, UNKNOWN_SENDER, &STANDARD.encode(&payload), &payload).await;

        let image =
            Compose { image: Some(vec![0x5a; 300]), ..Compose::new(b'm', PlatformVersion::V2, content("image")) };
        let composed = phone.compose(image, now()).unwrap();
        assert!(composed.sms.len() > 1);
        self.hand_in(&client, NUMBER, &composed.sms[0], &composed.payload[..64]).await;
    }

    /// Hands an SMS in; neither its text nor its bytes may be found.
    async fn hand_in(&mut self, client: &GatewayClient, sender: &str, sms: &str, payload: &[u8]) {
        self.scanner.plant("text of an SMS", &sms.as_bytes()[sms.len() / 4..sms.len() * 3 / 4]);
        self.scanner.plant("payload", &payload[8..48]);
        let answer = client.forward(sender, sms).await.unwrap();
        assert_eq!((answer.status, answer.accepted()), (200, true), "{}", answer.text);
    }

    async fn bridge_mail(&mut self, phone: &mut Phone) {
        let node = &self.world.nodes[0];
        node.ask(&["bridge", "keys", "generate"]).await.unwrap();
        let listed = self.world.http.get(&format!("{}/v3/keys/static-x25519", node.http())).await.unwrap();
        let listed: serde_json::Value = serde_json::from_str(&listed.body).unwrap();
        let public = STANDARD.decode(listed[0]["keypair"].as_str().unwrap());
        let kid = u8::try_from(listed[0]["kid"].as_u64().unwrap()).unwrap();
        let key = StaticKey { kid, public: public.unwrap().as_slice().try_into().unwrap() };
        let content = BridgeContent {
            to: MAIL_TO.to_owned(),
            cc: String::new(),
            bcc: String::new(),
            subject: MAIL_SUBJECT.to_owned(),
            body: MAIL_BODY.to_owned(),
        };
        let mail = ComposeBridge {
            version: BridgeVersion::V2,
            via: Via::Fresh(key),
            content,
            language: None,
            image: None,
            style: Style::Plain,
        };
        let composed = phone.compose_bridge(mail, now(), &mut self.rng).unwrap();
        for (what, text) in [("receiver", MAIL_TO), ("subject", MAIL_SUBJECT), ("mail", MAIL_BODY)] {
            self.scanner.plant(what, text.as_bytes());
        }
        let client = support::kit::mesh::enrol(node, "gc-mail", GATEWAY_NUMBER, self.world.http.clone()).await.unwrap();
        self.hand_in(&client, NUMBER, &composed.sms[0], &composed.payload).await;
        let mail = self.mail;
        eventually("the mail arrives", || mail.messages().iter().any(|mail| mail.to == [MAIL_TO])).await;
    }
}

/// The node's own secrets, as the key file opens them.
fn plant_keys(world: &World, scanner: &mut Scanner) {
    let dir = world.nodes[0].dir();
    let config: toml::Table = toml::from_str(&std::fs::read_to_string(world.nodes[0].config()).unwrap()).unwrap();
    let key_file = Path::new(config["keys"]["file"].as_str().unwrap()).to_owned();
    let key = std::fs::read(&key_file).unwrap();
    scanner.plant("key file", key.trim_ascii());
    let (_, keyring) = KeyFile::open(&dir.join("keyring"), &KekSource::KeyFile(key_file)).unwrap();
    scanner.plant("node key", &*keyring.node.danger_to_seed());
    scanner.plant("root key", keyring.root.danger_bytes());
    assert!(!keyring.statics.is_empty() && !keyring.oblivious.is_empty());
    for (_, key) in &keyring.statics {
        scanner.plant("bridge key", key.danger_bytes());
    }
    for (key, _) in &keyring.oblivious {
        scanner.plant("oblivious key", key.danger_bytes());
    }
}

/// Takes the platform's token out of the vault, as a phone does that wants to keep it itself.
async fn plant_tokens(world: &World, phone: &Phone, scanner: &mut Scanner) {
    let target = Target { url: world.nodes[0].grpc(), ..Target::default() };
    let request = vault_v1::ListEntityStoredTokensRequest {
        long_lived_token: phone.long_lived_token().map(SecretText::reveal).unwrap().to_owned(),
        migrate_to_device: true,
    };
    let mut vault = client::vault(&target).await.unwrap();
    let listed = vault.list_entity_stored_tokens(request).await.unwrap().into_inner();
    let token = listed.stored_tokens[0].account_tokens.get("access_token").expect("the token moves to the phone");
    assert!(token.len() > 16);
    scanner.plant("platform token", token.as_bytes());
}

/// Ends the node as an operator does.
async fn stop(world: &mut World) {
    let pid = world.nodes[0].pid().unwrap();
    support::send_signal("TERM", pid).await.unwrap();
    eventually("the node ends", || !support::is_alive(pid)).await;
    world.nodes[0].kill().await.unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

fn now() -> Timestamp {
    Timestamp(epoch_ms())
}

/// The first six digits in a row.
fn digits(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_digit()).find(|word| word.len() == 6).map(str::to_owned)
}

async fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !look() {
        assert!(begun.elapsed() < SOON, "{what}: not within {} s", SOON.as_secs());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn what_is_planted_is_found_in_every_form() {
    let secret = b"Zq7!wolkenkratzer>>??";
    let mut scanner = Scanner::default();
    scanner.plant("password", secret);
    scanner.plant("one-time code", b"482913");
    scanner.state("state", &std::array::from_fn::<u8, 64, _>(|n| (n as u8).wrapping_mul(37).wrapping_add(129)));
    let behind = |prefix: &[u8]| [prefix, secret, b"..."].concat();
    let wide: Vec<u8> = secret.iter().flat_map(|byte| [*byte, 0]).collect();
    let half_state: Vec<u8> = (20..44_u8).map(|n| n.wrapping_mul(37).wrapping_add(129)).collect();
    let forms = [
        secret.to_vec(),
        hex::encode(secret).into_bytes(),
        hex::encode_upper(secret).into_bytes(),
        STANDARD.encode(behind(b"")).into_bytes(),
        STANDARD.encode(behind(b"a")).into_bytes(),
        URL_SAFE_NO_PAD.encode(behind(b"ab")).into_bytes(),
        wide,
        b"code=482913,".to_vec(),
        half_state,
    ];
    for (n, form) in forms.iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("store");
        std::fs::create_dir(&below).unwrap();
        std::fs::write(below.join("db"), [b"\xffnoise\x00", form.as_slice(), b"\x00noise"].concat()).unwrap();
        assert_eq!(scanner.scan(dir.path()).len(), 1, "form {n}");
        std::fs::write(below.join("db"), [b"\xffnoise\x00", &form[1..form.len() / 2], b"\x00noise"].concat()).unwrap();
        assert!(scanner.scan(dir.path()).is_empty(), "half of form {n} is nothing");
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("log"), "2026-01-01T00:00:00.482913Z  INFO 10482913 started").unwrap();
    assert!(scanner.scan(dir.path()).is_empty(), "a moment is no code");
    std::fs::write(dir.path().join("file-with-482913"), "").unwrap();
    assert_eq!(scanner.scan(dir.path()).len(), 1, "names of files count");
}
