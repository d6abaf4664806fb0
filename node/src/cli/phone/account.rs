//! The commands for who is logged in: platforms, the password, the end of the account.

use std::path::Path;

use relaymesh_api::client::publisher_v1::{ExchangeOAuth2CodeAndStoreRequest, RevokeAndDeleteOAuth2TokenRequest};
use relaymesh_api::client::vault_v1::{
    DeleteEntityRequest, ListEntityStoredTokensRequest, UpdateEntityPasswordRequest,
};
use relaymesh_phone::Phone;
use relaymesh_phone::api::StoredToken;
use serde::Serialize;

use super::args::Online;
use super::messages::account_of;
use super::wire::Calls;
use super::{keep, logged_out, tell, token};
use crate::cli::args::Global;
use crate::cli::exit::ExitError;
use crate::cli::{print, print_bare, print_json};
use crate::render::table;

#[derive(Serialize)]
struct Authorize<'a> {
    url: &'a str,
    verifier: &'a str,
}

/// Without a proof the address to open; with the code and verifier of it the connection.
pub fn connect(
    global: &Global,
    online: &Online,
    platform: &str,
    proof: Option<(String, String)>,
    redirect: Option<String>,
) -> Result<(), ExitError> {
    let password = keep::password(&online.state)?;
    let mut phone = keep::load(&online.state, &password)?;
    let mut request = phone.authorization_request(platform).ok_or_else(logged_out)?;
    request.redirect_url = redirect.unwrap_or(request.redirect_url);
    let calls = Calls::to(&online.target)?;
    let Some((code, verifier)) = proof else {
        let (url, verifier) = calls.authorization_url(request)?;
        if global.json {
            return print_json(global, &Authorize { url: &url, verifier: &verifier });
        }
        return print(&format!(
            "{url}\n\nOpen it, grant access, and run this again with --code CODE --verifier {verifier}\n"
        ));
    };
    let message = calls.exchange(ExchangeOAuth2CodeAndStoreRequest {
        long_lived_token: token(&phone)?,
        platform: platform.to_owned(),
        authorization_code: code,
        code_verifier: verifier,
        redirect_url: request.redirect_url,
        store_on_device: false,
        request_identifier: request.request_identifier,
    })?;
    refresh(&calls, &mut phone, false)?;
    keep::save(&online.state, &password, &phone, &mut keep::chance()?)?;
    tell(global, "connected", &message, "Next: relaymesh phone compose\n")
}

/// Takes the node's list over, and the tokens with it if they shall move to the phone.
fn refresh(calls: &Calls, phone: &mut Phone, migrate_to_device: bool) -> Result<Vec<StoredToken>, ExitError> {
    let request = ListEntityStoredTokensRequest { long_lived_token: token(phone)?, migrate_to_device };
    let listed = calls.list(request)?;
    phone.import_accounts(&listed).map_err(|e| ExitError::failed(e.to_string(), "ask the node's operator"))?;
    Ok(listed)
}

/// The node forgets the token first and revokes it at the platform then.
pub fn disconnect(global: &Global, online: &Online, platform: &str, account: Option<String>) -> Result<(), ExitError> {
    let password = keep::password(&online.state)?;
    let mut phone = keep::load(&online.state, &password)?;
    let calls = Calls::to(&online.target)?;
    let message = calls.revoke(RevokeAndDeleteOAuth2TokenRequest {
        long_lived_token: token(&phone)?,
        platform: platform.to_owned(),
        account_identifier: account_of(&phone, platform, account)?,
    })?;
    refresh(&calls, &mut phone, false)?;
    keep::save(&online.state, &password, &phone, &mut keep::chance()?)?;
    tell(global, "disconnected", &message, "")
}

#[derive(Serialize)]
struct AccountRow<'a> {
    platform: &'a str,
    account: &'a str,
    on_device: bool,
}

/// The accounts as the node lists them. Tokens that move to the phone are given out again for ten minutes, should the answer
/// get lost.
pub fn list(global: &Global, online: &Online, take_tokens: bool) -> Result<(), ExitError> {
    let password = keep::password(&online.state)?;
    let mut phone = keep::load(&online.state, &password)?;
    let listed = refresh(&Calls::to(&online.target)?, &mut phone, take_tokens)?;
    keep::save(&online.state, &password, &phone, &mut keep::chance()?)?;
    let rows: Vec<AccountRow<'_>> = listed
        .iter()
        .map(|one| AccountRow {
            platform: &one.platform,
            account: &one.account_identifier,
            on_device: one.is_stored_on_device || !one.account_tokens.is_empty(),
        })
        .collect();
    if global.json {
        return print_bare(&rows);
    }
    if rows.is_empty() {
        return print("no platform is connected; run: relaymesh phone connect PLATFORM\n");
    }
    let place = |on_device| if on_device { "phone" } else { "node" };
    let cells =
        rows.iter().map(|row| vec![row.platform.to_owned(), row.account.to_owned(), place(row.on_device).to_owned()]);
    print(&table(&["PLATFORM", "ACCOUNT", "TOKENS AT"], cells.collect()))
}

/// The node logs every phone out, so this one is too.
pub fn password(global: &Global, online: &Online, new: Option<&Path>) -> Result<(), ExitError> {
    let password = keep::password(&online.state)?;
    let mut phone = keep::load(&online.state, &password)?;
    let new = keep::new_password(new)?;
    let message = Calls::to(&online.target)?.update_password(UpdateEntityPasswordRequest {
        long_lived_token: token(&phone)?,
        current_password: password.expose().to_owned(),
        new_password: new.expose().to_owned(),
    })?;
    phone.log_out();
    keep::save(&online.state, &new, &phone, &mut keep::chance()?)?;
    tell(global, "password_changed", &message, "Next, with the new password: relaymesh phone login\n")
}

/// Nothing is left at the node; bridge sessions stay on the phone.
pub fn delete(global: &Global, online: &Online) -> Result<(), ExitError> {
    let password = keep::password(&online.state)?;
    let mut phone = keep::load(&online.state, &password)?;
    let message = Calls::to(&online.target)?.delete(DeleteEntityRequest { long_lived_token: token(&phone)? })?;
    phone.log_out();
    keep::save(&online.state, &password, &phone, &mut keep::chance()?)?;
    tell(global, "deleted", &message, "")
}
