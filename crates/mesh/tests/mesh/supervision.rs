use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, Transport as _, TransportError, TransportEvent};
use libp2p::core::upgrade::Version;
use libp2p::{Multiaddr, PeerId, noise, tcp, yamux};
use relaymesh_mesh::{Command, Config, Event, Transport, Unanswered};

use crate::node::{Node, config, free_port, tcp as tcp_config};

type Connected = (PeerId, StreamMuxerBox);

/// Does not go off.
const SAFE: u8 = 0;
/// Goes off in the swarm's own task.
const IN_SWARM: u8 = 1;
/// Goes off in the task that the swarm spawns for the connection.
const IN_CONNECTION: u8 = 2;

/// A transport that panics once, when it is armed and asked to dial.
struct Bomb {
    inner: Boxed<Connected>,
    armed: Arc<AtomicU8>,
}

impl libp2p::core::Transport for Bomb {
    type Output = Connected;
    type Error = io::Error;
    type ListenerUpgrade = BoxFuture<'static, io::Result<Connected>>;
    type Dial = BoxFuture<'static, io::Result<Connected>>;

    fn listen_on(&mut self, id: ListenerId, addr: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, addr)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, addr: Multiaddr, opts: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        match self.armed.swap(SAFE, Ordering::SeqCst) {
            IN_SWARM => panic!("this panic is part of a test"),
            IN_CONNECTION => Ok(async { panic!("this panic is part of a test") }.boxed()),
            _ => self.inner.dial(addr, opts).map(FutureExt::boxed),
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.inner).poll(cx).map(|event| event.map_upgrade(FutureExt::boxed))
    }
}

fn bomb(armed: &Arc<AtomicU8>) -> Transport {
    let armed = armed.clone();
    Transport::new(move |identity| {
        let inner = tcp::tokio::Transport::new(tcp::Config::default())
            .upgrade(Version::V1)
            .authenticate(noise::Config::new(identity).map_err(io::Error::other)?)
            .multiplex(yamux::Config::default())
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed();
        Ok(Bomb { inner, armed: armed.clone() }.boxed())
    })
}

#[tokio::test]
async fn a_panic_costs_the_connections_and_nothing_else() {
    let armed = Arc::new(AtomicU8::new(SAFE));
    let mut a = Node::on(bomb(&armed), 1, config(&[&format!("/ip4/127.0.0.1/tcp/{}", free_port())]));
    let mut b = Node::start(2, tcp_config());
    let nowhere = Node::start(3, Config::default()).id();
    let (a_at, b_at) = (a.listening().await, b.listening().await);
    a.tell(Command::Members {
        allow: vec![(b.id(), vec![b_at]), (nowhere, vec!["/ip4/127.0.0.1/tcp/9".into()])],
        open: false,
    });
    b.tell(Command::Members { allow: vec![(a.id(), vec![a_at.clone()])], open: false });
    a.ask(&mut b, 1).await;
    a.connected(b.id()).await;

    // one request of ours and one of theirs are under way when it happens
    a.send(b.id(), 2);
    b.asked().await;
    b.send(a.id(), 3);
    let (_, stale, _) = a.asked().await;
    armed.store(IN_SWARM, Ordering::SeqCst);
    let start = Instant::now();
    a.send(nowhere, 4);

    assert_eq!(a.unanswered(2).await, Unanswered::Closed);
    assert_eq!(a.unanswered(4).await, Unanswered::Closed);
    a.disconnected(b.id()).await;
    a.wait("Restarted", |event| (*event == Event::Restarted { panics: 1 }).then_some(())).await;
    assert_eq!(a.listening().await, a_at);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(b.unanswered(3).await, Unanswered::Closed);

    // members and listeners are as before, in both directions, and an old question's channel leads nowhere
    a.tell(Command::Respond { channel: stale, frame: relaymesh_protocol::frame::Response::Noted });
    b.ask(&mut a, 5).await;
    a.ask(&mut b, 6).await;
}

#[tokio::test]
async fn a_panic_in_a_connections_task_leaves_no_request_stuck() {
    let armed = Arc::new(AtomicU8::new(IN_CONNECTION));
    let mut a = Node::on(bomb(&armed), 1, Config::default());
    let mut b = Node::start(2, tcp_config());
    let at = b.listening().await;
    a.introduce(&b, &[&at]);
    let start = Instant::now();
    a.send(b.id(), 1);
    assert_eq!(a.unanswered(1).await, Unanswered::Closed);
    a.wait("Restarted", |event| (*event == Event::Restarted { panics: 1 }).then_some(())).await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    a.ask(&mut b, 2).await;
}

#[tokio::test]
async fn panics_one_after_another_are_survived() {
    let armed = Arc::new(AtomicU8::new(SAFE));
    let mut a = Node::on(bomb(&armed), 1, Config::default());
    let mut b = Node::start(2, tcp_config());
    let at = b.listening().await;
    a.introduce(&b, &[&at]);
    for panics in 1..=4 {
        armed.store(IN_SWARM, Ordering::SeqCst);
        a.send(b.id(), panics);
        assert_eq!(a.unanswered(panics).await, Unanswered::Closed);
        a.wait("Restarted", |event| (*event == Event::Restarted { panics }).then_some(())).await;
    }
    a.ask(&mut b, 10).await;
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_restart() {
    let armed = Arc::new(AtomicU8::new(IN_SWARM));
    let a = Node::on(bomb(&armed), 1, Config::default());
    let b = Node::start(2, Config::default());
    a.introduce(&b, &["/ip4/127.0.0.1/tcp/9"]);
    a.send(b.id(), 1);
    tokio::time::timeout(Duration::from_secs(5), a.handle.shutdown()).await.unwrap();
}
