mod hangs;

use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_mail::sink::SmtpSink;
use relaymesh_protocol::ids::{MessageId, Timestamp};
use relaymesh_publish::egress::{self, Client};
use relaymesh_seal::Secret32;
use relaymesh_seal::keyfile::KekSource;
use relaymesh_sms::{FilePort, HttpConfig, HttpPort, Limits};
use tokio::net::TcpListener;

use super::*;

/// Far below the half minute that a hanging server costs whoever waits for it.
const SOON: Duration = Duration::from_secs(5);

/// Takes connections and says nothing, ever.
async fn hanging() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            held.push(socket);
        }
    });
    at
}

fn mailer(at: SocketAddr) -> Mailer {
    let config = relaymesh_mail::Config::new("127.0.0.1", at.port(), relaymesh_mail::Tls::Off, "node.example.org");
    Mailer::new(config).unwrap()
}

struct Scene {
    works: Works,
    done: mpsc::Receiver<(WorkId, WorkDone)>,
    dir: tempfile::TempDir,
    next: u64,
    /// The group of ports that SMS go through.
    group: Option<usize>,
}

impl Scene {
    /// `ports` stand before a file; `per_number` notices may go to one number.
    async fn new(mailer: Option<Mailer>, ports: Vec<Port>, per_number: u32) -> Self {
        Self::with(mailer, ports, per_number, BTreeMap::new()).await
    }

    async fn with(
        mailer: Option<Mailer>,
        mut ports: Vec<Port>,
        per_number: u32,
        adapters: BTreeMap<String, Adapter>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let keyring = Keyring::generate(&mut rng, Timestamp(1_767_225_600_000));
        let source = KekSource::Bytes(Secret32::from_bytes([8; 32]));
        let keyfile =
            KeyFile::create(&dir.path().join("keyring"), &keyring, &source, Cost::PASSWORD, &mut rng).unwrap();
        ports.push(Port::File(FilePort::open(&dir.path().join("sms.jsonl")).await.unwrap()));
        let limits = Limits {
            per_day: 1_000,
            per_country_per_day: 1_000,
            per_number_per_day: per_number,
            codes_percent: 20,
            countries: None,
        };
        // The file is a group of its own, behind the others.
        let last = ports.len() - 1;
        let ports = ports.into_iter().enumerate().map(|(n, port)| (usize::from(n == last), port)).collect();
        let tools = Tools {
            captcha: None,
            adapters,
            mailer,
            otp_from: Some("no-reply@relay.test".to_owned()),
            ports,
            budget: Some(Kept::open(limits, dir.path(), &keyring, now().0)),
            keyfile,
            cost: Cost::PASSWORD,
        };
        let (to, done) = mpsc::channel(1_000);
        Self { works: Works::new(tools, to), done, dir, next: 0, group: None }
    }

    fn start(&mut self, work: Work) -> WorkId {
        self.next += 1;
        self.works.start(WorkId(self.next), work);
        WorkId(self.next)
    }

    fn sms(&mut self, purpose: SmsPurpose) -> WorkId {
        let id = [u8::try_from(self.next % 256).unwrap(); 16];
        self.start(Work::Sms { to: "+237650123456".into(), text: "text".into(), id, purpose, ports: self.group })
    }

    /// The end of this one, before anything that hangs can end.
    async fn end_of(&mut self, wanted: WorkId) -> WorkDone {
        let end = async {
            loop {
                match self.done.recv().await {
                    Some((id, done)) if id == wanted => return done,
                    Some(_) => {}
                    None => panic!("the works ended"),
                }
            }
        };
        tokio::time::timeout(SOON, end).await.expect("it waits for what hangs")
    }

    fn lines(&self) -> usize {
        std::fs::read_to_string(self.dir.path().join("sms.jsonl")).unwrap_or_default().lines().count()
    }
}

fn bridge_mail(n: u8) -> Work {
    let content = PublishContent::Email {
        to: "ada@example.com".into(),
        cc: "".into(),
        bcc: "".into(),
        subject: "subject".into(),
        body: "body".into(),
        image: None,
    };
    let request = PublishRequest {
        platform: "email_bridge".to_owned(),
        account: "237650123456@relay.test".into(),
        token: "".into(),
        idempotency_key: format!("key-{n}"),
        content,
        in_reply_to: None,
    };
    Work::Publish { message: MessageId([n; 32]), part: 0, request: Box::new(request) }
}

