//! The calls of the app over gRPC.

use relaymesh_api::client::publisher_v1::{
    ExchangeOAuth2CodeAndStoreRequest, GetOAuth2AuthorizationUrlRequest, RevokeAndDeleteOAuth2TokenRequest,
};
use relaymesh_api::client::vault_v1::{
    AuthenticateEntityRequest, CreateEntityRequest, DeleteEntityRequest, ListEntityStoredTokensRequest,
    ResetPasswordRequest, UpdateEntityPasswordRequest,
};
use relaymesh_api::client::{ConnectError, Target, publisher, vault};
use relaymesh_phone::Kind;
use relaymesh_phone::api::{AuthorizationUrlRequest, EntityAnswer, EntityRequest, StoredToken};
use tonic::{Code, Status};

use super::args::Grpc;
use crate::cli::exit::{ExitError, Kind as Failure};

/// What a sign-up or login came to.
pub enum Entered {
    /// A code is on its way.
    CodeSent {
        /// For the person.
        message: String,
    },
    /// The account has no password yet.
    ResetNeeded {
        /// For the person.
        message: String,
    },
    /// Keys and token.
    In {
        /// For the person.
        message: String,
        /// The fields that matter.
        answer: EntityAnswer,
    },
}

/// A node to call.
pub struct Calls {
    target: Target,
    runtime: tokio::runtime::Runtime,
}

