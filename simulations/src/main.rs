//! The binary `simulate`.

fn main() {}