#[tokio::test]
async fn a_code_leaves_by_sms_while_the_smart_host_hangs() {
    let mut scene = Scene::new(Some(mailer(hanging().await)), Vec::new(), 20).await;
    for n in 0..100 {
        scene.start(bridge_mail(n));
        scene.start(Work::OtpMail { to: "ada@example.com".into(), code: "123456".into() });
    }
    tokio::task::yield_now().await;
    for purpose in [SmsPurpose::Code, SmsPurpose::Notice] {
        let sms = scene.sms(purpose);
        assert!(matches!(scene.end_of(sms).await, WorkDone::Sent(Ok(()))));
    }
    assert_eq!(scene.lines(), 2);
}

#[tokio::test]
async fn codes_by_mail_do_not_wait_for_the_mails_of_people() {
    let host = SmtpSink::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let mut scene = Scene::new(Some(mailer(host.addr())), Vec::new(), 20).await;
    let shared = Arc::clone(&scene.works.shared);
    let _all = shared.mails.acquire_many(u32::try_from(MAILS_MAX).unwrap()).await.unwrap();
    scene.start(bridge_mail(1));
    let code = scene.start(Work::OtpMail { to: "ada@example.com".into(), code: "123456".into() });
    assert!(matches!(scene.end_of(code).await, WorkDone::Sent(Ok(()))));
    assert_eq!(host.messages().len(), 1);
}

#[tokio::test]
async fn a_port_that_hangs_is_passed_over_when_it_is_full() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::new(egress::Config { allow_private: true }).unwrap();
    let config = HttpConfig {
        url: format!("http://{}/send", hanging().await),
        method: toml::Value::from("POST").try_into().unwrap(),
        content_type: "application/json".to_owned(),
        body: r#"{"to":"{to}","text":"{text}"}"#.to_owned(),
        headers: BTreeMap::new(),
        bearer: None,
        username: None,
        password: None,
        success_statuses: vec![200],
    };
    let hangs = Port::Http(HttpPort::new(config, client).unwrap());
    let mut scene = Scene::new(None, vec![hangs], 1_000).await;
    for _ in 0..PORT_MAX {
        scene.sms(SmsPurpose::Notice);
    }
    while scene.works.shared.tools.ports[0].room.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let sms = scene.sms(SmsPurpose::Code);
    assert!(matches!(scene.end_of(sms).await, WorkDone::Sent(Ok(()))));
    assert_eq!(scene.lines(), 1);
}

#[tokio::test]
async fn a_number_gets_its_share_of_notices_and_still_its_code() {
    let mut scene = Scene::new(None, Vec::new(), 2).await;
    for n in 0..4 {
        let sms = scene.sms(SmsPurpose::Notice);
        let end = scene.end_of(sms).await;
        let left = matches!(end, WorkDone::Sent(Ok(())));
        assert_eq!(left, n < 2, "{end:?}");
    }
    let sms = scene.sms(SmsPurpose::Code);
    assert!(matches!(scene.end_of(sms).await, WorkDone::Sent(Ok(()))));
}

#[tokio::test]
async fn a_failure_is_told_after_all_that_went_well_and_a_token_waits_for_the_next_day() {
    let mut scene = Scene::new(None, Vec::new(), 2).await;
    let mut left = Vec::new();
    for purpose in [SmsPurpose::Published, SmsPurpose::Published, SmsPurpose::Notice, SmsPurpose::Notice] {
        let sms = scene.sms(purpose);
        left.push(matches!(scene.end_of(sms).await, WorkDone::Sent(Ok(()))));
    }
    assert_eq!(left, [true, false, true, false]);
    for left in [true, true, false] {
        let sms = scene.sms(SmsPurpose::Token);
        let end = scene.end_of(sms).await;
        let expected = if left { Ok(()) } else { Err(SendError::Retry { after_ms: None }) };
        assert!(matches!(&end, WorkDone::Sent(end) if *end == expected), "{end:?}");
    }
}

#[tokio::test]
async fn what_no_port_took_costs_nothing() {
    let mut scene = Scene::new(None, Vec::new(), 1).await;
    for _ in 0..3 {
        // The ports refuse a text that is empty.
        let refused = scene.start(Work::Sms {
            to: "+237650123456".into(),
            text: "".into(),
            id: [1; 16],
            purpose: SmsPurpose::Notice,
            ports: None,
        });
        assert!(matches!(scene.end_of(refused).await, WorkDone::Sent(Err(SendError::Refused { .. }))));
    }
    let sms = scene.sms(SmsPurpose::Notice);
    assert!(matches!(scene.end_of(sms).await, WorkDone::Sent(Ok(()))));
}

