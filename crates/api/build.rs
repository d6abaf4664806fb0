//! Makes Rust from `protocol/proto` without protoc.

use std::error::Error;
use std::path::Path;

/// The published contracts.
const FILES: [&str; 2] = ["vault.proto", "publisher.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    // Read when it runs: a target folder that several checkouts share must not remember another one's path.
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../protocol/proto");
    println!("cargo:rerun-if-changed={}", root.display());
    let files = FILES.map(|file| root.join(file));
    let descriptors = protox::compile(files, [&root])?;
    // Messages hold passwords, codes and tokens: their Debug is written by hand, in src/proto.rs.
    tonic_prost_build::configure().skip_debug(["."]).compile_fds(descriptors)?;
    Ok(())
}
