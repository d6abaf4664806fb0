//! `publisher.v1.Publisher`: what is asked, and what is answered.

use super::Private;

/// `publisher.v1.Publisher`, one variant per call.
#[derive(Clone, Debug)]
pub enum PublisherCommand {
    /// Where to send the browser.
    AuthorizationUrl {
        /// Platform name.
        platform: String,
        /// As the app sent it; echoed.
        state: String,
        /// As the app sent it.
        code_verifier: Private,
        /// Make one.
        autogenerate_code_verifier: bool,
        /// Where the platform returns to.
        redirect_url: String,
        /// Binds URL and exchange.
        request_identifier: String,
    },
    /// Code for tokens, stored in the vault.
    Exchange {
        /// `eid:jwt`.
        llt: Private,
        /// Platform name.
        platform: String,
        /// From the redirect.
        code: Private,
        /// From [`PublisherReply::AuthorizationUrl`].
        code_verifier: Private,
        /// The same as before.
        redirect_url: String,
        /// Hand tokens to the phone instead of keeping them.
        store_on_device: bool,
        /// Binds URL and exchange.
        request_identifier: String,
    },
    /// Forget a connected account.
    Revoke {
        /// `eid:jwt`.
        llt: Private,
        /// Platform name.
        platform: String,
        /// Account identifier.
        account: Private,
    },
}

/// Answers of `publisher.v1.Publisher`.
#[derive(Clone, Debug)]
pub enum PublisherReply {
    /// Where to send the browser.
    AuthorizationUrl {
        /// The URL.
        url: String,
        /// As sent or made.
        state: String,
        /// As sent or made.
        code_verifier: Private,
        /// Comma-separated.
        scope: String,
        /// The OAuth client.
        client_id: String,
        /// As sent.
        redirect_url: String,
        /// Shown to the person.
        message: String,
    },
    /// Stored.
    Exchanged {
        /// Shown to the person.
        message: String,
        /// When stored on the device.
        tokens: Vec<(String, Private)>,
    },
    /// Forgotten.
    Revoked {
        /// Shown to the person.
        message: String,
    },
}
