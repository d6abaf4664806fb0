//! A running node: the core's loop, and the edges around it.

pub mod budget;
mod hub;
mod mails;
mod persist;
mod works;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use relaymesh_core::command::{Command, OperatorCommand};
use relaymesh_core::crypto::RealCrypto;
use relaymesh_core::{Node, Pump};
use relaymesh_mesh::{Event, Mesh};
use relaymesh_publish::adapter::Adapter;
use relaymesh_seal::password::Cost;
use relaymesh_store::Store;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::ExitError;
use crate::config::{Config, Prepared, SmsPort, tcp_of};
use crate::socket::{self, Listening};

use hub::{Ears, Handle, Hub, WORKS_MAX};
use works::{Tools, Works};

/// Completions that may wait: more than batches can be under way.
const COMPLETIONS_MAX: usize = 1_024;
/// How long the listening addresses are waited for.
const LISTEN_WAIT: std::time::Duration = std::time::Duration::from_secs(2);
/// And further ones of the same listener.
const LISTEN_MORE: std::time::Duration = std::time::Duration::from_millis(20);
/// Addresses that a record has room for.
const LOCAL_ADDRESSES_MAX: usize = 8;
/// Events of the mesh that are kept until the node runs; a network can be loud.
const EARLY_MAX: usize = 256;

/// Runs a node until SIGTERM or SIGINT. The warnings are logged once it has its sockets: who meets a busy port reads one
/// line, and that is the error.
///
/// # Errors
/// When a socket, the store or the mesh cannot be opened: what is wrong and what to do.
pub fn run(config: &Config, prepared: Prepared, warnings: &[String]) -> Result<(), ExitError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| ExitError::failed(format!("the runtime cannot start ({error})"), "free memory or threads"))?;
    runtime.block_on(serve(config, prepared, warnings))
}

/// The sockets of a node, bound before anything else so that a busy port is told at once.
struct Sockets {
    http: TcpListener,
    grpc: TcpListener,
    operator: socket::Listener,
    at: Listening,
}

impl Sockets {
    async fn bind(config: &Config, prepared: &Prepared) -> Result<Self, ExitError> {
        let operator = socket::Listener::bind(&config.socket_path())
            .await
            .map_err(|error| ExitError::config(error.to_string(), ""))?;
        let (http, http_at) = bind("listen.http", prepared.http).await?;
        let (grpc, grpc_at) = bind("listen.grpc", prepared.grpc).await?;
        Ok(Self { http, grpc, operator, at: Listening { http: http_at, grpc: grpc_at } })
    }
}

/// The socket, and where it really is: port 0 is any that is free.
async fn bind(key: &str, at: SocketAddr) -> Result<(TcpListener, SocketAddr), ExitError> {
    let bound = TcpListener::bind(at).await.and_then(|listener| {
        let at = listener.local_addr()?;
        Ok((listener, at))
    });
    bound.map_err(|error| {
        let help = format!("stop what uses it, or set another {key}");
        ExitError::config(format!("{key} = {at} cannot be bound ({error})"), help)
    })
}

/// The mesh tries again by itself where it cannot listen, for interfaces come and go. A port that another process has is a
/// mistake, though, and told at once like the other ports.
async fn refuse_busy(multiaddress: &str) -> Result<(), ExitError> {
    let Some(at) = tcp_of(multiaddress) else { return Ok(()) };
    match TcpListener::bind(at).await {
        Err(error) if matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {
            let what = format!("listen.mesh = {multiaddress} cannot be bound ({error})");
            Err(ExitError::config(what, "stop what uses it, or set another listen.mesh"))
        }
        _ => Ok(()),
    }
}

/// An error and what the system said, in one line.
fn with_cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error} ({cause})"))
}

