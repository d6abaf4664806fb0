//! The built binary's words: help, completions, exit codes and the two forms of errors.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod running;

use std::net::TcpListener;
use std::process::{Command, Stdio};

use running::{Running, relaymesh, text};

#[test]
fn help_names_every_command_and_goes_to_standard_output() {
    let help = relaymesh(&["help"]);
    assert!(help.status.success() && help.stderr.is_empty());
    let told = text(&help.stdout);
    for command in [
        "init",
        "run",
        "status",
        "trace",
        "doctor",
        "ping",
        "gateway",
        "node",
        "bundle",
        "bridge",
        "keys",
        "config",
        "completions",
    ] {
        assert!(told.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {told}");
        let one = relaymesh(&["help", command]);
        assert!(one.status.success() && text(&one.stdout).contains("Usage:"), "{command}");
    }
    assert!(told.contains("Exit codes"));
    assert!(!told.contains('\u{1b}'));
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let made = relaymesh(&["completions", shell]);
        assert!(made.status.success() && made.stderr.is_empty());
        let script = text(&made.stdout);
        assert!(script.contains("relaymesh") && script.contains("federate"), "{shell}");
    }
}

#[test]
fn who_is_blocked_can_be_unblocked_once() {
    let node = Running::start(&[]);
    // Nobody that this node knows.
    let stranger = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    let nobody = node.ask(&["node", "unblock", stranger]);
    assert!(
        nobody.status.code() == Some(1) && text(&nobody.stderr).contains("not blocked"),
        "{}",
        text(&nobody.stderr)
    );
    assert!(node.json(&["node", "block", stranger])["message"].as_str().unwrap().starts_with("blocked"));
    assert!(node.json(&["node", "unblock", stranger])["message"].as_str().unwrap().starts_with("unblocked"));
    assert_eq!(node.ask(&["node", "unblock", stranger]).status.code(), Some(1));
    let help = text(&relaymesh(&["node", "unblock", "--help"]).stdout);
    assert!(help.contains("brings back by itself") && help.contains("federated again"), "{help}");
    assert!(text(&relaymesh(&["completions", "bash"]).stdout).contains("unblock"));
}

