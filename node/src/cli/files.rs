//! The commands that read or write a file beside asking the node: `bundle` and `bridge keys`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use relaymesh_core::command::{LeftBehind, OperatorCommand, OperatorReply};
use serde::Serialize;

use super::args::{BridgeKeysCommand, BundleCommand, Global};
use super::ask::{ask, strange};
use super::exit::{ExitError, Kind};
use super::{print, print_bare, print_json};
use crate::render;
use relaymesh_core::delivery::BUNDLE_BYTES_MAX;

pub fn bundle(global: &Global, command: BundleCommand) -> Result<(), ExitError> {
    match command {
        BundleCommand::Export { file } => export(global, &file),
        BundleCommand::Import { file } => import(global, &file),
    }
}

#[derive(Serialize)]
struct Exported<'a> {
    file: &'a Path,
    bytes: usize,
    envelopes: u64,
    left: LeftBehind,
}

fn export(global: &Global, path: &Path) -> Result<(), ExitError> {
    refuse_existing(path)?;
    let OperatorReply::Bundle { bytes, envelopes, left } = ask(global, OperatorCommand::BundleExport)? else {
        return Err(strange());
    };
    write_new(path, &bytes)?;
    let done = Exported { file: path, bytes: bytes.len(), envelopes, left };
    if global.json {
        return print_json(global, &done);
    }
    print(&format!("{envelopes} envelopes in {} ({} bytes)\n{}", path.display(), done.bytes, stayed(&left)))
}

/// What the operator should know about what did not fit; empty when all did.
fn stayed(left: &LeftBehind) -> String {
    let LeftBehind { messages, envelopes, letters, facts, filters } = *left;
    let kinds = [
        (messages, "messages"),
        (envelopes, "envelopes of others"),
        (letters, "letters"),
        (facts, "facts"),
        (filters, "filters"),
    ];
    let kinds: Vec<String> =
        kinds.iter().filter(|(count, _)| *count > 0).map(|(count, kind)| format!("{count} {kind}")).collect();
    if kinds.is_empty() {
        return String::new();
    }
    format!("no room for {}: export another bundle, it begins with them\n", kinds.join(", "))
}

#[derive(Serialize)]
struct Imported {
    envelopes: u64,
    facts: u64,
    refused: u64,
}

fn import(global: &Global, path: &Path) -> Result<(), ExitError> {
    let bytes = read_bundle(path)?;
    let answer = ask(global, OperatorCommand::BundleImport { bytes })?;
    let OperatorReply::Imported { envelopes, facts, refused } = answer else { return Err(strange()) };
    if global.json {
        print_json(global, &Imported { envelopes, facts, refused })?;
    } else {
        print(&format!("{envelopes} new envelopes, {facts} new facts and filters, {refused} refused\n"))?;
    }
    match refused {
        0 => Ok(()),
        _ => Err(ExitError::new(
            Kind::Partial,
            format!("{refused} parts of the bundle were refused"),
            "export it anew where it comes from",
        )),
    }
}

fn read_bundle(path: &Path) -> Result<Vec<u8>, ExitError> {
    let failed = |e: io::Error| ExitError::failed(format!("{} cannot be read ({e})", path.display()), "check the path");
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(BUNDLE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > BUNDLE_BYTES_MAX {
        return Err(ExitError::failed(format!("{} is larger than a bundle can be", path.display()), "check the path"));
    }
    Ok(bytes)
}

pub fn bridge_keys(global: &Global, command: BridgeKeysCommand) -> Result<(), ExitError> {
    let question = match command {
        BridgeKeysCommand::Generate { count } => OperatorCommand::BridgeKeysGenerate { count },
        BridgeKeysCommand::List => OperatorCommand::BridgeKeysList,
        BridgeKeysCommand::Retire { kid } => OperatorCommand::BridgeKeysRetire { kid },
        BridgeKeysCommand::Export { file } => return export_keys(global, file),
    };
    let OperatorReply::BridgeKeys(rows) = ask(global, question)? else { return Err(strange()) };
    if global.json { print_bare(&rows) } else { print(&render::bridge_keys(&rows)) }
}

/// The asset's own form, JSON in any case.
fn export_keys(global: &Global, file: Option<PathBuf>) -> Result<(), ExitError> {
    if let Some(path) = &file {
        refuse_existing(path)?;
    }
    let OperatorReply::BridgeKeys(rows) = ask(global, OperatorCommand::BridgeKeysList)? else { return Err(strange()) };
    let Some(path) = file else { return print_bare(&rows) };
    let text = serde_json::to_vec_pretty(&rows).map_err(|_| strange())?;
    write_new(&path, &text)?;
    print(&format!("{} keys in {}\n", rows.len(), path.display()))
}

fn refuse_existing(path: &Path) -> Result<(), ExitError> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    Err(ExitError::failed(format!("{} is there already and is not overwritten", path.display()), "name another file"))
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), ExitError> {
    let failed = |e: io::Error| {
        ExitError::failed(format!("{} cannot be written ({e})", path.display()), "check path and free space")
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|e| {
        let _ = fs::remove_file(path);
        failed(e)
    })
}
