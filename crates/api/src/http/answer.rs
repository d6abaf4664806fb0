//! What a gateway client reads: a `publisher_response`, or an `error`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use relaymesh_core::command::{Code, MessageOutcome, Private, Refusal, Submitted};
use relaymesh_protocol::ids::E164;
use serde_json::json;

use crate::errors::HttpError;

/// The answer to a submission by `sender`.
pub(super) fn submitted(submitted: &Submitted, sender: &Private) -> Response {
    let text = match submitted {
        Submitted::Accepted { message, outcome: Some(MessageOutcome::Published) } => {
            format!("Successfully sent message {message}")
        }
        Submitted::Accepted { outcome: Some(MessageOutcome::Failed(class)), .. } => {
            return HttpError::from(Refusal::new(Code::InvalidArgument, class.text())).into_response();
        }
        Submitted::Accepted { outcome: Some(MessageOutcome::Test { id, end }), .. } => match end.text(*id) {
            Ok(text) => text,
            Err(text) => return HttpError::from(Refusal::new(Code::InvalidArgument, text)).into_response(),
        },
        Submitted::Accepted { message, .. } => format!("accepted {message}"),
        Submitted::Segment { received, total, session } => {
            let sender = masked(sender.reveal());
            format!("Segment {received}/{total} received and cached for session {session} and sender {sender}.")
        }
        Submitted::Ignored => "ignored".to_owned(),
    };
    Json(json!({ "publisher_response": text })).into_response()
}

/// Enough to tell two senders apart by, too little to call either.
fn masked(sender: &str) -> String {
    let compact: String = sender.chars().filter(|c| !c.is_whitespace()).collect();
    if let Ok(number) = compact.parse::<E164>() {
        return number.to_string();
    }
    let count = compact.chars().count();
    let tail: String = compact.chars().skip(count.saturating_sub(MASKED_TAIL)).collect();
    if count > 3 * MASKED_TAIL { format!("••••{tail}") } else { "••••".to_owned() }
}

/// Characters shown of a sender that is no E.164 number.
const MASKED_TAIL: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_masked() {
        for (sender, shown) in [
            ("+237650123456", "+237••••3456"),
            ("+237 650 12 34 56", "+237••••3456"),
            ("650123456", "••••56"),
            ("MTN", "••••"),
            ("", "••••"),
        ] {
            assert_eq!(masked(sender), shown);
        }
    }
}
