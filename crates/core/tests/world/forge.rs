//! What somebody can make who holds no account: first contacts under public keys, payloads of rubbish, letters of a member.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_core::crypto::{Crypto, Letter, RealCrypto};
use relaymesh_core::delivery::Body;
use relaymesh_protocol::base64text;
use relaymesh_protocol::bridge_content::BridgeContent;
use relaymesh_protocol::frame::Carried;
use relaymesh_protocol::ids::{DeviceId, EnvelopeId, Language, NodeId, Timestamp};
use relaymesh_protocol::payload::{
    BridgePayload, BridgeVersion, KeyExchange, Payload, PlatformPayload, PlatformVersion,
};
use relaymesh_ratchet::{KeyPair, PublicKey, Session, agree};
use relaymesh_seal::keyfile::Keyring;

use super::{Sim, World};

const DAY_MS: u64 = 86_400_000;

/// A phone without an account: its own key, and a static key of the server that everybody knows.
pub struct Stranger {
    pub kid: u8,
    pub client: [u8; 32],
    session: Session,
    server: PublicKey,
}

impl Stranger {
    pub fn new(server: PublicKey, kid: u8, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let pair = KeyPair::generate(&mut rng);
        let shared = agree(pair.secret(), &server).expect("sound keys");
        let session = Session::alice(&shared, server, &mut rng).expect("sound keys");
        Self { kid, client: *pair.public().as_bytes(), session, server }
    }

    /// A bridge mail; the crypto of it is sound.
    pub fn mail(&mut self, body: &str, exchange: bool) -> BridgePayload {
        let content = BridgeContent {
            to: "friend@example.org".to_owned(),
            subject: "hello".to_owned(),
            body: body.to_owned(),
            ..BridgeContent::default()
        };
        let plain = content.encode(BridgeVersion::V2).expect("a short mail");
        let block = self.session.encrypt(&plain, self.server.as_bytes()).expect("a session");
        BridgePayload {
            version: BridgeVersion::V2,
            key_exchange: exchange.then_some(KeyExchange { kid: self.kid, client_public: self.client }),
            letter: b'e',
            block: block.as_bytes().to_vec(),
            language: Some(Language::FR),
        }
    }
}

/// The SMS text of a bridge payload.
pub fn bridge_text(payload: BridgePayload) -> String {
    base64text::encode_wrapped(&Payload::Bridge(payload).encode().expect("a small payload"))
}

/// The SMS text of a platform payload around any block.
pub fn platform_text(block: Vec<u8>, device: Option<DeviceId>) -> String {
    let payload = Payload::Platform(PlatformPayload {
        version: PlatformVersion::V2,
        shortcode: b'm',
        block,
        device_id: device,
        language: Some(Language::FR),
    });
    base64text::encode_wrapped(&payload.encode().expect("a small payload"))
}

/// Any bytes as a member's letter.
pub fn letter_bytes(from: &Keyring, to: &Sim, now: Timestamp, body: &[u8], seed: u64) -> Carried {
    let sealing = RealCrypto.publics(&to.keyring).sealing[0].0;
    seal_to(from, to.id, sealing, now, body, seed)
}

/// As [`letter_bytes`], where only the public key is known.
pub fn seal_to(from: &Keyring, to: NodeId, sealing: [u8; 32], now: Timestamp, body: &[u8], seed: u64) -> Carried {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&seed.to_be_bytes());
    id[8] = from.node_id().0[0];
    let expiry = Timestamp(now.0 + 14 * DAY_MS);
    let letter = Letter { to, sealing, id: EnvelopeId(id), created: now, expiry, body };
    let envelope = RealCrypto.seal_letter(from, letter, &mut rng).expect("a small body");
    Carried { envelope, hops: 0, copies: 0 }
}

/// A letter of one node to another, signed with its own key.
pub fn letter(world: &World, from: usize, to: usize, body: &Body, seed: u64) -> Carried {
    letter_bytes(&world.nodes[from].keyring, &world.nodes[to], world.now, &body.encode(), seed)
}

/// What is in an envelope, for who holds the recipient's keys.
pub fn open(keys: &Keyring, carried: &Carried) -> Option<(NodeId, Body)> {
    let opened = RealCrypto.open_letter(keys, &carried.envelope).ok()?;
    Some((opened.sender, Body::decode(&opened.body)?))
}
