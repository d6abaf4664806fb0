//! Three nodes of three operators: where messages come in, where they are kept for a home that is dead, and the home. And
//! what is carried between them by hand.

use std::path::Path;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_mail::sink::SmtpSink;
use tempfile::TempDir;
use toml::Value;

use crate::harness::scan::Scanner;
use crate::provider::Providers;
use crate::support::kit::process::Node;
use crate::support::{World, configure};
use crate::usage::{NUMBER, PASSWORD, Use};
use crate::{SOON, assert_logs_everything, copy, digits, eventually, everything, plant, stop, write_private};

/// Where messages come in; all others are its partners.
const INGRESS: usize = 0;
/// Where copies are kept for the home while it is away.
const CUSTODIAN: usize = 1;
const HOME: usize = 2;
const STRAIGHT: &str = "Water is at the school until noon";
const BY_NUMBER: &str = "The road to Kumba is open again";
const WAITS: &str = "No power in Bonaberi since Sunday";
const WAITS_BY_NUMBER: &str = "The market has moved to the church";

/// All that was written outside of the nodes' directories, or is there for a while only.
struct Kept(TempDir);

impl Kept {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// What the nodes have on their disks now.
    fn disks(&self, name: &str, world: &World) {
        std::fs::create_dir(self.path(name)).unwrap();
        for node in &world.nodes {
            copy(node.dir(), &self.path(name).join(node.name()));
        }
    }

    /// What a node gives to whoever carries it.
    async fn bundle(&self, name: &str, node: &Node) {
        node.ask(&["bundle", "export", self.path(name).to_str().unwrap()]).await.unwrap();
    }
}

/// Everything is logged, SMS leave through providers whose secrets are in files, and the home mails.
fn prepare(node: &Node, secrets: &Path, providers: &Providers, mail: &SmtpSink) {
    let change = |config: &mut toml::Table| {
        config.extend(everything((node.name() == format!("n{HOME}")).then_some(mail)));
        let sms = config["sms"].as_table_mut().unwrap();
        sms.insert("http".to_owned(), providers.settings(secrets).into());
        let mastodon = config["platform"]["mastodon"].as_table_mut().unwrap();
        let secret = mastodon["client_secret"].as_str().unwrap();
        write_private(&secrets.join("platform"), secret);
        let file = Value::from(secrets.join("platform").to_str().unwrap());
        mastodon.insert("client_secret".to_owned(), Value::Table([("file".to_owned(), file)].into_iter().collect()));
    };
    configure(node, change).unwrap();
}

async fn count(node: &Node, name: &str) -> u64 {
    node.ask(&["status"]).await.unwrap()[name].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_readable_is_on_any_disk_of_a_mesh_or_on_a_stick() {
    let (mail, providers) = (SmtpSink::start(([127, 0, 0, 1], 0).into()).await.unwrap(), Providers::start().await);
    let secrets = tempfile::tempdir().unwrap();
    let prepare = |node: &Node| prepare(node, secrets.path(), &providers, &mail);
    let mut world = World::start_with(3, &prepare).await.unwrap();
    let (mut scanner, kept) = (Scanner::default(), Kept(tempfile::tempdir().unwrap()));
    providers.plant(&mut scanner);
    scanner.plant("secret at the platform", world.platform.client().1.as_bytes());
    world.invites.iter().for_each(|code| plant::invite(code, &mut scanner));

    let rng = ChaCha20Rng::seed_from_u64(12);
    let mut usage = Use { rng, world: &world, home: HOME, mail: &mail, scanner: &mut scanner };
    let code = async || {
        eventually("a code by SMS", || !providers.to(NUMBER).is_empty()).await;
        digits(&providers.to(NUMBER)[0].text).unwrap()
    };
    let mut phone = usage.sign_up(NUMBER, PASSWORD, code).await;
    assert!(providers.refused() > 0, "the first provider was tried before");
    usage.connect(&mut phone).await;
    let client = usage.gateway(INGRESS).await;
    usage.post(&mut phone, &client, STRAIGHT, true).await;
    usage.post(&mut phone, &client, BY_NUMBER, false).await;
    usage.published(STRAIGHT).await;
    usage.published(BY_NUMBER).await;
    usage.bridge_mail(&mut phone, &client).await;

    world.nodes[HOME].kill().await.unwrap();
    let rng = ChaCha20Rng::seed_from_u64(13);
    let mut usage = Use { rng, world: &world, home: HOME, mail: &mail, scanner: &mut scanner };
    usage.post(&mut phone, &client, WAITS, true).await;
    usage.post(&mut phone, &client, WAITS_BY_NUMBER, false).await;
    let (ingress, custodian) = (&world.nodes[INGRESS], &world.nodes[CUSTODIAN]);
    let begun = Instant::now();
    while count(custodian, "custody").await < 2 {
        assert!(begun.elapsed() < SOON, "copies of both go to the custodian");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    kept.bundle("of-the-ingress", ingress).await;
    kept.bundle("of-the-custodian", custodian).await;
    kept.disks("while-the-home-is-dead", &world);

    world.nodes[HOME].start().await.unwrap();
    eventually("what waited is published", || world.count(WAITS) + world.count(WAITS_BY_NUMBER) == 2).await;
    kept.bundle("of-the-home", &world.nodes[HOME]).await;
    for node in &mut world.nodes {
        stop(node).await;
    }
    kept.disks("before-the-token-moves", &world);
    let home = &mut world.nodes[HOME];
    home.start().await.unwrap();
    plant::tokens(home, &phone, &mut scanner).await;
    stop(home).await;
    kept.disks("at-the-end", &world);
    scanner.state("state of the phone", &phone.encode());
    world.nodes.iter().for_each(|node| drop(plant::keys(node, &mut scanner)));

    assert_what_may_be_read_is_found(&kept, &world);
    let found = scanner.scan(kept.0.path());
    assert!(found.is_empty(), "readable:\n{}", found.join("\n"));
}

/// The disks and bundles are searched, and have in them what they should.
fn assert_what_may_be_read_is_found(kept: &Kept, world: &World) {
    world.nodes.iter().for_each(assert_logs_everything);
    let mut control = Scanner::default();
    control.plant("the home's peer id", world.nodes[HOME].peer_id.as_bytes());
    control.plant("format", b"relaymesh-store");
    control.plant("the home's address", world.nodes[HOME].mesh().as_bytes());
    let seen = control.scan(kept.0.path()).join("\n");
    for name in ["of-the-ingress", "of-the-custodian", "of-the-home"] {
        assert!(seen.contains(name), "{name} is searched: {seen}");
    }
    for node in &world.nodes {
        for file in ["log", "store/FORMAT"] {
            let at = format!("while-the-home-is-dead/{}/{file}", node.name());
            assert!(seen.contains(&at), "{at} is searched: {seen}");
        }
    }
}
