//! What opens the keyring: a key file, a passphrase (from a file, the environment, or typed), or a systemd credential.

use std::error::Error as _;
use std::path::{Path, PathBuf};

use relaymesh_seal::Secret32;
use relaymesh_seal::keyfile::{KekError, KekSource, KeyFile, KeyFileError, Keyring, Passphrase};
use zeroize::Zeroizing;

use super::Config;
use super::error::{ConfigError, Place};
use super::secret::{SecretAt, read_credential};
use crate::terminal;

/// Where systemd puts the credentials of a unit.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";
/// Keys whose errors say that the key may be all right, but not for this process.
pub(super) const PROMPT: &str = "keys.prompt";
pub(super) const CREDENTIAL: &str = "keys.credential";

impl Config {
    /// What `[keys]` names. A key file is not read yet.
    ///
    /// # Errors
    /// When none or several are named, or a passphrase or credential cannot be read.
    pub fn kek_source(&self) -> Result<KekSource, ConfigError> {
        let keys = &self.keys;
        match (&keys.file, &keys.passphrase, &keys.credential) {
            (Some(file), None, None) if !keys.prompt => Ok(KekSource::KeyFile(self.dir.join(file))),
            (None, Some(at), None) => self.passphrase(at),
            (None, None, None) if keys.prompt => ask(),
            (None, None, Some(name)) if !keys.prompt => key_of(&self.credential(name)?),
            (None, None, None) => Err(ConfigError::key(
                "keys",
                "nothing opens the keyring",
                "set keys.file to the key file that init made",
            )),
            _ => Err(ConfigError::key(
                "keys",
                "more than one of file, passphrase (or prompt) and credential is set",
                "keep one of them",
            )),
        }
    }

    /// Opens the keyring of the data directory.
    ///
    /// # Errors
    /// As [`Self::kek_source`], and when the keyring is missing, newer, damaged, or of another key.
    pub fn open_keyring(&self) -> Result<(KeyFile, Keyring), ConfigError> {
        let source = self.kek_source()?;
        KeyFile::open(&self.keyring_path(), &source).map_err(|error| explain(&source, error))
    }

    /// The file of the key or passphrase, if it is in one.
    pub(super) fn key_file(&self) -> Option<PathBuf> {
        let passphrase = match &self.keys.passphrase {
            Some(SecretAt::File(file)) => Some(file),
            _ => None,
        };
        self.keys.file.as_ref().or(passphrase).map(|file| self.dir.join(file))
    }

    fn passphrase(&self, at: &SecretAt) -> Result<KekSource, ConfigError> {
        let secret = at.resolve(&self.dir, &self.env).map_err(|e| ConfigError::key("keys.passphrase", e, ""))?;
        Ok(KekSource::Passphrase(Passphrase(Zeroizing::new(secret.expose().to_owned()))))
    }

    fn credential(&self, name: &str) -> Result<PathBuf, ConfigError> {
        if !is_credential_name(name) {
            return Err(ConfigError::key(CREDENTIAL, "is no name of a credential", "use the name of LoadCredential="));
        }
        let dir = self.env.get(CREDENTIALS_VARIABLE).ok_or_else(|| {
            ConfigError::key(CREDENTIAL, "systemd handed over no credentials", "add LoadCredential= to the unit")
        })?;
        Ok(Path::new(dir).join(name))
    }
}

/// Whether systemd could hand over something of that name: a plain file name.
pub fn is_credential_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.chars().all(plain) && !name.starts_with('.')
}

/// The key of a credential.
fn key_of(path: &Path) -> Result<KekSource, ConfigError> {
    let wrong =
        |what: String| ConfigError::new(Place::File(path.to_owned()), what, "check LoadCredential= of the unit");
    let bytes = read_credential(path).map_err(|e| wrong(e.to_string()))?;
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(bytes.trim_ascii(), key.as_mut_slice())
        .map_err(|_| wrong("is not 64 hex digits".to_owned()))?;
    Ok(KekSource::Bytes(Secret32::from_bytes(*key)))
}

