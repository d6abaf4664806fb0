//! The node's configuration: one TOML file under the environment, over the defaults.
//!
//! [`Config::load`] reads the layers and says whether names and types are right; it suffices to find the node's socket.
//! [`Config::prepare`] does everything that `run` does before it binds sockets, and is all that `config check` does, so
//! that both agree on what is accepted.

mod core;
pub mod disk;
mod env;
mod error;
mod interfaces;
mod keys;
mod layer;
mod multiaddr;
mod names;
mod parts;
mod prepare;
mod secret;
mod sections;
pub mod show;
mod span;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::env::Env;
pub use self::error::{ConfigError, Place, suggest};
pub use self::keys::is_credential_name;
pub use self::multiaddr::{Use, check as check_multiaddr, tcp_of};
pub use self::names::{Family, HostName};
pub use self::parts::is_local;
pub use self::prepare::{Prepared, SmsPort};
pub use self::secret::{Secret, SecretAt};
pub use self::sections::{Bridge, Ingress, Keys, Listen, Log, Mesh, Net, Node, Otp, Platforms, Role, Sms, Store};

use self::layer::Origin;

/// File that `init` writes and every command looks for.
pub const FILE_NAME: &str = "relaymesh.toml";
/// The keyring in the data directory.
const KEYRING_NAME: &str = "keyring";
/// The socket in the data directory.
const SOCKET_NAME: &str = "relaymesh.sock";
/// The key-value store in the data directory.
const STORE_NAME: &str = "store";

/// All sections, as effective. Paths may be relative; they start at `dir`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who this is.
    pub node: Node,
    /// Where others come in.
    pub listen: Listen,
    /// How nodes meet.
    pub mesh: Mesh,
    /// Where the data are.
    pub store: Store,
    /// What opens the keyring.
    pub keys: Keys,
    /// One-time codes.
    pub otp: Otp,
    /// How an SMS leaves.
    pub sms: Sms,
    /// What gateway clients meet.
    pub ingress: Ingress,
    /// Where posts go.
    pub platform: Platforms,
    /// E-mail aliases.
    pub bridge: Bridge,
    /// The line out.
    pub net: Net,
    /// Logs.
    pub log: Log,
    /// Directory of the configuration file.
    #[serde(skip)]
    pub dir: PathBuf,
    /// What `{ env = "…" }` looks into.
    #[serde(skip)]
    pub env: Env,
    /// Whether the node may begin with an empty store where none is.
    #[serde(skip)]
    pub new_store: bool,
}

/// A configuration that was read, and where its values come from.
#[derive(Debug)]
pub struct Loaded {
    /// The effective settings.
    pub config: Config,
    /// The file.
    pub path: PathBuf,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Whether the file itself holds a secret, so that nobody else should read it.
    fn holds_secrets(&self) -> bool {
        let hidden = show::rows(self).into_iter().filter(|row| row.value == "(hidden)");
        hidden.into_iter().any(|row| row.origin == "file")
    }

    /// What the operator should know though the file is accepted: one line each, with what to do.
    pub fn warnings(&self, prepared: &Prepared) -> Vec<String> {
        let mut all = prepared.warnings.clone();
        let open = std::fs::metadata(&self.path).is_ok_and(|meta| secret::is_open_to_others(&meta));
        if open && self.holds_secrets() {
            let path = self.path.display();
            all.push(format!("{path} holds a secret and can be read by other users; run: chmod 600 {path}"));
        }
        all
    }
}

impl Config {
    /// Reads the file and the environment over it.
    ///
    /// # Errors
    /// When the file cannot be read, or a key or value is wrong.
    pub fn load(path: &Path, env: &Env) -> Result<Loaded, ConfigError> {
        Self::parse(path, &layer::read_file(path)?, env)
    }

    /// Reads the text of the file at `path` and the environment over it.
    ///
    /// # Errors
    /// When a key or value is wrong.
    pub fn parse(path: &Path, text: &str, env: &Env) -> Result<Loaded, ConfigError> {
        let layers = layer::read(path, text, env)?;
        let mut config = layers.config;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        config.dir = absolute.parent().map_or_else(PathBuf::new, Path::to_owned);
        config.env = env.clone();
        Ok(Loaded { config, path: absolute, origins: layers.origins })
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        if self.store.path == Path::new(".") { self.dir.clone() } else { self.dir.join(&self.store.path) }
    }

    /// The keyring file.
    pub fn keyring_path(&self) -> PathBuf {
        self.data_dir().join(KEYRING_NAME)
    }

    /// The directory of the key-value store.
    pub fn store_path(&self) -> PathBuf {
        self.data_dir().join(STORE_NAME)
    }

    /// The socket through which the command line speaks to the running node.
    pub fn socket_path(&self) -> PathBuf {
        self.data_dir().join(SOCKET_NAME)
    }
}
