//! The gRPC port of a running node: what is no call, and calls with anything in their fields.

use std::fmt;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use relaymesh_api::client::{self, Target, VaultClient, vault_v1 as v1};
use tonic::{Code, Status};

use crate::support::{World, state};

#[path = "../../../crates/api/tests/api/garbage.rs"]
mod garbage;

/// How often the six calls are tried with other fields, unless this variable says otherwise.
const CASES: u32 = 96;
const CASES_ENV: &str = "RELAYMESH_DOOR_CASES";
/// Somebody who has an account.
const KNOWN: &str = "+237650410002";
/// 32 bytes that are a key.
const KEY: &str = "CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_is_refused_and_leaves_nothing_behind() {
    let world = World::start(1).await.unwrap();
    let node = &world.nodes[0];
    let pid = node.pid().unwrap();
    let before = state(node).await;
    let channel = client::channel(&Target { url: node.grpc(), ..Target::default() }).await.unwrap();
    for case in garbage::garbage() {
        case.send(&channel).await;
    }
    assert_eq!(state(node).await, before, "nothing of it came further than the door");
    assert!(!std::fs::read_to_string(node.log()).unwrap().contains("panicked"), "{}", node.tail());
    world.person(0, "+237650410003", "eve").await.unwrap();
    assert_ne!(state(node).await, before, "what is taken shows");
    assert!(node.pid() == Some(pid) && crate::support::is_alive(pid), "it was one process all along");
}

/// The fields of the account calls; a failed case shows the beginning of each.
#[derive(Clone)]
struct Fields {
    country: String,
    phone: String,
    email: String,
    password: String,
    other_password: String,
    publish_key: String,
    device_key: String,
    proof: String,
    captcha: String,
    token: String,
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            &self.country,
            &self.phone,
            &self.email,
            &self.password,
            &self.other_password,
            &self.publish_key,
            &self.device_key,
            &self.proof,
            &self.captcha,
            &self.token,
        ];
        let start = |text: &String| text.chars().take(80).collect::<String>();
        f.debug_list().entries(all.map(start)).finish()
    }
}

/// Any text, short or long, or one that gets a call further.
fn text(likely: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        12 => proptest::sample::select(likely).prop_map(str::to_owned),
        2 => any::<String>(),
        1 => "[ -~]{0,40}",
        1 => (any::<char>(), 0..5_000_usize).prop_map(|(letter, times)| letter.to_string().repeat(times)),
    ]
}

fn fields() -> impl Strategy<Value = Fields> {
    // Not the password of the account: whoever knows that is no stranger.
    let password = &["Other1Horse!", "Other1Horse!", "Other1Horse!", "short", ""];
    let key = &[KEY, KEY, KEY, KEY, KEY, KEY, "QUJD", ""];
    let proof = &["", "", "", "000000"];
    (
        text(&["CM", "CM", "cm", "NG", ""]),
        text(&["", KNOWN, KNOWN, "+237 650 41 00 04", "+237", "650410004", "+999999999999999999"]),
        text(&["", "", "", "", "ada@example.org", "@"]),
        (text(password), text(password)),
        (text(key), text(key)),
        text(proof),
        text(&[""]),
        text(&["", "AAAA"]),
    )
        .prop_map(|(country, phone, email, passwords, keys, proof, captcha, token)| Fields {
            country,
            phone,
            email,
            password: passwords.0,
            other_password: passwords.1,
            publish_key: keys.0,
            device_key: keys.1,
            proof,
            captcha,
            token,
        })
}

