//! What a captcha service may answer, and what follows.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use relaymesh_publish::captcha::{Captcha, Config, Style, Unavailable};
use relaymesh_publish::egress;
use tokio::net::TcpListener;

/// What was asked: content type and body.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

async fn service(status: u16, answer: &'static str) -> (SocketAddr, Asked) {
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let answer = move |headers: HeaderMap, body: Bytes| async move {
        let kind = headers[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        seen.lock().unwrap().push((kind, String::from_utf8(body.to_vec()).unwrap()));
        (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, "application/json")], answer)
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    let router = Router::new().route("/siteverify", post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (at, asked)
}

fn captcha(at: SocketAddr, style: Style) -> Captcha {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = egress::Client::new(egress::Config { allow_private: true }).unwrap();
    Captcha::new(Config { url: format!("http://{at}/siteverify"), secret: "s3cret&".into(), style }, client).unwrap()
}

#[tokio::test]
async fn each_style_asks_as_its_services_want_it() {
    let (at, asked) = service(200, r#"{"success":true,"hostname":"relay.example.org"}"#).await;
    assert_eq!(captcha(at, Style::SiteVerify).verify("a b").await, Ok(true));
    assert_eq!(captcha(at, Style::RelaySms).verify("a b").await, Ok(true));
    let form = ("application/x-www-form-urlencoded".to_owned(), "secret=s3cret%26&response=a+b".to_owned());
    let json = ("application/json".to_owned(), r#"{"client_secret":"s3cret&","token":"a b"}"#.to_owned());
    assert_eq!(*asked.lock().unwrap(), [form, json]);
}

#[tokio::test]
async fn only_a_clear_answer_counts() {
    for (status, answer, expected) in [
        (200, r#"{"success":true}"#, Ok(true)),
        (200, r#"{"success":false,"message":"Token expired"}"#, Ok(false)),
        (200, r#"{"success":false,"error-codes":["invalid-input-response"]}"#, Ok(false)),
        (200, r#"{"success":false,"error-codes":["timeout-or-duplicate"]}"#, Ok(false)),
        (400, r#"{"success":false,"message":"no such token"}"#, Ok(false)),
        (200, r#"{"success":false,"error-codes":["invalid-input-secret"]}"#, Err(Unavailable)),
        (200, r#"{"success":false,"error-codes":["missing-input-secret"]}"#, Err(Unavailable)),
        (400, r#"{"success":true}"#, Err(Unavailable)),
        (500, r#"{"success":true}"#, Err(Unavailable)),
        (429, r#"{"success":false}"#, Err(Unavailable)),
        (200, r#"{"success":"true"}"#, Err(Unavailable)),
        (200, "{}", Err(Unavailable)),
        (200, "true", Err(Unavailable)),
        (302, r#"{"ok":1}"#, Err(Unavailable)),
    ] {
        let (at, asked) = service(status, answer).await;
        assert_eq!(captcha(at, Style::SiteVerify).verify("token").await, expected, "{status} {answer}");
        assert_eq!(asked.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_service_that_is_away_lets_nobody_in_and_endless_tokens_are_not_passed_on() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(captcha(closed, Style::SiteVerify).verify("token").await, Err(Unavailable));
    let (at, asked) = service(200, r#"{"success":true}"#).await;
    assert_eq!(captcha(at, Style::SiteVerify).verify(&"a".repeat(8193)).await, Ok(false));
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn addresses_inside_are_refused_and_no_secret_is_shown() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = egress::Client::new(egress::Config::default()).unwrap();
    let config = |url: &str| Config { url: url.into(), secret: "hunter2".into(), style: Style::default() };
    for url in ["http://captcha.example.org/v1/verify", "https://127.0.0.1/v1/verify", "https://localhost/", "x"] {
        assert!(Captcha::new(config(url), client.clone()).is_err(), "{url}");
    }
    let captcha = Captcha::new(config("https://captcha.example.org/v1/verify"), client).unwrap();
    assert!(!format!("{captcha:?}").contains("hunter2"));
}
