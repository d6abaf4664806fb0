//! Stored records: where they lie, how they are versioned, and under which key they are sealed.

pub mod index;
pub mod key;
mod sealed;
pub mod vault;

pub use sealed::{Entity, Head, Scope, Stored, decode, encode};
pub(crate) use sealed::{UNREADABLE, delete_head, delete_row, get_node, open_row, put_node, restore_row};
