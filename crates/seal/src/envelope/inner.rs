//! The sealed inside: who sent it, when, what it is, the signature and the body, padded to the bucket.

use relaymesh_protocol::ids::NodeId;
use sha2::{Digest, Sha256};

use super::{ENC_LEN, HEADER_LEN};
use crate::framing::lp16;
use crate::keys::{BadSignature, SIGNATURE_LEN, SealingPublic, verify_digest};
use crate::labels;
use crate::pad::{pad_to, unpadded_len};

/// What stands before the body: sender, created, kind, signature, length.
const PREFIX_LEN: usize = 32 + 4 + 1 + SIGNATURE_LEN + 4;
/// Bytes of a plaintext that are not body: the prefix and the padding's mark.
pub(super) const OVERHEAD: usize = PREFIX_LEN + 1;

pub(super) struct Inner<'b> {
    pub(super) sender: NodeId,
    pub(super) created_minutes: u32,
    pub(super) kind: u8,
    pub(super) sig: [u8; SIGNATURE_LEN],
    pub(super) body: &'b [u8],
}

impl<'b> Inner<'b> {
    /// What the signature covers.
    pub(super) fn digest(
        &self,
        enc: &[u8; ENC_LEN],
        head: &[u8; HEADER_LEN],
        recipient: &NodeId,
        to: &SealingPublic,
    ) -> [u8; 32] {
        let mut fixed = [enc.as_slice(), head].concat();
        lp16(&mut fixed, recipient.as_bytes());
        lp16(&mut fixed, &to.0);
        fixed.extend_from_slice(self.sender.as_bytes());
        fixed.extend_from_slice(&self.created_minutes.to_be_bytes());
        fixed.push(self.kind);
        Sha256::new().chain_update(fixed).chain_update(self.body).finalize().into()
    }

    pub(super) fn verify(
        &self,
        enc: &[u8; ENC_LEN],
        head: &[u8; HEADER_LEN],
        recipient: &NodeId,
        to: &SealingPublic,
    ) -> Result<(), BadSignature> {
        verify_digest(&self.sender, labels::ENV_SIG, &self.digest(enc, head, recipient, to), &self.sig)
    }

    /// Appends the plaintext and its padding until `out` is `end` bytes long.
    pub(super) fn write(&self, out: &mut Vec<u8>, end: usize) {
        let len = u32::try_from(self.body.len()).expect("a body fits a bucket");
        out.extend_from_slice(self.sender.as_bytes());
        out.extend_from_slice(&self.created_minutes.to_be_bytes());
        out.push(self.kind);
        out.extend_from_slice(&self.sig);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(self.body);
        pad_to(out, end);
    }

    /// Reads a plaintext; the body's length and the padding must agree.
    pub(super) fn parse(plain: &'b [u8]) -> Option<Self> {
        let (sender, rest) = plain.split_first_chunk()?;
        let (created, rest) = rest.split_first_chunk()?;
        let ([kind], rest) = rest.split_first_chunk()?;
        let (sig, rest) = rest.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let body = rest.get(..unpadded_len(rest, rest.len())?)?;
        (usize::try_from(u32::from_be_bytes(*len)) == Ok(body.len())).then_some(Self {
            sender: NodeId(*sender),
            created_minutes: u32::from_be_bytes(*created),
            kind: *kind,
            sig: *sig,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inside_has_one_encoding() {
        let inner = Inner { sender: NodeId([1; 32]), created_minutes: 9, kind: 3, sig: [2; 64], body: b"body\x80\0" };
        let mut plain = Vec::new();
        inner.write(&mut plain, 1_024);
        assert_eq!(Inner::parse(&plain).unwrap().body, inner.body);
        for (at, with) in [
            (1_023, 1),
            (1_023, 0x80),
            (PREFIX_LEN - 1, 5),
            (PREFIX_LEN - 1, 7),
            (PREFIX_LEN - 4, 1),
            (PREFIX_LEN + 6, 0),
        ] {
            let mut bad = plain.clone();
            bad[at] = with;
            assert!(Inner::parse(&bad).is_none(), "byte {at} = {with}");
        }
        assert!(Inner::parse(&plain[..PREFIX_LEN]).is_none());
        assert!(Inner::parse(&[]).is_none());
    }
}
