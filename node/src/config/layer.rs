//! The layers of the configuration: defaults, below the file, below the environment.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize as _;
use toml::{Table, Value};

use super::Config;
use super::env::Env;
use super::error::{ConfigError, Place};

/// Longest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where an effective value was set; what is not listed is a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the file.
    File,
    /// In this environment variable.
    Env(String),
}

/// Effective settings and where each comes from.
pub struct Layers {
    /// The settings.
    pub config: Config,
    /// By dotted key.
    pub origins: BTreeMap<String, Origin>,
}

/// Reads the text of the file at `path`, then the environment over it.
///
/// # Errors
/// When a key or value of either is wrong.
pub fn read(path: &Path, text: &str, env: &Env) -> Result<Layers, ConfigError> {
    let mut merged: Table = toml::from_str(text).map_err(|e| ConfigError::of_file(path, text, &e))?;
    toml::from_str::<Config>(text).map_err(|e| ConfigError::of_file(path, text, &e))?;
    let mut origins = BTreeMap::new();
    for key in leaves(&merged) {
        origins.insert(key, Origin::File);
    }
    for (name, key, value) in env.settings() {
        let value = typed(name, &key, value)?;
        put(&mut merged, &key, value);
        let dotted = key.join(".");
        origins.retain(|known, _| !known.starts_with(&format!("{dotted}.")));
        origins.insert(dotted, Origin::Env(name.to_owned()));
    }
    let config = Config::deserialize(Value::Table(merged)).map_err(|e| ConfigError::of_file(path, text, &e))?;
    Ok(Layers { config, origins })
}

/// The text of a configuration file.
///
/// # Errors
/// When it is none, or cannot be read.
pub fn read_file(path: &Path) -> Result<String, ConfigError> {
    let wrong = |what: String, help: &str| ConfigError::new(Place::File(path.to_owned()), what, help);
    let meta = fs::metadata(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            wrong("no such file".to_owned(), "make one with: relaymesh init --dir DIR, or name it with --config")
        }
        _ => wrong(format!("cannot be read ({e})"), "check its owner and permissions"),
    })?;
    if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
        return Err(wrong("is not a configuration file".to_owned(), "name the file relaymesh.toml with --config"));
    }
    let bytes =
        fs::read(path).map_err(|e| wrong(format!("cannot be read ({e})"), "check its owner and permissions"))?;
    String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text".to_owned(), "save it as UTF-8"))
}

/// The value of an environment variable in the type that its key wants: as a number or truth value, as text, as a list.
fn typed(name: &str, key: &[String], text: &str) -> Result<Value, ConfigError> {
    let list = || Value::Array(items(text).map(|item| scalar(item).unwrap_or_else(|| item.into())).collect());
    let words = || Value::Array(items(text).map(Value::from).collect());
    let candidates = [scalar(text), Some(text.into()), Some(words()), Some(list())];
    let mut said: Option<ConfigError> = None;
    for (index, value) in candidates.into_iter().enumerate() {
        let Some(value) = value else { continue };
        let mut alone = Table::new();
        put(&mut alone, key, value.clone());
        match Config::deserialize(Value::Table(alone)) {
            Ok(_) => return Ok(value),
            // What is said of the plain text names the wanted type best, unless that is a list.
            Err(error) if index <= 1 || (index == 2 && wants_list(said.as_ref())) => {
                said = Some(ConfigError::of_env(name, &error));
            }
            Err(_) => {}
        }
    }
    Err(said.unwrap_or_else(|| ConfigError::new(Place::Env(name.to_owned()), "is not a setting", "unset it")))
}

