//! Headers that every answer carries (http.md §1).

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

const ALL: [(HeaderName, &str); 8] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (header::ACCESS_CONTROL_EXPOSE_HEADERS, "X-Total-Count, X-Page, X-Per-Page, Link"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubdomains"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "script-src 'self'; object-src 'self'"),
    (header::REFERRER_POLICY, "strict-origin-when-cross-origin"),
    (header::CACHE_CONTROL, "no-cache"),
    (
        PERMISSIONS_POLICY,
        "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), \
                          payment=(), usb=()",
    ),
];
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// Adds them.
pub(super) async fn add(mut response: Response) -> Response {
    for (name, value) in ALL {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
