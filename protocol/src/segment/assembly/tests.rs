use proptest::prelude::*;

use super::super::{CHUNK_CHARS, split};
use super::*;
use crate::base64text;
use crate::ids::{DeviceId, Language};
use crate::payload::{Payload, PlatformPayload, PlatformVersion, sample_block};

const START: Timestamp = Timestamp(1_750_000_000_000);

fn at(seconds: u64) -> Timestamp {
    START.after(Duration::from_secs(seconds))
}

fn segments(letter: &str, count: usize, image_len: u16) -> Vec<Segment> {
    let text = letter.repeat(count * CHUNK_CHARS);
    let texts = split(&text, 1, image_len, 10).unwrap();
    texts.iter().map(|t| Segment::parse(t).unwrap()).collect()
}

fn whole(letter: &str, count: usize, image_len: u16) -> Assembly {
    Assembly { text: letter.repeat(count * CHUNK_CHARS), image_len, text_len: 10 }
}

#[test]
fn segments_before_the_first_are_held() {
    let mut set = Set::default();
    let mut parts = segments("A", 3, 5);
    parts.rotate_left(1);
    let steps: Vec<_> = parts.into_iter().map(|s| set.insert(s, START)).collect();
    let held = |have| Progress::Held { have, total: None };
    assert_eq!(steps, [held(1), held(2), Progress::Complete(whole("A", 3, 5))]);
}

#[test]
fn copies_change_nothing() {
    let mut set = Set::default();
    let part = segments("A", 2, 5).remove(0);
    assert_eq!(set.insert(part.clone(), START), Progress::Held { have: 1, total: Some(2) });
    let before = set.clone();
    assert_eq!(set.insert(part, at(60)), Progress::Duplicate);
    assert_eq!(set, before);
}

#[test]
fn a_new_first_segment_begins_a_new_image() {
    let mut set = Set::default();
    for part in segments("A", 4, 5).into_iter().take(3) {
        set.insert(part, START);
    }
    let mut new = segments("B", 3, 6).into_iter();
    let progress = set.insert(new.next().unwrap(), at(3600));
    assert_eq!(progress, Progress::Held { have: 1, total: Some(3) }, "stale segments do not count");
    set.insert(new.next().unwrap(), at(3605));
    let progress = set.insert(new.next().unwrap(), at(3610));
    assert_eq!(progress, Progress::Complete(whole("B", 3, 6)));
}

#[test]
fn segments_that_overtook_their_first_belong_to_it() {
    let mut set = Set::default();
    for part in segments("A", 4, 5).into_iter().take(3) {
        set.insert(part, START);
    }
    let new = segments("B", 3, 6);
    for part in [&new[2], &new[1]] {
        set.insert(part.clone(), at(3600));
    }
    let progress = set.insert(new[0].clone(), at(3700));
    assert_eq!(progress, Progress::Complete(whole("B", 3, 6)));
}

#[test]
fn forged_segments_do_not_shut_out_the_real_ones() {
    let real = segments("A", 7, 5);
    for forged_per_number in 1..=6_u64 {
        let mut set = Set::default();
        for k in 0..forged_per_number {
            let letter = char::from(b'B' + u8::try_from(k).unwrap()).to_string();
            for part in segments(&letter, 7, 5) {
                set.insert(part, at(k));
            }
        }
        for (n, part) in (0..).zip(&real) {
            set.insert(part.clone(), at(3600 + 5 * n));
        }
        let found: Vec<_> = set.assemblies().collect();
        assert!(found.len() <= ASSEMBLIES_MAX);
        assert_eq!(found.first(), Some(&whole("A", 7, 5)), "{forged_per_number} forged");
    }
}

#[test]
fn a_segment_forged_while_the_real_ones_arrive_leaves_a_combination_that_is_real() {
    let mut set = Set::default();
    let forged = segments("B", 5, 9);
    for (n, part) in (0..).zip(segments("A", 5, 5)) {
        set.insert(part, at(5 * n));
        if n == 2 {
            forged.iter().for_each(|f| {
                set.insert(f.clone(), at(11));
            });
        }
    }
    assert!(set.assemblies().any(|a| a == whole("A", 5, 5)));
    assert!(set.assemblies().count() <= ASSEMBLIES_MAX);
}

#[test]
fn a_flood_of_one_number_is_bounded() {
    let mut set = Set::default();
    for n in 0..50 {
        let part = Segment { session: 1, part: Part::Later(3), chunk: format!("A{n}") };
        set.insert(part, at(n));
    }
    assert_eq!(set.segments(1).count(), CANDIDATES_MAX);
    let old = Segment { session: 1, part: Part::Later(3), chunk: "old".to_owned() };
    assert_eq!(set.insert(old, START), Progress::Rejected(Reason::Crowded));
}

