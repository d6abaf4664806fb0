//! What two nodes cost each other on a wire, measured: two real swarms on the loopback interface, whose sockets count what
//! goes over them.
//!
//! What TCP and IP add cannot be read there without privileges, so the most that they can add is taken: each write is a
//! packet of its own (sockets do not wait for more), each full segment more is another, and each packet is acknowledged by
//! one that carries nothing. In truth many acknowledgements ride on the answer.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use relaymesh_mesh::{Command, Config, Event, Handle, Mesh, Tally, counting_transport};
use relaymesh_protocol::frame::{Request, Response};
use relaymesh_protocol::ids::NodeId;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::cbor;

/// IPv4 and TCP headers with time stamps.
const HEADERS: u64 = 20 + 20 + 12;
/// Bytes in a full segment on Ethernet.
const SEGMENT: u64 = 1_500 - HEADERS;
/// A connection beside what is written to it: three packets to open it, two of them with more options, four to end it.
const TCP_CONNECTION: u64 = 60 + 60 + HEADERS + 4 * HEADERS;
/// Nothing is under way any more after so long: identify, and the last packets of a stream.
const CALM: Duration = Duration::from_millis(700);
/// Requests that the cost of one is taken from.
const REQUESTS: u64 = 100;
/// Pings that the cost of one is taken from, and the pause between them.
const PINGS: u32 = 10;
const PING_EVERY: Duration = Duration::from_millis(500);
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes on a link, both directions together, TCP/IP headers included.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// A connection made, used for nothing and closed: handshakes, identify and the first pings.
    pub connection: f64,
    /// A request and its answer, beside their CBOR.
    pub exchange: f64,
    /// A ping of one side and its answer.
    pub ping: f64,
}

/// Measures all of it.
pub async fn measure() -> Result<Costs> {
    let mut pair = Pair::connect(None).await?;
    let begun = pair.bytes();
    pair.ask(REQUESTS).await?;
    sleep(CALM).await;
    let question = cbor::length(&question()) + cbor::length(&Response::Noted);
    let exchange = (pair.bytes() - begun) as f64 / REQUESTS as f64 - question as f64;
    let connected = begun as f64 - exchange - question as f64;
    let before = pair.bytes();
    pair.part().await?;
    let connection = TCP_CONNECTION as f64 + connected + (pair.bytes() - before) as f64;
    let pair = Pair::connect(Some(PING_EVERY)).await?;
    // Between two pings.
    sleep((2 * PING_EVERY).saturating_sub(CALM) + PING_EVERY / 2).await;
    let begun = pair.bytes();
    sleep(PING_EVERY * PINGS).await;
    let ping = (pair.bytes() - begun) as f64 / f64::from(2 * PINGS);
    Ok(Costs { connection, exchange, ping })
}

fn question() -> Request {
    Request::WhoHolds { keys: vec![1] }
}

/// Two nodes, and all bytes that either sent.
struct Pair {
    tallies: [Arc<Tally>; 2],
    asker: (Handle, mpsc::Receiver<Event>),
    asked: NodeId,
}

impl Pair {
    /// Two that have talked once, some time ago.
    async fn connect(ping_every: Option<Duration>) -> Result<Self> {
        let tallies = [Arc::<Tally>::default(), Arc::default()];
        let external = vec!["/ip4/192.0.2.1/tcp/4001".to_owned()];
        let config = Config { ping_every, external, ..Config::default() };
        let listening = Config { listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()], ..config.clone() };
        let (asked, mut events) = Mesh::start(listening, [2; 32], counting_transport(&tallies[1]))?;
        let asker = Mesh::start(config, [1; 32], counting_transport(&tallies[0]))?;
        let addr = wait(&mut events, |event| match event {
            Event::Listening { addr } => Some(addr),
            _ => None,
        })
        .await?;
        let members = |node, addrs| Command::Members { allow: vec![(node, addrs)], open: false };
        asker.0.try_send(members(asked.node(), vec![addr]))?;
        asked.try_send(members(asker.0.node(), Vec::new()))?;
        let mut pair = Self { tallies, asker, asked: asked.node() };
        tokio::spawn(answer(asked, events));
        pair.ask(1).await?;
        sleep(CALM).await;
        Ok(pair)
    }

    fn bytes(&self) -> u64 {
        let of = |tally: &Arc<Tally>| {
            let packets = tally.writes() + tally.sent() / SEGMENT;
            tally.sent() + packets * 2 * HEADERS
        };
        self.tallies.iter().map(of).sum()
    }

    async fn ask(&mut self, count: u64) -> Result<()> {
        for id in 0..count {
            self.asker.0.try_send(Command::Send { to: self.asked, id, frame: question() })?;
            let answer = |event| match event {
                Event::Answered { .. } => Some(true),
                Event::Unanswered { .. } => Some(false),
                _ => None,
            };
            if !wait(&mut self.asker.1, answer).await? {
                bail!("a request over the loopback interface got no answer");
            }
        }
        Ok(())
    }

    async fn part(&mut self) -> Result<()> {
        self.asker.0.try_send(Command::Disconnect(self.asked))?;
        wait(&mut self.asker.1, |event| matches!(event, Event::Disconnected { .. }).then_some(())).await?;
        sleep(CALM).await;
        Ok(())
    }
}

async fn answer(node: Handle, mut events: mpsc::Receiver<Event>) {
    while let Some(event) = events.recv().await {
        if let Event::Asked { channel, .. } = event
            && node.try_send(Command::Respond { channel, frame: Response::Noted }).is_err()
        {
            return;
        }
    }
}

async fn wait<T>(events: &mut mpsc::Receiver<Event>, mut pick: impl FnMut(Event) -> Option<T>) -> Result<T> {
    let search = async {
        loop {
            let event = events.recv().await.context("the swarm ended")?;
            if let Some(picked) = pick(event) {
                return Ok(picked);
            }
        }
    };
    timeout(PATIENCE, search).await.context("nothing happened on the loopback interface")?
}
