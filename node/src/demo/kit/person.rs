//! A person with a phone: signs up and connects an account over gRPC, then writes SMS.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_phone::{AgeCheck, Compose, Identity, Incoming, Kind, Phone, SecretText, Style, api};
use relaymesh_protocol::content::Content;
use relaymesh_protocol::ids::{E164, Timestamp};
use relaymesh_protocol::payload::PlatformVersion;

use super::follow::{Follow, Sms};
use super::gateway::epoch_ms;
use super::http::{Http, query};
use super::rpc::{Answered, Rpc};

/// Meets all rules for passwords. Nothing is protected by it: the account lives as long as its test.
const PASSWORD: &str = "Correct1Horse!";
/// The letter of Mastodon in payloads, and its name in calls.
const MASTODON: (u8, &str) = (b'm', "mastodon");
/// A code that has not come by then will not come.
const CODE_WITHIN: Duration = Duration::from_secs(10);

/// A person, logged in.
pub struct Person {
    /// The phone in their hand.
    pub phone: Phone,
    /// Their number.
    pub number: E164,
    account: String,
    rpc: Rpc,
}

impl Person {
    /// Signs up at the node behind `grpc`; the code comes by SMS.
    pub async fn sign_up(grpc: &str, number: &str, outbox: &mut Follow<Sms>, seed: u64) -> Result<Self> {
        let number: E164 = number.parse().context("the phone has no number")?;
        let country = number.country().context("the number is in no country")?;
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let rpc = Rpc::connect(grpc).await?;
        let identity = Identity::Phone(number.clone());
        let pending = Phone::begin(Kind::SignUp { country }, identity, &mut rng);
        let first = rpc.create_entity(pending.request(PASSWORD, None, "", Style::Android)).await?;
        if !matches!(first, Answered::ProofRequired) {
            bail!("the node asked for no proof of the number");
        }
        let mine = |sms: &Sms| (sms.to == number.reveal()).then(|| read_code(&sms.text)).flatten();
        let code = outbox.wait_for(CODE_WITHIN, mine).await;
        let code = code.context("no one-time code")?;
        let second = pending.request(PASSWORD, Some(code.reveal()), "", Style::Android);
        let Answered::Session(answer) = rpc.create_entity(second).await? else {
            bail!("the node asked for another proof of the number");
        };
        let phone = pending.finish(&answer, epoch_ms() / 1000, AgeCheck::Android, &mut rng)?;
        Ok(Self { phone, number, account: String::new(), rpc })
    }

    /// Connects a Mastodon account: asks for the address, says yes on the platform's page as `login`, brings the code back.
    /// Gives the account's name as the node lists it.
    pub async fn connect(&mut self, http: &Http, login: &str) -> Result<String> {
        let consent = async |page: &str| {
            let page = http.get(&format!("{page}&login={login}")).await?;
            page.location.with_context(|| format!("the platform's page says {}", page.body))
        };
        self.connect_through(consent).await
    }

    /// As [`Person::connect`], but `consent` says yes on the platform's page and gives the address it leads back to.
    pub async fn connect_through(&mut self, consent: impl AsyncFnOnce(&str) -> Result<String>) -> Result<String> {
        let request = self.phone.authorization_request(MASTODON.1).context("the phone is not logged in")?;
        let token = self.phone.long_lived_token().context("the phone is not logged in")?.clone();
        let (redirect_url, request_identifier) = (request.redirect_url.clone(), request.request_identifier.clone());
        let authorization = self.rpc.authorization_url(request).await?;
        let back = consent(&authorization.url).await?;
        let code = query(&back, "code").context("the platform gave no code")?;
        let exchange = api::ExchangeCodeRequest {
            long_lived_token: token.clone(),
            platform: MASTODON.1.to_owned(),
            authorization_code: code.into(),
            code_verifier: authorization.code_verifier,
            redirect_url,
            store_on_device: false,
            request_identifier,
        };
        self.rpc.exchange_code(exchange).await?;
        let listed = self.rpc.stored_tokens(&token).await?;
        self.phone.import_accounts(&listed)?;
        let account = self.phone.accounts().first().context("the account is not listed")?;
        self.account = account.identifier.clone();
        Ok(self.account.clone())
    }

    /// The SMS text of a post. Without device ID the home is found by the sender's number.
    pub fn compose(&mut self, text: &str, with_device_id: bool) -> Result<String> {
        let content = Content::Text { from: self.account.clone(), body: text.to_owned() };
        let message = Compose { with_device_id, ..Compose::new(MASTODON.0, PlatformVersion::V2, content) };
        let composed = self.phone.compose(message, Timestamp(epoch_ms()))?;
        composed.sms.into_iter().next().context("a post is one SMS")
    }
}

/// The code of a one-time code SMS, read as the app reads it.
fn read_code(text: &str) -> Option<SecretText> {
    // Codes are read without a login, so a phone that knows nothing does.
    let nobody = Identity::Phone("+10000000".parse().ok()?);
    let mut rng = ChaCha20Rng::seed_from_u64(0);
    match Phone::new(nobody).read(text, Timestamp(0), &mut rng) {
        Ok(Incoming::Otp(code)) => Some(code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_told_from_other_texts() {
        let code = |text: &str| read_code(text).map(|code| code.reveal().to_owned());
        let sms = "Your SMSWithoutBorders-Auth verification code is: 123456";
        assert_eq!(code(sms).as_deref(), Some("123456"));
        assert_eq!(code("RelaySMS Delivery: Successfully sent message"), None);
        assert_eq!(code("your code is 123456"), None);
    }
}
