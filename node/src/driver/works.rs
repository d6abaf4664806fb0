//! Slow and outside work: password hashing on a bounded pool; each platform, mail, codes by mail and each SMS port behind a
//! bound of its own, so that one that hangs delays nobody else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use relaymesh_core::command::Private;
use relaymesh_core::{
    Exchanged, PublishContent, PublishRequest, SendError, SmsPurpose, Work, WorkDone, WorkError, WorkId,
};
use relaymesh_mail::Mailer;
use relaymesh_protocol::ids::E164;
use relaymesh_publish::adapter::{Adapter, Media, PartRequest, Sent};
use relaymesh_publish::captcha::Captcha;
use relaymesh_publish::oauth::{Exchange, OAuthError};
use relaymesh_seal::keyfile::{KeyFile, Keyring};
use relaymesh_seal::password::{self, Cost, VerifyError};
use relaymesh_sms::{Exceeded, Port, Purpose, Sms};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::budget::{Kept, To};
use super::hub::now;
use super::mails;

/// Argon2id runs at once: each takes 64 MiB and a core.
const HASHES_MAX: usize = 2;
/// Further ones that may wait; beyond that callers hear that the node is busy.
const HASHES_WAITING_MAX: usize = 16;
/// Requests to one platform at once.
const PLATFORM_MAX: usize = 128;
/// Mails of people at once; the smart host may hang.
const MAILS_MAX: usize = 32;
/// One-time codes by e-mail at once, beside them.
const CODE_MAILS_MAX: usize = 32;
/// SMS at once, through each port.
const PORT_MAX: usize = 32;
/// Questions to the captcha service at once; callers beyond that hear that the node is busy.
const CAPTCHAS_MAX: usize = 64;

/// What works need.
pub struct Tools {
    /// Platform adapters by name.
    pub adapters: BTreeMap<String, Adapter>,
    /// Tells people from robots.
    pub captcha: Option<Captcha>,
    /// The smart host of the bridge and of codes by e-mail.
    pub mailer: Option<Mailer>,
    /// Sender of codes by e-mail.
    pub otp_from: Option<String>,
    /// Ports in the order they are tried, each with the number of its group.
    pub ports: Vec<(usize, Port)>,
    /// What may be spent on SMS.
    pub budget: Option<Kept>,
    /// The key file, saved whenever the keyring changes.
    pub keyfile: KeyFile,
    /// Cost of password hashes.
    pub cost: Cost,
}

struct Shared {
    tools: Tools2,
    budget: Mutex<Option<Kept>>,
    keyfile: Mutex<KeyFile>,
    hashing: Semaphore,
    hashing_or_waiting: Arc<Semaphore>,
    platforms: BTreeMap<String, Semaphore>,
    mails: Semaphore,
    code_mails: Semaphore,
    captchas: Semaphore,
}

/// The part of [`Tools`] that never changes.
struct Tools2 {
    adapters: BTreeMap<String, Adapter>,
    captcha: Option<Captcha>,
    mailer: Option<Mailer>,
    otp_from: Option<String>,
    ports: Vec<Gated>,
    cost: Cost,
}

/// An SMS port, and room for what goes through it at once.
struct Gated {
    /// Ports of one group follow each other in the order of ways.
    group: usize,
    port: Port,
    room: Semaphore,
}

/// Starts works and hands their ends to the loop.
#[derive(Clone)]
pub struct Works {
    shared: Arc<Shared>,
    done: mpsc::Sender<(WorkId, WorkDone)>,
}

impl Works {
    pub fn new(tools: Tools, done: mpsc::Sender<(WorkId, WorkDone)>) -> Self {
        let platforms = tools.adapters.keys().map(|name| (name.clone(), Semaphore::new(PLATFORM_MAX))).collect();
        let Tools { adapters, captcha, mailer, otp_from, ports, budget, keyfile, cost } = tools;
        let ports =
            ports.into_iter().map(|(group, port)| Gated { group, port, room: Semaphore::new(PORT_MAX) }).collect();
        let shared = Shared {
            tools: Tools2 { adapters, captcha, mailer, otp_from, ports, cost },
            budget: Mutex::new(budget),
            keyfile: Mutex::new(keyfile),
            hashing: Semaphore::new(HASHES_MAX),
            hashing_or_waiting: Arc::new(Semaphore::new(HASHES_MAX + HASHES_WAITING_MAX)),
            platforms,
            mails: Semaphore::new(MAILS_MAX),
            code_mails: Semaphore::new(CODE_MAILS_MAX),
            captchas: Semaphore::new(CAPTCHAS_MAX),
        };
        Self { shared: Arc::new(shared), done }
    }

