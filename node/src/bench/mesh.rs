//! From the SMS at one node to the post of a person whose home is another: three node processes, a platform on this
//! machine, and people who were written into the home's files beforehand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_publish::sink::{Sink, SinkHandle};
use serde_json::json;
use std::net::Ipv4Addr;

use super::Scale;
use super::load::{self, Line};
use super::people::{Membership, Phone, resident};
use super::proc;
use super::ratchet::middle;
use super::row::{Budget, Row};
use super::stage::{Stage, doors, fill};
use crate::demo::kit::gateway::epoch_ms;
use crate::demo::kit::mesh as operator;
use crate::demo::kit::settings;
use relaymesh_protocol::ids::Timestamp;

/// People who write.
const PEOPLE: u32 = 128;
/// Gateway clients.
const CLIENTS: u32 = 16;
/// Connections that hand SMS in.
const CONNECTIONS: usize = 32;
/// Messages on their way at a time: a closed loop, so that what is measured is the rate that lasts.
const ON_THEIR_WAY_MAX: usize = 256;
/// Posts that are made directly at the platform, for the baseline.
const DIRECT_CONNECTIONS: usize = 32;
/// No post for so long, and the run is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two messages of the slow run.
const PACE: Duration = Duration::from_millis(100);
/// How often the platform is looked at: often enough in the slow run that looking adds little to what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("end to end, 3 nodes, to a local platform", "messages/s", Budget::AtLeast(1_000.0)),
        Row::new("end to end, 3 nodes, p50 at 10/s", "ms", Budget::AtMost(50.0)),
        Row::new("CPU per message end to end, all nodes", "ms", Budget::AtMost(1.5)),
    ]
}

pub async fn measure(scale: Scale, rows: &mut [Row]) -> Result<()> {
    let sink = Sink::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), None).await.context("no platform")?;
    let mut run = Run::prepare(sink).await?;
    run.warm_up().await?;
    let (before, count) = (run.cpu()?, scale.pick(1_500, 10_000));
    let rate = run.fast(count).await?;
    let cpu_ms = (run.cpu()? - before).as_secs_f64() * 1e3 / count as f64;
    let p50 = run.slow(scale.pick(30, 150)).await?;
    let direct = run.direct(scale.pick(1_500, 10_000)).await?;
    if let [throughput, latency, cpu] = rows {
        throughput.set(
            rate,
            Some(direct.per_second),
            "baseline: the same number of posts made at the platform directly",
        );
        latency.set(p50, Some(direct.p50_ms), "baseline: a post made at the platform directly");
        let note = "user and kernel time of the three processes during the fast run; \
                    baseline: of a post made at the platform directly, both ends";
        cpu.set(cpu_ms, Some(direct.cpu_ms), note);
    }
    drop(run.stage);
    run.sink.shutdown().await;
    Ok(())
}

/// Of posts that are made at the platform directly.
struct Direct {
    per_second: f64,
    p50_ms: f64,
    cpu_ms: f64,
}

struct Run {
    stage: Stage,
    sink: SinkHandle,
    phones: Vec<Phone>,
    doors: Vec<(SocketAddr, String)>,
    composed: usize,
}

impl Run {
    /// Ingress, bystander and home, of three instances, in one mesh.
    async fn prepare(sink: SinkHandle) -> Result<Self> {
        let mut stage = Stage::new(3, |dir| {
            let budget = "\n[sms.budget]\nper_day = 1000000\nper_country_per_day = 1000000\n";
            settings::local(&sink, &dir.path().join("sms-outbox.jsonl")) + budget
        })
        .await?;
        let instance = sink.addr().to_string().replace(':', "_");
        let accounts = (0..PEOPLE).map(|n| (n, sink.token(&format!("user{n}")))).collect::<Vec<_>>();
        let phones = fill(stage.node(2)?, |core, put| {
            let mut rng = ChaCha20Rng::seed_from_u64(7);
            let mut phones = Vec::new();
            for (n, token) in accounts {
                let at = Membership { account: format!("user{n}@{instance}"), token };
                let (phone, batch) = resident(core, n, at, Timestamp(epoch_ms()), &mut rng)?;
                put(batch)?;
                phones.push(phone);
            }
            Ok(phones)
        })?;
        for node in &mut stage.nodes {
            node.start().await?;
            operator::identify(node).await?;
        }
        let [ingress, bystander, home] = stage.nodes.as_slice() else { bail!("there are three nodes") };
        operator::join(home, ingress).await?;
        operator::join(home, bystander).await?;
        operator::connected(ingress, &home.peer_id).await?;
        let doors = doors(ingress, CLIENTS).await?;
        Ok(Self { stage, sink, phones, doors, composed: 0 })
    }

