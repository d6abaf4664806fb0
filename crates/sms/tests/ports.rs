//! The ports against a file and against fakes of the two providers that we describe.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use relaymesh_publish::egress::{Client, Config};
use relaymesh_sms::{Accepted, ConfigError, FilePort, HttpConfig, HttpPort, Port, SendError, Sms};

const TEXT: &str = "Zwei \"Zeilen\" & 100 %\n=é{to}+";

fn sms() -> Sms<'static> {
    Sms { to: "+237600000000", text: TEXT, id: "job-1", at_ms: 1_800_000_000_000 }
}

fn client(allow_private: bool) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new(Config { allow_private }).unwrap()
}

#[derive(Default)]
struct Seen {
    requests: Vec<(Method, Uri, HeaderMap, String)>,
    status: u16,
    hang: bool,
}

type Provider = Arc<Mutex<Seen>>;

async fn take(
    State(seen): State<Provider>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let (status, hang) = {
        let mut seen = seen.lock().unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        seen.requests.push((method, uri, headers, body));
        (seen.status, seen.hang)
    };
    if hang {
        std::future::pending::<()>().await;
    }
    (StatusCode::from_u16(status).unwrap(), "noise, not json".into())
}

async fn provider(status: u16) -> (SocketAddr, Provider) {
    let seen = Provider::default();
    seen.lock().unwrap().status = status;
    let router = Router::new().fallback(take).with_state(Arc::clone(&seen));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (addr, seen)
}

fn config(json: serde_json::Value) -> HttpConfig {
    serde_json::from_value(json).unwrap()
}

fn twilio(addr: SocketAddr) -> HttpConfig {
    config(serde_json::json!({
        "url": format!("http://{addr}/2010-04-01/Accounts/AC1/Messages.json"),
        "content_type": "application/x-www-form-urlencoded",
        "body": "To={to}&From=%2B15005550006&Body={text}",
        "username": "AC1",
        "password": "hunter2",
        "success_statuses": [200, 201],
    }))
}

fn queuedroid(addr: SocketAddr) -> HttpConfig {
    config(serde_json::json!({
        "url": format!("http://{addr}/v1/messages/send"),
        "body": "{\"content\":\"{text}\",\"exchange_id\":\"E\",\"phone_number\":\"{to}\"}",
        "bearer": "hunter2",
    }))
}

fn port(config: HttpConfig) -> Port {
    Port::Http(HttpPort::new(config, client(true)).unwrap())
}