async fn serve(config: &Config, mut prepared: Prepared, warnings: &[String]) -> Result<(), ExitError> {
    let sockets = Sockets::bind(config, &prepared).await?;
    for at in &prepared.mesh.listen {
        refuse_busy(at).await?;
    }
    let stop = CancellationToken::new();
    let (completions, on_completions) = mpsc::channel(COMPLETIONS_MAX);
    let store = Store::open(prepared.store.clone(), persist::Sink(completions))
        .map_err(|error| ExitError::config(with_cause(&error), ""))?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let seed = *prepared.keyring.node.danger_to_seed();
    let (mesh, mut mesh_events) = Mesh::start(prepared.mesh.clone(), seed, relaymesh_mesh::real_transport())
        .map_err(|error| ExitError::config(format!("the mesh cannot start: {error}"), "correct listen.mesh"))?;
    let (works_done, on_works) = mpsc::channel(WORKS_MAX);
    let (handle, on_commands) = hub::handle();

    let (addresses, early) = local_addresses(&mut mesh_events, prepared.mesh.listen.len()).await;
    prepared.core.local_addresses = addresses;
    let listening = prepared.core.local_addresses.first().cloned();
    let node = Node::new(prepared.core.clone(), prepared.keyring.clone(), Arc::new(RealCrypto), hub::now());
    let mut chance = [0; 32];
    getrandom::fill(&mut chance).map_err(|error| {
        ExitError::failed(format!("the system gives no random bytes ({error})"), "check the system")
    })?;
    let pump = Pump::new(node, chance);
    let peer_id = pump.node().id().peer_id();
    let http = http_config(&prepared);
    let tls = config.grpc_tls()?;
    let works = Works::new(tools(config, prepared).await?, works_done);
    let mut hub = Hub::new(pump, store.clone(), mesh.clone(), works);
    hub.restore().map_err(|error| {
        ExitError::config(error.to_string(), "put keyring and store of one and the same backup back")
    })?;

    let (forward, on_mesh) = mpsc::channel(1_024);
    let mut edges = JoinSet::new();
    edges.spawn(forward_events(early, mesh_events, forward));
    announce(&sockets.at, &peer_id, listening.as_deref())?;
    spawn_edges(&mut edges, sockets, &handle, http, tls, &stop);
    edges.spawn(signals(stop.clone()));

    let ears = Ears { commands: on_commands, completions: on_completions, works: on_works, mesh: on_mesh };
    hub.run(ears, stop.clone()).await;
    stop.cancel();
    mesh.shutdown().await;
    tokio::task::spawn_blocking(move || store.close()).await.ok();
    edges.shutdown().await;
    Ok(())
}

/// The one line that scripts wait for.
fn announce(at: &Listening, peer_id: &str, mesh: Option<&str>) -> Result<(), ExitError> {
    use std::io::Write as _;
    let Listening { http, grpc } = at;
    let mesh = mesh.map_or_else(|| "none".to_owned(), |mesh| format!("{mesh}/p2p/{peer_id}"));
    let mut out = std::io::stdout().lock();
    writeln!(out, "ready http={http} grpc={grpc} mesh={mesh}")
        .and_then(|()| out.flush())
        .map_err(|error| ExitError::failed(format!("standard output cannot be written ({error})"), "check the pipe"))
}

/// The addresses that the mesh listens at: one of each configured listener, and what follows at once (a listener on all
/// interfaces has several). Nobody is let in before the node knows its members, but others on the local network may be heard
/// of already, and are not again soon: what else happens is given back in order.
async fn local_addresses(events: &mut mpsc::Receiver<Event>, listeners: usize) -> (Vec<String>, Vec<Event>) {
    let (mut addrs, mut early) = (Vec::new(), Vec::new());
    let deadline = tokio::time::Instant::now() + LISTEN_WAIT;
    while addrs.len() < LOCAL_ADDRESSES_MAX && early.len() < EARLY_MAX {
        let wait = if addrs.len() < listeners { deadline } else { tokio::time::Instant::now() + LISTEN_MORE };
        match tokio::time::timeout_at(wait, events.recv()).await {
            Ok(Some(Event::Listening { addr })) => addrs.push(addr),
            Ok(Some(other)) => early.push(other),
            Ok(None) | Err(_) => break,
        }
    }
    (addrs, early)
}

async fn forward_events(early: Vec<Event>, mut from: mpsc::Receiver<Event>, to: mpsc::Sender<Event>) {
    for event in early {
        if to.send(event).await.is_err() {
            return;
        }
    }
    while let Some(event) = from.recv().await {
        if to.send(event).await.is_err() {
            return;
        }
    }
}

