//! What one Argon2id computation may cost.

use argon2::Params;

/// More than this at once starves a node with one gigabyte.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// At a gigabyte, that many passes are already half a minute.
const PASSES_MAX: u32 = 16;
/// Nothing here computes lanes in parallel, so more only weakens.
const LANES_MAX: u32 = 4;

/// Argon2id's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// Why an Argon2id computation was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    /// Below what Argon2 needs, or above what we agree to.
    #[error("Argon2 costs are out of bounds: at most {MEMORY_KIB_MAX} KiB, {PASSES_MAX} passes and {LANES_MAX} lanes")]
    Bounds,
    /// The system has not enough memory now.
    #[error("not enough memory for Argon2; free some or add swap")]
    Memory,
}

impl Cost {
    /// Of a person's password: 64 MiB, 3 passes.
    pub const PASSWORD: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
    /// Of the passphrase of a node's key file, paid once per start: 256 MiB, 3 passes.
    pub const KEY_FILE: Self = Self { memory_kib: 256 * 1024, passes: 3, lanes: 1 };

    pub(crate) fn params(self) -> Result<Params, CostError> {
        let Self { memory_kib, passes, lanes } = self;
        if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
            return Err(CostError::Bounds);
        }
        Params::new(memory_kib, passes, lanes, Some(32)).map_err(|_| CostError::Bounds)
    }
}