    /// Starts a piece of work; its end comes back exactly once, whatever another server's answer does to it.
    pub fn start(&self, id: WorkId, work: Work) {
        let lost = lost(&work);
        let shared = Arc::clone(&self.shared);
        self.tell(id, lost, tokio::spawn(async move { shared.work(work).await }));
    }

    /// Saves the keyring, then tells.
    pub fn save_keys(&self, id: WorkId, keyring: Keyring) {
        let shared = Arc::clone(&self.shared);
        let saving = tokio::task::spawn_blocking(move || {
            let mut nonce = [0; 24];
            let drawn = getrandom::fill(&mut nonce);
            let mut keyfile = shared.keyfile.lock().unwrap_or_else(PoisonError::into_inner);
            let saved = drawn.map_err(|_| WorkError::Failed).and_then(|()| {
                keyfile.save(&keyring, nonce).map_err(|error| {
                    tracing::error!(%error, "the key file cannot be saved");
                    WorkError::Failed
                })
            });
            WorkDone::KeysSaved(saved)
        });
        self.tell(id, WorkDone::KeysSaved(Err(WorkError::Failed)), saving);
    }

    /// Hands the end of a task to the loop; `lost`, if it panicked.
    fn tell(&self, id: WorkId, lost: WorkDone, task: JoinHandle<WorkDone>) {
        let done = self.done.clone();
        tokio::spawn(async move {
            let end = match task.await {
                Ok(end) => end,
                Err(error) if error.is_panic() => {
                    tracing::error!("a piece of work panicked; please report this with the lines before it");
                    lost
                }
                // The runtime ends, and the loop with it.
                Err(_) => return,
            };
            // The loop is gone: nobody waits any more.
            let _ = done.send((id, end)).await;
        });
    }
}

/// What is known of a work that broke off somewhere: what goes to others may have been done.
fn lost(work: &Work) -> WorkDone {
    match work {
        Work::HashPassword { .. } => WorkDone::Hashed(Err(WorkError::Failed)),
        Work::VerifyPassword { .. } => WorkDone::Verified(Err(WorkError::Failed)),
        Work::Captcha { .. } => WorkDone::Captcha(Err(WorkError::Failed)),
        Work::Sms { .. } | Work::OtpMail { .. } => WorkDone::Sent(Err(SendError::Unknown)),
        Work::Publish { .. } => WorkDone::Published(Err(SendError::Unknown)),
        Work::Refresh { .. } => WorkDone::Refreshed(Err(SendError::Unknown)),
        Work::Exchange { .. } => WorkDone::Exchanged(Err(SendError::Unknown)),
        Work::Revoke { .. } => WorkDone::Revoked,
    }
}

impl Shared {
    async fn work(self: &Arc<Self>, work: Work) -> WorkDone {
        match work {
            Work::HashPassword { password, salt } => WorkDone::Hashed(self.hash(password, salt).await),
            Work::VerifyPassword { password, hash } => WorkDone::Verified(self.verify(password, hash).await),
            Work::Captcha { token } => WorkDone::Captcha(self.captcha(&token).await),
            Work::Sms { to, text, id, purpose, ports } => {
                WorkDone::Sent(self.sms(&to, &text, &id, purpose, ports).await)
            }
            Work::OtpMail { to, code } => WorkDone::Sent(self.otp_mail(&to, &code).await),
            Work::Publish { request, .. } => WorkDone::Published(self.publish(*request).await),
            Work::Refresh { platform, token } => WorkDone::Refreshed(self.refresh(&platform, &token).await),
            Work::Exchange { platform, code, code_verifier, redirect_url } => {
                WorkDone::Exchanged(self.exchange(&platform, &code, &code_verifier, &redirect_url).await)
            }
            Work::Revoke { platform, token } => {
                if let Some(adapter) = self.tools.adapters.get(&platform)
                    && let Err(error) = adapter.revoke(token.reveal()).await
                {
                    tracing::info!(%error, platform, "the platform did not revoke a token");
                }
                WorkDone::Revoked
            }
        }
    }

