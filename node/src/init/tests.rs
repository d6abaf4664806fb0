use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn settings(dir: &Path) -> Settings {
    Settings { dir: dir.join("node"), key_file: Some(dir.join("keys/node.key")), ..Settings::default() }
}

fn ready() {
    crate::install_tls();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_node_is_made_private_and_accepted() {
    ready();
    let dir = tempfile::tempdir().unwrap();
    let mut told = settings(dir.path());
    told.name = Some("douala \"1\"\n".trim().to_owned());
    told.mesh = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
    told.http = Some("127.0.0.1:0".to_owned());
    let made = init(&told, &Env::default()).unwrap();
    assert!(made.peer_id.starts_with("12D3Koo"), "{}", made.peer_id);
    for (path, want) in [
        (&told.dir, 0o700),
        (&made.config, 0o600),
        (made.key_file.as_ref().unwrap(), 0o600),
        (&told.dir.join("keyring"), 0o600),
    ] {
        assert_eq!(mode(path), want, "{}", path.display());
    }
    let loaded = Config::load(&made.config, &Env::default()).unwrap();
    assert_eq!(loaded.config.node.name, "douala \"1\"");
    assert_eq!(loaded.config.listen.mesh, told.mesh);
    let prepared = loaded.config.prepare().unwrap();
    assert!(prepared.store.path.is_dir() && !prepared.store.create);
    assert_eq!(prepared.keyring.node_id().peer_id(), made.peer_id);
    assert!(made.warnings.iter().any(|warning| warning.contains("same disk")), "{:?}", made.warnings);
}

#[test]
fn a_second_init_changes_nothing() {
    ready();
    let dir = tempfile::tempdir().unwrap();
    let told = settings(dir.path());
    let made = init(&told, &Env::default()).unwrap();
    let before = (
        fs::read(&made.config).unwrap(),
        fs::read(told.dir.join("keyring")).unwrap(),
        fs::read(made.key_file.as_ref().unwrap()).unwrap(),
    );
    let refused = init(&told, &Env::default()).unwrap_err();
    assert_eq!(refused.kind, Kind::Failed);
    assert!(refused.what.contains("never overwrites"), "{refused}");
    let after = (
        fs::read(&made.config).unwrap(),
        fs::read(told.dir.join("keyring")).unwrap(),
        fs::read(made.key_file.as_ref().unwrap()).unwrap(),
    );
    assert!(before == after);
}

#[test]
fn a_failed_init_leaves_nothing() {
    ready();
    let dir = tempfile::tempdir().unwrap();
    let wrong = Settings { http: Some("nonsense".to_owned()), ..settings(dir.path()) };
    assert_eq!(init(&wrong, &Env::default()).unwrap_err().kind, Kind::Usage);
    let wrong = Settings { name: Some(" ".to_owned()), ..settings(dir.path()) };
    assert_eq!(init(&wrong, &Env::default()).unwrap_err().kind, Kind::Config);
    fs::write(dir.path().join("file"), "").unwrap();
    let wrong = Settings { key_file: Some(dir.path().join("file/key")), ..settings(dir.path()) };
    assert!(init(&wrong, &Env::default()).is_err());
    fs::remove_file(dir.path().join("file")).unwrap();
    let wrong = Settings { grpc: Some("192.0.2.7:8443".to_owned()), ..settings(dir.path()) };
    let refused = init(&wrong, &Env::default()).unwrap_err();
    assert!(refused.help.contains("leave --grpc out") && refused.help.contains("listen.tls_cert"), "{}", refused.help);
    assert_eq!(count(dir.path()), 0);
}

#[test]
fn what_was_there_stays_when_init_fails() {
    ready();
    let dir = tempfile::tempdir().unwrap();
    let told = settings(dir.path());
    fs::create_dir_all(&told.dir).unwrap();
    fs::write(told.dir.join("notes"), "mine").unwrap();
    for (old, file) in [("keyring", "keyring"), ("store", "store/db")] {
        let path = told.dir.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "old").unwrap();
        let refused = init(&told, &Env::default()).unwrap_err();
        assert!(refused.what.contains("never overwrites"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(count(&told.dir), 2, "{old} and the notes");
        fs::rename(told.dir.join(old), dir.path().join(old)).unwrap();
    }
}

#[test]
fn the_key_goes_to_the_users_folder_unless_told() {
    ready();
    let dir = tempfile::tempdir().unwrap();
    let env = Env::from([("XDG_CONFIG_HOME", dir.path().join("xdg").to_str().unwrap()), ("HOME", "/nowhere")]);
    let told = Settings { dir: dir.path().join("node"), ..Settings::default() };
    let made = init(&told, &env).unwrap();
    assert!(made.key_file.unwrap().starts_with(dir.path().join("xdg/relaymesh")));
    let told = Settings { dir: dir.path().join("other"), ..Settings::default() };
    assert!(init(&told, &Env::default()).unwrap_err().help.contains("--key-file"));
    assert!(!told.dir.exists());
}

/// A passphrase of the shortest kind.
const PHRASE: &str = "ada bob eve zoe ";

#[test]
fn a_passphrase_opens_the_keyring_and_no_other_does() {
    ready();
    let dir = tempfile::tempdir().unwrap();
    let env = Env::from([("RELAYMESH_KEYS__PASSPHRASE", PHRASE)]);
    let told = Settings { dir: dir.path().join("node"), unlock: Unlock::Prompt, ..Settings::default() };
    let made = init(&told, &env).unwrap();
    assert_eq!((made.key_file.clone(), count(&told.dir), count(dir.path())), (None, 3, 1));
    let open =
        |env: &Env| Config::load(&made.config, env).unwrap().config.prepare().map(|it| it.keyring.node_id().peer_id());
    assert_eq!(open(&env).unwrap(), made.peer_id);
    let wrong = open(&Env::from([("RELAYMESH_KEYS__PASSPHRASE", "ada bob eve zoe.")])).unwrap_err();
    assert!(wrong.to_string().contains("wrong") && wrong.help.contains("passphrase again"), "{wrong}");
    assert!(!wrong.to_string().contains(PHRASE.trim()));
}

#[test]
fn a_passphrase_file_is_named_and_must_be_private_and_long() {
    ready();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("phrase");
    let told =
        Settings { dir: dir.path().join("node"), unlock: Unlock::PassphraseFile(file.clone()), ..Settings::default() };
    let put = |text: &str, mode| {
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    };
    put(PHRASE, 0o644);
    assert!(init(&told, &Env::default()).unwrap_err().what.contains("chmod 600"));
    put("ada bob eve zoe\n", 0o600);
    assert!(init(&told, &Env::default()).unwrap_err().what.contains("shorter than"));
    assert!(!told.dir.exists());
    put(&format!("{PHRASE}\n"), 0o600);
    let made = init(&told, &Env::default()).unwrap();
    let warned = |warning: &String| warning.contains("same disk") && warning.contains("keys.passphrase");
    assert!(made.warnings.iter().any(warned), "{:?}", made.warnings);
    let loaded = Config::load(&made.config, &Env::default()).unwrap();
    assert_eq!(loaded.config.keys.passphrase, Some(SecretAt::File(file)));
    assert!(loaded.config.prepare().is_ok());
}

#[test]
fn a_credential_is_a_key_file_that_systemd_hands_over() {
    ready();
    let dir = tempfile::tempdir().unwrap();
    let told = Settings { unlock: Unlock::Credential("relaymesh-key".to_owned()), ..settings(dir.path()) };
    let made = init(&told, &Env::default()).unwrap();
    assert_eq!(made.credential.as_deref(), Some("relaymesh-key"));
    let prepare = |env: Env| Config::load(&made.config, &env).unwrap().config.prepare();
    let alone = prepare(Env::default()).unwrap_err();
    assert!(alone.is_about_access() && alone.help.contains("LoadCredential="), "{alone}");
    // As systemd does: a copy under the credential's name.
    fs::copy(made.key_file.as_ref().unwrap(), dir.path().join("relaymesh-key")).unwrap();
    let given = prepare(Env::from([("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap())])).unwrap();
    assert_eq!(given.keyring.node_id().peer_id(), made.peer_id);
    let odd = Settings { unlock: Unlock::Credential("../k".to_owned()), ..settings(&dir.path().join("odd")) };
    assert_eq!(init(&odd, &Env::default()).unwrap_err().kind, Kind::Usage);
}
