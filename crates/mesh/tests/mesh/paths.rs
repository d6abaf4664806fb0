use std::time::Duration;

use relaymesh_mesh::{Command, Config, Event};
use relaymesh_protocol::ids::NodeId;

use crate::node::{Node, config, free_port, tcp};

#[tokio::test]
async fn websocket_carries_frames() {
    let (mut a, mut b) = (Node::start(1, Config::default()), Node::start(2, config(&["/ip4/127.0.0.1/tcp/0/ws"])));
    let at = b.listening().await;
    assert!(at.ends_with("/ws"), "{at}");
    a.introduce(&b, &[&at]);
    a.ask(&mut b, 1).await;
    b.ask(&mut a, 2).await;
}

#[tokio::test]
async fn names_are_resolved() {
    let (mut a, mut b) = (Node::start(1, Config::default()), Node::start(2, tcp()));
    let at = b.listening().await.replace("/ip4/127.0.0.1/", "/dns4/localhost/");
    a.introduce(&b, &[&at]);
    a.ask(&mut b, 1).await;
}

#[tokio::test]
async fn an_address_that_works_is_found_among_those_that_do_not() {
    let (mut a, mut b) = (Node::start(1, Config::default()), Node::start(2, config(&["/ip4/127.0.0.1/tcp/0/ws"])));
    let at = b.listening().await;
    a.introduce(&b, &["/ip4/127.0.0.1/tcp/9", "nonsense", "/unix/tmp", &at]);
    a.ask(&mut b, 1).await;
}

/// A relay must know its own address, as the configuration of a real one does.
fn relay_config() -> Config {
    let at = format!("/ip4/127.0.0.1/tcp/{}", free_port());
    Config { relay_server: true, external: vec![at.clone()], ..config(&[&at]) }
}

struct Trio {
    a: Node,
    relay: Node,
    hidden: Node,
    circuit: String,
}

fn member(id: NodeId) -> (NodeId, Vec<String>) {
    (id, Vec::new())
}

/// `hidden` listens nowhere and reserves at `relay`; all three are members.
async fn trio() -> Trio {
    let mut relay = Node::start(2, relay_config());
    let at = relay.listening().await;
    let (a, mut hidden) = (Node::start(1, Config::default()), Node::start(3, Config::default()));
    relay.tell(Command::Members { allow: vec![member(a.id()), member(hidden.id())], open: false });
    hidden.tell(Command::Members { allow: vec![(relay.id(), vec![at.clone()]), member(a.id())], open: false });
    hidden.tell(Command::Reserve { relay: relay.id(), addrs: vec![at.clone()] });
    let confirmed = hidden.wait("AddressConfirmed", confirmed).await;
    let circuit = format!("{at}/p2p/{}/p2p-circuit", relay.id().peer_id());
    assert!(confirmed.starts_with(&circuit), "{confirmed}");
    Trio { a, relay, hidden, circuit }
}

fn confirmed(event: &Event) -> Option<String> {
    if let Event::AddressConfirmed { addr } = event { Some(addr.clone()) } else { None }
}

#[tokio::test]
async fn a_node_without_a_listener_is_reached_through_a_relay() {
    let Trio { mut a, relay, mut hidden, circuit } = trio().await;
    a.tell(Command::Members { allow: vec![member(relay.id()), (hidden.id(), vec![circuit])], open: false });
    a.ask(&mut hidden, 1).await;
    hidden.ask(&mut a, 2).await;
}

#[tokio::test]
async fn a_circuit_address_may_leave_out_where_the_relay_is() {
    let Trio { mut a, relay, mut hidden, circuit } = trio().await;
    let at = circuit.split("/p2p/").next().unwrap().to_owned();
    let bare = format!("/p2p/{}/p2p-circuit", relay.id().peer_id());
    a.tell(Command::Members { allow: vec![(relay.id(), vec![at]), (hidden.id(), vec![bare])], open: false });
    a.ask(&mut hidden, 1).await;
}

fn gone(event: &Event) -> Option<()> {
    matches!(event, Event::Disconnected { .. }).then_some(())
}

#[tokio::test]
async fn where_no_direct_way_exists_the_circuit_stays_in_use() {
    let Trio { mut a, relay, mut hidden, circuit } = trio().await;
    a.tell(Command::Members { allow: vec![member(relay.id()), (hidden.id(), vec![circuit])], open: false });
    a.ask(&mut hidden, 1).await;
    a.never("Disconnected", Duration::from_millis(500), gone).await;
    a.ask(&mut hidden, 2).await;
}

