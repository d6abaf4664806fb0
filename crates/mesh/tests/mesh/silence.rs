//! Peers that are gone without a word, and connections that are kept for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use relaymesh_mesh::{Config, Event, Unanswered};
use relaymesh_protocol::frame::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::node::{Node, tcp};

/// A way between two nodes that can swallow everything without closing, as a pulled plug or a forgetful NAT does.
struct Way {
    addr: String,
    /// Connections made before swallowing began are swallowed for ever.
    swallows: Arc<AtomicU64>,
}

impl Way {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port());
        let swallows = Arc::new(AtomicU64::new(0));
        let mark = swallows.clone();
        tokio::spawn(async move {
            for number in 1.. {
                let (near, _) = listener.accept().await.unwrap();
                let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                tokio::spawn(carry(near_read, far_write, number, mark.clone()));
                tokio::spawn(carry(far_read, near_write, number, mark.clone()));
            }
        });
        Self { addr, swallows }
    }

    fn swallow(&self, up_to: u64) {
        self.swallows.store(up_to, Ordering::SeqCst);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, number: u64, swallows: Arc<AtomicU64>) {
    let mut buffer = [0; 4096];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        if swallows.load(Ordering::SeqCst) >= number {
            // neither bytes nor an end get through
            std::future::pending::<()>().await;
        }
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

fn port(addr: &str) -> u16 {
    addr.split('/').nth(4).unwrap().parse().unwrap()
}

fn is_end(event: &Event) -> Option<()> {
    matches!(event, Event::Disconnected { .. }).then_some(())
}

#[tokio::test]
async fn one_request_finds_out_that_a_peer_has_vanished_and_the_next_dials_anew() {
    let quick = Config { request_timeout: Duration::from_secs(1), ..Config::default() };
    let (mut a, mut b) = (Node::start(1, quick), Node::start(2, tcp()));
    let way = Way::to(port(&b.listening().await)).await;
    a.introduce(&b, &[&way.addr]);
    a.ask(&mut b, 1).await;
    way.swallow(1);
    a.never("Disconnected", Duration::from_millis(200), is_end).await;
    a.send(b.id(), 2);
    assert_eq!(a.unanswered(2).await, Unanswered::TimedOut);
    a.disconnected(b.id()).await;
    a.ask(&mut b, 3).await;
}

#[tokio::test]
async fn a_slow_answer_beside_quick_ones_ends_nothing() {
    let quick = Config { request_timeout: Duration::from_secs(1), ..Config::default() };
    let (mut a, mut b) = (Node::start(1, quick), Node::start(2, tcp()));
    let at = b.listening().await;
    a.introduce(&b, &[&at]);
    a.send(b.id(), 1);
    let (_, slow, _) = b.asked().await;
    for id in 2..5 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        a.ask(&mut b, id).await;
    }
    assert_eq!(a.unanswered(1).await, Unanswered::TimedOut);
    b.tell(relaymesh_mesh::Command::Respond { channel: slow, frame: Response::Noted });
    a.ask(&mut b, 5).await;
    a.never("Disconnected", Duration::from_millis(200), is_end).await;
}

#[tokio::test]
async fn the_quietest_connection_makes_room_for_another() {
    let narrow = Config { max_outbound: 2, ..Config::default() };
    let mut a = Node::start(1, narrow);
    let mut others: Vec<Node> = (2..=4).map(|seed| Node::start(seed, tcp())).collect();
    let mut allow = Vec::new();
    for other in &mut others {
        allow.push((other.id(), vec![other.listening().await]));
        other.tell(relaymesh_mesh::Command::Members { allow: vec![(a.id(), Vec::new())], open: false });
    }
    a.tell(relaymesh_mesh::Command::Members { allow, open: false });
    for (id, other) in (1..).zip(&mut others) {
        a.ask(other, id).await;
    }
    a.disconnected(others[0].id()).await;
    a.ask(&mut others[1], 4).await;
    a.never("another end", Duration::from_millis(200), is_end).await;
}
