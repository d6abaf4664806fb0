//! Gateway clients: phones and modems that take SMS in and post them to their nodes.

use relaymesh_core::Input;
use relaymesh_core::command::{Command, Door, Reply, Submit, Submitted};
use relaymesh_protocol::ids::GatewayId;

use super::bootstrap::Station;
use super::frames::{Frame, Waiter};
use super::people;
use super::places::{Renewal, Spot};
use super::{Event, World};
use crate::kernel::{Chance, Purpose, Span, Time};
use crate::outcome::System;
use crate::scenario::{GatewayGroup, WhenUnreachable};

/// A gateway client that keeps SMS tries again after this pause.
const RETRY: Span = Span::secs(600);
/// An SMS to a phone that is off waits so long for it before it looks again.
const RECHECK: Span = Span::secs(900);

/// A gateway client.
pub struct Gateway {
    /// Where it stands.
    pub spot: Spot,
    /// Nodes that it posts to, and its identity there.
    pub posts_to: Vec<(u16, GatewayId)>,
    /// Its number is blocked by the carriers.
    pub blocked: bool,
    /// When its number was first used.
    pub first_used: Option<Time>,
    group: usize,
    health: Renewal,
    /// SMS that it keeps: message and node.
    kept: Vec<(u32, u16)>,
    /// When its next attempt is queued.
    try_at: Time,
}

impl Gateway {
    /// A gateway client of a group, with its own luck.
    #[must_use]
    pub fn new(station: &Station, index: u16, group: &GatewayGroup, chance: &Chance, forwarders: usize) -> Self {
        let entity = u64::from(index);
        let mut posts_to = station.posts_to.clone();
        posts_to.truncate(forwarders.max(1));
        Self {
            spot: station.spot.clone(),
            posts_to,
            blocked: false,
            first_used: None,
            group: station.group,
            health: Renewal::new(chance, Purpose::GatewayUp, entity, group.mtbf, group.mtbf_shape, group.mttr),
            kept: Vec::new(),
            try_at: Time::MAX,
        }
    }
}

impl Gateway {
    /// Messages that it keeps, one entry for each node that it owes one to.
    pub fn kept(&self) -> impl Iterator<Item = u32> {
        self.kept.iter().map(|(message, _)| *message)
    }
}