#[tokio::test]
async fn twilio_gets_its_form_and_basic_login() {
    let (addr, seen) = provider(201).await;
    assert_eq!(port(twilio(addr)).send(&sms()).await, Ok(Accepted));
    let seen = seen.lock().unwrap();
    let (method, uri, headers, body) = &seen.requests[0];
    assert_eq!((method, uri.path()), (&Method::POST, "/2010-04-01/Accounts/AC1/Messages.json"));
    assert_eq!(headers["authorization"], "Basic QUMxOmh1bnRlcjI=");
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    let pairs: Vec<_> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let expected = [("To", "+237600000000"), ("From", "+15005550006"), ("Body", TEXT)];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn queuedroid_gets_its_json_and_key() {
    let (addr, seen) = provider(200).await;
    assert_eq!(port(queuedroid(addr)).send(&sms()).await, Ok(Accepted));
    let seen = seen.lock().unwrap();
    let (_, _, headers, body) = &seen.requests[0];
    assert_eq!(headers["authorization"], "Bearer hunter2");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let expected = serde_json::json!({"content": TEXT, "exchange_id": "E", "phone_number": "+237600000000"});
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_gateway_that_takes_all_in_the_url_gets_it_escaped() {
    let (addr, seen) = provider(202).await;
    let get = config(serde_json::json!({
        "url": format!("http://{addr}/sendsms?to={{to_digits}}&text={{text}}"),
        "method": "GET",
        "headers": {"x-id": "{id}"},
    }));
    assert_eq!(port(get).send(&sms()).await, Ok(Accepted));
    let seen = seen.lock().unwrap();
    let (method, uri, headers, _) = &seen.requests[0];
    assert_eq!((method, &headers["x-id"]), (&Method::GET, &"job-1".parse().unwrap()));
    let pairs: Vec<_> = url::form_urlencoded::parse(uri.query().unwrap().as_bytes()).into_owned().collect();
    assert_eq!(pairs[0].1, "237600000000");
    assert_eq!((pairs[1].1.as_str(), pairs.len()), (TEXT, 2));
}

#[tokio::test]
async fn statuses_are_sorted() {
    let (addr, seen) = provider(200).await;
    let port = port(twilio(addr));
    let retry = Err(SendError::Retry { retry_after_ms: None });
    for (status, expected) in [
        (200, Ok(Accepted)),
        (201, Ok(Accepted)),
        (202, Err(SendError::Unknown)),
        (429, retry),
        (408, retry),
        (503, retry),
        (500, Err(SendError::Unknown)),
        (502, Err(SendError::Unknown)),
        (504, Err(SendError::Unknown)),
        (400, Err(SendError::Refused { status: 400 })),
        (401, Err(SendError::Refused { status: 401 })),
        (302, Err(SendError::Refused { status: 302 })),
    ] {
        seen.lock().unwrap().status = status;
        assert_eq!(port.send(&sms()).await, expected, "{status}");
    }
}

#[tokio::test]
async fn only_a_provider_that_knows_a_repeated_sms_is_asked_again_after_an_unknown_end() {
    for (header, expected) in [("Idempotency-Key", 3), ("X-Request-Tag", 1)] {
        let (addr, seen) = provider(502).await;
        let mut config = queuedroid(addr);
        config.headers.insert(header.into(), "{id}".into());
        assert_eq!(port(config).send(&sms()).await, Err(SendError::Unknown), "{header}");
        let seen = seen.lock().unwrap();
        assert_eq!(seen.requests.len(), expected, "{header}");
        assert!(seen.requests.iter().all(|(_, _, headers, _)| headers[header] == "job-1"));
    }
    // A key that is the same for all SMS names none of them.
    let (addr, seen) = provider(502).await;
    let mut config = queuedroid(addr);
    config.headers.insert("Idempotency-Key".into(), "always".into());
    assert_eq!(port(config).send(&sms()).await, Err(SendError::Unknown));
    assert_eq!(seen.lock().unwrap().requests.len(), 1);
}

#[tokio::test]
async fn a_repeat_that_is_taken_is_an_sms_that_is_taken() {
    let (addr, seen) = provider(502).await;
    let mut config = queuedroid(addr);
    config.headers.insert("Idempotency-Key".into(), "{id}".into());
    let heals = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        seen.lock().unwrap().status = 200;
    };
    let (sent, ()) = tokio::join!(async { port(config).send(&sms()).await }, heals);
    assert_eq!((sent, seen.lock().unwrap().requests.len()), (Ok(Accepted), 2));
}

#[tokio::test]
async fn a_provider_that_hangs_is_unknown_and_a_closed_one_is_not() {
    let (addr, seen) = provider(200).await;
    seen.lock().unwrap().hang = true;
    let began = Instant::now();
    assert_eq!(port(queuedroid(addr)).send(&sms()).await, Err(SendError::Unknown));
    assert!(began.elapsed() < Duration::from_secs(12));

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nothing_sent = Err(SendError::Retry { retry_after_ms: None });
    assert_eq!(port(queuedroid(closed)).send(&sms()).await, nothing_sent);
}

#[test]
fn configuration_is_checked() {
    let addr = "127.0.0.1:9".parse().unwrap();
    let fails = |change: fn(&mut HttpConfig)| {
        let mut config = queuedroid(addr);
        change(&mut config);
        HttpPort::new(config, client(true)).unwrap_err()
    };
    assert_eq!(fails(|c| c.body = "{\"a\":{text},\"b\":\"{to}\"}".into()), ConfigError::Body);
    assert_eq!(fails(|c| c.body = "{\"a\":\"{txt}\"}".into()), ConfigError::Placeholder("body"));
    assert_eq!(fails(|c| c.body = "{\"a\":\"{text}\"}".into()), ConfigError::Useless);
    assert_eq!(fails(|c| c.content_type = "text/html".into()), ConfigError::ContentType);
    assert_eq!(fails(|c| c.url = "http://{text}.example.org/{to}".into()), ConfigError::Url);
    assert_eq!(fails(|c| c.url = "ftp://example.org/".into()), ConfigError::Url);
    assert_eq!(fails(|c| c.success_statuses = vec![404]), ConfigError::Statuses);
    assert_eq!(fails(|c| c.success_statuses.clear()), ConfigError::Statuses);
    assert_eq!(fails(|c| c.username = Some("x".into())), ConfigError::Login);
    assert_eq!(fails(|c| drop(c.headers.insert("a b".into(), "x".into()))), ConfigError::Header);
    assert_eq!(fails(|c| drop(c.headers.insert("Host".into(), "x".into()))), ConfigError::Header);
    let strict = HttpPort::new(queuedroid(addr), client(false)).unwrap_err();
    assert_eq!(strict, ConfigError::Url, "private addresses need allow_private");
    let typo = serde_json::from_str::<HttpConfig>(r#"{"url":"https://a.org","tokn":"x"}"#);
    assert!(typo.is_err());
}

#[test]
fn the_described_providers_are_accepted_by_the_strict_client() {
    for text in [include_str!("../examples/twilio.toml"), include_str!("../examples/queuedroid.toml")] {
        let config: HttpConfig = toml::from_str(text).unwrap();
        assert!(HttpPort::new(config, client(false)).is_ok());
    }
}

#[tokio::test]
async fn nothing_that_is_no_sms_leaves_and_nothing_tells_a_secret() {
    let (addr, seen) = provider(200).await;
    let port = port(queuedroid(addr));
    let long = "x".repeat(6_001);
    for bad in [
        Sms { to: "237600000000", ..sms() },
        Sms { to: "+0237600000", ..sms() },
        Sms { to: "+23760000000a", ..sms() },
        Sms { to: "+1234567890123456", ..sms() },
        Sms { to: "", ..sms() },
        Sms { text: "", ..sms() },
        Sms { text: &long, ..sms() },
        Sms { id: "a\r\nb", ..sms() },
    ] {
        assert!(matches!(port.send(&bad).await, Err(SendError::Invalid(_))));
    }
    assert!(seen.lock().unwrap().requests.is_empty());
    let shown = format!("{port:?} {:?} {:?}", sms(), queuedroid(addr));
    assert!(!shown.contains("hunter2") && !shown.contains("237") && !shown.contains("Zeilen"));
}

#[tokio::test]
async fn the_file_port_appends_one_line_each() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sms.jsonl");
    for _ in 0..2 {
        let port = Arc::new(Port::File(FilePort::open(&path).await.unwrap()));
        let sends = (0..20).map(|_| {
            let port = Arc::clone(&port);
            tokio::spawn(async move { port.send(&sms()).await })
        });
        for send in sends.collect::<Vec<_>>() {
            assert_eq!(send.await.unwrap(), Ok(Accepted));
        }
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 40);
    let expected = serde_json::json!({"to": "+237600000000", "text": TEXT, "at": 1_800_000_000_000_u64});
    for line in text.lines() {
        assert_eq!(serde_json::from_str::<serde_json::Value>(line).unwrap(), expected);
    }
}
