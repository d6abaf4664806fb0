//! Bridge payloads, markers 0x0A, 2 and 3, with both switches (payloads.md §4). The leading 0 is already gone here.

use std::fmt;

use super::{EncodeError, PayloadError, block_len_u16, read_block, read_language};
use crate::ids::Language;
use crate::wire::Reader;

/// Bytes of an X25519 public key.
const KEY_BYTES: usize = 32;
const SWITCH_KEY_EXCHANGE: u8 = 0;
const SWITCH_PAYLOAD_ONLY: u8 = 1;

/// Marker of a bridge payload, and layout of the content in its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BridgeVersion {
    /// `0x0A`: text content. iOS.
    V1,
    /// `0x02`: binary content, image allowed. Android.
    V2,
    /// `0x03`: binary content with a bitmap of optional fields.
    V3,
}

/// The key exchange in front of a first bridge payload (switch 0).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyExchange {
    /// Which of the server's static keys.
    pub kid: u8,
    /// The client's X25519 public key.
    pub client_public: [u8; KEY_BYTES],
}

/// A payload for the e-mail bridge; its sender's number is the only identity.
#[derive(Clone, PartialEq, Eq)]
pub struct BridgePayload {
    /// Which marker.
    pub version: BridgeVersion,
    /// Switch 0 brings one, switch 1 does not.
    pub key_exchange: Option<KeyExchange>,
    /// Which bridge; `e` is e-mail.
    pub letter: u8,
    /// Ciphertext block: 76 + 16k bytes.
    pub block: Vec<u8>,
    /// Language of the answer; iOS leaves it out.
    pub language: Option<Language>,
}

impl BridgeVersion {
    fn marker(self) -> u8 {
        match self {
            Self::V1 => 0x0A,
            Self::V2 => 0x02,
            Self::V3 => 0x03,
        }
    }

    fn from_marker(marker: u8) -> Option<Self> {
        [Self::V1, Self::V2, Self::V3].into_iter().find(|v| v.marker() == marker)
    }
}

impl BridgePayload {
    /// Reads a bridge payload without its leading 0.
    ///
    /// # Errors
    /// When any length does not fit exactly, or marker or switch is unknown. Marker-less version 0 is unknown too:
    /// nobody sends it any more, and it clashes with markers 2 and 3.
    pub fn parse(bytes: &[u8]) -> Result<Self, PayloadError> {
        let mut reader = Reader::new(bytes);
        let marker = reader.u8("bridge version")?;
        let version = BridgeVersion::from_marker(marker)
            .ok_or(PayloadError::UnknownVersion { kind: "bridge", version: marker })?;
        let with_key = match reader.u8("bridge switch")? {
            SWITCH_KEY_EXCHANGE => true,
            SWITCH_PAYLOAD_ONLY => false,
            switch => return Err(PayloadError::UnknownSwitch { switch }),
        };
        if with_key {
            expect_key_length(reader.u8("client key length")?)?;
        }
        let block_len = reader.u16("block length")?.into();
        let letter = reader.u8("bridge letter")?;
        let key_exchange = if with_key { Some(read_key_exchange(&mut reader)?) } else { None };
        let block = read_block(&mut reader, block_len)?;
        let language = read_language(reader)?;
        Ok(Self { version, key_exchange, letter, block, language })
    }

    /// The payload's bytes without the leading 0; [`BridgePayload::parse`] reads them back.
    ///
    /// # Errors
    /// When the block is none, or too long.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let [low, high] = block_len_u16(&self.block)?.to_le_bytes();
        let marker = self.version.marker();
        let mut bytes = Vec::with_capacity(self.block.len() + KEY_BYTES + 9);
        match &self.key_exchange {
            Some(key) => {
                bytes.extend([marker, SWITCH_KEY_EXCHANGE, KEY_BYTES as u8, low, high, self.letter, key.kid]);
                bytes.extend(key.client_public);
            }
            None => bytes.extend([marker, SWITCH_PAYLOAD_ONLY, low, high, self.letter]),
        }
        bytes.extend_from_slice(&self.block);
        if let Some(language) = self.language {
            bytes.extend(language.0);
        }
        Ok(bytes)
    }
}

impl fmt::Debug for BridgePayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgePayload")
            .field("version", &self.version)
            .field("key_exchange", &self.key_exchange)
            .field("letter", &char::from(self.letter))
            .field("block_bytes", &self.block.len())
            .field("language", &self.language)
            .finish()
    }
}

impl fmt::Debug for KeyExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyExchange(kid {})", self.kid)
    }
}

fn expect_key_length(len: u8) -> Result<(), PayloadError> {
    if usize::from(len) == KEY_BYTES {
        return Ok(());
    }
    Err(PayloadError::FieldLength { field: "client key", len: len.into(), expected: "32" })
}

fn read_key_exchange(reader: &mut Reader<'_>) -> Result<KeyExchange, PayloadError> {
    Ok(KeyExchange { kid: reader.u8("key id")?, client_public: reader.array("client key")? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Payload, sample_block};
    use super::*;

    fn any_payload() -> impl Strategy<Value = BridgePayload> {
        let version = prop::sample::select(vec![BridgeVersion::V1, BridgeVersion::V2, BridgeVersion::V3]);
        let key = prop::option::of((any::<u8>(), any::<[u8; 32]>()))
            .prop_map(|key| key.map(|(kid, client_public)| KeyExchange { kid, client_public }));
        let language = prop::option::of(Just(Language::FR));
        (version, key, any::<u8>(), 1..40usize, language).prop_map(|(version, key_exchange, letter, k, language)| {
            BridgePayload { version, key_exchange, letter, block: sample_block(k, letter), language }
        })
    }

    #[test]
    fn every_cut_is_an_error_but_the_missing_language() {
        for key_exchange in [None, Some(KeyExchange { kid: 3, client_public: [5; 32] })] {
            let payload = BridgePayload {
                version: BridgeVersion::V2,
                key_exchange,
                letter: b'e',
                block: sample_block(1, 1),
                language: Some(Language::EN),
            };
            let whole = payload.encode().unwrap();
            for len in 0..whole.len() {
                assert_eq!(BridgePayload::parse(&whole[..len]).is_ok(), len == whole.len() - 2, "cut to {len}");
            }
            let mut long = whole;
            long.push(0);
            assert_eq!(BridgePayload::parse(&long), Err(PayloadError::TooMuch { extra: 1 }));
        }
    }

    #[test]
    fn errors_name_the_field() {
        let error = |bytes: &[u8]| BridgePayload::parse(bytes).unwrap_err().to_string();
        assert_eq!(error(&[4, 0]), "bridge payload version 4 is unknown");
        assert_eq!(error(&[2, 2]), "bridge switch 2 is unknown; 0 and 1 are");
        assert_eq!(error(&[2, 0, 31]), "client key is 31 bytes long, expected 32");
        assert_eq!(error(&[10, 1, 92]), "block length is cut off: 2 bytes expected, 1 left");
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(payload in any_payload()) {
            let bytes = Payload::Bridge(payload.clone()).encode().unwrap();
            prop_assert_eq!(Payload::parse(&bytes), Ok(Payload::Bridge(payload)));
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = BridgePayload::parse(&bytes);
        }

        #[test]
        fn a_changed_byte_never_panics(payload in any_payload(), at in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = payload.encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = BridgePayload::parse(&bytes);
        }
    }
}
