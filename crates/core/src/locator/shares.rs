//! What this node spends of other nodes' rations, and on whom: numbers that once proved themselves first, gateway clients
//! evenly, strangers at most a tenth, audits last.

use std::collections::BTreeMap;

use relaymesh_protocol::ids::{NodeId, Timestamp};
use serde::{Deserialize, Serialize};

use super::ration::PER_DAY;

/// Evaluations a day that each node of the own instance may be asked for: far more than a partner's.
pub(super) const OWN_PER_DAY: u32 = 100 * PER_DAY;
/// Gateway clients whose use of a day is remembered.
const CLIENTS_MAX: usize = 10_000;

/// Why a number is asked for; the first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Class {
    /// An acceptance for this number has proven itself.
    Proven,
    /// Through a gateway client that is known.
    Trusted,
    /// From anybody.
    Open,
    /// Nobody waits for it.
    Audit,
}

#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    all: u32,
    open: u32,
    audit: u32,
}

/// What was spent today.
#[derive(Debug, Default)]
pub(super) struct Shares {
    day: u64,
    by: BTreeMap<NodeId, Spent>,
    clients: BTreeMap<[u8; 16], u32>,
}

impl Shares {
    /// Whether one more question of this class may go to a node that gives us `per_day`, when `planned` more are on
    /// their way.
    pub fn allows(&self, node: &NodeId, class: Class, per_day: u32, planned: u32, now: Timestamp) -> bool {
        let spent =
            if now.day() > self.day { Spent::default() } else { self.by.get(node).copied().unwrap_or_default() };
        let all = spent.all.saturating_add(planned);
        match class {
            Class::Proven => all < per_day,
            Class::Trusted => all < per_day / 10 * 9,
            Class::Open => spent.open.saturating_add(planned) < per_day / 10 && all < per_day / 10 * 9,
            Class::Audit => spent.audit.saturating_add(planned) < per_day / 20 && all < per_day / 2,
        }
    }

    /// How much a gateway client has used today.
    pub fn used(&self, client: &[u8; 16]) -> u32 {
        self.clients.get(client).copied().unwrap_or_default()
    }

    /// Questions were sent.
    pub fn spend(&mut self, node: NodeId, class: Class, client: Option<[u8; 16]>, now: Timestamp) {
        if now.day() > self.day {
            *self = Self { day: now.day(), ..Self::default() };
        }
        let spent = self.by.entry(node).or_default();
        spent.all = spent.all.saturating_add(1);
        match class {
            Class::Open => spent.open = spent.open.saturating_add(1),
            Class::Audit => spent.audit = spent.audit.saturating_add(1),
            Class::Proven | Class::Trusted => {}
        }
        if let Some(client) = client
            && (self.clients.len() < CLIENTS_MAX || self.clients.contains_key(&client))
        {
            let used = self.clients.entry(client).or_default();
            *used = used.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);
    const NODE: NodeId = NodeId([1; 32]);

    fn spend_all(shares: &mut Shares, class: Class) -> u32 {
        let mut count = 0;
        while shares.allows(&NODE, class, 1_000, 0, NOW) {
            shares.spend(NODE, class, None, NOW);
            count += 1;
        }
        count
    }

    #[test]
    fn strangers_get_a_tenth_and_leave_the_rest_to_others() {
        let mut shares = Shares::default();
        assert_eq!(spend_all(&mut shares, Class::Open), 100);
        assert_eq!(spend_all(&mut shares, Class::Audit), 50);
        assert_eq!(spend_all(&mut shares, Class::Trusted), 750);
        assert_eq!(spend_all(&mut shares, Class::Proven), 100);
        assert_eq!(spend_all(&mut shares, Class::Open), 0);
        let tomorrow = Timestamp(NOW.0 + 86_400_000);
        assert!(shares.allows(&NODE, Class::Open, 1_000, 0, tomorrow));
    }

    #[test]
    fn audits_stop_when_half_is_used() {
        let mut shares = Shares::default();
        for _ in 0..500 {
            shares.spend(NODE, Class::Trusted, None, NOW);
        }
        assert!(!shares.allows(&NODE, Class::Audit, 1_000, 0, NOW));
        assert!(shares.allows(&NODE, Class::Trusted, 1_000, 399, NOW));
        assert!(!shares.allows(&NODE, Class::Trusted, 1_000, 400, NOW));
    }

    #[test]
    fn clients_are_counted_and_the_day_forgets() {
        let mut shares = Shares::default();
        shares.spend(NODE, Class::Trusted, Some([1; 16]), NOW);
        shares.spend(NODE, Class::Trusted, Some([1; 16]), NOW);
        assert_eq!((shares.used(&[1; 16]), shares.used(&[2; 16])), (2, 0));
        shares.spend(NODE, Class::Trusted, None, Timestamp(NOW.0 + 86_400_000));
        assert_eq!(shares.used(&[1; 16]), 0);
    }
}