impl Calls {
    /// Nothing is sent yet.
    pub fn to(grpc: &Grpc) -> Result<Self, ExitError> {
        let read = |path: &std::path::PathBuf| {
            let failed = |e| {
                ExitError::failed(format!("{} cannot be read ({e})", path.display()), "name the PEM file with --ca")
            };
            std::fs::read_to_string(path).map_err(failed)
        };
        let target =
            Target { url: grpc.grpc.clone(), ca_pem: grpc.ca.as_ref().map(read).transpose()?, server_name: None };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| ExitError::failed(format!("the system gives no resources ({e})"), "close other programs"))?;
        Ok(Self { target, runtime })
    }

    /// `CreateEntity`, `AuthenticateEntity` or `ResetPassword`.
    pub fn enter(&self, kind: &Kind, fields: &EntityRequest) -> Result<Entered, ExitError> {
        self.runtime.block_on(async {
            let mut client = vault(&self.target).await.map_err(|e| self.no_connection(&e))?;
            match kind {
                Kind::SignUp { .. } => {
                    let got = client.create_entity(create(fields)).await.map_err(|e| self.refused(&e))?.into_inner();
                    let parts = (got.long_lived_token, got.server_publish_pub_key, got.server_device_id_pub_key);
                    Ok(entered(got.requires_ownership_proof, false, got.message, parts))
                }
                Kind::LogIn => {
                    let got = client
                        .authenticate_entity(authenticate(fields))
                        .await
                        .map_err(|e| self.refused(&e))?
                        .into_inner();
                    let parts = (got.long_lived_token, got.server_publish_pub_key, got.server_device_id_pub_key);
                    Ok(entered(got.requires_ownership_proof, got.requires_password_reset, got.message, parts))
                }
                Kind::Reset => {
                    let got = client.reset_password(reset(fields)).await.map_err(|e| self.refused(&e))?.into_inner();
                    let parts = (got.long_lived_token, got.server_publish_pub_key, got.server_device_id_pub_key);
                    Ok(entered(got.requires_ownership_proof, false, got.message, parts))
                }
            }
        })
    }

    /// `GetOAuth2AuthorizationUrl`: the URL and the code verifier.
    pub fn authorization_url(&self, fields: AuthorizationUrlRequest) -> Result<(String, String), ExitError> {
        let request = GetOAuth2AuthorizationUrlRequest {
            platform: fields.platform,
            state: fields.state,
            code_verifier: String::new(),
            autogenerate_code_verifier: fields.autogenerate_code_verifier,
            redirect_url: fields.redirect_url,
            request_identifier: fields.request_identifier,
        };
        self.runtime.block_on(async {
            let mut client = publisher(&self.target).await.map_err(|e| self.no_connection(&e))?;
            let got = client.get_o_auth2_authorization_url(request).await.map_err(|e| self.refused(&e))?.into_inner();
            Ok((got.authorization_url, got.code_verifier))
        })
    }

    /// `ExchangeOAuth2CodeAndStore`: the message for the person.
    pub fn exchange(&self, request: ExchangeOAuth2CodeAndStoreRequest) -> Result<String, ExitError> {
        self.runtime.block_on(async {
            let mut client = publisher(&self.target).await.map_err(|e| self.no_connection(&e))?;
            let got = client.exchange_o_auth2_code_and_store(request).await.map_err(|e| self.refused(&e))?.into_inner();
            done(got.success, got.message, "ask for a new address and try again")
        })
    }

    /// `RevokeAndDeleteOAuth2Token`: the message for the person.
    pub fn revoke(&self, request: RevokeAndDeleteOAuth2TokenRequest) -> Result<String, ExitError> {
        self.runtime.block_on(async {
            let mut client = publisher(&self.target).await.map_err(|e| self.no_connection(&e))?;
            let got = client.revoke_and_delete_o_auth2_token(request).await.map_err(|e| self.refused(&e))?.into_inner();
            done(got.success, got.message, "see: relaymesh phone list")
        })
    }

    /// `UpdateEntityPassword`: the message for the person.
    pub fn update_password(&self, request: UpdateEntityPasswordRequest) -> Result<String, ExitError> {
        self.runtime.block_on(async {
            let mut client = vault(&self.target).await.map_err(|e| self.no_connection(&e))?;
            let got = client.update_entity_password(request).await.map_err(|e| self.refused(&e))?.into_inner();
            done(got.success, got.message, "choose another password")
        })
    }

    /// `DeleteEntity`: the message for the person.
    pub fn delete(&self, request: DeleteEntityRequest) -> Result<String, ExitError> {
        self.runtime.block_on(async {
            let mut client = vault(&self.target).await.map_err(|e| self.no_connection(&e))?;
            let got = client.delete_entity(request).await.map_err(|e| self.refused(&e))?.into_inner();
            done(got.success, got.message, "try again")
        })
    }

    /// `ListEntityStoredTokens`.
    pub fn list(&self, request: ListEntityStoredTokensRequest) -> Result<Vec<StoredToken>, ExitError> {
        self.runtime.block_on(async {
            let mut client = vault(&self.target).await.map_err(|e| self.no_connection(&e))?;
            let got = client.list_entity_stored_tokens(request).await.map_err(|e| self.refused(&e))?.into_inner();
            let stored = got.stored_tokens.into_iter().map(|one| StoredToken {
                platform: one.platform,
                account_identifier: one.account_identifier,
                account_tokens: one.account_tokens.into_iter().map(|(name, token)| (name, token.into())).collect(),
                is_stored_on_device: one.is_stored_on_device,
            });
            Ok(stored.collect())
        })
    }

    fn no_connection(&self, error: &ConnectError) -> ExitError {
        match error {
            ConnectError::NoCertificate | ConnectError::Certificate(_) => ExitError::failed(
                error.to_string(),
                "name it with --ca; /etc/ssl/certs/ca-certificates.crt has the public ones on many systems",
            ),
            ConnectError::Url(_) => ExitError::new(Failure::Usage, error.to_string(), "check --grpc"),
            ConnectError::Connect(cause) => self.no_grpc(cause),
        }
    }

    /// The node's own words, which are made for the person; or that there is no node.
    fn refused(&self, status: &Status) -> ExitError {
        if never_came(status) {
            return self.no_grpc(status);
        }
        let kind = match status.code() {
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => Failure::Temporary,
            _ => Failure::Failed,
        };
        ExitError::new(kind, status.message(), operators_part(status))
    }

    /// Nothing is there, or something else than a gRPC port.
    fn no_grpc(&self, error: &dyn std::error::Error) -> ExitError {
        let url = &self.target.url;
        let what = match last_cause(error) {
            Some(cause) => format!("nothing that speaks gRPC answers at {url} ({cause})"),
            None => format!("nothing that speaks gRPC answers at {url}"),
        };
        let tls = if url.starts_with("https:") {
            "http:// if it has no certificate"
        } else {
            "https:// if it has a certificate"
        };
        let help = format!("name the node's listen.grpc with --grpc: `relaymesh run` prints it as grpc=…; write {tls}");
        ExitError::new(Failure::Unreachable, what, help)
    }
}