#[test]
fn mistakes_in_the_words_are_exit_2() {
    for words in [
        &["stats"][..],
        &["node"],
        &["trace"],
        &["completions", "tcsh"],
        &["bridge", "keys", "generate", "--count", "0"],
    ] {
        let output = relaymesh(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    // Each is refused though no configuration, state or node is there, with the argument and what to write.
    let (url, state) = (["--grpc", "http://127.0.0.1:1"], ["--state", "/nowhere/phone"]);
    for (words, argument, help) in [
        (&["trace", "zz"][..], "<MESSAGE>", "6 to 64 hex digits"),
        (&["ping", ""], "<NODE>", "beginning of an id"),
        (&["gateway", "add", "one", "--msisdn", "abc"], "--msisdn", "like +237650123456"),
        (&["gateway", "add", "one", "--msisdn", "+237650123456", "--country", "QQ"], "--country", "two letters"),
        (&["gateway", "add", "", "--msisdn", "+237650123456"], "<NAME>", "printable"),
        (&["node", "join", "garbage"], "<CODE>", "relaymesh node invite"),
        (&["node", "block", " "], "<TARGET>", "beginning of an id"),
        (&["phone", "signup", "--number", "12", "--country", "CM", url[0], url[1]], "--number", "+237650123456"),
        (
            &["phone", "signup", "--number", "+237650123456", "--country", "QQ", url[0], url[1]],
            "--country",
            "such as CM",
        ),
        (&["phone", "login", "--number", "+237650123456", "--grpc", "8443"], "--grpc", "http://HOST:PORT"),
        (&["phone", "connect", "mastodno", url[0], url[1]], "<PLATFORM>", "did you mean"),
        (&["phone", "compose", "x", "--language", "french"], "--language", "two letters"),
        (&["phone", "mail", "x", "--to", "bob"], "--to", "ada@example.org"),
        (&["phone", "mail", "x", "--to", "bob@example.org", "--cc", "a b@example.org"], "--cc", "ada@example.org"),
    ] {
        let more = if words[0] == "phone" { &state[..] } else { &["--config", "/nowhere/relaymesh.toml"][..] };
        let output = relaymesh(&[words, more].concat());
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {told}");
        let (what, does) = told.trim().split_once("\nhelp: ").unwrap_or_else(|| panic!("{words:?}: {told}"));
        assert!(what.starts_with("error: ") && what.contains(argument), "{words:?}: {told}");
        assert!(told.contains(help) && !does.contains('\n') && output.stdout.is_empty(), "{words:?}: {told}");
        let error: serde_json::Value =
            serde_json::from_slice(&relaymesh(&[words, more, &["--json"]].concat()).stderr).unwrap();
        assert_eq!(error["error"]["code"], "RM-E0200");
        let (message, hint) = (error["error"]["message"].as_str().unwrap(), error["error"]["hint"].as_str().unwrap());
        assert!(message.contains(argument) && format!("{message} {hint}").contains(help), "{words:?}: {error}");
    }
    let missing = relaymesh(&["gateway", "add", "one", "--json"]);
    let error: serde_json::Value = serde_json::from_slice(&missing.stderr).unwrap();
    assert!(error["error"]["message"].as_str().unwrap().contains("--msisdn <NUMBER>"), "{error}");
    assert!(error["error"]["hint"].as_str().unwrap().contains("Usage: relaymesh gateway add"), "{error}");
    let output = relaymesh(&["stats", "--json"]);
    assert_eq!(output.status.code(), Some(2));
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert!(error["error"]["message"].as_str().unwrap().contains("stats"), "{error}");
}

#[test]
fn a_node_that_does_not_run_is_exit_3_and_says_how_to_start_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("relaymesh.toml");
    std::fs::write(&path, "").unwrap();
    let config = path.to_str().unwrap();
    for words in [
        &["status"][..],
        &["node", "list"],
        &["trace", "abcdef"],
        &["ping", "x"],
        &["gateway", "list"],
        &["bridge", "keys", "list"],
    ] {
        let output = relaymesh(&[words, &["--config", config]].concat());
        assert_eq!(output.status.code(), Some(3), "{words:?}");
        let told = text(&output.stderr);
        assert!(
            told.starts_with(&format!("error: no node answers at {}/", dir.path().display()))
                && told.contains(&format!("help: start it with: relaymesh run --config {config}")),
            "{told}"
        );
        let mut near = Command::new(env!("CARGO_BIN_EXE_relaymesh"));
        let near = near.args(words).env_clear().current_dir(dir.path()).output().unwrap();
        assert_eq!(text(&near.stderr), told, "the same from within the directory");
        let output = relaymesh(&[words, &["--json", "--config", config]].concat());
        assert_eq!(output.status.code(), Some(3), "{words:?}");
        let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(error["error"]["code"], "RM-E0300");
        for field in ["message", "hint", "docs"] {
            assert!(error["error"][field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
        }
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_missing_configuration_is_exit_4_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_relaymesh"))
        .arg("status")
        .env_clear()
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let told = text(&output.stderr);
    assert!(told.contains("relaymesh.toml") && told.contains("relaymesh init") && told.lines().count() == 1, "{told}");
    let mut named = Command::new(env!("CARGO_BIN_EXE_relaymesh"));
    let named = named.arg("status").env_clear().env("RELAYMESH_CONFIG", "/nowhere/r.toml").output().unwrap();
    assert!(text(&named.stderr).contains("/nowhere/r.toml"));
}

#[test]
fn doctor_without_a_node_names_what_to_do_and_is_exit_5() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("relaymesh.toml");
    std::fs::write(&path, "").unwrap();
    let output = relaymesh(&["doctor", "--json", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(5));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let errors: Vec<&serde_json::Value> =
        found.as_array().unwrap().iter().filter(|one| one["level"] == "error").collect();
    assert_eq!(errors.len(), 2, "{found}");
    assert!(errors.iter().any(|one| one["fix"].as_str().unwrap().contains("relaymesh run")), "{found}");
    let expects = |one: &serde_json::Value| !one["expected"].as_str().unwrap().is_empty();
    assert!(found.as_array().unwrap().iter().all(expects), "{found}");
}

/// The level of each finding of a check.
fn levels(output: &std::process::Output, check: &str) -> Vec<String> {
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = found.as_array().unwrap().iter().filter(|one| one["check"] == check);
    of.map(|one| one["level"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn doctor_looks_at_disk_clock_names_and_certificate_and_fails_for_what_is_wrong_only() {
    let node = Running::start(&[]);
    let healthy = node.ask(&["doctor", "--json"]);
    for check in ["disk.write", "disk.owner", "clock", "dns", "tls"] {
        assert_eq!(levels(&healthy, check), ["ok"], "{check}: {}", text(&healthy.stdout));
    }
    let all: serde_json::Value = serde_json::from_slice(&healthy.stdout).unwrap();
    assert!(all.as_array().unwrap().iter().all(|one| one["expected"] != ""), "{all}");
    // What these say is up to the machine; that nothing can be asked is no failure.
    for check in ["disk.space", "clock.sync", "clock.peers"] {
        assert_eq!(levels(&healthy, check).len(), 1, "{check}: {}", text(&healthy.stdout));
    }
    if levels(&healthy, "disk.space") != ["error"] {
        assert_eq!(healthy.status.code(), Some(0), "{}", text(&healthy.stdout));
    }

    let certificates = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli/doctor/certificate");
    let key = node.path("node/key.pem");
    std::fs::copy(format!("{certificates}/key.pem"), &key).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let ask = |cert: &str| {
        Command::new(env!("CARGO_BIN_EXE_relaymesh"))
            .args(["doctor", "--json", "--config"])
            .arg(node.path("node/relaymesh.toml"))
            .env_clear()
            .env("RELAYMESH_LISTEN__TLS_CERT", cert)
            .env("RELAYMESH_LISTEN__TLS_KEY", &key)
            // An address in the old form, which no resolver needs to be asked about; it is none of IPv6.
            .env("RELAYMESH_MESH__EXTERNAL", "/dns6/127.1/tcp/7443")
            .output()
            .unwrap()
    };
    let ill = ask(&format!("{certificates}/chain.pem"));
    assert_eq!(ill.status.code(), Some(5), "{}", text(&ill.stdout));
    assert_eq!(levels(&ill, "tls")[0], "error", "it was made for a spring long ago");
    assert_eq!(levels(&ill, "dns"), ["error"], "{}", text(&ill.stdout));
    assert_eq!(levels(&ask("nowhere.pem"), "tls"), ["error"]);

    let ahead = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    std::fs::File::create(node.path("node/keyring.new")).unwrap().set_modified(ahead).unwrap();
    let ill = node.ask(&["doctor", "--json"]);
    assert_eq!((ill.status.code(), levels(&ill, "clock")), (Some(5), vec!["error".to_owned()]));
    let told = text(&node.ask(&["doctor"]).stdout);
    assert!(told.contains("clock: ") && told.contains("timedatectl"), "{told}");
}

#[test]
fn a_bundle_is_never_written_over_something() {
    let dir = tempfile::tempdir().unwrap();
    let (config, file) = (dir.path().join("relaymesh.toml"), dir.path().join("bundle"));
    std::fs::write(&config, "").unwrap();
    std::fs::write(&file, "mine").unwrap();
    let words = ["bundle", "export", file.to_str().unwrap(), "--config", config.to_str().unwrap()];
    let output = relaymesh(&words);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_running_node_answers_in_both_forms_and_ends_cleanly() {
    let mut node = Running::start(&[]);
    let status = node.json(&["status"]);
    assert_eq!((status["name"].as_str(), status["members"].as_u64()), (Some("one"), Some(1)));
    let list = node.json(&["node", "list"]);
    assert_eq!(status["schema"], "relaymesh.status/1");
    assert_eq!((list[0]["state"].as_str(), list[0]["peer_id"].as_str()), (Some("self"), status["peer_id"].as_str()));
    let invited = node.json(&["node", "invite"]);
    let code = invited["code"].as_str().unwrap().to_owned();
    let warnings = invited["warnings"].as_array().unwrap();
    assert!(
        warnings.len() == 1 && warnings[0].as_str().unwrap().contains("mesh.external"),
        "it is on loopback: {invited}"
    );
    let invited = node.ask(&["node", "invite"]);
    assert_eq!(text(&invited.stdout).lines().next().unwrap().len(), code.len());
    let warned = text(&invited.stderr);
    assert!(warned.starts_with("warning: no other machine can reach") && warned.contains("listen.mesh"), "{warned}");
    // What the node does has the same words in the same order, wherever it is told.
    let shown = node.json(&["config", "show"]);
    let roles = shown.as_array().unwrap().iter().find(|row| row["key"] == "node.roles").unwrap();
    let listed: Vec<&str> = list[0]["roles"].as_array().unwrap().iter().map(|role| role.as_str().unwrap()).collect();
    assert_eq!(
        roles["value"],
        format!("[{}]", listed.iter().map(|role| format!("{role:?}")).collect::<Vec<_>>().join(", "))
    );
    assert!(
        listed == ["gateway", "vault"] && roles["origin"].as_str().unwrap().contains("relay needs mesh.external"),
        "{roles}"
    );
    let added = node.json(&["gateway", "add", "phone-1", "--msisdn", "+237650123456"]);
    assert!(added["url"].as_str().unwrap().ends_with("/v3/publish"), "{added}");
    let gateways = text(&node.ask(&["gateway", "list"]).stdout);
    assert!(
        gateways.contains("phone-1") && gateways.contains("3456") && !gateways.contains("237650123456"),
        "{gateways}"
    );
    let config = node.path("node/relaymesh.toml");
    let second = relaymesh(&["run", "--config", config.to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(4), "{}", text(&second.stderr));
    let told = text(&second.stderr);
    assert!(told.contains("another node is running") && told.lines().count() == 1, "{told}");
    assert!(node.ask(&["config", "check"]).status.success());
    assert_eq!(node.ask(&["trace", "abcdef012345"]).status.code(), Some(1));

    // Callers that say nothing more do not keep it from ending.
    let ports = [&node.http, &node.grpc].map(|url| url.strip_prefix("http://").unwrap().to_owned());
    let _open = ports.map(|port| std::net::TcpStream::connect(port).unwrap());
    let stopped = Command::new("kill").args(["-TERM", &node.child.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert_eq!(node.child.wait().unwrap().code(), Some(0));
    assert!(!node.path("node/relaymesh.sock").exists());
    assert_eq!(node.ask(&["status"]).status.code(), Some(3));
}

#[test]
fn a_busy_port_is_one_line_and_exit_4() {
    let node = Running::made();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = held.local_addr().unwrap();
    let config = node.path("node/relaymesh.toml");
    for (name, value, key) in [
        ("RELAYMESH_LISTEN__HTTP", at.to_string(), "listen.http"),
        ("RELAYMESH_LISTEN__GRPC", at.to_string(), "listen.grpc"),
        ("RELAYMESH_LISTEN__MESH", format!("/ip4/127.0.0.1/tcp/{}", at.port()), "listen.mesh"),
    ] {
        let mut run = Command::new(env!("CARGO_BIN_EXE_relaymesh"));
        let output = run.arg("run").arg("--config").arg(&config).env_clear().env(name, value).output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{key}: {told}");
        assert!(told.lines().count() == 1 && told.contains(key) && told.contains("stop what uses it"), "{key}: {told}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_relaymesh"))
        .args(["completions", "bash"])
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
}