fn wants_list(said: Option<&ConfigError>) -> bool {
    said.is_some_and(|error| error.what.contains("expected a sequence"))
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn scalar(text: &str) -> Option<Value> {
    text.parse().map(Value::Boolean).or_else(|_| text.parse().map(Value::Integer)).ok()
}

/// Sets a key, making or replacing what is in its way.
fn put(table: &mut Table, key: &[String], value: Value) {
    let Some((last, sections)) = key.split_last() else { return };
    let mut at = table;
    for section in sections {
        let inner = at.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
        if !inner.is_table() {
            *inner = Value::Table(Table::new());
        }
        let Value::Table(next) = inner else { return };
        at = next;
    }
    at.insert(last.clone(), value);
}

/// The dotted keys of all values.
pub fn leaves(table: &Table) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                found.extend(leaves(inner).into_iter().map(|rest| format!("{name}.{rest}")));
            }
            _ => found.push(name.clone()),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layers(file: &str, env: Env) -> Result<Layers, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relaymesh.toml");
        fs::write(&path, file).unwrap();
        read(&path, &read_file(&path)?, &env)
    }

    fn refused(file: &str, env: Env) -> ConfigError {
        layers(file, env).err().expect("refused")
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
        let file = "[listen]\nhttp = '127.0.0.1:1'\ngrpc = '127.0.0.1:2'\n";
        let env = Env::from([("RELAYMESH_LISTEN__HTTP", "127.0.0.1:3"), ("RELAYMESH_CONFIG", "x")]);
        let got = layers(file, env).unwrap();
        assert_eq!(got.config.listen.http, "127.0.0.1:3");
        assert_eq!(got.config.listen.grpc, "127.0.0.1:2");
        assert_eq!(got.config.listen.mesh, ["/ip4/0.0.0.0/tcp/7443"]);
        assert_eq!(got.origins["listen.http"], Origin::Env("RELAYMESH_LISTEN__HTTP".into()));
        assert_eq!(got.origins["listen.grpc"], Origin::File);
        assert!(!got.origins.contains_key("listen.mesh"));
    }

    #[test]
    fn values_of_the_environment_take_the_type_of_their_key() {
        let env = Env::from([
            ("RELAYMESH_NET__METERED", "true"),
            ("RELAYMESH_STORE__CACHE_MIB", "12"),
            ("RELAYMESH_LISTEN__MESH", "/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/tcp/2"),
            ("RELAYMESH_PLATFORM__MASTODON__CLIENT_ID", "12345"),
            ("RELAYMESH_PLATFORM__MASTODON__CLIENT_SECRET", "true"),
            ("RELAYMESH_SMS__HTTP__ONE__SUCCESS_STATUSES", "200,201"),
            ("RELAYMESH_NODE__ROLES", "gateway"),
            ("RELAYMESH_INGRESS__WAIT", "0s"),
        ]);
        let config = layers("", env).unwrap().config;
        assert!(config.net.metered);
        assert_eq!(config.store.cache_mib, 12);
        assert_eq!(config.listen.mesh.len(), 2);
        let mastodon = config.platform.mastodon.unwrap();
        assert_eq!(mastodon.client_id, "12345");
        assert_eq!(mastodon.client_secret, Some("true".into()));
        assert_eq!(config.sms.http["one"].success_statuses, Some(vec![200, 201]));
        assert_eq!(config.node.roles.len(), 1);
        assert!(config.ingress.wait.0.is_zero());
    }

    #[test]
    fn mistakes_are_named_with_line_or_variable_and_a_suggestion() {
        let told = refused("[listen]\n\nhtpp = '127.0.0.1:1'\n", Env::default());
        assert!(told.to_string().ends_with("relaymesh.toml:3:1: unknown key \"htpp\""), "{told}");
        assert_eq!(told.help, "did you mean \"http\"?");
        let told = refused("[lisen]\n", Env::default());
        assert_eq!(told.help, "did you mean \"listen\"?");
        let told = refused("", Env::from([("RELAYMESH_LISTEN__HTPP", "x")]));
        assert_eq!(told.to_string(), "environment variable RELAYMESH_LISTEN__HTPP: unknown key \"htpp\"");
        assert_eq!(told.help, "did you mean \"http\"?");
        let told = refused("", Env::from([("RELAYMESH_STORE__CACHE_MIB", "lots")]));
        assert!(told.to_string().contains("CACHE_MIB") && told.to_string().contains("u32"), "{told}");
        let told = refused("[ingress]\nwait = '2 sek'\n", Env::default());
        assert!(told.to_string().contains(":2:8: \"2 sek\" is not a length of time"), "{told}");
    }

    #[test]
    fn no_mistake_shows_a_secret() {
        for file in ["[platform.mastodon]\nclient_secret = 31337\n", "[platform.mastodon]\nclient_secret = ['31337']\n"]
        {
            let told = format!("{:?}", refused(file, Env::default()));
            assert!(!told.contains("31337"), "{told}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_text_is_read_or_refused_in_one_line(
            text in prop_oneof![
                any::<String>(),
                "(\\[[a-z.\"]{0,12}\\]\n)?([a-z_.]{1,12} = (true|-?[0-9]{1,22}|'[^'\n]{0,12}'|\\[\\]|\\{\\}|nan)\n){0,6}",
                "\\[(node|listen|mesh|store|keys|otp|sms|ingress|bridge|net|log)\\]\n[a-z_]{1,9} = ('[ -&(-~]{0,20}'|[0-9]{1,9})\n",
            ],
            value in "[ -~]{0,24}",
        ) {
            let env = Env::from([("RELAYMESH_LISTEN__HTTP", value.as_str()), ("RELAYMESH_NET__ALLOW_PRIVATE", &value)]);
            if let Err(error) = layers(&text, env) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
