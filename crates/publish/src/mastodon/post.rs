//! One part becomes one post: first its files, then the status under its idempotency key.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MEDIA_MAX, Mastodon};
use crate::adapter::{Class, Media, PartRequest, SendError, Sent};
use crate::egress::{Answer, EgressError, FilePart};
use crate::oauth::{Token, may_be_taken, retry_class};

/// Looks at a file that the server is still working on, before the post is put off.
const MEDIA_POLLS: usize = 5;
const MEDIA_POLL_EVERY: Duration = Duration::from_millis(500);
/// Time for all files of a part together, so that a slow server cannot hold a job for minutes.
const UPLOADS_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest idempotency key, in bytes; ours are hashes.
const KEY_BYTES_MAX: usize = 128;

#[derive(Serialize)]
struct NewStatus<'a> {
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    media_ids: &'a [String],
}

#[derive(Deserialize)]
struct Made {
    id: Value,
    url: Option<String>,
}

impl Mastodon {
    /// Publishes one part. Uploading may be repeated freely: a file without a post is invisible
    /// and the server forgets it.
    pub async fn publish(&self, request: &PartRequest) -> Result<Sent, SendError> {
        let token = self.check(request)?;
        let access = token.access().unwrap_or_default();
        let uploading = self.upload_all(&request.media, access);
        let too_slow = SendError::Retry { why: Class::Media, retry_after_ms: None };
        let media_ids = tokio::time::timeout(UPLOADS_TIMEOUT, uploading).await.map_err(|_| too_slow)??;
        let status =
            NewStatus { status: &request.text, in_reply_to_id: request.in_reply_to.as_deref(), media_ids: &media_ids };
        let post = self
            .post("/api/v1/statuses")
            .bearer(access)
            .header("idempotency-key", request.idempotency_key.as_str())
            .json(&status)
            .map_err(unsent)?;
        match posted(self.client.send(post).await) {
            Err(SendError::Refused { status: 422 }) => Err(self.why_422(access).await),
            result => result,
        }
    }

    /// 422 is "this post will not do", but some servers (snac2) say it to a revoked token as well;
    /// those say it to the simplest question too.
    async fn why_422(&self, access: &str) -> SendError {
        let path = "/api/v1/accounts/verify_credentials";
        let request = self.get(path).bearer(access);
        match self.client.send(request).await {
            Ok(answer) if matches!(answer.status, 401 | 422) => SendError::Unauthorized,
            _ => SendError::Refused { status: 422 },
        }
    }

    /// The token is only ever shown to the instance that issued it.
    fn check(&self, request: &PartRequest) -> Result<Token, SendError> {
        let instance = request.account.rsplit_once('@').map(|(_, instance)| instance);
        if instance != Some(self.instance.as_str()) {
            return Err(SendError::Invalid("the account belongs to another instance"));
        }
        if request.media.len() > MEDIA_MAX {
            return Err(SendError::Invalid("more than four files in one part"));
        }
        if request.text.trim().is_empty() && request.media.is_empty() {
            return Err(SendError::Invalid("the part is empty"));
        }
        let key = request.idempotency_key.as_str();
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SendError::Invalid("the idempotency key is empty, too long or not ascii"));
        }
        Token::parse(&request.token_json)
            .ok_or(SendError::Invalid("the stored token is damaged; connect the account again"))
    }

    async fn upload_all(&self, files: &[Media], access: &str) -> Result<Vec<String>, SendError> {
        let mut ids = Vec::with_capacity(files.len());
        for media in files {
            ids.push(self.upload(media, access).await?);
        }
        Ok(ids)
    }

    async fn upload(&self, media: &Media, access: &str) -> Result<String, SendError> {
        let part = FilePart {
            field: "file",
            filename: media.filename.clone(),
            mimetype: media.mimetype.clone(),
            data: media.data.clone(),
        };
        let request = self.post("/api/v2/media").bearer(access).file(part);
        let answer = self.client.send(request).await.map_err(before_post)?;
        let id = media_answer(&answer)?;
        if answer.status == 202 {
            self.wait_for(&id, access).await?;
        }
        Ok(id)
    }

    /// 202 and 206 mean that the server is still working on the file.
    async fn wait_for(&self, id: &str, access: &str) -> Result<(), SendError> {
        for _ in 0..MEDIA_POLLS {
            tokio::time::sleep(MEDIA_POLL_EVERY).await;
            let request = self.get(&format!("/api/v1/media/{id}")).bearer(access);
            let answer = self.client.send(request).await.map_err(before_post)?;
            match answer.status {
                200 => return Ok(()),
                202 | 206 => {}
                _ => return Err(not_posted(refusal(&answer))),
            }
        }
        Err(SendError::Retry { why: Class::Media, retry_after_ms: None })
    }
}

/// The file's id. It becomes part of a path, so it must look like one.
pub(crate) fn media_answer(answer: &Answer) -> Result<String, SendError> {
    if !answer.is_success() {
        return Err(not_posted(refusal(answer)));
    }
    let id = answer.json::<Made>().and_then(|made| id_text(&made.id));
    id.ok_or(SendError::Retry { why: Class::Media, retry_after_ms: None })
}

/// Servers write ids as strings; some write numbers.
fn id_text(id: &Value) -> Option<String> {
    let text = match id {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    let sound = (1..=256).contains(&text.len()) && text.bytes().all(allowed) && !text.bytes().all(|b| b == b'.');
    sound.then_some(text)
}

/// Sorts what became of the post itself. A 2xx that is not a status (a captive portal, a cut or
/// endless body) proves nothing either way.
pub(crate) fn posted(result: Result<Answer, EgressError>) -> Result<Sent, SendError> {
    let answer = result.map_err(unsent)?;
    if !answer.is_success() {
        return Err(refusal(&answer));
    }
    let made = answer.json::<Made>().ok_or(SendError::Unknown)?;
    let remote_id = id_text(&made.id).ok_or(SendError::Unknown)?;
    Ok(Sent::Posted { remote_id, url: made.url })
}

fn refusal(answer: &Answer) -> SendError {
    match retry_class(answer.status) {
        Some(why) => SendError::Retry { why, retry_after_ms: answer.retry_after_ms },
        None if may_be_taken(answer.status) => SendError::Unknown,
        None if answer.status == 401 => SendError::Unauthorized,
        None => SendError::Refused { status: answer.status },
    }
}

fn unsent(error: EgressError) -> SendError {
    match error {
        EgressError::NotConnected => SendError::Retry { why: Class::Connect, retry_after_ms: None },
        EgressError::Url(_) | EgressError::Build => SendError::Invalid("the request cannot be written as http"),
        EgressError::NoAnswer | EgressError::TooLong | EgressError::Redirect => SendError::Unknown,
    }
}

/// Trouble with a file is trouble before the post: whatever became of the file, no post was made.
fn before_post(error: EgressError) -> SendError {
    not_posted(unsent(error))
}

fn not_posted(error: SendError) -> SendError {
    match error {
        SendError::Unknown => SendError::Retry { why: Class::Media, retry_after_ms: None },
        other => other,
    }
}
