//! A person's mail through a node, over the bridge, into a mailbox.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_phone::{Identity, Phone, StaticKey};
use relaymesh_protocol::bridge_content::BridgeContent;
use relaymesh_protocol::ids::Timestamp;

use crate::post::node;
use crate::postfix::{DOMAIN, MailHost, PASSWORD, USERNAME};
use crate::support::bridge::{first_mail, static_key};
use crate::support::kit::gateway::{GatewayClient, epoch_ms};
use crate::support::kit::http::Http;
use crate::support::kit::mesh;
use crate::{SETTLE, asked, eventually};

const NUMBER: &str = "+237650400012";
const BRIDGE: &str = "sms.example.org";

fn settings(host: &MailHost) -> String {
    let (port, ca) = (host.submission, host.certificate().display().to_string());
    format!(
        "\n[sms.file]\npath = \"sms.jsonl\"\n[ingress]\nwait = \"0s\"\n[bridge]\ndomain = \"{BRIDGE}\"\n\
         [bridge.smtp]\nhost = \"localhost\"\nport = {port}\ntls = \"starttls\"\nca = \"{ca}\"\n\
         username = \"{USERNAME}\"\npassword = \"{PASSWORD}\"\n"
    )
}

/// The SMS of one mail to `to`, with a blind copy.
fn write(phone: &mut Phone, key: StaticKey, to: &str, subject: &str, rng: &mut ChaCha20Rng) -> String {
    let content = BridgeContent {
        to: format!("{to}@{DOMAIN}"),
        cc: String::new(),
        bcc: format!("hidden@{DOMAIN}"),
        subject: subject.to_owned(),
        body: "The bridge at Foumban is closed.".to_owned(),
    };
    phone.compose_bridge(first_mail(key, content), Timestamp(epoch_ms()), rng).unwrap().sms.remove(0)
}

async fn hand_in(client: &GatewayClient, sms: &str) {
    assert!(client.forward(NUMBER, sms).await.unwrap().accepted());
}

#[tokio::test(flavor = "multi_thread")]
async fn bridge_mail_leaves_through_postfix_once_and_waits_while_it_is_down() {
    if !asked() {
        return;
    }
    let mut host = MailHost::start();
    let dir = tempfile::tempdir().unwrap();
    let http = Http::new();
    let node = node(&dir, "home", &settings(&host)).await;
    let client = mesh::enrol(&node, "gc", "+237650200098", http.clone()).await.unwrap();
    let key = static_key(&node, &http).await;
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let mut phone = Phone::new(Identity::Phone(NUMBER.parse().unwrap()));

    let sms = write(&mut phone, key, "anna", "closed", &mut rng);
    hand_in(&client, &sms).await;
    hand_in(&client, &sms).await;
    let arrived = async |host: &MailHost, name: &str| {
        eventually("the mail arrives", async || Some(host.letters(name).await).filter(|all| !all.is_empty())).await
    };
    let alias = format!("{}@{BRIDGE}", &NUMBER[1..]);
    let got = arrived(&host, "anna").await.remove(0);
    assert!(got.header("From").unwrap().contains(&alias), "{:?}", got.header("From"));
    assert_eq!(got.header("Subject").as_deref(), Some("closed"));
    assert!(got.text.contains("The bridge at Foumban is closed.") && got.text.contains("not verified"));
    assert!(!got.text.contains("hidden"));
    arrived(&host, "hidden").await;

    host.stop_postfix();
    let sms = write(&mut phone, key, "bela", "still closed", &mut rng);
    hand_in(&client, &sms).await;
    tokio::time::sleep(SETTLE).await;
    host.start_postfix();
    arrived(&host, "bela").await;
    tokio::time::sleep(SETTLE).await;
    for (name, count) in [("anna", 1), ("bela", 1), ("hidden", 2)] {
        assert_eq!(host.letters(name).await.len(), count, "{name}: {}\n{}", node.tail(), host.tails());
    }
}
