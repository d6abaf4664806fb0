//! Connecting accounts: authorization, exchange, names, refresh and revoke.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod common;

use common::*;
use relaymesh_publish::adapter::SendError;
use relaymesh_publish::egress;
use relaymesh_publish::oauth::{Exchange, OAuthError};
use relaymesh_publish::sink::Fault;

#[tokio::test]
async fn a_person_connects_posts_a_thread_and_leaves() {
    let (sink, adapter) = sink().await;
    let page = consent_page(&sink.url, &sink.client().0, "bWFzdG9kb24sdHJ1ZQ==\n");
    let back = url::Url::parse(&sink.approve(&page, "alice").unwrap()).unwrap();
    let pairs: std::collections::BTreeMap<_, _> = back.query_pairs().into_owned().collect();
    assert_eq!(pairs["state"], "bWFzdG9kb24sdHJ1ZQ==\n", "the app's state survives to the letter");

    let exchange = Exchange { code: &pairs["code"], code_verifier: VERIFIER, redirect_url: REDIRECT, now_s: 1_000 };
    let account = adapter.exchange(&exchange).await.unwrap();
    assert_eq!(account.identifier, identifier("alice", sink.addr()));
    let stored: serde_json::Value = serde_json::from_str(&account.token_json).unwrap();
    assert_eq!(stored["refresh_token"], stored["access_token"]);
    assert!(stored.get("expires_at").is_none());
    let again = adapter.exchange(&exchange).await.unwrap_err();
    assert_eq!(again, OAuthError::Refused { status: 400 }, "a code is good once");

    let long = "word ".repeat(150);
    let mut before = None;
    for (index, piece) in adapter.split(&long, Vec::new()).into_iter().enumerate() {
        let mut request = part(sink.addr(), "", &format!("key-{index}"));
        request.token_json = account.token_json.clone();
        request.text = piece.text;
        request.in_reply_to = before;
        before = Some(id(adapter.publish(&request).await.unwrap()));
    }
    let posts = sink.posts();
    assert_eq!(posts.len(), 2);
    assert!(posts[0].status.ends_with(" (1/2)") && posts[1].status.ends_with(" (2/2)"));
    assert_eq!(posts[1].in_reply_to_id.as_deref(), Some(posts[0].id.as_str()));

    adapter.revoke(&account.token_json).await.unwrap();
    let mut request = part(sink.addr(), "", "late");
    request.token_json = account.token_json;
    assert_eq!(adapter.publish(&request).await.unwrap_err(), SendError::Unauthorized);
    sink.shutdown().await;
}

#[tokio::test]
async fn authorization_is_bound_to_redirect_verifier_and_client() {
    let (sink, adapter) = sink().await;
    let page = consent_page(&sink.url, &sink.client().0, "state");
    let code = || {
        let back = sink.approve(&page, "alice").unwrap();
        let back = url::Url::parse(&back).unwrap();
        back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    };
    let (good, other) = (code(), code());
    let wrong = Exchange { code: &good, code_verifier: "wrong", redirect_url: REDIRECT, now_s: 0 };
    assert_eq!(adapter.exchange(&wrong).await.unwrap_err(), OAuthError::Refused { status: 400 });
    for redirect_url in [
        "https://evil.org/",
        "https://relay.smswithoutborders.com/android/",
        "https://relay.smswithoutborders.com/android?x",
        "http://relay.smswithoutborders.com/android",
        "https://relay.smswithoutborders.com/Android",
        "",
    ] {
        let foreign = Exchange { redirect_url, ..wrong };
        assert!(matches!(adapter.exchange(&foreign).await, Err(OAuthError::Invalid(_))), "{redirect_url}");
    }
    let imposter = self::adapter(&sink.url, "relaymesh", "not the secret");
    let right = Exchange { code: &other, code_verifier: VERIFIER, redirect_url: REDIRECT, now_s: 0 };
    assert_eq!(imposter.exchange(&right).await.unwrap_err(), OAuthError::Refused { status: 401 });
    adapter.exchange(&right).await.unwrap();
}

#[tokio::test]
async fn servers_without_an_openid_endpoint_tell_the_name_too() {
    let (sink, adapter) = sink().await;
    sink.hide_userinfo(true);
    let token = token_json(&sink.token("bob"));
    assert_eq!(adapter.userinfo(&token).await.unwrap(), identifier("bob", sink.addr()));
    let wrong = adapter.userinfo(&token_json("nonsense")).await.unwrap_err();
    assert_eq!(wrong, OAuthError::Refused { status: 422 });
    let post = part(sink.addr(), "nonsense", "key");
    assert_eq!(adapter.publish(&post).await.unwrap_err(), SendError::Unauthorized);
}

#[tokio::test]
async fn rotating_tokens_are_refreshed_once_each() {
    let (sink, adapter) = sink().await;
    let plain = token_json(&sink.token("alice"));
    assert_eq!(adapter.refresh(&plain, 5).await.unwrap_err(), OAuthError::NotOffered);
    sink.rotate_tokens(true);
    let page = consent_page(&sink.url, &sink.client().0, "state");
    let back = url::Url::parse(&sink.approve(&page, "alice").unwrap()).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let exchange = Exchange { code: &code, code_verifier: VERIFIER, redirect_url: REDIRECT, now_s: 100 };
    let old = adapter.exchange(&exchange).await.unwrap().token_json;
    let new = adapter.refresh(&old, 1_000).await.unwrap();
    let field = |json: &str, name: &str| serde_json::from_str::<serde_json::Value>(json).unwrap()[name].clone();
    assert_eq!(field(&old, "expires_at"), 7_300);
    assert_eq!(field(&new, "expires_at"), 8_200);
    assert_ne!(field(&old, "refresh_token"), field(&new, "refresh_token"));
    // The old one is spent: a lost answer to a rotation costs the account, and is told as refused.
    let spent = adapter.refresh(&old, 1_000).await.unwrap_err();
    assert_eq!(spent, OAuthError::Refused { status: 400 });
    sink.fault(Fault::CutAfter, 1);
    assert_eq!(adapter.refresh(&new, 1_000).await.unwrap_err(), OAuthError::Unknown);
}

#[tokio::test]
async fn a_registered_client_may_use_its_own_redirects_only() {
    let (sink, _) = sink().await;
    let client = client();
    let request = egress::Request::post(format!("{}/api/v1/apps", sink.url))
        .form(&[("client_name", "x"), ("redirect_uris", REDIRECT)]);
    let app: serde_json::Value = client.send(request).await.unwrap().json().unwrap();
    let url = consent_page(&sink.url, app["client_id"].as_str().unwrap(), "state");
    assert!(sink.approve(&url, "alice").is_some());
    let foreign = url.replace("relay.smswithoutborders.com", "evil.org");
    assert!(sink.approve(&foreign, "alice").is_none());
    assert!(sink.approve(&url.replace("S256", "plain"), "alice").is_none());
}
