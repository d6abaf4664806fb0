//! The mailer against the small SMTP server: every place where a conversation can end.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use relaymesh_mail::sink::{Fault, SmtpSink};
use relaymesh_mail::{Attachment, Config, ConfigError, Footer, MailError, Mailer, Outgoing, Tls};
use tokio::net::TcpListener;

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn mail() -> Outgoing {
    Outgoing {
        from: "237600000000@bridge.example.org".into(),
        from_name: Some("237600000000 Via RelaySMS".into()),
        to: vec!["a@example.com".into(), "b@bücher.ch".into()],
        cc: vec!["c@example.com".into()],
        bcc: vec!["hidden@example.com".into()],
        subject: "Grüße".into(),
        body: "Hello\n.\n.dots\r\nend".into(),
        message_id: "0f3a@bridge.example.org".into(),
        at_ms: 1_800_000_000_000,
        ..Outgoing::default()
    }
}

fn mailer(addr: SocketAddr) -> Mailer {
    let mut config = Config::new("127.0.0.1", addr.port(), Tls::Off, "node.example.org");
    config.timeout_ms = 500;
    Mailer::new(config).unwrap()
}

#[tokio::test]
async fn a_message_arrives_whole_and_blind_copies_stay_blind() {
    let sink = SmtpSink::start(ANY).await.unwrap();
    let mut sent = mail();
    sent.footer = Footer::NumberNotVerified;
    sent.return_path = Some("bounce+1@bridge.example.org".into());
    sent.list_unsubscribe = Some("https://node.example.org/stop/1".into());
    assert_eq!(mailer(sink.addr()).send(&sent).await.unwrap().code, 250);

    let messages = sink.messages();
    assert_eq!(messages.len(), 1);
    let got = &messages[0];
    assert_eq!(got.from, "bounce+1@bridge.example.org");
    let mut to = got.to.clone();
    to.sort();
    assert_eq!(to, ["a@example.com", "b@xn--bcher-kva.ch", "c@example.com", "hidden@example.com"]);
    assert!(!got.text.contains("hidden") && !got.text.to_lowercase().contains("bcc"));
    assert!(got.text.contains("Message-ID: <0f3a@bridge.example.org>\r\n"));
    assert!(got.text.contains("Date: Fri, 15 Jan 2027 08:00:00 +0000\r\n"));
    assert!(got.text.contains("List-Unsubscribe: <https://node.example.org/stop/1>\r\n"));
    assert!(got.text.contains("Hello\r\n.\r\n.dots\r\nend\r\n"));
    assert!(got.text.contains("not verified"));
}

#[tokio::test]
async fn an_attachment_arrives_as_it_was() {
    let sink = SmtpSink::start(ANY).await.unwrap();
    let mut sent = mail();
    sent.attachment = Some(Attachment {
        filename: "attached_image.webp".into(),
        mimetype: "image/webp".into(),
        data: (0..=255).collect(),
    });
    mailer(sink.addr()).send(&sent).await.unwrap();
    let text = sink.messages()[0].text.clone();
    assert!(text.contains("Content-Type: image/webp") && text.contains("attached_image.webp"));
    assert!(text.contains("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygp"));
}

#[tokio::test]
async fn replies_are_sorted_by_what_they_say_about_the_message() {
    let sink = SmtpSink::start(ANY).await.unwrap();
    let mailer = mailer(sink.addr());
    let retry = |code| MailError::Retry { code: Some(code) };
    let refused = |code| MailError::Refused { code };
    for (fault, expected) in [
        (Fault::Greeting(421), retry(421)),
        (Fault::Greeting(554), retry(554)),
        (Fault::Mail(451), retry(451)),
        (Fault::Mail(530), retry(530)),
        (Fault::Mail(550), refused(550)),
        (Fault::Rcpt(450), retry(450)),
        (Fault::Rcpt(550), refused(550)),
        (Fault::Data(451), retry(451)),
        (Fault::Data(250), retry(250)),
        (Fault::Data(554), refused(554)),
        (Fault::Text(452), retry(452)),
        (Fault::Text(554), refused(554)),
    ] {
        sink.fault(fault, 1);
        assert_eq!(mailer.send(&mail()).await.unwrap_err(), expected, "{fault:?}");
        assert!(sink.messages().is_empty(), "{fault:?}");
    }
    mailer.send(&mail()).await.unwrap();
    assert_eq!(sink.messages().len(), 1);
}

#[tokio::test]
async fn what_breaks_after_the_text_is_unknown() {
    let sink = SmtpSink::start(ANY).await.unwrap();
    let mailer = mailer(sink.addr());
    for (fault, kept) in [(Fault::CutInText, 0), (Fault::CutAfterText, 1), (Fault::HangAfterText, 2)] {
        sink.fault(fault, 1);
        let began = Instant::now();
        assert_eq!(mailer.send(&mail()).await.unwrap_err(), MailError::Unknown, "{fault:?}");
        assert_eq!(sink.messages().len(), kept, "{fault:?}");
        assert!(began.elapsed() < Duration::from_secs(4));
    }
}

#[tokio::test]
async fn hosts_that_are_closed_silent_or_without_tls_mean_that_nothing_was_sent() {
    let nothing = MailError::Retry { code: None };
    let closed = TcpListener::bind(ANY).await.unwrap().local_addr().unwrap();
    assert_eq!(mailer(closed).send(&mail()).await.unwrap_err(), nothing);

    let sink = SmtpSink::start(ANY).await.unwrap();
    sink.fault(Fault::Hang, 1);
    let began = Instant::now();
    assert_eq!(mailer(sink.addr()).send(&mail()).await.unwrap_err(), nothing);
    assert!(began.elapsed() < Duration::from_secs(2));

    let _ = rustls::crypto::ring::default_provider().install_default();
    for tls in [Tls::StartTls, Tls::Implicit] {
        let mut config = Config::new("127.0.0.1", sink.addr().port(), tls, "node.example.org");
        config.timeout_ms = 500;
        let strict = Mailer::new(config).unwrap();
        assert_eq!(strict.send(&mail()).await.unwrap_err(), nothing, "{tls:?}");
    }
    assert!(sink.messages().is_empty());
}

#[test]
fn configuration_is_checked_and_shows_no_secret() {
    let mut config = Config::new("mail.example.org", 587, Tls::Off, "node.example.org");
    config.username = Some("me".into());
    assert_eq!(Mailer::new(config.clone()).unwrap_err(), ConfigError::Login);
    config.password = Some("hunter2".to_owned().into());
    assert_eq!(Mailer::new(config.clone()).unwrap_err(), ConfigError::OpenPassword);
    assert!(!format!("{config:?}").contains("hunter2"));
    let split = Config::new("mail.example.org", 25, Tls::Off, "a\r\nMAIL");
    assert_eq!(Mailer::new(split).unwrap_err(), ConfigError::Helo);
}
