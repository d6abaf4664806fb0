//! The built binary on configurations: every wrong value is one line and exit code 4, `init` is safe, layers are right.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

struct Node {
    dir: TempDir,
}

impl Node {
    fn new() -> Self {
        let node = Self { dir: tempfile::tempdir().unwrap() };
        let made = node.init();
        assert!(made.status.success(), "{}", stderr(&made));
        node
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    fn config(&self) -> PathBuf {
        self.path("node/relaymesh.toml")
    }

    fn init(&self) -> Output {
        let mut command =
            relaymesh(&["init", "--name", "one", "--http", "127.0.0.1:0", "--mesh", "/ip4/127.0.0.1/tcp/0"]);
        command.arg("--dir").arg(self.path("node")).arg("--key-file").arg(self.path("keys/node.key"));
        command.output().unwrap()
    }

    fn run(&self, words: &[&str], env: &[(&str, &str)]) -> Output {
        let mut command = relaymesh(words);
        command.arg("--config").arg(self.config()).envs(env.iter().copied());
        command.output().unwrap()
    }

    fn check(&self) -> Output {
        self.run(&["config", "check"], &[])
    }

    /// The file of `init` with more text at its end.
    fn append(&self, text: &str) -> Output {
        let before = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), format!("{before}\n{text}\n")).unwrap();
        let output = self.check();
        fs::write(self.config(), before).unwrap();
        output
    }
}

fn relaymesh(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relaymesh"));
    command.args(words).env_clear();
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn assert_refused(output: &Output, words: &[&str], what: &str) {
    let told = stderr(output);
    assert_eq!(output.status.code(), Some(4), "{what}: {told}");
    assert_eq!(told.lines().count(), 1, "{what}: {told}");
    assert!(told.starts_with("error: "), "{what}: {told}");
    for word in words {
        assert!(told.contains(word), "{what}: {word:?} is missing in: {told}");
    }
    assert!(output.stdout.is_empty(), "{what}");
}

#[test]
fn what_init_makes_is_accepted_and_never_overwritten() {
    let node = Node::new();
    let checked = node.check();
    assert!(checked.status.success(), "{}", stderr(&checked));
    assert!(stderr(&checked).contains("same disk"));
    let before = fs::read(node.path("node/keyring")).unwrap();
    let again = node.init();
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("never overwrites"), "{}", stderr(&again));
    assert_eq!(fs::read(node.path("node/keyring")).unwrap(), before);
    for (path, want) in
        [("node", 0o700), ("node/keyring", 0o600), ("node/relaymesh.toml", 0o600), ("keys/node.key", 0o600)]
    {
        assert_eq!(fs::metadata(node.path(path)).unwrap().permissions().mode() & 0o777, want, "{path}");
    }
}