impl Fields {
    /// All six calls, and what each was answered; `true` if it began with asking for a proof.
    async fn ask(self, vault: &mut VaultClient) -> [Result<bool, Status>; 6] {
        let Self { country, phone, email, password, other_password, publish_key, device_key, proof, captcha, token } =
            self;
        let create = v1::CreateEntityRequest {
            country_code: country,
            phone_number: phone.clone(),
            password: password.clone(),
            client_publish_pub_key: publish_key.clone(),
            client_device_id_pub_key: device_key.clone(),
            ownership_proof_response: proof.clone(),
            captcha_token: captcha.clone(),
            email_address: email.clone(),
        };
        let login = v1::AuthenticateEntityRequest {
            phone_number: phone.clone(),
            password: password.clone(),
            client_publish_pub_key: publish_key.clone(),
            client_device_id_pub_key: device_key.clone(),
            ownership_proof_response: proof.clone(),
            captcha_token: captcha.clone(),
            email_address: email.clone(),
        };
        let reset = v1::ResetPasswordRequest {
            phone_number: phone,
            new_password: password.clone(),
            client_publish_pub_key: publish_key,
            client_device_id_pub_key: device_key,
            ownership_proof_response: proof,
            captcha_token: captcha,
            email_address: email,
        };
        let update = v1::UpdateEntityPasswordRequest {
            long_lived_token: token.clone(),
            current_password: password,
            new_password: other_password,
        };
        let list = v1::ListEntityStoredTokensRequest { long_lived_token: token.clone(), migrate_to_device: true };
        [
            vault.create_entity(create).await.map(|answer| answer.into_inner().requires_ownership_proof),
            vault.authenticate_entity(login).await.map(|answer| answer.into_inner().requires_ownership_proof),
            vault.reset_password(reset).await.map(|answer| answer.into_inner().requires_ownership_proof),
            vault.update_entity_password(update).await.map(|_| false),
            vault.delete_entity(v1::DeleteEntityRequest { long_lived_token: token }).await.map(|_| false),
            vault.list_entity_stored_tokens(list).await.map(|_| false),
        ]
    }
}

/// Whether a node may answer a stranger so. A login waits after too many wrong passwords; that is said as `Unavailable`.
fn is_fine(call: usize, answer: &Result<bool, Status>) -> bool {
    use Code::{AlreadyExists, InvalidArgument, NotFound, OutOfRange, Unauthenticated, Unavailable};
    match answer {
        Ok(asks_for_proof) => call < 3 && *asks_for_proof,
        Err(status) => match status.code() {
            InvalidArgument | Unauthenticated | OutOfRange => true,
            AlreadyExists => call == 0,
            NotFound => call == 1 || call == 2,
            Unavailable => call == 1,
            _ => false,
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_stands_in_the_fields_of_account_calls_a_stranger_changes_nothing() {
    let world = World::start(1).await.unwrap();
    let node = &world.nodes[0];
    let mut person = world.person(0, KNOWN, "ada").await.unwrap();
    let gateway = world.gateway(0, "booth", "+237650410009").await.unwrap();
    let mut outbox = world.outbox();
    outbox.look().unwrap();
    let before = state(node).await;
    let vault = client::vault(&Target { url: node.grpc(), ..Target::default() }).await.unwrap();

    let cases = std::env::var(CASES_ENV).ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let codes = std::cell::Cell::new(0);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let ran = runner.run(&fields(), |fields| {
            let answers = runtime.block_on(fields.ask(&mut vault.clone()));
            for (call, answer) in answers.iter().enumerate() {
                prop_assert!(is_fine(call, answer), "call {}: {:?}", call, answer);
                codes.set(codes.get() + usize::from(answer.is_ok()));
            }
            Ok::<_, TestCaseError>(())
        });
        ran.unwrap_or_else(|error| panic!("{error}\n{}", node.tail()));
    });

    assert_eq!(state(node).await, before, "nobody came, nobody went, nothing waits");
    println!("{} codes", codes.get());
    tokio::time::sleep(crate::support::SETTLE).await;
    assert_eq!(outbox.look().unwrap().len(), codes.get(), "whoever was refused was sent no code");
    let log = std::fs::read_to_string(node.log()).unwrap();
    assert!(!log.contains("panicked") && !log.contains(KNOWN), "{}", node.tail());
    let sms = person.compose("still mine", true).unwrap();
    assert!(gateway.forward(person.number.reveal(), &sms).await.unwrap().accepted());
    assert_eq!(world.counts(&["still mine"]).await, [1]);
}
