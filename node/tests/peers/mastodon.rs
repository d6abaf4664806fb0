//! The Mastodon adapter against snac2: its OAuth, its posts, and where it differs from Mastodon.

use std::time::Duration;

use relaymesh_publish::adapter::{Adapter, Media, PartRequest, SendError, Sent};
use relaymesh_publish::egress;
use relaymesh_publish::mastodon::{Config, Mastodon};
use relaymesh_publish::oauth::{Account, Exchange, OAuthError, challenge};
use zeroize::Zeroizing;

use crate::asked;
use crate::snac::{LOGIN, Snac};
use crate::support::kit::http::query;

const REDIRECT: &str = "https://relay.smswithoutborders.com/android";
/// A whole WebP picture of one pixel.
const PICTURE: &[u8] = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0";

/// What the app keeps until the code is exchanged.
const VERIFIER: &str = "Zk3vXw81fTzRb5nYd7LpQ0aHc9Mj2Se4Ug6Wi8Ko1Tr3Bv5N";

/// An adapter of a new registration, and its consent page as the core sends a browser to it.
async fn adapter(snac: &Snac, change: impl FnOnce(&mut Config)) -> (Adapter, String) {
    let (id, secret) = snac.register(REDIRECT).await;
    let mut config = Config::new(&snac.url(), &id, &secret);
    config.idempotency_keys = false;
    change(&mut config);
    let client = egress::Client::new(egress::Config { allow_private: true }).unwrap();
    let page = format!(
        "{}/oauth/authorize?response_type=code&client_id={id}\
         &redirect_uri=https%3A%2F%2Frelay.smswithoutborders.com%2Fandroid\
         &scope=profile%20write%3Astatuses%20write%3Amedia&state=mastodon%2Ctrue\
         &code_challenge={}&code_challenge_method=S256",
        snac.url(),
        challenge(VERIFIER)
    );
    (Adapter::Mastodon(Mastodon::new(config, client).unwrap()), page)
}

async fn code(page: &str, snac: &Snac) -> String {
    let back = snac.consent(page, None).await.unwrap();
    assert!(back.starts_with(REDIRECT), "back to the app");
    assert_eq!(query(&back, "state").as_deref(), Some("mastodon,true"));
    query(&back, "code").unwrap()
}

async fn exchange(adapter: &Adapter, code: &str, code_verifier: &str) -> Result<Account, OAuthError> {
    adapter.exchange(&Exchange { code, code_verifier, redirect_url: REDIRECT, now_s: 1_800_000_000 }).await
}

async fn connect(adapter: &Adapter, page: &str, snac: &Snac) -> Account {
    exchange(adapter, &code(page, snac).await, VERIFIER).await.unwrap()
}

fn part(account: &Account, key: &str, text: &str) -> PartRequest {
    PartRequest {
        idempotency_key: key.to_owned(),
        account: account.identifier.clone(),
        token_json: account.token_json.clone(),
        text: Zeroizing::new(text.to_owned()),
        in_reply_to: None,
        media: Vec::new(),
    }
}

#[tokio::test]
async fn an_account_is_connected_posts_a_thread_with_a_picture_and_leaves() {
    if !asked() {
        return;
    }
    let snac = Snac::start();
    let (adapter, page) = adapter(&snac, |_| {}).await;
    let account = connect(&adapter, &page, &snac).await;
    assert_eq!(account.identifier, format!("{LOGIN}@{}", snac.host.replace(':', "_")));
    assert_eq!(adapter.userinfo(&account.token_json).await.unwrap(), account.identifier);

    let mut first = part(&account, "key-1", "Où est la liberté ? <b>&amp;</b>");
    first.media.push(Media { filename: "a.webp".into(), mimetype: "image/webp".into(), data: PICTURE.to_vec() });
    let Sent::Posted { remote_id, url } = adapter.publish(&first).await.unwrap();
    let second = PartRequest { in_reply_to: Some(remote_id), ..part(&account, "key-2", "2/2") };
    adapter.publish(&second).await.unwrap();

    let posts = snac.posts().await;
    assert_eq!(posts.len(), 2, "{posts:?}");
    assert_eq!((posts[1].text.as_str(), Some(posts[1].id.clone())), (first.text.as_str(), url));
    assert_eq!(snac.file(&posts[1].files[0]).await, PICTURE);
    assert_eq!((posts[0].text.as_str(), posts[0].in_reply_to.as_deref()), ("2/2", Some(posts[1].id.as_str())));

    adapter.revoke(&account.token_json).await.unwrap();
    // Mastodon says 401; this server says 422 to a question and 401 to a post.
    assert_eq!(adapter.userinfo(&account.token_json).await.unwrap_err(), OAuthError::Refused { status: 422 });
    let late = adapter.publish(&part(&account, "key-3", "too late")).await;
    assert_eq!(late.unwrap_err(), SendError::Unauthorized);
    assert_eq!(snac.posts().await.len(), 2);
    // With the token this server forgets the application: whoever revokes needs a new registration there.
    assert!(snac.consent(&page, None).await.is_err());
}

#[tokio::test]
async fn nobody_is_connected_with_a_wrong_password_a_wrong_code_or_a_wrong_secret() {
    if !asked() {
        return;
    }
    let snac = Snac::start();
    let (honest, page) = adapter(&snac, |_| {}).await;
    assert!(snac.consent(&page, Some("not the password")).await.is_err());
    let code = code(&page, &snac).await;
    let (forger, _) = adapter(&snac, |config| config.client_secret = "forged".into()).await;
    let refused = |result: Result<Account, OAuthError>| matches!(result, Err(OAuthError::Refused { .. }));
    assert!(refused(exchange(&forger, &code, VERIFIER).await));
    exchange(&honest, &code, VERIFIER).await.unwrap();

    // The server gives a token for any code; that it belongs to nobody shows when its name is asked for.
    let (unasked, _) = adapter(&snac, |_| {}).await;
    assert!(refused(exchange(&unasked, "0123456789abcdef0123456789abcdef", "verifier").await));
}

#[tokio::test]
async fn pkce_is_sent_and_this_server_does_not_look_at_it() {
    if !asked() {
        return;
    }
    let snac = Snac::start();
    let (adapter, page) = adapter(&snac, |_| {}).await;
    let code = code(&page, &snac).await;
    let account = exchange(&adapter, &code, "another verifier").await.unwrap();
    assert_eq!(account.identifier, format!("{LOGIN}@{}", snac.host.replace(':', "_")));
}

#[tokio::test]
async fn a_repeated_key_posts_again_here_so_nothing_is_repeated_with_idempotency_keys_off() {
    if !asked() {
        return;
    }
    let snac = Snac::start();
    let (adapter, page) = adapter(&snac, |_| {}).await;
    let account = connect(&adapter, &page, &snac).await;
    adapter.publish(&part(&account, "the-same", "once?")).await.unwrap();
    adapter.publish(&part(&account, "the-same", "once?")).await.unwrap();
    let posts = snac.posts().await;
    assert_eq!(posts.iter().filter(|post| post.text == "once?").count(), 2, "the server keeps keys now: {posts:?}");
    assert!(!adapter.may_resend(Duration::ZERO), "which is why an uncertain post stays one");
}
