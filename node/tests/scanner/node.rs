//! One node.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_mail::sink::SmtpSink;
use relaymesh_phone::{Compose, Phone};
use relaymesh_protocol::content::Content;
use relaymesh_protocol::ids::DeviceId;
use relaymesh_protocol::payload::{Payload, PlatformVersion};

use crate::harness::scan::Scanner;
use crate::support::kit::gateway::GatewayClient;
use crate::support::kit::process::Node;
use crate::support::{World, configure};
use crate::usage::{NUMBER, PASSWORD, Use};
use crate::{SOON, assert_logs_everything, copy, digits, eventually, everything, now, plant, stop};

const EMAIL: &str = "ada.lovelace@people.example.org";
const EMAIL_PASSWORD: &str = "Zr8!fensterbrett";
const POSTED: &str = "The bridge at Foumban is closed since Tuesday";
const UNKNOWN_SENDER: &str = "+237650665544";
const UNKNOWN_DEVICE: [u8; 32] = *b"\x91\x13\xf7\x5a\x02\xc8\x6d\xe4\x3b\xaf\x80\x17\x59\xd6\x2e\xbb\x44\x0c\x9d\x71\xe8\x26\xfa\x53\xb0\x6f\x1a\xc5\x38\x97\x04\xdd";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_readable_is_on_the_disk_or_in_the_logs() {
    let mail = SmtpSink::start(([127, 0, 0, 1], 0).into()).await.unwrap();
    let prepare = |node: &Node| configure(node, |config| config.extend(everything(Some(&mail)))).unwrap();
    let mut world = World::start_with(1, &prepare).await.unwrap();
    let mut scanner = Scanner::default();
    let rng = ChaCha20Rng::seed_from_u64(11);
    let mut usage = Use { rng, world: &world, home: 0, mail: &mail, scanner: &mut scanner };

    let mut phone = usage.sign_up_by_number().await;
    usage.sign_up_by_email().await;
    usage.connect(&mut phone).await;
    let client = usage.gateway(0).await;
    usage.messages(&mut phone, &client).await;
    usage.bridge_mail(&mut phone, &client).await;
    scanner.state("state of the phone", &phone.encode());
    let keyring = plant::keys(&world.nodes[0], &mut scanner);
    assert!(!keyring.statics.is_empty());

    let node = &mut world.nodes[0];
    stop(node).await;
    // What is on the disk while the token is kept, before it moves to the phone.
    let kept = tempfile::tempdir().unwrap();
    copy(node.dir(), &kept.path().join("n0"));
    node.start().await.unwrap();
    plant::tokens(node, &phone, &mut scanner).await;
    stop(node).await;

    assert_logs_everything(node);
    let mut control = Scanner::default();
    control.plant("peer id", node.peer_id.as_bytes());
    control.plant("format", b"relaymesh-store");
    let seen = control.scan(kept.path()).join("\n");
    assert!(seen.contains("n0/log") && seen.contains("store/FORMAT"), "what may be read is found: {seen}");
    let mut found = scanner.scan(kept.path());
    found.extend(scanner.scan(node.dir()));
    assert!(found.is_empty(), "readable on the disk:\n{}", found.join("\n"));
}

impl Use<'_> {
    async fn sign_up_by_number(&mut self) -> Phone {
        let mut outbox = self.world.outbox();
        let code = async || outbox.wait_for(SOON, |sms| digits(&sms.text)).await.unwrap();
        self.sign_up(NUMBER, PASSWORD, code).await
    }

    async fn sign_up_by_email(&mut self) {
        let mail = self.mail;
        let code = async || {
            let mut found = None;
            eventually("a code by mail", || {
                found = mail
                    .messages()
                    .iter()
                    .find(|mail| mail.to == [EMAIL])
                    .and_then(|mail| mail.text.split_once("\r\n\r\n").and_then(|(_, body)| digits(body)));
                found.is_some()
            })
            .await;
            found.unwrap()
        };
        self.sign_up(EMAIL, EMAIL_PASSWORD, code).await;
    }

    /// One that is published, one for a home that nobody is, and the first segment of an image.
    async fn messages(&mut self, phone: &mut Phone, client: &GatewayClient) {
        self.post(phone, client, POSTED, true).await;
        self.published(POSTED).await;

        let from = phone.accounts()[0].identifier.clone();
        let content = |body: &str| Content::Text { from: from.clone(), body: body.to_owned() };
        let composed = phone.compose(Compose::new(b'm', PlatformVersion::V2, content("nobody home")), now()).unwrap();
        let Payload::Platform(mut payload) = Payload::parse(&composed.payload).unwrap() else { panic!("a post") };
        payload.device_id = Some(DeviceId(UNKNOWN_DEVICE));
        let payload = Payload::Platform(payload).encode().unwrap();
        self.scanner.plant("unknown device id", &UNKNOWN_DEVICE);
        self.scanner.plant("unknown sender", &UNKNOWN_SENDER.as_bytes()[1..]);
        self.hand_in(client, UNKNOWN_SENDER, &STANDARD.encode(&payload), &payload).await;

        let image =
            Compose { image: Some(vec![0x5a; 300]), ..Compose::new(b'm', PlatformVersion::V2, content("image")) };
        let composed = phone.compose(image, now()).unwrap();
        assert!(composed.sms.len() > 1);
        self.hand_in(client, NUMBER, &composed.sms[0], &composed.payload[..64]).await;
    }
}
