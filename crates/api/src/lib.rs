//! gRPC and HTTP in: a request becomes a [`Command`], a [`Reply`] becomes a response.
//!
//! Nothing is decided here: what a command means is the core's, and this crate only reads bytes, keeps the limits of
//! its ports and renders answers. Both servers speak to the node through [`Ask`], so tests bring their own.
#![forbid(unsafe_code)]

pub mod client;
pub mod errors;
pub mod fuzz;
mod grpc;
mod http;
mod listen;
mod proto;

use std::future::Future;

use relaymesh_core::command::{Command, Reply};

pub use grpc::{GrpcService, Tls, grpc_router, serve_grpc};
pub use http::{BODY_BYTES_MAX, HttpConfig, http_router, serve_http};
pub use listen::{CONNECTIONS_MAX, CONNECTIONS_PER_HOST_MAX, ServeError};

/// Whoever answers commands: the node's driver, or a test.
pub trait Ask: Clone + Send + Sync + 'static {
    /// Asks and waits for the reply. A node that is too busy or stopping answers
    /// [`Reply::Refused`] with [`Refusal::unavailable`](relaymesh_core::command::Refusal::unavailable) instead of waiting.
    fn ask(&self, command: Command) -> impl Future<Output = Reply> + Send;
}
