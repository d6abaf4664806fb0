//! Who lies, how, how often and from when on: by label and lot, before the world begins.

use anyhow::{Context as _, Result};

use crate::kernel::{Chance, Purpose, Span, Time};
use crate::scenario::{Behaviour, Filter, Scenario};
use crate::world::Bootstrap;

/// One way in which a node lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member {
    /// How.
    pub behaviour: Behaviour,
    /// How often, where that varies.
    pub rate: f64,
    /// From when on.
    pub from: Time,
}

/// All liars.
#[derive(Clone, Debug, Default)]
pub struct Lies {
    members: Vec<Vec<Member>>,
    /// Nodes with at least one; most worlds have none.
    liars: Vec<u16>,
}

impl Lies {
    /// Liars, by node.
    #[must_use]
    pub fn new(members: Vec<Vec<Member>>) -> Self {
        let liars = (0_u16..).zip(&members).filter(|(_, lies)| !lies.is_empty()).map(|(node, _)| node);
        Self { liars: liars.collect(), members }
    }

    /// Whether this node lies at any time.
    #[must_use]
    pub fn is_liar(&self, node: u16) -> bool {
        self.members.get(usize::from(node)).is_some_and(|lies| !lies.is_empty())
    }

    /// Nodes that lie, in order.
    #[must_use]
    pub fn liars(&self) -> &[u16] {
        &self.liars
    }

    /// All ways in which a node lies.
    #[must_use]
    pub fn of(&self, node: u16) -> &[Member] {
        self.members.get(usize::from(node)).map_or(&[], Vec::as_slice)
    }

    /// How often a node lies in this way now; none if it does not.
    #[must_use]
    pub fn rate(&self, node: u16, behaviour: Behaviour, now: Time) -> Option<f64> {
        let mut lies = self.of(node).iter();
        lies.find(|lie| lie.behaviour == behaviour && lie.from <= now).map(|lie| lie.rate)
    }
}

/// The liars of a scenario under a seed's luck: of those that an expression chooses exactly the share, whoever has the lowest
/// lots.
///
/// # Errors
/// When an expression cannot be read.
pub fn lies(scenario: &Scenario, bootstrap: &Bootstrap, chance: &Chance) -> Result<Lies> {
    let mut members = vec![Vec::new(); bootstrap.len()];
    for (of, entry) in (0_u64..).zip(&scenario.byzantine) {
        let filter = entry.filter.as_deref().map_or(Ok(Filter::All), Filter::parse);
        let filter = filter.with_context(|| format!("byzantine member {} ({:?})", of + 1, entry.behaviour))?;
        let chosen = (0_u16..).zip(bootstrap.labels()).filter(|(_, labels)| filter.chooses(*labels));
        let mut lots: Vec<(u64, u16)> =
            chosen.map(|(node, _)| (chance.draw(Purpose::Adversary, of << 32, u64::from(node)).bits(), node)).collect();
        lots.sort_unstable();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a small number"
        )]
        lots.truncate((lots.len() as f64 * entry.share.0).round() as usize);
        for (_, node) in lots {
            let from = Time(scenario.warmup.0).after(entry.start);
            let from = if entry.start == Span::ZERO { Time::ZERO } else { from };
            members[usize::from(node)].push(Member { behaviour: entry.behaviour, rate: entry.rate.0, from });
        }
    }
    Ok(Lies::new(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lie_begins_in_its_time() {
        let lie = Member { behaviour: Behaviour::Drop, rate: 0.5, from: Time(10) };
        let lies = Lies::new(vec![Vec::new(), vec![lie]]);
        assert_eq!(lies.liars(), [1]);
        assert_eq!(lies.rate(1, Behaviour::Drop, Time(9)), None);
        assert_eq!(lies.rate(1, Behaviour::Drop, Time(10)), Some(0.5));
        assert_eq!(lies.rate(1, Behaviour::Delay, Time(10)), None);
        assert!(!lies.is_liar(0) && lies.is_liar(1) && !lies.is_liar(9));
    }
}
