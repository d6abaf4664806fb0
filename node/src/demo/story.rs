//! The story: one person, a rough SMS network, and a home that is killed while messages are on their way to it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::air::{Air, Letter};
use super::kit::follow::Follow;
use super::kit::person::Person;
use super::network::{SmsNetwork, Weather};
use super::stage::Stage;
use super::tally::Tally;
use super::timeline::{Room, Timeline};

/// The person's number.
const NUMBER: &str = "+237650100001";
/// The person's name at the platform.
const LOGIN: &str = "ada";
/// Messages that leave out of order.
const OUT_OF_ORDER: usize = 5;
/// Messages that are on their way when the home is killed.
const UNDER_WAY: usize = 3;
/// How long one step waits for its messages; what is not there by then is waited for at the end.
const STEP_TIME: Duration = Duration::from_secs(3);
/// How long after the start the count is made at the latest.
const STORY_TIME: Duration = Duration::from_millis(13_500);
/// What the messages have at least after the restart, however slow the machine was before.
const REPAIR_TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 6 });
/// How long after the phone sent the last three the home is killed: all three are in the air then, and reach nodes that
/// cannot reach it.
const KILL_AFTER: Duration = Duration::from_millis(10);
/// How long the home is down.
const DOWN_TIME: Duration = Duration::from_millis(500);
/// A second post would come within this time after the last first one.
const SETTLE_TIME: Duration = Duration::from_millis(400);
/// How often the platform is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Through which gateway clients a message goes: the first of several through both, the others by turns.
fn ways(turn: usize) -> &'static [usize] {
    match turn {
        0 => &[0, 1],
        odd if odd % 2 == 1 => &[1],
        _ => &[0],
    }
}

/// The story while it is told.
pub struct Story {
    stage: Stage,
    timeline: Arc<Timeline>,
    person: Person,
    air: Air,
    composed: BTreeSet<String>,
    extra: usize,
}

impl Story {
    /// The person signs up at the home and connects an account; then the nodes meet.
    pub async fn begin(mut stage: Stage, timeline: Arc<Timeline>, seed: u64) -> Result<Self> {
        let mut outbox = Follow::new(stage.sms_outbox());
        let (http, home) = (stage.http.clone(), stage.home()?);
        let mut person = Person::sign_up(&home.grpc(), NUMBER, &mut outbox, seed).await.context("sign-up failed")?;
        let masked = person.number.to_string();
        timeline.tell(Room::Phone, &masked, format!("signs up at node {}, code by SMS", home.name()));
        let account = person.connect(&http, LOGIN).await.context("no account could be connected")?;
        timeline.tell(Room::Phone, &masked, format!("connects {account} by OAuth"));
        stage.meet(&timeline).await?;
        let network = SmsNetwork::new(seed, Weather::ROUGH);
        let air = Air::new(network, Arc::clone(&timeline), person.number.reveal());
        Ok(Self { stage, timeline, person, air, composed: BTreeSet::new(), extra: 0 })
    }

    /// All of it, up to the count.
    pub async fn tell(&mut self) -> Result<Tally> {
        self.chapter("one message");
        self.send("Bonjour", true, &[0])?;
        self.step().await;
        self.chapter("the same SMS through two gateway clients");
        self.send("Salut à tous", true, &[0, 1])?;
        self.step().await;
        self.chapter("several out of order, one without device ID");
        self.out_of_order()?;
        self.send("found by my number", false, &[0])?;
        self.step().await;
        self.chapter("the home is killed while three are on their way");
        self.kill_home().await?;
        self.count().await
    }

    fn chapter(&self, title: &str) {
        self.timeline.note(&format!("       -- {title}"));
    }

    /// The phone composes a message and sends it to gateway clients.
    fn send(&mut self, text: &str, with_device_id: bool, gateways: &[usize]) -> Result<()> {
        let letter = self.compose(text, with_device_id)?;
        self.launch(&letter, gateways);
        Ok(())
    }

