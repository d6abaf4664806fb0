//! Whether the certificate of the gRPC port is one that apps will take: there, of this key, valid, and for this host.
//!
//! Certificates are read by the very library that will serve them, so that both agree on what is one.

use std::time::{Duration, SystemTime};

use relaymesh_api::Tls;
use relaymesh_core::command::Finding;
use relaymesh_protocol::ids::Timestamp;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore};

use super::{finding, of_error, ok};
use crate::config::{Config, is_local};
use crate::render;

/// Name of these checks.
const CHECK: &str = "tls";
/// A certificate should be renewed when less than this is left, or less than a quarter of a short life.
const SOON: Duration = Duration::from_hours(14 * 24);
/// No certificate is valid at this time, in the year 9999 and beyond.
const FAR: Duration = Duration::from_secs(253_402_300_800);
/// How certificates are renewed; the node reads them when it starts.
const RENEW: &str = "renew it (with certbot: certbot renew), then restart the node";

/// From when to when a certificate is valid, since the epoch.
#[derive(Clone, Copy, Debug)]
struct Validity {
    from: Duration,
    until: Duration,
}

/// What is to be said about `listen.tls_cert` and `listen.tls_key`.
pub fn findings(config: &Config, now: SystemTime) -> Vec<Finding> {
    let host = config.host_names().into_iter().find(|name| name.key == "node.public_url").map(|name| name.host);
    match config.grpc_tls() {
        Err(error) => vec![of_error(CHECK, &error)],
        Ok(Some(tls)) => judge(&tls, host.as_deref(), now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()),
        Ok(None) => vec![without(&config.listen.grpc, config.listen.grpc_plain)],
    }
}

fn without(listen: &str, behind_front: bool) -> Finding {
    if listen.parse().is_ok_and(is_local) {
        return ok(CHECK, format!("no certificate: listen.grpc = {listen} is for this machine only"));
    }
    let found = format!("no certificate: what apps say to listen.grpc = {listen} can be read on the way");
    if behind_front {
        let fix = "let nobody but the front that ends TLS reach it, or set listen.tls_cert and listen.tls_key";
        return finding(CHECK, "warning", found, fix);
    }
    finding(
        CHECK,
        "error",
        found,
        "set listen.tls_cert and listen.tls_key, or let a front end TLS and listen on 127.0.0.1",
    )
}

fn judge(tls: &Tls, host: Option<&str>, now: Duration) -> Vec<Finding> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&tls.cert_pem).collect();
    let Ok(chain) = chain else { return vec![unusable("listen.tls_cert is damaged")] };
    let Some(leaf) = chain.first() else { return vec![unusable("listen.tls_cert holds no certificate")] };
    let Ok(key) = PrivateKeyDer::from_pem_slice(&tls.key_pem) else {
        return vec![unusable("listen.tls_key holds no private key")];
    };
    let mut all = Vec::new();
    match CertifiedKey::from_der(chain.clone(), key, &rustls::crypto::ring::default_provider()) {
        Ok(_) => {}
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            all.push(unusable("listen.tls_key is not the key of listen.tls_cert"));
        }
        Err(_) => return vec![unusable("listen.tls_cert and listen.tls_key cannot be used for TLS")],
    }
    let Some(valid) = validity(leaf) else { return vec![unusable("listen.tls_cert is not a server's certificate")] };
    all.extend(of_time("the certificate", valid, now));
    for issuer in chain.iter().skip(1) {
        // Issuers that are soon over are replaced with the certificate.
        let over = validity(issuer).filter(|valid| now > valid.until);
        all.extend(over.and_then(|valid| of_time("an issuer's certificate in listen.tls_cert", valid, now)));
    }
    let names = names(leaf);
    all.extend(host.and_then(|host| of_host(leaf, host, &names)));
    if all.is_empty() {
        let names = if host.is_some() { String::new() } else { format!(", for {names}") };
        all.push(ok(CHECK, format!("the certificate is valid until {}{names}", date(valid.until))));
    }
    all
}

fn unusable(found: &str) -> Finding {
    let fix = "name the PEM files that belong together, the server's certificate first (with certbot: fullchain.pem and privkey.pem)";
    finding(CHECK, "error", found, fix)
}

fn of_time(what: &str, valid: Validity, now: Duration) -> Option<Finding> {
    let life = valid.until.saturating_sub(valid.from);
    let left = valid.until.saturating_sub(now);
    let (level, found, fix) = if now > valid.until {
        ("error", format!("{what} expired on {}: apps do not connect", date(valid.until)), RENEW)
    } else if now < valid.from {
        let fix = "check the clock of this machine: date -u; or wait";
        ("error", format!("{what} is not valid before {}", date(valid.from)), fix)
    } else if left < SOON.min(life / 4) {
        ("warning", format!("{what} expires on {}", date(valid.until)), RENEW)
    } else {
        return None;
    };
    Some(finding(CHECK, level, found, fix))
}

/// Apps may be told another name than the one that gateway clients use, so this is a warning only.
fn of_host(leaf: &CertificateDer<'_>, host: &str, names: &str) -> Option<Finding> {
    let (parsed, name) = (ParsedCertificate::try_from(leaf).ok()?, ServerName::try_from(host).ok()?);
    verify_server_name(&parsed, &name).err()?;
    let found = format!("the certificate is for {names}, not for {host} (node.public_url)");
    let fix = format!("get one for the name that apps use (with certbot: certbot certonly -d {host})");
    Some(finding(CHECK, "warning", found, fix))
}

/// Asks the library at which times it would find the certificate too young, and too old.
fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let nobody = RootCertStore::empty();
    let at = |time| {
        let time = UnixTime::since_unix_epoch(time);
        verify_server_cert_signed_by_trust_anchor(&parsed, &nobody, &[], time, &[]).err()
    };
    let from = match at(Duration::ZERO) {
        Some(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
            not_before.as_secs()
        }
        _ => 0,
    };
    match at(FAR) {
        Some(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(Validity { from: Duration::from_secs(from), until: Duration::from_secs(not_after.as_secs()) })
        }
        _ => None,
    }
}

/// The names in a certificate, as the library lists them when it is asked for one that nobody has.
fn names(leaf: &CertificateDer<'_>) -> String {
    let nobody = ServerName::try_from("nobody.invalid").ok();
    let refused =
        ParsedCertificate::try_from(leaf).ok().zip(nobody).map(|(leaf, name)| verify_server_name(&leaf, &name));
    let presented = match refused {
        Some(Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }))) => presented,
        _ => Vec::new(),
    };
    // Each is written as what it is, then the name in quotes.
    let bare = presented.iter().map(|name| name.split('"').nth(1).unwrap_or(name)).collect::<Vec<_>>();
    if bare.is_empty() { "no name".to_owned() } else { bare.join(", ") }
}

fn date(at: Duration) -> String {
    render::date(Timestamp(u64::try_from(at.as_millis()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
#[path = "certificate/tests.rs"]
mod tests;
