//! The endpoints, and the faults in front of them.

use std::io::Write as _;
use std::sync::{Arc, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Multipart, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::cut::Cutter;
use super::state::{Draft, Fields, Post, REDIRECT_URL};
use super::{Fault, Shared, now_ms};

/// Largest upload, in bytes: Mastodon's default for images.
const UPLOAD_BYTES_MAX: usize = 16 << 20;
/// Longest post, in characters.
const POST_CHARS_MAX: usize = 500;
/// Posts in the listing.
const LISTED_MAX: usize = 1_000;
/// Who says yes when the consent page is opened without `login`.
const DEFAULT_ACCOUNT: &str = "demo";
/// Size of the answer of [`Fault::Garbage`], in bytes.
const GARBAGE_BYTES: usize = 100_000;

type Server = State<Arc<Shared>>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/oauth/authorize", get(authorize_get).post(authorize_post))
        .route("/oauth/token", post(token))
        .route("/oauth/userinfo", get(userinfo))
        .route("/oauth/revoke", post(revoke))
        .route("/api/v1/apps", post(apps))
        .route("/api/v1/accounts/verify_credentials", get(verify_credentials))
        .route("/api/v1/statuses", post(statuses))
        .route("/api/v2/media", post(media))
        .route("/api/v1/media/{id}", get(media_state))
        .layer(from_fn_with_state(Arc::clone(&shared), faulty));
    let listing = Router::new().route("/posts", get(listing));
    api.merge(listing).layer(DefaultBodyLimit::max(UPLOAD_BYTES_MAX)).with_state(shared)
}

