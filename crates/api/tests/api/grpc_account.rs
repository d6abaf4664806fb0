//! `vault.v1.Entity` through a real client over loopback.

use std::net::SocketAddr;
use std::time::Duration;

use relaymesh_api::client::{self, ConnectError, Target, VaultClient, vault_v1 as v1};
use relaymesh_api::{Tls, serve_grpc};
use relaymesh_core::command::{AccountCommand, AccountReply, Code, Command, Refusal, Reply, StoredToken};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::fake::Fake;

const CERT: &str = include_str!("../tls/server.pem");
const KEY: &str = include_str!("../tls/server.key");

/// A served port; it stops when this is dropped.
pub struct Port {
    pub target: Target,
    _stop: oneshot::Sender<()>,
}

pub async fn port(fake: &Fake, tls: Option<Tls>) -> Port {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr: SocketAddr = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let fake = fake.clone();
    tokio::spawn(async move {
        let shutdown = async {
            let _ = stopped.await;
        };
        serve_grpc(listener, fake, tls, shutdown).await.unwrap();
    });
    Port { target: Target { url: format!("{scheme}://{addr}"), ..Target::default() }, _stop: stop }
}

async fn vault(fake: &Fake) -> (VaultClient, Port) {
    let port = port(fake, None).await;
    (client::vault(&port.target).await.unwrap(), port)
}

fn saying(reply: AccountReply) -> Fake {
    Fake::saying(Reply::Account(reply))
}

fn session() -> AccountReply {
    AccountReply::Session {
        message: "in".into(),
        llt: "llt".into(),
        server_publish: "sp".into(),
        server_device_id: "sd".into(),
    }
}

#[tokio::test]
async fn sign_up_carries_every_field_there_and_back() {
    let fake = saying(session());
    let (mut vault, _port) = vault(&fake).await;
    let request = v1::CreateEntityRequest {
        country_code: "CM".into(),
        phone_number: "+237650000000".into(),
        password: "pw".into(),
        client_publish_pub_key: "cp".into(),
        client_device_id_pub_key: "cd".into(),
        ownership_proof_response: "123456".into(),
        captcha_token: "cap".into(),
        email_address: "a@example.org".into(),
    };
    let r = vault.create_entity(request).await.unwrap().into_inner();
    assert!(!r.requires_ownership_proof);
    assert_eq!((&*r.long_lived_token, &*r.server_publish_pub_key), ("llt", "sp"));
    assert_eq!((&*r.server_device_id_pub_key, &*r.message), ("sd", "in"));
    let [Command::Account(AccountCommand::Create { identity, country_code, password, keys, proof, captcha })] =
        &fake.asked()[..]
    else {
        panic!("one sign-up")
    };
    assert_eq!(identity.phone_number.reveal(), "+237650000000");
    assert_eq!(identity.email_address.reveal(), "a@example.org");
    assert_eq!((&**country_code, password.reveal()), ("CM", "pw"));
    assert_eq!((keys.publish.reveal(), keys.device_id.reveal()), ("cp", "cd"));
    assert_eq!((proof.reveal(), captcha.reveal()), ("123456", "cap"));
}

#[tokio::test]
async fn login_and_reset_carry_every_field() {
    let fake = saying(AccountReply::ProofRequired { message: "code".into(), next_attempt: u64::MAX });
    let (mut vault, _port) = vault(&fake).await;
    let login = v1::AuthenticateEntityRequest {
        phone_number: "p".into(),
        password: "w".into(),
        client_publish_pub_key: "cp".into(),
        client_device_id_pub_key: "cd".into(),
        ownership_proof_response: "o".into(),
        captcha_token: "c".into(),
        email_address: "e".into(),
    };
    let r = vault.authenticate_entity(login).await.unwrap().into_inner();
    assert!(r.requires_ownership_proof && !r.requires_password_reset);
    assert_eq!((&*r.message, r.next_attempt_timestamp), ("code", i32::MAX));
    let reset = v1::ResetPasswordRequest {
        phone_number: "p".into(),
        new_password: "w".into(),
        client_publish_pub_key: "cp".into(),
        client_device_id_pub_key: "cd".into(),
        ownership_proof_response: "o".into(),
        captcha_token: "c".into(),
        email_address: "e".into(),
    };
    let r = vault.reset_password(reset).await.unwrap().into_inner();
    assert!(r.requires_ownership_proof);
    for command in fake.asked() {
        let (identity, password, keys, proof, captcha) = match &command {
            Command::Account(AccountCommand::Authenticate { identity, password, keys, proof, captcha }) => {
                (identity, password, keys, proof, captcha)
            }
            Command::Account(AccountCommand::ResetPassword { identity, new_password, keys, proof, captcha }) => {
                (identity, new_password, keys, proof, captcha)
            }
            other => panic!("login or reset, got {other:?}"),
        };
        assert_eq!((identity.phone_number.reveal(), identity.email_address.reveal()), ("p", "e"));
        assert_eq!((password.reveal(), keys.publish.reveal(), keys.device_id.reveal()), ("w", "cp", "cd"));
        assert_eq!((proof.reveal(), captcha.reveal()), ("o", "c"));
    }
}

#[tokio::test]
async fn only_login_tells_of_a_missing_password() {
    let fake = saying(AccountReply::PasswordResetRequired { message: "reset".into() });
    let (mut vault, _port) = vault(&fake).await;
    let r = vault.authenticate_entity(v1::AuthenticateEntityRequest::default()).await.unwrap().into_inner();
    assert!(r.requires_password_reset && !r.requires_ownership_proof);
    let status = vault.create_entity(v1::CreateEntityRequest::default()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (tonic::Code::Internal, relaymesh_api::errors::OOPS));
}

