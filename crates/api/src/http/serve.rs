//! The HTTP port: HTTP/1.1, seats, limits on headers, and a stop that lets requests under way end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures::future::BoxFuture;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::listen::{GRACE, Seat, Seats, accept};

/// How long a request's headers may take, and an idle connection may stay.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Request line and headers together.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// How long the rest of a refused body is thrown away, so that its sender gets to read why; then the connection is cut.
const LINGER: Duration = Duration::from_secs(2);

/// Serves `router` on `listener` until `shutdown` completes; requests under way then have ten seconds to end.
/// Dropping the future closes the port and cuts all connections.
pub async fn serve_http(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()> + Send) {
    let (stop, stopping) = watch::channel(());
    let seats = Seats::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, seat) = accept(&listener, &seats) => {
                connections.spawn(connection(stream, seat, router.clone(), stopping.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    drop(stop);
    let all = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, all).await;
}

/// One connection, from its first byte to its end.
async fn connection(stream: TcpStream, seat: Seat, router: Router, mut stopping: watch::Receiver<()>) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_header_size(HEADER_BYTES_MAX);
    let mut connection = builder.serve_connection(TokioIo::new(stream), Pages(router));
    let mut stops = false;
    loop {
        tokio::select! {
            ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                break;
            }
            _ = stopping.changed(), if !stops => {
                stops = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
    linger(connection.into_parts().io.into_inner()).await;
    drop(seat);
}

/// Closes so that the answer arrives: a socket that is closed over unread bytes resets, and the reset may overtake it.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut scratch = vec![0; 16 * 1024];
    let drain = async { while stream.read(&mut scratch).await.is_ok_and(|read| read > 0) {} };
    let _ = tokio::time::timeout(LINGER, drain).await;
}

/// The router as hyper calls it.
struct Pages(Router);

impl Service<Request<Incoming>> for Pages {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.0.clone().oneshot(request.map(Body::new)))
    }
}
