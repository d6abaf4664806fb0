//! The home's work on a message, without network: envelopes that another node sealed go into the core over a real store.
//! What counts is a publication that leaves: envelope opened, ratchet advanced, message and job durable, job durably begun,
//! receipt sealed. What the platform would answer is not part of it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_core::batch::{Batch, Outcome, Write};
use relaymesh_core::command::{Command, Door, OperatorCommand, OperatorReply, Reply, Submit, Submitted};
use relaymesh_core::crypto::RealCrypto;
use relaymesh_core::{Input, Load, Loaded, Node, Output, Pump, ReplyTo, Unavailable, Work, WorkDone, gateway_id};
use relaymesh_protocol::frame::{Carried, Taken};
use relaymesh_protocol::ids::Timestamp;
use relaymesh_store::{Completion, CompletionSink, Config, Precondition, Read as _, Store, Version};

use super::Scale;
use super::people::{Membership, Phone, resident};
use super::row::{Budget, Row};
use super::world::{Disk, START, World, config, keyring, restore};

/// People who write: an ingress offers 32 messages of one sender at a time, and nobody answers it here.
const PEOPLE: u32 = 640;
/// Messages, or batches of the baseline, under way at a time: the store's queue has room for them, and so has each person's
/// queue in the core.
const IN_FLIGHT_MAX: usize = 512;
/// The store is given up after so long without a word.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
/// Connections are never closed here.
const SILENCE: Duration = Duration::from_secs(3_600);

pub fn rows() -> Vec<Row> {
    vec![Row::new("home only: decrypt + commit + job", "messages/s", Budget::AtLeast(3_000.0))]
}

pub fn measure(scale: Scale, rows: &mut [Row]) -> Result<()> {
    let count = scale.pick(3_000, 20_000);
    let Prepared { envelopes, mut home } = prepare(count)?;
    let begun = Instant::now();
    home.take(envelopes)?;
    let value = count as f64 / begun.elapsed().as_secs_f64();
    let batches = std::mem::take(&mut home.batches);
    let per_message = batches.len() as f64 / count as f64;
    let baseline = count as f64 / alone(batches)?.as_secs_f64();
    if let [row] = rows {
        let note = format!(
            "in process, one core loop; {per_message:.1} durable batches a message; baseline: the same batches through the store alone"
        );
        row.set(value, Some(baseline), note);
    }
    Ok(())
}

struct Prepared {
    envelopes: Vec<Carried>,
    home: Home,
}

/// Two members of a mesh; people of the second write through the first, and what it seals for them is kept.
fn prepare(count: usize) -> Result<Prepared> {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let (settings, keys) = (config("home", 2), keyring(2));
    let mut disk = Disk::default();
    let empty = Node::new(settings.clone(), keys.clone(), Arc::new(RealCrypto), START);
    let mut phones = Vec::new();
    for n in 0..PEOPLE {
        let at = Membership { account: format!("user{n}@mastodon.test"), token: "token".to_owned() };
        let (phone, batch) = resident(&empty, n, at, START, &mut rng)?;
        disk.write(batch);
        phones.push(phone);
    }
    let mut world = World::new(SILENCE);
    let ingress = world.add(config("ingress", 1), keyring(1), Disk::default());
    let home = world.add(settings, keys, disk);
    world.join(home, ingress)?;
    world.run_for(Duration::from_secs(180));
    world.catch = Some(home);
    submit(&mut world, ingress, &mut phones, count)?;
    let mut envelopes = std::mem::take(&mut world.caught);
    ensure!(envelopes.len() >= count, "the ingress sealed {} of {count} messages", envelopes.len());
    envelopes.truncate(count);
    Ok(Prepared { envelopes, home: Home::new(&world, home)? })
}

