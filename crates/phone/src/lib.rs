//! The app's half of RelaySMS: a whole client for testers, self-hosters, the demo, the tests, the load bench and the
//! simulator.
//!
//! It computes what a phone sends and reads what a phone gets, and does nothing else: no network, no file, no clock and no
//! chance. Time and randomness come in as arguments, the caller makes the calls that [`api`] describes, sends the texts of
//! [`Composed`] and stores [`Phone::encode`] (sealed by [`sealed`]) **before** a text leaves: a phone that is restored from
//! an older state uses message keys twice.
//!
//! * [`Phone::begin`], [`Pending::finish`] – sign-up, login, password reset
//! * [`Phone::compose`], [`Phone::compose_bridge`] – SMS texts
//! * [`Phone::read`] – what somebody pastes, as the app takes it

#![forbid(unsafe_code)]

pub mod api;
mod bridge;
mod compose;
mod identity;
mod login;
mod phone;
mod read;
pub mod sealed;
mod secret;
mod state;
mod text;

pub use bridge::{BRIDGE_SESSIONS_MAX, ComposeBridge, StaticKey, Switch, Via};
pub use compose::{Compose, ComposeError, Composed, SEGMENT_PAUSE};
pub use identity::{Email, Identity, ParseIdentityError};
pub use login::{AgeCheck, FinishError, Kind, Pending, TOKEN_AGE_MAX_S};
pub use phone::{Account, ImportError, Phone, SENT_MAX, Sent};
pub use read::{Delivery, Incoming, READ_REPLIES_MAX, ReadError, Status};
pub use secret::SecretText;
pub use state::{DecodeError, STATE_BYTES_MAX};
pub use text::Style;
