//! `relaymesh init`: a new node's directory, keys and configuration, made whole or not at all.

mod file;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_protocol::ids::Timestamp;
use relaymesh_seal::keyfile::{KekSource, KeyFile, KeyFileError, Keyring, Passphrase, create_key_file};
use relaymesh_seal::password::Cost;
use relaymesh_store::{Discard, Store};
use zeroize::Zeroizing;

use crate::cli::exit::{ExitError, Kind};
use crate::config::{
    Config, ConfigError, Env, FILE_NAME, Keys, Listen, Node, Place, Secret, SecretAt, Use, check_multiaddr,
    is_credential_name,
};
use crate::terminal;

pub use file::{Settings, Unlock};

/// Keyring in the data directory; the name is part of the data format.
const KEYRING_NAME: &str = "keyring";
/// Gives the passphrase where nobody is asked; `run` takes it from there too.
const PASSPHRASE_VARIABLE: &str = "RELAYMESH_KEYS__PASSPHRASE";
/// Shortest passphrase, in characters: four words. Who holds the disk can try as many as Argon2id lets through.
const PASSPHRASE_CHARS_MIN: usize = 16;

/// What was made.
#[derive(Debug, serde::Serialize)]
pub struct Made {
    /// The new node.
    pub peer_id: String,
    /// Its instance.
    pub instance_id: String,
    /// The configuration.
    pub config: PathBuf,
    /// The file that opens the keyring; none where a passphrase does.
    pub key_file: Option<PathBuf>,
    /// Under which name systemd is to hand over that file.
    pub credential: Option<String>,
    /// One line each, with what to do.
    pub warnings: Vec<String>,
}

/// What is taken back when a later step fails.
#[derive(Default)]
struct Undo {
    store: Option<PathBuf>,
    files: Vec<PathBuf>,
    dirs: Vec<PathBuf>,
}

impl Undo {
    /// All went well: everything stays.
    fn forget(&mut self) {
        self.store = None;
        self.files.clear();
        self.dirs.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(store) = &self.store {
            let _ = fs::remove_dir_all(store);
        }
        for file in self.files.iter().rev() {
            let _ = fs::remove_file(file);
        }
        // Only what is empty goes, so nothing of anybody else can be lost.
        for dir in self.dirs.iter().rev() {
            let _ = fs::remove_dir(dir);
        }
    }
}

/// Makes a node in `settings.dir`.
///
/// # Errors
/// When there is one already, an argument is wrong, or the file system refuses; then nothing is left behind.
pub fn init(settings: &Settings, env: &Env) -> Result<Made, ExitError> {
    check(settings)?;
    let dir = std::path::absolute(&settings.dir).unwrap_or_else(|_| settings.dir.clone());
    let config = dir.join(FILE_NAME);
    for path in [&config, &dir.join(KEYRING_NAME)] {
        refuse_existing(path)?;
    }
    let mut rng = seeded()?;
    let keyring = Keyring::generate(&mut rng, now());
    let peer_id = keyring.node_id().peer_id();
    let opener = opener(settings, env, &peer_id)?;

    let mut undo = Undo::default();
    make_dir(&dir, &mut undo)?;
    if let KekSource::KeyFile(path) = &opener {
        make_dir(path.parent().unwrap_or(&dir), &mut undo)?;
        create_key_file(path, &mut rng).map_err(|e| cannot_make(path, &e))?;
        undo.files.push(path.clone());
    }
    make_keyring(&dir.join(KEYRING_NAME), &keyring, &opener, &mut rng, &mut undo)?;
    let key_file = match &opener {
        KekSource::KeyFile(path) => Some(path.clone()),
        KekSource::Passphrase(_) | KekSource::Bytes(_) => None,
    };
    let text = file::text(settings, key_file.as_deref());
    write_new(&config, &text, &mut undo).map_err(|e| cannot_make(&config, &e))?;
    let warnings = accepted(&config, env, &opener, &mut undo)?;
    undo.forget();
    let credential = match &settings.unlock {
        Unlock::Credential(name) => Some(name.clone()),
        _ => None,
    };
    let instance_id = keyring.instance.id().to_string();
    Ok(Made { peer_id, instance_id, config, key_file, credential, warnings })
}