    fn compose(&mut self, text: &str, with_device_id: bool) -> Result<Letter> {
        let sms = self.person.compose(text, with_device_id)?;
        let known_by = if with_device_id { "" } else { ", without device ID" };
        let what = format!("composes {text:?} → mastodon, {} letters{known_by}", sms.trim_end().len());
        self.timeline.tell(Room::Phone, self.person.number.to_string(), what);
        self.composed.insert(text.to_owned());
        Ok(Letter { text: text.to_owned(), sms })
    }

    fn launch(&self, letter: &Letter, gateways: &[usize]) {
        let clients: Vec<_> = gateways.iter().filter_map(|at| self.stage.gateways.get(*at)).collect();
        if clients.len() > 1 {
            let names: Vec<&str> = clients.iter().map(|client| client.name.as_str()).collect();
            let what = format!("sends {:?} to {}: one SMS, two ways", letter.text, names.join(" and "));
            self.timeline.tell(Room::Phone, self.person.number.to_string(), what);
        }
        for client in clients {
            self.air.send(letter, client);
        }
    }

    fn out_of_order(&mut self) -> Result<()> {
        let compose = |n| self.compose(&format!("note {n} of {OUT_OF_ORDER}"), true);
        let letters = (1..=OUT_OF_ORDER).map(compose).collect::<Result<Vec<_>>>()?;
        for (turn, at) in self.air.shuffle(OUT_OF_ORDER).into_iter().enumerate() {
            if let Some(letter) = letters.get(at) {
                self.launch(letter, ways(turn));
            }
        }
        Ok(())
    }

    async fn kill_home(&mut self) -> Result<()> {
        let compose = |n| self.compose(&format!("urgent {n} of {UNDER_WAY}"), true);
        let letters = (1..=UNDER_WAY).map(compose).collect::<Result<Vec<_>>>()?;
        for (turn, letter) in letters.iter().enumerate() {
            self.launch(letter, ways(turn));
        }
        // None has arrived anywhere yet.
        tokio::time::sleep(KILL_AFTER).await;
        let home = self.stage.home()?;
        home.kill().await?;
        let name = home.name().to_owned();
        self.timeline.tell(Room::Node, &name, "SIGKILL");
        tokio::time::sleep(DOWN_TIME).await;
        let waiting = self.composed.len() - self.published();
        self.timeline.tell(Room::Node, &name, format!("is down, {waiting} on their way to it"));
        let took = self.stage.home()?.start().await?;
        self.timeline.tell(Room::Node, &name, format!("started again, ready in {} ms", took.as_millis()));
        Ok(())
    }

    fn published(&self) -> usize {
        let posts: BTreeSet<String> = self.stage.posts().into_iter().collect();
        posts.intersection(&self.composed).count()
    }

    /// Waits until everything composed so far is published and no copy is in the air, but no longer than a step takes.
    async fn step(&self) {
        // Running late is no end yet: the count at the end decides.
        let _ = tokio::time::timeout(STEP_TIME, self.quiet()).await;
    }

    async fn quiet(&self) {
        self.all_published().await;
        self.air.clear().await;
    }

    async fn all_published(&self) {
        while self.published() < self.composed.len() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits for what is on its way, then counts.
    async fn count(&self) -> Result<Tally> {
        let rest = STORY_TIME.saturating_sub(self.timeline.elapsed()).max(REPAIR_TIME);
        if tokio::time::timeout(rest, self.quiet()).await.is_ok() {
            tokio::time::sleep(SETTLE_TIME).await;
        }
        Ok(Tally::count(&self.composed, &self.air.accepted(), &self.stage.posts()))
    }

    /// How many messages were composed.
    pub fn composed(&self) -> usize {
        self.composed.len()
    }

    /// One more message, typed by whoever watches. A text that was sent before gets a number.
    pub fn send_typed(&mut self, text: &str) -> Result<()> {
        self.extra += 1;
        let text = if self.composed.contains(text) { format!("{text} ({})", self.extra) } else { text.to_owned() };
        let gateways = [self.extra % 2];
        self.send(&text, true, &gateways)
    }

    /// The stage.
    pub fn stage(&mut self) -> &mut Stage {
        &mut self.stage
    }

    /// Gives the stage back.
    pub fn into_stage(self) -> Stage {
        self.stage
    }
}