#[tokio::test]
async fn password_and_account_end_with_success() {
    let fake = saying(AccountReply::Done { message: "done".into() });
    let (mut vault, _port) = vault(&fake).await;
    let update = v1::UpdateEntityPasswordRequest {
        long_lived_token: "t".into(),
        current_password: "old".into(),
        new_password: "new".into(),
    };
    let r = vault.update_entity_password(update).await.unwrap().into_inner();
    assert_eq!((&*r.message, r.success), ("done", true));
    let r = vault.delete_entity(v1::DeleteEntityRequest { long_lived_token: "t".into() }).await.unwrap().into_inner();
    assert_eq!((&*r.message, r.success), ("done", true));
    let asked = fake.asked();
    let Command::Account(AccountCommand::UpdatePassword { llt, current, new }) = &asked[0] else { panic!("update") };
    assert_eq!((llt.reveal(), current.reveal(), new.reveal()), ("t", "old", "new"));
    let Command::Account(AccountCommand::Delete { llt }) = &asked[1] else { panic!("delete") };
    assert_eq!(llt.reveal(), "t");
}

#[tokio::test]
async fn stored_tokens_are_listed() {
    let token = StoredToken {
        platform: "gmail".into(),
        account: "a@example.org".into(),
        tokens: vec![("access_token".into(), "at".into())],
        on_device: true,
    };
    let fake = saying(AccountReply::Tokens { tokens: vec![token], message: "ok".into() });
    let (mut vault, _port) = vault(&fake).await;
    let request = v1::ListEntityStoredTokensRequest { long_lived_token: "t".into(), migrate_to_device: true };
    let r = vault.list_entity_stored_tokens(request).await.unwrap().into_inner();
    assert_eq!((r.stored_tokens.len(), &*r.message), (1, "ok"));
    let token = &r.stored_tokens[0];
    assert_eq!(
        (&*token.platform, &*token.account_identifier, token.is_stored_on_device),
        ("gmail", "a@example.org", true)
    );
    assert_eq!(token.account_tokens["access_token"], "at");
    let [Command::Account(AccountCommand::ListTokens { migrate_to_device, .. })] = &fake.asked()[..] else {
        panic!("one list")
    };
    assert!(migrate_to_device);
}

#[tokio::test]
async fn refusals_keep_their_code_and_text() {
    for (code, expected) in [
        (Code::Unauthenticated, tonic::Code::Unauthenticated),
        (Code::Unavailable, tonic::Code::Unavailable),
        (Code::AlreadyExists, tonic::Code::AlreadyExists),
    ] {
        let fake = Fake::saying(Reply::Refused(Refusal::new(code, "why, naïvely")));
        let (mut vault, _port) = vault(&fake).await;
        let status = vault.delete_entity(v1::DeleteEntityRequest::default()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (expected, "why, naïvely"));
    }
}

#[tokio::test]
async fn a_request_beyond_64_kib_never_reaches_the_node() {
    let fake = saying(AccountReply::Done { message: "done".into() });
    let (mut vault, _port) = vault(&fake).await;
    let big = v1::DeleteEntityRequest { long_lived_token: "t".repeat(65 * 1024) };
    assert_eq!(vault.delete_entity(big).await.unwrap_err().code(), tonic::Code::OutOfRange);
    assert!(fake.asked().is_empty());
    let fits = v1::DeleteEntityRequest { long_lived_token: "t".repeat(63 * 1024) };
    assert!(vault.delete_entity(fits).await.is_ok());
}

#[tokio::test]
async fn tls_serves_whom_the_certificate_convinces() {
    let fake = saying(AccountReply::Done { message: "done".into() });
    let tls = Tls { cert_pem: CERT.into(), key_pem: KEY.into() };
    assert_eq!(format!("{tls:?}"), "Tls");
    let port = port(&fake, Some(tls)).await;
    assert!(matches!(client::vault(&port.target).await, Err(ConnectError::NoCertificate)));
    let trusted = Target { ca_pem: Some(CERT.into()), server_name: Some("localhost".into()), ..port.target.clone() };
    let mut vault = client::vault(&trusted).await.unwrap();
    assert!(vault.delete_entity(v1::DeleteEntityRequest::default()).await.is_ok());
    let misnamed = Target { server_name: Some("example.org".into()), ..trusted };
    assert!(matches!(client::vault(&misnamed).await, Err(ConnectError::Connect(_))));
}

#[tokio::test]
async fn an_unusable_certificate_is_told_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = Tls { cert_pem: b"no".to_vec(), key_pem: KEY.into() };
    let served = serve_grpc(listener, Fake::accepting(), Some(tls), std::future::pending());
    let served = tokio::time::timeout(Duration::from_secs(5), served).await.expect("at once");
    assert!(matches!(served, Err(relaymesh_api::ServeError::Tls(_))), "{served:?}");
}

#[tokio::test]
async fn the_port_closes_when_told_to() {
    let fake = saying(AccountReply::Done { message: "done".into() });
    let (mut vault, port) = vault(&fake).await;
    assert!(vault.delete_entity(v1::DeleteEntityRequest::default()).await.is_ok());
    let target = port.target.clone();
    drop(port);
    for _ in 0..50 {
        if client::vault(&target).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("still listening");
}