    /// The next messages, everybody's in turn, as requests.
    fn requests(&mut self, count: usize) -> Result<Vec<Vec<u8>>> {
        let mut requests = Vec::with_capacity(count);
        for _ in 0..count {
            let n = self.composed;
            self.composed += 1;
            let (at, door) = (n % self.phones.len(), n % self.doors.len());
            let phone = self.phones.get_mut(at).context("there are people")?;
            let text =
                phone.compose(&format!("message {n} of the benchmark, as long as people write them on a phone"))?;
            let (_, path) = self.doors.get(door).context("the ingress has doors")?;
            let now = epoch_ms();
            let body = json!({ "address": phone.number.reveal(), "text": text, "date": now, "date_sent": now });
            requests.push(load::request(path, "", &body));
        }
        Ok(requests)
    }

    fn at(&self) -> Result<SocketAddr> {
        Ok(self.doors.first().context("the ingress has doors")?.0)
    }

    fn posts(&self) -> usize {
        usize::try_from(self.sink.post_count()).unwrap_or(usize::MAX)
    }

    /// Everybody's first message: their home is found, and their ratchet is under way.
    async fn warm_up(&mut self) -> Result<()> {
        self.fast(self.phones.len()).await.map(drop).context("the first messages")
    }

    /// Messages per second, from the first SMS to the last post.
    async fn fast(&mut self, count: usize) -> Result<f64> {
        let requests = Arc::new(self.requests(count)?);
        let (at, before, next) = (self.at()?, self.posts(), Arc::new(AtomicUsize::new(0)));
        let published = Arc::new(AtomicUsize::new(0));
        let begun = Instant::now();
        let senders = (0..CONNECTIONS).map(|_| {
            let (requests, next, published) = (Arc::clone(&requests), Arc::clone(&next), Arc::clone(&published));
            tokio::spawn(send(at, requests, next, published))
        });
        let senders = senders.collect::<Vec<_>>();
        let (mut done, mut since) = (0, Instant::now());
        while done < count {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.posts() - before;
            if now > done {
                (done, since) = (now, Instant::now());
                published.store(done, Ordering::Release);
            }
            if since.elapsed() > PATIENCE {
                senders.iter().for_each(tokio::task::JoinHandle::abort);
                bail!("{done} of {count} messages were published, then none for {} s", PATIENCE.as_secs());
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        for sent in try_join_all(senders).await.context("a sender panicked")? {
            sent?;
        }
        Ok(count as f64 / seconds)
    }

    /// The middle time from SMS to post, in milliseconds, while little goes on.
    async fn slow(&mut self, count: usize) -> Result<f64> {
        let requests = self.requests(count)?;
        let mut line = Line::connect(self.at()?).await?;
        let mut millis = Vec::new();
        for request in requests {
            let (before, begun) = (self.posts(), Instant::now());
            accepted(line.send(&request).await?)?;
            while self.posts() == before {
                tokio::time::sleep(LOOK_EVERY).await;
                ensure!(begun.elapsed() < PATIENCE, "a message was not published within {} s", PATIENCE.as_secs());
            }
            millis.push(begun.elapsed().as_secs_f64() * 1e3);
            tokio::time::sleep(PACE.saturating_sub(begun.elapsed())).await;
        }
        Ok(middle(&mut millis))
    }

    /// Posts without any node.
    async fn direct(&self, count: usize) -> Result<Direct> {
        let token = self.sink.token("user0");
        let request = |n: usize| {
            let headers = format!("authorization: Bearer {token}\r\nidempotency-key: direct-{n}\r\n");
            load::request("/api/v1/statuses", &headers, &json!({ "status": format!("direct post {n}") }))
        };
        let requests = (0..count).map(request).collect();
        let before = proc::cpu(std::process::id())?;
        let fast = load::run(self.sink.addr(), DIRECT_CONNECTIONS, requests).await?;
        let cpu_ms = (proc::cpu(std::process::id())? - before).as_secs_f64() * 1e3 / count as f64;
        let mut line = Line::connect(self.sink.addr()).await?;
        let mut millis = Vec::new();
        for n in 0..50 {
            let begun = Instant::now();
            accepted(line.send(&request(count + n)).await?)?;
            millis.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ok(Direct { per_second: fast.per_second, p50_ms: middle(&mut millis), cpu_ms })
    }

    /// Processor time of all nodes so far.
    fn cpu(&self) -> Result<Duration> {
        let pids = self.stage.nodes.iter().map(|node| node.pid().context("a node has ended"));
        pids.map(|pid| proc::cpu(pid?)).sum()
    }
}

/// Sends requests until there are none, as long as not too many are on their way.
async fn send(
    at: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
    published: Arc<AtomicUsize>,
) -> Result<()> {
    let mut line = Line::connect(at).await?;
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::AcqRel)) {
        accepted(line.send(request).await?)?;
        while next.load(Ordering::Acquire).saturating_sub(published.load(Ordering::Acquire)) > ON_THEIR_WAY_MAX {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

fn accepted(status: u16) -> Result<()> {
    ensure!((200..300).contains(&status), "the answer was {status}");
    Ok(())
}
