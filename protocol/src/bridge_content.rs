//! The plaintext inside a bridge payload's block: one mail (payloads.md §4).

use std::fmt;

use zeroize::Zeroize;

use crate::content::{ContentError, EncodeError, split_image};
use crate::payload::BridgeVersion;
use crate::wire::Reader;

const BITMAP_CC: u8 = 1;
const BITMAP_BCC: u8 = 2;
/// to, cc, bcc, subject, body.
const TEXT_PARTS: usize = 5;
const NAMES: [&str; TEXT_PARTS] = ["to", "cc", "bcc", "subject", "body"];

/// A mail from the alias of a number. Addresses are comma-joined.
#[derive(Clone, Default, PartialEq, Eq, Zeroize)]
pub struct BridgeContent {
    /// Receivers.
    pub to: String,
    /// Carbon copies.
    pub cc: String,
    /// Blind copies.
    pub bcc: String,
    /// Subject.
    pub subject: String,
    /// Text.
    pub body: String,
}

impl BridgeContent {
    /// Reads a plaintext without image.
    ///
    /// # Errors
    /// When the plaintext is no content of that version, exactly.
    pub fn parse(version: BridgeVersion, plaintext: &[u8]) -> Result<Self, ContentError> {
        match version {
            BridgeVersion::V1 => parse_text(plaintext),
            BridgeVersion::V2 => {
                let mut reader = Reader::new(plaintext);
                let lengths = read_lengths(&mut reader, true, true)?;
                read_values(reader, lengths)
            }
            BridgeVersion::V3 => {
                let mut reader = Reader::new(plaintext);
                let bitmap = reader.u8("content header")?;
                if bitmap & !(BITMAP_CC | BITMAP_BCC) != 0 {
                    return Err(ContentError::Bitmap { bitmap });
                }
                let lengths = read_lengths(&mut reader, bitmap & BITMAP_CC != 0, bitmap & BITMAP_BCC != 0)?;
                read_values(reader, lengths)
            }
        }
    }

    /// Reads a plaintext that begins with an image of `image_len` bytes (WebP; only version 2 may have one), and
    /// gives the image too.
    ///
    /// # Errors
    /// As [`BridgeContent::parse`], and when there is an image where none may be, or it does not fit.
    pub fn parse_with_image(
        version: BridgeVersion,
        plaintext: &[u8],
        image_len: usize,
    ) -> Result<(Self, &[u8]), ContentError> {
        if image_len > 0 && version != BridgeVersion::V2 {
            return Err(ContentError::Image { image: image_len, have: 0 });
        }
        let (image, content) = split_image(plaintext, image_len)?;
        Ok((Self::parse(version, content)?, image))
    }

    /// The plaintext; [`BridgeContent::parse`] reads it back.
    ///
    /// # Errors
    /// When a field has no room, or holds a colon in version 1.
    pub fn encode(&self, version: BridgeVersion) -> Result<Vec<u8>, EncodeError> {
        match version {
            BridgeVersion::V1 => self.encode_text(),
            BridgeVersion::V2 => self.encode_binary(Vec::new(), true, true),
            BridgeVersion::V3 => {
                let (cc, bcc) = (!self.cc.is_empty(), !self.bcc.is_empty());
                let bitmap = if cc { BITMAP_CC } else { 0 } | if bcc { BITMAP_BCC } else { 0 };
                self.encode_binary(vec![bitmap], cc, bcc)
            }
        }
    }

    fn values(&self) -> [&str; TEXT_PARTS] {
        [&self.to, &self.cc, &self.bcc, &self.subject, &self.body]
    }

    fn encode_text(&self) -> Result<Vec<u8>, EncodeError> {
        let values = self.values();
        let mut before_body = NAMES.into_iter().zip(values).take(TEXT_PARTS - 1);
        match before_body.find(|(_, value)| value.contains(':')) {
            Some((field, _)) => Err(EncodeError::Colon { field }),
            None => Ok(values.join(":").into_bytes()),
        }
    }

    fn encode_binary(&self, mut bytes: Vec<u8>, cc: bool, bcc: bool) -> Result<Vec<u8>, EncodeError> {
        let too_long = |field, len, max| EncodeError::TooLong { field, len, max };
        let present = [true, cc, bcc, true, true];
        for ((field, value), present) in NAMES.into_iter().zip(self.values()).zip(present) {
            let len = value.len();
            if field == "subject" {
                bytes.push(u8::try_from(len).map_err(|_| too_long(field, len, u8::MAX.into()))?);
            } else if present {
                let len16 = u16::try_from(len).map_err(|_| too_long(field, len, u16::MAX.into()))?;
                bytes.extend_from_slice(&len16.to_le_bytes());
            }
        }
        for value in self.values() {
            bytes.extend_from_slice(value.as_bytes());
        }
        Ok(bytes)
    }
}

