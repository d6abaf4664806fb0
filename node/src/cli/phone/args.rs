//! The words of `phone`.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use relaymesh_phone::Identity;
use relaymesh_protocol::ids::Language;
use relaymesh_protocol::payload::{BridgeVersion, PlatformVersion};
use relaymesh_protocol::platform::Platform;

use crate::cli::words;

/// `phone`: an app on this machine. Its state file is sealed under the account's password, which comes from a file, from
/// RELAYMESH_PHONE_PASSWORD, or is asked for.
#[derive(Debug, Subcommand)]
pub enum PhoneCommand {
    /// Make an account: once without a code, then with the code that arrived.
    Signup {
        /// Where and who.
        #[command(flatten)]
        entry: Entry,
        /// The number's country as two letters.
        #[arg(long, value_name = "CC", value_parser = words::country)]
        country: String,
    },
    /// Log in: once without a code, then with the code that arrived.
    Login {
        /// Where and who.
        #[command(flatten)]
        entry: Entry,
    },
    /// Forgot the password: once for a code, then with it. The new password is the one that is given here.
    ///
    /// The node forgets all connected platforms: connect them again.
    Reset {
        /// Where and who.
        #[command(flatten)]
        entry: Entry,
    },
    /// Change the password; every phone has to log in again.
    Password {
        /// The state file and the node.
        #[command(flatten)]
        online: Online,
        /// The new password [default: from RELAYMESH_PHONE_NEW_PASSWORD, or asked for].
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
    },
    /// Connect a platform account: once for the address to open, then with the code of the redirect.
    Connect {
        /// The state file and the node.
        #[command(flatten)]
        online: Online,
        /// Platform name.
        #[arg(value_parser = words::platform)]
        platform: &'static Platform,
        /// The `code` of the address that the platform sent you back to.
        #[arg(long, requires = "verifier")]
        code: Option<String>,
        /// What the first call printed as verifier.
        #[arg(long, requires = "code")]
        verifier: Option<String>,
        /// Where the platform sends back to [default: that of the Android app].
        #[arg(long, value_name = "URL")]
        redirect: Option<String>,
    },
    /// Disconnect a platform account: the node forgets its token and revokes it at the platform.
    Disconnect {
        /// The state file and the node.
        #[command(flatten)]
        online: Online,
        /// Platform name.
        #[arg(value_parser = words::platform)]
        platform: &'static Platform,
        /// The account as `phone list` shows it [default: the only one of the platform].
        #[arg(long)]
        account: Option<String>,
    },
    /// Encrypt a post or message for a platform; prints the SMS to send.
    Compose(Box<ComposeArgs>),
    /// Encrypt a mail for the bridge, with or without an account; prints the SMS to send.
    Mail(Box<MailArgs>),
    /// Read an SMS that came back.
    Read {
        /// The state file.
        #[command(flatten)]
        state: State,
        /// The whole SMS; `-` reads standard input.
        text: String,
    },
    /// Connected platform accounts.
    List {
        /// The state file and the node.
        #[command(flatten)]
        online: Online,
        /// Move their tokens from the node to this phone, which sends them along with each message from then on.
        #[arg(long)]
        take_tokens: bool,
    },
    /// Delete the account; disconnect its platforms before.
    Delete {
        /// The state file and the node.
        #[command(flatten)]
        online: Online,
        /// Yes, delete it.
        #[arg(long, required = true)]
        yes: bool,
    },
}

/// `phone compose`.
#[derive(Debug, Args)]
pub struct ComposeArgs {
    /// The state file.
    #[command(flatten)]
    pub state: State,
    /// Platform name.
    #[arg(long, default_value = "mastodon", value_parser = words::platform)]
    pub platform: &'static Platform,
    /// The account as `phone list` shows it [default: the only one of the platform].
    #[arg(long)]
    pub account: Option<String>,
    /// The layout of the payload; Android sends v2, iOS v0.
    #[arg(long, value_name = "VERSION", default_value = "v2")]
    pub payload_version: Layout,
    /// Leave the device ID out: only nodes of federated instances find the account by its number.
    #[arg(long)]
    pub without_device_id: bool,
    /// Who gets it, where the platform has receivers.
    #[arg(long, value_name = "RECEIVER", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// Subject and further receivers of a mail.
    #[command(flatten)]
    pub mail: MailFields,
    /// Picture and language.
    #[command(flatten)]
    pub extra: Extra,
    /// The text, or the number of a reliability test; `-` reads standard input.
    #[arg(allow_hyphen_values = true)]
    pub text: String,
}