/// What is to open the keyring: a key file that is still to be made, or a passphrase.
fn opener(settings: &Settings, env: &Env, peer_id: &str) -> Result<KekSource, ExitError> {
    let no = |why: String| ExitError::failed(format!("there is no passphrase: {why}"), "");
    let text = match &settings.unlock {
        Unlock::KeyFile | Unlock::Credential(_) => {
            let path = key_path(settings, env, peer_id)?;
            refuse_existing(&path)?;
            return Ok(KekSource::KeyFile(path));
        }
        Unlock::PassphraseFile(file) => {
            let here = std::env::current_dir().unwrap_or_default();
            SecretAt::File(file.clone()).resolve(&here, env).map_err(|e| no(e.to_string()))?
        }
        Unlock::Prompt => match env.get(PASSPHRASE_VARIABLE) {
            Some(text) => Secret::new(text),
            None => terminal::ask_twice("new passphrase for the keyring: ").map_err(|e| {
                let help = format!("set {PASSPHRASE_VARIABLE}, name --passphrase-file, or run it on a terminal");
                ExitError { help, ..no(e.to_string()) }
            })?,
        },
    };
    new_passphrase(&text)
}

/// A passphrase that is long enough to stand between a seized disk and the keys.
///
/// # Errors
/// When it is too short.
pub fn new_passphrase(text: &Secret) -> Result<KekSource, ExitError> {
    if text.expose().chars().count() < PASSPHRASE_CHARS_MIN {
        let what = format!("the passphrase is shorter than {PASSPHRASE_CHARS_MIN} characters");
        return Err(ExitError::failed(what, "take four words or more that nobody would say together"));
    }
    Ok(KekSource::Passphrase(Passphrase(Zeroizing::new(text.expose().to_owned()))))
}

fn make_keyring(
    path: &Path,
    keyring: &Keyring,
    source: &KekSource,
    rng: &mut ChaCha20Rng,
    undo: &mut Undo,
) -> Result<(), ExitError> {
    let created = KeyFile::create(path, keyring, source, Cost::KEY_FILE, rng);
    // A keyring that could not be written to its end is ours too; one that somebody else just made is not.
    if !matches!(created, Err(KeyFileError::Exists(_))) {
        undo.files.push(path.to_owned());
    }
    created.map(drop).map_err(|e| cannot_make(path, &e))
}

/// `run` will take what was made; what it would say about it is said now. The key is the one that was just made: nobody is
/// asked for it again, and systemd has not got it yet.
fn accepted(config: &Path, env: &Env, source: &KekSource, undo: &mut Undo) -> Result<Vec<String>, ExitError> {
    let mut loaded = Config::load(config, env)?;
    match source {
        KekSource::KeyFile(path) => loaded.config.keys = Keys { file: Some(path.clone()), ..Keys::default() },
        KekSource::Passphrase(text) if loaded.config.keys.prompt => {
            loaded.config.keys.passphrase = Some(text.0.as_str().into());
        }
        KekSource::Passphrase(_) | KekSource::Bytes(_) => {}
    }
    loaded.config.new_store = true;
    let prepared = loaded.config.prepare().map_err(|error| after_init(error, config))?;
    let warnings = loaded.warnings(&prepared);
    make_store(prepared.store, undo)?;
    Ok(warnings)
}

/// Certificates are named in the file, which is not there yet.
fn after_init(error: ConfigError, config: &Path) -> ExitError {
    if error.place != Place::Key("listen.grpc") {
        return error.into();
    }
    let help = format!(
        "leave --grpc out now; then set listen.grpc with listen.tls_cert and listen.tls_key (or listen.grpc_plain) in {}",
        config.display()
    );
    ConfigError { help, ..error }.into()
}

