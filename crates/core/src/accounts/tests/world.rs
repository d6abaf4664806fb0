//! One node with an account service, its disk, its driver and its phones.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use relaymesh_protocol::ids::{DeviceId, MeshId, Timestamp};
use relaymesh_ratchet::{KeyPair, PublicKey, SharedSecret, agree, llt};
use relaymesh_seal::keyfile::Keyring;

use crate::batch::Batch;
use crate::command::{AccountCommand, AccountReply, ClientKeys, Code, Command, Identity, Reply};
use crate::config::{Config, Otp, Platform};
use crate::crypto::RealCrypto;
use crate::input::{Input, ReplyTo};
use crate::node::Node;
use crate::output::{Exchanged, Output, SendError, Work, WorkDone, WorkError, WorkId};
use crate::pump::{Load as _, Pump};
use crate::testing::Disk;
use crate::tx::{Fetch, Halt, Run, Tx, View};

pub(crate) const PHONE: &str = "+237650123456";
pub(crate) const PASSWORD: &str = "correct-Horse-9";
/// A working day in 2026: tokens carry it, so it must be a real time.
const START: Timestamp = Timestamp(1_770_000_000_000);

pub(crate) struct World {
    pub pump: Pump,
    pub disk: Disk,
    pub now: Timestamp,
    pub replies: BTreeMap<u64, Reply>,
    /// Work that left and is not done.
    pub work: VecDeque<(WorkId, Work)>,
    /// Every piece of work that ever left.
    pub ordered: Vec<Work>,
    batches: VecDeque<(u64, Batch)>,
    next: u64,
    config: Config,
    keyring: Keyring,
    /// Argon2's pool is full.
    pub busy: bool,
    /// No code leaves.
    pub mute: bool,
}

