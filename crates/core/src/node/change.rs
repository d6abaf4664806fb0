//! How a node's memory changes.

use super::Node;
use crate::output::WorkId;
use crate::timer::Timer;
use crate::{accounts, clients, delivery, egress, home, ingress, keys, locator, membership, operator, publisher};

/// What memory changes when a run ends or its batch is durable: one variant per conversation.
#[derive(Debug)]
pub(crate) enum Change {
    Count(&'static str),
    /// A timer is not needed any more.
    Cancel(Timer),
    /// The end of a piece of work is dealt with.
    Settled(WorkId),
    Accounts(accounts::Change),
    Clients(clients::Change),
    Delivery(delivery::Change),
    Egress(egress::Change),
    Home(home::Change),
    Ingress(ingress::Change),
    Keys(keys::Change),
    Locator(locator::Change),
    Membership(membership::Change),
    Operator(operator::Change),
    Publisher(publisher::Change),
}

macro_rules! changes {
    ($($variant:ident($module:ident)),* $(,)?) => {$(
        impl From<$module::Change> for Change {
            fn from(change: $module::Change) -> Self {
                Self::$variant(change)
            }
        }
    )*};
}

changes!(
    Accounts(accounts),
    Clients(clients),
    Delivery(delivery),
    Egress(egress),
    Home(home),
    Ingress(ingress),
    Keys(keys),
    Locator(locator),
    Membership(membership),
    Operator(operator),
    Publisher(publisher),
);

impl Node {
    pub(crate) fn apply_all(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Count(name) => self.bump(name),
                Change::Cancel(timer) => self.timers.cancel(&timer),
                Change::Settled(id) => {
                    self.unsettled.remove(&id);
                }
                Change::Accounts(change) => self.accounts.apply(change),
                Change::Clients(change) => self.clients.apply(change),
                Change::Delivery(change) => self.delivery.apply(change),
                Change::Egress(change) => self.egress.apply(change),
                Change::Home(change) => self.home.apply(change),
                Change::Ingress(change) => self.ingress.apply(change),
                Change::Keys(change) => self.keys.apply(change),
                Change::Locator(change) => self.locator.apply(change),
                Change::Membership(change) => self.membership.apply(change),
                Change::Operator(change) => self.operator.apply(change),
                Change::Publisher(change) => self.publisher.apply(change),
            }
        }
    }
}
