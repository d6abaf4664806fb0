//! The messages of `protocol/proto`, generated. They hold passwords, codes, tokens and numbers, so their `Debug` shows
//! only which message it is.

/// `vault.v1`.
#[allow(clippy::all, missing_docs, reason = "generated")]
pub mod vault {
    tonic::include_proto!("vault.v1");
}

/// `publisher.v1`.
#[allow(clippy::all, missing_docs, reason = "generated")]
pub mod publisher {
    tonic::include_proto!("publisher.v1");
}

macro_rules! name_only {
    ($($module:ident :: $name:ident),* $(,)?) => {$(
        impl std::fmt::Debug for $module::$name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

name_only!(
    vault::CreateEntityRequest,
    vault::CreateEntityResponse,
    vault::AuthenticateEntityRequest,
    vault::AuthenticateEntityResponse,
    vault::ResetPasswordRequest,
    vault::ResetPasswordResponse,
    vault::UpdateEntityPasswordRequest,
    vault::UpdateEntityPasswordResponse,
    vault::DeleteEntityRequest,
    vault::DeleteEntityResponse,
    vault::ListEntityStoredTokensRequest,
    vault::ListEntityStoredTokensResponse,
    vault::Token,
    publisher::GetOAuth2AuthorizationUrlRequest,
    publisher::GetOAuth2AuthorizationUrlResponse,
    publisher::ExchangeOAuth2CodeAndStoreRequest,
    publisher::ExchangeOAuth2CodeAndStoreResponse,
    publisher::RevokeAndDeleteOAuth2TokenRequest,
    publisher::RevokeAndDeleteOAuth2TokenResponse,
    publisher::GetPnbaCodeRequest,
    publisher::GetPnbaCodeResponse,
    publisher::ExchangePnbaCodeAndStoreRequest,
    publisher::ExchangePnbaCodeAndStoreResponse,
    publisher::RevokeAndDeletePnbaTokenRequest,
    publisher::RevokeAndDeletePnbaTokenResponse,
    publisher::PublishContentRequest,
    publisher::PublishContentResponse,
);

#[cfg(test)]
mod tests {
    use super::vault::CreateEntityRequest;

    #[test]
    fn debug_shows_no_field() {
        let request = CreateEntityRequest { password: "hunter2!A".into(), ..Default::default() };
        assert_eq!(format!("{request:?}"), "CreateEntityRequest { .. }");
    }
}