pub(crate) fn config() -> Config {
    Config {
        instance: "test".to_owned(),
        otp: Otp { sms: true, email: true },
        platforms: vec![Platform {
            authorize_url: "https://m.example/oauth/authorize".to_owned(),
            scope: "read write".to_owned(),
            redirect_urls: vec!["https://relay.smswithoutborders.com/android".to_owned()],
            resend_within: Duration::ZERO,
            ..Platform::stand_in()
        }],
        sms: true,
        ..Config::bare("home", MeshId([1; 16]))
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: Config) -> Self {
        let keyring = Keyring::generate(&mut ChaCha20Rng::from_seed([3; 32]), START);
        let node = Node::new(config.clone(), keyring.clone(), Arc::new(RealCrypto), START);
        Self {
            pump: Pump::new(node, [5; 32]),
            disk: Disk::default(),
            now: START,
            replies: BTreeMap::new(),
            work: VecDeque::new(),
            ordered: Vec::new(),
            batches: VecDeque::new(),
            next: 0,
            config,
            keyring,
            busy: false,
            mute: false,
        }
    }

    /// A node whose memory a test has filled.
    pub fn prepared(fill: impl FnOnce(&mut Node)) -> Self {
        let mut world = Self::new();
        let mut node = Node::new(world.config.clone(), world.keyring.clone(), Arc::new(RealCrypto), START);
        fill(&mut node);
        world.pump = Pump::new(node, [5; 32]);
        world
    }

    /// kill -9: memory and what was not durable are gone.
    pub fn restart(&mut self) {
        let node = Node::new(self.config.clone(), self.keyring.clone(), Arc::new(RealCrypto), self.now);
        self.pump = Pump::new(node, [6; 32]);
        self.work.clear();
        self.batches.clear();
    }

    pub fn pass(&mut self, minutes: u64) {
        self.now = self.now.after(Duration::from_mins(minutes));
    }

    /// Runs what is due.
    pub fn tick(&mut self) {
        self.pump.tick(self.now, &mut self.disk);
        self.drain();
        self.settle();
    }

    /// Hands a command in; nothing becomes durable by it.
    pub fn ask(&mut self, command: Command) -> u64 {
        self.next += 1;
        let reply = ReplyTo(self.next);
        self.pump.feed(Input::Command { reply, command }, self.now, &mut self.disk);
        self.drain();
        self.next
    }

    fn drain(&mut self) {
        while let Some(output) = self.pump.poll_output() {
            match output {
                Output::Persist { token, batch } => self.batches.push_back((token, batch)),
                Output::Reply { to, reply } => {
                    assert!(self.replies.insert(to.0, reply).is_none(), "one answer to each caller");
                }
                Output::Work { id, work } => {
                    self.ordered.push(work.clone());
                    self.work.push_back((id, work));
                }
                _ => {}
            }
        }
    }

    /// Makes one batch durable.
    pub fn persist(&mut self) -> bool {
        let Some((token, batch)) = self.batches.pop_front() else { return false };
        let outcome = self.disk.write(&batch);
        self.pump.persisted(token, outcome, self.now, &mut self.disk);
        self.drain();
        true
    }

    /// Does one piece of work.
    pub fn perform(&mut self) -> bool {
        let Some((id, work)) = self.work.pop_front() else { return false };
        let done = self.done(&work);
        self.pump.feed(Input::Worked { id, done }, self.now, &mut self.disk);
        self.drain();
        true
    }

    /// Everything runs until nothing is left to do.
    pub fn settle(&mut self) {
        while self.persist() || self.perform() {}
    }

    pub fn call(&mut self, command: Command) -> Reply {
        let id = self.ask(command);
        self.settle();
        assert!(self.pump.node().accounts.waiting.is_empty(), "work that is done is forgotten");
        self.replies.remove(&id).expect("every caller gets an answer")
    }

    pub fn account(&mut self, command: AccountCommand) -> Reply {
        self.call(Command::Account(command))
    }

    fn done(&self, work: &Work) -> WorkDone {
        let busy = |done| if self.busy { Err(WorkError::Busy) } else { Ok(done) };
        let sent = || if self.mute { Err(SendError::Retry { after_ms: None }) } else { Ok(()) };
        match work {
            Work::HashPassword { password, .. } => {
                WorkDone::Hashed(busy(()).map(|()| format!("h:{}", password.reveal())))
            }
            Work::VerifyPassword { password, hash } => {
                WorkDone::Verified(busy(()).map(|()| *hash == format!("h:{}", password.reveal())))
            }
            Work::Captcha { token } => WorkDone::Captcha(Ok(token.reveal() == "human")),
            Work::Sms { .. } | Work::OtpMail { .. } => WorkDone::Sent(sent()),
            Work::Exchange { code, .. } => WorkDone::Exchanged(match code.reveal() {
                "bad" => Err(SendError::Refused { text: "invalid_grant".to_owned() }),
                "lost" => Err(SendError::Unknown),
                account => Ok(Exchanged { token: TOKEN_JSON.into(), account: account.into() }),
            }),
            Work::Revoke { .. } => WorkDone::Revoked,
            Work::Publish { .. } | Work::Refresh { .. } => panic!("accounts publish nothing"),
        }
    }

    /// The code that left last.
    pub fn code(&self) -> String {
        let last = self.ordered.iter().rev().find_map(|work| match work {
            Work::Sms { text, .. } => text.reveal().rsplit(' ').next().map(str::to_owned),
            Work::OtpMail { code, .. } => Some(code.reveal().to_owned()),
            _ => None,
        });
        last.expect("a code left")
    }

    pub fn ordered(&self, of: fn(&Work) -> bool) -> usize {
        self.ordered.iter().filter(|work| of(work)).count()
    }

    /// Looks at records as a handler does.
    pub fn read<T>(&mut self, look: impl Fn(&Node, &mut Tx<'_>) -> Run<T>) -> T {
        let mut view = View::default();
        loop {
            let idle = |_: &_| false;
            let mut tx = Tx::new(self.now, [7; 32], &view, &idle);
            match look(self.pump.node(), &mut tx) {
                Ok(value) => return value,
                Err(Halt::Need(Fetch::Keys(keys))) => {
                    for key in keys {
                        let record = self.disk.rows.get(&key).cloned();
                        view.insert(key, record);
                    }
                }
                Err(Halt::Need(Fetch::Prefix { prefix, limit })) => {
                    let rows = self.disk.rows(&prefix, limit).unwrap();
                    view.insert_prefix(prefix, limit, rows);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

pub(crate) const TOKEN_JSON: &str = r#"{"access_token":"A","id_token":"I","refresh_token":"R","scope":"write"}"#;

/// A phone: fresh keys, as the app makes them for each call.
pub(crate) struct Phone {
    pub publish: KeyPair,
    pub device: KeyPair,
}

/// A phone that is logged in.
pub(crate) struct LoggedIn {
    pub llt: String,
    pub device: DeviceId,
    pub server_publish: PublicKey,
    pub message: String,
}

impl Phone {
    pub fn new(seed: u8) -> Self {
        let mut rng = ChaCha20Rng::from_seed([seed; 32]);
        Self { publish: KeyPair::generate(&mut rng), device: KeyPair::generate(&mut rng) }
    }

    pub fn keys(&self) -> ClientKeys {
        // Android's base64 ends with a line feed.
        let text = |pair: &KeyPair| format!("{}\n", pair.public().to_base64()).into();
        ClientKeys { publish: text(&self.publish), device_id: text(&self.device) }
    }

    /// What the phone makes of a login's answer.
    pub fn log_in(&self, reply: Reply, identifier: &str) -> LoggedIn {
        let Reply::Account(AccountReply::Session { message, llt, server_publish, server_device_id }) = reply else {
            panic!("no session: {reply:?}")
        };
        let shared = self.shared(&server_device_id);
        let opened = llt::open(&shared, llt.reveal()).unwrap();
        LoggedIn {
            llt: opened.plaintext.to_string(),
            device: DeviceId(relaymesh_ratchet::device_id(&shared, identifier, &self.device.public())),
            server_publish: PublicKey::from_base64_lenient(&server_publish).unwrap(),
            message,
        }
    }

    fn shared(&self, server: &str) -> SharedSecret {
        agree(self.device.secret(), &PublicKey::from_base64_lenient(server).unwrap()).unwrap()
    }
}

pub(crate) fn phone_number(number: &str) -> Identity {
    Identity { phone_number: number.into(), email_address: "".into() }
}

pub(crate) fn email(address: &str) -> Identity {
    Identity { phone_number: "".into(), email_address: address.into() }
}

pub(crate) fn create(phone: &Phone, proof: &str) -> AccountCommand {
    AccountCommand::Create {
        identity: phone_number("+237 650 12 34 56"),
        country_code: "cm".to_owned(),
        password: PASSWORD.into(),
        keys: phone.keys(),
        proof: proof.into(),
        captcha: "".into(),
    }
}

pub(crate) fn authenticate(phone: &Phone, password: &str, proof: &str) -> AccountCommand {
    AccountCommand::Authenticate {
        identity: phone_number(PHONE),
        password: password.into(),
        keys: phone.keys(),
        proof: proof.into(),
        captcha: "".into(),
    }
}

pub(crate) fn reset(phone: &Phone, password: &str, proof: &str) -> AccountCommand {
    AccountCommand::ResetPassword {
        identity: phone_number(PHONE),
        new_password: password.into(),
        keys: phone.keys(),
        proof: proof.into(),
        captcha: "".into(),
    }
}

pub(crate) fn refused(reply: &Reply) -> (Code, &str) {
    match reply {
        Reply::Refused(refusal) => (refusal.code, refusal.text.as_str()),
        other => panic!("not refused: {other:?}"),
    }
}

pub(crate) fn is_proof_required(reply: &Reply) -> bool {
    matches!(reply, Reply::Account(AccountReply::ProofRequired { .. }))
}

/// Signs [`PHONE`] up.
pub(crate) fn signed_up(world: &mut World) -> (Phone, LoggedIn) {
    let phone = Phone::new(1);
    assert!(is_proof_required(&world.account(create(&phone, ""))));
    let code = world.code();
    let reply = world.account(create(&phone, &code));
    let logged_in = phone.log_in(reply, PHONE);
    (phone, logged_in)
}

/// Logs [`PHONE`] in on another phone.
pub(crate) fn logged_in(world: &mut World, seed: u8) -> (Phone, LoggedIn) {
    let phone = Phone::new(seed);
    let reply = world.account(authenticate(&phone, PASSWORD, ""));
    assert!(is_proof_required(&reply), "{reply:?}");
    let code = world.code();
    let reply = world.account(authenticate(&phone, PASSWORD, &code));
    let logged_in = phone.log_in(reply, PHONE);
    (phone, logged_in)
}
