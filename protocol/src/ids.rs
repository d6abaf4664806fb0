//! Identifiers and units. Each is made by parsing, so that the compiler keeps apart what only shares bytes.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Milliseconds since the Unix epoch. The only clock the core knows; it is always passed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The moment `span` later; saturates.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// The moment `span` earlier; saturates at the epoch.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// Time since `earlier`; zero if that lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since the epoch.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }

    /// Whole days since the epoch.
    #[must_use]
    pub fn day(self) -> u64 {
        self.0 / 86_400_000
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Why a text is not one of our identifiers. Never holds the text itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a {what}: {why}")]
pub struct ParseIdError {
    what: &'static str,
    why: &'static str,
}

impl ParseIdError {
    fn new(what: &'static str, why: &'static str) -> Self {
        Self { what, why }
    }
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $len]);

        /// The order of the bytes. Ids are keys of nearly every map, and random: the first word decides, without a call.
        impl Ord for $name {
            fn cmp(&self, other: &Self) -> Ordering {
                let word = |id: &Self| id.0.first_chunk().map(|word| u64::from_be_bytes(*word));
                word(self).cmp(&word(other)).then_with(|| self.0.cmp(&other.0))
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl $name {
            /// The raw bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), hex::encode(&self.0[..4]))
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let mut bytes = [0; $len];
                hex::decode_to_slice(text, &mut bytes)
                    .map_err(|_| ParseIdError::new($what, concat!("expected ", $len, " bytes in hex")))?;
                Ok(Self(bytes))
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = ParseIdError;

            fn try_from(bytes: &[u8]) -> Result<Self, ParseIdError> {
                bytes.try_into().map(Self).map_err(|_| {
                    ParseIdError::new($what, concat!("expected ", $len, " bytes"))
                })
            }
        }
    };
}

byte_id!(
    /// A node: its Ed25519 public key, which is also its libp2p identity ([`NodeId::peer_id`]).
    NodeId, 32, "node id"
);
byte_id!(
    /// An instance: the Ed25519 public key that endorses its node records.
    InstanceId, 32, "instance id"
);
byte_id!(
    /// A mesh: random, made by the first node's `init`, handed on by invites.
    MeshId, 16, "mesh id"
);
byte_id!(
    /// A message: `SHA-256("RM1/message\0" ‖ device ID or E.164 ‖ payload)`; equal for every copy of one payload.
    MessageId, 32, "message id"
);
byte_id!(
    /// An envelope: random, in clear on the way; a re-sealed message gets a new one.
    EnvelopeId, 16, "envelope id"
);
byte_id!(
    /// A person's account at one instance: random, never leaves the home.
    EntityId, 16, "entity id"
);
byte_id!(
    /// Pseudonymous routing key of an entity (from a device ID) or of a number (from an oblivious evaluation).
    Tag, 16, "tag"
);
byte_id!(
    /// What a payload names its entity by: 32 bytes of an HMAC, so it cannot be guessed.
    DeviceId, 32, "device id"
);
byte_id!(
    /// A gateway client: the first bytes of the hash of its URL token.
    GatewayId, 8, "gateway id"
);

/// libp2p's inline multihash of an Ed25519 key: identity code, length 36, protobuf key type 1, 32 bytes.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

impl NodeId {
    /// The libp2p text form (`12D3Koo…`).
    #[must_use]
    pub fn peer_id(&self) -> String {
        let mut bytes = PEER_ID_PREFIX.to_vec();
        bytes.extend_from_slice(&self.0);
        bs58::encode(bytes).into_string()
    }

    /// Reads the libp2p text form of an Ed25519 peer.
    ///
    /// # Errors
    /// When the text is not base58 of an inlined Ed25519 key.
    pub fn from_peer_id(text: &str) -> Result<Self, ParseIdError> {
        let bytes = bs58::decode(text).into_vec().map_err(|_| ParseIdError::new("peer id", "not base58"))?;
        let key =
            bytes.strip_prefix(&PEER_ID_PREFIX).ok_or(ParseIdError::new("peer id", "not an inlined Ed25519 key"))?;
        Self::try_from(key)
    }
}

impl MessageId {
    /// The id of `payload` as sent by `origin` (a device ID, or the sender's E.164 text for payloads without one).
    #[must_use]
    pub fn of(origin: &[u8], payload: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"RM1/message\0");
        hash.update(origin);
        hash.update(payload);
        Self(hash.finalize().into())
    }

    /// The first 16 hex digits: what people read and type.
    #[must_use]
    pub fn short(&self) -> String {
        hex::encode(&self.0[..8])
    }
}

/// A telephone number in E.164 (`+` and 7 to 15 digits). `Display` and `Debug` mask it; [`E164::reveal`] does not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct E164(String);

/// E.164 allows 15 digits.
const E164_DIGITS_MAX: usize = 15;
/// Shorter than this is a short code, which nobody can answer or register.
const E164_DIGITS_MIN: usize = 7;

impl E164 {
    /// The number in clear, `+` included. For sending and hashing only; never for a log.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The digits without `+`.
    #[must_use]
    pub fn digits(&self) -> &str {
        self.0.get(1..).unwrap_or_default()
    }

