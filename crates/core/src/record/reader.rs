//! Types that are stored, named one by one: what is written as one of them may be read as any, by a damaged or older store.

use super::sealed::{Stored, decode, encode};

/// A stored type, for whoever reads any bytes as each of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    /// Path of the type.
    pub name: fn() -> &'static str,
    /// Whether what was read is read again as it was written; none if nothing was read.
    keeps: fn(&[u8]) -> Option<bool>,
}

impl Reader {
    pub const fn of<T: Stored>() -> Self {
        Self { name: std::any::type_name::<T>, keeps: keeps::<T> }
    }

    /// Whether these bytes are such a record, of this version or an older one.
    ///
    /// # Panics
    /// When what was read and written is read as something else.
    pub fn read(self, bytes: &[u8]) -> bool {
        let keeps = (self.keeps)(bytes);
        assert!(keeps != Some(false), "{} is not read as it was written", (self.name)());
        keeps.is_some()
    }
}

fn keeps<T: Stored>(bytes: &[u8]) -> Option<bool> {
    let written = encode(&decode::<T>(bytes)?);
    Some(decode::<T>(&written).is_some_and(|again| encode(&again) == written))
}