#[tokio::test]
async fn a_direct_connection_takes_over_from_a_relayed_one() {
    let Trio { mut a, relay, mut hidden, circuit } = trio().await;
    let mut reachable = Node::start(5, tcp());
    let direct = reachable.listening().await;
    let at = circuit.split("/p2p/").next().unwrap().to_owned();
    relay.tell(Command::Members { allow: [&a, &hidden, &reachable].map(|node| member(node.id())).into(), open: false });
    reachable.tell(Command::Members { allow: vec![member(relay.id()), member(a.id())], open: false });
    reachable.tell(Command::Reserve { relay: relay.id(), addrs: vec![at] });
    reachable.wait("AddressConfirmed", confirmed).await;
    a.tell(Command::Members { allow: vec![member(relay.id()), (reachable.id(), vec![circuit])], open: false });
    a.ask(&mut reachable, 1).await;
    a.tell(Command::Dial { node: reachable.id(), addrs: vec![direct] });
    tokio::time::sleep(Duration::from_secs(1)).await;
    // without the relay nothing is missing
    relay.handle.shutdown().await;
    hidden.disconnected(relay.id()).await;
    let target = reachable.id();
    a.never("Disconnected", Duration::from_millis(500), |event| {
        (*event == Event::Disconnected { node: target }).then_some(())
    })
    .await;
    a.ask(&mut reachable, 2).await;
}

/// Nobody tells either where the other listens: they learn it from each other through the relay, and dial at once (DCUtR).
/// On one machine no NAT is in between, so this shows that the protocol runs and not what it opens.
#[tokio::test]
async fn two_nodes_that_met_through_a_relay_find_a_direct_way() {
    // A busy machine takes longer over it, and nothing tells when it is done.
    for seconds in [3, 9, 27] {
        if is_direct_after(Duration::from_secs(seconds)).await {
            return;
        }
    }
    panic!("without the relay they have no way");
}

async fn is_direct_after(while_they_look: Duration) -> bool {
    let mut relay = Node::start(2, relay_config());
    let at = relay.listening().await;
    let (mut a, mut b) = (Node::start(1, tcp()), Node::start(3, tcp()));
    for node in [&mut a, &mut b] {
        node.listening().await;
    }
    let circuit = format!("{at}/p2p/{}/p2p-circuit", relay.id().peer_id());
    relay.tell(Command::Members { allow: vec![member(a.id()), member(b.id())], open: false });
    b.tell(Command::Members { allow: vec![member(relay.id()), member(a.id())], open: false });
    b.tell(Command::Reserve { relay: relay.id(), addrs: vec![at.clone()] });
    b.wait("AddressConfirmed", confirmed).await;
    a.tell(Command::Members { allow: vec![(relay.id(), vec![at]), (b.id(), vec![circuit])], open: false });
    a.ask(&mut relay, 1).await;
    a.ask(&mut b, 2).await;
    tokio::time::sleep(while_they_look).await;
    // without the relay nothing is missing
    relay.handle.shutdown().await;
    b.disconnected(relay.id()).await;
    let target = b.id();
    let lost = |event: &Event| (*event == Event::Disconnected { node: target }).then_some(());
    if a.comes(Duration::from_millis(500), lost).await {
        return false;
    }
    a.ask(&mut b, 3).await;
    true
}

#[tokio::test]
async fn a_lost_reservation_is_made_again() {
    let Trio { relay, mut hidden, .. } = trio().await;
    relay.tell(Command::Disconnect(hidden.id()));
    hidden.disconnected(relay.id()).await;
    hidden.wait("AddressConfirmed again", confirmed).await;
}

#[tokio::test]
async fn a_stranger_may_not_reserve_even_at_an_open_node() {
    let mut relay = Node::start(2, relay_config());
    let at = relay.listening().await;
    relay.tell(Command::Members { allow: Vec::new(), open: true });
    let mut stranger = Node::start(4, Config::default());
    stranger.tell(Command::Reserve { relay: relay.id(), addrs: vec![at] });
    relay.connected(stranger.id()).await;
    relay.disconnected(stranger.id()).await;
    stranger.disconnected(relay.id()).await;
}

#[tokio::test]
async fn configured_external_addresses_are_confirmed() {
    let external = "/dns4/node.example/tcp/443/tls/ws";
    let mut a = Node::start(1, Config { external: vec![external.into()], ..Config::default() });
    assert_eq!(a.wait("AddressConfirmed", confirmed).await, external);
}

#[tokio::test]
async fn identify_tells_published_addresses_and_no_private_ones() {
    let external = vec!["/ip4/192.168.7.7/tcp/4001".to_owned(), "/ip4/203.0.113.7/tcp/4001".to_owned()];
    let (mut a, mut b) = (Node::start(1, Config::default()), Node::start(2, Config { external, ..tcp() }));
    let at = b.listening().await;
    a.introduce(&b, &[&at]);
    a.ask(&mut b, 1).await;
    let b_id = b.id();
    let addrs = a
        .wait("Seen", |event| match event {
            Event::Seen { node, addrs } if *node == b_id => Some(addrs.clone()),
            _ => None,
        })
        .await;
    assert_eq!(addrs, ["/ip4/203.0.113.7/tcp/4001"]);
}
