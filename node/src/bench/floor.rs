//! The barest service that answers what it has made durable: HTTP, a file, one fsync for everybody who waits. What a node
//! does beside that is what its share of this floor tells.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::sync::oneshot;

/// Requests that wait for the writer.
const QUEUE: usize = 1_024;

type Job = (Bytes, oneshot::Sender<bool>);

/// The service. Dropping it ends it.
pub struct Floor {
    /// Where it listens.
    pub at: SocketAddr,
    /// Its own threads, as a node has.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Floor {
    /// Starts it over a new file in `dir`.
    pub fn start(dir: &Path) -> Result<Self> {
        let mut file = OpenOptions::new().create_new(true).append(true).open(dir.join("floor")).context("no file")?;
        let (jobs, queue) = sync_channel::<Job>(QUEUE);
        std::thread::spawn(move || write(&queue, |bytes| file.write_all(bytes).and_then(|()| file.sync_all()).is_ok()));
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        listener.set_nonblocking(true).context("no socket")?;
        let at = listener.local_addr().context("no socket")?;
        let app = Router::new().route("/v3/publish", post(accept)).with_state(jobs);
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, app).await
        });
        Ok(Self { at, runtime: Some(runtime) })
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(State(jobs): State<SyncSender<Job>>, body: Bytes) -> (StatusCode, &'static str) {
    let (durable, answer) = oneshot::channel();
    if jobs.try_send((body, durable)).is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "");
    }
    match answer.await {
        Ok(true) => (StatusCode::OK, "{\"publisher_response\":\"accepted\"}"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, ""),
    }
}

/// Appends what is queued as one, and answers all of it.
fn write(queue: &Receiver<Job>, mut append: impl FnMut(&[u8]) -> bool) {
    while let Ok(first) = queue.recv() {
        let group: Vec<Job> = std::iter::once(first).chain(queue.try_iter()).collect();
        let bytes = group.iter().map(|(body, _)| body.as_ref()).collect::<Vec<_>>().concat();
        let durable = append(&bytes);
        for (_, answer) in group {
            // Who went away needs no answer.
            let _ = answer.send(durable);
        }
    }
}
