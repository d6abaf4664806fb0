//! What the server remembers. Nothing here waits; every call is a few look-ups.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use serde::{Deserialize, Serialize};

use crate::oauth::challenge;

/// Redirect address for people without a browser redirect, as Mastodon names it.
pub const REDIRECT_URL: &str = "urn:ietf:wg:oauth:2.0:oob";
/// How long a key is remembered, in milliseconds: as long as Mastodon does.
const KEY_MS: u64 = 60 * 60 * 1000;
/// How long a code may be exchanged, in milliseconds.
const CODE_MS: u64 = 10 * 60 * 1000;
/// Posts kept for the listing; older ones only count.
const POSTS_MAX: usize = 200_000;
/// Registrations kept; the page is local, this only bounds a loop gone wrong.
const APPS_MAX: usize = 1_000;
/// Lifetime that is promised with rotating tokens, in seconds.
const EXPIRES_IN_S: u64 = 7_200;

/// A post as the log and the listing show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    /// Who posted.
    pub account: String,
    /// The text.
    pub status: String,
    /// The key it came under.
    pub idempotency_key: Option<String>,
    /// The post's name.
    pub id: String,
    /// The post it answers.
    pub in_reply_to_id: Option<String>,
    /// Its files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media_ids: Vec<String>,
}

/// A new post as it was asked for.
pub(super) struct Draft {
    pub(super) status: String,
    pub(super) key: Option<String>,
    pub(super) in_reply_to_id: Option<String>,
    pub(super) media_ids: Vec<String>,
}

struct App {
    secret: String,
    /// Empty: any.
    redirects: Vec<String>,
}

struct Code {
    account: String,
    client: String,
    redirect: String,
    challenge: Option<String>,
    at: u64,
}

/// A token answer.
#[derive(Serialize)]
pub(super) struct Issued {
    access_token: String,
    token_type: &'static str,
    scope: &'static str,
    created_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
}

pub(super) type Fields = BTreeMap<String, String>;

pub(super) struct State {
    pub(super) url: String,
    apps: HashMap<String, App>,
    codes: HashMap<String, Code>,
    tokens: HashMap<String, String>,
    refreshes: HashMap<String, String>,
    keys: HashMap<(String, String), Post>,
    keys_by_age: VecDeque<(u64, (String, String))>,
    posts: VecDeque<Post>,
    count: u64,
    serial: u64,
    secret: RandomState,
    ahead_ms: u64,
    rotate: bool,
    pub(super) userinfo_hidden: bool,
    media_polls: u32,
}

const DEFAULT_CLIENT: &str = "relaymesh";

impl State {
    pub(super) fn new(url: String) -> Self {
        let mut state = Self {
            url,
            apps: HashMap::new(),
            codes: HashMap::new(),
            tokens: HashMap::new(),
            refreshes: HashMap::new(),
            keys: HashMap::new(),
            keys_by_age: VecDeque::new(),
            posts: VecDeque::new(),
            count: 0,
            serial: 0,
            secret: RandomState::new(),
            ahead_ms: 0,
            rotate: false,
            userinfo_hidden: false,
            media_polls: 0,
        };
        let secret = state.word("secret");
        state.apps.insert(DEFAULT_CLIENT.into(), App { secret, redirects: Vec::new() });
        state
    }

    /// A new word that nobody outside can guess.
    fn word(&mut self, kind: &str) -> String {
        self.serial += 1;
        let half = |salt: u8| {
            let mut hasher = self.secret.build_hasher();
            hasher.write_u64(self.serial);
            hasher.write_u8(salt);
            hasher.finish()
        };
        format!("{kind}-{:016x}{:016x}", half(0), half(1))
    }

    pub(super) fn default_client(&self) -> (String, String) {
        (DEFAULT_CLIENT.to_owned(), self.apps[DEFAULT_CLIENT].secret.clone())
    }

    /// A new registration: client id and secret.
    pub(super) fn register(&mut self, redirects: Vec<String>) -> Option<(String, String)> {
        if self.apps.len() >= APPS_MAX {
            return None;
        }
        let (id, secret) = (self.word("client"), self.word("secret"));
        self.apps.insert(id.clone(), App { secret: secret.clone(), redirects });
        Some((id, secret))
    }

    pub(super) fn is_client(&self, id: &str, secret: &str) -> bool {
        self.apps.get(id).is_some_and(|app| app.secret == secret)
    }

