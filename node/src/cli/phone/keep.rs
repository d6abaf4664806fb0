//! The phone's state on disk: sealed, private, and replaced in one step. And its password.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_phone::sealed::{Cost, Lock, open, seal};
use relaymesh_phone::{Identity, Phone};

use super::args::State;
use crate::cli::exit::ExitError;
use crate::config::{Env, Secret, SecretAt};
use crate::terminal;

/// Names the password where no file does.
const PASSWORD_VARIABLE: &str = "RELAYMESH_PHONE_PASSWORD";
/// Names the new password where no file does.
const NEW_PASSWORD_VARIABLE: &str = "RELAYMESH_PHONE_NEW_PASSWORD";
/// Largest state file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// An app knows no number before its first login, and none is needed: a number that nobody has.
const NOBODY: &str = "+10000000";

/// The password of account and state.
pub fn password(state: &State) -> Result<Secret, ExitError> {
    given(state.password_file.as_deref(), PASSWORD_VARIABLE, "--password-file", || terminal::ask("password: "))
}

/// The password of account and state, where it is made by this call.
pub fn fresh_password(state: &State) -> Result<Secret, ExitError> {
    given(state.password_file.as_deref(), PASSWORD_VARIABLE, "--password-file", || {
        terminal::ask_twice("new password: ")
    })
}

/// The password that is to follow.
pub fn new_password(file: Option<&Path>) -> Result<Secret, ExitError> {
    given(file, NEW_PASSWORD_VARIABLE, "--new-password-file", || terminal::ask_twice("new password: "))
}

/// From the file, the environment, or the terminal.
fn given(
    file: Option<&Path>,
    variable: &str,
    flag: &str,
    ask: impl FnOnce() -> Result<Secret, terminal::AskError>,
) -> Result<Secret, ExitError> {
    let (here, env) = (std::env::current_dir().unwrap_or_default(), Env::of_process());
    let help = format!("set {variable} or name {flag}");
    let at = match file {
        Some(file) => SecretAt::File(file.to_owned()),
        None if env.get(variable).is_some() => SecretAt::Env(variable.to_owned()),
        None => return ask().map_err(|e| ExitError::failed(format!("there is no password: {e}"), help)),
    };
    at.resolve(&here, &env).map_err(|e| ExitError::failed(format!("there is no password: {e}"), help))
}

/// Randomness for keys and seals.
pub fn chance() -> Result<ChaCha20Rng, ExitError> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    let random = getrandom::fill(seed.as_mut_slice());
    random.map_err(|_| ExitError::failed("the system gives no random numbers", "check /dev/urandom"))?;
    Ok(ChaCha20Rng::from_seed(*seed))
}

/// The phone of a state file.
pub fn load(state: &State, password: &Secret) -> Result<Phone, ExitError> {
    let path = &state.state;
    let wrong = |what: String, help: &str| ExitError::failed(format!("{} {what}", path.display()), help);
    let meta = fs::metadata(path)
        .map_err(|e| wrong(format!("cannot be read ({e})"), "make one with: relaymesh phone signup"))?;
    if meta.len() > FILE_BYTES_MAX {
        return Err(wrong("is larger than a state can be".to_owned(), "name the state file"));
    }
    let sealed =
        fs::read(path).map_err(|e| wrong(format!("cannot be read ({e})"), "check its owner and permissions"))?;
    let plain =
        open(&sealed, lock(password)).map_err(|e| wrong(format!("does not open ({e})"), "check password and file"))?;
    Phone::decode(&plain).map_err(|e| wrong(format!("cannot be used ({e})"), "log in again with another --state"))
}

/// The phone of a state file, or nothing where no file is.
pub fn load_if_any(state: &State, password: &Secret) -> Result<Option<Phone>, ExitError> {
    match fs::symlink_metadata(&state.state) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        _ => load(state, password).map(Some),
    }
}

/// A phone before its first login.
pub fn nobody() -> Phone {
    Phone::new(Identity::Phone(NOBODY.parse().expect("it has the form of a number")))
}

/// Replaces the state, on the disk before anything that rests on it leaves.
pub fn save(state: &State, password: &Secret, phone: &Phone, rng: &mut ChaCha20Rng) -> Result<(), ExitError> {
    let sealed = seal(&phone.encode(), lock(password), rng)
        .map_err(|e| ExitError::failed(format!("the state cannot be sealed ({e})"), "free memory and try again"))?;
    replace(&state.state, &sealed).map_err(|e| {
        ExitError::failed(
            format!("{} cannot be written ({e})", state.state.display()),
            "check path, permissions and free space",
        )
    })
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files are made readable by their owner only.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    fs::File::open(dir)?.sync_all()
}

fn lock(password: &Secret) -> Lock<'_> {
    Lock::Passphrase { text: password.expose(), cost: Cost::DEFAULT }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_state_is_private_and_opens_only_under_its_password() {
        let dir = tempfile::tempdir().unwrap();
        let state = State { state: dir.path().join("p"), password_file: None };
        let mut phone = nobody();
        assert!(load_if_any(&state, &"one".into()).unwrap().is_none());
        phone.set_next_image_session(9);
        save(&state, &"one".into(), &phone, &mut chance().unwrap()).unwrap();
        assert_eq!(load(&state, &"one".into()).unwrap().next_image_session(), 9);
        assert_eq!(fs::metadata(&state.state).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(load(&state, &"two".into()).unwrap_err().what.contains("does not open"));
        assert!(load_if_any(&state, &"two".into()).is_err());
        phone.set_next_image_session(10);
        save(&state, &"one".into(), &phone, &mut chance().unwrap()).unwrap();
        assert_eq!(load(&state, &"one".into()).unwrap().next_image_session(), 10);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
