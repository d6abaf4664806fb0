//! Clients of the gRPC port, for the command line's `phone`, the demo and tests.

use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

pub use crate::proto::{publisher as publisher_v1, vault as vault_v1};

/// Client of `vault.v1.Entity`.
pub type VaultClient = vault_v1::entity_client::EntityClient<Channel>;
/// Client of `publisher.v1.Publisher`.
pub type PublisherClient = publisher_v1::publisher_client::PublisherClient<Channel>;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call may take: more than the server's own limit, so that its answer is the one that is seen.
const CALL_TIMEOUT: Duration = Duration::from_secs(45);

/// A gRPC port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// The certificate to trust, PEM; needed for `https`.
    pub ca_pem: Option<String>,
    /// The name in the certificate where it differs from the URL's host.
    pub server_name: Option<String>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is none.
    #[error("the gRPC address is no URL: expected http://host:port or https://host:port")]
    Url(#[source] tonic::transport::Error),
    /// `https` without a certificate.
    #[error("https needs the certificate to trust: name its PEM file")]
    NoCertificate,
    /// The certificate cannot be read.
    #[error("the certificate to trust is unusable")]
    Certificate(#[source] tonic::transport::Error),
    /// Nobody answers.
    #[error("no connection to the gRPC port: check that the node runs and listens there")]
    Connect(#[source] tonic::transport::Error),
}

/// Connects to `vault.v1.Entity`.
///
/// # Errors
/// When the target is unusable or does not answer.
pub async fn vault(target: &Target) -> Result<VaultClient, ConnectError> {
    Ok(VaultClient::new(channel(target).await?))
}

/// Connects to `publisher.v1.Publisher`.
///
/// # Errors
/// When the target is unusable or does not answer.
pub async fn publisher(target: &Target) -> Result<PublisherClient, ConnectError> {
    Ok(PublisherClient::new(channel(target).await?))
}

/// A channel that both clients can share.
///
/// # Errors
/// When the target is unusable or does not answer.
pub async fn channel(target: &Target) -> Result<Channel, ConnectError> {
    let endpoint = Endpoint::from_shared(target.url.clone()).map_err(ConnectError::Url)?;
    let mut endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT);
    if endpoint.uri().scheme_str() == Some("https") {
        let pem = target.ca_pem.as_deref().ok_or(ConnectError::NoCertificate)?;
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
        if let Some(name) = &target.server_name {
            tls = tls.domain_name(name);
        }
        endpoint = endpoint.tls_config(tls).map_err(ConnectError::Certificate)?;
    }
    endpoint.connect().await.map_err(ConnectError::Connect)
}
