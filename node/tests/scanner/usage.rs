//! A person who uses a node in every way, and plants each secret that goes by.

use rand_chacha::ChaCha20Rng;
use relaymesh_mail::sink::SmtpSink;
use relaymesh_phone::{AgeCheck, Compose, Identity, Kind, Phone, Style, api};
use relaymesh_protocol::bridge_content::BridgeContent;
use relaymesh_protocol::content::Content;
use relaymesh_protocol::payload::PlatformVersion;

use crate::harness::scan::Scanner;
use crate::support::World;
use crate::support::bridge::{first_mail, static_key};
use crate::support::kit::gateway::{GatewayClient, epoch_ms};
use crate::support::kit::http::query;
use crate::support::kit::rpc::{Answered, Rpc};
use crate::{eventually, now};

pub const NUMBER: &str = "+237650778812";
pub const PASSWORD: &str = "Zq7!wolkenkratzer";
const LOGIN: &str = "ada-the-first";
const GATEWAY_NUMBER: &str = "+237650990713";
const MAIL_TO: &str = "charles.babbage@engines.example.net";
const MAIL_SUBJECT: &str = "Concerning the engine";
const MAIL_BODY: &str = "Bring the brass wheels before the rain";

/// Nodes in use, and what must not be found afterwards.
pub struct Use<'a> {
    pub rng: ChaCha20Rng,
    pub world: &'a World,
    /// Where people sign up, and where their mail is sent from.
    pub home: usize,
    pub mail: &'a SmtpSink,
    pub scanner: &'a mut Scanner,
}

impl Use<'_> {
    pub async fn sign_up(&mut self, identity: &str, password: &str, code: impl AsyncFnOnce() -> String) -> Phone {
        self.scanner.plant("identity", identity.trim_start_matches('+').as_bytes());
        let identity: Identity = identity.parse().unwrap();
        let rpc = Rpc::connect(&self.world.nodes[self.home].grpc()).await.unwrap();
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
    pub async fn connect(&mut self, phone: &mut Phone) {
        let rpc = Rpc::connect(&self.world.nodes[self.home].grpc()).await.unwrap();
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

    /// Hands an SMS in; neither its text nor its bytes may be found.
    pub async fn hand_in(&mut self, client: &GatewayClient, sender: &str, sms: &str, payload: &[u8]) {
        self.scanner.plant("text of an SMS", &sms.as_bytes()[sms.len() / 4..sms.len() * 3 / 4]);
        self.scanner.plant("payload", &payload[8..48]);
        let answer = client.forward(sender, sms).await.unwrap();
        assert_eq!((answer.status, answer.accepted()), (200, true), "{}", answer.text);
    }

    pub async fn bridge_mail(&mut self, phone: &mut Phone, through: &GatewayClient) {
        let node = &self.world.nodes[self.home];
        let key = static_key(node, &self.world.http).await;
        let content = BridgeContent {
            to: MAIL_TO.to_owned(),
            cc: String::new(),
            bcc: String::new(),
            subject: MAIL_SUBJECT.to_owned(),
            body: MAIL_BODY.to_owned(),
        };
        let composed = phone.compose_bridge(first_mail(key, content), now(), &mut self.rng).unwrap();
        for (what, text) in [("receiver", MAIL_TO), ("subject", MAIL_SUBJECT), ("mail", MAIL_BODY)] {
            self.scanner.plant(what, text.as_bytes());
        }
        self.hand_in(through, NUMBER, &composed.sms[0], &composed.payload).await;
        let mail = self.mail;
        eventually("the mail arrives", || mail.messages().iter().any(|mail| mail.to == [MAIL_TO])).await;
    }

    /// Enrols a gateway client at a node.
    pub async fn gateway(&mut self, node: usize) -> GatewayClient {
        let client = self.world.gateway(node, "gc-scan", GATEWAY_NUMBER).await.unwrap();
        self.scanner.plant("gateway client's number", &GATEWAY_NUMBER.as_bytes()[1..]);
        let token = client.url.split("/g/").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
        self.scanner.plant("gateway client's token", token.as_bytes());
        client
    }

    /// Writes a post and hands it in.
    pub async fn post(&mut self, phone: &mut Phone, through: &GatewayClient, text: &str, with_device_id: bool) {
        let content = Content::Text { from: phone.accounts()[0].identifier.clone(), body: text.to_owned() };
        let post = Compose { with_device_id, ..Compose::new(b'm', PlatformVersion::V2, content) };
        let composed = phone.compose(post, now()).unwrap();
        self.scanner.plant("posted text", text.as_bytes());
        self.hand_in(through, NUMBER, &composed.sms[0], &composed.payload).await;
    }

    /// Waits until a text is published.
    pub async fn published(&self, text: &str) {
        eventually("the text is published", || self.world.count(text) == 1).await;
    }
}
