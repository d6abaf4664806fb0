//! The words of `phone`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `phone`: an app on this machine. Its state file is sealed under RELAYMESH_PHONE_PASSWORD or a password file.
#[derive(Debug, Subcommand)]
pub enum PhoneCommand {
    /// Make an account: once without a code, then with the code that arrived.
    Signup {
        /// Where and who.
        #[command(flatten)]
        entry: Entry,
        /// The number's country as two letters.
        #[arg(long, value_name = "CC")]
        country: String,
    },
    /// Log in: once without a code, then with the code that arrived.
    Login {
        /// Where and who.
        #[command(flatten)]
        entry: Entry,
    },
    /// Connect a platform account: once for the address to open, then with the code of the redirect.
    Connect {
        /// The state file and the node.
        #[command(flatten)]
        online: Online,
        /// Platform name.
        platform: String,
        /// The `code` of the address that the platform sent you back to.
        #[arg(long, requires = "verifier")]
        code: Option<String>,
        /// What the first call printed as verifier.
        #[arg(long)]
        verifier: Option<String>,
        /// Where the platform sends back to [default: that of the Android app].
        #[arg(long, value_name = "URL")]
        redirect: Option<String>,
    },
    /// Encrypt a post; prints the SMS to send.
    Compose {
        /// The state file.
        #[command(flatten)]
        state: State,
        /// Platform name.
        #[arg(long, default_value = "mastodon")]
        platform: String,
        /// The account as `phone list` shows it [default: the only one of the platform].
        #[arg(long)]
        account: Option<String>,
        /// Two letters of the language of answers.
        #[arg(long, value_name = "LL")]
        language: Option<String>,
        /// Leave the device ID out: only nodes of federated instances find the account by its number.
        #[arg(long)]
        without_device_id: bool,
        /// The post.
        text: String,
    },
    /// Read an SMS that came back.
    Read {
        /// The state file.
        #[command(flatten)]
        state: State,
        /// The whole SMS.
        text: String,
    },
    /// Connected platform accounts.
    List {
        /// The state file and the node.
        #[command(flatten)]
        online: Online,
    },
}

/// The state file and its password.
#[derive(Clone, Debug, Args)]
pub struct State {
    /// The phone's state; changes with every message, and must never be copied back.
    #[arg(long, value_name = "FILE")]
    pub state: PathBuf,
    /// The account's password, which also seals the state [default: from RELAYMESH_PHONE_PASSWORD].
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// A call to a node.
#[derive(Clone, Debug, Args)]
pub struct Online {
    /// The state file.
    #[command(flatten)]
    pub state: State,
    /// The node's gRPC port.
    #[command(flatten)]
    pub target: Grpc,
}

/// The node's gRPC port.
#[derive(Clone, Debug, Args)]
pub struct Grpc {
    /// Such as http://127.0.0.1:8443.
    #[arg(long, value_name = "URL")]
    pub grpc: String,
    /// The certificate to trust, PEM; needed for https.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

/// Where and who, and the code once it is there.
#[derive(Clone, Debug, Args)]
pub struct Entry {
    /// The node and the state file.
    #[command(flatten)]
    pub online: Online,
    /// The phone number as +237…, or a mail address.
    #[arg(long, visible_alias = "email", allow_hyphen_values = true)]
    pub number: String,
    /// The code that arrived.
    #[arg(long)]
    pub code: Option<String>,
}
