//! `gateway`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use relaymesh_core::command::{OperatorCommand, OperatorReply, Private};
use serde::Serialize;

use super::args::{GatewayCommand, Global};
use super::ask::{ask, ask_node, done, listening, strange};
use super::exit::ExitError;
use super::{note, print, print_bare, print_json};
use crate::config::{Config, Env};
use crate::render::{self, UrlOf};

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
    warnings: &'a [String],
}

fn add(global: &Global, command: OperatorCommand) -> Result<(), ExitError> {
    let config = Config::load(&global.config, &Env::of_process())?.config;
    // First, so that nobody is enrolled whose URL cannot be told.
    let base = match &config.node.public_url {
        Some(url) => Base::set(url),
        None => Base::of(listening(global, &config)?.http),
    };
    let OperatorReply::GatewayAdded { name, path } = ask_node(global, &config, command)? else { return Err(strange()) };
    let url = format!("{}{}", base.url, path.reveal());
    if global.json {
        return print_json(global, &Added { name: &name, path: path.reveal(), url: &url, warnings: &base.warnings });
    }
    base.warnings.iter().for_each(|warning| note(&format!("warning: {warning}")));
    print(&render::gateway_added(&name, &url, base.of))
}

/// How a gateway client reaches this node.
#[derive(Debug, PartialEq, Eq)]
struct Base {
    url: String,
    of: UrlOf,
    warnings: Vec<String>,
}

impl Base {
    /// As the operator says.
    fn set(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), of: UrlOf::Setting, warnings: Vec::new() }
    }

    /// At the node's own socket. Where that is no address for others, the URL is one that a modem on this machine can use.
    fn of(http: SocketAddr) -> Self {
        let ip = http.ip().to_canonical();
        let why = match ip {
            _ if ip.is_loopback() => "an address that only this machine reaches",
            _ if ip.is_unspecified() => "all addresses of this machine, and none that a phone could be told",
            _ => return Self { url: format!("http://{http}"), of: UrlOf::Listener, warnings: Vec::new() },
        };
        let here = match ip {
            _ if ip.is_loopback() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let warning = format!(
            "the node listens at {http}, {why}: the URL works on this machine alone. Write how phones reach the node into \
             node.public_url, such as https://relay.example.org, and put that before the URL's /g/…, which stays as it is"
        );
        let url = format!("http://{}", SocketAddr::new(here, http.port()));
        Self { url, of: UrlOf::ThisMachine, warnings: vec![warning] }
    }
}

fn list(global: &Global) -> Result<(), ExitError> {
    match ask(global, OperatorCommand::GatewayList)? {
        OperatorReply::Gateways(rows) if global.json => print_bare(&rows),
        OperatorReply::Gateways(rows) => print(&render::gateways(&rows)),
        _ => Err(strange()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_no_phone_can_use_is_told_as_such() {
        for (http, url, of) in [
            ("192.0.2.7:8080", "http://192.0.2.7:8080", UrlOf::Listener),
            ("[2001:db8::7]:8080", "http://[2001:db8::7]:8080", UrlOf::Listener),
            ("10.1.2.3:8080", "http://10.1.2.3:8080", UrlOf::Listener),
            ("127.0.0.1:41234", "http://127.0.0.1:41234", UrlOf::ThisMachine),
            ("127.0.0.2:8080", "http://127.0.0.2:8080", UrlOf::ThisMachine),
            ("[::1]:8080", "http://[::1]:8080", UrlOf::ThisMachine),
            ("[::ffff:127.0.0.1]:8080", "http://127.0.0.1:8080", UrlOf::ThisMachine),
            ("0.0.0.0:8080", "http://127.0.0.1:8080", UrlOf::ThisMachine),
            ("[::]:8080", "http://[::1]:8080", UrlOf::ThisMachine),
        ] {
            let base = Base::of(http.parse().unwrap());
            assert_eq!((base.url.as_str(), base.of), (url, of), "{http}");
            let told = base.warnings.iter().any(|w| w.contains("node.public_url") && w.contains(http));
            assert_eq!(told, of == UrlOf::ThisMachine, "{http}");
        }
        let set = Base::set("https://relay.example.org/");
        assert_eq!((set.url.as_str(), set.of, set.warnings.len()), ("https://relay.example.org", UrlOf::Setting, 0));
    }
}
