//! Whatever stands in the file, it is read or refused in one line, and what is read can be shown.

use std::path::Path;

use proptest::prelude::*;

use super::{Config, ConfigError, Env, show};

/// Whether a text is a configuration. What is said of it and of its values can be printed either way.
/// The fuzz target `config` holds the same.
fn reads(text: &str) -> bool {
    let told = |error: ConfigError| {
        let told = format!("{error}; {}", error.help);
        assert!(!told.contains(char::is_control), "one line, and nothing that a terminal obeys: {told:?}");
    };
    match Config::parse(Path::new("relaymesh.toml"), text, &Env::default()) {
        Ok(loaded) => {
            let rows = show::rows(&loaded);
            assert!(rows.iter().any(|row| row.key == "listen.http"), "all settings are shown");
            loaded.config.values().map_or_else(told, drop);
            true
        }
        Err(error) => {
            told(error);
            false
        }
    }
}

/// Odd files that were thought of, the files that this tree offers, and what fuzzing reached.
#[test]
fn each_file_of_the_corpus_is_read_or_refused() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut taken, mut refused) = (0, 0);
    for dir in ["tests/corpus/config", "../configs", "../fuzz/corpus/config"] {
        for entry in std::fs::read_dir(root.join(dir)).unwrap() {
            let Ok(text) = std::fs::read_to_string(entry.unwrap().path()) else { continue };
            let (file, _) = text.split_once('\0').unwrap_or((&text, ""));
            if reads(file) { taken += 1 } else { refused += 1 }
        }
    }
    assert!(taken >= 10 && refused >= 20, "{taken} are configurations, {refused} are not");
}

#[test]
fn no_depth_ends_the_process() {
    let deep = 100_000;
    for text in [
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}", "{ a = ".repeat(deep)),
        format!("{}a = 1", "a.".repeat(deep)),
        format!("[{}a]", "a.".repeat(deep)),
        format!("[[{}a]]", "a.".repeat(deep)),
        format!("sms.http.{}a = 1", "a.".repeat(deep)),
    ] {
        assert!(!reads(&text), "{}", &text[..20]);
    }
}

/// A value of any type, as the file writes it.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<bool>().prop_map(|it| it.to_string()),
        any::<i64>().prop_map(|it| it.to_string()),
        (0..100_000_i64).prop_map(|it| it.to_string()),
        any::<f64>().prop_map(|it| format!("{it:?}").replace("NaN", "nan")),
        "\\PC{0,12}".prop_map(|it| toml::Value::from(it).to_string()),
        any::<String>().prop_map(|it| toml::Value::from(it).to_string()),
        "'[0-9]{1,20}(ms|s|m|h|d)'",
        "\\[('[a-z/0-9]{0,9}'(, )?){0,3}\\]",
        "\\{ (file|env) = '[a-zA-Z./]{0,9}' \\}",
        Just("2026-01-01T00:00:00Z".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_value_of_any_setting_is_read_or_refused(at in any::<prop::sample::Index>(), value in value()) {
        let defaults = Config::parse(Path::new("relaymesh.toml"), MORE, &Env::default()).unwrap();
        let keys: Vec<String> = show::rows(&defaults).into_iter().map(|row| row.key).collect();
        let (section, key) = keys[at.index(keys.len())].rsplit_once('.').unwrap();
        reads(&format!("[{section}]\n{key} = {value}\n"));
    }

    #[test]
    fn any_key_is_read_or_refused(
        section in "(node|listen|mesh|sms\\.http\\.[a-z]|platform\\.mastodon|[a-z]{1,8})",
        key in prop_oneof![any::<String>(), "[a-z\\x00-\\x1f\\x7f]{1,8}"],
        value in value(),
    ) {
        reads(&format!("[{section}]\n{} = {value}\n", serde_json::to_string(&key).unwrap()));
    }
}

/// Sections that are not there by default.
const MORE: &str = "[sms.file]\npath = 'x'\n[sms.http.one]\nurl = 'x'\nbearer = 'x'\n\
                    [platform.mastodon]\nbase_url = 'x'\nclient_id = 'x'\nclient_secret = 'x'\npost_chars = 5\n\
                    [bridge]\ndomain = 'x'\n[bridge.smtp]\nhost = 'x'\nport = 5\n";
