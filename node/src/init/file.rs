//! The configuration file of a new node: only what differs from the defaults, and the keys that most operators look for.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use toml::Value;

/// What the operator says at `init`.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The data directory.
    pub dir: PathBuf,
    /// The node's name.
    pub name: Option<String>,
    /// The instance's name.
    pub instance: Option<String>,
    /// For gateway clients.
    pub http: Option<String>,
    /// For apps.
    pub grpc: Option<String>,
    /// For other nodes; empty for the default.
    pub mesh: Vec<String>,
    /// Where the key file goes, if one is made.
    pub key_file: Option<PathBuf>,
    /// What opens the keyring.
    pub unlock: Unlock,
}

/// What opens the keyring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Unlock {
    /// A new key file.
    #[default]
    KeyFile,
    /// A new key file that systemd hands over under this name.
    Credential(String),
    /// The passphrase in this file.
    PassphraseFile(PathBuf),
    /// A passphrase that is typed, or in the environment.
    Prompt,
}

/// The file.
pub fn text(settings: &Settings, key_file: Option<&Path>) -> String {
    let (node, listen) = super::defaults();
    let mut out = String::from(
        "# A node of relaymesh. What is not written here has its default; `relaymesh config show` lists all.\n",
    );
    section(
        &mut out,
        "node",
        &[
            line("name", settings.name.as_deref(), &node.name, "the node's name, for people"),
            line("instance", settings.instance.as_deref(), &node.instance, "the operator's name, for people"),
            "#contact = \"mailto:you@example.org\"  # published to other operators\n".to_owned(),
            "#public_url = \"https://relay.example.org\"  # how gateway clients reach listen.http\n".to_owned(),
        ],
    );
    let usual = listen.mesh.first().cloned().unwrap_or_default();
    let mesh = match settings.mesh.as_slice() {
        [] => format!("#mesh = [{}]  # other nodes\n", Value::from(usual)),
        told => format!("mesh = {}  # other nodes\n", Value::from(told.to_vec())),
    };
    section(
        &mut out,
        "listen",
        &[
            line("http", settings.http.as_deref(), &listen.http, "gateway clients"),
            line("grpc", settings.grpc.as_deref(), &listen.grpc, "apps"),
            mesh,
        ],
    );
    section(&mut out, "keys", &[keys(&settings.unlock, key_file)]);
    out.push_str("\n# How codes and answers leave; see configs/ for providers.\n#[sms.file]\n#path = \"sms.jsonl\"\n");
    out.push_str("\n#[platform.mastodon]\n#base_url = \"https://mastodon.social\"\n#client_id = \"…\"\n#client_secret = { file = \"mastodon.secret\" }\n");
    out
}

fn keys(unlock: &Unlock, key_file: Option<&Path>) -> String {
    let path = |path: &Path| Value::from(path.display().to_string());
    match unlock {
        Unlock::KeyFile => {
            let file = key_file.map(path).unwrap_or_else(|| "".into());
            format!("file = {file}  # opens the keyring; keep it off this disk, and keep a copy\n")
        }
        Unlock::Credential(name) => {
            format!(
                "credential = {}  # LoadCredential= of the systemd unit; keep a copy of its file\n",
                Value::from(name.as_str())
            )
        }
        Unlock::PassphraseFile(file) => {
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            format!("passphrase = {{ file = {} }}  # opens the keyring; keep it off this disk\n", path(&file))
        }
        Unlock::Prompt => {
            "prompt = true  # `run` asks for the passphrase; or set RELAYMESH_KEYS__PASSPHRASE\n".to_owned()
        }
    }
}

fn section(out: &mut String, name: &str, lines: &[String]) {
    write!(out, "\n[{name}]\n{}", lines.concat()).expect("a String takes any text");
}

/// A setting: written when told, as a comment with its default otherwise.
fn line(key: &str, told: Option<&str>, default: &str, what: &str) -> String {
    match told {
        Some(value) => format!("{key} = {}  # {what}\n", Value::from(value)),
        None => format!("#{key} = {}  # {what}\n", Value::from(default)),
    }
}
