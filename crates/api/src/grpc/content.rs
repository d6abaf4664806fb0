//! `PublishContent`: a platform payload over the Internet, as the command-line clients send it.

use std::collections::HashMap;

use relaymesh_core::command::{Door, MessageOutcome, Submit, Submitted};
use relaymesh_protocol::detect::{Detected, detect};
use relaymesh_protocol::payload::Payload;
use relaymesh_protocol::platform::Platform;
use tonic::Status;

use crate::errors;
use crate::proto::publisher::{PublishContentRequest, PublishContentResponse};

/// Makes the submission, and tells which platform the payload is for.
///
/// # Errors
/// `INVALID_ARGUMENT` for anything but a platform payload of a known platform.
pub(super) fn read(request: PublishContentRequest) -> Result<(Submit, &'static Platform), Status> {
    let PublishContentRequest { content, metadata } = request;
    if content.is_empty() {
        return Err(Status::invalid_argument("Missing required field: content"));
    }
    let platform = platform(&content)?;
    let submit = Submit {
        door: Door::Content,
        text: content.into(),
        sender: entry(&metadata, "From").unwrap_or_default().into(),
        date: millis(entry(&metadata, "Date")),
        date_sent: millis(entry(&metadata, "Date_sent")),
    };
    Ok((submit, platform))
}

fn platform(content: &str) -> Result<&'static Platform, Status> {
    let why = match detect(content) {
        Ok(Detected::Message(message)) => match message.payload {
            Payload::Platform(payload) => return by_letter(payload.shortcode),
            Payload::Bridge(_) => "bridge payloads come in by SMS only".to_owned(),
        },
        Ok(Detected::Segment(_)) => "a segment of an image is no whole payload".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Status::invalid_argument(format!("Error Decoding Platform Payload: {why}")))
}

fn by_letter(letter: u8) -> Result<&'static Platform, Status> {
    Platform::by_shortcode(letter).ok_or_else(|| {
        Status::invalid_argument(format!("No platform found for shortcode '{}'.", char::from(letter).escape_default()))
    })
}

fn entry<'m>(metadata: &'m HashMap<String, String>, name: &str) -> Option<&'m str> {
    metadata.get(name).map(String::as_str)
}

/// Seconds as text to milliseconds. A date is worth less than the message, so an unreadable one is none.
fn millis(seconds: Option<&str>) -> Option<i64> {
    seconds?.trim().parse::<i64>().ok()?.checked_mul(1000)
}

/// The answer to a submission.
///
/// # Errors
/// `INVALID_ARGUMENT` when the platform refused within the wait.
pub(super) fn answer(submitted: &Submitted, platform: &Platform) -> Result<PublishContentResponse, Status> {
    match submitted {
        Submitted::Accepted { outcome: Some(MessageOutcome::Published), .. } => Ok(PublishContentResponse {
            success: true,
            message: format!("Successfully published {} message", platform.name),
            publisher_response: "Successfully sent message".to_owned(),
        }),
        Submitted::Accepted { outcome: Some(MessageOutcome::Failed(class)), .. } => {
            Err(Status::invalid_argument(class.text()))
        }
        Submitted::Accepted { outcome: Some(MessageOutcome::Test { id, end }), .. } => Ok(PublishContentResponse {
            success: true,
            message: format!("Successfully published {} message", platform.name),
            publisher_response: end.text(*id).map_err(Status::invalid_argument)?,
        }),
        Submitted::Accepted { message, .. } => {
            let message = format!("accepted {message}");
            Ok(PublishContentResponse { success: true, publisher_response: message.clone(), message })
        }
        // Neither happens to a whole platform payload.
        Submitted::Segment { .. } | Submitted::Ignored => Err(errors::grpc_mismatch()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_milliseconds_or_nothing() {
        for (text, expected) in [
            ("1700000000", Some(1_700_000_000_000)),
            (" 5 ", Some(5_000)),
            ("", None),
            ("soon", None),
            ("9223372036854775807", None),
        ] {
            assert_eq!(millis(Some(text)), expected, "{text}");
        }
        assert_eq!(millis(None), None);
    }
}
