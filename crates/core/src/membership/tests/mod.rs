//! Facts by themselves, and whole meshes of pumps that exchange frames in memory.

mod facts;
mod joining;
mod mesh;
pub(crate) mod net;