#[test]
fn every_wrong_value_is_one_line_and_exit_4() {
    let node = Node::new();
    let cases: &[(&str, &[&str])] = &[
        ("[lisen]\nhttp = '127.0.0.1:1'", &["relaymesh.toml:", "unknown key \"lisen\"", "did you mean \"listen\"?"]),
        ("[store]\npaht = '.'", &["unknown key \"paht\"", "did you mean \"path\"?"]),
        ("[ingress]\nwait = '2 sek'", &["not a length of time"]),
        ("[ingress]\nwait = '5m'", &["ingress.wait", "minute"]),
        ("[ingress]\nopen = 'yes'", &["expected a boolean"]),
        ("[mesh]\naccept = 'opne'", &["did you mean \"open\"?"]),
        ("[mesh]\nexternal = ['relay.example.org:7443']", &["mesh.external", "slash"]),
        ("[mesh]\nrelay_server = true", &["mesh.relay_server", "mesh.external"]),
        ("[store]\npath = 'nowhere'", &["nowhere", "relaymesh init"]),
        ("[store]\ncache_mib = 0", &["store.cache_mib"]),
        ("[otp]\nemail = true", &["otp.email", "[bridge.smtp]"]),
        ("[otp]\ncountries = ['Cameroon']", &["two letters"]),
        ("[otp.captcha]\nurl = 'https://c.org/v'", &["otp.captcha.secret", "is missing"]),
        ("[otp.captcha]\nurl = 'http://c.org/v'\nsecret = '31337'", &["otp.captcha.url", "not https"]),
        (
            "[otp.captcha]\nurl = 'https://c.org/v'\nsecret = { file = 'none' }",
            &["otp.captcha.secret", "cannot be read"],
        ),
        ("[otp.captcha]\nstyle = 'siteverfy'", &["did you mean \"siteverify\"?"]),
        ("[otp]\ncaptcha = { sercet = 'x' }", &["did you mean \"secret\"?"]),
        ("[sms]\nreply_order = ['fiel']\n[sms.file]\npath = 'x'", &["did you mean \"file\"?"]),
        ("[sms.file]\npath = '/nowhere/at/all'", &["/nowhere/at/all", "cannot be written"]),
        ("[sms.http.one]\nurl = 'https://sms.example.org/'\nbody = 'x'", &["provider \"one\""]),
        ("[sms.http.one]\nurl = 'http://127.0.0.1/{to}{text}'", &["url is refused"]),
        ("[sms.http.one]\nurl = 'https://a.org/{to}{text}'\nmethod = 'post'", &["POST, PUT or GET"]),
        ("[platform.mastodno]\nbase_url = 'x'", &["did you mean \"mastodon\"?"]),
        (
            "[platform.mastodon]\nbase_url = 'http://m.org'\nclient_id = 'i'\nclient_secret = 's'",
            &["base_url", "not https"],
        ),
        ("[platform.mastodon]\nbase_url = 'https://m.org'\nclient_id = 'i'", &["client_secret must be set"]),
        ("[platform.mastodon]\nclient_secret = 31337", &["a secret is a text in quotes"]),
        ("[platform.mastodon]\nclient_secret = { file = 'none' }", &["client_secret", "cannot be read"]),
        ("[platform.mastodon]\nclient_secret = { env = 'NOT_SET' }", &["NOT_SET is not set"]),
        ("[bridge]\ndomain = 'no domain'", &["bridge.domain"]),
        ("[bridge]\ndomain = 'no domain'\n[bridge.smtp]\nhost = 'm.org'", &["bridge.domain"]),
        ("[bridge.smtp]\nhost = 'm.org'\nport = 0", &["bridge.smtp.port"]),
        ("[bridge.smtp]\nhost = 'm.org'\nusername = 'u'", &["set together"]),
        ("[log]\nlevel = 'a=b=c'", &["log.level"]),
        ("[log]\nlevel = 'inof'", &["log.level", "write error, warn, info"]),
        ("[otp]\ncountries = ['XX']", &["otp.countries", "two letters"]),
        ("[net]\nallow_private = 1", &["expected a boolean"]),
        ("nonsense", &["relaymesh.toml:"]),
        ("[listen.x]", &["relaymesh.toml:"]),
    ];
    for (text, words) in cases {
        let output = node.append(text);
        assert_refused(&output, words, text);
        assert!(!stderr(&output).contains("31337"), "{}", stderr(&output));
    }
    assert!(node.check().status.success());
}

#[test]
fn wrong_listening_addresses_are_named() {
    let node = Node::new();
    for (name, value, words) in [
        ("RELAYMESH_LISTEN__HTTP", "localhost", ["listen.http", "127.0.0.1:8080"]),
        ("RELAYMESH_LISTEN__GRPC", "1.2.3.4:99999", ["listen.grpc", "127.0.0.1:8080"]),
        ("RELAYMESH_LISTEN__MESH", "/ip4/0.0.0.0/udp/1", ["listen.mesh", "/tcp/PORT"]),
        ("RELAYMESH_LISTEN__TLS_CERT", "cert.pem", ["listen", "tls_key"]),
        ("RELAYMESH_LISTEN__HTTP", "127.0.0.1:8443", ["listen.grpc", "port of listen.http"]),
        ("RELAYMESH_LISTEN__MESH", "/ip4/0.0.0.0/tcp/8443", ["listen.mesh", "port of listen.grpc"]),
        ("RELAYMESH_LISTEN__HTPP", "127.0.0.1:1", ["RELAYMESH_LISTEN__HTPP", "did you mean \"http\"?"]),
        ("RELAYMESH_NODE__ROLES", "gatway", ["RELAYMESH_NODE__ROLES", "did you mean \"gateway\"?"]),
        ("RELAYMESH_STORE__CACHE_MIB", "-1", ["RELAYMESH_STORE__CACHE_MIB", "u32"]),
    ] {
        assert_refused(&node.run(&["config", "check"], &[(name, value)]), &words, name);
    }
}

#[test]
fn keys_must_be_there_private_and_the_right_ones() {
    let node = Node::new();
    let key = node.path("keys/node.key");
    mode(&key, 0o644);
    assert_refused(&node.check(), &["chmod 600", "node.key"], "open key");
    mode(&key, 0o600);
    let good = fs::read(&key).unwrap();
    fs::write(&key, "07".repeat(32)).unwrap();
    assert_refused(&node.check(), &["does not open"], "other key");
    fs::write(&key, "junk").unwrap();
    assert_refused(&node.check(), &["64 hex digits", "backup"], "junk");
    fs::remove_file(&key).unwrap();
    assert_refused(&node.check(), &["node.key", "cannot be read"], "no key");
    fs::write(&key, good).unwrap();
    mode(&key, 0o600);
    assert!(node.check().status.success());
    fs::write(node.path("node/keyring"), [b"RMKEYS99".as_slice(), &[0; 9000]].concat()).unwrap();
    assert_refused(&node.check(), &["newer", "upgrade"], "newer keyring");
    fs::remove_file(node.path("node/keyring")).unwrap();
    assert_refused(&node.check(), &["does not exist", "relaymesh init"], "no keyring");
}