    /// The consent page's "yes": the address to send the person to.
    pub(super) fn authorize(&mut self, query: &Fields, account: &str, now: u64) -> Result<String, &'static str> {
        let field = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        let app = self.apps.get(field("client_id")).ok_or("unknown client_id")?;
        let redirect = field("redirect_uri");
        if !app.redirects.is_empty() && !app.redirects.iter().any(|known| known == redirect) {
            return Err("redirect_uri is not registered");
        }
        if field("response_type") != "code" {
            return Err("response_type must be code");
        }
        let challenge = query.get("code_challenge").cloned();
        if challenge.is_some() && field("code_challenge_method") != "S256" {
            return Err("code_challenge_method must be S256");
        }
        let mut url = url::Url::parse(redirect).map_err(|_| "redirect_uri is no url")?;
        let (client, redirect) = (field("client_id").to_owned(), redirect.to_owned());
        let state = query.get("state").cloned();
        let code = self.word("code");
        url.query_pairs_mut().append_pair("code", &code);
        if let Some(state) = state {
            url.query_pairs_mut().append_pair("state", &state);
        }
        let account = account.to_owned();
        let at = now + self.ahead_ms;
        self.codes.retain(|_, code| at.saturating_sub(code.at) <= CODE_MS);
        self.codes.insert(code, Code { account, client, redirect, challenge, at });
        Ok(url.into())
    }

    /// The token endpoint, for a client that proved itself.
    pub(super) fn exchange(&mut self, client: &str, form: &Fields, now: u64) -> Option<Issued> {
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let account = match field("grant_type") {
            "authorization_code" => {
                let code = self.codes.remove(field("code"))?;
                let proven = code.challenge.is_none_or(|c| c == challenge(field("code_verifier")));
                let fresh = (now + self.ahead_ms).saturating_sub(code.at) <= CODE_MS;
                let same = code.client == client && code.redirect == field("redirect_uri");
                (proven && fresh && same).then_some(code.account)?
            }
            "refresh_token" => self.refreshes.remove(field("refresh_token"))?,
            _ => return None,
        };
        let access_token = self.issue(&account);
        let refresh_token = self.rotate.then(|| self.word("refresh"));
        if let Some(token) = &refresh_token {
            self.refreshes.insert(token.clone(), account);
        }
        Some(Issued {
            access_token,
            token_type: "Bearer",
            scope: "profile write:statuses write:media",
            created_at: now / 1000,
            refresh_token,
            expires_in: self.rotate.then_some(EXPIRES_IN_S),
        })
    }

    pub(super) fn issue(&mut self, account: &str) -> String {
        let token = self.word("token");
        self.tokens.insert(token.clone(), account.to_owned());
        token
    }

    pub(super) fn account(&self, token: &str) -> Option<String> {
        self.tokens.get(token).cloned()
    }

    pub(super) fn revoke(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// Makes a post, or gives the one that was made under the same key within the hour. The flag
    /// says whether it is new.
    pub(super) fn post(&mut self, account: &str, draft: Draft, now: u64) -> (Post, bool) {
        let at = now + self.ahead_ms;
        self.forget_keys(at);
        let key = draft.key.clone().map(|key| (account.to_owned(), key));
        if let Some(known) = key.as_ref().and_then(|key| self.keys.get(key)) {
            return (known.clone(), false);
        }
        self.count += 1;
        let post = Post {
            at,
            account: account.to_owned(),
            status: draft.status,
            idempotency_key: draft.key,
            id: format!("{}", 100_000 + self.count),
            in_reply_to_id: draft.in_reply_to_id,
            media_ids: draft.media_ids,
        };
        if let Some(key) = key {
            self.keys.insert(key.clone(), post.clone());
            self.keys_by_age.push_back((at, key));
        }
        if self.posts.len() >= POSTS_MAX {
            self.posts.pop_front();
        }
        self.posts.push_back(post.clone());
        (post, true)
    }

    fn forget_keys(&mut self, at: u64) {
        while let Some((made, _)) = self.keys_by_age.front() {
            if at.saturating_sub(*made) <= KEY_MS {
                return;
            }
            if let Some((_, key)) = self.keys_by_age.pop_front() {
                self.keys.remove(&key);
            }
        }
    }

    /// A new file's name, and whether it is ready.
    pub(super) fn upload(&mut self) -> (String, bool) {
        self.serial += 1;
        (format!("{}", 900_000 + self.serial), self.media_polls == 0)
    }

    /// One look at a file: whether it is ready now.
    pub(super) fn look_at_media(&mut self) -> bool {
        let ready = self.media_polls <= 1;
        self.media_polls = self.media_polls.saturating_sub(1);
        ready
    }

    pub(super) fn posts(&self) -> Vec<Post> {
        self.posts.iter().cloned().collect()
    }

    pub(super) fn post_count(&self) -> u64 {
        self.count
    }

    pub(super) fn expire_tokens(&mut self) {
        self.tokens.clear();
    }

    pub(super) fn rotate_tokens(&mut self, yes: bool) {
        self.rotate = yes;
    }

    pub(super) fn hide_userinfo(&mut self, yes: bool) {
        self.userinfo_hidden = yes;
    }

    pub(super) fn slow_media(&mut self, polls: u32) {
        self.media_polls = polls;
    }

    pub(super) fn advance_ms(&mut self, ms: u64) {
        self.ahead_ms = self.ahead_ms.saturating_add(ms);
    }
}
