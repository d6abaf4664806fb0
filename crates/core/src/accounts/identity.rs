//! Who an account is, and how it is found. A record that does not open is a node's trouble, not a person's: it answers
//! that the node is not available, never that the account is not there (apps throw people out on that). The same holds for
//! an account that is not here while other nodes of the instance hold accounts too.

use std::fmt;

use relaymesh_protocol::ids::{E164, EntityId};

use crate::command::{Code, Identity, Private, Refusal};
use crate::membership::{Member, Relation};
use crate::node::Node;
use crate::record::index::{self, Kind};
use crate::record::vault::{ACCOUNT, Account};
use crate::record::{Entity, key};
use crate::tx::{Run, Tx};

/// What an account is found by: the e-mail address if one was sent, else the number.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Identifier {
    Email(Private),
    Phone(E164),
    /// Something typed that is no number: nobody has it.
    Nobody,
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.field())
    }
}

impl Identifier {
    /// Reads who a caller says to be. White space in a number does not count.
    pub fn of(identity: &Identity) -> Self {
        if identity.email_address.reveal().is_empty() {
            number(&identity.phone_number).map_or(Self::Nobody, Self::Phone)
        } else {
            Self::Email(identity.email_address.clone())
        }
    }

    /// What device ID and codes are computed from.
    pub fn text(&self) -> &str {
        match self {
            Self::Email(email) => email.reveal(),
            Self::Phone(phone) => phone.reveal(),
            Self::Nobody => "",
        }
    }

    /// The request's field, as texts name it.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Email(_) => "email_address",
            Self::Phone(_) | Self::Nobody => "phone_number",
        }
    }

    /// The e-mail address.
    pub fn email(&self) -> Option<String> {
        match self {
            Self::Email(email) => Some(email.reveal().to_owned()),
            Self::Phone(_) | Self::Nobody => None,
        }
    }

    /// The number.
    pub fn phone(&self) -> Option<E164> {
        match self {
            Self::Phone(phone) => Some(phone.clone()),
            Self::Email(_) | Self::Nobody => None,
        }
    }

    /// Its entity, if it has one here.
    pub fn find(&self, node: &Node, tx: &mut Tx<'_>) -> Run<Option<EntityId>> {
        match self {
            Self::Email(email) => find(node, tx, Kind::Email, email.reveal().as_bytes()),
            Self::Phone(phone) => find(node, tx, Kind::Phone, phone.reveal().as_bytes()),
            Self::Nobody => Ok(None),
        }
    }

    /// Points it at an entity.
    pub fn put(&self, node: &Node, tx: &mut Tx<'_>, entity: EntityId) -> Run {
        match self {
            Self::Email(email) => index::put(node, tx, Kind::Email, email.reveal().as_bytes(), entity),
            Self::Phone(phone) => index::put(node, tx, Kind::Phone, phone.reveal().as_bytes(), entity),
            Self::Nobody => Ok(()),
        }
    }

    /// Nobody has it, for all this node can know.
    pub fn not_found(&self, node: &Node) -> Refusal {
        absent(node, Refusal::new(Code::NotFound, format!("Entity with this {} not found.", self.field())))
    }

    /// Somebody has it.
    pub fn exists(&self) -> Refusal {
        Refusal::new(Code::AlreadyExists, format!("Entity with this {} already exists.", self.field()))
    }
}

/// What somebody hears whose account is not here: that there is none only where no other vault of the instance could have
/// it. A node cannot tell an account that it lacks from one that was deleted elsewhere.
pub(super) fn absent(node: &Node, none: Refusal) -> Refusal {
    let elsewhere = |member: &Member| member.roles.vault && node.membership.relation(&member.id) == Relation::Own;
    if node.membership.members().any(elsewhere) { Refusal::unavailable() } else { none }
}

/// The number in a text, white space removed.
pub(crate) fn number(text: &Private) -> Option<E164> {
    let compact: String = text.reveal().chars().filter(|c| !c.is_whitespace()).collect();
    compact.parse().ok()
}

/// The entity behind an identifier; a row that is there and does not open is no "no".
pub(crate) fn find(node: &Node, tx: &mut Tx<'_>, kind: Kind, value: &[u8]) -> Run<Option<EntityId>> {
    let found = index::find(node, tx, kind, value)?;
    if found.is_none() {
        let place = key::index(&node.crypto().index(node.keys(), kind as u8, value));
        if tx.get(&place)?.is_some() {
            return Err(Refusal::unavailable().into());
        }
    }
    Ok(found)
}

/// An entity that an index names, with its account.
pub(crate) fn load(node: &Node, tx: &mut Tx<'_>, id: EntityId) -> Run<(Entity, Account)> {
    tx.prefetch([key::head(&id), key::entity(&id, ACCOUNT, b"")])?;
    let entity = Entity::load(node, tx, id)?.ok_or_else(Refusal::unavailable)?;
    let account = entity.get(node, tx, ACCOUNT, b"")?.ok_or_else(Refusal::unavailable)?;
    Ok((entity, account))
}