#[test]
fn a_store_that_is_gone_is_not_replaced_by_an_empty_one_unless_told() {
    let node = Node::new();
    fs::remove_dir_all(node.path("node/store")).unwrap();
    for words in [["config", "check"].as_slice(), &["run"]] {
        assert_refused(&node.run(words, &[]), &["node/store", "missing", "backup", "--new-store"], "no store");
    }
    assert!(!node.path("node/store").exists());
}

#[test]
fn the_store_of_another_node_is_refused() {
    let (node, other) = (Node::new(), Node::new());
    // The first run writes whose records they are.
    let mut run = relaymesh(&["run", "--config"]);
    let mut child = run
        .arg(other.config())
        .env("RELAYMESH_LISTEN__GRPC", "127.0.0.1:0")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    assert!(line.starts_with("ready"), "{line}");
    std::thread::sleep(std::time::Duration::from_millis(500));
    child.kill().unwrap();
    child.wait().unwrap();
    fs::remove_dir_all(node.path("node/store")).unwrap();
    fs::rename(other.path("node/store"), node.path("node/store")).unwrap();
    let refused = node.run(&["run"], &[("RELAYMESH_LISTEN__GRPC", "127.0.0.1:0")]);
    let told = stderr(&refused);
    assert!(refused.status.code() == Some(4) && told.contains("does not belong to the keyring"), "{told}");
}

#[test]
fn data_of_a_newer_release_are_refused() {
    let node = Node::new();
    fs::write(node.path("node/store/FORMAT"), "relaymesh-store 4000000\n").unwrap();
    assert_refused(&node.check(), &["data format 4000000", "install a newer version"], "format");
}

#[test]
fn secrets_come_from_files_and_environment_and_are_never_shown() {
    let node = Node::new();
    let before = fs::read_to_string(node.config()).unwrap();
    let mastodon = "[platform.mastodon]\nbase_url = 'https://m.org'\nclient_id = 'id'\n";
    fs::write(node.config(), format!("{before}\n{mastodon}client_secret = {{ file = 'secret' }}\n")).unwrap();
    fs::write(node.path("node/secret"), "hunter2\n").unwrap();
    mode(&node.path("node/secret"), 0o604);
    assert_refused(&node.check(), &["chmod 600", "secret"], "open secret");
    mode(&node.path("node/secret"), 0o600);
    assert!(node.check().status.success(), "{}", stderr(&node.check()));
    let overridden = [("RELAYMESH_PLATFORM__MASTODON__CLIENT_SECRET", "hunter3"), ("RELAYMESH_INGRESS__WAIT", "0s")];
    for json in [false, true] {
        let words: &[&str] = if json { &["config", "show", "--json"] } else { &["config", "show"] };
        let shown = node.run(words, &overridden);
        let text = stdout(&shown);
        assert!(shown.status.success() && !text.contains("hunter"), "{text}");
        assert!(
            text.contains("(hidden)") && text.contains("env RELAYMESH_PLATFORM__MASTODON__CLIENT_SECRET"),
            "{text}"
        );
        assert!(text.contains("env RELAYMESH_INGRESS__WAIT") && text.contains("listen.grpc"), "{text}");
    }
    let rows: serde_json::Value = serde_json::from_str(&stdout(&node.run(&["config", "show", "--json"], &[]))).unwrap();
    let find = |key: &str| rows.as_array().unwrap().iter().find(|row| row["key"] == key).cloned().unwrap();
    assert_eq!(
        (find("node.name")["origin"].as_str(), find("listen.grpc")["origin"].as_str()),
        (Some("file"), Some("default"))
    );
    assert_eq!(find("platform.mastodon.client_secret.file")["value"], "\"secret\"");
    fs::write(node.config(), format!("{before}\n{mastodon}client_secret = 'hunter2'\n")).unwrap();
    mode(&node.config(), 0o644);
    let warned = node.check();
    assert!(warned.status.success() && stderr(&warned).contains("chmod 600"), "{}", stderr(&warned));
}

