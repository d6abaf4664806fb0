//! `vault.v1.Entity`: six calls, six account commands.

use relaymesh_core::command::{AccountCommand, AccountReply, ClientKeys, Command, Identity, Reply, StoredToken};
use tonic::{Request, Response, Status};

use crate::proto::vault::{
    AuthenticateEntityRequest, AuthenticateEntityResponse, CreateEntityRequest, CreateEntityResponse,
    DeleteEntityRequest, DeleteEntityResponse, ListEntityStoredTokensRequest, ListEntityStoredTokensResponse,
    ResetPasswordRequest, ResetPasswordResponse, Token, UpdateEntityPasswordRequest, UpdateEntityPasswordResponse,
    entity_server,
};
use crate::{Ask, errors};

/// Answers by asking the node.
pub(super) struct Entity<A> {
    ask: A,
}

impl<A: Ask> Entity<A> {
    pub(super) fn new(ask: A) -> Self {
        Self { ask }
    }

    async fn account(&self, command: AccountCommand) -> Result<AccountReply, Status> {
        match self.ask.ask(Command::Account(command)).await {
            Reply::Account(reply) => Ok(reply),
            Reply::Refused(refusal) => Err(errors::grpc(&refusal)),
            _ => Err(errors::grpc_mismatch()),
        }
    }

    async fn done(&self, command: AccountCommand) -> Result<String, Status> {
        match self.account(command).await? {
            AccountReply::Done { message } => Ok(message),
            _ => Err(errors::grpc_mismatch()),
        }
    }
}

#[tonic::async_trait]
impl<A: Ask> entity_server::Entity for Entity<A> {
    async fn create_entity(
        &self,
        request: Request<CreateEntityRequest>,
    ) -> Result<Response<CreateEntityResponse>, Status> {
        let r = request.into_inner();
        let command = AccountCommand::Create {
            identity: identity(r.phone_number, r.email_address),
            country_code: r.country_code,
            password: r.password.into(),
            keys: keys(r.client_publish_pub_key, r.client_device_id_pub_key),
            proof: r.ownership_proof_response.into(),
            captcha: r.captcha_token.into(),
        };
        let phase = Phase::of(self.account(command).await?)?.without_reset()?;
        Ok(Response::new(CreateEntityResponse {
            requires_ownership_proof: phase.requires_proof,
            long_lived_token: phase.llt,
            server_publish_pub_key: phase.server_publish,
            server_device_id_pub_key: phase.server_device_id,
            message: phase.message,
            next_attempt_timestamp: phase.next_attempt,
        }))
    }

    async fn authenticate_entity(
        &self,
        request: Request<AuthenticateEntityRequest>,
    ) -> Result<Response<AuthenticateEntityResponse>, Status> {
        let r = request.into_inner();
        let command = AccountCommand::Authenticate {
            identity: identity(r.phone_number, r.email_address),
            password: r.password.into(),
            keys: keys(r.client_publish_pub_key, r.client_device_id_pub_key),
            proof: r.ownership_proof_response.into(),
            captcha: r.captcha_token.into(),
        };
        let phase = Phase::of(self.account(command).await?)?;
        Ok(Response::new(AuthenticateEntityResponse {
            requires_ownership_proof: phase.requires_proof,
            long_lived_token: phase.llt,
            server_publish_pub_key: phase.server_publish,
            server_device_id_pub_key: phase.server_device_id,
            message: phase.message,
            next_attempt_timestamp: phase.next_attempt,
            requires_password_reset: phase.requires_reset,
        }))
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordRequest>,
    ) -> Result<Response<ResetPasswordResponse>, Status> {
        let r = request.into_inner();
        let command = AccountCommand::ResetPassword {
            identity: identity(r.phone_number, r.email_address),
            new_password: r.new_password.into(),
            keys: keys(r.client_publish_pub_key, r.client_device_id_pub_key),
            proof: r.ownership_proof_response.into(),
            captcha: r.captcha_token.into(),
        };
        let phase = Phase::of(self.account(command).await?)?.without_reset()?;
        Ok(Response::new(ResetPasswordResponse {
            requires_ownership_proof: phase.requires_proof,
            long_lived_token: phase.llt,
            server_publish_pub_key: phase.server_publish,
            server_device_id_pub_key: phase.server_device_id,
            message: phase.message,
            next_attempt_timestamp: phase.next_attempt,
        }))
    }

