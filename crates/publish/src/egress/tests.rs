//! The guard from outside: hostile URLs, a resolver that changes its answers, redirects, and what
//! the client does with servers that hang, cut or flood.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::resolve::keep_allowed;
use super::*;

const STRICT: Rules = Rules { any_port: false, private_addresses: false };
const LOCAL: Config = Config { allow_private: true };

fn provider() {
    // A second installation fails, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// URLs that must not be opened: one a line.
const HOSTILE: &str = include_str!("../../tests/hostile_urls.txt");

const FRIENDLY: &[&str] = &[
    "https://mastodon.social",
    "https://mastodon.social/",
    "https://mastodon.social:443/api/v1/statuses",
    "https://sub.instance.example.org/path?x=1#f",
    "https://xn--bcher-kva.ch/",
    "https://bücher.ch/",
    "HTTPS://MASTODON.SOCIAL/",
    "https://1password.com/",
    "https://3.14.social/",
    "https://mastodon.host/",
    "https://127.0.0.1.nip.io/", // a name: the address filter is what stops it
];

#[test]
fn hostile_urls_are_refused() {
    let lines = HOSTILE.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    let mut opened = Vec::new();
    let mut count = 0;
    for line in lines {
        let text = line.replace("\\t", "\t").replace("\\n", "\n").replace("\\0", "\0");
        count += 1;
        if target::check(&text, STRICT).is_ok() {
            opened.push(line);
        }
    }
    assert!(opened.is_empty(), "opened {opened:#?}");
    assert!(count >= 150, "only {count} hostile urls");
}

#[test]
fn ordinary_urls_pass() {
    for text in FRIENDLY {
        assert!(target::check(text, STRICT).is_ok(), "refused {text}");
    }
}

#[test]
fn local_mode_opens_local_servers_but_no_other_scheme_and_no_user_info() {
    let local = LOCAL.into();
    assert!(target::check("http://127.0.0.1:8080/x", local).is_ok());
    assert!(target::check("http://localhost:1/x", local).is_ok());
    assert_eq!(target::check("file:///etc/passwd", local), Err(UrlError::Scheme));
    assert_eq!(target::check("http://a:b@127.0.0.1/", local), Err(UrlError::UserInfo));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_judged_without_panic(text in "\\PC{0,80}") {
        let _ = target::check(&text, STRICT);
        let _ = target::check(&format!("https://{text}/"), STRICT);
    }

    #[test]
    fn no_spelling_of_an_address_is_opened(bits in any::<u32>(), base in 0..4_usize) {
        let [a, b, c, d] = bits.to_be_bytes();
        let host = match base {
            0 => format!("{bits}"),
            1 => format!("0x{bits:x}"),
            2 => format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
            _ => format!("{a}.{b}.0x{:x}", u16::from_be_bytes([c, d])),
        };
        let url = format!("https://{host}/");
        prop_assert!(target::check(&url, STRICT).is_err());
    }

    #[test]
    fn the_filter_keeps_global_addresses_only(words in prop::collection::vec(any::<u32>(), 0..20)) {
        let found = words.into_iter().map(|word| IpAddr::from(word.to_be_bytes())).collect();
        let kept = keep_allowed(found, STRICT);
        prop_assert!(kept.len() <= 8 && kept.iter().all(|a| is_global(a.ip()) && a.port() == 0));
    }
}

/// Says "global" and "loopback" in turn, first one, then the other, then both at once.
struct Rebinding {
    asked: AtomicUsize,
    global: &'static str,
}

impl Lookup for Rebinding {
    fn lookup(&self, _host: &str) -> Looking {
        let global: IpAddr = self.global.parse().unwrap();
        let inside: Vec<IpAddr> =
            ["127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0"].iter().map(|text| text.parse().unwrap()).collect();
        let mut both = inside.clone();
        both.push(global);
        let answers = [inside.clone(), vec![global], inside, both];
        let turn = self.asked.fetch_add(1, Ordering::SeqCst) % answers.len();
        let answer = answers[turn].clone();
        Box::pin(async move { Ok(answer) })
    }
}

/// A server that counts connections and answers each with `answer`; an empty answer hangs up
/// after the request was read.
async fn server(answer: String) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (address, count)
}