impl World<'_> {
    fn gateway_group(&self, gateway: u16) -> &GatewayGroup {
        &self.scenario.gateways[self.gateways[usize::from(gateway)].group]
    }

    /// Whether the device works now.
    fn gateway_up(&mut self, gateway: u16) -> bool {
        let (chance, now) = (self.chance, self.now);
        let on_mains = self.gateway_group(gateway).mains;
        let own = &mut self.gateways[usize::from(gateway)];
        let healthy = own.health.at(&chance, now).0;
        let region = usize::from(own.spot.region);
        healthy && (!on_mains || self.mains[region].at(&chance, now).0)
    }

    /// An SMS arrives: the network keeps it while the phone is off.
    pub(super) fn on_arrive(&mut self, message: u32, gateway: u16, copy: u16) {
        if !self.gateway_up(gateway) {
            let sent = self.messages[message as usize].sent;
            if self.now.since(sent) < self.scenario.sms.validity {
                return self.push(RECHECK, Event::Arrive { message, gateway, copy });
            }
        }
        let own = &mut self.messages[message as usize];
        own.in_flight = own.in_flight.saturating_sub(1);
        if self.gateways[usize::from(gateway)].blocked || !self.gateway_up(gateway) {
            let what = if self.gateways[usize::from(gateway)].blocked { "its number is blocked" } else { "it is off" };
            return self.note(message, |world| (world.gateway_name(gateway), format!("{what}: the SMS is lost")));
        }
        self.note(message, |world| (world.gateway_name(gateway), "the SMS arrived".to_owned()));
        self.gateways[usize::from(gateway)].first_used.get_or_insert(self.now);
        self.count("sms_at_gateway");
        for (node, _) in self.gateways[usize::from(gateway)].posts_to.clone() {
            self.keep(gateway, node, message);
            if self.keeps_for(gateway, node) {
                self.note_kept(gateway, node, message);
            }
        }
        self.on_gateway(gateway, 0);
    }

    fn keep(&mut self, gateway: u16, node: u16, message: u32) {
        self.gateways[usize::from(gateway)].kept.push((message, node));
        let own = &mut self.messages[message as usize];
        own.at_gateways = own.at_gateways.saturating_add(1);
    }

    /// Posts what it keeps, as far as there is a way.
    pub(super) fn on_gateway(&mut self, gateway: u16, _boot: u32) {
        if self.gateways[usize::from(gateway)].try_at <= self.now {
            self.gateways[usize::from(gateway)].try_at = Time::MAX;
        }
        if !self.gateway_up(gateway) || !self.has_network(gateway) {
            return self.try_later(gateway);
        }
        // What a node that cannot be reached is owed stays: each SMS would come to the same end, and a cut has thousands.
        let owed: Vec<u16> = self.gateways[usize::from(gateway)].posts_to.iter().map(|(node, _)| *node).collect();
        let away: Vec<u16> = owed.into_iter().filter(|node| self.keeps_for(gateway, *node)).collect();
        let kept = std::mem::take(&mut self.gateways[usize::from(gateway)].kept);
        let (stay, go): (Vec<_>, Vec<_>) = kept.into_iter().partition(|(_, node)| away.contains(node));
        self.gateways[usize::from(gateway)].kept = stay;
        for (message, node) in go {
            self.post(gateway, node, message);
        }
        self.try_later(gateway);
    }

    /// Whether SMS for a node stay where they are: the gateway client queues them, and the node cannot be reached.
    fn keeps_for(&self, gateway: u16, node: u16) -> bool {
        let queues = self.gateway_group(gateway).when_unreachable == WhenUnreachable::Queue;
        queues && self.system != System::Upstream && !self.reaches(gateway, node)
    }

    fn reaches(&self, gateway: u16, node: u16) -> bool {
        let sim = &self.nodes[usize::from(node)];
        sim.alive() && self.internet.open(&self.gateways[usize::from(gateway)].spot, &sim.spot)
    }

    /// A phone posts when it has a network of its own; what stands beside its node always has one.
    fn has_network(&self, gateway: u16) -> bool {
        let own = &self.gateways[usize::from(gateway)];
        let beside = own.posts_to.iter().any(|(node, _)| self.nodes[usize::from(*node)].spot.site == own.spot.site);
        beside || own.spot.cut == 0
    }

    fn try_later(&mut self, gateway: u16) {
        let at = self.now.after(RETRY);
        let own = &mut self.gateways[usize::from(gateway)];
        if own.kept.is_empty() || own.try_at <= at {
            return;
        }
        own.try_at = at;
        self.queue.push(at, Event::Gateway { gateway, boot: 0 });
    }

    /// Networks changed: whoever keeps something looks again soon.
    pub(super) fn wake_gateways(&mut self) {
        let count = u16::try_from(self.gateways.len()).expect("fewer than 65,536 gateway clients");
        for gateway in 0..count {
            let at = self.now.after(Span::secs(5 + u64::from(gateway) % 60));
            let own = &mut self.gateways[usize::from(gateway)];
            if !own.kept.is_empty() && own.try_at > at {
                own.try_at = at;
                self.queue.push(at, Event::Gateway { gateway, boot: 0 });
            }
        }
    }

    /// Whose luck a post to a gateway client's `forwarder`th node has, and which: the same for every system that posts this
    /// message in this moment.
    pub(super) fn luck_of_post(&self, gateway: u16, message: u32, forwarder: usize) -> (u64, u64) {
        (1 + (u64::from(message) << 16 | u64::from(gateway)), self.now.0 << 4 | forwarder as u64)
    }

    fn post(&mut self, gateway: u16, node: u16, message: u32) {
        if self.system == System::Upstream {
            return self.post_upstream(gateway, message);
        }
        let (at, sim) = (&self.gateways[usize::from(gateway)], &self.nodes[usize::from(node)]);
        let forwarder = at.posts_to.iter().position(|(other, _)| *other == node).unwrap_or_default();
        let (own, luck) = (&at.spot, self.luck_of_post(gateway, message, forwarder));
        let latency = self.internet.latency(own, &sim.spot, &self.chance, luck);
        if !self.reaches(gateway, node) {
            return self.not_posted(gateway, node, message);
        }
        self.send_frame(Frame::Post { gateway, node, message }, latency, false);
    }

    /// The post arrives at the node.
    pub(super) fn on_post(&mut self, gateway: u16, node: u16, message: u32) {
        if !self.nodes[usize::from(node)].alive() {
            return self.not_posted(gateway, node, message);
        }
        let identity = self.gateways[usize::from(gateway)].posts_to.iter().find(|(other, _)| *other == node);
        let Some((_, id)) = identity.copied() else { return };
        let own = &self.messages[message as usize];
        let Some(text) = own.text.as_ref().map(|text| text.to_string()) else { return self.gone(message) };
        let submit = Submit {
            door: Door::Gateway(id),
            text: text.into(),
            sender: people::number(own.person).reveal().into(),
            date: None,
            date_sent: i64::try_from(own.sent.timestamp().0).ok(),
        };
        let reply = self.wait(node, Waiter::Gateway { gateway, message });
        self.feed(node, Input::Command { reply, command: Command::Submit(submit) });
    }

    fn gone(&mut self, message: u32) {
        let own = &mut self.messages[message as usize];
        own.at_gateways = own.at_gateways.saturating_sub(1);
    }

    /// The node answered.
    pub(super) fn on_posted(&mut self, gateway: u16, node: u16, message: u32, reply: Reply) {
        let Reply::Submitted(Submitted::Accepted { message: id, .. }) = reply else {
            self.count("post_refused");
            return self.not_posted(gateway, node, message);
        };
        if let Reply::Submitted(Submitted::Accepted { message: id, .. }) = &reply {
            self.note_id(message, *id);
        }
        self.note(message, |world| {
            (world.gateway_name(gateway), format!("{} said that it is safe", world.node_name(node)))
        });
        self.gone(message);
        let now = self.now;
        self.note_accepted(node, message, &id);
        let own = &mut self.messages[message as usize];
        own.accepted.get_or_insert(now);
        if !own.holders.contains(&node) {
            own.holders.push(node);
        }
    }

    fn note_kept(&mut self, gateway: u16, node: u16, message: u32) {
        self.note(message, |world| {
            (world.gateway_name(gateway), format!("{} cannot be reached; it keeps the SMS", world.node_name(node)))
        });
    }

    /// The node was not there, or would not take it.
    pub(super) fn not_posted(&mut self, gateway: u16, node: u16, message: u32) {
        self.gone(message);
        match self.gateway_group(gateway).when_unreachable {
            WhenUnreachable::Once => {
                self.messages[message as usize].gateway_lost = true;
                self.note(message, |world| {
                    (world.gateway_name(gateway), format!("{} cannot be reached; it gives up", world.node_name(node)))
                });
            }
            WhenUnreachable::Queue => {
                self.note_kept(gateway, node, message);
                self.keep(gateway, node, message);
                self.try_later(gateway);
            }
        }
    }
}
