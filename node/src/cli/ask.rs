//! The commands that are one question to the running node.

use relaymesh_core::command::{OperatorCommand, OperatorReply};
use serde::Serialize;

use super::args::{Global, NodeCommand};
use super::exit::{ExitError, Kind};
use super::{note, print, print_bare, print_json};
use crate::config::{Config, Env};
use crate::render;
use crate::socket::{self, AskError, Listening, Told};

/// Asks the node that the configuration names.
pub fn ask(global: &Global, command: OperatorCommand) -> Result<OperatorReply, ExitError> {
    let config = Config::load(&global.config, &Env::of_process())?.config;
    ask_node(global, &config, command)
}

/// Asks the node of a configuration that is read already.
pub fn ask_node(global: &Global, config: &Config, command: OperatorCommand) -> Result<OperatorReply, ExitError> {
    wait(global, socket::ask(&config.socket_path(), command))
}

/// Asks the node of a configuration where it listens.
pub fn listening(global: &Global, config: &Config) -> Result<Listening, ExitError> {
    wait(global, socket::listening(&config.socket_path()))
}

fn wait<T>(global: &Global, asked: impl Future<Output = Result<T, AskError>>) -> Result<T, ExitError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| ExitError::failed(format!("the system gives no resources ({e})"), "close other programs"))?;
    runtime.block_on(asked).map_err(|error| explain(global, &error))
}

fn explain(global: &Global, error: &AskError) -> ExitError {
    // Whole, for it may be run in another directory.
    let config = std::path::absolute(&global.config).unwrap_or_else(|_| global.config.clone());
    let start = format!("start it with: relaymesh run --config {}", config.display());
    let (kind, help) = match error {
        AskError::Unreachable { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            (Kind::Unreachable, "run this command as the user that runs the node".to_owned())
        }
        AskError::Unreachable { .. } => (Kind::Unreachable, start),
        AskError::TimedOut(_) => (Kind::Temporary, "try again; see the node's log if it stays so".to_owned()),
        AskError::Broken => {
            (Kind::Failed, "check that this program and the running node have the same version".to_owned())
        }
        AskError::Refused(Told { code, hint, .. }) => match code.as_str() {
            "unavailable" | "resource_exhausted" => (Kind::Temporary, hint.clone()),
            "invalid_argument" => (Kind::Usage, hint.clone()),
            _ => (Kind::Failed, hint.clone()),
        },
    };
    ExitError::new(kind, error.to_string(), help)
}

/// The node's answer fits no question of this program.
pub fn strange() -> ExitError {
    ExitError::failed(
        "the node answered another question",
        "check that this program and the running node have the same version",
    )
}

/// Prints the answer's data, as JSON or as text.
pub fn show<T: Serialize>(global: &Global, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), ExitError> {
    if global.json { print_json(global, value) } else { print(&text(value)) }
}

#[derive(Serialize)]
struct Done {
    message: String,
}

/// For commands whose answer is a sentence.
pub fn done(global: &Global, command: OperatorCommand) -> Result<(), ExitError> {
    match ask(global, command)? {
        OperatorReply::Done { message } => show(global, &Done { message }, |done| format!("{}\n", done.message)),
        _ => Err(strange()),
    }
}

pub fn status(global: &Global) -> Result<(), ExitError> {
    match ask(global, OperatorCommand::Status)? {
        OperatorReply::Status(report) => show(global, &report, render::status),
        _ => Err(strange()),
    }
}

pub fn trace(global: &Global, message: String) -> Result<(), ExitError> {
    match ask(global, OperatorCommand::Trace { message })? {
        OperatorReply::Trace(report) => show(global, &report, render::trace),
        _ => Err(strange()),
    }
}

#[derive(Serialize)]
struct Pong {
    peer_id: String,
    millis: u64,
    hops: u8,
}

pub fn ping(global: &Global, node: String) -> Result<(), ExitError> {
    match ask(global, OperatorCommand::Ping { node })? {
        OperatorReply::Ping { peer_id, millis, hops } => show(global, &Pong { peer_id, millis, hops }, |pong| {
            format!("{} answered in {} ms, {} hops there\n", pong.peer_id, pong.millis, pong.hops)
        }),
        _ => Err(strange()),
    }
}

#[derive(Serialize)]
struct Invited<'a> {
    code: &'a str,
    expires: u64,
    warnings: &'a [String],
}

pub fn node(global: &Global, command: NodeCommand) -> Result<(), ExitError> {
    match command {
        NodeCommand::Id => match ask(global, OperatorCommand::NodeId)? {
            OperatorReply::Node(row) => show(global, &row, render::node),
            _ => Err(strange()),
        },
        NodeCommand::List => match ask(global, OperatorCommand::NodeList)? {
            OperatorReply::Nodes(rows) if global.json => print_bare(&rows),
            OperatorReply::Nodes(rows) => print(&render::nodes(&rows)),
            _ => Err(strange()),
        },
        NodeCommand::Invite { own } => match ask(global, OperatorCommand::Invite { own })? {
            OperatorReply::Invite { code, expires, warnings } => {
                if !global.json {
                    warnings.iter().for_each(|warning| note(&format!("warning: {warning}")));
                }
                let invited = Invited { code: code.reveal(), expires: expires.0, warnings: &warnings };
                show(global, &invited, |invited| render::invite(invited.code, expires))
            }
            _ => Err(strange()),
        },
        NodeCommand::Join { code } => done(global, OperatorCommand::Join { code }),
        NodeCommand::Federate { instance } => done(global, OperatorCommand::Federate { instance }),
        NodeCommand::Block { target } => done(global, OperatorCommand::Block { target }),
        NodeCommand::Unblock { target } => done(global, OperatorCommand::Unblock { target }),
    }
}
