//! Stored records: where they lie, how they are versioned, and under which key they are sealed.

mod head;
pub mod index;
pub mod key;
mod sealed;
mod sound;
pub mod vault;

pub use head::Head;
#[cfg(test)]
pub(crate) use head::OpenedHead;
pub use sealed::{Entity, Scope, Stored, decode, encode};
pub(crate) use sealed::{UNREADABLE, delete_head, delete_row, get_node, open_row, put_node, restore_row, seal_row};
pub use sound::is_sound;
