//! The story of one message, for `simulate why`: what the world did with it, and what the nodes themselves wrote in its
//! timeline. Listening changes nothing: a world with a story ends in the same trace as one without.

use std::collections::BTreeSet;

use relaymesh_protocol::ids::{MessageId, Timestamp};

use super::World;
use super::message::Message;
use crate::kernel::Time;
use crate::outcome::{Fate, Told};

/// One line: when, where, what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// When, counted from the beginning of the world.
    pub at: Time,
    n: u64,
    /// Who tells it: `person`, `sms`, `gateway client 3 (NW)`, `node 12 (pi, NW)`, `platform`.
    pub place: String,
    /// What.
    pub what: String,
}

/// What is told of one message.
#[derive(Clone, Debug, Default)]
pub struct Story {
    message: u32,
    id: Option<MessageId>,
    lines: BTreeSet<Line>,
    heard: BTreeSet<(u16, Timestamp, String)>,
    /// What became of it.
    pub fate: Option<Fate>,
    /// If it is not on the platform: what holds it.
    pub held_by: Vec<String>,
}

impl Story {
    /// Of this message.
    #[must_use]
    pub fn of(message: u32) -> Self {
        Self { message, ..Self::default() }
    }

    /// The lines in order.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }

    fn add(&mut self, at: Time, place: String, what: String) {
        let n = self.lines.len() as u64;
        self.lines.insert(Line { at, n, place, what });
    }
}

impl World<'_> {
    /// Adds a line if this message's story is wanted.
    pub(super) fn note(&mut self, message: u32, what: impl FnOnce(&Self) -> (String, String)) {
        if self.story.as_ref().is_none_or(|story| story.message != message) {
            return;
        }
        let (place, what) = what(self);
        let now = self.now;
        if let Some(story) = &mut self.story {
            story.add(now, place, what);
        }
    }

    /// A node said how it calls the message: from then on its timelines are looked up.
    pub(super) fn note_id(&mut self, message: u32, id: MessageId) {
        if let Some(story) = self.story.as_mut().filter(|story| story.message == message) {
            story.id = Some(id);
        }
    }

    /// Takes what a node has in the message's timeline: before it is killed, and at the end.
    pub(super) fn listen_to(&mut self, node: u16) {
        let Some(story) = &self.story else { return };
        let (Some(id), Some(core)) = (story.id, self.nodes[usize::from(node)].core()) else { return };
        let events = core.timeline(&id).to_vec();
        let place = self.node_name(node);
        for event in events {
            let at = self.nodes[usize::from(node)].world_time(event.at);
            let Some(story) = &mut self.story else { return };
            if story.heard.insert((node, event.at, format!("{} {}", event.room, event.what))) {
                story.add(at, place.clone(), format!("{}: {}", event.room, event.what));
            }
        }
    }

    /// The end of the story.
    pub(super) fn end_story(&mut self) -> Option<Story> {
        self.story.as_ref()?;
        for node in 0..u16::try_from(self.nodes.len()).expect("fewer than 65,536 nodes") {
            self.listen_to(node);
        }
        let message = self.story.as_ref()?.message;
        let told = self.messages.get(message as usize).map(|own| {
            let fate = own.fate(self.is_safe(own));
            (fate, self.held_by(own, fate))
        });
        let mut story = *self.story.take()?;
        if let Some((fate, held_by)) = told {
            (story.fate, story.held_by) = (Some(fate), held_by);
        }
        Some(story)
    }

    pub(super) fn node_name(&self, node: u16) -> String {
        let spot = &self.nodes[usize::from(node)].spot;
        format!("node {node} ({})", self.region_name(spot.region))
    }

    pub(super) fn gateway_name(&self, gateway: u16) -> String {
        let spot = &self.gateways[usize::from(gateway)].spot;
        format!("gateway client {gateway} ({})", self.region_name(spot.region))
    }

    fn region_name(&self, region: u16) -> &str {
        self.scenario.region.get(usize::from(region)).map_or("abroad", |region| region.name.as_str())
    }

    /// How a node stands at the end.
    fn state_of(&self, node: u16) -> &'static str {
        let sim = &self.nodes[usize::from(node)];
        match () {
            () if sim.gone => "is gone for good",
            () if !sim.alive() => "is down",
            () if sim.spot.cut > 0 => "is cut off from the Internet",
            () => "is up",
        }
    }

    fn held_by(&self, own: &Message, fate: Fate) -> Vec<String> {
        let mut held = Vec::new();
        match fate {
            Fate::Published => return held,
            Fate::LostSms => held.push(format!("the SMS network lost every copy: it was sent {} times", own.sends)),
            Fate::LostGateway => held.push("a gateway client could not reach its node and tries only once".to_owned()),
            Fate::AtGateway => held.push("a gateway client keeps it and cannot reach its node".to_owned()),
            Fate::LostNode => held.push("the nodes that had it are gone with their disks".to_owned()),
            Fate::Refused => held.push("it was refused, and its sender knows".to_owned()),
            Fate::Uncertain => held.push("nobody can tell whether it is out, and its sender knows".to_owned()),
            Fate::Expired => held.push("no home took it in time".to_owned()),
            Fate::Waiting => {}
        }
        for node in &own.holders {
            held.push(format!("{} has it and {}", self.node_name(*node), self.state_of(*node)));
        }
        let home = self.people[own.person as usize].home;
        let opened = if own.consumed.is_some() { "has opened it" } else { "has not opened it" };
        held.push(format!("its home, {}, {opened} and {}", self.node_name(home), self.state_of(home)));
        if self.platform.down > 0 {
            held.push("the platform does not answer".to_owned());
        }
        if own.told == Told::Nothing {
            held.push("its sender has heard nothing".to_owned());
        }
        held
    }
}