impl fmt::Debug for BridgeContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BridgeContent(..)")
    }
}

fn parse_text(plaintext: &[u8]) -> Result<BridgeContent, ContentError> {
    let text = str::from_utf8(plaintext).map_err(|_| ContentError::NotUtf8 { field: "content" })?;
    let parts: Vec<&str> = text.splitn(TEXT_PARTS, ':').collect();
    let parts: [&str; TEXT_PARTS] =
        parts.try_into().map_err(|p: Vec<&str>| ContentError::Parts { have: p.len(), need: TEXT_PARTS })?;
    Ok(build(parts))
}

fn read_lengths(reader: &mut Reader<'_>, cc: bool, bcc: bool) -> Result<[usize; TEXT_PARTS], ContentError> {
    let mut u16_if = |present: bool| match present {
        true => reader.u16("content header").map(usize::from),
        false => Ok(0),
    };
    let [to, cc, bcc] = [u16_if(true)?, u16_if(cc)?, u16_if(bcc)?];
    let subject = reader.u8("content header")?.into();
    let body = reader.u16("content header")?.into();
    Ok([to, cc, bcc, subject, body])
}

fn read_values(mut reader: Reader<'_>, lengths: [usize; TEXT_PARTS]) -> Result<BridgeContent, ContentError> {
    let mut values = [""; TEXT_PARTS];
    for ((value, field), len) in values.iter_mut().zip(NAMES).zip(lengths) {
        let bytes = reader.take(len, field)?;
        *value = str::from_utf8(bytes).map_err(|_| ContentError::NotUtf8 { field })?;
    }
    match reader.left() {
        0 => Ok(build(values)),
        extra => Err(ContentError::TooMuch { extra }),
    }
}

fn build(values: [&str; TEXT_PARTS]) -> BridgeContent {
    let [to, cc, bcc, subject, body] = values.map(str::to_owned);
    BridgeContent { to, cc, bcc, subject, body }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VERSIONS: [BridgeVersion; 3] = [BridgeVersion::V1, BridgeVersion::V2, BridgeVersion::V3];

    fn sample() -> BridgeContent {
        build(["a@x.org", "b@x.org", "", "Hi", "10:30: é"])
    }

    #[test]
    fn every_cut_and_every_extra_byte_is_an_error() {
        for version in [BridgeVersion::V2, BridgeVersion::V3] {
            let whole = sample().encode(version).unwrap();
            for len in 0..whole.len() {
                assert!(BridgeContent::parse(version, &whole[..len]).is_err(), "{version:?} cut to {len}");
            }
            let mut long = whole;
            long.push(b'x');
            assert_eq!(BridgeContent::parse(version, &long), Err(ContentError::TooMuch { extra: 1 }));
        }
        let few = BridgeContent::parse(BridgeVersion::V1, b"a:b:c:d");
        assert_eq!(few, Err(ContentError::Parts { have: 4, need: 5 }));
    }

    #[test]
    fn unknown_bits_and_colons_are_refused() {
        let bitmap = BridgeContent::parse(BridgeVersion::V3, &[4, 0, 0, 0, 0, 0]);
        assert_eq!(bitmap, Err(ContentError::Bitmap { bitmap: 4 }));
        let mut mail = sample();
        mail.subject.push(':');
        assert_eq!(mail.encode(BridgeVersion::V1), Err(EncodeError::Colon { field: "subject" }));
    }

    #[test]
    fn only_version_2_has_images() {
        let mut plaintext = b"RIFF".to_vec();
        plaintext.extend(sample().encode(BridgeVersion::V2).unwrap());
        let read = BridgeContent::parse_with_image(BridgeVersion::V2, &plaintext, 4);
        assert_eq!(read, Ok((sample(), &b"RIFF"[..])));
        for version in [BridgeVersion::V1, BridgeVersion::V3] {
            assert!(BridgeContent::parse_with_image(version, &plaintext, 4).is_err());
        }
        assert!(BridgeContent::parse_with_image(BridgeVersion::V2, &plaintext, plaintext.len() + 1).is_err());
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(
            to in "[a-z@.]{0,20}", cc in "[a-z]{0,9}", bcc in "[a-z]{0,9}", subject in "[a-zé ]{0,20}", body in "\\PC{0,60}",
        ) {
            let mail = BridgeContent { to, cc, bcc, subject, body };
            for version in VERSIONS {
                let bytes = mail.encode(version).unwrap();
                prop_assert_eq!(BridgeContent::parse(version, &bytes), Ok(mail.clone()));
            }
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..120), image_len in 0..140_usize) {
            for version in VERSIONS {
                let _ = BridgeContent::parse_with_image(version, &bytes, image_len);
            }
        }
    }
}