#[test]
fn the_set_is_bounded_and_the_newest_stay() {
    let mut set = Set::default();
    for number in 1..=254_u8 {
        let part = Segment { session: 1, part: Part::Later(number), chunk: "A".repeat(CHUNK_LETTERS_MAX) };
        set.insert(part, at(number.into()));
        assert!(set.letters() <= SET_LETTERS_MAX);
    }
    for (n, part) in (0..).zip(segments("B", 255, 5)) {
        set.insert(part, at(3600 + n));
    }
    assert_eq!(set.progress(), Progress::Complete(whole("B", 255, 5)));
}

#[test]
fn one_word_that_reads_like_a_segment_is_not_credible() {
    let mut set = Set::default();
    set.insert(Segment::parse("BONJOUR").unwrap(), START);
    assert!(!set.is_credible());
    set.insert(segments("A", 3, 5).remove(0), START);
    assert!(set.is_credible());
}

#[test]
fn a_day_later_all_is_gone() {
    let mut set = Set::default();
    set.insert(segments("A", 3, 5).remove(1), START);
    assert!(!set.expire(START.after(SEGMENT_TTL).before(Duration::from_millis(1))));
    assert_eq!(set.since(), Some(START));
    assert!(set.expire(START.after(SEGMENT_TTL)));
    assert_eq!(set.letters(), 0);
}

#[test]
fn chunks_of_no_or_too_many_letters_are_rejected() {
    for letters in [0, CHUNK_LETTERS_MAX + 1] {
        let part = Segment { session: 1, part: Part::Later(1), chunk: "A".repeat(letters) };
        let progress = Set::default().insert(part, START);
        assert_eq!(progress, Progress::Rejected(Reason::Unsound));
    }
}

#[test]
fn two_nodes_make_the_whole_together() {
    let (mut left, mut right) = (Set::default(), Set::default());
    for (n, part) in segments("A", 6, 5).into_iter().enumerate() {
        let node = if n % 2 == 0 { &mut left } else { &mut right };
        node.insert(part, START);
    }
    let bytes = postcard::to_stdvec(&right).unwrap();
    left.merge(postcard::from_bytes(&bytes).unwrap(), START);
    assert_eq!(left.progress(), Progress::Complete(whole("A", 6, 5)));
}

#[test]
fn another_node_cannot_date_its_segments_into_the_future() {
    let mut theirs = Set::default();
    theirs.insert(segments("B", 2, 5).remove(1), at(1_000_000));
    let mut ours = Set::default();
    ours.merge(theirs, START);
    assert_eq!(ours.since(), Some(START));
}

#[test]
fn a_set_from_elsewhere_is_checked_when_it_is_read() {
    let candidate = |at, head, chunk: &str| Candidate { at: Timestamp(at), head, chunk: chunk.to_owned() };
    let flood = (0..500).map(|n| candidate(n, None, &format!("A{n}")));
    let parts = [
        (0, vec![candidate(1, None, "A")]),
        (1, flood.collect()),
        (2, vec![]),
        (3, vec![candidate(1, None, &"A".repeat(CHUNK_LETTERS_MAX + 1))]),
    ];
    let hostile = Set { parts: parts.into() };
    let read: Set = postcard::from_bytes(&postcard::to_stdvec(&hostile).unwrap()).unwrap();
    assert_eq!(read.parts.keys().collect::<Vec<_>>(), [&1]);
    assert_eq!(read.segments(1).count(), CANDIDATES_MAX);
}

