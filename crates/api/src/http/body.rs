//! Reads a JSON object, and not one byte more than it may have.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use futures::StreamExt;
use serde_json::{Map, Value};

use crate::errors::RequestError;

/// Largest body. The longest SMS text is 96 KiB in base64; the rest is room for the fields around it.
pub const BODY_BYTES_MAX: usize = 128 * 1024;
/// How long a body may take to arrive: minutes of slow radio are the gateway client's to wait for, not ours.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The JSON object in a request's body.
///
/// # Errors
/// When the body is none, is too large or does not arrive.
pub(super) async fn json_object(request: Request) -> Result<Map<String, Value>, RequestError> {
    let (parts, body) = request.into_parts();
    if !is_json(&parts.headers) {
        return Err(RequestError::ContentType);
    }
    if announced(&parts.headers).is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        return Err(TOO_LARGE);
    }
    parse(&within(BODY_TIMEOUT, body).await?)
}

const TOO_LARGE: RequestError = RequestError::TooLarge { max: BODY_BYTES_MAX };

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn within(limit: Duration, body: Body) -> Result<Vec<u8>, RequestError> {
    tokio::time::timeout(limit, collect(body)).await.map_err(|_| RequestError::TooSlow)?
}

async fn collect(body: Body) -> Result<Vec<u8>, RequestError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| RequestError::BrokenOff)?;
        if bytes.len().saturating_add(chunk.len()) > BODY_BYTES_MAX {
            return Err(TOO_LARGE);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

pub(super) fn parse(bytes: &[u8]) -> Result<Map<String, Value>, RequestError> {
    let text = std::str::from_utf8(bytes).map_err(|_| RequestError::NotUtf8)?;
    // serde_json gives up at 128 levels, so a tower of brackets costs nothing.
    match serde_json::from_str(text).map_err(|_| RequestError::NotJson)? {
        Value::Object(object) => Ok(object),
        _ => Err(RequestError::NotObject),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_that_never_comes_is_given_up() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(within(Duration::from_millis(20), body).await, Err(RequestError::TooSlow));
        let body = Body::from("here");
        assert_eq!(within(Duration::from_secs(5), body).await.as_deref(), Ok(&b"here"[..]));
    }
}
