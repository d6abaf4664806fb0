//! The authorization URLs that were handed out lately, by the request that the app named. Only hashes: nothing here is
//! worth stealing. Lost on restart; an exchange that finds nothing rests on the platform's own check of the verifier.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use relaymesh_protocol::ids::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How long a person may take in the browser.
const URL_LIFE: Duration = Duration::from_mins(10);
/// Most URLs remembered, some 100 bytes each; strangers may ask for them, and the oldest go first.
const URLS_MAX: usize = 10_000;

/// A request, named by platform and the app's identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Request([u8; 32]);

impl Request {
    pub fn of(platform: &str, identifier: &str) -> Self {
        Self(hash(&[platform, identifier]))
    }
}

/// What was handed out.
#[derive(Clone, Debug)]
pub(crate) struct Handed {
    at: Timestamp,
    bound: [u8; 32],
}

impl Handed {
    /// Verifier and redirect of a URL.
    pub fn new(at: Timestamp, verifier: &str, redirect: &str) -> Self {
        Self { at, bound: hash(&[verifier, redirect]) }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.at.after(URL_LIFE)
    }
}

/// Each part with its length, so that no two lists of parts are alike.
fn hash(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Urls {
    handed: BTreeMap<Request, Handed>,
    order: VecDeque<(Request, Timestamp)>,
}

impl Urls {
    /// Adds or replaces a request's URL.
    pub fn add(&mut self, request: Request, handed: Handed) {
        let now = handed.at;
        self.order.push_back((request, now));
        self.handed.insert(request, handed);
        while self.order.len() > URLS_MAX || self.order.front().is_some_and(|(_, at)| now >= at.after(URL_LIFE)) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some((request, at)) = self.order.pop_front() else { return };
        // A request that was replaced since has a later entry of its own.
        if self.handed.get(&request).is_some_and(|handed| handed.at <= at) {
            self.handed.remove(&request);
        }
    }

    /// Forgets a request that was used, if it is the one of that moment or before.
    pub fn remove(&mut self, request: &Request, now: Timestamp) {
        if self.handed.get(request).is_some_and(|handed| handed.at <= now) {
            self.handed.remove(request);
        }
    }

    /// Whether nothing is remembered.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.handed.is_empty()
    }

    /// Whether verifier and redirect are those of the request; `None` if nothing is known of it.
    pub fn fits(&self, request: &Request, now: Timestamp, verifier: &str, redirect: &str) -> Option<bool> {
        let handed = self.handed.get(request).filter(|handed| !handed.is_over(now))?;
        Some(handed.bound.ct_eq(&hash(&[verifier, redirect])).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_bound_for_ten_minutes_and_once() {
        let mut urls = Urls::default();
        let request = Request::of("mastodon", "key");
        urls.add(request, Handed::new(Timestamp(0), "v", "https://r"));
        let end = Timestamp(0).after(URL_LIFE);
        assert_eq!(urls.fits(&request, Timestamp(1), "v", "https://r"), Some(true));
        assert_eq!(urls.fits(&request, Timestamp(1), "w", "https://r"), Some(false));
        assert_eq!(urls.fits(&request, Timestamp(1), "v", "https://s"), Some(false));
        assert_eq!(urls.fits(&request, end, "v", "https://r"), None);
        assert_eq!(urls.fits(&Request::of("gmail", "key"), Timestamp(1), "v", "https://r"), None);
        urls.remove(&request, Timestamp(2));
        assert_eq!(urls.fits(&request, Timestamp(2), "v", "https://r"), None);
    }

    #[test]
    fn the_oldest_go_first_and_a_replaced_request_stays() {
        let mut urls = Urls::default();
        let first = Request::of("mastodon", "first");
        urls.add(first, Handed::new(Timestamp(0), "v", "r"));
        urls.add(Request::of("mastodon", "second"), Handed::new(Timestamp(1), "v", "r"));
        urls.add(first, Handed::new(Timestamp(2), "new", "r"));
        for i in 0..URLS_MAX - 1 {
            urls.add(Request::of("mastodon", &i.to_string()), Handed::new(Timestamp(3), "v", "r"));
        }
        assert_eq!(urls.fits(&first, Timestamp(3), "new", "r"), Some(true));
        assert_eq!(urls.fits(&Request::of("mastodon", "second"), Timestamp(3), "v", "r"), None);
        assert!(urls.handed.len() <= URLS_MAX && urls.order.len() <= URLS_MAX);
        urls.add(Request::of("mastodon", "late"), Handed::new(Timestamp(3).after(URL_LIFE), "v", "r"));
        assert_eq!((urls.handed.len(), urls.order.len()), (1, 1));
    }
}
