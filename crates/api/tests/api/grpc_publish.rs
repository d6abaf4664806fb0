//! `publisher.v1.Publisher` through a real client over loopback.

use std::collections::HashMap;

use relaymesh_api::client::{self, PublisherClient, publisher_v1 as v1};
use relaymesh_core::command::{
    Code, Command, Door, FailureClass, MessageOutcome, PublisherCommand, PublisherReply, Refusal, Reply, Submitted,
    TestEnd,
};

use crate::fake::{Fake, MESSAGE, accepted, bridge_text, platform_text};
use crate::grpc_account::{Port, port};

async fn publisher(fake: &Fake) -> (PublisherClient, Port) {
    let port = port(fake, None).await;
    (client::publisher(&port.target).await.unwrap(), port)
}

fn saying(reply: PublisherReply) -> Fake {
    Fake::saying(Reply::Publisher(reply))
}

#[tokio::test]
async fn an_authorization_url_carries_every_field() {
    let fake = saying(PublisherReply::AuthorizationUrl {
        url: "https://provider.example/auth".into(),
        state: "gmail,true\n".into(),
        code_verifier: "made".into(),
        scope: "a,b".into(),
        client_id: "id".into(),
        redirect_url: "r".into(),
        message: "ok".into(),
    });
    let (mut publisher, _port) = publisher(&fake).await;
    let request = v1::GetOAuth2AuthorizationUrlRequest {
        platform: "gmail".into(),
        state: "gmail,true\n".into(),
        code_verifier: "v".into(),
        autogenerate_code_verifier: true,
        redirect_url: "r".into(),
        request_identifier: "i".into(),
    };
    let r = publisher.get_o_auth2_authorization_url(request).await.unwrap().into_inner();
    assert_eq!((&*r.authorization_url, &*r.state), ("https://provider.example/auth", "gmail,true\n"));
    assert_eq!((&*r.code_verifier, &*r.message, &*r.scope), ("made", "ok", "a,b"));
    assert_eq!((&*r.client_id, &*r.redirect_url), ("id", "r"));
    let [
        Command::Publisher(PublisherCommand::AuthorizationUrl {
            platform,
            state,
            code_verifier,
            autogenerate_code_verifier,
            redirect_url,
            request_identifier,
        }),
    ] = &fake.asked()[..]
    else {
        panic!("one URL")
    };
    assert_eq!((&**platform, &**state, code_verifier.reveal()), ("gmail", "gmail,true\n", "v"));
    assert_eq!((*autogenerate_code_verifier, &**redirect_url, &**request_identifier), (true, "r", "i"));
}

#[tokio::test]
async fn a_code_is_exchanged() {
    let fake = saying(PublisherReply::Exchanged {
        message: "stored".into(),
        tokens: vec![("access_token".into(), "at".into())],
    });
    let (mut publisher, _port) = publisher(&fake).await;
    let request = v1::ExchangeOAuth2CodeAndStoreRequest {
        long_lived_token: "t".into(),
        platform: "gmail".into(),
        authorization_code: "c".into(),
        code_verifier: "v".into(),
        redirect_url: "r".into(),
        store_on_device: true,
        request_identifier: "i".into(),
    };
    let r = publisher.exchange_o_auth2_code_and_store(request).await.unwrap().into_inner();
    assert_eq!((r.success, &*r.message, &*r.tokens["access_token"]), (true, "stored", "at"));
    let [
        Command::Publisher(PublisherCommand::Exchange {
            llt,
            platform,
            code,
            code_verifier,
            redirect_url,
            store_on_device,
            request_identifier,
        }),
    ] = &fake.asked()[..]
    else {
        panic!("one exchange")
    };
    assert_eq!((llt.reveal(), &**platform, code.reveal(), code_verifier.reveal()), ("t", "gmail", "c", "v"));
    assert_eq!((&**redirect_url, *store_on_device, &**request_identifier), ("r", true, "i"));
}

#[tokio::test]
async fn an_account_is_revoked_and_refusals_pass() {
    let fake = saying(PublisherReply::Revoked { message: "gone".into() });
    let (mut client, _port) = publisher(&fake).await;
    let request = v1::RevokeAndDeleteOAuth2TokenRequest {
        long_lived_token: "t".into(),
        platform: "gmail".into(),
        account_identifier: "a".into(),
    };
    let r = client.revoke_and_delete_o_auth2_token(request.clone()).await.unwrap().into_inner();
    assert_eq!((r.success, &*r.message), (true, "gone"));
    let [Command::Publisher(PublisherCommand::Revoke { llt, platform, account })] = &fake.asked()[..] else {
        panic!("one revocation")
    };
    assert_eq!((llt.reveal(), &**platform, account.reveal()), ("t", "gmail", "a"));

    let refusing = Fake::saying(Reply::Refused(Refusal::new(Code::NotFound, "none")));
    let (mut client, _port) = publisher(&refusing).await;
    let status = client.revoke_and_delete_o_auth2_token(request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (tonic::Code::NotFound, "none"));
}

