//! Doors for fuzzing and corpus replay, and for nothing else.

/// The body of a forwarded SMS, at the open door and at a gateway client's own: whether one of them takes it.
#[must_use]
pub fn submit(body: &[u8]) -> bool {
    crate::http::reads_submission(body)
}
