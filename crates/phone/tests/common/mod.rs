//! A server for one phone, and sources of chance.

#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses its own part; helpers of tests are tests")]

use std::collections::VecDeque;
use std::convert::Infallible;

use rand_chacha::ChaCha20Rng;
use rand_core::{SeedableRng, TryCryptoRng, TryRng};
use relaymesh_phone::api::EntityAnswer;
use relaymesh_phone::{AgeCheck, Identity, Kind, Pending, Phone, Style};
use relaymesh_protocol::base64text;
use relaymesh_protocol::ids::{Language, Timestamp};
use relaymesh_protocol::reply::{Reply, ReplyMail};
use relaymesh_ratchet::llt::{self, Eid};
use relaymesh_ratchet::{Block, KeyPair, PublicKey, Session, agree};

pub const NOW: Timestamp = Timestamp(1_750_000_000_000);
pub const NUMBER: &str = "+237650123456";

pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A "random" source that gives recorded private keys and panics when asked for one more.
pub struct Recorded(VecDeque<[u8; 32]>);

impl Recorded {
    pub fn keys(keys: impl IntoIterator<Item = [u8; 32]>) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl TryRng for Recorded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("a private key is drawn as 32 bytes at once")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("a private key is drawn as 32 bytes at once")
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        dst.copy_from_slice(&self.0.pop_front().expect("a key was drawn where none may be"));
        Ok(())
    }
}

impl TryCryptoRng for Recorded {}

/// The server's keys, before anybody logged in.
pub struct ServerKeys {
    pub publish: KeyPair,
    pub device: KeyPair,
}

impl ServerKeys {
    pub fn new(seed: u64) -> Self {
        let mut rng = rng(seed);
        Self { publish: KeyPair::generate(&mut rng), device: KeyPair::generate(&mut rng) }
    }

    /// What the server answers once the code was right, at `now_s`.
    pub fn answer(&self, pending: &Pending, now_s: u64) -> EntityAnswer {
        let request = pending.request("Passw0rd!", Some("123456"), "", Style::Android);
        let client = PublicKey::from_base64_lenient(&request.client_device_id_pub_key).unwrap();
        let shared = agree(self.device.secret(), &client).unwrap();
        EntityAnswer {
            long_lived_token: llt::mint(&shared, &Eid::from([7; 16]), now_s, &[9; 16]).into(),
            server_publish_pub_key: self.publish.public().to_base64(),
            server_device_id_pub_key: self.device.public().to_base64(),
        }
    }
}

/// One side of a conversation, as the server holds it.
pub struct Server {
    pub ours: KeyPair,
    pub client: PublicKey,
    pub session: Session,
    pub rng: ChaCha20Rng,
}

impl Server {
    pub fn new(ours: KeyPair, client: PublicKey) -> Self {
        let session = Session::bob(&ours, &agree(ours.secret(), &client).unwrap());
        Self { ours, client, session, rng: rng(77) }
    }

    pub fn open(&mut self, block: &[u8]) -> Vec<u8> {
        let block = Block::parse(block).unwrap();
        let opened = self.session.decrypt(&block, self.ours.public().as_bytes(), NOW.0, &mut self.rng).unwrap();
        self.session = opened.session;
        opened.plaintext.to_vec()
    }

    pub fn reply(&mut self, mail: &ReplyMail) -> String {
        let block = self.session.encrypt(&mail.plaintext(), self.client.as_bytes()).unwrap();
        let reply = Reply { lengths: mail.lengths().unwrap(), block: block.into() };
        reply.to_sms(Language::EN, 1_750_000_000).unwrap()
    }
}

pub fn log_in(identity: &str, seed: u64) -> (Phone, Server) {
    let identity: Identity = identity.parse().unwrap();
    let keys = ServerKeys::new(seed + 1);
    let mut rng = rng(seed);
    let pending = Phone::begin(Kind::LogIn, identity, &mut rng);
    let answer = keys.answer(&pending, NOW.seconds());
    let phone = pending.finish(&answer, NOW.seconds(), AgeCheck::Android, &mut rng).unwrap();
    let server = Server::new(keys.publish, phone.publish_key().unwrap());
    (phone, server)
}

pub fn mail(subject: &str) -> ReplyMail {
    ReplyMail {
        alias: "237650123456@relaysms.me".to_owned(),
        sender: "Ada <ada@example.org>".to_owned(),
        cc: String::new(),
        bcc: String::new(),
        subject: subject.to_owned(),
        body: "Ça va ? 😀".to_owned(),
    }
}

/// The bytes of a single text.
pub fn bytes_of(sms: &[String]) -> Vec<u8> {
    assert_eq!(sms.len(), 1);
    base64text::decode(&sms[0]).unwrap()
}
