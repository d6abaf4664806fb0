use std::net::UdpSocket;

use relaymesh_mesh::{Command, Config, Event};

use crate::node::{Node, config};

/// Whether an interface takes multicast: a machine that only has itself has none.
fn has_multicast() -> bool {
    let sent = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(&[0], "224.0.0.251:9"));
    sent.is_ok()
}

/// The mapping from mDNS to events has a test of its own beside the code.
#[tokio::test]
async fn nodes_on_one_network_find_each_other() {
    if !has_multicast() {
        eprintln!("SKIPPED: no interface here takes multicast");
        return;
    }
    let lan = || Config { lan: true, ..config(&["/ip4/0.0.0.0/tcp/0"]) };
    let (mut a, mut b) = (Node::start(1, lan()), Node::start(2, lan()));
    let b_id = b.id();
    let addrs = a
        .wait("Seen", |event| match event {
            Event::Seen { node, addrs } if *node == b_id => Some(addrs.clone()),
            _ => None,
        })
        .await;
    b.tell(Command::Members { allow: vec![(a.id(), Vec::new())], open: false });
    a.tell(Command::Members { allow: vec![(b_id, addrs)], open: false });
    a.ask(&mut b, 1).await;
}
