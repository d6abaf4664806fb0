//! Doors for fuzzing and corpus replay, and for nothing else.

use zeroize::Zeroizing;

use crate::adapter::Sent;
use crate::egress::Answer;
use crate::mastodon::{account, post};
use crate::oauth::Token;
use crate::{captcha, egress};

/// An answer of a server that is not ours, read in each place where one is: after a post, an upload, a code or a refresh
/// token, where a token's owner is asked for, and as a captcha service's. Says whether any of them took it.
///
/// # Panics
/// When something was taken that the node could not rely on.
#[must_use]
pub fn answer(status: u16, content_type: &str, retry_after: &str, body: &[u8]) -> bool {
    let answer = || Answer {
        status,
        content_type: egress::media_type(Some(content_type)),
        retry_after_ms: egress::retry_after_ms(Some(retry_after)),
        body: Ok(Zeroizing::new(body.to_vec())),
    };
    let read = answer();
    assert!(
        read.retry_after_ms.is_none_or(|millis| millis <= egress::RETRY_AFTER_MAX_MS),
        "nobody makes us wait for ever"
    );
    let posted = post::posted(Ok(answer())).map(|Sent::Posted { remote_id, .. }| remote_id).ok();
    let uploaded = post::media_answer(&read).ok();
    for id in posted.iter().chain(&uploaded) {
        assert!(read.is_success(), "a server that refuses has done nothing");
        assert!(is_one_segment(id), "an id becomes part of a path");
    }
    let names = [account::openid_name(&read), account::account_name(&read)];
    for name in names.iter().flatten() {
        assert!(!name.is_empty() && !name.contains([':', '@', '/', ' ']), "texts are split at these");
    }
    let token = Token::from_answer(&read, NOW_S);
    if let Some(token) = &token {
        check_token(token);
    }
    let person = captcha::read(&read).ok();
    assert!(person != Some(true) || read.is_success(), "no service says yes with an error");
    posted.is_some() || uploaded.is_some() || names.iter().any(Option::is_some) || token.is_some() || person.is_some()
}

/// 2027-01-15.
const NOW_S: u64 = 1_800_000_000;

/// A token that was taken is stored, and read again whenever something is published. Numbers that we do not look at may
/// lose their last digit on the way.
fn check_token(token: &Token) {
    let parts = |token: &Token| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let scopes = token.scopes().map(|scopes| scopes.join(" "));
        (owned(token.access()), owned(token.refresh()), scopes, account::check_scopes(token).is_ok())
    };
    let mut again = Token::parse(&token.to_json()).expect("what was stored is read");
    assert!(token.access().is_some_and(|access| !access.is_empty()), "a token opens something");
    assert!(token.refresh().is_none_or(|refresh| token.access() != Some(refresh)), "our own copy is none");
    assert!(parts(&again) == parts(token), "and is the same");
    again.fill_from(token);
    assert!(parts(&again) == parts(token), "nothing is new in what is the same");
}

fn is_one_segment(id: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'\\' | b'?' | b'#' | b'%');
    (1..=256).contains(&id.len()) && id.bytes().all(sound) && id != "." && id != ".."
}
