//! The gRPC port and what is no call: it is the caller's fault, in words of ours, and the node hears nothing of it.

use proptest::prelude::*;
use relaymesh_api::client::{self, vault_v1 as v1};
use relaymesh_core::command::{AccountReply, Code, Command, Refusal, Reply};
use tonic::IntoRequest as _;

use crate::fake::Fake;
use crate::garbage::{CREATE, call, framed, garbage};
use crate::grpc_account::port;

/// A node that must not be asked.
fn deaf() -> Fake {
    Fake::saying(Reply::Refused(Refusal::new(Code::Internal, "it was asked")))
}

#[tokio::test]
async fn what_is_no_call_is_the_callers_fault_in_our_words() {
    let fake = deaf();
    let port = port(&fake, None).await;
    let channel = client::channel(&port.target).await.unwrap();
    for case in garbage() {
        case.send(&channel).await;
    }
    assert!(fake.asked().is_empty(), "nothing came further than the door");
}

#[tokio::test]
async fn a_failure_of_ours_is_still_told_as_one() {
    let fake = deaf();
    let port = port(&fake, None).await;
    let channel = client::channel(&port.target).await.unwrap();
    for kind in ["application/grpc", "application/grpc+proto", "Application/gRPC; charset=utf-8"] {
        let told = call(&channel, CREATE, kind, framed(0, 0, b"")).await;
        assert_eq!((told.http, told.status.code()), (200, tonic::Code::Internal), "{kind}");
        assert_eq!(told.status.message(), relaymesh_api::errors::OOPS);
    }
    assert_eq!(fake.asked().len(), 3);
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_bytes_are_answered_without_blaming_us(
        bodies in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300)), 1..8),
    ) {
        run(async {
            // Some of them happen to be messages: those are refused as the caller's fault too.
            let fake = Fake::saying(Reply::Refused(Refusal::new(Code::InvalidArgument, "no")));
            let port = port(&fake, None).await;
            let channel = client::channel(&port.target).await.unwrap();
            for (is_framed, bytes) in bodies {
                let body = if is_framed { framed(0, bytes.len(), &bytes) } else { bytes };
                let told = call(&channel, CREATE, "application/grpc", body).await.status;
                let fine = matches!(told.code(), tonic::Code::InvalidArgument | tonic::Code::OutOfRange);
                assert!(fine, "{told:?}");
            }
        });
    }

    #[test]
    fn any_text_in_any_field_comes_through(texts in proptest::collection::vec(any::<String>(), 3)) {
        run(async {
            let fake = Fake::saying(Reply::Account(AccountReply::Done { message: String::new() }));
            let port = port(&fake, None).await;
            let mut vault = client::vault(&port.target).await.unwrap();
            let request = v1::UpdateEntityPasswordRequest {
                long_lived_token: texts[0].clone(),
                current_password: texts[1].clone(),
                new_password: texts[2].clone(),
            };
            vault.update_entity_password(request.into_request()).await.unwrap();
            let [Command::Account(command)] = &fake.asked()[..] else { panic!("one command") };
            let relaymesh_core::command::AccountCommand::UpdatePassword { llt, current, new } = command else {
                panic!("a change of password")
            };
            assert_eq!([llt.reveal(), current.reveal(), new.reveal()], [&*texts[0], &texts[1], &texts[2]]);
        });
    }
}
