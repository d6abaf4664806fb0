//! `vault.v1.Entity`: what is asked, and what is answered.

use super::Private;

/// Who an account is: e-mail wins over number, as the apps have it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// As typed.
    pub phone_number: Private,
    /// As typed.
    pub email_address: Private,
}

/// The two public keys that each call brings, in base64 as sent.
#[derive(Clone, Debug)]
pub struct ClientKeys {
    /// X25519, for the ratchet.
    pub publish: Private,
    /// X25519, for device ID and long-lived token.
    pub device_id: Private,
}

/// `vault.v1.Entity`, one variant per call; empty strings are missing fields (proto3).
#[derive(Clone, Debug)]
pub enum AccountCommand {
    /// Sign-up, both phases.
    Create {
        /// Who.
        identity: Identity,
        /// ISO 3166 alpha-2 as typed.
        country_code: String,
        /// Plain.
        password: Private,
        /// Fresh keys.
        keys: ClientKeys,
        /// The OTP, in phase 2.
        proof: Private,
        /// Forwarded when a captcha service is configured.
        captcha: Private,
    },
    /// Login, both phases.
    Authenticate {
        /// Who.
        identity: Identity,
        /// Plain.
        password: Private,
        /// Fresh keys.
        keys: ClientKeys,
        /// The OTP, in phase 2.
        proof: Private,
        /// Forwarded when a captcha service is configured.
        captcha: Private,
    },
    /// Forgotten password, both phases.
    ResetPassword {
        /// Who.
        identity: Identity,
        /// Plain.
        new_password: Private,
        /// Fresh keys.
        keys: ClientKeys,
        /// The OTP, in phase 2.
        proof: Private,
        /// Forwarded when a captcha service is configured.
        captcha: Private,
    },
    /// Change of password.
    UpdatePassword {
        /// `eid:jwt`.
        llt: Private,
        /// Plain.
        current: Private,
        /// Plain.
        new: Private,
    },
    /// Delete the account.
    Delete {
        /// `eid:jwt`.
        llt: Private,
    },
    /// List connected platforms.
    ListTokens {
        /// `eid:jwt`.
        llt: Private,
        /// Hand the tokens over to the phone.
        migrate_to_device: bool,
    },
}

/// Answers of `vault.v1.Entity`.
#[derive(Clone, Debug)]
pub enum AccountReply {
    /// Phase 1: a code is on its way.
    ProofRequired {
        /// Shown to the person.
        message: String,
        /// When another code may be asked for, epoch seconds.
        next_attempt: u64,
    },
    /// Login of an account without a password.
    PasswordResetRequired {
        /// Shown to the person.
        message: String,
    },
    /// Signed up, logged in or reset.
    Session {
        /// Shown to the person.
        message: String,
        /// Base64 of the Fernet text.
        llt: Private,
        /// Base64.
        server_publish: String,
        /// Base64.
        server_device_id: String,
    },
    /// Done.
    Done {
        /// Shown to the person.
        message: String,
    },
    /// Connected platforms.
    Tokens {
        /// In order of platform and account.
        tokens: Vec<StoredToken>,
        /// Shown to the person.
        message: String,
    },
}

/// One connected platform account.
#[derive(Clone, Debug)]
pub struct StoredToken {
    /// Platform name.
    pub platform: String,
    /// Account identifier.
    pub account: Private,
    /// Only when migrated to the device.
    pub tokens: Vec<(String, Private)>,
    /// The vault keeps neither access nor refresh token.
    pub on_device: bool,
}
