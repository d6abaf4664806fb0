//! Connecting platforms: `publisher.v1.Publisher`. Where the browser goes, the exchange of the code it brings back, and the
//! end of a connection.
//!
//! The app holds the PKCE verifier, as its protocol has it; this node remembers for ten minutes what it handed out, and
//! when the app names the request again, verifier and redirect must be the ones of that request.

mod exchange;
mod revoke;
mod url;
mod urls;

#[cfg(test)]
mod tests;

use relaymesh_protocol::ids::{DeviceId, EntityId, Timestamp};

use crate::accounts::{Waiter, Waiting, invalid};
use crate::command::{Code, PublisherCommand, Refusal, Reply};
use crate::config::Platform;
use crate::input::ReplyTo;
use crate::node::Node;
use crate::output::{WorkDone, WorkId};
use crate::tx::{Effects, Halt, Run, Tx};
use urls::{Handed, Request, Urls};

/// What is remembered: who waits for a platform, and which URLs were handed out.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Who waits for which work: also what the loop around needs to answer a caller whose work was lost.
    pub waiting: Waiting<Exchange>,
    urls: Urls,
}

/// How memory changes.
#[derive(Debug)]
pub(crate) enum Change {
    Wait(WorkId, Box<Waiter<Exchange>>),
    Worked(WorkId),
    Handed(Request, Handed),
    Used(Request, Timestamp),
}

/// A code that the platform is asked about.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    entity: EntityId,
    /// The phone that asked: its token must still count when the platform has answered.
    device: DeviceId,
    platform: String,
    store_on_device: bool,
}

impl State {
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Wait(id, waiter) => self.waiting.add(id, *waiter),
            Change::Worked(id) => self.waiting.remove(id),
            Change::Handed(request, handed) => self.urls.add(request, handed),
            Change::Used(request, now) => self.urls.remove(&request, now),
        }
    }
}

pub(crate) fn on_command(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, command: &PublisherCommand) -> Run {
    use PublisherCommand as C;
    if !node.config().roles.vault {
        return Err(Refusal::unavailable().into());
    }
    match command {
        C::AuthorizationUrl {
            platform,
            state,
            code_verifier,
            autogenerate_code_verifier,
            redirect_url,
            request_identifier,
        } => {
            let generate = *autogenerate_code_verifier;
            let asked = url::Asked { platform, state, code_verifier, generate, redirect_url, request_identifier };
            url::on_command(node, tx, reply, &asked)
        }
        C::Exchange { llt, platform, code, code_verifier, redirect_url, store_on_device, request_identifier } => {
            let store_on_device = *store_on_device;
            let asked = exchange::Asked {
                llt,
                platform,
                code,
                code_verifier,
                redirect_url,
                store_on_device,
                request_identifier,
            };
            exchange::on_command(node, tx, reply, &asked)
        }
        C::Revoke { llt, platform, account } => revoke::on_command(node, tx, reply, llt, platform, account),
    }
}

/// A platform answered. Whoever waits gets an answer, also if it is a refusal: the work itself has no caller.
pub(crate) fn on_worked(node: &Node, tx: &mut Tx<'_>, id: &WorkId, done: &WorkDone) -> Run {
    // Nobody waits for a revocation: the connection is gone here, whatever the platform says.
    let Some(waiter) = node.publisher.waiting.get(*id) else { return Ok(()) };
    let ended = match done {
        WorkDone::Exchanged(exchanged) => exchange::on_exchanged(node, tx, waiter.reply, &waiter.step, exchanged),
        _ => Err(Refusal::unavailable().into()),
    };
    match ended {
        Err(Halt::Refused(refusal)) => {
            // A refusal writes nothing, so what the run had begun to write goes.
            tx.effects = Effects::default();
            tx.reply(waiter.reply, Reply::Refused(refusal));
        }
        other => other?,
    }
    tx.then(Change::Worked(*id));
    Ok(())
}

/// A platform that the operator configured.
fn configured<'a>(node: &'a Node, name: &str) -> Result<&'a Platform, Refusal> {
    node.config().platforms.iter().find(|platform| platform.name == name).ok_or_else(|| unsupported(name))
}

/// A code goes only where the operator said that codes go (RFC 9700 §4.1): not even a letter may differ.
fn known_redirect(platform: &Platform, url: &str) -> Result<(), Refusal> {
    if platform.redirect_urls.iter().any(|known| known == url) {
        return Ok(());
    }
    Err(invalid("The redirect_url is not one that this node sends people back to."))
}

fn unsupported(name: &str) -> Refusal {
    let text = format!(
        "The platform '{name}' with protocol 'oauth2' is currently not supported. Please contact the developers for more \
         information on when this platform will be implemented."
    );
    Refusal::new(Code::Unimplemented, text)
}