fn submit(world: &mut World, ingress: usize, phones: &mut [Phone], count: usize) -> Result<()> {
    let add = OperatorCommand::GatewayAdd {
        name: "modem".to_owned(),
        msisdn: "+237699000000".into(),
        country: None,
        operator: None,
    };
    let OperatorReply::GatewayAdded { path, .. } = world.operate(ingress, add)? else {
        bail!("the ingress enrols no gateway client")
    };
    let door = Door::Gateway(gateway_id(path.reveal().split('/').nth(2).context("a URL has a token")?));
    for n in 0..count {
        let at = n % phones.len();
        let phone = phones.get_mut(at).context("there are people")?;
        let text = phone.compose(&format!("message {n} of the benchmark, as long as people write them on a phone"))?;
        let (text, sender) = (text.into(), phone.number.reveal().into());
        world.send(ingress, Command::Submit(Submit { door, text, sender, date: None, date_sent: None }));
        world.run_for(Duration::from_millis(1));
    }
    world.run_for(Duration::from_millis(200));
    let refused =
        world.take_replies().into_iter().find(|reply| !matches!(reply, Reply::Submitted(Submitted::Accepted { .. })));
    refused.map_or(Ok(()), |reply| bail!("the ingress answered {reply:?}"))
}

/// The home over a real store, in a loop as the running node's.
struct Home {
    pump: Pump,
    store: Store,
    rows: Rows,
    completions: Receiver<Vec<Completion>>,
    under_way: usize,
    published: usize,
    /// What comes back to the core: carried receipts.
    inputs: Vec<Input>,
    /// Everything that was written.
    batches: Vec<relaymesh_store::Batch>,
    clock: (Timestamp, Instant),
    _dir: tempfile::TempDir,
}

struct Ear(Sender<Vec<Completion>>);

impl CompletionSink for Ear {
    fn completed(&mut self, done: Vec<Completion>) {
        // Nobody listens after the end.
        let _ = self.0.send(done);
    }
}

struct Rows(Store);

impl Load for Rows {
    fn get(&mut self, key: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Unavailable> {
        let record = self.0.get(key).map_err(|_| Unavailable)?;
        Ok(record.map(|record| (record.version.0, record.value)))
    }

    fn rows(&mut self, prefix: &[u8], limit: usize) -> Result<Loaded, Unavailable> {
        let rows = self.0.scan(prefix, None, limit).map_err(|_| Unavailable)?;
        Ok(rows.into_iter().map(|(key, record)| (key, record.version.0, record.value)).collect())
    }
}

fn open() -> Result<(tempfile::TempDir, Store, Receiver<Vec<Completion>>)> {
    let dir = tempfile::tempdir().context("no temporary directory")?;
    let (ear, completions) = channel();
    let store = Store::open(Config::new(dir.path().join("store")), Ear(ear)).context("the store cannot be opened")?;
    Ok((dir, store, completions))
}

impl Home {
    fn new(world: &World, index: usize) -> Result<Self> {
        let sim = world.nodes.get(index).context("the home is there")?;
        let (dir, store, completions) = open()?;
        for rows in sim.disk.rows.iter().collect::<Vec<_>>().chunks(256) {
            let put = |batch: relaymesh_store::Batch, (key, (_, value)): &(&Vec<u8>, &(u64, Vec<u8>))| {
                batch.put((*key).clone(), value.clone())
            };
            let batch = rows.iter().fold(relaymesh_store::Batch::new(), put);
            ensure!(store.apply(batch) == relaymesh_store::Outcome::Ok, "the store took no records");
        }
        let node = Node::new(sim.config.clone(), sim.keyring.clone(), Arc::new(RealCrypto), world.now);
        let mut home = Self {
            pump: Pump::new(node, [9; 32]),
            rows: Rows(store.clone()),
            store,
            completions,
            under_way: 0,
            published: 0,
            inputs: Vec::new(),
            batches: Vec::new(),
            clock: (world.now, Instant::now()),
            _dir: dir,
        };
        restore(&mut home.pump, &mut home.rows, world.now);
        home.perform()?;
        while home.under_way > 0 {
            home.hear()?;
        }
        home.batches.clear();
        Ok(home)
    }

