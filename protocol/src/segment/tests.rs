use proptest::prelude::*;

use super::*;

fn first(total: u8) -> Segment {
    let head = Head { total, image_len: 513, text_len: 7 };
    Segment { session: 3, part: Part::First(head), chunk: "QUJD".to_owned() }
}

#[test]
fn headers_are_12_and_4_characters() {
    let text = first(9).encode();
    assert_eq!((text.len(), text.find('=')), (16, Some(11)));
    let later = Segment { session: 3, part: Part::Later(8), chunk: "QUJD".to_owned() };
    assert_eq!(later.encode(), "BAMIQUJD");
    assert_eq!(Segment::parse("BAMI QUJ\nD\r\n "), Err(SegmentError::NoSegment));
    assert_eq!(Segment::parse("BAMIQUJ\nD\r\n "), Ok(later));
    assert_eq!(Segment::parse(&text.replace('=', "=\n")), Ok(first(9)));
    assert_eq!(Segment::parse(&text.replace('=', "")), Ok(first(9)));
}

#[test]
fn damaged_segments_are_named() {
    assert_eq!(Segment::parse("BAMAAA"), Err(SegmentError::Header { letters: 6 }));
    assert_eq!(Segment::parse(&first(0).encode()), Err(SegmentError::NoTotal));
    assert_eq!(Segment::parse("BAMAAgAAAAA="), Err(SegmentError::NoChunk));
    let letters = CHUNK_LETTERS_MAX + 1;
    let long = format!("BAMI{}", "A".repeat(letters));
    assert_eq!(Segment::parse(&long), Err(SegmentError::ChunkTooLong { number: 8, letters }));
    for text in ["", "BAM", "BALI", "AAMI", "BAMI, dear", "BALI is a fine island"] {
        assert_eq!(Segment::parse(text), Err(SegmentError::NoSegment), "{text:?}");
    }
}

#[test]
fn a_blank_from_a_hop_does_no_harm() {
    let chunk = "A".repeat(CHUNK_CHARS);
    let text = format!("BAMI{} {}", &chunk[..70], &chunk[70..]);
    assert_eq!(Segment::parse(&text).unwrap().chunk, chunk);
}

#[test]
fn at_most_255_segments() {
    let most = "A".repeat(SEGMENTS_MAX * CHUNK_CHARS);
    assert_eq!(split(&most, 1, 0, 0).unwrap().len(), 255);
    assert_eq!(split(&(most + "A"), 1, 0, 0), Err(SplitError::TooLong { segments: 256 }));
    assert_eq!(split("\n", 1, 0, 0), Err(SplitError::Empty));
}

proptest! {
    #[test]
    fn reads_back_what_it_writes(session: u8, number in 0..=254_u8, total in 1..=255_u8, image_len: u16, text_len: u16, chunk in "[A-Za-z0-9+/]{1,200}") {
        let part = match number {
            0 => Part::First(Head { total, image_len, text_len }),
            number => Part::Later(number),
        };
        let segment = Segment { session, part, chunk };
        prop_assert_eq!(Segment::parse(&segment.encode()), Ok(segment));
    }

    #[test]
    fn never_panics(text in "\\PC{0,80}", near in "B[A-P][A-Za-z0-9+/]{0,20}[= \n]{0,3}[A-Z]{0,20}") {
        let _ = Segment::parse(&text);
        let _ = Segment::parse(&near);
    }
}
