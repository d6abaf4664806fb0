//! snac2, a small server that speaks Mastodon's client API, with one account.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use reqwest::Client;
use reqwest::header::{ACCEPT, LOCATION};
use reqwest::redirect::Policy;
use serde_json::Value;
use tempfile::TempDir;

use crate::server::{Server, free_ports, run};

/// The account.
pub const LOGIN: &str = "mia";
/// The release whose habits the tests state.
const VERSION: &str = "snac 2.75";

/// The server. Dropping it ends it.
pub struct Snac {
    _server: Server,
    /// Host and port.
    pub host: String,
    password: String,
    http: Client,
    _dir: TempDir,
}

/// A post as the public sees it.
#[derive(Debug, PartialEq, Eq)]
pub struct Post {
    pub id: String,
    pub text: String,
    pub in_reply_to: Option<String>,
    pub files: Vec<String>,
}

impl Snac {
    /// Makes a new instance and starts it.
    pub fn start() -> Self {
        let usage = Command::new("snac").output().expect("snac cannot be started; run .ci/peers");
        let usage = String::from_utf8_lossy(&[usage.stdout, usage.stderr].concat()).into_owned();
        assert!(usage.starts_with(VERSION), "another release: {:?}", usage.lines().next());
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let [port] = free_ports();
        let host = format!("127.0.0.1:{port}");
        let mut init = Command::new("snac").arg("init").arg(&data).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let init = init.as_mut().unwrap();
        init.stdin.take().unwrap().write_all(format!("127.0.0.1\n{port}\n{host}\n\n\n").as_bytes()).unwrap();
        assert!(init.wait().unwrap().success(), "snac init failed");
        plain_http(&data.join("server.json"));
        let told = run(Command::new("snac").arg("adduser").arg(&data).arg(LOGIN));
        let password = told.lines().find_map(|line| line.strip_prefix("User password is "));
        let password = password.expect("a password was made").to_owned();
        let mut httpd = Command::new("snac");
        httpd.arg("httpd").arg(&data);
        let server = Server::start(httpd, &dir.path().join("log"), &[port]);
        // The server closes each connection and does not say so.
        let http = Client::builder().redirect(Policy::none()).pool_max_idle_per_host(0).build().unwrap();
        Self { _server: server, host, password, http, _dir: dir }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.host)
    }

    /// Registers an application: client id and secret.
    pub async fn register(&self, redirect_url: &str) -> (String, String) {
        let scopes = "profile write:statuses write:media";
        let form = [("client_name", "relaymesh"), ("redirect_uris", redirect_url), ("scopes", scopes)];
        let made = self.http.post(format!("{}/api/v1/apps", self.url())).form(&form).send().await.unwrap();
        let made: Value = made.error_for_status().unwrap().json().await.unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("client_id"), text("client_secret"))
    }

    /// Opens the consent page, fills the form in and sends it: the address that the browser is sent to.
    pub async fn consent(&self, page: &str, password: Option<&str>) -> Result<String> {
        let form = self.http.get(page).send().await?.error_for_status()?.text().await?;
        let to = attribute(&form, "action").context("the page has no form")?;
        let mut fields = vec![("login".to_owned(), LOGIN.to_owned())];
        fields.push(("passwd".to_owned(), password.unwrap_or(&self.password).to_owned()));
        for input in form.split("<input type=\"hidden\"").skip(1) {
            let (name, value) = (attribute(input, "name"), attribute(input, "value"));
            fields.push((name.context("a field without name")?, value.context("a field without value")?));
        }
        let answer = self.http.post(to).form(&fields).send().await?;
        let location = answer.headers().get(LOCATION).context("the form leads nowhere")?;
        Ok(location.to_str()?.to_owned())
    }

    /// What any other server of the fediverse can read, newest first.
    pub async fn posts(&self) -> Vec<Post> {
        let outbox = format!("{}/{LOGIN}/outbox", self.url());
        let answer = self.http.get(outbox).header(ACCEPT, "application/activity+json").send().await.unwrap();
        let outbox: Value = answer.error_for_status().unwrap().json().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let posts = outbox["orderedItems"].as_array().unwrap().iter().map(|item| &item["object"]);
        let post = |post: &Value| Post {
            id: text(&post["id"]),
            text: text(&post["sourceContent"]),
            in_reply_to: post["inReplyTo"].as_str().map(str::to_owned),
            files: post["attachment"].as_array().into_iter().flatten().map(|file| text(&file["url"])).collect(),
        };
        posts.map(post).collect()
    }

    /// A public file.
    pub async fn file(&self, url: &str) -> Vec<u8> {
        self.http.get(url).send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap().to_vec()
    }
}

/// There is no TLS front before it here.
fn plain_http(settings: &std::path::Path) {
    let mut server: Value = serde_json::from_slice(&std::fs::read(settings).unwrap()).unwrap();
    server["protocol"] = "http".into();
    std::fs::write(settings, server.to_string()).unwrap();
}

/// The first attribute of this name; the server's pages have none that need decoding.
fn attribute(html: &str, name: &str) -> Option<String> {
    let (_, rest) = html.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}