/// The store is made here and nowhere else, so that `run` can tell a new node from one whose store is lost.
fn make_store(config: relaymesh_store::Config, undo: &mut Undo) -> Result<(), ExitError> {
    let path = config.path.clone();
    refuse_existing(&path)?;
    undo.store = Some(path.clone());
    let store = Store::open(config, Discard).map_err(|e| cannot_make(&path, &e))?;
    store.close();
    Ok(())
}

fn check(settings: &Settings) -> Result<(), ExitError> {
    let usage = |what: String, help: &str| Err(ExitError::new(Kind::Usage, what, help));
    for (flag, text) in [("--http", &settings.http), ("--grpc", &settings.grpc)] {
        if let Some(text) = text
            && text.parse::<SocketAddr>().is_err()
        {
            return usage(format!("{flag} {text:?} is no address and port"), "write it like 127.0.0.1:8080");
        }
    }
    for text in &settings.mesh {
        if let Err(why) = check_multiaddr(text, Use::Listen) {
            return usage(format!("--mesh {text:?} {why}"), "write it like /ip4/0.0.0.0/tcp/7443");
        }
    }
    if let Unlock::Credential(name) = &settings.unlock
        && !is_credential_name(name)
    {
        return usage(
            format!("--credential {name:?} is no name"),
            "write letters, digits, - _ and ., as in relaymesh-key",
        );
    }
    Ok(())
}

fn refuse_existing(path: &Path) -> Result<(), ExitError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot_make(path, &error)),
        Ok(_) => {
            let what = format!("{} is there already, and init never overwrites", path.display());
            Err(ExitError::failed(what, "start that node with `relaymesh run`, or choose another --dir"))
        }
    }
}

/// Where the key goes: as told, or under the user's configuration folder, apart from the data.
fn key_path(settings: &Settings, env: &Env, peer_id: &str) -> Result<PathBuf, ExitError> {
    if let Some(path) = &settings.key_file {
        return Ok(std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    }
    let set = |name| env.get(name).filter(|value| value.starts_with('/')).map(PathBuf::from);
    let base = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let base = base.ok_or_else(|| {
        ExitError::failed(
            "there is no folder for the key: neither XDG_CONFIG_HOME nor HOME is set",
            "name a file with --key-file",
        )
    })?;
    Ok(base.join("relaymesh").join(format!("{peer_id}.key")))
}

fn make_dir(dir: &Path, undo: &mut Undo) -> Result<(), ExitError> {
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    for path in missing.into_iter().rev() {
        fs::DirBuilder::new().mode(0o700).create(path).map_err(|e| cannot_make(path, &e))?;
        undo.dirs.push(path.to_owned());
    }
    if dir.is_dir() { Ok(()) } else { Err(cannot_make(dir, &io::Error::from(io::ErrorKind::NotADirectory))) }
}

fn write_new(path: &Path, text: &str, undo: &mut Undo) -> io::Result<()> {
    use std::io::Write as _;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    undo.files.push(path.to_owned());
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn cannot_make(path: &Path, error: &dyn std::error::Error) -> ExitError {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    let what = format!("{} cannot be made ({error}{cause})", path.display());
    ExitError::failed(what, "choose a directory that you may write to")
}

/// Chance from the system.
///
/// # Errors
/// When it gives none.
pub fn seeded() -> Result<ChaCha20Rng, ExitError> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    let random = getrandom::fill(seed.as_mut_slice());
    random.map_err(|_| ExitError::failed("the system gives no random numbers", "check /dev/urandom"))?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The defaults that the new file is compared with.
fn defaults() -> (Node, Listen) {
    (Node::default(), Listen::default())
}

#[cfg(test)]
mod tests;
