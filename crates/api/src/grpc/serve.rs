//! The gRPC port: limits of HTTP/2, TLS, seats, and a stop that lets calls under way end.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;
use tonic::transport::server::{Connected, TcpConnectInfo};
use tonic::transport::{Identity, Server, ServerTlsConfig};

use super::grpc_router;
use crate::Ask;
use crate::listen::{GRACE, Seat, Seats, ServeError, accept};

/// Streams of one connection at a time.
const STREAMS_MAX: u32 = 100;
/// Streams that a peer opened and reset before we took them up (rapid reset, CVE-2023-44487); then the connection ends.
const PENDING_RESETS_MAX: usize = 20;
/// Streams that we reset for a peer's errors; then the connection ends.
const ERROR_RESETS_MAX: usize = 100;
/// Request headers: no caller sends any of its own.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Silence after which a connection is probed, and how long the answer may take.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(20));
/// How long a connection may take for its first bytes, or for TLS.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an HTTP/2 preface; a TLS hello is longer.
const HELLO_BYTES: usize = 24;

/// Certificate chain and key, PEM.
#[derive(Clone)]
pub struct Tls {
    /// The node's certificate, then its issuers.
    pub cert_pem: Vec<u8>,
    /// Its private key.
    pub key_pem: Vec<u8>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// Serves both services on `listener` until `shutdown` completes; calls under way then have ten seconds to end.
/// Dropping the future closes the port; calls under way still end on their own.
///
/// # Errors
/// When the TLS files are unusable or the server fails.
pub async fn serve_grpc<A: Ask>(
    listener: TcpListener,
    ask: A,
    tls: Option<Tls>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let (stopped, stop) = tokio::sync::oneshot::channel();
    let signal = async move {
        shutdown.await;
        let _ = stopped.send(());
    };
    let seats = Seats::new();
    let incoming = stream::unfold((listener, seats), |(listener, seats)| async move {
        let (stream, seat) = accept(&listener, &seats).await;
        Some((Ok::<_, io::Error>(Seated::new(stream, seat)), (listener, seats)))
    });
    let serving = server(tls)?.serve_with_incoming_shutdown(grpc_router(ask), incoming, signal);
    let late = async move {
        match stop.await {
            Ok(()) => tokio::time::sleep(GRACE).await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = serving => ended.map_err(ServeError::Grpc),
        () = late => Ok(()),
    }
}

fn server(tls: Option<Tls>) -> Result<Server, ServeError> {
    let server = Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(ERROR_RESETS_MAX))
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1));
    let Some(tls) = tls else { return Ok(server) };
    // The only provider in the build; an error says that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let identity = Identity::from_pem(&tls.cert_pem, &tls.key_pem);
    let config = ServerTlsConfig::new().identity(identity).timeout(HELLO_TIMEOUT);
    server.tls_config(config).map_err(ServeError::Tls)
}

/// A connection with its seat, which ends when its first bytes take too long.
struct Seated {
    stream: TcpStream,
    hello: Option<Hello>,
    _seat: Seat,
}

struct Hello {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Seated {
    fn new(stream: TcpStream, seat: Seat) -> Self {
        let hello = Hello { missing: HELLO_BYTES, deadline: Box::pin(tokio::time::sleep(HELLO_TIMEOUT)) };
        Self { stream, hello: Some(hello), _seat: seat }
    }

    fn heard(&mut self, bytes: usize) {
        if let Some(hello) = &mut self.hello {
            hello.missing = hello.missing.saturating_sub(bytes);
            if hello.missing == 0 {
                self.hello = None;
            }
        }
    }
}

impl Connected for Seated {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Seated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            self.heard(buf.filled().len().saturating_sub(before));
            return Poll::Ready(read);
        }
        match &mut self.hello {
            Some(hello) => hello.deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Seated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
