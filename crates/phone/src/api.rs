//! The calls of an app as plain values, field for field what the gRPC messages hold (interop `grpc.md` §1, §3). Whoever has a
//! client makes the calls; nothing here knows one.

use std::collections::BTreeMap;
use std::fmt;

use relaymesh_protocol::base64text;

use crate::secret::SecretText;

/// Where stock Android has providers send the person back to.
pub const ANDROID_REDIRECT_URL: &str = "https://relay.smswithoutborders.com/android";

/// `CreateEntity`, `AuthenticateEntity` and `ResetPassword`: their fields are the same but for the country. Two phases: the
/// first without `ownership_proof_response`, the second, with the code, brings the keys that count.
#[derive(Clone, PartialEq, Eq)]
pub struct EntityRequest {
    /// ISO 3166 alpha-2; only `CreateEntity` has it.
    pub country_code: String,
    /// Empty where an address is given.
    pub phone_number: String,
    /// Empty where a number is given.
    pub email_address: String,
    /// `password`, or `new_password` of `ResetPassword`.
    pub password: SecretText,
    /// Base64 of 32 bytes.
    pub client_publish_pub_key: String,
    /// Base64 of 32 bytes.
    pub client_device_id_pub_key: String,
    /// The one-time code; empty in the first phase.
    pub ownership_proof_response: SecretText,
    /// Empty where none is asked for.
    pub captcha_token: String,
}

/// The answer's fields that matter once the code was right.
#[derive(Clone, PartialEq, Eq)]
pub struct EntityAnswer {
    /// Base64 of a Fernet token.
    pub long_lived_token: SecretText,
    /// Base64 of 32 bytes.
    pub server_publish_pub_key: String,
    /// Base64 of 32 bytes.
    pub server_device_id_pub_key: String,
}

/// One entry of `ListEntityStoredTokens`.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// Platform name.
    pub platform: String,
    /// The account as the platform knows it.
    pub account_identifier: String,
    /// `access_token`, `refresh_token`, `id_token` where they move to the device; normally empty.
    pub account_tokens: BTreeMap<String, SecretText>,
    /// Whether the server keeps none of them.
    pub is_stored_on_device: bool,
}

/// `GetOAuth2AuthorizationUrl`.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorizationUrlRequest {
    /// Platform name.
    pub platform: String,
    /// Comes back with the redirect.
    pub state: String,
    /// Always true in the apps.
    pub autogenerate_code_verifier: bool,
    /// Where the provider sends the person back to.
    pub redirect_url: String,
    /// Ties this call to the exchange: base64 of the server's publish key.
    pub request_identifier: String,
}

/// `ExchangeOAuth2CodeAndStore`.
#[derive(Clone, PartialEq, Eq)]
pub struct ExchangeCodeRequest {
    /// As presented since login.
    pub long_lived_token: SecretText,
    /// Platform name.
    pub platform: String,
    /// From the redirect.
    pub authorization_code: SecretText,
    /// From the answer to [`AuthorizationUrlRequest`].
    pub code_verifier: SecretText,
    /// As in [`AuthorizationUrlRequest`].
    pub redirect_url: String,
    /// Whether the tokens come to the phone instead of staying at the server.
    pub store_on_device: bool,
    /// As in [`AuthorizationUrlRequest`].
    pub request_identifier: String,
}

/// `RevokeAndDeleteOAuth2Token`, `RevokeAndDeletePNBAToken`.
#[derive(Clone, PartialEq, Eq)]
pub struct RevokeRequest {
    /// As presented since login.
    pub long_lived_token: SecretText,
    /// Platform name.
    pub platform: String,
    /// The account as the platform knows it.
    pub account_identifier: String,
}

/// Android's `state`: wrapped base64 of `platform,flag`, line break included; it must survive the provider.
#[must_use]
pub fn oauth_state(platform: &str, url_scheme: bool) -> String {
    base64text::encode_wrapped(format!("{platform},{url_scheme}").as_bytes())
}

/// Platform and flag of a `state` that came back.
#[must_use]
pub fn read_oauth_state(state: &str) -> Option<(String, bool)> {
    let text = String::from_utf8(base64text::decode(state).ok()?).ok()?;
    let (platform, flag) = text.split_once(',')?;
    Some((platform.to_owned(), flag.trim().parse().ok()?))
}

/// Prints no field: together they are a whole identity.
macro_rules! silent {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

silent!(EntityRequest EntityAnswer StoredToken AuthorizationUrlRequest ExchangeCodeRequest RevokeRequest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_survives_a_redirect() {
        let state = oauth_state("mastodon", false);
        assert!(state.ends_with('\n'));
        assert_eq!(read_oauth_state(&state), Some(("mastodon".to_owned(), false)));
        assert_eq!(read_oauth_state(state.trim()), Some(("mastodon".to_owned(), false)));
        assert_eq!(read_oauth_state("AAAA"), None);
    }
}
