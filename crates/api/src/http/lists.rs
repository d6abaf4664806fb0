//! What apps and probes read: platforms, bridge keys, health.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use relaymesh_core::command::{BridgeKeyRow, Code, Command, OperatorCommand, OperatorReply, Refusal, Reply};
use relaymesh_protocol::platform::{PLATFORMS, Platform};
use serde_json::{Value, json};

use super::Shared;
use crate::Ask;
use crate::errors::HttpError;

/// A node that takes longer to say how it is is not ready.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// `GET /v1/platforms`.
pub(super) async fn platforms<A: Ask>(State(shared): State<Shared<A>>) -> Json<Vec<Value>> {
    Json(configured(&shared.config.platforms).map(manifest).collect())
}

/// `GET /v1/platforms/{name}`.
pub(super) async fn platform<A: Ask>(
    State(shared): State<Shared<A>>,
    name: Result<Path<String>, PathRejection>,
) -> Response {
    let named = name.ok().and_then(|Path(name)| configured(&shared.config.platforms).find(|p| p.name == name));
    match named {
        Some(platform) => Json(manifest(platform)).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({ "detail": "Platform not found" }))).into_response(),
    }
}

fn configured(names: &[String]) -> impl Iterator<Item = &'static Platform> {
    PLATFORMS.iter().filter(move |platform| names.iter().any(|name| name == platform.name))
}

/// Exactly these seven keys: Android's parser drops the whole list for one more or less. No icons: it downloads every
/// one that is named, and one that fails spoils the list too.
fn manifest(platform: &Platform) -> Value {
    json!({
        "name": platform.name,
        "shortcode": char::from(platform.shortcode).to_string(),
        "protocol_type": platform.protocol.as_str(),
        "service_type": platform.service.as_str(),
        "icon_svg": null,
        "icon_png": null,
        "support_url_scheme": platform.url_scheme,
    })
}

/// `GET /v3/keys/static-x25519`: public halves of the bridge keys.
pub(super) async fn bridge_keys<A: Ask>(State(shared): State<Shared<A>>) -> Result<Json<Vec<Value>>, HttpError> {
    match shared.ask(Command::Operator(OperatorCommand::BridgeKeysList)).await? {
        Reply::Operator(OperatorReply::BridgeKeys(rows)) if rows.is_empty() => {
            Err(Refusal::new(Code::NotFound, "Static public keys not found").into())
        }
        Reply::Operator(OperatorReply::BridgeKeys(rows)) => Ok(Json(rows.iter().map(bridge_key).collect())),
        _ => Err(HttpError::Mismatch),
    }
}

fn bridge_key(row: &BridgeKeyRow) -> Value {
    json!({ "kid": row.kid, "keypair": row.keypair, "status": row.status, "version": row.version })
}

/// `GET /health/live`: the process runs.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// `GET /health/ready`: the node answers.
pub(super) async fn ready<A: Ask>(State(shared): State<Shared<A>>) -> Result<Json<Value>, HttpError> {
    let asked = shared.ask(Command::Operator(OperatorCommand::Status));
    match tokio::time::timeout(READY_TIMEOUT, asked).await {
        Ok(Ok(Reply::Operator(OperatorReply::Status(_)))) => Ok(Json(json!({ "status": "ready" }))),
        _ => Err(Refusal::unavailable().into()),
    }
}
