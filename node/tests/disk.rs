//! A disk that is full, and one that breaks: acknowledgements stop and the process does not, and both come back by
//! themselves. The faults come from a small C library that is preloaded into the node (`disk/full.c`).
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use support::World;
use support::kit::gateway::GatewayClient;

/// The store reopens within ten seconds of a disk that works again; the machine may be busy.
const BACK_WITHIN: Duration = Duration::from_secs(60);
/// Pause before an SMS that was not acknowledged is forwarded again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// How many SMS come in while the disk is at fault.
const DURING_FAULT: usize = 5;

/// A script that starts the binary with the faulty disk, and the file that switches a fault on.
fn faulty_binary(place: &Path) -> (PathBuf, PathBuf) {
    let (shim, switch, script) = (place.join("full.so"), place.join("fault"), place.join("relaymesh"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/disk/full.c");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let flags = ["-shared", "-fPIC", "-O1", "-o"];
    let made = Command::new(&compiler).args(flags).arg(&shim).arg(&source).arg("-ldl").status();
    assert!(made.unwrap_or_else(|error| panic!("{compiler}: {error}")).success());
    let lines = format!(
        "#!/bin/sh\nexport LD_PRELOAD='{}' RELAYMESH_TEST_DISK='{}' RELAYMESH_TEST_ROOT='{}'\nexec '{}' \"$@\"\n",
        shim.display(),
        switch.display(),
        place.join("nodes").display(),
        support::binary().display()
    );
    fs::write(&script, lines).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    (script, switch)
}

/// Forwards one SMS until it is acknowledged.
async fn insist(client: &GatewayClient, number: &str, sms: &str) {
    let begun = Instant::now();
    loop {
        let answer = client.forward(number, sms).await.unwrap();
        if answer.accepted() {
            return;
        }
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert!(begun.elapsed() < BACK_WITHIN, "it does not come back: {}", answer.text);
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_or_broken_disk_stops_acknowledgements_and_not_the_process() {
    let place = tempfile::tempdir().unwrap();
    let nodes = place.path().join("nodes");
    fs::create_dir(&nodes).unwrap();
    let (binary, switch) = faulty_binary(place.path());
    let world = World::start_as(1, &binary, &nodes).await.unwrap();
    let pid = world.nodes[0].pid().unwrap();
    let mut person = world.person(0, "+237650600001", "ada").await.unwrap();
    let number = person.number.reveal().to_owned();
    let client = world.gateway(0, "booth", "+237650600009").await.unwrap();
    insist(&client, &number, &person.compose("before", true).unwrap()).await;
    assert_eq!(world.counts(&["before"]).await, [1]);

    let mut texts = vec!["before".to_owned()];
    for fault in ["full", "broken"] {
        fs::write(&switch, fault).unwrap();
        let mut waiting = Vec::new();
        for n in 0..DURING_FAULT {
            let text = format!("{fault} {n}");
            let sms = person.compose(&text, true).unwrap();
            let answer = client.forward(&number, &sms).await;
            let answer = answer.unwrap_or_else(|error| panic!("{fault}: {error:#}\n{}", world.nodes[0].tail()));
            assert_eq!(answer.status, 503, "{fault}: {}", answer.text);
            assert!(!answer.text.contains('/'), "no internals: {}", answer.text);
            texts.push(text);
            waiting.push(sms);
        }
        assert!(support::is_alive(pid), "{}", world.nodes[0].tail());
        let live = world.http.get(&format!("{}/health/live", world.nodes[0].http())).await.unwrap();
        assert_eq!(live.status, 200, "alive, though it takes nothing");
        fs::remove_file(&switch).unwrap();
        for sms in &waiting {
            insist(&client, &number, sms).await;
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert!(world.counts(&texts).await.iter().all(|count| *count == 1), "each is published once");
    }
    assert_eq!(world.nodes[0].pid(), Some(pid), "and it was one process all along");
    assert!(support::is_alive(pid));
}