    /// Normalises what a gateway client reported: E.164 as it is, otherwise a national format of `country`
    /// (ISO 3166 alpha-2).
    ///
    /// # Errors
    /// When the text is no number, or is not E.164 and no country is known.
    pub fn normalise(text: &str, country: Option<&str>) -> Result<Self, ParseIdError> {
        let compact: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.' | '\u{a0}')).collect();
        if let Ok(number) = compact.parse() {
            return Ok(number);
        }
        if let Some(rest) = compact.strip_prefix("00")
            && let Ok(number) = format!("+{rest}").parse()
        {
            return Ok(number);
        }
        let country =
            country.ok_or(ParseIdError::new("phone number", "not E.164, and the gateway client has no country"))?;
        let region = country
            .parse()
            .map_err(|_| ParseIdError::new("phone number", "the gateway client's country is unknown"))?;
        phonenumber::parse(Some(region), &compact)
            .ok()
            .filter(phonenumber::is_valid)
            .and_then(|n| n.format().mode(phonenumber::Mode::E164).to_string().parse().ok())
            .ok_or(ParseIdError::new("phone number", "not a number of the gateway client's country"))
    }

    /// Whether numbers without a country code can be read for this country, an ISO 3166 alpha-2 code.
    #[must_use]
    pub fn is_region(code: &str) -> bool {
        code.parse::<phonenumber::country::Id>().is_ok()
    }

    /// ISO 3166 alpha-2 code of the number's region, when the numbering plan tells it.
    #[must_use]
    pub fn country(&self) -> Option<String> {
        let parsed = phonenumber::parse(None, &self.0).ok()?;
        parsed.country().id().map(|id| id.as_ref().to_owned())
    }
}

impl FromStr for E164 {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let digits =
            text.strip_prefix('+').ok_or(ParseIdError::new("phone number", "expected + and the country code"))?;
        if !digits.bytes().all(|b| b.is_ascii_digit()) || digits.starts_with('0') {
            return Err(ParseIdError::new("phone number", "expected digits after +"));
        }
        if !(E164_DIGITS_MIN..=E164_DIGITS_MAX).contains(&digits.len()) {
            return Err(ParseIdError::new("phone number", "expected 7 to 15 digits"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for E164 {
    type Error = ParseIdError;

    fn try_from(text: String) -> Result<Self, ParseIdError> {
        text.parse()
    }
}

impl From<E164> for String {
    fn from(number: E164) -> Self {
        number.0
    }
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0.len();
        let head = self.0.get(..4).unwrap_or("+");
        let tail = self.0.get(n.saturating_sub(4)..).unwrap_or_default();
        write!(f, "{head}••••{tail}")
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Two ASCII letters, ISO 639-1; what a payload's answer is written in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Language(pub [u8; 2]);

impl Language {
    /// English: what is meant where a payload names no language.
    pub const EN: Self = Self(*b"en");
    /// French.
    pub const FR: Self = Self(*b"fr");

    /// The language of two bytes as sent; anything that is not two letters is English.
    #[must_use]
    pub fn lenient(bytes: [u8; 2]) -> Self {
        let lower = bytes.map(|b| b.to_ascii_lowercase());
        if lower.iter().all(u8::is_ascii_lowercase) { Self(lower) } else { Self::EN }
    }

    /// The two letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("en")
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_id_round_trips() {
        let node = NodeId([7; 32]);
        assert!(node.peer_id().starts_with("12D3Koo"));
        assert_eq!(NodeId::from_peer_id(&node.peer_id()), Ok(node));
        assert!(NodeId::from_peer_id("Qm").is_err());
    }

    proptest::proptest! {
        #[test]
        fn ids_are_ordered_as_their_bytes_are(a: [u8; 32], b: [u8; 32], same in 0_usize..=32) {
            let mut b = b;
            b[..same].copy_from_slice(&a[..same]);
            proptest::prop_assert_eq!(NodeId(a).cmp(&NodeId(b)), a.cmp(&b));
        }
    }

    #[test]
    fn numbers_are_normalised_with_the_country_of_the_gateway_client() {
        let parse = |t, c| E164::normalise(t, c).map(|n| n.reveal().to_owned()).ok();
        assert_eq!(parse("+237 650 12 34 56", None).as_deref(), Some("+237650123456"));
        assert_eq!(parse("00237650123456", None).as_deref(), Some("+237650123456"));
        assert_eq!(parse("650123456", Some("CM")).as_deref(), Some("+237650123456"));
        assert_eq!(parse("650123456", None), None);
        assert!(E164::is_region("CM") && !E164::is_region("ZZZ") && !E164::is_region("QQ"));
        assert_eq!(parse("MTN-Info", Some("CM")), None);
        assert_eq!(parse("+", None), None);
        assert_eq!(parse("650123456", Some("zz")), None);
    }

    #[test]
    fn numbers_print_masked() {
        let number: E164 = "+237650123456".parse().unwrap();
        assert_eq!(number.to_string(), "+237••••3456");
        assert!(!format!("{number:?}").contains("650"));
        assert_eq!(number.country().as_deref(), Some("CM"));
    }
}