/// Some answers say within that nothing was done.
fn done(success: bool, message: String, help: &str) -> Result<String, ExitError> {
    if success { Ok(message) } else { Err(ExitError::failed(message, help)) }
}

fn entered(
    code_sent: bool,
    reset: bool,
    message: String,
    (token, publish, device): (String, String, String),
) -> Entered {
    if reset {
        return Entered::ResetNeeded { message };
    }
    if code_sent {
        return Entered::CodeSent { message };
    }
    let answer = EntityAnswer {
        long_lived_token: token.into(),
        server_publish_pub_key: publish,
        server_device_id_pub_key: device,
    };
    Entered::In { message, answer }
}

fn create(from: &EntityRequest) -> CreateEntityRequest {
    let from = from.clone();
    CreateEntityRequest {
        country_code: from.country_code.clone(),
        phone_number: from.phone_number.clone(),
        password: from.password.reveal().to_owned(),
        client_publish_pub_key: from.client_publish_pub_key.clone(),
        client_device_id_pub_key: from.client_device_id_pub_key.clone(),
        ownership_proof_response: from.ownership_proof_response.reveal().to_owned(),
        captcha_token: from.captcha_token.clone(),
        email_address: from.email_address.clone(),
    }
}

fn authenticate(from: &EntityRequest) -> AuthenticateEntityRequest {
    let all = create(from);
    AuthenticateEntityRequest {
        phone_number: all.phone_number,
        password: all.password,
        client_publish_pub_key: all.client_publish_pub_key,
        client_device_id_pub_key: all.client_device_id_pub_key,
        ownership_proof_response: all.ownership_proof_response,
        captcha_token: all.captcha_token,
        email_address: all.email_address,
    }
}

fn reset(from: &EntityRequest) -> ResetPasswordRequest {
    let all = create(from);
    ResetPasswordRequest {
        phone_number: all.phone_number,
        new_password: all.password,
        client_publish_pub_key: all.client_publish_pub_key,
        client_device_id_pub_key: all.client_device_id_pub_key,
        ownership_proof_response: all.ownership_proof_response,
        captcha_token: all.captcha_token,
        email_address: all.email_address,
    }
}

/// Whether a status was made on this side because no gRPC came back. A node's own has no cause here.
fn never_came(status: &Status) -> bool {
    let late = status.code() == Code::DeadlineExceeded;
    let is_other_http = status.message().starts_with("grpc-status header missing");
    is_other_http || (!late && std::error::Error::source(status).is_some())
}

/// What lies behind an error at last.
fn last_cause(error: &dyn std::error::Error) -> Option<String> {
    std::iter::successors(error.source(), |cause| cause.source()).last().map(ToString::to_string)
}

/// What the operator can do, where the words, which apps in the field know, leave that out.
fn operators_part(status: &Status) -> &'static str {
    match status.code() {
        Code::InvalidArgument if status.message().contains("OTP service unavailable") => {
            "if the node is yours: set [sms.file] or [sms.http.NAME] for numbers, [bridge.smtp] for mail addresses"
        }
        Code::Unimplemented => "if the node is yours: set [platform.NAME]; configs/ has examples",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_who_tries_the_phone_is_told_what_the_node_lacks() {
        let grpc = Grpc { grpc: "http://127.0.0.1:1".to_owned(), ca: None };
        let calls = Calls::to(&grpc).unwrap();
        let help = |code, text: &str| calls.refused(&Status::new(code, text)).help;
        let no_route = "SMS OTP service unavailable for your region. Contact support.";
        assert!(help(Code::InvalidArgument, no_route).contains("[sms.file]"));
        assert!(help(Code::Unimplemented, "The platform 'x' with protocol 'oauth2' is …").contains("[platform.NAME]"));
        assert_eq!(help(Code::InvalidArgument, "Missing required field: password"), "");
    }
}
