//! The platform: it keeps idempotency keys for an hour, as Mastodon does, and counts what is posted.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;

use siphasher::sip::SipHasher13;

use crate::kernel::{Span, Time};

/// How long a key is remembered (interop notes on Mastodon: one hour).
const KEY_LIFE: Span = Span::secs(3_600);

/// The platform.
#[derive(Default)]
pub struct Platform {
    /// Outages now.
    pub down: u16,
    keys: HashMap<String, Time, BuildHasherDefault<SipHasher13>>,
    order: VecDeque<(Time, String)>,
}

impl Platform {
    /// Posts under a key; whether that made a new post.
    pub fn post(&mut self, key: &str, now: Time) -> bool {
        while self.order.front().is_some_and(|(at, _)| now.since(*at) >= KEY_LIFE) {
            if let Some((_, old)) = self.order.pop_front() {
                self.keys.remove(&old);
            }
        }
        if self.keys.contains_key(key) {
            return false;
        }
        self.keys.insert(key.to_owned(), now);
        self.order.push_back((now, key.to_owned()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_holds_for_an_hour() {
        let mut platform = Platform::default();
        assert!(platform.post("a", Time::ZERO));
        assert!(!platform.post("a", Time(Span::secs(3_599).0)));
        assert!(platform.post("a", Time(Span::secs(3_600).0)));
    }
}
