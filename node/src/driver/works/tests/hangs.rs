//! A platform that takes connections and never answers, with more posts than may be under way: it delays nobody else.

use relaymesh_publish::mastodon::{self, Mastodon};
use relaymesh_publish::sink::Sink;

use super::*;

/// Posts for the platform that hangs: those that are under way, and as many that wait.
const POSTS: usize = 2 * PLATFORM_MAX;
const HANGS: &str = "hangs";
const ANSWERS: &str = "answers";
const PASSWORD: &str = "Correct1Horse!";

fn adapter(at: SocketAddr, client: &Client) -> Adapter {
    let config = mastodon::Config::new(&format!("http://{at}"), "id", "secret");
    Adapter::Mastodon(Mastodon::new(config, client.clone()).unwrap())
}

fn post(platform: &str, at: SocketAddr, token: String, n: usize) -> Work {
    let request = PublishRequest {
        platform: platform.to_owned(),
        account: Private(format!("ada@{}_{}", at.ip(), at.port())),
        token: Private(token),
        idempotency_key: format!("key-{n}"),
        content: PublishContent::Text { text: "text".into(), image: None },
        in_reply_to: None,
    };
    Work::Publish { message: MessageId([1; 32]), part: 0, request: Box::new(request) }
}

/// The token of an account as it is stored.
fn token(access: &str) -> String {
    format!(r#"{{"access_token":"{access}","refresh_token":"{access}"}}"#)
}

#[tokio::test]
async fn a_platform_that_hangs_delays_neither_mail_nor_sms_nor_logins_nor_another_platform() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One client for all, as a node has it.
    let client = Client::new(egress::Config { allow_private: true }).unwrap();
    let sink = Sink::start(SocketAddr::from(([127, 0, 0, 1], 0)), None).await.unwrap();
    let host = SmtpSink::start(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let hangs = hanging().await;
    let adapters = BTreeMap::from([
        (HANGS.to_owned(), adapter(hangs, &client)),
        (ANSWERS.to_owned(), adapter(sink.addr(), &client)),
    ]);
    let mut scene = Scene::with(Some(mailer(host.addr())), Vec::new(), 20, adapters).await;
    for n in 0..POSTS {
        scene.start(post(HANGS, hangs, token("any"), n));
    }
    let shared = Arc::clone(&scene.works.shared);
    let full = async {
        while shared.platforms[HANGS].available_permits() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, full).await.expect("the platform is full of posts");
    // What else is asked of the platform that hangs, without a bound of its own.
    let of_hanging = [
        Work::Refresh { platform: HANGS.to_owned(), token: Private(token("any")) },
        Work::Revoke { platform: HANGS.to_owned(), token: Private(token("any")) },
    ];
    for work in of_hanging {
        scene.start(work);
    }

    let access = sink.token("ada");
    let published = scene.start(post(ANSWERS, sink.addr(), token(&access), 0));
    let end = scene.end_of(published).await;
    assert!(matches!(end, WorkDone::Published(Ok(_))), "{end:?}");
    assert_eq!(sink.post_count(), 1);
    // The other platform knows no token of that name, and says so at once.
    let refreshed = scene.start(Work::Refresh { platform: ANSWERS.to_owned(), token: Private(token("none")) });
    let end = scene.end_of(refreshed).await;
    assert!(matches!(end, WorkDone::Refreshed(Err(SendError::Refused { .. }))), "{end:?}");

    for work in [bridge_mail(1), Work::OtpMail { to: "ada@example.com".into(), code: "123456".into() }] {
        let mail = scene.start(work);
        let end = scene.end_of(mail).await;
        assert!(matches!(end, WorkDone::Published(Ok(_)) | WorkDone::Sent(Ok(()))), "{end:?}");
    }
    assert_eq!(host.messages().len(), 2);
    for purpose in [SmsPurpose::Code, SmsPurpose::Token, SmsPurpose::Notice] {
        let sms = scene.sms(purpose);
        assert!(matches!(scene.end_of(sms).await, WorkDone::Sent(Ok(()))));
    }

    let hashed = scene.start(Work::HashPassword { password: PASSWORD.into(), salt: [1; 16] });
    let WorkDone::Hashed(Ok(hash)) = scene.end_of(hashed).await else { panic!("a hash") };
    let verified = scene.start(Work::VerifyPassword { password: PASSWORD.into(), hash });
    assert!(matches!(scene.end_of(verified).await, WorkDone::Verified(Ok(true))));

    assert_eq!(shared.platforms[HANGS].available_permits(), 0, "it hung all the while");
    let mut ended = 0;
    while let Ok((_, done)) = scene.done.try_recv() {
        ended += usize::from(matches!(done, WorkDone::Published(_)));
    }
    assert_eq!(ended, 0, "no post has ended, so all else went past them");
}