fn any_set() -> impl Strategy<Value = Set> {
    let head = (1..5_u8, 0..3_u16).prop_map(|(total, image_len)| Head { total, image_len, text_len: 1 });
    let part = (0..5_u8, head).prop_map(|(n, head)| if n == 0 { Part::First(head) } else { Part::Later(n) });
    let segment = (part, "[A-C]{1,2}").prop_map(|(part, chunk)| Segment { session: 1, part, chunk });
    prop::collection::vec((segment, 0..2000_u64), 0..30).prop_map(|segments| {
        let mut set = Set::default();
        for (segment, second) in segments {
            set.insert(segment, at(second));
        }
        set
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_with_copies_gives_the_text(
        text in "[A-Za-z0-9+/]{1,900}", session: u8, order in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let texts = split(&text, session, 7, 8).unwrap();
        let mut set = Set::default();
        let picked = order.iter().map(|i| i.index(texts.len()));
        for n in picked.chain(0..texts.len()) {
            set.insert(Segment::parse(&texts[n]).unwrap(), START);
        }
        let expected = Assembly { text, image_len: 7, text_len: 8 };
        prop_assert_eq!(set.assemblies().collect::<Vec<_>>(), vec![expected]);
    }

    #[test]
    fn merging_is_the_same_from_both_sides(a in any_set(), b in any_set()) {
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(b, at(3000));
        ba.merge(a, at(3000));
        prop_assert_eq!(ab.assemblies().collect::<Vec<_>>(), ba.assemblies().collect::<Vec<_>>());
        prop_assert_eq!(ab, ba);
    }

    #[test]
    fn a_set_reads_back(set in any_set()) {
        let bytes = postcard::to_stdvec(&set).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Set>(&bytes), Ok(set));
    }

    #[test]
    fn merging_with_itself_changes_nothing(set in any_set()) {
        let mut twice = set.clone();
        twice.merge(set.clone(), at(3000));
        prop_assert_eq!(twice, set);
    }
}

/// 32 different bytes, none of them a letter.
const DEVICE: DeviceId = DeviceId({
    let mut id = [0x80; 32];
    let mut n = 1;
    while n < id.len() {
        id[n] = id[n - 1] + 3;
        n += 1;
    }
    id
});

/// The segments of a payload with so many blocks of ciphertext.
fn image(blocks: usize, device_id: Option<DeviceId>, language: Option<Language>) -> Vec<Segment> {
    let (version, block) = (PlatformVersion::V2, sample_block(blocks, 7));
    let payload = Payload::Platform(PlatformPayload { version, shortcode: b'm', block, device_id, language });
    let texts = split(&base64text::encode(&payload.encode().unwrap()), 1, 500, 100).unwrap();
    // A last segment of nothing but padding is no segment.
    texts.iter().filter_map(|text| Segment::parse(text).ok()).collect()
}

fn without(segments: &[Segment], missing: impl Fn(usize) -> bool) -> Set {
    let mut set = Set::default();
    for (n, segment) in segments.iter().enumerate().filter(|(n, _)| !missing(*n)) {
        set.insert(segment.clone(), at(n as u64 * 5));
    }
    set
}

#[test]
fn a_device_id_is_found_wherever_the_segments_cut_it() {
    // Each length puts the device ID elsewhere on the cuts.
    for blocks in 20..50 {
        for language in [Some(Language::FR), None] {
            let segments = image(blocks, Some(DEVICE), language);
            let last = segments.len() - 1;
            let set = without(&segments, |n| n > 0 && n + 1 < last);
            assert_eq!(set.device_ids(), [DEVICE], "{blocks} blocks, {language:?}");
            assert_eq!(without(&segments, |n| n == 0).device_ids(), [], "no first segment says where it is");
            let cut = without(&segments, |n| n == 1 || n == last).device_ids();
            assert!(cut.is_empty() || cut == [DEVICE], "{blocks} blocks, {language:?}: {cut:?}");
            let set = without(&segments, |n| n == 2);
            assert_eq!(set.device_ids(), [DEVICE], "{blocks} blocks, {language:?}");
        }
    }
}

#[test]
fn half_a_device_id_is_none() {
    let segments = image(40, Some(DEVICE), Some(Language::EN));
    let last = segments.len() - 1;
    assert_eq!(without(&segments, |n| n >= last - 1).device_ids(), []);
    assert_eq!(without(&image(40, None, Some(Language::EN)), |n| n == 2).device_ids(), []);
}

#[test]
fn a_planted_last_segment_does_not_hide_the_device_id() {
    let segments = image(40, Some(DEVICE), Some(Language::EN));
    let mut set = without(&segments, |n| n == 2);
    let other = image(40, Some(DeviceId([0xE2; 32])), Some(Language::EN));
    set.insert(other[other.len() - 1].clone(), at(600));
    assert!(set.device_ids().contains(&DEVICE));
    assert!(set.device_ids().len() <= CANDIDATES_MAX);
}

proptest! {
    #[test]
    fn device_ids_of_anything_never_panic(chunks in prop::collection::vec((any::<u8>(), "[A-Za-z0-9+/]{1,200}"), 1..12), total: u8) {
        let mut set = Set::default();
        for (number, chunk) in chunks {
            let head = Head { total: total.max(1), image_len: 1, text_len: 1 };
            let part = if number < 64 { Part::First(head) } else { Part::Later(number - 63) };
            set.insert(Segment { session: 1, part, chunk }, START);
        }
        let _ = set.device_ids();
    }
}
