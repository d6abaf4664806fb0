//! Reading length-prefixed bytes without ever trusting a length.

/// A field that is announced longer than what is left of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is cut off: {need} bytes expected, {have} left")]
pub struct Truncated {
    /// Which field.
    pub field: &'static str,
    /// Bytes that the field needs.
    pub need: usize,
    /// Bytes that are left.
    pub have: usize,
}

/// A cursor over untrusted bytes; every step names the field it is for.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, need: usize, field: &'static str) -> Result<&'a [u8], Truncated> {
        let (head, tail) = self.rest.split_at_checked(need).ok_or(Truncated { field, need, have: self.rest.len() })?;
        self.rest = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Truncated> {
        let head = self.take(N, field)?;
        Ok(head.try_into().expect("take returns exactly N bytes"))
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, Truncated> {
        Ok(u8::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, Truncated> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_field_is_named_and_takes_nothing() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u8("a"), Ok(1));
        let cut = Truncated { field: "b", need: 4, have: 2 };
        assert_eq!(reader.take(4, "b"), Err(cut));
        assert_eq!(reader.u16("c"), Ok(0x0302));
        assert_eq!(reader.left(), 0);
    }
}
