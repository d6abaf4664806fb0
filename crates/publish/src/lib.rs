//! Everything that talks to a platform: the one egress HTTP client with its guard, the OAuth half,
//! the platform adapters, and a local Mastodon-shaped server to try them against.
//!
//! The crate is an edge: the core hands it one part of one publication, and what comes back says
//! precisely whether nothing was sent, something may have been sent, or it was posted. Which of
//! these may be tried again is the core's decision (see [`adapter::Adapter::may_resend`]).

#![forbid(unsafe_code)]

pub mod adapter;
pub mod captcha;
pub mod egress;
pub mod fuzz;
pub mod mastodon;
pub mod oauth;
pub mod secret;
pub mod sink;
pub mod split;
