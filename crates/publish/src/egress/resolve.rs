//! Names to addresses, with everything that is not on the open Internet taken out.
//!
//! The HTTP client connects to exactly the addresses returned here, so there is no second look-up
//! between check and use, and a name that changes its answer gains nothing.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::Rules;
use super::address::is_global;

/// How long one look-up may take, so that a dead resolver counts as "not connected".
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(4);
/// How many addresses of one name are tried at most; a hostile zone could list thousands.
const ADDRESSES_MAX: usize = 8;

/// The answer of a [`Lookup`].
pub type Looking = Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;

/// Asks for the addresses of a host name. The guard trusts no answer.
pub trait Lookup: Send + Sync + 'static {
    /// Every address of `host`, in the order they should be tried.
    fn lookup(&self, host: &str) -> Looking;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str) -> Looking {
        let host = host.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// No address of the name may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("host name has no address on the open internet")]
struct NoGlobalAddress;

/// A [`Lookup`] behind the address guard.
pub(super) struct Guarded {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) rules: Rules,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let looking = self.lookup.lookup(name.as_str());
        let rules = self.rules;
        Box::pin(async move {
            let found = tokio::time::timeout(LOOKUP_TIMEOUT, looking).await??;
            let kept = keep_allowed(found, rules);
            if kept.is_empty() {
                return Err(NoGlobalAddress.into());
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be connected to. Port 0 means "the port of the URL".
pub(super) fn keep_allowed(found: Vec<IpAddr>, rules: Rules) -> Vec<SocketAddr> {
    let allowed = |ip: &IpAddr| rules.private_addresses || is_global(*ip);
    let kept = found.into_iter().filter(allowed).take(ADDRESSES_MAX);
    kept.map(|ip| SocketAddr::new(ip, 0)).collect()
}
