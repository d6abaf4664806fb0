//! The rules that no world may break, whatever goes wrong in it, each with a name that reproduction files carry.
//!
//! They are checked as the world runs, from outside: by what crosses a node's edges (batches that became durable, answers,
//! frames, SMS) and by the few questions that a core answers without changing (`relaymesh_core::Node::holds` and its like).
//! What one event can break is checked at that event, in constant time; what only the whole state shows is checked at
//! midnight, whenever a node lost state, and at the end.

mod copies;
mod fates;
mod heal;
mod marks;
mod watch;

pub use copies::{Copies, Custody};
pub use fates::{Fates, may_become};
pub use heal::{HEAL, Knowledge};
pub use marks::{Mark, marks_of};
pub use watch::{Loss, Watch};

/// What texts and tokens of simulated people have in them.
const CANARIES: [&[u8]; 2] = [b"we are well and", b"access_token"];

/// Whether bytes show a text or a token of a simulated person in clear.
#[must_use]
pub fn shows_secret(bytes: &[u8]) -> bool {
    CANARIES.into_iter().any(|canary| bytes.windows(canary.len()).any(|window| window == canary))
}

/// A message stands on the platform at most once.
pub const PUBLISHED_ONCE: &str = "published_once";
/// Nobody is told "not published" of a message that is on the platform.
pub const TOLD_NOT_PUBLISHED: &str = "told_not_published";
/// Nobody is told "published" of a message that is not.
pub const TOLD_PUBLISHED: &str = "told_published";
/// Only its home opens a message.
pub const PLAINTEXT_ONLY_AT_HOME: &str = "plaintext_only_at_home";
/// What is published was written by its person.
pub const NO_INVENTED_MESSAGE: &str = "no_invented_message";
/// A message that a node said yes to is with somebody until it ends: published, refused or uncertain, and said so; unless
/// a declared fault took the disk that held it.
pub const ACCEPTED_KEPT: &str = "accepted_kept";
/// A message has one fate at every time, copies neither vanish nor appear, and no fate goes back.
pub const CONSERVATION: &str = "conservation";
/// Nothing that others can fill grows over its cap.
pub const BOUNDED_QUEUES: &str = "bounded_queues";
/// An ingress lets its copy go only when the home has consumed it, or its time is over.
pub const LIE_FREES_NO_COPY: &str = "lie_frees_no_copy";
/// A copy that a custodian said yes to is on its disk until hand-over or expiry, unless a declared fault took the disk.
pub const CUSTODY_KEPT: &str = "custody_kept";
/// A home remembers what it consumed, for as long as copies may come.
pub const CONSUMED_REMEMBERED: &str = "consumed_remembered";
/// Some hours after the last fault everybody knows what anybody knew, of facts and of filters.
pub const HEAL_CONVERGES: &str = "heal_converges";
/// Some hours after the last fault nothing is held any more for a home that can be reached.
pub const NOTHING_HELD_FOR_REACHABLE: &str = "nothing_held_for_reachable";
/// Nobody knows more of a person than its part in the mesh needs.
pub const WITHIN_HOLDINGS: &str = "within_holdings";
/// A disk takes every batch: nobody else writes to it.
pub const DISK_TAKES_ALL: &str = "disk_takes_all";

/// All of them, for lists.
pub const ALL: [&str; 15] = [
    PUBLISHED_ONCE,
    TOLD_NOT_PUBLISHED,
    TOLD_PUBLISHED,
    PLAINTEXT_ONLY_AT_HOME,
    NO_INVENTED_MESSAGE,
    ACCEPTED_KEPT,
    CONSERVATION,
    BOUNDED_QUEUES,
    LIE_FREES_NO_COPY,
    CUSTODY_KEPT,
    CONSUMED_REMEMBERED,
    HEAL_CONVERGES,
    NOTHING_HELD_FOR_REACHABLE,
    WITHIN_HOLDINGS,
    DISK_TAKES_ALL,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_seen_wherever_they_stand() {
        assert!(shows_secret(b"#12 we are well and write") && shows_secret(b"\x01{\"access_token\":\"t\"}"));
        assert!(!shows_secret(b"we are well") && !shows_secret(b""));
    }

    #[test]
    fn no_two_rules_have_one_name() {
        let names: std::collections::BTreeSet<_> = ALL.into_iter().collect();
        assert_eq!(names.len(), ALL.len());
    }
}
