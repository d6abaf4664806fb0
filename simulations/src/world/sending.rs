//! What people do: they write, wait for an answer, and send again through the next number they know.

use relaymesh_protocol::sms_text::utc;

use super::carriers::Joined;
use super::message::Message;
use super::people::segments;
use super::{Event, Notice, World};
use crate::invariants::{TOLD_NOT_PUBLISHED, TOLD_PUBLISHED};
use crate::kernel::{Purpose, Span, Time};
use crate::outcome::{Route, Told};
use crate::scenario::Scenario;

/// Share of a day's messages in each hour, as factor of the mean: waking hours with a peak in the evening (assumed).
const DIURNAL: [f64; 24] = [
    0.35, 0.2, 0.12, 0.1, 0.12, 0.25, 0.6, 0.95, 1.15, 1.2, 1.2, 1.2, 1.25, 1.2, 1.15, 1.15, 1.25, 1.4, 1.6, 1.8, 1.85,
    1.65, 1.25, 0.91,
];
/// The highest of them.
const PEAK: f64 = 1.85;
/// Seconds of a day.
const DAY_SECONDS: f64 = 86_400.0;

/// The highest rate of messages of a region, per second: what the thinned process runs at.
fn peak_rate(scenario: &Scenario, people: usize) -> f64 {
    let crowd = scenario.fault.iter().filter(|fault| fault.kind == crate::scenario::FaultKind::FlashCrowd);
    let crowd = crowd.filter_map(|fault| fault.amount).fold(1.0, f64::max);
    let daily = scenario.people.daily_online.max(scenario.people.daily_offline);
    let peak = if scenario.people.diurnal { PEAK } else { 1.0 };
    #[allow(clippy::cast_precision_loss, reason = "people are fewer than 2^52")]
    let people = people as f64;
    people * daily * peak * crowd / DAY_SECONDS
}

