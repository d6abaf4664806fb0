//! Eyes of the timeline: tells of posts and of SMS to the phone as they appear.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use relaymesh_phone::Delivery;
use relaymesh_protocol::ids::E164;
use tokio_util::task::AbortOnDropHandle;

use super::kit::follow::{Follow, Post, Sms};
use super::timeline::{Room, Timeline};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Watches both files until it is dropped.
pub fn watch(platform_log: PathBuf, sms_outbox: PathBuf, timeline: Arc<Timeline>) -> AbortOnDropHandle<()> {
    let mut posts = Follow::<Post>::new(platform_log);
    let mut texts = Follow::<Sms>::new(sms_outbox);
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut seen = BTreeSet::new();
        loop {
            // A file that cannot be read now is looked at again.
            for post in posts.look().unwrap_or_default() {
                let Post { account, status, id } = post;
                let verdict = if seen.insert(status.clone()) { "PUBLISHED" } else { "PUBLISHED TWICE" };
                timeline.tell(Room::Platform, "mastodon", format!("{verdict} {status:?} by {account}, id {id}"));
            }
            for sms in texts.look().unwrap_or_default() {
                timeline.tell(Room::Sms, masked(&sms.to), describe(&sms.text));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }))
}

fn masked(number: &str) -> String {
    number.parse::<E164>().map_or_else(|_| "a phone".to_owned(), |number| number.to_string())
}

/// What an SMS is, without what nobody else should read.
fn describe(text: &str) -> String {
    let Some(delivery) = Delivery::parse(text) else { return "gets a one-time code".to_owned() };
    let platform = delivery.platform.unwrap_or_else(|| "the platform".to_owned());
    let number = delivery.number.map_or_else(String::new, |number| format!(" #{number}"));
    format!("gets the delivery SMS: message{number} to {platform} {}", delivery.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_numbers_are_not_shown() {
        let code = describe("Your SMSWithoutBorders-Auth verification code is: 123456");
        assert_eq!(code, "gets a one-time code");
        assert!(!masked("+237650100001").contains("6501"), "{}", masked("+237650100001"));
        assert_eq!(masked("nobody"), "a phone");
    }

    #[test]
    fn delivery_texts_are_told_in_short() {
        let text = "RelaySMS Delivery: Successfully sent message #3 to mastodon at 2026-01-01 00:00:00 (UTC).";
        assert_eq!(describe(text), "gets the delivery SMS: message #3 to mastodon published");
    }
}