#[tokio::test]
async fn an_sms_of_a_group_leaves_by_no_other_port() {
    let other = tempfile::tempdir().unwrap();
    let first = Port::File(FilePort::open(&other.path().join("first.jsonl")).await.unwrap());
    let mut scene = Scene::new(None, vec![first], 20).await;
    let lines = |scene: &Scene| {
        let first = std::fs::read_to_string(other.path().join("first.jsonl")).unwrap_or_default();
        (first.lines().count(), scene.lines())
    };
    for (group, expected) in [(None, (1, 0)), (Some(1), (1, 1)), (Some(0), (2, 1))] {
        scene.group = group;
        let sms = scene.sms(SmsPurpose::Notice);
        assert!(matches!(scene.end_of(sms).await, WorkDone::Sent(Ok(()))));
        assert_eq!(lines(&scene), expected, "{group:?}");
    }
    scene.group = Some(7);
    let sms = scene.sms(SmsPurpose::Notice);
    assert!(matches!(scene.end_of(sms).await, WorkDone::Sent(Err(SendError::Refused { .. }))));
}

/// A log that breaks at its first line of this level, so that whoever writes one there panics.
struct Breaks(tracing::Level);

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Breaks {
    type Writer = std::io::Sink;

    fn make_writer(&'a self) -> Self::Writer {
        std::io::sink()
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Self::Writer {
        assert_ne!(*meta.level(), self.0, "a planted panic");
        self.make_writer()
    }
}

#[tokio::test]
async fn a_publication_that_panics_is_uncertain_and_holds_nothing() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let _log =
        tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(Breaks(tracing::Level::INFO)).finish());
    let client = Client::new(egress::Config { allow_private: true }).unwrap();
    let config = relaymesh_publish::mastodon::Config::new("http://127.0.0.1:1", "id", "secret");
    let adapter = Adapter::Mastodon(relaymesh_publish::mastodon::Mastodon::new(config, client).unwrap());
    let mut scene = Scene::with(None, Vec::new(), 20, BTreeMap::from([("mastodon".to_owned(), adapter)])).await;
    for n in 0..3 {
        let Work::Publish { message, part, mut request } = bridge_mail(n) else { unreachable!() };
        request.platform = "mastodon".to_owned();
        request.content = PublishContent::Text { text: "text".into(), image: None };
        let publish = scene.start(Work::Publish { message, part, request });
        let end = scene.end_of(publish).await;
        assert!(matches!(end, WorkDone::Published(Err(SendError::Unknown))), "{end:?}");
    }
    assert_eq!(scene.works.shared.platforms["mastodon"].available_permits(), PLATFORM_MAX);
    // Whatever else is asked for goes on.
    let sms = scene.sms(SmsPurpose::Code);
    assert!(matches!(scene.end_of(sms).await, WorkDone::Sent(Ok(()))));
}

#[tokio::test]
async fn what_panics_ends_as_what_may_have_happened() {
    let (platform, token) = ("mastodon".to_owned(), || Private("token".to_owned()));
    let works = [
        (Work::HashPassword { password: "password".into(), salt: [1; 16] }, "Hashed(Err(Failed))"),
        (Work::VerifyPassword { password: "password".into(), hash: String::new() }, "Verified(Err(Failed))"),
        (Work::Captcha { token: token() }, "Captcha(Err(Failed))"),
        (Work::OtpMail { to: "ada@example.com".into(), code: "123456".into() }, "Sent(Err(Unknown))"),
        (bridge_mail(1), "Published(Err(Unknown))"),
        (Work::Refresh { platform: platform.clone(), token: token() }, "Refreshed(Err(Unknown))"),
        (Work::Revoke { platform, token: token() }, "Revoked"),
    ];
    let mut scene = Scene::new(None, Vec::new(), 20).await;
    for (n, (work, expected)) in works.into_iter().enumerate() {
        let id = WorkId(1_000 + n as u64);
        scene.works.tell(id, lost(&work), tokio::spawn(async { panic!("a planted panic") }));
        assert_eq!(format!("{:?}", scene.end_of(id).await), expected);
    }
    let blocking = tokio::task::spawn_blocking(|| panic!("a planted panic"));
    scene.works.tell(WorkId(2_000), WorkDone::KeysSaved(Err(WorkError::Failed)), blocking);
    assert!(matches!(scene.end_of(WorkId(2_000)).await, WorkDone::KeysSaved(Err(WorkError::Failed))));
}
