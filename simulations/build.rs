//! Puts the named scenarios into the binary, so that it works anywhere, and says what it was built with.
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let folder = here.join("scenarios");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut names: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("scenarios/ is there")
        .map(|entry| entry.expect("a readable entry").path())
        .collect();
    names.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    names.sort();
    let mut code = String::from("/// Name and text of each scenario.\npub(super) const TEXTS: &[(&str, &str)] = &[\n");
    for path in names {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_stem().expect("it has a name").to_str().expect("a plain name").to_owned();
        writeln!(code, "    ({name:?}, include_str!({:?})),", path.display().to_string()).expect("a string takes all");
    }
    code.push_str("];\n");
    fs::write(out.join("scenarios.rs"), code).expect("OUT_DIR can be written");
    stored_crosscheck(&here, &out);
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc).arg("-V").output().ok().and_then(|output| String::from_utf8(output.stdout).ok());
    println!("cargo::rustc-env=RUSTC_VERSION={}", version.unwrap_or_default().trim());
}

/// The last measured model error, if one is kept in the tree.
fn stored_crosscheck(here: &Path, out: &Path) {
    let path = here.join("data/crosscheck.json");
    println!("cargo::rerun-if-changed={}", path.display());
    let text = fs::read_to_string(path).unwrap_or_else(|_| "[]".to_owned());
    fs::write(out.join("crosscheck.json"), text).expect("OUT_DIR can be written");
}
