//! Seats: how many connections a port holds, and how many of one host.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// Connections that one port holds; at 4,096 their buffers stay within tens of megabytes.
pub const CONNECTIONS_MAX: usize = 4_096;
/// Connections of one address (IPv6: of one /64), so that one host cannot take all seats. Loopback is not counted by
/// host: a reverse proxy on the same machine speaks for many.
pub const CONNECTIONS_PER_HOST_MAX: usize = 32;
/// How long a stopping server waits for requests under way.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// Pause after a failed accept (no file descriptors left): long enough not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a server ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The TLS files are unusable.
    #[error("the TLS certificate or key is unusable: check that both are PEM and belong together")]
    Tls(#[source] tonic::transport::Error),
    /// The gRPC server failed.
    #[error("the gRPC server failed")]
    Grpc(#[source] tonic::transport::Error),
    /// The port is gone.
    #[error("the listening socket is unusable")]
    Listener(#[source] io::Error),
}

/// The seats of one port.
#[derive(Clone, Debug)]
pub(crate) struct Seats(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_host: BTreeMap<IpAddr, usize>,
}

/// One connection's seat; free again when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    host: Option<IpAddr>,
}

impl Seats {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// A seat for a connection from `ip`, if there is one.
    pub(crate) fn take(&self, ip: IpAddr) -> Option<Seat> {
        let host = host(ip);
        let mut taken = self.lock();
        if taken.all >= CONNECTIONS_MAX {
            return None;
        }
        if let Some(host) = host {
            let count = taken.by_host.entry(host).or_default();
            if *count >= CONNECTIONS_PER_HOST_MAX {
                return None;
            }
            *count += 1;
        }
        taken.all += 1;
        drop(taken);
        Some(Seat { seats: self.clone(), host })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        // Counters hold no invariant that a panic between two lines could break.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(host) = self.host
            && let Some(count) = taken.by_host.get_mut(&host)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.by_host.remove(&host);
            }
        }
    }
}

/// Whom a connection counts for: `None` for this machine itself.
fn host(ip: IpAddr) -> Option<IpAddr> {
    let ip = ip.to_canonical();
    if ip.is_loopback() {
        return None;
    }
    Some(match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
    })
}

/// The next connection that found a seat; those without are closed at once. Cancel-safe.
pub(crate) async fn accept(listener: &TcpListener, seats: &Seats) -> (TcpStream, Seat) {
    loop {
        let (stream, addr) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Some(seat) = seats.take(addr.ip()) {
            // Answers are small and wait for nothing; without it each could wait 40 ms for an acknowledgement.
            let _ = stream.set_nodelay(true);
            return (stream, seat);
        }
        tracing::debug!("no seat left for a connection");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_host_gets_its_share_and_gives_it_back() {
        let seats = Seats::new();
        let held: Vec<_> = (0..CONNECTIONS_PER_HOST_MAX).map(|_| seats.take(ip("203.0.113.9")).unwrap()).collect();
        assert!(seats.take(ip("203.0.113.9")).is_none());
        assert!(seats.take(ip("::ffff:203.0.113.9")).is_none(), "the same host, written as IPv6");
        assert!(seats.take(ip("203.0.113.10")).is_some());
        drop(held);
        assert!(seats.take(ip("203.0.113.9")).is_some());
        assert!(seats.lock().by_host.is_empty());
    }

    #[test]
    fn addresses_of_one_64_are_one_host() {
        let seats = Seats::new();
        let of = |n: usize| ip(&format!("2001:db8:1:2::{n:x}"));
        let held: Vec<_> = (0..CONNECTIONS_PER_HOST_MAX).map(|n| seats.take(of(n)).unwrap()).collect();
        assert!(seats.take(of(999)).is_none());
        assert!(seats.take(ip("2001:db8:1:3::1")).is_some());
        drop(held);
    }

    #[test]
    fn all_seats_are_counted_for_loopback_too() {
        let seats = Seats::new();
        let held: Vec<_> = (0..CONNECTIONS_MAX).map(|_| seats.take(ip("127.0.0.1")).unwrap()).collect();
        assert!(seats.take(ip("127.0.0.1")).is_none());
        drop(held);
        assert!(seats.take(ip("127.0.0.1")).is_some());
    }
}
