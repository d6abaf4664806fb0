//! `init`.

use std::fmt::Write as _;

use super::args::{Global, InitArgs};
use super::exit::ExitError;
use super::{print, print_json};
use crate::config::Env;
use crate::init::{Made, Settings, Unlock, init};

pub fn run(global: &Global, args: InitArgs) -> Result<(), ExitError> {
    let InitArgs { dir, name, instance, http, grpc, mesh, key_file, credential, passphrase, passphrase_file } = args;
    let unlock = match (credential, passphrase_file, passphrase) {
        (Some(credential), ..) => Unlock::Credential(credential),
        (_, Some(file), _) => Unlock::PassphraseFile(file),
        (.., true) => Unlock::Prompt,
        (None, None, false) => Unlock::KeyFile,
    };
    let made = init(&Settings { dir, name, instance, http, grpc, mesh, key_file, unlock }, &Env::of_process())?;
    if global.json { print_json(global, &made) } else { print(&text(&made)) }
}

fn text(made: &Made) -> String {
    let config = made.config.display();
    let mut out = format!("node      {}\ninstance  {}\nconfig    {config}\n", made.peer_id, made.instance_id);
    let mut line = |text: String| writeln!(out, "{text}").expect("a String takes any text");
    match &made.key_file {
        Some(key) => line(format!("key file  {}   (keep a copy: without it the data are lost)", key.display())),
        None => line("keyring   opens with the passphrase   (without it the data are lost)".to_owned()),
    }
    for warning in &made.warnings {
        line(format!("warning: {warning}"));
    }
    line(String::new());
    match (&made.credential, &made.key_file) {
        (Some(name), Some(key)) => line(format!(
            "next: in the systemd unit (configs/relaymesh.service is one)\n  LoadCredential={name}:{}\nthen:",
            key.display()
        )),
        _ => line(format!("next:\n  relaymesh run --config {config}")),
    }
    line(format!("  relaymesh gateway add NAME --msisdn +… --config {config}"));
    line(format!("  relaymesh node invite --config {config}"));
    out
}
