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
