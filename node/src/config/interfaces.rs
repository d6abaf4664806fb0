//! What this machine's network interfaces allow. A file may be right for another machine, or for a network that is down now: so
//! all this is worth a warning only.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};

/// Whether one of this machine's interfaces has an address now. Any port will do, so it is no matter who listens there.
fn has(address: IpAddr) -> bool {
    address.is_loopback()
        || TcpListener::bind((address, 0)).err().is_none_or(|error| error.kind() != ErrorKind::AddrNotAvailable)
}

/// What is to be said of a listener at an address that is not there.
pub fn warning(key: &str, at: SocketAddr) -> Option<String> {
    (!has(at.ip())).then(|| {
        format!(
            "{key} is at {}, which no network interface of this machine has now; write an address of this machine, or 0.0.0.0 for all",
            at.ip()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_known_from_others() {
        for own in ["127.0.0.1:80", "127.9.9.9:80", "0.0.0.0:80", "[::1]:80"] {
            assert_eq!(warning("listen.http", own.parse().unwrap()), None, "{own}");
        }
        let told = warning("listen.http", "203.0.113.9:8080".parse().unwrap()).unwrap();
        assert!(told.starts_with("listen.http is at 203.0.113.9, which no network interface"), "{told}");
    }
}
