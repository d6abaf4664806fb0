//! The Unix socket in the data directory through which the command line speaks to the running node.
//!
//! One line of JSON each way: `{"command": …}` is answered by `{"reply": …}` or `{"error": {"code", "message", "hint"}}`,
//! as often as the caller likes; `{"listening": {}}` by `{"listening": {"http", "grpc"}}`. Who may open the socket (0600) is the operator; there is no other login.

mod client;
mod path;
mod server;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use relaymesh_core::command::{OperatorCommand, OperatorReply};
use relaymesh_core::delivery::BUNDLE_BYTES_MAX;
use serde::{Deserialize, Serialize};

pub use client::{AskError, ask, listening};
pub use server::{Listener, serve};

/// Longest line of a command or an answer without a bundle, in bytes.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Longest line with a bundle, in bytes: base64 takes four for three, and some JSON stands around it.
const BUNDLE_LINE_BYTES_MAX: usize = BUNDLE_BYTES_MAX / 3 * 4 + 4096;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Question {
    /// For the core.
    Command(OperatorCommand),
    /// For the driver: the core knows no sockets.
    Listening {},
}

impl Question {
    /// The question in a line, if it is one.
    fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// Where a running node listens. Port 0 in the configuration is any that is free, so only the node itself knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// Gateway clients.
    pub http: SocketAddr,
    /// Apps.
    pub grpc: SocketAddr,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Reply(OperatorReply),
    Listening(Listening),
    Error(Told),
}

/// A refusal as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Name of the code, as gRPC has it.
    pub code: String,
    /// For people.
    pub message: String,
    /// What to do; may be empty.
    #[serde(default)]
    pub hint: String,
}

impl Told {
    fn new(code: &str, message: impl Into<String>, hint: &str) -> Self {
        Self { code: code.to_owned(), message: message.into(), hint: hint.to_owned() }
    }
}
