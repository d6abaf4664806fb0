//! Conservation: at each count every message has one fate, and none goes back to a state before the one it was in.

use crate::outcome::Fate;

/// How far a fate is along the way: a message never goes back.
fn rank(fate: Fate) -> u8 {
    match fate {
        Fate::LostSms | Fate::LostGateway | Fate::AtGateway => 0,
        Fate::Waiting | Fate::LostNode => 1,
        Fate::Refused | Fate::Uncertain | Fate::Expired => 2,
        Fate::Published => 3,
    }
}

/// Whether a message of one fate may later have another one. Before a node has it, it may be sent again and again; a node's
/// yes, an end and a publication are for good, but that what was uncertain may turn out to be published. A message without
/// a home's or an ingress's memory (the central service) may be lost after it was taken.
#[must_use]
pub fn may_become(before: Fate, after: Fate) -> bool {
    rank(after) >= rank(before)
}

/// The fates at the last count.
#[derive(Clone, Debug, Default)]
pub struct Fates(Vec<Fate>);

impl Fates {
    /// Counts again: `fates` of all messages, in order. Tells the first message whose fate went back, and whether messages
    /// have vanished.
    pub fn count(&mut self, fates: impl Iterator<Item = Fate>) -> Option<String> {
        let now: Vec<Fate> = fates.collect();
        let before = std::mem::replace(&mut self.0, now);
        if self.0.len() < before.len() {
            return Some(format!("there were {} messages and are {}", before.len(), self.0.len()));
        }
        let back = before.iter().zip(&self.0).position(|(before, after)| !may_become(*before, *after));
        back.map(|at| format!("message {at} was {:?} and is {:?}", before[at], self.0[at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_fate_goes_back() {
        let mut fates = Fates::default();
        assert_eq!(fates.count([Fate::LostSms, Fate::Waiting].into_iter()), None);
        assert_eq!(fates.count([Fate::AtGateway, Fate::Uncertain, Fate::LostSms].into_iter()), None);
        assert_eq!(fates.count([Fate::Published, Fate::Published, Fate::Waiting].into_iter()), None);
        assert!(fates.count([Fate::Published, Fate::Waiting, Fate::Waiting].into_iter()).is_some());
        assert!(fates.count([Fate::Published].into_iter()).unwrap().contains("were 3"));
    }
}