fn spawn_edges(
    edges: &mut JoinSet<()>,
    sockets: Sockets,
    handle: &Handle,
    http: relaymesh_api::HttpConfig,
    tls: Option<relaymesh_api::Tls>,
    stop: &CancellationToken,
) {
    let router = relaymesh_api::http_router(handle.clone(), http);
    let stopped = stop.clone().cancelled_owned();
    edges.spawn(async move {
        relaymesh_api::serve_http(sockets.http, router, stopped).await;
    });
    let (asks, stopped, tls) = (handle.clone(), stop.clone().cancelled_owned(), tls);
    edges.spawn(async move {
        if let Err(error) = relaymesh_api::serve_grpc(sockets.grpc, asks, tls, stopped).await {
            tracing::error!(%error, "the gRPC server ended");
        }
    });
    let asks = handle.clone();
    let ask = move |command: OperatorCommand| {
        let asks = asks.clone();
        async move { asks.ask(Command::Operator(command)).await }
    };
    edges.spawn(socket::serve(sockets.operator, ask, sockets.at, stop.clone()));
}

fn http_config(prepared: &Prepared) -> relaymesh_api::HttpConfig {
    relaymesh_api::HttpConfig {
        open: prepared.ingress_open,
        platforms: prepared.core.platforms.iter().map(|platform| platform.name.clone()).collect(),
    }
}

async fn tools(config: &Config, prepared: Prepared) -> Result<Tools, ExitError> {
    let mut adapters = BTreeMap::new();
    if let Some(mastodon) = prepared.mastodon {
        adapters.insert("mastodon".to_owned(), Adapter::Mastodon(mastodon));
    }
    let mut ports = Vec::new();
    for (group, port) in prepared.sms {
        let port = match port {
            SmsPort::Http(_, port) => relaymesh_sms::Port::Http(*port),
            SmsPort::File(path) => {
                let opened = relaymesh_sms::FilePort::open(&path).await;
                let file = opened.map_err(|error| {
                    let what = format!("sms.file.path = {} cannot be opened ({error})", path.display());
                    ExitError::config(what, "name a file in a folder that this user can write")
                })?;
                relaymesh_sms::Port::File(file)
            }
        };
        ports.push((group, port));
    }
    Ok(Tools {
        adapters,
        captcha: prepared.captcha,
        mailer: prepared.mailer,
        otp_from: config.bridge.domain.as_ref().map(|domain| format!("no-reply@{domain}")),
        ports,
        budget: Some(budget::Kept::open(prepared.budget, &config.data_dir(), &prepared.keyring, hub::now().0)),
        keyfile: prepared.key_file,
        cost: Cost::PASSWORD,
    })
}

/// Ends the node on SIGTERM or SIGINT.
async fn signals(stop: CancellationToken) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("signals cannot be caught; stop the node with kill -9, nothing acknowledged is lost");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = stop.cancelled() => {}
    }
    stop.cancel();
}

#[cfg(test)]
mod tests {
    use relaymesh_protocol::ids::NodeId;

    use super::*;

    #[tokio::test]
    async fn what_happens_before_the_node_runs_is_heard_when_it_does() {
        let seen = |n| Event::Seen { node: NodeId([n; 32]), addrs: vec!["/ip4/192.0.2.7/tcp/1".to_owned()] };
        let listening = Event::Listening { addr: "/ip4/192.0.2.1/tcp/1".to_owned() };
        let (sender, mut events) = mpsc::channel(8);
        for event in [seen(1), listening, seen(2)] {
            sender.try_send(event).unwrap();
        }
        let (addrs, early) = local_addresses(&mut events, 1).await;
        assert_eq!((addrs.len(), early.len()), (1, 2));
        sender.try_send(seen(3)).unwrap();
        drop(sender);
        let (to, mut heard) = mpsc::channel(8);
        forward_events(early, events, to).await;
        for n in 1..=3 {
            assert_eq!(heard.recv().await, Some(seen(n)));
        }
    }
}