#[test]
fn apps_come_in_without_tls_on_this_machine_only_unless_told() {
    let node = Node::new();
    let check = |at: &str, more: &[(&str, &str)]| {
        let env = [&[("RELAYMESH_LISTEN__GRPC", at)], more].concat();
        node.run(&["config", "check"], &env)
    };
    for at in ["0.0.0.0:0", "[::]:8443", "192.0.2.7:8443", "[::ffff:192.0.2.7]:8443"] {
        let refused = check(at, &[]);
        assert_refused(&refused, &["listen.grpc", at, "listen.tls_cert", "127.0.0.1", "listen.grpc_plain"], at);
        let behind_front = check(at, &[("RELAYMESH_LISTEN__GRPC_PLAIN", "true")]);
        let told = stderr(&behind_front);
        assert!(behind_front.status.success() && told.contains("listen.grpc_plain") && told.contains(at), "{told}");
    }
    for at in ["127.0.0.1:0", "127.9.9.9:8443", "[::1]:8443", "[::ffff:127.0.0.1]:8443"] {
        for plain in ["false", "true"] {
            let local = check(at, &[("RELAYMESH_LISTEN__GRPC_PLAIN", plain)]);
            assert!(local.status.success() && !stderr(&local).contains("listen.grpc"), "{}", stderr(&local));
        }
    }
    for (name, label) in [("cert.pem", "CERTIFICATE"), ("key.pem", "PRIVATE KEY")] {
        fs::write(node.path("node").join(name), format!("-----BEGIN {label}-----\n-----END {label}-----\n")).unwrap();
        mode(&node.path("node").join(name), 0o600);
    }
    let files = [("RELAYMESH_LISTEN__TLS_CERT", "cert.pem"), ("RELAYMESH_LISTEN__TLS_KEY", "key.pem")];
    let tls = check("0.0.0.0:0", &files);
    assert!(tls.status.success() && !stderr(&tls).contains("listen.grpc"), "{}", stderr(&tls));
}

#[test]
fn an_address_that_no_interface_has_is_warned_of() {
    let node = Node::new();
    for (name, at) in
        [("HTTP", "203.0.113.9:8080"), ("GRPC", "203.0.113.9:8443"), ("MESH", "/ip4/203.0.113.9/tcp/7443")]
    {
        let name = format!("RELAYMESH_LISTEN__{name}");
        let checked = node.run(&["config", "check"], &[(name.as_str(), at), ("RELAYMESH_LISTEN__GRPC_PLAIN", "true")]);
        let told = stderr(&checked);
        assert!(checked.status.success() && told.contains("203.0.113.9, which no network interface"), "{told}");
    }
}

#[test]
fn risky_settings_are_accepted_with_a_warning() {
    let node = Node::new();
    let open = [
        ("RELAYMESH_LISTEN__HTTP", "0.0.0.0:0"),
        ("RELAYMESH_INGRESS__OPEN", "true"),
        ("RELAYMESH_NET__ALLOW_PRIVATE", "true"),
    ];
    let output = node.run(&["config", "check", "--json"], &open);
    assert!(output.status.success(), "{}", stderr(&output));
    let checked: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let warnings = checked["warnings"].to_string();
    for word in ["ingress.open", "net.allow_private", "no SMS can leave", "same disk"] {
        assert!(warnings.contains(word), "{word}: {warnings}");
    }
    let closed = node.run(&["config", "check"], &[("RELAYMESH_LISTEN__HTTP", "0.0.0.0:0")]);
    assert!(!stderr(&closed).contains("ingress.open"), "{}", stderr(&closed));
}

#[test]
fn the_files_of_this_repository_have_no_unknown_key() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let mut seen = 0;
    for entry in fs::read_dir(configs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let output = relaymesh(&["config", "show", "--config"]).arg(&path).output().unwrap();
            assert!(output.status.success(), "{}: {}", path.display(), stderr(&output));
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen}");
}

#[test]
fn the_files_of_this_repository_are_accepted_beside_a_node() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    for name in ["gateway.toml", "vault.toml", "relay.toml", "all-in-one.toml"] {
        let node = Node::new();
        fs::copy(configs.join(name), node.config()).unwrap();
        let secret = node.path("node/s");
        fs::write(&secret, "hunter2").unwrap();
        mode(&secret, 0o600);
        let text = fs::read_to_string(node.config()).unwrap();
        let text = with_key(&with_secrets(&text, &secret), &node.path("keys/node.key"));
        fs::write(node.config(), text).unwrap();
        let output = node.check();
        assert!(output.status.success(), "{name}: {}", stderr(&output));
    }
}

/// Every `{ file = "…" }` names the given file.
fn with_secrets(text: &str, secret: &Path) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.split_once("{ file = ") {
            Some((before, _)) => lines.push(format!("{before}{{ file = '{}' }}", secret.display())),
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

/// The first line of `[keys]` names the given key.
fn with_key(text: &str, key: &Path) -> String {
    let (before, after) = text.split_once("[keys]\n").expect("every file names its key");
    let rest = after.split_once('\n').map_or("", |(_, rest)| rest);
    format!("{before}[keys]\nfile = '{}'\n{rest}", key.display())
}
