use std::time::Duration;

use relaymesh_mesh::{Command, Config, Event, Unanswered};
use relaymesh_protocol::frame::{Request, Response};

use crate::node::{Node, tcp};

fn join() -> Request {
    Request::Join { proof: vec![1, 2, 3], facts: Vec::new() }
}

#[tokio::test]
async fn an_unknown_peer_is_refused_where_the_mesh_is_not_open() {
    let (mut stranger, mut b) = (Node::start(1, Config::default()), Node::start(2, tcp()));
    let at = b.listening().await;
    stranger.tell(Command::Dial { node: b.id(), addrs: vec![at] });
    stranger.tell(Command::Send { to: b.id(), id: 1, frame: join() });
    let why = stranger.unanswered(1).await;
    assert!(matches!(why, Unanswered::Closed | Unanswered::Unreachable), "{why:?}");
    b.never("a stranger", Duration::from_millis(300), |event| {
        matches!(event, Event::Asked { .. } | Event::Connected { .. }).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stranger_may_only_ask_to_join_where_the_mesh_is_open() {
    let (mut stranger, mut b) = (Node::start(1, Config::default()), Node::start(2, tcp()));
    let at = b.listening().await;
    b.tell(Command::Members { allow: Vec::new(), open: true });
    stranger.tell(Command::Dial { node: b.id(), addrs: vec![at] });
    stranger.connected(b.id()).await;
    stranger.send(b.id(), 1);
    assert_eq!(stranger.answered(1).await, Response::NotMember);
    stranger.tell(Command::Send { to: b.id(), id: 2, frame: join() });
    let (from, channel, frame) = b.asked().await;
    assert_eq!((from, frame), (stranger.id(), join()));
    b.tell(Command::Respond { channel, frame: Response::Joined(Vec::new()) });
    assert_eq!(stranger.answered(2).await, Response::Joined(Vec::new()));
    // one that dialled knows whom it called, and still lets it do no more than join
    b.send(stranger.id(), 3);
    assert_eq!(b.answered(3).await, Response::NotMember);
    // admitted, both are members
    b.tell(Command::Members { allow: vec![(stranger.id(), Vec::new())], open: false });
    stranger.tell(Command::Members { allow: vec![(b.id(), Vec::new())], open: false });
    stranger.ask(&mut b, 4).await;
    b.ask(&mut stranger, 5).await;
}

#[tokio::test]
async fn closing_the_mesh_shows_strangers_out() {
    let (mut stranger, mut b) = (Node::start(1, Config::default()), Node::start(2, tcp()));
    let at = b.listening().await;
    b.tell(Command::Members { allow: Vec::new(), open: true });
    stranger.tell(Command::Dial { node: b.id(), addrs: vec![at] });
    b.connected(stranger.id()).await;
    b.tell(Command::Members { allow: Vec::new(), open: false });
    b.disconnected(stranger.id()).await;
    stranger.disconnected(b.id()).await;
}

#[tokio::test]
async fn a_blocked_peer_is_disconnected_and_stays_out_until_unblocked() {
    let (mut a, mut b) = (Node::start(1, Config::default()), Node::start(2, tcp()));
    let at = b.listening().await;
    a.introduce(&b, &[&at]);
    a.ask(&mut b, 1).await;
    b.tell(Command::Block(a.id()));
    b.disconnected(a.id()).await;
    a.disconnected(b.id()).await;
    a.send(b.id(), 2);
    a.unanswered(2).await;
    b.never("Asked", Duration::from_millis(200), |event| matches!(event, Event::Asked { .. }).then_some(())).await;
    // nor does the one who blocked it call
    b.send(a.id(), 3);
    assert_eq!(b.unanswered(3).await, Unanswered::Unreachable);
    b.tell(Command::Unblock(a.id()));
    a.ask(&mut b, 4).await;
}

#[tokio::test]
async fn a_member_that_is_removed_is_disconnected() {
    let (mut a, mut b) = (Node::start(1, Config::default()), Node::start(2, tcp()));
    let at = b.listening().await;
    a.introduce(&b, &[&at]);
    a.ask(&mut b, 1).await;
    b.tell(Command::Members { allow: Vec::new(), open: false });
    b.disconnected(a.id()).await;
}
