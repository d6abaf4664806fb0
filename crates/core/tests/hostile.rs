//! What others can do to a node with frames, payloads and files: nothing that its people would notice.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop where tests do")]

#[path = "hostile/burnt.rs"]
mod burnt;
#[path = "hostile/claims.rs"]
mod claims;
#[path = "hostile/flips.rs"]
mod flips;
#[path = "hostile/floods.rs"]
mod floods;
#[path = "hostile/forged.rs"]
mod forged;
#[path = "hostile/garbage.rs"]
mod garbage;
#[path = "hostile/hang.rs"]
mod hang;
#[path = "hostile/members.rs"]
mod members;
#[path = "hostile/receipts.rs"]
mod receipts;
#[path = "hostile/stored.rs"]
mod stored;
mod world;

use world::{NUMBER, counter, minutes, status, three};
