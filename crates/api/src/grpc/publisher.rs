//! `publisher.v1.Publisher`: three OAuth 2 calls, one payload, and three calls by phone number that nobody answers yet.

use relaymesh_core::command::{Command, PublisherCommand, PublisherReply, Reply};
use tonic::{Request, Response, Status};

use super::content;
use crate::proto::publisher::{
    ExchangeOAuth2CodeAndStoreRequest, ExchangeOAuth2CodeAndStoreResponse, ExchangePnbaCodeAndStoreRequest,
    ExchangePnbaCodeAndStoreResponse, GetOAuth2AuthorizationUrlRequest, GetOAuth2AuthorizationUrlResponse,
    GetPnbaCodeRequest, GetPnbaCodeResponse, PublishContentRequest, PublishContentResponse,
    RevokeAndDeleteOAuth2TokenRequest, RevokeAndDeleteOAuth2TokenResponse, RevokeAndDeletePnbaTokenRequest,
    RevokeAndDeletePnbaTokenResponse, publisher_server,
};
use crate::{Ask, errors};

/// Answers by asking the node.
pub(super) struct Publisher<A> {
    ask: A,
}

impl<A: Ask> Publisher<A> {
    pub(super) fn new(ask: A) -> Self {
        Self { ask }
    }

    async fn publisher(&self, command: PublisherCommand) -> Result<PublisherReply, Status> {
        match self.ask.ask(Command::Publisher(command)).await {
            Reply::Publisher(reply) => Ok(reply),
            Reply::Refused(refusal) => Err(errors::grpc(&refusal)),
            _ => Err(errors::grpc_mismatch()),
        }
    }
}

#[tonic::async_trait]
impl<A: Ask> publisher_server::Publisher for Publisher<A> {
    async fn get_o_auth2_authorization_url(
        &self,
        request: Request<GetOAuth2AuthorizationUrlRequest>,
    ) -> Result<Response<GetOAuth2AuthorizationUrlResponse>, Status> {
        let r = request.into_inner();
        let command = PublisherCommand::AuthorizationUrl {
            platform: r.platform,
            state: r.state,
            code_verifier: r.code_verifier.into(),
            autogenerate_code_verifier: r.autogenerate_code_verifier,
            redirect_url: r.redirect_url,
            request_identifier: r.request_identifier,
        };
        let reply = self.publisher(command).await?;
        let PublisherReply::AuthorizationUrl { url, state, code_verifier, scope, client_id, redirect_url, message } =
            reply
        else {
            return Err(errors::grpc_mismatch());
        };
        Ok(Response::new(GetOAuth2AuthorizationUrlResponse {
            authorization_url: url,
            state,
            code_verifier: code_verifier.reveal().to_owned(),
            message,
            scope,
            client_id,
            redirect_url,
        }))
    }

    async fn exchange_o_auth2_code_and_store(
        &self,
        request: Request<ExchangeOAuth2CodeAndStoreRequest>,
    ) -> Result<Response<ExchangeOAuth2CodeAndStoreResponse>, Status> {
        let r = request.into_inner();
        let command = PublisherCommand::Exchange {
            llt: r.long_lived_token.into(),
            platform: r.platform,
            code: r.authorization_code.into(),
            code_verifier: r.code_verifier.into(),
            redirect_url: r.redirect_url,
            store_on_device: r.store_on_device,
            request_identifier: r.request_identifier,
        };
        let PublisherReply::Exchanged { message, tokens } = self.publisher(command).await? else {
            return Err(errors::grpc_mismatch());
        };
        let tokens = tokens.into_iter().map(|(name, value)| (name, value.reveal().to_owned())).collect();
        Ok(Response::new(ExchangeOAuth2CodeAndStoreResponse { success: true, message, tokens }))
    }

    async fn revoke_and_delete_o_auth2_token(
        &self,
        request: Request<RevokeAndDeleteOAuth2TokenRequest>,
    ) -> Result<Response<RevokeAndDeleteOAuth2TokenResponse>, Status> {
        let r = request.into_inner();
        let command = PublisherCommand::Revoke {
            llt: r.long_lived_token.into(),
            platform: r.platform,
            account: r.account_identifier.into(),
        };
        let PublisherReply::Revoked { message } = self.publisher(command).await? else {
            return Err(errors::grpc_mismatch());
        };
        Ok(Response::new(RevokeAndDeleteOAuth2TokenResponse { message, success: true }))
    }

    async fn get_pnba_code(
        &self,
        request: Request<GetPnbaCodeRequest>,
    ) -> Result<Response<GetPnbaCodeResponse>, Status> {
        Err(no_pnba(&request.get_ref().platform))
    }

    async fn exchange_pnba_code_and_store(
        &self,
        request: Request<ExchangePnbaCodeAndStoreRequest>,
    ) -> Result<Response<ExchangePnbaCodeAndStoreResponse>, Status> {
        Err(no_pnba(&request.get_ref().platform))
    }

    async fn revoke_and_delete_pnba_token(
        &self,
        request: Request<RevokeAndDeletePnbaTokenRequest>,
    ) -> Result<Response<RevokeAndDeletePnbaTokenResponse>, Status> {
        Err(no_pnba(&request.get_ref().platform))
    }

    async fn publish_content(
        &self,
        request: Request<PublishContentRequest>,
    ) -> Result<Response<PublishContentResponse>, Status> {
        let (submit, platform) = content::read(request.into_inner())?;
        match self.ask.ask(Command::Submit(submit)).await {
            Reply::Submitted(submitted) => Ok(Response::new(content::answer(&submitted, platform)?)),
            Reply::Refused(refusal) => Err(errors::grpc(&refusal)),
            _ => Err(errors::grpc_mismatch()),
        }
    }
}

/// Accounts by phone number code: no adapter does it.
fn no_pnba(platform: &str) -> Status {
    let platform: String = platform.chars().take(PLATFORM_ECHO_CHARS).collect();
    Status::unimplemented(format!(
        "The platform '{platform}' with protocol 'pnba' is currently not supported. Please contact the developers for \
         more information on when this platform will be implemented."
    ))
}

/// Characters of a platform name that are echoed: statuses travel in headers, which have little room.
const PLATFORM_ECHO_CHARS: usize = 64;
