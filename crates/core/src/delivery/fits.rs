//! Whatever a door lets in can be sealed: the protocol's caps are held against what the largest envelope carries, so that
//! nothing is answered with a 2xx that could never leave.

use relaymesh_protocol::payload::PAYLOAD_BYTES_MAX;
use relaymesh_protocol::segment::assembly::{CANDIDATES_MAX, SET_LETTERS_MAX};
use relaymesh_seal::envelope::BODY_LEN_MAX;

/// Most bytes of a submission beside its cargo: id 32, route 33, two numbers 17 each, three times 10 each, and small change.
const ROUTING_BYTES_MAX: usize = 256;
/// Most bytes of one chunk in a set beside its letters: time 10, head 8, length 2.
const CHUNK_BYTES_MAX: usize = 20;
/// Numbers that a set has room for: one byte counts them.
const NUMBERS: usize = 256;
/// Bytes of a number and of how many chunks it has.
const NUMBER_BYTES_MAX: usize = 3;

const _: () = assert!(PAYLOAD_BYTES_MAX + ROUTING_BYTES_MAX <= BODY_LEN_MAX, "a payload fits an envelope");
const _: () = assert!(
    SET_LETTERS_MAX + NUMBERS * (CANDIDATES_MAX * CHUNK_BYTES_MAX + NUMBER_BYTES_MAX) + ROUTING_BYTES_MAX
        <= BODY_LEN_MAX,
    "a full set of segments fits an envelope"
);

#[cfg(test)]
mod tests {
    use relaymesh_protocol::ids::{E164, MessageId, Timestamp};
    use relaymesh_protocol::segment::assembly::Set;
    use relaymesh_protocol::segment::{CHUNK_LETTERS_MAX, Head, Part, Segment};

    use super::super::body::{Body, Cargo, Route, Submission};
    use super::*;

    fn number() -> E164 {
        "+237650123456".parse().unwrap()
    }

    /// The longest that stands around a cargo.
    fn largest(cargo: Cargo) -> usize {
        let submission = Submission {
            message: MessageId([255; 32]),
            cargo,
            session: 255,
            route: Route::Bridge { number: number() },
            received: Timestamp(u64::MAX),
            date: Some(i64::MIN),
            date_sent: Some(i64::MIN),
            gateway: Some(number()),
            trusted: true,
        };
        Body::Submission(Box::new(submission)).encode().len()
    }

    #[test]
    fn the_largest_payload_fits_with_its_routing() {
        let cargo = Cargo::Whole { payload: vec![255; PAYLOAD_BYTES_MAX], image: Some(u16::MAX) };
        let len = largest(cargo);
        assert!(len <= PAYLOAD_BYTES_MAX + ROUTING_BYTES_MAX, "{len} bytes");
    }

    #[test]
    fn full_sets_fit_however_they_are_cut() {
        for letters in [1, 40, 41, 160, 161, CHUNK_LETTERS_MAX] {
            let mut set = Set::default();
            for n in 0..CANDIDATES_MAX {
                for number in 0..=255_u8 {
                    let head = Head { total: 255, image_len: u16::MAX, text_len: u16::MAX };
                    let part = if number == 0 { Part::First(head) } else { Part::Later(number) };
                    let chunk = char::from(b'A' + u8::try_from(n).unwrap()).to_string().repeat(letters);
                    // One by one: a set that grows by insertion looks for a whole each time.
                    let mut one = Set::default();
                    one.insert(Segment { session: 255, part, chunk }, Timestamp(u64::MAX));
                    set.merge(one, Timestamp(u64::MAX));
                }
            }
            let len = largest(Cargo::Parts(Box::new(set)));
            assert!(len <= BODY_LEN_MAX, "{letters} letters each: {len} bytes");
        }
    }
}