/// `phone mail`.
#[derive(Debug, Args)]
pub struct MailArgs {
    /// The state file; made if it is missing and --keys is given.
    #[command(flatten)]
    pub state: State,
    /// The node's static keys, as `relaymesh bridge keys export` writes them.
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Which of them [default: one by chance].
    #[arg(long, requires = "keys")]
    pub kid: Option<u8>,
    /// In which session [default: new with --keys, kept without].
    #[arg(long, value_name = "WHICH")]
    pub session: Option<BridgeVia>,
    /// The layout of the payload: v1 is 0x0A (iOS), v2 is 0x02 (Android), v3 is 0x03.
    #[arg(long, value_name = "VERSION", default_value = "v2")]
    pub payload_version: BridgeLayout,
    /// Who gets it; several with commas.
    #[arg(long, value_name = "ADDRESS", value_parser = words::addresses)]
    pub to: String,
    /// Subject and further receivers.
    #[command(flatten)]
    pub mail: MailFields,
    /// Picture and language.
    #[command(flatten)]
    pub extra: Extra,
    /// The mail's text; `-` reads standard input.
    #[arg(allow_hyphen_values = true)]
    pub text: String,
}

/// What a mail has besides receiver and text.
#[derive(Clone, Debug, Default, Args)]
pub struct MailFields {
    /// Copies of a mail; several with commas.
    #[arg(long, value_name = "ADDRESS", value_parser = words::addresses)]
    pub cc: Option<String>,
    /// Blind copies of a mail; several with commas.
    #[arg(long, value_name = "ADDRESS", value_parser = words::addresses)]
    pub bcc: Option<String>,
    /// Subject of a mail.
    #[arg(long, default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    pub subject: String,
}

/// What any message may have.
#[derive(Clone, Debug, Args)]
pub struct Extra {
    /// A WebP picture; payload version v2 only, and it takes many SMS.
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Two letters of the language of answers.
    #[arg(long, value_name = "LL", value_parser = words::language)]
    pub language: Option<Language>,
}

/// Layouts of platform payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// No version byte; text contents.
    V0,
    /// 0x01.
    V1,
    /// 0x02.
    V2,
    /// 0x03; documented only.
    V3,
}

impl From<Layout> for PlatformVersion {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::V0 => Self::V0,
            Layout::V1 => Self::V1,
            Layout::V2 => Self::V2,
            Layout::V3 => Self::V3,
        }
    }
}

/// Layouts of bridge payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BridgeLayout {
    /// 0x0A.
    V1,
    /// 0x02.
    V2,
    /// 0x03.
    V3,
}

impl From<BridgeLayout> for BridgeVersion {
    fn from(layout: BridgeLayout) -> Self {
        match layout {
            BridgeLayout::V1 => Self::V1,
            BridgeLayout::V2 => Self::V2,
            BridgeLayout::V3 => Self::V3,
        }
    }
}

/// Sessions of bridge mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BridgeVia {
    /// A new key for this mail, told in it: the logged-out Android.
    New,
    /// The last one, nothing told again.
    Kept,
    /// The last one, its key told again: iOS.
    Again,
    /// The account's own: the logged-in Android.
    Account,
}

/// The state file and its password.
#[derive(Clone, Debug, Args)]
pub struct State {
    /// The phone's state; changes with every message, and must never be copied back.
    #[arg(long, value_name = "FILE")]
    pub state: PathBuf,
    /// The account's password, which also seals the state [default: from RELAYMESH_PHONE_PASSWORD, or asked for].
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
    #[arg(long, value_name = "URL", value_parser = words::url)]
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
    #[arg(long, visible_alias = "email", value_parser = words::identity, allow_hyphen_values = true)]
    pub number: Identity,
    /// The code that arrived.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub code: Option<String>,
}
