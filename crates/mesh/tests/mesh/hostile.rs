use std::time::Duration;

use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::request_response::{self, ProtocolSupport, cbor};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, StreamProtocol, Swarm, SwarmBuilder, noise, tcp as tcp_transport, yamux};
use relaymesh_mesh::{Command, Config, Event};
use relaymesh_protocol::frame::{Request, Response};
use relaymesh_protocol::ids::NodeId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::node::{Node, config, question, tcp};

fn port_of(addr: &str) -> u16 {
    addr.split('/').nth(4).unwrap().parse().unwrap()
}

async fn throw(port: u16, bytes: &[u8]) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // the node may close in the middle: that is its right
    let _ = socket.write_all(bytes).await;
    let _ = tokio::time::timeout(Duration::from_millis(100), socket.read(&mut [0; 64])).await;
}

/// Bytes that look like noise, the same in each run.
fn rubbish(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    })
    .take(len)
    .collect()
}

#[tokio::test]
async fn garbage_on_the_ports_does_not_end_the_task() {
    let mut b = Node::start(2, config(&["/ip4/127.0.0.1/tcp/0"]));
    let mut w = Node::start(3, config(&["/ip4/127.0.0.1/tcp/0/ws"]));
    let mut a = Node::start(1, Config::default());
    let (at, ws_at) = (b.listening().await, w.listening().await);
    let select: &[u8] = b"\x13/multistream/1.0.0\n";
    let noise: &[u8] = b"\x13/multistream/1.0.0\n\x07/noise\n";
    let mut half = noise.to_vec();
    half.extend_from_slice(&[0, 32]);
    half.extend_from_slice(&rubbish(17));
    let mut wrong = noise.to_vec();
    wrong.extend_from_slice(&[0xff; 70_000]);
    let upgrade: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let mut huge_message = upgrade.to_vec();
    huge_message.extend_from_slice(&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]);
    let huge = rubbish(1024 * 1024);
    for port in [port_of(&at), port_of(&ws_at)] {
        for bytes in [&rubbish(100), select, noise, &half, &wrong, upgrade, &huge_message, &huge, &[0; 4096], b""] {
            throw(port, bytes).await;
        }
        // a crowd that opens and says nothing
        let mut crowd = Vec::new();
        for _ in 0..100 {
            crowd.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        }
        drop(crowd);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    a.tell(Command::Members { allow: vec![(b.id(), vec![at]), (w.id(), vec![ws_at])], open: false });
    for other in [&mut b, &mut w] {
        other.tell(Command::Members { allow: vec![(a.id(), Vec::new())], open: false });
        a.ask(other, 1).await;
        other.never("Restarted", Duration::ZERO, |event| matches!(event, Event::Restarted { .. }).then_some(())).await;
    }
}

type Raw<Req, Resp> = Swarm<cbor::Behaviour<Req, Resp>>;

/// A peer with a valid identity that speaks our protocol by name and obeys none of its limits.
fn raw<Req, Resp>(seed: u8) -> Raw<Req, Resp>
where
    Req: Serialize + DeserializeOwned + Send + 'static,
    Resp: Serialize + DeserializeOwned + Send + 'static,
{
    SwarmBuilder::with_existing_identity(Keypair::ed25519_from_bytes([seed; 32]).unwrap())
        .with_tokio()
        .with_tcp(tcp_transport::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| {
            let codec = cbor::codec::Codec::<Req, Resp>::default().set_request_size_maximum(u64::MAX);
            let protocol = StreamProtocol::new("/relaymesh/frame/1");
            let config = request_response::Config::default().with_request_timeout(Duration::from_secs(5));
            request_response::Behaviour::with_codec(codec, [(protocol, ProtocolSupport::Full)], config)
        })
        .unwrap()
        .build()
}

/// Sends a request that is no frame: `size` bytes of CBOR. Returns how it failed.
async fn send_rubbish(seed: u8, to: &Multiaddr, target: NodeId, size: usize) -> String {
    let mut swarm = raw::<Vec<u8>, u8>(seed);
    let peer = target.peer_id().parse().unwrap();
    swarm.behaviour_mut().send_request_with_addresses(&peer, vec![0x18; size], vec![to.clone()]);
    loop {
        if let SwarmEvent::Behaviour(request_response::Event::OutboundFailure { error, .. }) =
            swarm.select_next_some().await
        {
            return error.to_string();
        }
    }
}

/// A node that has admitted the peer of `seed`, and where it listens.
async fn host_of(seed: u8) -> (Node, Multiaddr) {
    let mut host = Node::start(2, tcp());
    let at = host.listening().await.parse().unwrap();
    let member = Node::start(seed, Config::default()).id();
    host.tell(Command::Members { allow: vec![(member, Vec::new())], open: false });
    (host, at)
}

#[tokio::test]
async fn a_member_that_sends_no_frames_or_oversize_ones_reaches_nobody() {
    let (mut b, at) = host_of(9).await;
    for size in [0, 10, 300_000, 2_000_000] {
        let told = tokio::time::timeout(Duration::from_secs(20), send_rubbish(9, &at, b.id(), size)).await;
        assert!(told.is_ok(), "{size} bytes: the hostile peer was left waiting");
    }
    let unwanted = |event: &Event| matches!(event, Event::Asked { .. } | Event::Restarted { .. }).then_some(());
    b.never("Asked or Restarted", Duration::from_millis(100), unwanted).await;
    let mut a = Node::start(1, Config::default());
    a.introduce(&b, &[&at.to_string()]);
    a.ask(&mut b, 1).await;
}

#[tokio::test]
async fn a_peer_with_too_many_open_questions_is_told_busy_by_the_task_itself() {
    let (mut b, at) = host_of(9).await;
    let mut swarm = raw::<Request, Response>(9);
    let peer = b.id().peer_id().parse().unwrap();
    for id in 0..40 {
        swarm.behaviour_mut().send_request_with_addresses(&peer, question(id), vec![at.clone()]);
    }
    let mut busy = 0;
    while busy < 8 {
        if let SwarmEvent::Behaviour(request_response::Event::Message {
            message: request_response::Message::Response { response, .. },
            ..
        }) = swarm.select_next_some().await
        {
            assert!(matches!(response, Response::Busy { retry_after_ms } if retry_after_ms > 0));
            busy += 1;
        }
    }
    for _ in 0..32 {
        b.asked().await;
    }
    let asked = |event: &Event| matches!(event, Event::Asked { .. }).then_some(());
    b.never("a 33rd question", Duration::from_millis(200), asked).await;
}
