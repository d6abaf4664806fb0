//! One life of a node's mesh task, and the frames between it and the core.

use anyhow::{Context as _, Result};
use relaymesh_core::{Input, Output};
use relaymesh_link::Links;
use relaymesh_mesh::{Config, Event, Mesh, Transport, secured};
use relaymesh_simulations::world::Endpoint;
use tokio::sync::mpsc::UnboundedSender;

use crate::net::{Life, Network, Wires};

/// What the loop hears: whose event it is.
pub type Heard = (Life, Event);

/// The mesh task of a node while it runs. Dropping it ends the task.
pub struct Running {
    life: Life,
    links: Links,
    next_reply: u64,
}

impl Running {
    /// Starts the task, within a runtime.
    ///
    /// # Errors
    /// When the mesh refuses its configuration.
    pub fn start(life: Life, endpoint: Endpoint, network: &Network, heard: UnboundedSender<Heard>) -> Result<Self> {
        let wires = network.clone();
        let transport = Transport::new(move |identity| secured(identity, Wires::new(wires.clone(), life)));
        let config = Config {
            listen: endpoint.addresses.clone(),
            external: endpoint.addresses,
            relay_server: endpoint.relay,
            metered: endpoint.metered,
            ..Config::default()
        };
        let (mesh, mut events) = Mesh::start(config, endpoint.seed, transport).context("a mesh task does not start")?;
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if heard.send((life, event)).is_err() {
                    return;
                }
            }
        });
        Ok(Self { life, links: Links::new(mesh), next_reply: 1 })
    }

    /// Which life this is.
    #[must_use]
    pub fn life(&self) -> Life {
        self.life
    }

    /// An output of the core.
    pub fn on_output(&mut self, output: Output) {
        self.links.on_output(output);
    }

    /// The core has nothing more to say for now: sends what was gathered, and gives back what cannot be sent.
    pub fn flush(&mut self) -> Vec<Input> {
        self.links.flush()
    }

    /// The core's inputs of an event.
    pub fn on_event(&mut self, event: Event) -> Vec<Input> {
        self.links.on_event(event, &mut self.next_reply)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use relaymesh_core::{LinkError, Output};
    use relaymesh_protocol::frame::Request;
    use relaymesh_simulations::kernel::{Chance, Span};
    use relaymesh_simulations::scenario::{Links as Latencies, Share};
    use relaymesh_simulations::world::{Internet, Labels, Spot};
    use tokio::runtime::Handle;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    /// Two nodes that may connect, 50 ms apart.
    struct Two {
        network: Network,
        nodes: [Option<Running>; 2],
        ids: [relaymesh_protocol::ids::NodeId; 2],
        ears: UnboundedSender<Heard>,
        heard: UnboundedReceiver<Heard>,
    }

    fn ways(cut: bool) -> (Internet, Vec<Spot>) {
        let latency = Span::millis(50);
        let links = Latencies {
            within: latency,
            between: latency,
            abroad: latency,
            sigma: 0.0,
            timeout: Span::secs(20),
            loss: Share(0.0),
        };
        let mut spots: Vec<Spot> = (0..2).map(|site| Spot::new(0, false, site, Labels::default())).collect();
        spots[1].cut = u16::from(cut);
        (Internet::of(links), spots)
    }

    impl Two {
        fn new() -> Self {
            let (ears, heard) = unbounded_channel();
            let network = Network::new(Chance::new(1), ways(false));
            let ids = [1, 2].map(|seed| {
                let transport = relaymesh_mesh::memory_transport();
                Mesh::start(Config::default(), [seed; 32], transport).unwrap().0.node()
            });
            (0..2).for_each(|node| network.assign(u64::from(node) + 1, node));
            Self { network, nodes: [None, None], ids, ears, heard }
        }

        fn start(&mut self, node: u16, life: u32) {
            let endpoint = Endpoint {
                seed: [u8::try_from(node).unwrap() + 1; 32],
                addresses: vec![format!("/memory/{}", node + 1)],
                relay: false,
                metered: false,
            };
            let other = 1 - usize::from(node);
            let allow = vec![(self.ids[other], vec![format!("/memory/{}", other + 1)])];
            let mut running = Running::start(Life { node, life }, endpoint, &self.network, self.ears.clone()).unwrap();
            running.on_output(Output::Members { allow, blocked: Vec::new(), relays: Vec::new(), open: false });
            self.nodes[usize::from(node)] = Some(running);
        }

        fn kill(&mut self, node: u16) {
            let running = self.nodes[usize::from(node)].take().unwrap();
            self.network.kill(running.life());
        }

        /// Node 0 asks node 1; returns its answer's input and the seconds it took.
        async fn ask(&mut self, token: u64) -> (Input, f64) {
            let start = Instant::now();
            let (to, request) = (self.ids[1], Request::WhoHolds { keys: vec![token] });
            self.nodes[0].as_mut().unwrap().on_output(Output::Ask { to, token, request });
            loop {
                let (life, event) = self.heard.recv().await.unwrap();
                let Some(running) = &mut self.nodes[usize::from(life.node)] else { continue };
                for input in running.on_event(event) {
                    match input {
                        Input::Asked { reply, .. } => {
                            let response = relaymesh_protocol::frame::Response::Same { rest_s: 0 };
                            running.on_output(Output::Respond { to: reply, response });
                        }
                        Input::Answered { token: of, .. } if of == token => {
                            return (input, start.elapsed().as_secs_f64());
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    fn error(input: &Input) -> Option<LinkError> {
        match input {
            Input::Answered { response, .. } => response.as_ref().err().copied(),
            _ => panic!("an answer was awaited"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_takes_its_round_trips() {
        let mut two = Two::new();
        (0..2).for_each(|node| two.start(node, 1));
        let (first, first_s) = two.ask(1).await;
        let (second, second_s) = two.ask(2).await;
        assert!(error(&first).is_none() && error(&second).is_none());
        assert!((0.099..0.12).contains(&second_s), "two ways of 50 ms: {second_s}");
        assert!((0.25..0.7).contains(&first_s), "and the connection before: {first_s}");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_wait_for_a_way_and_a_dial_into_a_cut_gives_up() {
        let mut two = Two::new();
        (0..2).for_each(|node| two.start(node, 1));
        two.ask(1).await;
        two.network.change(ways(true));
        let network = two.network.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(8)).await;
            network.change(ways(false));
        });
        let (answer, seconds) = two.ask(2).await;
        assert!(error(&answer).is_none() && (8.0..20.0).contains(&seconds), "sent again after the cut: {seconds}");
        two.network.change(ways(true));
        let (answer, seconds) = two.ask(3).await;
        assert_eq!(error(&answer), Some(LinkError::TimedOut));
        assert!((19.0..21.0).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_killed_node_is_gone_at_once_and_a_new_life_takes_its_place() {
        let mut two = Two::new();
        two.start(0, 1);
        sleep(Duration::from_secs(30)).await;
        let before = Handle::current().metrics().num_alive_tasks();
        two.start(1, 1);
        two.ask(1).await;
        two.kill(1);
        let (answer, seconds) = two.ask(2).await;
        assert!(error(&answer).is_some(), "nobody is there");
        assert!(seconds < 15.0, "a host without the process says so at once: {seconds}");
        sleep(Duration::from_secs(30)).await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), before, "a killed node leaves no task");
        two.start(1, 2);
        let answered = timeout(Duration::from_secs(60), two.ask(3)).await.unwrap();
        assert!(error(&answered.0).is_none());
    }
}
