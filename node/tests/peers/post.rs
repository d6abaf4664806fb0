//! A person's message through two nodes to snac2.

use tempfile::TempDir;

use crate::snac::{LOGIN, Post, Snac};
use crate::support::binary;
use crate::support::kit::follow::Follow;
use crate::support::kit::http::Http;
use crate::support::kit::mesh;
use crate::support::kit::person::Person;
use crate::support::kit::process::{Node, Plan, Ports};
use crate::{SETTLE, asked, eventually};

const NUMBER: &str = "+237650400011";
const REDIRECT: &str = "https://relay.smswithoutborders.com/android";

/// A node with these settings, running.
pub async fn node(dir: &TempDir, name: &str, settings: &str) -> Node {
    let plan = Plan {
        name: name.to_owned(),
        instance: format!("{name}-instance"),
        dir: dir.path().join(name),
        key_file: dir.path().join("keys").join(format!("{name}.key")),
        ports: Ports::free(1).unwrap()[0],
        settings: settings.to_owned(),
    };
    let mut node = Node::init(binary(), plan).await.unwrap();
    node.start().await.unwrap();
    mesh::identify(&mut node).await.unwrap();
    node
}

/// Settings of a home whose people post at `snac`, in parts of 100 characters.
fn home_settings(snac: &Snac, (id, secret): (String, String)) -> String {
    let url = snac.url();
    format!(
        "\n[sms.file]\npath = \"sms.jsonl\"\n[ingress]\nwait = \"0s\"\n[net]\nallow_private = true\n\
         [platform.mastodon]\nbase_url = \"{url}\"\nclient_id = \"{id}\"\nclient_secret = \"{secret}\"\n\
         post_chars = 100\nidempotency_keys = false\n"
    )
}

/// The posts of the text's thread, in order: each answers the one before.
fn thread(mut posts: Vec<Post>) -> Vec<Post> {
    let mut thread: Vec<Post> = Vec::new();
    while let Some(next) = posts.iter().position(|post| post.in_reply_to.as_ref() == thread.last().map(|last| &last.id))
    {
        thread.push(posts.remove(next));
    }
    thread
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_enters_at_another_node_is_posted_once_as_a_thread() {
    if !asked() {
        return;
    }
    let snac = Snac::start();
    let registration = snac.register(REDIRECT).await;
    let dir = tempfile::tempdir().unwrap();
    let door = node(&dir, "door", "\n[ingress]\nwait = \"0s\"\n").await;
    let home = node(&dir, "home", &home_settings(&snac, registration)).await;
    mesh::join(&door, &home).await.unwrap();
    mesh::federate(&door, &home).await.unwrap();

    let mut outbox = Follow::new(home.dir().join("sms.jsonl"));
    let mut person = Person::sign_up(&home.grpc(), NUMBER, &mut outbox, 11).await.unwrap();
    let account = person.connect_through(async |page: &str| snac.consent(page, None).await).await.unwrap();
    assert_eq!(account, format!("{LOGIN}@{}", snac.host.replace(':', "_")));

    let text = "We are in the school at Foumban since Tuesday, forty of us, and the road to the north is closed. \
                Please tell the families that everybody is well, and that we have water until Sunday evening.";
    let sms = person.compose(text, true).unwrap();
    let client = mesh::enrol(&door, "gc", "+237650200099", Http::new()).await.unwrap();
    assert!(client.forward(NUMBER, &sms).await.unwrap().accepted());
    let words = text.split_whitespace().last().unwrap();
    eventually("the thread is posted", async || {
        snac.posts().await.iter().any(|post| post.text.contains(words)).then_some(())
    })
    .await;
    assert!(client.forward(NUMBER, &sms).await.unwrap().accepted());
    tokio::time::sleep(SETTLE).await;

    let posts = snac.posts().await;
    let count = posts.len();
    let thread = thread(posts);
    assert!(count > 1 && thread.len() == count, "{count} posts, {} of them in one thread", thread.len());
    let all: String = thread.iter().map(|post| post.text.as_str()).collect::<Vec<_>>().join(" ");
    let mut rest = all.as_str();
    for word in text.split_whitespace() {
        rest = rest.split_once(word).unwrap_or_else(|| panic!("{word:?} is missing or out of order in {all:?}")).1;
    }
    assert!(thread.iter().all(|post| post.text.chars().count() <= 100));
}
