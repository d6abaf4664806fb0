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
    serve(listener, router, shutdown, HEADER_TIMEOUT).await;
}

async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()> + Send, patience: Duration) {
    let (stop, stopping) = watch::channel(());
    let seats = Seats::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            (stream, seat) = accept(&listener, &seats) => {
                connections.spawn(connection(stream, seat, router.clone(), stopping.clone(), patience));
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
async fn connection(
    stream: TcpStream,
    seat: Seat,
    router: Router,
    mut stopping: watch::Receiver<()>,
    patience: Duration,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience).max_header_size(HEADER_BYTES_MAX);
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    async fn connect() -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Router::new(), std::future::pending(), PATIENCE));
        TcpStream::connect(addr).await.unwrap()
    }

    async fn is_closed(mut stream: TcpStream) -> bool {
        let started = Instant::now();
        let mut rest = Vec::new();
        let _ = tokio::time::timeout(10 * PATIENCE, stream.read_to_end(&mut rest)).await;
        started.elapsed() < 8 * PATIENCE
    }

    #[tokio::test]
    async fn who_says_nothing_loses_the_connection() {
        assert!(is_closed(connect().await).await);
    }

    #[tokio::test]
    async fn who_never_ends_the_headers_loses_the_connection() {
        let (mut read, mut write) = connect().await.into_split();
        write.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let trickle = async {
            while write.write_all(b"x-slow: y\r\n").await.is_ok() {
                tokio::time::sleep(PATIENCE / 10).await;
            }
        };
        let mut rest = Vec::new();
        let ended = async { tokio::join!(trickle, read.read_to_end(&mut rest)) };
        assert!(tokio::time::timeout(2 * LINGER, ended).await.is_ok());
    }

    #[tokio::test]
    async fn who_idles_after_an_answer_loses_the_connection() {
        let mut stream = connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(is_closed(stream).await);
    }
}
