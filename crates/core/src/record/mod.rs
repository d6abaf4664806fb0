//! Stored records: where they lie, how they are versioned, and under which key they are sealed.

mod head;
pub mod index;
pub mod key;
mod reader;
mod sealed;
mod sound;
pub mod vault;

pub use head::Head;
#[cfg(test)]
pub(crate) use head::OpenedHead;
pub(crate) use reader::Reader;
pub use sealed::{Entity, Scope, Stored, decode, encode};
pub(crate) use sealed::{UNREADABLE, delete_head, delete_row, get_node, open_row, put_node, restore_row, seal_row};
pub use sound::is_sound;

/// The types that are stored here, for fuzzing.
pub(crate) const STORED: [Reader; 7] = [
    Reader::of::<index::Row>(),
    Reader::of::<vault::Account>(),
    Reader::of::<vault::Session>(),
    Reader::of::<vault::Token>(),
    Reader::of::<vault::Seen>(),
    Reader::of::<vault::Position>(),
    Reader::of::<Head>(),
];
