//! Members that lie, and mistakes that are planted to see that they are caught.
//!
//! A liar is a node like the others, with its own keys and the mesh's own frames. It lies at its edges: in what it answers,
//! hands on and publishes. What it knows is more than a real one could know (the device IDs and numbers of everybody, and
//! whatever its own keys open), so that nothing here rests on its ignorance.

mod letters;
mod members;
mod planted;

pub use letters::{Letters, is_about, rubbish};
pub use members::{Lies, Member, lies};
pub use planted::Planted;
