use relaymesh_mesh::{Command, Config, Event};

use crate::node::{Node, config};

/// Needs an interface with multicast; the mapping from mDNS to events has a test of its own beside the code.
#[tokio::test]
async fn nodes_on_one_network_find_each_other() {
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
