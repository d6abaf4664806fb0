//! Bundles: envelopes, facts and filters in one file that a person carries; the same code as on a link takes them in.

mod export;
mod import;
#[cfg(test)]
mod tests;

use std::fmt;
use std::marker::PhantomData;

use relaymesh_protocol::frame::Carried;
use relaymesh_protocol::ids::MeshId;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_bytes::ByteBuf;

pub(crate) use export::Turns;
pub(crate) use import::{Importing, on_import};

use crate::command::{Code, OperatorCommand, Refusal};
use crate::input::ReplyTo;
use crate::node::Node;
use crate::tx::{Run, Tx};

/// First bytes of a bundle file: name and format version.
const MAGIC: &[u8; 8] = b"RMBUNDL1";
/// Largest bundle file, in bytes, written as well as read: what a small stick and a small node can bear.
pub const BUNDLE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most envelopes, facts and filters each: a file of empty ones would take many times its size in memory.
const ITEMS_MAX: usize = 100_000;

#[derive(Debug, Serialize, Deserialize)]
struct Bundle {
    mesh: MeshId,
    #[serde(deserialize_with = "few")]
    facts: Vec<ByteBuf>,
    #[serde(deserialize_with = "few")]
    filters: Vec<ByteBuf>,
    #[serde(deserialize_with = "few")]
    carried: Vec<Carried>,
}

/// Reads a list, unless it is longer than [`ITEMS_MAX`].
fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Few<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Few<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {ITEMS_MAX}")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut all = Vec::new();
            while let Some(one) = seq.next_element()? {
                if all.len() >= ITEMS_MAX {
                    return Err(serde::de::Error::invalid_length(all.len() + 1, &self));
                }
                all.push(one);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_seq(Few(PhantomData))
}

/// `bundle export` and `bundle import`.
pub(crate) fn on_operator(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, command: &OperatorCommand) -> Run {
    match command {
        OperatorCommand::BundleImport { bytes } => import::begin(node, tx, reply, bytes),
        _ => export::export(node, tx, reply),
    }
}

fn parse(bytes: &[u8]) -> Result<Bundle, Refusal> {
    let refuse = |text: &str| Refusal::new(Code::FailedPrecondition, text);
    if bytes.len() > BUNDLE_BYTES_MAX {
        return Err(refuse("the bundle is larger than 64 MiB"));
    }
    let body = bytes.strip_prefix(MAGIC).ok_or_else(|| refuse("not a bundle file"))?;
    let (bundle, left) = postcard::take_from_bytes::<Bundle>(body).map_err(|_| refuse("the bundle file is damaged"))?;
    if left.is_empty() { Ok(bundle) } else { Err(refuse("the bundle file has bytes after its end")) }
}

/// Whether bytes are a bundle file.
pub(crate) fn read_bundle(bytes: &[u8]) -> bool {
    parse(bytes).is_ok()
}