    async fn update_entity_password(
        &self,
        request: Request<UpdateEntityPasswordRequest>,
    ) -> Result<Response<UpdateEntityPasswordResponse>, Status> {
        let r = request.into_inner();
        let command = AccountCommand::UpdatePassword {
            llt: r.long_lived_token.into(),
            current: r.current_password.into(),
            new: r.new_password.into(),
        };
        let message = self.done(command).await?;
        Ok(Response::new(UpdateEntityPasswordResponse { message, success: true }))
    }

    async fn delete_entity(
        &self,
        request: Request<DeleteEntityRequest>,
    ) -> Result<Response<DeleteEntityResponse>, Status> {
        let llt = request.into_inner().long_lived_token.into();
        let message = self.done(AccountCommand::Delete { llt }).await?;
        Ok(Response::new(DeleteEntityResponse { message, success: true }))
    }

    async fn list_entity_stored_tokens(
        &self,
        request: Request<ListEntityStoredTokensRequest>,
    ) -> Result<Response<ListEntityStoredTokensResponse>, Status> {
        let r = request.into_inner();
        let command =
            AccountCommand::ListTokens { llt: r.long_lived_token.into(), migrate_to_device: r.migrate_to_device };
        let AccountReply::Tokens { tokens, message } = self.account(command).await? else {
            return Err(errors::grpc_mismatch());
        };
        let stored_tokens = tokens.into_iter().map(token).collect();
        Ok(Response::new(ListEntityStoredTokensResponse { stored_tokens, message }))
    }
}

fn identity(phone_number: String, email_address: String) -> Identity {
    Identity { phone_number: phone_number.into(), email_address: email_address.into() }
}

fn keys(publish: String, device_id: String) -> ClientKeys {
    ClientKeys { publish: publish.into(), device_id: device_id.into() }
}

fn token(token: StoredToken) -> Token {
    Token {
        platform: token.platform,
        account_identifier: token.account.reveal().to_owned(),
        account_tokens: token.tokens.into_iter().map(|(name, value)| (name, value.reveal().to_owned())).collect(),
        is_stored_on_device: token.on_device,
    }
}

/// What the answers to sign-up, login and reset have in common.
#[derive(Default)]
struct Phase {
    requires_proof: bool,
    requires_reset: bool,
    llt: String,
    server_publish: String,
    server_device_id: String,
    message: String,
    next_attempt: i32,
}

impl Phase {
    fn of(reply: AccountReply) -> Result<Self, Status> {
        Ok(match reply {
            AccountReply::ProofRequired { message, next_attempt } => Self {
                requires_proof: true,
                message,
                next_attempt: i32::try_from(next_attempt).unwrap_or(i32::MAX),
                ..Self::default()
            },
            AccountReply::PasswordResetRequired { message } => {
                Self { requires_reset: true, message, ..Self::default() }
            }
            AccountReply::Session { message, llt, server_publish, server_device_id } => {
                Self { llt: llt.reveal().to_owned(), server_publish, server_device_id, message, ..Self::default() }
            }
            AccountReply::Done { .. } | AccountReply::Tokens { .. } => return Err(errors::grpc_mismatch()),
        })
    }

    /// Only login knows accounts without a password.
    fn without_reset(self) -> Result<Self, Status> {
        if self.requires_reset { Err(errors::grpc_mismatch()) } else { Ok(self) }
    }
}
