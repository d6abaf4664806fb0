//! People with phones, without sign-up: their sessions are made on both sides at once.

use anyhow::{Context as _, Result};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;
use relaymesh_core::Node;
use relaymesh_core::batch::Batch;
use relaymesh_core::bench;
use relaymesh_protocol::base64text;
use relaymesh_protocol::content::{Content, PlatformContent};
use relaymesh_protocol::ids::{DeviceId, E164, Language, Timestamp};
use relaymesh_protocol::payload::{Payload, PlatformPayload, PlatformVersion};
use relaymesh_ratchet::{KeyPair, PublicKey, Session, agree};

/// A phone that writes to one server key.
pub struct Phone {
    /// Its number.
    pub number: E164,
    /// Its account.
    pub account: String,
    device: DeviceId,
    session: Session,
    server: PublicKey,
}

/// Who a person is before any server knows them.
struct Draft {
    number: E164,
    account: String,
    device: DeviceId,
    keys: KeyPair,
}

impl Draft {
    fn new(n: u32, account: String, rng: &mut ChaCha20Rng) -> Result<Self> {
        let number = format!("+2376{n:08}").parse().context("no number")?;
        let mut device = [0; 32];
        rng.fill_bytes(&mut device);
        Ok(Self { number, account, device: DeviceId(device), keys: KeyPair::generate(rng) })
    }

    fn phone(self, server: PublicKey, rng: &mut ChaCha20Rng) -> Result<Phone> {
        let session = Session::alice(&agree(self.keys.secret(), &server)?, server, rng)?;
        Ok(Phone { number: self.number, account: self.account, device: self.device, session, server })
    }
}

/// A phone whose home is nowhere.
pub fn stray(n: u32, rng: &mut ChaCha20Rng) -> Result<Phone> {
    let server = KeyPair::generate(rng).public();
    Draft::new(n, format!("user{n}@nowhere.test"), rng)?.phone(server, rng)
}

/// An account at a platform.
pub struct Membership {
    /// Name and instance.
    pub account: String,
    /// What lets a node post there.
    pub token: String,
}

/// A phone whose home is `node`, and the records that make it so.
pub fn resident(node: &Node, n: u32, at: Membership, now: Timestamp, rng: &mut ChaCha20Rng) -> Result<(Phone, Batch)> {
    let Membership { account, token } = at;
    let draft = Draft::new(n, account, rng)?;
    let person = bench::Person {
        number: draft.number.clone(),
        device: draft.device,
        publish: *draft.keys.public().as_bytes(),
        account: draft.account.clone(),
        token: serde_json::json!({ "access_token": token, "refresh_token": token }).to_string(),
    };
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    let (batch, server) = bench::person(node, &person, now, seed).context("a person cannot be written")?;
    Ok((draft.phone(PublicKey(server), rng)?, batch))
}

impl Phone {
    /// The SMS text of a post.
    pub fn compose(&mut self, text: &str) -> Result<String> {
        let content = PlatformContent {
            content: Content::Text { from: self.account.clone(), body: text.to_owned() },
            tokens: None,
        };
        let plain = content.encode(PlatformVersion::V2)?;
        let block = self.session.encrypt(&plain, self.server.as_bytes())?;
        let payload = Payload::Platform(PlatformPayload {
            version: PlatformVersion::V2,
            shortcode: b'm',
            block: block.as_bytes().to_vec(),
            device_id: Some(self.device),
            language: Some(Language::EN),
        });
        Ok(base64text::encode_wrapped(&payload.encode()?))
    }
}