    async fn pooled<T: Send + 'static>(
        self: &Arc<Self>,
        task: impl FnOnce(&Self) -> Result<T, WorkError> + Send + 'static,
    ) -> Result<T, WorkError> {
        let waiting = Arc::clone(&self.hashing_or_waiting).try_acquire_owned().map_err(|_| WorkError::Busy)?;
        let _running = self.hashing.acquire().await.map_err(|_| WorkError::Failed)?;
        let shared = Arc::clone(self);
        let ended = tokio::task::spawn_blocking(move || task(&shared)).await;
        drop(waiting);
        ended.unwrap_or(Err(WorkError::Failed))
    }

    async fn hash(self: &Arc<Self>, password: Private, salt: [u8; 16]) -> Result<String, WorkError> {
        self.pooled(move |shared| {
            let keyfile = shared.keyfile.lock().unwrap_or_else(PoisonError::into_inner);
            let pepper = keyfile.pepper();
            drop(keyfile);
            password::hash(password.reveal().as_bytes(), &salt, &pepper, shared.tools.cost)
                .map_err(|_| WorkError::Failed)
        })
        .await
    }

    async fn verify(self: &Arc<Self>, password: Private, hash: String) -> Result<bool, WorkError> {
        self.pooled(move |shared| {
            let keyfile = shared.keyfile.lock().unwrap_or_else(PoisonError::into_inner);
            let pepper = keyfile.pepper();
            drop(keyfile);
            match password::verify(password.reveal().as_bytes(), &pepper, &hash) {
                Ok(()) => Ok(true),
                Err(VerifyError::Mismatch) => Ok(false),
                Err(_) => Err(WorkError::Failed),
            }
        })
        .await
    }

    /// Whoever cannot be asked says yes to nobody.
    async fn captcha(&self, token: &Private) -> Result<bool, WorkError> {
        let _permit = self.captchas.try_acquire().map_err(|_| WorkError::Busy)?;
        let captcha = self.tools.captcha.as_ref().ok_or(WorkError::Failed)?;
        captcha.verify(token.reveal()).await.map_err(|_| WorkError::Failed)
    }

    async fn sms(
        &self,
        to: &Private,
        text: &Private,
        id: &[u8; 16],
        purpose: SmsPurpose,
        group: Option<usize>,
    ) -> Result<(), SendError> {
        let at_ms = now().0;
        let country = to.reveal().parse::<E164>().ok().and_then(|number| number.country()).unwrap_or_default();
        let purpose = match purpose {
            SmsPurpose::Code => Purpose::Code,
            SmsPurpose::Token => Purpose::Token,
            SmsPurpose::Notice => Purpose::Notice,
            SmsPurpose::Published => Purpose::Published,
        };
        let whom = To { number: to.reveal(), country: &country, purpose };
        self.afford(at_ms, &whom)?;
        let id = hex::encode(id);
        let sent = self.through_ports(&Sms { to: to.reveal(), text: text.reveal(), id: &id, at_ms }, group).await;
        if matches!(sent, Err(SendError::Retry { .. } | SendError::Refused { .. })) {
            self.with_budget(|budget| budget.refund(at_ms, &whom));
        }
        sent
    }

    async fn through_ports(&self, sms: &Sms<'_>, group: Option<usize>) -> Result<(), SendError> {
        let asked = |gated: &&Gated| group.is_none_or(|group| gated.group == group);
        let ports: Vec<&Gated> = self.tools.ports.iter().filter(asked).collect();
        let mut result = SendError::Refused { text: "no SMS port is configured".to_owned() };
        for (n, Gated { port, room, .. }) in ports.iter().enumerate() {
            // A port that has no room, maybe because it hangs, is passed over while another is left.
            let is_last = n + 1 == ports.len();
            let permit = if is_last { room.acquire().await.ok() } else { room.try_acquire().ok() };
            let Some(_permit) = permit else {
                result = SendError::Retry { after_ms: None };
                continue;
            };
            match port.send(sms).await {
                Ok(_) => return Ok(()),
                Err(relaymesh_sms::SendError::Unknown) => return Err(SendError::Unknown),
                Err(relaymesh_sms::SendError::Retry { retry_after_ms }) => {
                    result = SendError::Retry { after_ms: retry_after_ms };
                }
                Err(error) => {
                    tracing::warn!(%error, "an SMS port refused");
                    if !matches!(result, SendError::Retry { .. }) {
                        result = SendError::Refused { text: "the SMS port refused".to_owned() };
                    }
                }
            }
        }
        Err(result)
    }

    fn afford(&self, at_ms: u64, to: &To<'_>) -> Result<(), SendError> {
        self.with_budget(|budget| budget.spend(at_ms, to)).unwrap_or(Ok(())).map_err(|error| {
            tracing::warn!(%error, "an SMS was not sent");
            match (to.purpose, error) {
                // It is needed tomorrow as well.
                (Purpose::Token, Exceeded::CountryDay | Exceeded::NumberDay | Exceeded::Day) => {
                    SendError::Retry { after_ms: None }
                }
                _ => SendError::Refused { text: error.to_string() },
            }
        })
    }

    fn with_budget<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> Option<T> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(act)
    }

    async fn otp_mail(&self, to: &Private, code: &Private) -> Result<(), SendError> {
        let _permit = self.code_mails.acquire().await;
        let (Some(mailer), Some(from)) = (&self.tools.mailer, &self.tools.otp_from) else {
            return Err(SendError::Refused { text: "no mail host is configured".to_owned() });
        };
        mails::send(mailer, mails::otp(from, to, code, now().0)).await
    }

    async fn publish(&self, request: PublishRequest) -> Result<String, SendError> {
        if let PublishContent::Email { .. } = &request.content {
            let _permit = self.mails.acquire().await;
            let Some(mailer) = &self.tools.mailer else {
                return Err(SendError::Refused { text: "no mail host is configured".to_owned() });
            };
            let mail = mails::bridge(&request, now().0);
            let id = mail.message_id.clone();
            return mails::send(mailer, mail).await.map(|()| id);
        }
        let (Some(adapter), Some(gate)) =
            (self.tools.adapters.get(&request.platform), self.platforms.get(&request.platform))
        else {
            return Err(SendError::Refused { text: "the platform is not configured".to_owned() });
        };
        let _permit = gate.acquire().await;
        let part = part(&request)?;
        match adapter.publish(&part).await {
            Ok(Sent::Posted { remote_id, .. }) => Ok(remote_id),
            Err(error) => Err(send_error(error)),
        }
    }

    async fn refresh(&self, platform: &str, token: &Private) -> Result<Private, SendError> {
        let adapter = self.adapter(platform)?;
        let fresh = adapter.refresh(token.reveal(), now().seconds()).await.map_err(oauth_error)?;
        Ok(Private(fresh.to_string()))
    }

    async fn exchange(
        &self,
        platform: &str,
        code: &Private,
        code_verifier: &Private,
        redirect_url: &str,
    ) -> Result<Exchanged, SendError> {
        let adapter = self.adapter(platform)?;
        let exchange = Exchange {
            code: code.reveal(),
            code_verifier: code_verifier.reveal(),
            redirect_url,
            now_s: now().seconds(),
        };
        let account = adapter.exchange(&exchange).await.map_err(oauth_error)?;
        Ok(Exchanged { token: Private(account.token_json.to_string()), account: Private(account.identifier) })
    }

    fn adapter(&self, platform: &str) -> Result<&Adapter, SendError> {
        let missing = || SendError::Refused { text: "the platform is not configured".to_owned() };
        self.tools.adapters.get(platform).ok_or_else(missing)
    }
}

