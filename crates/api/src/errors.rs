//! The one map from refusals and unreadable requests to gRPC and HTTP.
//!
//! Callers see a stable code and a short text. Internal failures never show their cause: it goes to the log.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use relaymesh_core::command::{Code, Refusal};
use serde_json::json;
use tonic::Status;
use tonic::body::Body;

/// What callers hear of a failure that is ours.
pub const OOPS: &str = "Oops! Something went wrong. Please try again later.";
/// What a gRPC caller hears whose request is not the message that the call takes.
pub const UNREADABLE: &str = "The request cannot be read: it is not the message that this call takes.";
/// What it hears if its body does not say that it is gRPC.
pub const NOT_GRPC: &str = "Content-Type must be application/grpc";
/// Seconds after which a caller over its rate may come again: the core's buckets refill within a minute.
pub const RETRY_OVER_RATE_S: u32 = 60;
/// Seconds after which to try a node that is down or busy again: long enough for a restart.
pub const RETRY_DOWN_S: u32 = 10;

/// Why a request never became a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RequestError {
    #[error("Content-Type must be application/json")]
    ContentType,
    #[error("the body is larger than {max} bytes")]
    TooLarge { max: usize },
    #[error("the body did not arrive in time")]
    TooSlow,
    #[error("the body broke off")]
    BrokenOff,
    #[error("the body is not UTF-8")]
    NotUtf8,
    #[error("the body is not JSON, or nested too deeply")]
    NotJson,
    #[error("the body must be a JSON object")]
    NotObject,
    #[error("Missing required field: {0}")]
    Missing(&'static str),
    #[error("{0} must be a string")]
    NotText(&'static str),
    #[error("{0}")]
    Parameter(&'static str),
    #[error("this node takes messages only on the URL of an enrolled gateway client: ask its operator for one")]
    Closed,
    #[error("this address is not served behind a proxy: use the URL of a gateway client")]
    Proxied,
    #[error("no such page")]
    NoPage,
    #[error("method not allowed")]
    Method,
}

impl RequestError {
    fn status(&self) -> StatusCode {
        match self {
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Closed | Self::Proxied => StatusCode::FORBIDDEN,
            Self::NoPage => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::BrokenOff
            | Self::NotUtf8
            | Self::NotJson
            | Self::NotObject
            | Self::Missing(_)
            | Self::NotText(_)
            | Self::Parameter(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Anything that HTTP answers with `{"error": …}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Never became a command.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The node said no.
    #[error("{}", .0.text)]
    Refused(Refusal),
    /// The node answered something else than was asked.
    #[error("the node's reply is of another kind than the command")]
    Mismatch,
}

impl From<Refusal> for HttpError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        match self {
            Self::Request(error) => http(error.status(), &error.to_string()),
            Self::Refused(refusal) => refused(&refusal),
            Self::Mismatch => {
                tracing::error!("{}", Self::Mismatch);
                http(StatusCode::INTERNAL_SERVER_ERROR, OOPS)
            }
        }
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = match refusal.code {
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::FailedPrecondition => StatusCode::CONFLICT,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let mut response = http(status, told(refusal));
    let retry = match refusal.code {
        Code::ResourceExhausted => Some(RETRY_OVER_RATE_S),
        Code::Unavailable => Some(RETRY_DOWN_S),
        _ => None,
    };
    if let Some(seconds) = retry {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn http(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

/// The refusal as gRPC tells it.
#[must_use]
pub fn grpc(refusal: &Refusal) -> Status {
    let code = match refusal.code {
        Code::InvalidArgument => tonic::Code::InvalidArgument,
        Code::NotFound => tonic::Code::NotFound,
        Code::AlreadyExists => tonic::Code::AlreadyExists,
        Code::Unauthenticated => tonic::Code::Unauthenticated,
        Code::PermissionDenied => tonic::Code::PermissionDenied,
        Code::FailedPrecondition => tonic::Code::FailedPrecondition,
        Code::ResourceExhausted => tonic::Code::ResourceExhausted,
        Code::Unimplemented => tonic::Code::Unimplemented,
        Code::Unavailable => tonic::Code::Unavailable,
        Code::Internal => tonic::Code::Internal,
    };
    Status::new(code, told(refusal))
}

/// A reply of another kind than the command: a bug, told as [`OOPS`].
#[must_use]
pub fn grpc_mismatch() -> Status {
    tracing::error!("{}", HttpError::Mismatch);
    Status::internal(OOPS)
}

/// The answer to a call, with the blame where it belongs. The framework tells an undecodable request as a failure of the
/// server, in the words of its decoder. Whatever fails inside us is told as [`OOPS`], so any other `INTERNAL` or `UNKNOWN` is
/// such a request. (For a compressed message without an encoding gRPC's own rules ask for `INTERNAL` too; callers that watch
/// for failing servers are better served by one answer to all of these.)
#[must_use]
pub(crate) fn grpc_unread(response: axum::http::Response<Body>) -> axum::http::Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status)
            if matches!(status.code(), tonic::Code::Internal | tonic::Code::Unknown) && status.message() != OOPS =>
        {
            Status::invalid_argument(UNREADABLE).into_http()
        }
        _ => response,
    }
}

/// The answer to a request that is no gRPC: 415, as gRPC asks for, and a status for those that look for one.
#[must_use]
pub(crate) fn grpc_content_type() -> axum::http::Response<Body> {
    let mut response = Status::invalid_argument(NOT_GRPC).into_http();
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

/// The text for the caller. Internal causes stay in the log.
fn told(refusal: &Refusal) -> &str {
    if refusal.code == Code::Internal {
        tracing::error!(cause = %refusal.text, "a command failed");
        return OOPS;
    }
    &refusal.text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: [(Code, u16, tonic::Code); 10] = [
        (Code::InvalidArgument, 400, tonic::Code::InvalidArgument),
        (Code::NotFound, 404, tonic::Code::NotFound),
        (Code::AlreadyExists, 409, tonic::Code::AlreadyExists),
        (Code::Unauthenticated, 401, tonic::Code::Unauthenticated),
        (Code::PermissionDenied, 403, tonic::Code::PermissionDenied),
        (Code::FailedPrecondition, 409, tonic::Code::FailedPrecondition),
        (Code::ResourceExhausted, 429, tonic::Code::ResourceExhausted),
        (Code::Unimplemented, 501, tonic::Code::Unimplemented),
        (Code::Unavailable, 503, tonic::Code::Unavailable),
        (Code::Internal, 500, tonic::Code::Internal),
    ];

    #[test]
    fn every_code_has_its_place_and_only_internal_causes_are_hidden() {
        for (code, status, expected) in CODES {
            let refusal = Refusal::new(code, "why");
            let response = HttpError::from(refusal.clone()).into_response();
            assert_eq!(response.status().as_u16(), status, "{code:?}");
            let retry = matches!(status, 429 | 503);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), retry, "{code:?}");
            let told = grpc(&refusal);
            assert_eq!(told.code(), expected);
            assert_eq!(told.message(), if code == Code::Internal { OOPS } else { "why" });
        }
    }
}