impl World<'_> {
    /// Begins the load of all regions.
    pub(super) fn start_load(&mut self) {
        for region in 0..u16::try_from(self.by_region.len()).expect("fewer than 65,536 regions") {
            self.next_load(region, 0);
        }
    }

    fn next_load(&mut self, region: u16, n: u32) {
        let rate = peak_rate(self.scenario, self.by_region[usize::from(region)].len());
        if rate > 0.0 {
            let wait = self.chance.draw(Purpose::Load, u64::from(region), u64::from(n)).exponential(1.0 / rate);
            self.push(Span::from_secs_f64(wait), Event::Load { region, n });
        }
    }

    pub(super) fn on_load(&mut self, region: u16, n: u32) {
        self.next_load(region, n + 1);
        let draw = self.chance.draw(Purpose::LoadPick, u64::from(region), u64::from(n));
        let people = &self.by_region[usize::from(region)];
        let Some(person) = people.get(draw.below(people.len())).copied() else { return };
        let model = &self.scenario.people;
        let offline = self.offline[usize::from(region)] > 0 || (self.internet.border_cuts > 0);
        let daily = if offline { model.daily_offline } else { model.daily_online };
        let hour = usize::try_from(self.now.second_of_day() / 3_600).unwrap_or(0);
        let diurnal = if model.diurnal { DIURNAL[hour % 24] } else { 1.0 };
        let rate = daily * diurnal * self.load_factor / DAY_SECONDS;
        let peak = peak_rate(self.scenario, 1);
        if draw.again().happens(rate / peak) {
            self.write(person);
        }
    }

    fn write(&mut self, person: u32) {
        let message = u32::try_from(self.messages.len()).expect("fewer than 2^32 messages");
        let text = self.people[person as usize].compose(self.scenario, &self.chance, person, message);
        self.note_written(person, &text);
        let route = self.route_of(person);
        self.messages.push(Message::new(person, route, self.now, text.into()));
        self.send(message);
    }

    fn route_of(&self, person: u32) -> Route {
        let who = &self.people[person as usize];
        let home = &self.nodes[usize::from(who.home)];
        match (home.gone || home.spot.cut > 0, who.names_device) {
            (true, _) => Route::HomeAway,
            (false, true) => Route::Device,
            (false, false) => Route::Number,
        }
    }

    /// Sends a message, or sends it again, through the number that is next.
    fn send(&mut self, message: u32) {
        let person = self.messages[message as usize].person;
        let who = &self.people[person as usize];
        let Some(gateway) = who.gateways.get(usize::from(who.next) % who.gateways.len().max(1)).copied() else {
            return;
        };
        let (region, carrier) = (who.region, who.carrier);
        let own = &mut self.messages[message as usize];
        let Some(text) = &own.text else { return };
        let count = segments(text);
        let copy = u16::from(own.sends);
        own.sends += 1;
        own.segments = own.segments.saturating_add(count);
        let there = self.gateways[usize::from(gateway)].spot.region;
        let lost = [region, there].iter().any(|place| self.sms_lost(*place, u64::from(message) << 8 | u64::from(copy)));
        if !lost {
            let cross = usize::from(gateway) % self.scenario.carrier.len().max(1) != usize::from(carrier);
            let (chance, now) = (self.chance, self.now);
            let sms = Joined { carrier, cross, message: u64::from(message), copy: u64::from(copy), segments: count };
            let passage = self.carriers.pass(&chance, now, sms);
            for at in passage.arrivals {
                let own = &mut self.messages[message as usize];
                own.in_flight = own.in_flight.saturating_add(1);
                self.queue.push(at, Event::Arrive { message, gateway, copy });
            }
        }
        let sends = self.messages[message as usize].sends;
        let flying = self.messages[message as usize].in_flight;
        self.note(message, |world| {
            let off = if lost { ", and the network is off" } else { "" };
            let to = world.gateway_name(gateway);
            (
                "person".to_owned(),
                format!("sends it, time {sends}, {count} segments, to {to}{off}; {flying} copies under way"),
            )
        });
        if self.scenario.switches.resend && sends <= self.scenario.people.resend_times {
            self.push(self.scenario.people.resend_after, Event::Resend { message, sends });
        }
    }

    /// Whether the network of a region is switched off for this SMS.
    fn sms_lost(&self, region: u16, which: u64) -> bool {
        let through = self.sms_off[usize::from(region)].iter().fold(1.0, |through, loss| through * (1.0 - loss));
        through < 1.0 && !self.chance.draw(Purpose::SmsLoss, which, 1 << 40 | u64::from(region)).happens(through)
    }

    pub(super) fn on_resend(&mut self, message: u32, sends: u8) {
        let own = &self.messages[message as usize];
        if own.told != Told::Nothing || own.sends != sends {
            return;
        }
        let who = &mut self.people[own.person as usize];
        who.next = who.next.wrapping_add(1) % u8::try_from(who.gateways.len().max(1)).unwrap_or(u8::MAX);
        self.count("resent");
        self.send(message);
    }

    /// A node sends somebody an SMS.
    pub(super) fn tell(&mut self, person: u32, text: String) {
        let Some(who) = self.people.get_mut(person as usize) else { return };
        let (region, carrier) = (who.region, who.carrier);
        // One person's texts have luck of their own, however many others get.
        let which = 1 << 62 | u64::from(person) << 24 | u64::from(who.texts);
        who.texts = who.texts.wrapping_add(1);
        if self.sms_lost(region, which) {
            return;
        }
        let (chance, now) = (self.chance, self.now);
        let sms = Joined { carrier, cross: true, message: which, copy: 0, segments: segments(&text) };
        let passage = self.carriers.pass(&chance, now, sms);
        if let Some(at) = passage.arrivals.first() {
            let slot = self.notices.insert(Notice { person, text });
            self.queue.push(*at, Event::Told { slot });
        }
    }

    pub(super) fn on_told(&mut self, slot: u32) {
        let Some(Notice { person, text }) = self.notices.take(slot) else { return };
        let Some(told) = meaning(&text) else { return };
        let Some(message) = self.about(person, &text) else { return };
        self.note(message, |_| ("person".to_owned(), format!("is told by SMS: {}", told_name(told))));
        let own = &mut self.messages[message as usize];
        // What is known for certain outweighs what is not.
        if own.told == Told::Nothing || told != Told::Uncertain {
            own.told = told;
        }
        if told == Told::Failed && own.published.is_some() {
            self.violate(TOLD_NOT_PUBLISHED, format!("message {message} is on the platform"));
        }
        if told == Told::Published && self.messages[message as usize].published.is_none() {
            self.violate(TOLD_PUBLISHED, format!("message {message} is not on the platform"));
        }
    }

    /// Which message an SMS is about: by its number, or by its moment.
    fn about(&self, person: u32, text: &str) -> Option<u32> {
        let who = self.people.get(person as usize)?;
        if let Some((_, number)) = text.rsplit_once('#') {
            let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
            let ordinal: usize = digits.parse().ok()?;
            return who.begun.get(ordinal.checked_sub(1)?).copied();
        }
        // Expired: the moment at which the ingress took it in.
        let near = |message: &Message| {
            message.accepted.is_some_and(|at| {
                [0, 1_000_000]
                    .iter()
                    .any(|earlier| text.contains(&utc(Time(at.0.saturating_sub(*earlier)).timestamp())))
            })
        };
        let found = self.messages.iter().position(|message| message.person == person && near(message));
        found.and_then(|found| u32::try_from(found).ok())
    }
}

fn told_name(told: Told) -> &'static str {
    match told {
        Told::Nothing => "nothing",
        Told::Published => "it is published",
        Told::Failed => "it is not published",
        Told::Uncertain => "nobody can tell whether it is published",
    }
}

/// What an SMS tells of a message.
fn meaning(text: &str) -> Option<Told> {
    if text.contains("Successfully sent") {
        Some(Told::Published)
    } else if text.contains("Failed to send") {
        Some(Told::Failed)
    } else if text.contains("is uncertain") || text.contains("cannot tell") {
        Some(Told::Uncertain)
    } else {
        None
    }
}
