//! Connecting an account: authorization code with PKCE, whose token it is, refresh and revoke.
//!
//! Client authentication is HTTP Basic, as the upstream publisher does it; the client's id stands in the form as well,
//! because snac2 looks for it there only.

use serde::Deserialize;
use zeroize::Zeroizing;

use super::Mastodon;
use crate::egress::Answer;
use crate::oauth::{Account, Exchange, OAuthError, Token, refused, unanswered};

/// Longest account name that we take from an instance, in bytes; Mastodon's own limit is 30.
const NAME_BYTES_MAX: usize = 64;
/// Statuses with which servers refuse HTTP Basic at the revocation endpoint.
const WANTS_BODY_CREDENTIALS: &[u16] = &[400, 401, 403, 422];

#[derive(Deserialize)]
struct UserInfo {
    preferred_username: String,
}

#[derive(Deserialize)]
struct Credentials {
    username: Option<String>,
    acct: Option<String>,
}

impl Mastodon {
    /// Code to token to name. When the name cannot be learnt the token is revoked again, so that
    /// no token lives that belongs to nobody.
    pub async fn exchange(&self, exchange: &Exchange<'_>) -> Result<Account, OAuthError> {
        self.check_redirect(exchange.redirect_url)?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", exchange.code),
            ("redirect_uri", exchange.redirect_url),
            ("code_verifier", exchange.code_verifier),
        ];
        let token = self.token(&fields, exchange.now_s).await?;
        let token_json = token.to_json();
        check_scopes(&token)?;
        match self.userinfo(&token_json).await {
            Ok(identifier) => Ok(Account { identifier, token_json }),
            Err(error) => {
                if self.revoke(&token_json).await.is_err() {
                    tracing::warn!(platform = "mastodon", "a token without a name was not revoked");
                }
                Err(error)
            }
        }
    }

    /// A rotated token, where the instance gives refresh tokens at all (Mastodon itself does not).
    pub async fn refresh(&self, token_json: &str, now_s: u64) -> Result<Zeroizing<String>, OAuthError> {
        let old = parse(token_json)?;
        let refresh = old.refresh().ok_or(OAuthError::NotOffered)?;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
        let mut new = self.token(&fields, now_s).await?;
        new.fill_from(&old);
        Ok(new.to_json())
    }

    /// Revokes. A server that wants the client's credentials in the form (snac2) gets them there
    /// on a second try; revoking twice is harmless.
    pub async fn revoke(&self, token_json: &str) -> Result<(), OAuthError> {
        let token = parse(token_json)?;
        let access = token.access().unwrap_or_default();
        let fields = [("token", access), ("token_type_hint", "access_token")];
        let request = self.as_client("/oauth/revoke", &fields);
        let mut answer = self.client.send(request).await.map_err(unanswered)?;
        if WANTS_BODY_CREDENTIALS.contains(&answer.status) {
            let [token, hint] = fields;
            let id = ("client_id", self.config.client_id.as_str());
            let secret = ("client_secret", self.config.client_secret.expose());
            let request = self.post("/oauth/revoke").form(&[token, hint, id, secret]);
            answer = self.client.send(request).await.map_err(unanswered)?;
        }
        if answer.is_success() { Ok(()) } else { Err(refused(&answer)) }
    }

    /// `name@instance`. Asks the OpenID endpoint first, then the client API, which is all that
    /// smaller servers have.
    pub async fn userinfo(&self, token_json: &str) -> Result<String, OAuthError> {
        let token = parse(token_json)?;
        let access = token.access().unwrap_or_default();
        if let Ok(answer) = self.ask("/oauth/userinfo", access).await
            && answer.is_success()
            && let Some(name) = openid_name(&answer)
        {
            return Ok(self.identifier(&name));
        }
        let answer = self.ask("/api/v1/accounts/verify_credentials", access).await?;
        if !answer.is_success() {
            return Err(refused(&answer));
        }
        let name = account_name(&answer).ok_or(OAuthError::Unknown)?;
        Ok(self.identifier(&name))
    }

    fn identifier(&self, name: &str) -> String {
        format!("{name}@{}", self.instance)
    }

    async fn ask(&self, path: &str, access: &str) -> Result<Answer, OAuthError> {
        let request = self.get(path).bearer(access);
        self.client.send(request).await.map_err(unanswered)
    }

    async fn token(&self, fields: &[(&str, &str)], now_s: u64) -> Result<Token, OAuthError> {
        let id = ("client_id", self.config.client_id.as_str());
        let fields: Vec<_> = fields.iter().copied().chain([id]).collect();
        let request = self.as_client("/oauth/token", &fields);
        let answer = self.client.send(request).await.map_err(unanswered)?;
        if !answer.is_success() {
            return Err(refused(&answer));
        }
        Token::from_answer(&answer, now_s).ok_or(OAuthError::Unknown)
    }

    fn check_redirect(&self, redirect_url: &str) -> Result<(), OAuthError> {
        if self.config.redirect_urls.iter().any(|known| known == redirect_url) {
            return Ok(());
        }
        Err(OAuthError::Invalid("redirect_url is not one of the platform's redirect_urls"))
    }
}

fn parse(token_json: &str) -> Result<Token, OAuthError> {
    Token::parse(token_json).ok_or(OAuthError::Invalid("the stored token is damaged"))
}

/// Whose token it is, as the OpenID endpoint tells it.
pub(crate) fn openid_name(answer: &Answer) -> Option<String> {
    name(&answer.json::<UserInfo>()?.preferred_username)
}

/// The same, as the client API tells it.
pub(crate) fn account_name(answer: &Answer) -> Option<String> {
    let credentials = answer.json::<Credentials>()?;
    name(&credentials.username.or(credentials.acct)?)
}

/// Posting must be granted, alone or as part of `write`. The name's scope proves itself by use.
pub(crate) fn check_scopes(token: &Token) -> Result<(), OAuthError> {
    let Some(granted) = token.scopes() else {
        return Ok(());
    };
    let has = |scope: &str| granted.contains(&scope) || granted.contains(&"write");
    if has("write:statuses") && has("write:media") { Ok(()) } else { Err(OAuthError::Scopes) }
}

/// The local part of an account name, if it is one: it becomes part of texts that are split at
/// colons and at signs.
fn name(given: &str) -> Option<String> {
    let local = given.split('@').next().unwrap_or_default();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let fits = (1..=NAME_BYTES_MAX).contains(&local.len());
    (fits && local.bytes().all(allowed)).then(|| local.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_break_texts_are_refused() {
        assert_eq!(name("alice").unwrap(), "alice");
        assert_eq!(name("alice@far.org").unwrap(), "alice");
        for bad in ["", "@", "a:b", "a b", "a\nb", "é", &"a".repeat(65)] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
