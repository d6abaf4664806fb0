use std::time::{Duration, Instant};

use relaymesh_mesh::{Command, Config, Event, TrySendError, Unanswered, memory_transport};
use relaymesh_protocol::frame::{Carried, Request, Response};

use crate::node::{Node, config, question, tcp};

#[tokio::test]
async fn requests_go_both_ways_over_one_connection() {
    let (mut a, mut b) = (Node::start(1, tcp()), Node::start(2, tcp()));
    let at = b.listening().await;
    a.introduce(&b, &[&at]);
    a.ask(&mut b, 1).await;
    b.ask(&mut a, 2).await;
    a.connected(b.id()).await;
    b.connected(a.id()).await;
    a.tell(Command::Disconnect(b.id()));
    b.disconnected(a.id()).await;
}

#[tokio::test]
async fn the_same_in_memory() {
    let mut a = Node::on(memory_transport(), 1, Config::default());
    let mut b = Node::on(memory_transport(), 2, config(&["/memory/7001"]));
    let at = b.listening().await;
    a.introduce(&b, &[&at]);
    for id in 0..5 {
        a.ask(&mut b, id).await;
    }
}

#[tokio::test]
async fn a_hundred_requests_at_once_are_all_answered_and_never_more_than_sixteen_are_under_way() {
    let (mut a, mut b) = (Node::start(1, Config::default()), Node::start(2, tcp()));
    let at = b.listening().await;
    a.introduce(&b, &[&at]);
    for id in 0..100 {
        a.send(b.id(), id);
    }
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(b.asked().await.1);
    }
    b.never("a seventeenth question", Duration::from_millis(300), |event| match event {
        Event::Asked { .. } => Some(()),
        _ => None,
    })
    .await;
    for channel in open {
        b.tell(Command::Respond { channel, frame: Response::Noted });
    }
    for _ in 16..100 {
        let (_, channel, _) = b.asked().await;
        b.tell(Command::Respond { channel, frame: Response::Noted });
    }
    for id in 0..100 {
        assert_eq!(a.answered(id).await, Response::Noted);
    }
}

#[tokio::test]
async fn beyond_the_queue_of_a_peer_the_sender_is_told_busy() {
    let (mut a, b) = (Node::start(1, Config::default()), Node::start(2, Config::default()));
    // somebody listens there and never says a word, so the handshake takes its ten seconds
    let mute = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let at = format!("/ip4/127.0.0.1/tcp/{}", mute.local_addr().unwrap().port());
    a.introduce(&b, &[&at]);
    for id in 0..=256 {
        while let Err(TrySendError::Full(_)) = a.handle.try_send(Command::Send { to: b.id(), id, frame: question(id) })
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(a.unanswered(256).await, Unanswered::Busy);
}

#[tokio::test]
async fn a_request_to_an_unreachable_peer_is_unanswered_exactly_once() {
    let (mut a, b) = (Node::start(1, Config::default()), Node::start(2, Config::default()));
    a.introduce(&b, &["/ip4/127.0.0.1/tcp/9", "/ip4/127.0.0.1/tcp/9/ws"]);
    a.send(b.id(), 1);
    assert_eq!(a.unanswered(1).await, Unanswered::Unreachable);
    // and where no address is known
    b.send(a.id(), 2);
    let mut b = b;
    assert_eq!(b.unanswered(2).await, Unanswered::Unreachable);
    let again = |event: &Event| matches!(event, Event::Unanswered { .. } | Event::Answered { .. }).then_some(());
    a.never("a second report", Duration::from_secs(2), again).await;
    b.never("a second report", Duration::from_millis(100), again).await;
}

#[tokio::test]
async fn a_silent_peer_times_out() {
    let quick = Config { request_timeout: Duration::from_secs(1), ..Config::default() };
    let (mut a, mut b) = (Node::start(1, quick), Node::start(2, tcp()));
    let at = b.listening().await;
    a.introduce(&b, &[&at]);
    let start = Instant::now();
    a.send(b.id(), 1);
    let (_, channel, _) = b.asked().await;
    assert_eq!(a.unanswered(1).await, Unanswered::TimedOut);
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    b.tell(Command::Respond { channel, frame: Response::Noted });
    a.ask(&mut b, 2).await;
}

#[tokio::test]
async fn an_oversize_frame_is_refused_and_the_connection_lives() {
    let (mut a, mut b) = (Node::start(1, Config::default()), Node::start(2, tcp()));
    let at = b.listening().await;
    a.introduce(&b, &[&at]);
    let large = |bytes| Request::Envelopes(vec![Carried { envelope: vec![1; bytes], hops: 0, copies: 0 }]);
    a.tell(Command::Send { to: b.id(), id: 1, frame: large(600 * 1024) });
    assert_eq!(a.unanswered(1).await, Unanswered::Malformed);
    a.tell(Command::Send { to: b.id(), id: 2, frame: large(500 * 1024) });
    let (_, channel, frame) = b.asked().await;
    assert_eq!(frame, large(500 * 1024));
    // an answer too large to be sent leaves the asker without one
    let too_much = Response::Facts(vec![vec![0; 2 * 1024 * 1024].into()]);
    b.tell(Command::Respond { channel, frame: too_much });
    let why = a.unanswered(2).await;
    assert!(matches!(why, Unanswered::Closed | Unanswered::Malformed), "{why:?}");
    a.ask(&mut b, 3).await;
    a.never("Disconnected", Duration::from_millis(100), |event| {
        matches!(event, Event::Disconnected { .. }).then_some(())
    })
    .await;
}

#[tokio::test]
async fn shutdown_tells_what_is_owed_and_ends_the_task() {
    let (mut a, mut b) = (Node::start(1, Config::default()), Node::start(2, tcp()));
    let at = b.listening().await;
    a.introduce(&b, &[&at]);
    a.send(b.id(), 1);
    b.asked().await;
    a.handle.shutdown().await;
    assert_eq!(a.unanswered(1).await, Unanswered::Closed);
    assert!(matches!(a.handle.try_send(Command::Disconnect(b.id())), Err(TrySendError::Ended(Command::Disconnect(_)))));
    a.handle.shutdown().await;
    b.disconnected(a.id()).await;
}
