//! ISO 7816-4 padding: 0x80, then zeros. A padded text has exactly one reading and, at a given length, one encoding.

const MARK: u8 = 0x80;

/// Pads `buf` with the mark and zeros until it is `len` bytes long. `len` must exceed the length of `buf`.
pub(crate) fn pad_to(buf: &mut Vec<u8>, len: usize) {
    debug_assert!(len > buf.len(), "the mark needs a byte");
    buf.push(MARK);
    buf.resize(len, 0);
}

/// The smallest multiple of `block` that holds `len` bytes and the mark.
pub(crate) fn padded_len(len: usize, block: usize) -> usize {
    (len / block + 1) * block
}

/// Length of what was padded. `None` when there is no mark, or when the padding exceeds `most` bytes.
pub(crate) fn unpadded_len(buf: &[u8], most: usize) -> Option<usize> {
    let end = buf.iter().rposition(|&b| b != 0)?;
    (buf.get(end) == Some(&MARK) && buf.len() - end <= most).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_encoding_is_read() {
        assert_eq!(unpadded_len(&[1, 0x80, 0], 64), Some(1));
        assert_eq!(unpadded_len(&[0x80], 64), Some(0));
        assert_eq!(unpadded_len(&[1, 0x81, 0], 64), None);
        assert_eq!(unpadded_len(&[0, 0], 64), None);
        assert_eq!(unpadded_len(&[], 64), None);
        assert_eq!(unpadded_len(&[0x80, 0, 0], 2), None);
    }

    #[test]
    fn a_full_block_gets_another() {
        assert_eq!([0, 1, 63, 64].map(|n| padded_len(n, 64)), [64, 64, 64, 128]);
    }
}
