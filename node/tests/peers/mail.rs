//! The mailer against Postfix, and what arrives in Dovecot's mailboxes.

use relaymesh_mail::{Attachment, Config, Footer, MailError, Mailer, Outgoing, Tls};

use crate::imap::Letter;
use crate::postfix::{DOMAIN, MESSAGE_BYTES_MAX, MailHost, PASSWORD, USERNAME};
use crate::{SETTLE, asked, eventually};

fn address(name: &str) -> String {
    format!("{name}@{DOMAIN}")
}

fn mail(to: &[&str], id: &str) -> Outgoing {
    Outgoing {
        from: "237600000000@bridge.example.org".into(),
        from_name: Some("237600000000 Via RelaySMS".into()),
        to: to.iter().map(|name| address(name)).collect(),
        subject: "Grüße aus Foumban".into(),
        body: "Bonjour à tous\n.\n.dots at the start\nFrom here on\nend".into(),
        message_id: format!("{id}@bridge.example.org"),
        at_ms: 1_800_000_000_000,
        ..Outgoing::default()
    }
}

fn config(port: u16, tls: Tls) -> Config {
    let mut config = Config::new("localhost", port, tls, "node.example.org");
    config.timeout_ms = 10_000;
    config
}

fn plain(host: &MailHost) -> Mailer {
    Mailer::new(config(host.plain, Tls::Off)).unwrap()
}

fn submission(host: &MailHost, password: &str, trusted: bool) -> Mailer {
    let mut config = config(host.submission, Tls::StartTls);
    config.username = Some(USERNAME.into());
    config.password = Some(password.to_owned().into());
    config.ca_pem = trusted.then(|| std::fs::read(host.certificate()).unwrap());
    Mailer::new(config).unwrap()
}

/// The one letter of a mailbox.
async fn letter(host: &MailHost, name: &str) -> Letter {
    let mut letters = eventually(&format!("mail for {name}\n{}", host.tails()), async || {
        Some(host.letters(name).await).filter(|letters| !letters.is_empty())
    })
    .await;
    assert_eq!(letters.len(), 1, "{name} has mail twice");
    letters.remove(0)
}

#[tokio::test]
async fn a_mail_reaches_everybody_and_blind_copies_stay_blind() {
    if !asked() {
        return;
    }
    let host = MailHost::start();
    let mut sent = mail(&["anna", "bela"], "one");
    sent.cc = vec![address("cleo")];
    sent.bcc = vec![address("dora")];
    sent.footer = Footer::NumberNotVerified;
    sent.return_path = Some("bounce@bridge.example.org".into());
    sent.attachment = Some(Attachment {
        filename: "attached_image.webp".into(),
        mimetype: "image/webp".into(),
        data: (0..=255).collect(),
    });
    assert_eq!(plain(&host).send(&sent).await.unwrap().code, 250);

    for name in ["anna", "bela", "cleo", "dora"] {
        let got = letter(&host, name).await;
        let header = |name: &str| got.header(name).unwrap_or_default();
        assert_eq!(header("Return-Path"), "<bounce@bridge.example.org>");
        assert_eq!(header("From"), "\"237600000000 Via RelaySMS\" <237600000000@bridge.example.org>");
        assert_eq!(header("To"), format!("{}, {}", address("anna"), address("bela")));
        assert_eq!(header("Cc"), address("cleo"));
        assert_eq!(header("Message-ID"), "<one@bridge.example.org>");
        assert_eq!(header("Date"), "Fri, 15 Jan 2027 08:00:00 +0000");
        assert!(header("Subject").starts_with("=?utf-8?"), "{}", header("Subject"));
        assert_eq!(got.header("Bcc"), None);
        assert!(name == "dora" || !got.text.contains("dora"), "{}", got.text);
        check_parts(&got);
    }
}

/// What Dovecot makes of the parts.
fn check_parts(got: &Letter) {
    let structure = got.structure.to_ascii_lowercase();
    assert!(structure.contains("\"text\" \"plain\" (\"charset\" \"utf-8\")"), "{structure}");
    assert!(structure.contains("\"image\" \"webp\"") && structure.contains("\"mixed\""), "{structure}");
    assert!(structure.contains("(\"attachment\" (\"filename\" \"attached_image.webp\"))"), "{structure}");
    let (_, body) = got.text.split_once("\r\n\r\n").unwrap();
    assert!(body.contains("Bonjour =C3=A0 tous\r\n.\r\n.dots at the start\r\nFrom here on\r\nend"), "{body}");
    assert!(body.contains("not verified"));
    assert!(body.contains("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygp"), "{body}");
}

#[tokio::test]
async fn what_the_host_says_decides_whether_it_is_tried_again() {
    if !asked() {
        return;
    }
    let mut host = MailHost::start();
    let mailer = plain(&host);
    let refused = |code| MailError::Refused { code };
    let retry = |code| MailError::Retry { code };
    assert_eq!(mailer.send(&mail(&["nobody"], "a")).await.unwrap_err(), refused(550));
    assert_eq!(mailer.send(&mail(&["later"], "b")).await.unwrap_err(), retry(Some(451)));
    assert_eq!(mailer.send(&mail(&["anna", "nobody"], "c")).await.unwrap_err(), refused(550));
    let mut elsewhere = mail(&["anna"], "d");
    elsewhere.cc = vec!["somebody@elsewhere.test".into()];
    assert_eq!(mailer.send(&elsewhere).await.unwrap_err(), refused(554), "no open relay");
    let mut large = mail(&["anna"], "e");
    large.attachment = Some(Attachment {
        filename: "a.bin".into(),
        mimetype: "application/octet-stream".into(),
        data: vec![7; MESSAGE_BYTES_MAX],
    });
    assert_eq!(mailer.send(&large).await.unwrap_err(), refused(552));
    host.stop_postfix();
    assert_eq!(mailer.send(&mail(&["anna"], "f")).await.unwrap_err(), retry(None), "nobody listens");
    host.start_postfix();
    tokio::time::sleep(SETTLE).await;
    assert!(host.letters("anna").await.is_empty(), "what was not accepted for all was sent to nobody");
    mailer.send(&mail(&["anna"], "g")).await.unwrap();
    assert_eq!(letter(&host, "anna").await.header("Message-ID").as_deref(), Some("<g@bridge.example.org>"));
}

#[tokio::test]
async fn login_needs_a_certificate_that_is_trusted_and_the_right_password() {
    if !asked() {
        return;
    }
    let host = MailHost::start();
    let untrusted = submission(&host, PASSWORD, false).send(&mail(&["emil"], "a")).await;
    assert_eq!(untrusted.unwrap_err(), MailError::Retry { code: None }, "nothing is said to a stranger");
    let wrong = submission(&host, "wrong", true).send(&mail(&["emil"], "b")).await;
    assert_eq!(wrong.unwrap_err(), MailError::Retry { code: Some(535) });
    let open = Mailer::new(config(host.submission, Tls::Off)).unwrap().send(&mail(&["emil"], "c")).await;
    assert_eq!(open.unwrap_err(), MailError::Retry { code: Some(530) }, "the host wants TLS first");
    submission(&host, PASSWORD, true).send(&mail(&["emil"], "d")).await.unwrap();
    let got = letter(&host, "emil").await;
    assert_eq!(got.header("Message-ID").as_deref(), Some("<d@bridge.example.org>"));
    assert!(got.header("Received").is_some() && got.text.contains("with ESMTPSA"), "{}", got.text);
}
