//! The locator among nodes that exchange frames in memory.

mod devices;
mod numbers;
mod world;
