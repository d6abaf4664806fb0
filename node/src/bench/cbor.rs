//! How long a frame is as CBOR, without writing it: structs are maps with text keys, variants are text or a map of one.

use std::fmt::Display;

use serde::ser::{self, Serialize, Serializer};

/// Bytes of a value as CBOR.
pub fn length(value: &impl Serialize) -> u64 {
    let mut count = Count(0);
    // Counting cannot fail, and no frame's own serialization does.
    let _ = value.serialize(&mut count);
    count.0
}

struct Count(u64);

#[derive(Debug, thiserror::Error)]
#[error("a value refuses to be serialized")]
struct Refused;

impl ser::Error for Refused {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

type Counted = Result<(), Refused>;

impl Count {
    fn add(&mut self, bytes: u64) -> Counted {
        self.0 += bytes;
        Ok(())
    }

    /// A number, or the head of whatever has a length.
    fn head(&mut self, value: u64) -> Counted {
        self.add(match value {
            0..=23 => 1,
            24..=0xFF => 2,
            0x100..=0xFFFF => 3,
            0x1_0000..=0xFFFF_FFFF => 5,
            _ => 9,
        })
    }

    fn run(&mut self, len: usize) -> Counted {
        self.head(len as u64)?;
        self.add(len as u64)
    }

    fn many(&mut self, len: Option<usize>) -> Counted {
        match len {
            Some(len) => self.head(len as u64),
            // Without a length there is an end mark.
            None => self.add(2),
        }
    }
}

macro_rules! numbers {
    ($($name:ident: $type:ty),* $(,)?) => {$(
        fn $name(self, value: $type) -> Counted {
            self.head(u64::from(value))
        }
    )*};
}

macro_rules! signed {
    ($($name:ident: $type:ty),* $(,)?) => {$(
        fn $name(self, value: $type) -> Counted {
            let value = i64::from(value);
            self.head(if value < 0 { !value } else { value } as u64)
        }
    )*};
}

impl Serializer for &mut Count {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64);
    signed!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);

    fn serialize_bool(self, _: bool) -> Counted {
        self.add(1)
    }

    fn serialize_f32(self, _: f32) -> Counted {
        self.add(5)
    }

    fn serialize_f64(self, _: f64) -> Counted {
        self.add(9)
    }

    fn serialize_char(self, value: char) -> Counted {
        self.run(value.len_utf8())
    }

    fn serialize_str(self, value: &str) -> Counted {
        self.run(value.len())
    }

    fn serialize_bytes(self, value: &[u8]) -> Counted {
        self.run(value.len())
    }

    fn serialize_none(self) -> Counted {
        self.add(1)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Counted {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Counted {
        self.add(1)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Counted {
        self.add(1)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Counted {
        self.run(variant.len())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Counted {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Counted {
        self.head(1)?;
        self.run(variant.len())?;
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self, Refused> {
        self.many(len)?;
        Ok(self)
    }

    fn serialize_tuple(self, len: usize) -> Result<Self, Refused> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Self, Refused> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self, Refused> {
        self.head(1)?;
        self.run(variant.len())?;
        self.serialize_seq(Some(len))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self, Refused> {
        self.many(len)?;
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Self, Refused> {
        self.serialize_map(Some(len))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self, Refused> {
        self.head(1)?;
        self.run(variant.len())?;
        self.serialize_map(Some(len))
    }
}

macro_rules! items {
    ($($trait:ident::$method:ident),* $(,)?) => {$(
        impl ser::$trait for &mut Count {
            type Ok = ();
            type Error = Refused;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Counted {
                value.serialize(&mut **self)
            }

            fn end(self) -> Counted {
                Ok(())
            }
        }
    )*};
}

items!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
);

macro_rules! fields {
    ($($trait:ident),* $(,)?) => {$(
        impl ser::$trait for &mut Count {
            type Ok = ();
            type Error = Refused;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Counted {
                self.run(key.len())?;
                value.serialize(&mut **self)
            }

            fn end(self) -> Counted {
                Ok(())
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for &mut Count {
    type Ok = ();
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Counted {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Counted {
        value.serialize(&mut **self)
    }

    fn end(self) -> Counted {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use relaymesh_protocol::frame::{Carried, Holdings, Request, Response};
    use relaymesh_protocol::ids::MeshId;

    use super::*;

    #[test]
    fn frames_have_the_length_that_the_format_gives_them() {
        // "Noted": a head and five letters.
        assert_eq!(length(&Response::Noted), 6);
        // map(1), "Same", map(1), "rest_s", a number of three bytes
        assert_eq!(length(&Response::Same { rest_s: 600 }), 1 + 5 + 1 + 7 + 3);
        // map(1), "Digest", bytes(16)
        assert_eq!(length(&Request::Digest([200; 16])), 1 + 7 + 1 + 16);
        // map(1), "Holds", array(2), two booleans
        assert_eq!(length(&Response::Holds(vec![true, false])), 1 + 6 + 1 + 2);
        // map(1), "Envelopes", array(1), map(3), three keys, 300 bytes and two small numbers
        let carried = Carried { envelope: vec![0; 300], hops: 1, copies: 2 };
        assert_eq!(length(&Request::Envelopes(vec![carried])), 1 + 10 + 1 + 1 + (9 + 303) + (5 + 1) + (7 + 1));
        // map(1), "Heads", map(5): "mesh" and an array(16) of numbers up to 23 and above, "of", and three empty arrays
        let heads = |byte| {
            Request::Heads(Box::new(Holdings {
                mesh: MeshId([byte; 16]),
                of: 1,
                parts: Vec::new(),
                facts: Vec::new(),
                filters: Vec::new(),
            }))
        };
        let others = (3 + 1) + (6 + 1) + (6 + 1) + (8 + 1);
        assert_eq!(length(&heads(1)), 1 + 6 + 1 + 5 + 1 + 16 + others);
        assert_eq!(length(&heads(200)), 1 + 6 + 1 + 5 + 1 + 32 + others);
    }
}