#[tokio::test]
async fn calls_by_phone_number_are_not_supported() {
    let fake = Fake::accepting();
    let (mut publisher, _port) = publisher(&fake).await;
    let platform = "telegram".to_owned();
    let code = v1::GetPnbaCodeRequest { platform: platform.clone(), ..Default::default() };
    let exchange = v1::ExchangePnbaCodeAndStoreRequest { platform: platform.clone(), ..Default::default() };
    let revoke = v1::RevokeAndDeletePnbaTokenRequest { platform, ..Default::default() };
    for status in [
        publisher.get_pnba_code(code).await.unwrap_err(),
        publisher.exchange_pnba_code_and_store(exchange).await.unwrap_err(),
        publisher.revoke_and_delete_pnba_token(revoke).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), tonic::Code::Unimplemented);
        assert_eq!(
            status.message(),
            "The platform 'telegram' with protocol 'pnba' is currently not supported. Please contact the developers \
             for more information on when this platform will be implemented."
        );
    }
    assert!(fake.asked().is_empty());
}

fn content(text: String, metadata: &[(&str, &str)]) -> v1::PublishContentRequest {
    let metadata: HashMap<_, _> = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    v1::PublishContentRequest { content: text, metadata }
}

#[tokio::test]
async fn a_payload_becomes_a_submission_with_or_without_metadata() {
    let metadata: &[(&str, &str)] = &[("From", "+237650000000"), ("Date", "1700000005"), ("Date_sent", "1700000000")];
    for (metadata, sender, date, date_sent) in
        [(metadata, "+237650000000", Some(1_700_000_005_000), Some(1_700_000_000_000)), (&[], "", None, None)]
    {
        let fake = Fake::accepting();
        let (mut publisher, _port) = publisher(&fake).await;
        let r = publisher.publish_content(content(platform_text(b'g'), metadata)).await.unwrap().into_inner();
        assert_eq!((r.success, r.message), (true, format!("accepted {MESSAGE}")));
        let submit = fake.submit();
        assert_eq!((submit.door, submit.sender.reveal()), (Door::Content, sender));
        assert_eq!((submit.date, submit.date_sent), (date, date_sent));
        assert_eq!(submit.text.reveal(), platform_text(b'g'));
    }
}

#[tokio::test]
async fn outcomes_are_told_as_the_clients_know_them() {
    let (mut client, _port) = publisher(&Fake::saying(accepted(Some(MessageOutcome::Published)))).await;
    let r = client.publish_content(content(platform_text(b'm'), &[])).await.unwrap().into_inner();
    assert!(r.success);
    assert_eq!(r.message, "Successfully published mastodon message");
    assert_eq!(r.publisher_response, "Successfully sent message");

    for (end, told) in [
        (TestEnd::Updated, Ok("Test ID 5 updated successfully.")),
        (TestEnd::Unknown, Err("Test ID 5 not found in the database.")),
        (TestEnd::AlreadyTimedout, Err("Test ID 5 is already marked as 'timedout'.")),
    ] {
        let reply = accepted(Some(MessageOutcome::Test { id: 5, end }));
        let (mut client, _port) = publisher(&Fake::saying(reply)).await;
        let answer = client.publish_content(content(platform_text(b'r'), &[])).await;
        let answer = answer.map(|r| r.into_inner().publisher_response);
        match told {
            Ok(text) => assert_eq!(answer.unwrap(), text),
            Err(text) => {
                let status = answer.unwrap_err();
                assert_eq!((status.code(), status.message()), (tonic::Code::InvalidArgument, text));
            }
        }
    }

    let failed = accepted(Some(MessageOutcome::Failed(FailureClass::Content)));
    let (mut client, _port) = publisher(&Fake::saying(failed)).await;
    let status = client.publish_content(content(platform_text(b'm'), &[])).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (tonic::Code::InvalidArgument, FailureClass::Content.text()));

    for reply in [Reply::Refused(Refusal::unavailable()), Reply::Submitted(Submitted::Ignored)] {
        let expected =
            if matches!(reply, Reply::Refused(_)) { tonic::Code::Unavailable } else { tonic::Code::Internal };
        let (mut client, _port) = publisher(&Fake::saying(reply)).await;
        let status = client.publish_content(content(platform_text(b'm'), &[])).await.unwrap_err();
        assert_eq!(status.code(), expected);
    }
}

#[tokio::test]
async fn only_platform_payloads_are_taken() {
    let fake = Fake::accepting();
    let (mut publisher, _port) = publisher(&fake).await;
    for (text, reason) in [
        (String::new(), "Missing required field: content"),
        (bridge_text(), "Error Decoding Platform Payload: bridge payloads"),
        ("BAEBQUJD".into(), "Error Decoding Platform Payload: a segment"),
        ("see you at five".into(), "Error Decoding Platform Payload: no RelaySMS payload"),
        (platform_text(b'z'), "No platform found for shortcode 'z'."),
        (platform_text(b'\n'), "No platform found for shortcode '\\n'."),
    ] {
        let status = publisher.publish_content(content(text, &[])).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{reason}");
        assert!(status.message().starts_with(reason), "{}", status.message());
    }
    assert!(fake.asked().is_empty());
}