fn ok_answer(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn redirect_to(url: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn a_rebinding_resolver_never_leads_to_a_local_address() {
    provider();
    let (address, connections) = server(ok_answer("inside")).await;
    // Any port, so that the listener could be reached; the address filter is all that protects it.
    let rules = Rules { any_port: true, private_addresses: false };
    // 192.0.9.1 is global by number and dropped or unreachable from a test machine.
    let lookup = || Arc::new(Rebinding { asked: AtomicUsize::new(0), global: "192.0.9.1" });
    let client = Client::with_rules(rules, lookup()).unwrap();
    let url = format!("http://rebind.example.org:{}/", address.port());
    let tries = (0..8).map(|_| {
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move { client.send(Request::get(url)).await })
    });
    for handle in tries.collect::<Vec<_>>() {
        assert_eq!(handle.await.unwrap().unwrap_err(), EgressError::NotConnected);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);

    // The same resolver without the filter reaches it: the test can fail.
    let open = Rules { any_port: true, private_addresses: true };
    let client = Client::with_rules(open, lookup()).unwrap();
    assert_eq!(client.send(Request::get(url)).await.unwrap().status, 200);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirect_to_the_inside_is_not_followed() {
    provider();
    let (inside, connections) = server(ok_answer("inside")).await;
    let to = |host: &str| format!("http://{host}:{}/", inside.port());
    let targets = [to("127.0.0.1"), to("[::1]"), to("2130706433"), "file:///etc/passwd".into()];
    for target in targets {
        let (outside, _) = server(redirect_to(&target)).await;
        // The first hop is reached through the resolver; the redirect rules are the strict ones.
        let follow = Policy::custom(|attempt| follow(attempt, STRICT));
        let lookup: Arc<dyn Lookup> = Arc::new(Rebinding { asked: AtomicUsize::new(0), global: "192.0.9.1" });
        let mut client = Client::new(LOCAL).unwrap();
        client.reads = build(LOCAL.into(), &lookup, follow, KEPT_MAX).unwrap();
        let url = format!("http://out.example.org:{}/", outside.port());
        // What is no http address at all is not even tried: the redirect itself is the answer.
        match client.send(Request::get(url)).await {
            Err(error) => assert_eq!(error, EgressError::Redirect, "{target}"),
            Ok(answer) => assert_eq!((answer.status, target.as_str()), (302, "file:///etc/passwd")),
        }
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn reads_follow_two_redirects_and_changes_follow_none() {
    provider();
    let (end, _) = server(ok_answer("end")).await;
    let (second, _) = server(redirect_to(&format!("http://{end}/"))).await;
    let (first, _) = server(redirect_to(&format!("http://{second}/"))).await;
    let (zeroth, _) = server(redirect_to(&format!("http://{first}/"))).await;
    let client = Client::new(LOCAL).unwrap();
    let get = |address| client.send(Request::get(format!("http://{address}/")));
    assert_eq!(get(first).await.unwrap().body.unwrap().as_slice(), b"end");
    assert_eq!(get(zeroth).await.unwrap_err(), EgressError::Redirect);
    let posted = client.send(Request::post(format!("http://{second}/"))).await.unwrap();
    assert_eq!(posted.status, 302);
    let once = Request::get(format!("http://{second}/")).no_redirects();
    assert_eq!(client.send(once).await.unwrap().status, 302);
}

#[tokio::test]
async fn a_flood_is_cut_at_the_limit() {
    provider();
    let exact = "x".repeat(ANSWER_BYTES_MAX);
    let (fits, _) = server(ok_answer(&exact)).await;
    let (floods, _) = server(ok_answer(&format!("{exact}y"))).await;
    let client = Client::new(LOCAL).unwrap();
    let get = |address| client.send(Request::get(format!("http://{address}/")));
    assert_eq!(get(fits).await.unwrap().body.unwrap().len(), ANSWER_BYTES_MAX);
    assert_eq!(get(floods).await.unwrap().body.unwrap_err(), EgressError::TooLong);
}

#[tokio::test]
async fn not_connected_and_no_answer_are_told_apart() {
    provider();
    let client = Client::new(LOCAL).unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = client.send(Request::post(format!("http://{closed}/"))).await.unwrap_err();
    assert!(error == EgressError::NotConnected && error.nothing_sent());

    let (cuts, _) = server(String::new()).await;
    let error = client.send(Request::post(format!("http://{cuts}/"))).await.unwrap_err();
    assert!(error == EgressError::NoAnswer && !error.nothing_sent());
}

#[tokio::test]
async fn a_name_without_addresses_and_a_resolver_that_hangs_mean_not_connected() {
    struct Hanging;
    impl Lookup for Hanging {
        fn lookup(&self, _host: &str) -> Looking {
            Box::pin(std::future::pending())
        }
    }
    provider();
    let client = Client::with_lookup(Config::default(), Arc::new(Hanging)).unwrap();
    let began = Instant::now();
    let error = client.send(Request::get("https://example.org/")).await.unwrap_err();
    assert_eq!(error, EgressError::NotConnected);
    assert!(began.elapsed() < Duration::from_secs(7));
}

#[tokio::test]
async fn a_header_that_http_forbids_is_refused_before_anything_is_sent() {
    provider();
    let (address, connections) = server(ok_answer("")).await;
    let client = Client::new(LOCAL).unwrap();
    let request = Request::post(format!("http://{address}/")).bearer("a\r\nx-evil: 1");
    assert_eq!(client.send(request).await.unwrap_err(), EgressError::Build);
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}
