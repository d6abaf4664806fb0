//! The calls of an app at a node's gRPC port, in the values of the phone.

use anyhow::{Context as _, Result, bail};
use relaymesh_api::client::{self, PublisherClient, Target, VaultClient, publisher_v1, vault_v1};
use relaymesh_phone::{SecretText, api};
use tonic::Status;

/// Both services of a node, over one connection.
pub struct Rpc {
    vault: VaultClient,
    publisher: PublisherClient,
}

/// The answer to one phase of a sign-up.
pub enum Answered {
    /// The node wants a one-time code.
    ProofRequired,
    /// The code was right.
    Session(api::EntityAnswer),
}

/// Where a person gives their consent.
pub struct Authorization {
    /// The platform's page.
    pub url: String,
    /// Comes along with the exchange.
    pub code_verifier: SecretText,
}

impl Rpc {
    /// Connects to a node's gRPC port, `http://host:port`.
    pub async fn connect(grpc: &str) -> Result<Self> {
        let target = Target { url: grpc.to_owned(), ..Target::default() };
        let channel = client::channel(&target).await?;
        Ok(Self { vault: VaultClient::new(channel.clone()), publisher: PublisherClient::new(channel) })
    }

    /// One phase of a sign-up.
    pub async fn create_entity(&self, request: api::EntityRequest) -> Result<Answered> {
        let request = vault_v1::CreateEntityRequest {
            country_code: request.country_code,
            phone_number: request.phone_number,
            password: request.password.reveal().to_owned(),
            client_publish_pub_key: request.client_publish_pub_key,
            client_device_id_pub_key: request.client_device_id_pub_key,
            ownership_proof_response: request.ownership_proof_response.reveal().to_owned(),
            captcha_token: request.captcha_token,
            email_address: request.email_address,
        };
        let answer = self.vault.clone().create_entity(request).await.map_err(told)?.into_inner();
        if answer.requires_ownership_proof {
            return Ok(Answered::ProofRequired);
        }
        Ok(Answered::Session(api::EntityAnswer {
            long_lived_token: answer.long_lived_token.into(),
            server_publish_pub_key: answer.server_publish_pub_key,
            server_device_id_pub_key: answer.server_device_id_pub_key,
        }))
    }

    /// Where to give consent.
    pub async fn authorization_url(&self, request: api::AuthorizationUrlRequest) -> Result<Authorization> {
        let request = publisher_v1::GetOAuth2AuthorizationUrlRequest {
            platform: request.platform,
            state: request.state,
            code_verifier: String::new(),
            autogenerate_code_verifier: request.autogenerate_code_verifier,
            redirect_url: request.redirect_url,
            request_identifier: request.request_identifier,
        };
        let answer = self.publisher.clone().get_o_auth2_authorization_url(request).await.map_err(told)?.into_inner();
        Ok(Authorization { url: answer.authorization_url, code_verifier: answer.code_verifier.into() })
    }

    /// Hands in the code that the platform gave.
    pub async fn exchange_code(&self, request: api::ExchangeCodeRequest) -> Result<()> {
        let request = publisher_v1::ExchangeOAuth2CodeAndStoreRequest {
            long_lived_token: request.long_lived_token.reveal().to_owned(),
            platform: request.platform,
            authorization_code: request.authorization_code.reveal().to_owned(),
            code_verifier: request.code_verifier.reveal().to_owned(),
            redirect_url: request.redirect_url,
            store_on_device: request.store_on_device,
            request_identifier: request.request_identifier,
        };
        let call = self.publisher.clone().exchange_o_auth2_code_and_store(request).await;
        let answer = call.map_err(told)?.into_inner();
        if !answer.success {
            bail!("the node did not store the account: {}", answer.message);
        }
        Ok(())
    }

    /// The accounts that the node keeps.
    pub async fn stored_tokens(&self, long_lived_token: &SecretText) -> Result<Vec<api::StoredToken>> {
        let long_lived_token = long_lived_token.reveal().to_owned();
        let request = vault_v1::ListEntityStoredTokensRequest { long_lived_token, migrate_to_device: false };
        let call = self.vault.clone().list_entity_stored_tokens(request).await;
        let answer = call.map_err(told).context("accounts cannot be listed")?.into_inner();
        let entry = |token: vault_v1::Token| api::StoredToken {
            platform: token.platform,
            account_identifier: token.account_identifier,
            account_tokens: token.account_tokens.into_iter().map(|(name, text)| (name, text.into())).collect(),
            is_stored_on_device: token.is_stored_on_device,
        };
        Ok(answer.stored_tokens.into_iter().map(entry).collect())
    }
}

/// What the node told, as an app shows it.
fn told(status: Status) -> anyhow::Error {
    anyhow::anyhow!("the node says {:?}: {}", status.code(), status.message())
}