fn ask() -> Result<KekSource, ConfigError> {
    let typed = terminal::ask("passphrase of the keyring: ");
    let typed =
        typed.map_err(|e| ConfigError::key(PROMPT, e, "set RELAYMESH_KEYS__PASSPHRASE, or run it on a terminal"))?;
    Ok(KekSource::Passphrase(Passphrase(Zeroizing::new(typed.expose().to_owned()))))
}

/// Says what to do about a keyring that does not open.
fn explain(source: &KekSource, error: KeyFileError) -> ConfigError {
    let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
    let (key, help) = match &error {
        KeyFileError::Missing(_) => ("store.path", "or correct store.path"),
        KeyFileError::Kek(KekError::Permissions { .. }) => ("keys.file", ""),
        KeyFileError::Kek(KekError::Io { .. } | KekError::Malformed { .. }) => {
            ("keys.file", "correct keys.file, or put the key file back from its backup")
        }
        KeyFileError::Kek(KekError::OtherKind { .. }) => ("keys", "name what it was made with"),
        KeyFileError::Kek(KekError::Argon2) => ("keys.passphrase", "free memory and try again"),
        KeyFileError::WrongKey(_) if matches!(source, KekSource::Passphrase(_)) => {
            ("keys.passphrase", "try the passphrase again, or put the keyring back from its backup")
        }
        KeyFileError::WrongKey(_) => {
            ("keys", "name the key that belongs to it, or put the keyring back from its backup")
        }
        KeyFileError::Newer(_) => ("store.path", ""),
        _ => ("store.path", "check the file, its owner and permissions"),
    };
    ConfigError::key(key, format!("{error}{cause}"), help)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::Env;

    fn config(keys: &str, env: Env) -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relaymesh.toml");
        std::fs::write(&path, format!("[keys]\n{keys}\n")).unwrap();
        let config = Config::load(&path, &env).unwrap().config;
        (dir, config)
    }

    fn put(path: &Path, mode: u32, text: &str) {
        let _ = std::fs::remove_file(path);
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_credential_comes_from_the_directory_of_systemd() {
        let store = tempfile::tempdir().unwrap();
        let path = store.path().join("k");
        put(&path, 0o400, &"08".repeat(32));
        let env = Env::from([("CREDENTIALS_DIRECTORY", store.path().to_str().unwrap())]);
        let source = config("credential = 'k'", env.clone()).1.kek_source().unwrap();
        assert!(matches!(source, KekSource::Bytes(key) if key == Secret32::from_bytes([8; 32])));
        assert!(config("credential = '../k'", env.clone()).1.kek_source().is_err());
        assert!(config("credential = 'k'", Env::default()).1.kek_source().is_err());
        // With an access list, which systemd uses, the mode shows the list's mask as the group's bits.
        put(&path, 0o440, &"08".repeat(32));
        assert!(config("credential = 'k'", env.clone()).1.kek_source().is_ok());
        put(&path, 0o444, &"08".repeat(32));
        assert!(config("credential = 'k'", env.clone()).1.kek_source().is_err());
        put(&path, 0o400, "0808");
        assert!(config("credential = 'k'", env).1.kek_source().unwrap_err().what.contains("64 hex digits"));
    }

    #[test]
    fn exactly_one_way_is_taken() {
        let told = |keys| config(keys, Env::default()).1.kek_source().unwrap_err().what;
        assert!(told("").contains("nothing opens"));
        assert!(told("file = 'k'\ncredential = 'k'").contains("more than one"));
        assert!(told("file = 'k'\nprompt = true").contains("more than one"));
        let (_dir, config) = config("prompt = true\npassphrase = { env = 'PASS' }", Env::from([("PASS", "hunter2")]));
        let source = config.kek_source().unwrap();
        assert!(matches!(&source, KekSource::Passphrase(text) if text.0.as_str() == "hunter2"));
        assert!(!format!("{source:?}").contains("hunter2"));
    }

    #[test]
    fn a_missing_keyring_says_what_to_do() {
        let (_dir, config) = config("file = 'k'", Env::default());
        let told = config.open_keyring().unwrap_err();
        assert!(told.what.contains("relaymesh init"), "{told}");
    }
}