    /// Takes all envelopes and comes back when each has led to a publication.
    fn take(&mut self, envelopes: Vec<Carried>) -> Result<()> {
        let (count, mut fed) = (envelopes.len(), 0);
        let mut envelopes = (1..).map(ReplyTo).zip(envelopes);
        while self.published < count {
            while fed - self.published < IN_FLIGHT_MAX {
                let Some((reply, carried)) = envelopes.next() else { break };
                fed += 1;
                self.feed(Input::Envelope { reply, from: None, carried })?;
            }
            if self.under_way == 0 {
                bail!("{} of {count} messages were published: {:?}", self.published, self.pump.node().counters());
            }
            self.hear()?;
        }
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.clock.0.after(self.clock.1.elapsed())
    }

    fn feed(&mut self, input: Input) -> Result<()> {
        self.pump.feed(input, self.now(), &mut self.rows);
        self.perform()
    }

    /// Waits for what the store has done, and goes on from there.
    fn hear(&mut self) -> Result<()> {
        let done = self.completions.recv_timeout(STORE_PATIENCE).context("the store does not answer")?;
        for Completion { token, outcome } in done {
            self.under_way -= 1;
            ensure!(outcome == relaymesh_store::Outcome::Ok, "the store refused a batch: {outcome:?}");
            self.pump.persisted(token, Outcome::Ok, self.now(), &mut self.rows);
            self.perform()?;
        }
        self.pump.tick(self.now(), &mut self.rows);
        self.perform()
    }

    fn perform(&mut self) -> Result<()> {
        loop {
            while let Some(output) = self.pump.poll_output() {
                self.on_output(output)?;
            }
            let Some(input) = self.inputs.pop() else { return Ok(()) };
            self.pump.feed(input, self.now(), &mut self.rows);
        }
    }

    fn on_output(&mut self, output: Output) -> Result<()> {
        match output {
            Output::Persist { token, batch } => {
                let batch = convert(batch);
                self.batches.push(batch.clone());
                self.store.submit(token, batch).context("the store does not take a batch")?;
                self.under_way += 1;
            }
            Output::Carry { to, envelope, .. } => {
                self.inputs.push(Input::Carried { to, envelope, taken: Ok(Taken::Yes) })
            }
            Output::Work { work: Work::Publish { .. }, .. } => self.published += 1,
            Output::SaveKeys { id, .. } => self.inputs.push(Input::Worked { id, done: WorkDone::KeysSaved(Ok(())) }),
            _ => {}
        }
        Ok(())
    }
}

fn convert(batch: Batch) -> relaymesh_store::Batch {
    let write = |write| match write {
        Write::Put { key, value } => relaymesh_store::Write::Put { key, value },
        Write::Delete { key } => relaymesh_store::Write::Delete { key },
    };
    relaymesh_store::Batch {
        expects: batch.expects.into_iter().map(|(key, at)| Precondition { key, version: Version(at) }).collect(),
        writes: batch.writes.into_iter().map(write).collect(),
    }
}

/// How long the store alone takes for these writes, as many at a time.
fn alone(batches: Vec<relaymesh_store::Batch>) -> Result<Duration> {
    let (_dir, store, completions) = open()?;
    let mut left = batches.len();
    let mut batches = (1..).zip(batches);
    let mut under_way = 0;
    let begun = Instant::now();
    while left > 0 {
        while under_way < IN_FLIGHT_MAX {
            let Some((token, mut batch)) = batches.next() else { break };
            batch.expects.clear();
            store.submit(token, batch).context("the store does not take a batch")?;
            under_way += 1;
        }
        let done = completions.recv_timeout(STORE_PATIENCE).context("the store does not answer")?.len();
        (left, under_way) = (left - done, under_way - done);
    }
    Ok(begun.elapsed())
}