/// A core request as an adapter takes it.
fn part(request: &PublishRequest) -> Result<PartRequest, SendError> {
    let PublishContent::Text { text, image } = &request.content else {
        return Err(SendError::Refused { text: "the platform takes posts only".to_owned() });
    };
    let media = image.iter().map(|image| Media {
        filename: "image.webp".to_owned(),
        mimetype: "image/webp".to_owned(),
        data: image.0.clone(),
    });
    Ok(PartRequest {
        idempotency_key: request.idempotency_key.clone(),
        account: request.account.reveal().to_owned(),
        token_json: Zeroizing::new(request.token.reveal().to_owned()),
        text: Zeroizing::new(text.reveal().to_owned()),
        in_reply_to: request.in_reply_to.clone(),
        media: media.collect(),
    })
}

fn send_error(error: relaymesh_publish::adapter::SendError) -> SendError {
    use relaymesh_publish::adapter::SendError as E;
    tracing::info!(%error, "a platform did not take a part");
    match error {
        E::Retry { retry_after_ms, .. } => SendError::Retry { after_ms: retry_after_ms },
        E::Unknown => SendError::Unknown,
        E::Unauthorized => SendError::Unauthorized,
        E::Refused { .. } | E::Invalid(_) => SendError::Refused { text: error.to_string() },
    }
}

fn oauth_error(error: OAuthError) -> SendError {
    match error {
        OAuthError::Retry { retry_after_ms, .. } => SendError::Retry { after_ms: retry_after_ms },
        OAuthError::Unknown => SendError::Unknown,
        other => SendError::Refused { text: other.to_string() },
    }
}

#[cfg(test)]
mod tests;
