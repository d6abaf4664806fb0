//! Two SMS providers. The first wants all in the address and is always out of order; the second takes everything.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::harness::scan::Scanner;

/// Stands in the address of the first.
const KEY_IN_URL: &str = "kQ3vXw81fTzRb5nYd7Lp";
const USERNAME: &str = "first-provider-account";
const PASSWORD: &str = "Xw7!regenschirm-ständer";
const BEARER: &str = "sk_live_9fJ2mQx7Ls4Vb8Tn";
const HEADER: &str = "subaccount-5hGz0Kq2Wc6R";

/// An SMS that the second one took.
#[derive(Clone, Deserialize)]
pub struct Taken {
    pub to: String,
    pub text: String,
}

#[derive(Clone, Default)]
struct Seen {
    taken: Arc<Mutex<Vec<Taken>>>,
    refused: Arc<Mutex<usize>>,
}

/// Both. Dropping it ends them.
pub struct Providers {
    addr: SocketAddr,
    seen: Seen,
    _task: AbortOnDropHandle<()>,
}

impl Providers {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (addr, seen) = (listener.local_addr().unwrap(), Seen::default());
        let first = format!("/{KEY_IN_URL}/send");
        let router = Router::new().route(&first, get(refuse)).route("/second", post(take)).with_state(seen.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { addr, seen, _task: AbortOnDropHandle::new(task) }
    }

    /// `[sms.http.…]` of both, with the secrets in files below `secrets`.
    pub fn settings(&self, secrets: &Path) -> toml::Table {
        let (addr, at) = (self.addr, secrets.display());
        let files = [
            ("url", format!("http://{addr}/{KEY_IN_URL}/send?to={{to}}&text={{text}}")),
            ("password", PASSWORD.to_owned()),
            ("bearer", BEARER.to_owned()),
            ("header", HEADER.to_owned()),
        ];
        for (name, secret) in files {
            crate::write_private(&secrets.join(name), &secret);
        }
        format!(
            "[first]\nmethod = \"GET\"\nurl = {{ file = \"{at}/url\" }}\nusername = \"{USERNAME}\"\n\
             password = {{ file = \"{at}/password\" }}\n\
             [second]\nurl = \"http://{addr}/second\"\nbearer = {{ file = \"{at}/bearer\" }}\n\
             headers = {{ X-Account = {{ file = \"{at}/header\" }} }}\nbody = '{{\"to\":\"{{to}}\",\"text\":\"{{text}}\"}}'\n"
        )
        .parse()
        .unwrap()
    }

    pub fn plant(&self, scanner: &mut Scanner) {
        for secret in [KEY_IN_URL, PASSWORD, BEARER, HEADER] {
            scanner.plant("secret of an SMS provider", secret.as_bytes());
        }
    }

    /// The SMS to a number so far.
    pub fn to(&self, number: &str) -> Vec<Taken> {
        self.seen.taken.lock().unwrap().iter().filter(|sms| sms.to == number).cloned().collect()
    }

    /// How many the first one refused.
    pub fn refused(&self) -> usize {
        *self.seen.refused.lock().unwrap()
    }
}

async fn refuse(State(seen): State<Seen>) -> StatusCode {
    *seen.refused.lock().unwrap() += 1;
    StatusCode::SERVICE_UNAVAILABLE
}

async fn take(State(seen): State<Seen>, headers: HeaderMap, Json(sms): Json<Taken>) -> StatusCode {
    if headers["authorization"] != format!("Bearer {BEARER}") || headers["x-account"] != HEADER {
        return StatusCode::UNAUTHORIZED;
    }
    seen.taken.lock().unwrap().push(sms);
    StatusCode::ACCEPTED
}
