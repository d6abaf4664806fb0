//! The words of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use relaymesh_core::command::Private;
use relaymesh_protocol::ids::E164;

use super::phone::args::PhoneCommand;
use super::words;

/// One node of the RelaySMS mesh, and the commands of its operator.
///
/// Exit codes: 0 ok, 1 failed, 2 usage, 3 the node is not running, 4 the configuration cannot be used, 5 doctor found
/// errors, 6 partly done, 75 try again later.
#[derive(Debug, Parser)]
#[command(name = "relaymesh", version, max_term_width = 100)]
pub struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The node's configuration file.
    #[arg(short, long, global = true, env = "RELAYMESH_CONFIG", default_value = "relaymesh.toml", value_name = "FILE")]
    pub config: PathBuf,
    /// One JSON document on standard output, errors as JSON on standard error.
    #[arg(long, global = true)]
    pub json: bool,
    /// What the JSON of this command is.
    #[arg(skip)]
    pub schema: String,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new node: directory, keys and configuration. Never overwrites.
    Init(InitArgs),
    /// Run the node until SIGTERM or SIGINT.
    Run(RunArgs),
    /// Run several nodes on this machine and watch messages survive.
    Demo(crate::demo::DemoArgs),
    /// Measure this machine against the budgets.
    Bench(crate::bench::BenchArgs),
    /// How the running node is.
    Status,
    /// One message's way through the mesh, without its content.
    Trace {
        /// The message id, or six and more of its first digits.
        #[arg(value_parser = words::message)]
        message: String,
    },
    /// What is wrong, and the command that mends it.
    ///
    /// Looks at the configuration, keys, disk, clock, names, certificate, services, and the running node. Each finding is ok,
    /// a warning, an error, or unknown where it could not be checked; only errors are exit code 5.
    Doctor,
    /// Measure the whole way to another node and back.
    Ping {
        /// Name, peer id, or the beginning of one.
        #[arg(value_parser = words::name)]
        node: String,
    },
    /// The phones and modems that hand in SMS.
    #[command(subcommand)]
    Gateway(GatewayCommand),
    /// This node and the others.
    #[command(subcommand)]
    Node(NodeCommand),
    /// Carry messages on a USB stick where no link is.
    #[command(subcommand)]
    Bundle(BundleCommand),
    /// The e-mail bridge.
    #[command(subcommand)]
    Bridge(BridgeCommand),
    /// What opens this node's keyring.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// An app on this machine, to try the whole way.
    #[command(subcommand)]
    Phone(PhoneCommand),
    /// The configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Completions for a shell, on standard output.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Begin with an empty store where there is none, as after a disk that is lost for good: the keys stay, people must sign
    /// up anew.
    #[arg(long)]
    pub new_store: bool,
}

/// `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The node's directory; made if it is missing.
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The node's name, for people.
    #[arg(long)]
    pub name: Option<String>,
    /// The instance's name, for people.
    #[arg(long)]
    pub instance: Option<String>,
    /// Where gateway clients come in [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub http: Option<String>,
    /// Where apps come in [default: 127.0.0.1:8443].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub grpc: Option<String>,
    /// Where other nodes come in; may be repeated [default: /ip4/0.0.0.0/tcp/7443].
    #[arg(long, value_name = "MULTIADDR")]
    pub mesh: Vec<String>,
    /// A new file that opens the keyring, best on another disk [default: one in the user's configuration folder].
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Let systemd hand over the key: this is its name in LoadCredential= of the unit.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["passphrase", "passphrase_file"])]
    pub credential: Option<String>,
    /// Seal the keyring under a passphrase, asked for now and at each start; or from RELAYMESH_KEYS__PASSPHRASE.
    #[arg(long, conflicts_with_all = ["passphrase_file", "key_file"])]
    pub passphrase: bool,
    /// Seal the keyring under the passphrase in this file.
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    pub passphrase_file: Option<PathBuf>,
}

/// `gateway`.
#[derive(Debug, Subcommand)]
pub enum GatewayCommand {
    /// Enrol a phone or modem: prints its own URL, once.
    Add {
        /// Your name for it.
        #[arg(value_parser = words::gateway_name)]
        name: String,
        /// Its own number, as +237….
        #[arg(long, visible_alias = "number", value_name = "NUMBER", value_parser = words::number, allow_hyphen_values = true)]
        msisdn: E164,
        /// Its country as two letters [default: from the number].
        #[arg(long, value_name = "CC", value_parser = words::country)]
        country: Option<String>,
        /// Its carrier.
        #[arg(long)]
        operator: Option<String>,
    },
    /// Enrolled phones and modems.
    List,
    /// End its URL.
    Remove {
        /// Your name for it.
        #[arg(value_parser = words::name)]
        name: String,
    },
}

/// `node`.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Who this node is.
    Id,
    /// Who is in the mesh, as seen from here.
    List,
    /// Print a code with which another node joins.
    Invite {
        /// For a further node of this instance: it needs no instance of its own.
        #[arg(long)]
        own: bool,
    },
    /// Join with a code of another node.
    Join {
        /// The code.
        #[arg(value_parser = words::invite)]
        code: Private,
    },
    /// Be partners with an instance; both sides say so.
    Federate {
        /// Name, or the beginning of its id.
        #[arg(value_parser = words::name)]
        instance: String,
    },
    /// Cut off a node or an instance.
    Block {
        /// Name, peer id, or the beginning of one.
        #[arg(value_parser = words::name)]
        target: String,
    },
    /// Speak again with a node or an instance that was cut off. The mesh brings back by itself what it knows of it; a
    /// partner has to be federated again, and a revoked node of this instance stays revoked.
    Unblock {
        /// Name, peer id, or the beginning of one, as `node list` shows it.
        #[arg(value_parser = words::name)]
        target: String,
    },
}

/// `bundle`.
#[derive(Debug, Subcommand)]
pub enum BundleCommand {
    /// Write everything undelivered that others may carry.
    Export {
        /// The file; never overwritten.
        file: PathBuf,
    },
    /// Take in what somebody carried here.
    Import {
        /// The file.
        file: PathBuf,
    },
}

/// `bridge`.
#[derive(Debug, Subcommand)]
pub enum BridgeCommand {
    /// The static keys with which apps write first.
    #[command(subcommand)]
    Keys(BridgeKeysCommand),
}

/// `keys`.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Seal the keyring under a new passphrase, whatever opens it now; the node must be stopped.
    Passphrase {
        /// The file that the new passphrase is in [default: it is asked for].
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
}

/// `bridge keys`.
#[derive(Debug, Subcommand)]
pub enum BridgeKeysCommand {
    /// Make keys.
    Generate {
        /// How many, 1 to 255.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=255))]
        count: u16,
    },
    /// Their public halves.
    List,
    /// Destroy a key that apps no longer use: a first mail under it opens nowhere any more. Sessions go on.
    Retire {
        /// Its key id, as `list` shows it.
        kid: u8,
    },
    /// Their public halves as the apps' asset has them.
    Export {
        /// The file, never overwritten [default: standard output].
        file: Option<PathBuf>,
    },
}

/// `config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say whether `run` would take the file; needs no running node.
    Check,
    /// All settings with where they come from; secrets hidden.
    Show,
}
