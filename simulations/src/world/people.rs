//! People: where they are, which carrier and which home they have, which gateway numbers they know, and what they write.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use relaymesh_protocol::base64text;
use relaymesh_protocol::content::{Content, PlatformContent};
use relaymesh_protocol::ids::{DeviceId, E164, Language};
use relaymesh_protocol::payload::{Payload, PlatformPayload, PlatformVersion};

use crate::crypto::{Draft, Phone};
use crate::kernel::{Chance, Purpose};
use crate::scenario::Scenario;

/// Characters that fill a text up to its length.
const FILLER: &str = "we are well and write as soon as there is a line again ";
/// Standard deviation of the logarithm of text lengths.
const LENGTH_SIGMA: f64 = 0.6;
/// Longest text, in characters: what a post takes.
const LENGTH_MAX: f64 = 480.0;

/// A person.
pub struct Person {
    /// By number in the scenario.
    pub region: u16,
    /// By number in the scenario.
    pub carrier: u8,
    /// The node that holds the account.
    pub home: u16,
    /// Whether payloads carry the device ID.
    pub names_device: bool,
    /// Gateway clients whose numbers are known, best first at the beginning.
    pub gateways: Vec<u16>,
    /// Which of those is tried next.
    pub next: u8,
    /// Messages of this person whose publication was begun, in the order of their numbers.
    pub begun: Vec<u32>,
    /// SMS sent to this person so far.
    pub texts: u32,
    phone: Phone,
    device: DeviceId,
}

/// The number of a person: invented, of a range that nobody has.
#[must_use]
pub fn number(person: u32) -> E164 {
    format!("+2376{person:08}").parse().expect("eight digits make a number")
}

/// Whose number it is.
#[must_use]
pub fn person_of(number: &str) -> Option<u32> {
    number.strip_prefix("+2376")?.parse().ok()
}

/// The account of a person.
#[must_use]
pub fn account(person: u32) -> String {
    format!("p{person}@mastodon.test")
}

/// What a home must know of a person.
pub struct Papers {
    /// Its device.
    pub device: DeviceId,
    /// Its keys.
    pub draft: Draft,
    /// The chance of its home's part.
    pub seed: [u8; 32],
    rng: ChaCha20Rng,
}

impl Papers {
    /// A person before sign-up.
    #[must_use]
    pub fn new(chance: &Chance, person: u32) -> Self {
        let entity = u64::from(person);
        let mut rng = ChaCha20Rng::from_seed(chance.bytes(Purpose::PersonKeys, entity, 0));
        let device = DeviceId(chance.bytes(Purpose::PersonDevice, entity, 1));
        let draft = Draft::new(&mut rng);
        Self { device, draft, seed: chance.bytes(Purpose::PersonKeys, entity, 8), rng }
    }
}

/// Where a person is at home: everything but keys.
pub struct Place {
    /// Region.
    pub region: u16,
    /// Carrier.
    pub carrier: u8,
    /// Home.
    pub home: u16,
    /// Known gateway clients.
    pub gateways: Vec<u16>,
}

impl Person {
    /// A person whose home knows it. `None` if the home's key is no key.
    #[must_use]
    pub fn new(
        scenario: &Scenario,
        chance: &Chance,
        person: u32,
        papers: Papers,
        at: Place,
        server: [u8; 32],
    ) -> Option<Self> {
        let Papers { device, draft, mut rng, .. } = papers;
        let names_device =
            chance.draw(Purpose::PersonDevice, u64::from(person), 0).happens(scenario.people.device_id.0);
        let Place { region, carrier, home, gateways } = at;
        Some(Self {
            region,
            carrier,
            home,
            names_device,
            gateways,
            next: 0,
            begun: Vec::new(),
            texts: 0,
            phone: draft.connect(server, &mut rng)?,
            device,
        })
    }

    /// The device ID that payloads carry.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The SMS of a message: as the app makes it.
    ///
    /// # Panics
    /// Never: the texts made here fit their fields.
    pub fn compose(&mut self, scenario: &Scenario, chance: &Chance, me: u32, message: u32) -> String {
        let draw = chance.draw(Purpose::MessageLength, u64::from(message), 0);
        let wanted = draw.log_normal(f64::from(scenario.people.text_median), LENGTH_SIGMA).clamp(12.0, LENGTH_MAX);
        let mut body = format!("#{message} ");
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        while body.len() < wanted as usize {
            body.push_str(FILLER);
        }
        let content = PlatformContent { content: Content::Text { from: account(me), body }, tokens: None };
        let plain = content.encode(PlatformVersion::V2).expect("a short text fits");
        let payload = Payload::Platform(PlatformPayload {
            version: PlatformVersion::V2,
            shortcode: b'm',
            block: self.phone.encrypt(&plain),
            device_id: self.names_device.then_some(self.device),
            language: Some(Language::EN),
        });
        base64text::encode_wrapped(&payload.encode().expect("a short payload fits"))
    }
}

/// Which message a published text is.
#[must_use]
pub fn message_of(text: &str) -> Option<u32> {
    text.strip_prefix('#')?.split(' ').next()?.parse().ok()
}

/// SMS segments of a text in the default alphabet (3GPP TS 23.040: 160 characters alone, 153 joined).
#[must_use]
pub fn segments(text: &str) -> u16 {
    let length = text.len();
    if length <= 160 { 1 } else { u16::try_from(length.div_ceil(153)).unwrap_or(u16::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_tell_whose_they_are() {
        assert_eq!(person_of(number(12).reveal()), Some(12));
        assert_eq!(person_of("+15550100"), None);
        assert_eq!(message_of("#77 we are"), Some(77));
        assert_eq!(message_of("hello"), None);
        assert_eq!((segments(&"a".repeat(160)), segments(&"a".repeat(161)), segments(&"a".repeat(307))), (1, 2, 3));
    }
}
