//! Both ports with a node that answers from a script: what arrives there, and what callers read.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "tests; clippy sees only the marked functions as such")]

mod any_bytes;
mod conformance;
mod fake;
mod garbage;
mod grpc_account;
mod grpc_garbage;
mod grpc_publish;
mod http_bodies;
mod http_lists;
mod http_port;
mod http_submit;
