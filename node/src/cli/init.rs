//! `init`.

use super::args::{Global, InitArgs};
use super::exit::ExitError;
use super::{print, print_json};
use crate::config::Env;
use crate::init::{Made, Settings, init};

pub fn run(global: &Global, args: InitArgs) -> Result<(), ExitError> {
    let InitArgs { dir, name, instance, http, grpc, mesh, key_file } = args;
    let made = init(&Settings { dir, name, instance, http, grpc, mesh, key_file }, &Env::of_process())?;
    if global.json { print_json(&made) } else { print(&text(&made)) }
}

fn text(made: &Made) -> String {
    let config = made.config.display();
    let mut out = format!("node      {}\ninstance  {}\n", made.peer_id, made.instance_id);
    out.push_str(&format!(
        "config    {config}\nkey file  {}   (keep a copy: without it the data are lost)\n",
        made.key_file.display()
    ));
    for warning in &made.warnings {
        out.push_str(&format!("warning: {warning}\n"));
    }
    out.push_str(&format!(
        "\nnext:\n  relaymesh run --config {config}\n  relaymesh gateway add NAME --msisdn +… --config {config}\n  relaymesh node invite --config {config}\n"
    ));
    out
}
