//! A node that records what it is asked and answers by rule; requests to the router without a socket; payloads.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use relaymesh_api::{Ask, HttpConfig, http_router};
use relaymesh_core::command::{Command, Reply, Submit, Submitted};
use relaymesh_protocol::ids::{DeviceId, Language, MessageId};
use relaymesh_protocol::payload::{BridgePayload, BridgeVersion, Payload, PlatformPayload, PlatformVersion};
use serde_json::Value;
use tower::ServiceExt;

type Rule = dyn Fn(&Command) -> Reply + Send + Sync;

/// A node by rule.
#[derive(Clone)]
pub struct Fake {
    rule: Arc<Rule>,
    asked: Arc<Mutex<Vec<Command>>>,
}

impl Fake {
    pub fn new(rule: impl Fn(&Command) -> Reply + Send + Sync + 'static) -> Self {
        Self { rule: Arc::new(rule), asked: Arc::default() }
    }

    /// Always the same reply.
    pub fn saying(reply: Reply) -> Self {
        Self::new(move |_| reply.clone())
    }

    /// Accepts every SMS, without an outcome.
    pub fn accepting() -> Self {
        Self::saying(accepted(None))
    }

    pub fn asked(&self) -> Vec<Command> {
        self.asked.lock().unwrap().clone()
    }

    /// The only submission so far.
    pub fn submit(&self) -> Submit {
        match self.asked().as_slice() {
            [Command::Submit(submit)] => submit.clone(),
            other => panic!("expected one submission, got {other:?}"),
        }
    }

    /// Whatever is served over HTTP, everything switched on.
    pub fn http(&self) -> Router {
        let platforms = ["gmail", "mastodon", "nonsense"].map(str::to_owned).to_vec();
        http_router(self.clone(), HttpConfig { open: true, platforms })
    }
}

impl Ask for Fake {
    async fn ask(&self, command: Command) -> Reply {
        let reply = (self.rule)(&command);
        self.asked.lock().unwrap().push(command);
        reply
    }
}

pub const MESSAGE: MessageId = MessageId([0xab; 32]);

pub fn accepted(outcome: Option<relaymesh_core::command::MessageOutcome>) -> Reply {
    Reply::Submitted(Submitted::Accepted { message: MESSAGE, outcome })
}

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_else(|| panic!("no error: {}", self.body)).to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

pub async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(bytes.to_vec()).unwrap() }
}

pub async fn get(router: &Router, path: &str) -> Answer {
    send(router, Request::get(path).body(Body::empty()).unwrap()).await
}

pub async fn post(router: &Router, path: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(path).header("content-type", "application/json").body(body.into()).unwrap();
    send(router, request).await
}

fn block() -> Vec<u8> {
    let mut block = vec![0x5a; 76 + 32];
    block[..4].copy_from_slice(&40_i32.to_le_bytes());
    block
}

/// Base64 of a payload for the platform of `shortcode`.
pub fn platform_text(shortcode: u8) -> String {
    let payload = Payload::Platform(PlatformPayload {
        version: PlatformVersion::V2,
        shortcode,
        block: block(),
        device_id: Some(DeviceId([0x11; 32])),
        language: Some(Language::EN),
    });
    relaymesh_protocol::base64text::encode(&payload.encode().unwrap())
}

/// Base64 of a bridge payload.
pub fn bridge_text() -> String {
    let payload = Payload::Bridge(BridgePayload {
        version: BridgeVersion::V2,
        key_exchange: None,
        letter: b'e',
        block: block(),
        language: None,
    });
    relaymesh_protocol::base64text::encode(&payload.encode().unwrap())
}
