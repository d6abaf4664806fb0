//! `gateway`.

use relaymesh_core::command::{OperatorCommand, OperatorReply, Private};
use serde::Serialize;

use super::args::{GatewayCommand, Global};
use super::ask::{ask, ask_node, done, strange};
use super::exit::ExitError;
use super::{print, print_bare, print_json};
use crate::config::{Config, Env};
use crate::render;

pub fn run(global: &Global, command: GatewayCommand) -> Result<(), ExitError> {
    match command {
        GatewayCommand::Add { name, msisdn, country, operator } => {
            let msisdn = Private(msisdn.into());
            add(global, OperatorCommand::GatewayAdd { name, msisdn, country, operator })
        }
        GatewayCommand::List => list(global),
        GatewayCommand::Remove { name } => done(global, OperatorCommand::GatewayRemove { name }),
    }
}

#[derive(Serialize)]
struct Added<'a> {
    name: &'a str,
    path: &'a str,
    url: &'a str,
}

fn add(global: &Global, command: OperatorCommand) -> Result<(), ExitError> {
    let config = Config::load(&global.config, &Env::of_process())?.config;
    let OperatorReply::GatewayAdded { name, path } = ask_node(global, &config, command)? else { return Err(strange()) };
    let url = format!("{}{}", base(&config), path.reveal());
    if global.json {
        return print_json(global, &Added { name: &name, path: path.reveal(), url: &url });
    }
    let here = config.node.public_url.is_none();
    print(&render::gateway_added(&name, &url, here))
}

/// How the phone reaches this node.
fn base(config: &Config) -> String {
    match &config.node.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", config.listen.http),
    }
}

fn list(global: &Global) -> Result<(), ExitError> {
    match ask(global, OperatorCommand::GatewayList)? {
        OperatorReply::Gateways(rows) if global.json => print_bare(&rows),
        OperatorReply::Gateways(rows) => print(&render::gateways(&rows)),
        _ => Err(strange()),
    }
}
