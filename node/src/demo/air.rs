//! Between the phone and the nodes: carries SMS through the fake network to gateway clients, sends again what got lost, as
//! people do, and remembers what a node promised to keep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::kit::gateway::{Forwarded, GatewayClient};
use super::network::SmsNetwork;
use super::timeline::{Room, Timeline};

/// How long a person waits before sending again.
const AGAIN_AFTER: Duration = Duration::from_millis(400);
/// How often a person sends the same SMS to the same gateway client at most.
const SENDS_MAX: u32 = 25;

/// The air. Clones share it.
#[derive(Clone)]
pub struct Air {
    shared: Arc<Shared>,
}

struct Shared {
    network: Mutex<SmsNetwork>,
    /// Texts that a node accepted, and as which message.
    accepted: Mutex<BTreeMap<String, String>>,
    timeline: Arc<Timeline>,
    /// The phone's number.
    sender: String,
    under_way: TaskTracker,
}

/// One message as an SMS.
#[derive(Clone)]
pub struct Letter {
    /// The text that is to be published.
    pub text: String,
    /// The SMS that carries it.
    pub sms: String,
}

impl Air {
    /// Clear air around a phone.
    pub fn new(network: SmsNetwork, timeline: Arc<Timeline>, sender: &str) -> Self {
        let shared = Shared {
            network: Mutex::new(network),
            accepted: Mutex::default(),
            timeline,
            sender: sender.to_owned(),
            under_way: TaskTracker::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Sends a message to a gateway client. Returns at once.
    pub fn send(&self, letter: &Letter, to: &GatewayClient) {
        let (air, letter, to) = (self.clone(), letter.clone(), to.clone());
        self.shared.under_way.spawn(async move { air.insist(&letter, &to).await });
    }

    /// An order in which `count` messages leave.
    pub fn shuffle(&self, count: usize) -> Vec<usize> {
        self.network().shuffle(count)
    }

    /// Texts that a node accepted.
    pub fn accepted(&self) -> BTreeSet<String> {
        self.answers().keys().cloned().collect()
    }

    /// Waits until no SMS is under way.
    pub async fn clear(&self) {
        self.shared.under_way.close();
        self.shared.under_way.wait().await;
        self.shared.under_way.reopen();
    }

    /// Sends until the network loses nothing and the node answers.
    async fn insist(&self, letter: &Letter, to: &GatewayClient) {
        for _ in 0..SENDS_MAX {
            let arrivals = self.network().carry();
            if arrivals.is_empty() {
                self.tell(Room::Sms, to, format!("lost on the way, sent again: {}", letter.text));
            } else {
                let copies = arrivals.into_iter().map(|after| self.arrive(letter, to, after));
                if futures::future::join_all(copies).await.contains(&true) {
                    return;
                }
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        self.tell(Room::Sms, to, format!("given up: {}", letter.text));
    }

    /// One copy arrives and is forwarded once. Says whether a node took it.
    async fn arrive(&self, letter: &Letter, to: &GatewayClient, after: Duration) -> bool {
        tokio::time::sleep(after).await;
        match to.forward(&self.shared.sender, &letter.sms).await {
            Ok(answer) => {
                self.tell(Room::Gateway, to, self.judge(letter, to, &answer));
                answer.accepted()
            }
            Err(_) => {
                self.tell(Room::Gateway, to, format!("node {} does not answer: {}", to.node, letter.text));
                false
            }
        }
    }

    fn judge(&self, letter: &Letter, to: &GatewayClient, answer: &Forwarded) -> String {
        let (status, millis) = (answer.status, answer.took.as_millis());
        let said = format!("HTTP {status} in {millis} ms");
        let end = format!("node {}: {}", to.node, letter.text);
        if !answer.accepted() {
            return format!("{said} (refused: {})   {end}", answer.text);
        }
        let id = message_id(&answer.text).to_owned();
        let first = self.answers().insert(letter.text.clone(), id.clone());
        match first {
            None => format!("{said} (stored)   {end}"),
            Some(known) if known == id => format!("{said} (the same message, merged)   {end}"),
            Some(_) => format!("{said} (taken for another message)   {end}"),
        }
    }

    fn tell(&self, room: Room, to: &GatewayClient, what: String) {
        self.shared.timeline.tell(room, to.name.clone(), what);
    }

    fn network(&self) -> MutexGuard<'_, SmsNetwork> {
        self.shared.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.shared.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The message that an answer is about; it stands at its end, whatever is said of it.
fn message_id(answer: &str) -> &str {
    answer.rsplit(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_about_one_message_are_recognised() {
        assert_eq!(message_id("accepted 0a1b"), message_id("Successfully sent message 0a1b"));
        assert_ne!(message_id("accepted 0a1b"), message_id("accepted 0a1c"));
        assert_eq!(message_id(""), "");
    }
}