async fn faulty(
    State(shared): Server,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    request: Request,
    next: Next,
) -> Response {
    match shared.take_fault() {
        None => next.run(request).await,
        Some(Fault::Status { code, retry_after_s }) => refusal(code, retry_after_s),
        Some(Fault::Hang) => {
            shared.closed().await;
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Some(Fault::CutBefore) => {
            cutter.cut();
            StatusCode::NO_CONTENT.into_response()
        }
        Some(Fault::CutAfter) => {
            let response = next.run(request).await;
            cutter.cut();
            response
        }
        Some(Fault::Garbage) => {
            next.run(request).await;
            let noise = "\u{1}{[\"".repeat(GARBAGE_BYTES / 4);
            ([(header::CONTENT_TYPE, "application/json")], noise).into_response()
        }
        Some(Fault::WrongType) => {
            let body = next.run(request).await.into_body();
            ([(header::CONTENT_TYPE, "text/html")], body).into_response()
        }
    }
}

fn refusal(code: u16, retry_after_s: Option<u64>) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(json!({ "error": "as told" }))).into_response();
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn error(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

/// The fields of a form or JSON body; anything else gives none.
fn fields(headers: &HeaderMap, body: &[u8]) -> Map<String, Value> {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if declared.is_some_and(|text| text.starts_with("application/json")) {
        return serde_json::from_slice(body).unwrap_or_default();
    }
    let pairs = url::form_urlencoded::parse(body);
    pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect()
}

fn texts(fields: Map<String, Value>) -> Fields {
    let text = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
    fields.into_iter().filter_map(text).collect()
}

async fn apps(State(shared): Server, headers: HeaderMap, body: Bytes) -> Response {
    let form = texts(fields(&headers, &body));
    let Some(redirects) = form.get("redirect_uris").filter(|list| !list.is_empty()) else {
        return error(StatusCode::UNPROCESSABLE_ENTITY, "redirect_uris is missing");
    };
    let list = redirects.split_whitespace().map(str::to_owned).collect();
    match shared.state().register(list) {
        Some((id, secret)) => Json(json!({
            "id": "1", "name": form.get("client_name"), "redirect_uri": redirects,
            "client_id": id, "client_secret": secret,
        }))
        .into_response(),
        None => error(StatusCode::TOO_MANY_REQUESTS, "too many registrations"),
    }
}

async fn authorize_get(State(shared): Server, Query(query): Query<Fields>) -> Response {
    authorize(&shared, &query)
}

async fn authorize_post(State(shared): Server, headers: HeaderMap, body: Bytes) -> Response {
    authorize(&shared, &texts(fields(&headers, &body)))
}

fn authorize(shared: &Shared, query: &Fields) -> Response {
    let account = query.get("login").map_or(DEFAULT_ACCOUNT, String::as_str);
    let named = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !(1..=30).contains(&account.len()) || !account.bytes().all(named) {
        return error(StatusCode::BAD_REQUEST, "login must be 1 to 30 letters, digits or _");
    }
    let result = shared.state().authorize(query, account, now_ms());
    match result {
        Ok(to) if to.starts_with(REDIRECT_URL) => to.into_response(),
        Ok(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Err(why) => error(StatusCode::BAD_REQUEST, why),
    }
}

/// Client id, if id and secret fit: from HTTP Basic or from the form.
fn client(shared: &Shared, headers: &HeaderMap, form: &Fields) -> Option<String> {
    let (id, secret) = match basic(headers) {
        Some(pair) => pair,
        None => (form.get("client_id")?.clone(), form.get("client_secret")?.clone()),
    };
    shared.state().is_client(&id, &secret).then_some(id)
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

async fn token(State(shared): Server, headers: HeaderMap, body: Bytes) -> Response {
    let form = texts(fields(&headers, &body));
    let Some(client) = client(&shared, &headers, &form) else {
        return error(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    let issued = shared.state().exchange(&client, &form, now_ms());
    match issued {
        Some(issued) => Json(issued).into_response(),
        None => error(StatusCode::BAD_REQUEST, "invalid_grant"),
    }
}

async fn revoke(State(shared): Server, headers: HeaderMap, body: Bytes) -> Response {
    let form = texts(fields(&headers, &body));
    if client(&shared, &headers, &form).is_none() {
        return error(StatusCode::FORBIDDEN, "unauthorized_client");
    }
    shared.state().revoke(form.get("token").map(String::as_str).unwrap_or_default());
    Json(json!({})).into_response()
}

fn account(shared: &Shared, headers: &HeaderMap) -> Result<String, Box<Response>> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let state = shared.state();
    let status = if state.userinfo_hidden { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::UNAUTHORIZED };
    let invalid = || error(status, "The access token is invalid");
    state.account(token).ok_or_else(|| Box::new(invalid()))
}

async fn userinfo(State(shared): Server, headers: HeaderMap) -> Response {
    if shared.state().userinfo_hidden {
        return StatusCode::NOT_FOUND.into_response();
    }
    match account(&shared, &headers) {
        Ok(name) => Json(json!({ "sub": name, "preferred_username": name })).into_response(),
        Err(refused) => *refused,
    }
}

async fn verify_credentials(State(shared): Server, headers: HeaderMap) -> Response {
    match account(&shared, &headers) {
        Ok(name) => Json(json!({ "id": "1", "username": name, "acct": name })).into_response(),
        Err(refused) => *refused,
    }
}

async fn statuses(State(shared): Server, headers: HeaderMap, body: Bytes) -> Response {
    let account = match account(&shared, &headers) {
        Ok(account) => account,
        Err(refused) => return *refused,
    };
    let Some(draft) = draft(&headers, &body) else {
        return error(StatusCode::UNPROCESSABLE_ENTITY, "Validation failed");
    };
    let (post, new) = shared.state().post(&account, draft, now_ms());
    if new {
        write_log(&shared, &post);
    }
    let url = format!("{}/@{account}/{}", shared.state().url, post.id);
    let shown = json!({
        "id": post.id, "url": url, "uri": url, "content": post.status,
        "in_reply_to_id": post.in_reply_to_id, "account": { "username": account },
    });
    Json(shown).into_response()
}

fn draft(headers: &HeaderMap, body: &[u8]) -> Option<Draft> {
    let form = fields(headers, body);
    let text = |name: &str| form.get(name).and_then(Value::as_str).map(str::to_owned);
    let ids = form.get("media_ids").and_then(Value::as_array).into_iter().flatten();
    let media_ids: Vec<String> = ids.filter_map(Value::as_str).map(str::to_owned).collect();
    let status = text("status").unwrap_or_default();
    let empty = status.trim().is_empty() && media_ids.is_empty();
    if empty || status.chars().count() > POST_CHARS_MAX || media_ids.len() > 4 {
        return None;
    }
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let key = key.map(str::to_owned);
    Some(Draft { status, key, in_reply_to_id: text("in_reply_to_id"), media_ids })
}

fn write_log(shared: &Shared, post: &Post) {
    let Some(log) = &shared.log else { return };
    let Ok(mut line) = serde_json::to_vec(post) else {
        return;
    };
    line.push(b'\n');
    let mut file = log.lock().unwrap_or_else(PoisonError::into_inner);
    if file.write_all(&line).is_err() {
        tracing::warn!("the sink's log cannot be written; is the disk full?");
    }
}

async fn media(State(shared): Server, headers: HeaderMap, mut form: Multipart) -> Response {
    if let Err(refused) = account(&shared, &headers) {
        return *refused;
    }
    while let Ok(Some(field)) = form.next_field().await {
        if field.name() == Some("file") && field.bytes().await.is_ok_and(|b| !b.is_empty()) {
            let (id, ready) = shared.state().upload();
            let status = if ready { StatusCode::OK } else { StatusCode::ACCEPTED };
            return (status, Json(json!({ "id": id, "type": "image" }))).into_response();
        }
    }
    error(StatusCode::UNPROCESSABLE_ENTITY, "file is missing")
}

async fn media_state(State(shared): Server, Path(id): Path<String>) -> Response {
    let ready = shared.state().look_at_media();
    let status = if ready { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    (status, Json(json!({ "id": id, "type": "image" }))).into_response()
}

async fn listing(State(shared): Server, Query(query): Query<Fields>) -> Json<Vec<Post>> {
    let mut posts = shared.state().posts();
    if let Some(account) = query.get("account") {
        posts.retain(|post| post.account == *account);
    }
    let surplus = posts.len().saturating_sub(LISTED_MAX);
    Json(posts.split_off(surplus))
}
