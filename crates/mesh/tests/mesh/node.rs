//! A node under test: its handle, and its events in order.

use std::collections::VecDeque;
use std::time::Duration;

use relaymesh_mesh::{Command, Config, Event, Handle, Mesh, Transport, Unanswered, real_transport};
use relaymesh_protocol::frame::{Request, Response};
use relaymesh_protocol::ids::NodeId;
use tokio::sync::mpsc;

/// Longest wait for an event that must come.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Node {
    pub handle: Handle,
    pub events: mpsc::Receiver<Event>,
    aside: VecDeque<Event>,
}

pub fn config(listen: &[&str]) -> Config {
    Config { listen: listen.iter().map(|addr| (*addr).to_owned()).collect(), ..Config::default() }
}

pub fn tcp() -> Config {
    config(&["/ip4/127.0.0.1/tcp/0"])
}

/// A TCP port of the loopback interface that is free now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

pub fn question(n: u64) -> Request {
    Request::WhoHolds { keys: vec![n] }
}

impl Node {
    pub fn start(seed: u8, config: Config) -> Self {
        Self::on(real_transport(), seed, config)
    }

    pub fn on(transport: Transport, seed: u8, config: Config) -> Self {
        let (handle, events) = Mesh::start(config, [seed; 32], transport).unwrap();
        Self { handle, events, aside: VecDeque::new() }
    }

    pub fn id(&self) -> NodeId {
        self.handle.node()
    }

    pub fn tell(&self, command: Command) {
        self.handle.try_send(command).unwrap();
    }

    /// The first event, past or to come, that `pick` takes; the others stay.
    pub async fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        if let Some((at, picked)) = self.aside.iter().enumerate().find_map(|(at, event)| Some((at, pick(event)?))) {
            self.aside.remove(at);
            return picked;
        }
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the task ended");
                if let Some(picked) = pick(&event) {
                    return picked;
                }
                self.aside.push_back(event);
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        found.unwrap_or_else(|_| panic!("{what} never came; came: {:?}", self.aside))
    }

    /// Asserts that nothing that `pick` takes has come, or comes within `span`.
    pub async fn never<T>(&mut self, what: &str, span: Duration, pick: impl Fn(&Event) -> Option<T>) {
        assert!(!self.comes(span, pick).await, "{what} came: {:?}", self.aside);
    }

    /// Whether something that `pick` takes has come, or comes within `span`.
    pub async fn comes<T>(&mut self, span: Duration, pick: impl Fn(&Event) -> Option<T>) -> bool {
        let _ = tokio::time::timeout(span, async {
            while let Some(event) = self.events.recv().await {
                self.aside.push_back(event);
            }
        })
        .await;
        self.aside.iter().any(|event| pick(event).is_some())
    }

    pub async fn listening(&mut self) -> String {
        self.wait("Listening", |event| match event {
            Event::Listening { addr } => Some(addr.clone()),
            _ => None,
        })
        .await
    }

    pub async fn connected(&mut self, to: NodeId) {
        self.wait("Connected", |event| (*event == Event::Connected { node: to }).then_some(())).await;
    }

    pub async fn disconnected(&mut self, from: NodeId) {
        self.wait("Disconnected", |event| (*event == Event::Disconnected { node: from }).then_some(())).await;
    }

    pub async fn asked(&mut self) -> (NodeId, u64, Request) {
        self.wait("Asked", |event| match event {
            Event::Asked { from, channel, frame } => Some((*from, *channel, frame.clone())),
            _ => None,
        })
        .await
    }

    pub async fn answered(&mut self, id: u64) -> Response {
        self.wait("Answered", |event| match event {
            Event::Answered { id: of, frame, .. } if *of == id => Some(frame.clone()),
            Event::Unanswered { id: of, why, .. } if *of == id => {
                panic!("request {id} unanswered: {why:?}")
            }
            _ => None,
        })
        .await
    }

    pub async fn unanswered(&mut self, id: u64) -> Unanswered {
        self.wait("Unanswered", |event| match event {
            Event::Unanswered { id: of, why, .. } if *of == id => Some(*why),
            Event::Answered { id: of, .. } if *of == id => panic!("request {id} answered"),
            _ => None,
        })
        .await
    }

    pub fn send(&self, to: NodeId, id: u64) {
        self.tell(Command::Send { to, id, frame: question(id) });
    }

    /// Answers the next question with its own number's parity.
    pub async fn serve_one(&mut self) -> NodeId {
        let (from, channel, frame) = self.asked().await;
        let Request::WhoHolds { keys } = frame else { panic!("not the question of this test") };
        self.tell(Command::Respond {
            channel,
            frame: Response::Holds(keys.iter().map(|key| key.is_multiple_of(2)).collect()),
        });
        from
    }

    /// Makes both members of one mesh; `self` knows where `other` is.
    pub fn introduce(&self, other: &Node, addrs: &[&str]) {
        let addrs = addrs.iter().map(|addr| (*addr).to_owned()).collect();
        self.tell(Command::Members { allow: vec![(other.id(), addrs)], open: false });
        other.tell(Command::Members { allow: vec![(self.id(), Vec::new())], open: false });
    }

    /// `self` asks `other` once and gets the right answer.
    pub async fn ask(&mut self, other: &mut Node, id: u64) {
        self.send(other.id(), id);
        assert_eq!(other.serve_one().await, self.id());
        assert_eq!(self.answered(id).await, Response::Holds(vec![id.is_multiple_of(2)]));
    }
}
