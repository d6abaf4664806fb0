//! The binary `relaymesh`: one node of the mesh, and the command line of its operator.

#![forbid(unsafe_code)]

mod bench;
mod cli;
mod config;
mod demo;
mod driver;
mod init;
mod render;
mod socket;
mod telemetry;
mod terminal;

fn main() -> std::process::ExitCode {
    install_tls();
    cli::main()
}

/// TLS is one choice for the whole process; where it was made before, that one stays.
fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
