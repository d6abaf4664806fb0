//! Numbers as gateway clients and phones write them: whatever the text and the country, what comes out is E.164 and stays
//! as it is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use relaymesh_protocol::ids::E164;

/// All codes of two letters: those with a numbering plan, and those without.
fn codes() -> impl Iterator<Item = String> {
    let letters = || 'A'..='Z';
    letters().flat_map(move |a| letters().map(move |b| format!("{a}{b}")))
}

fn country() -> impl Strategy<Value = Option<String>> {
    let known: Vec<String> = codes().filter(|code| E164::is_region(code)).collect();
    prop_oneof![
        1 => Just(None),
        4 => proptest::sample::select(known).prop_map(Some),
        1 => "[A-Za-z]{0,3}".prop_map(Some),
        1 => any::<String>().prop_map(Some),
    ]
}

/// Texts that look like numbers, in all their dress, and texts that do not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[+0]{0,3}[0-9]{0,18}",
        3 => "[+0-9 ()./~*#;,xX\\-\u{a0}\u{ff0b}\u{ff10}-\u{ff19}\u{660}-\u{669}]{0,40}",
        2 => "(tel:)?[+]?[0-9]{0,14}((;phone-context=|;ext=|;isub=|;| ext |x|#)[+]?[0-9a-z.]{0,12}){0,3}",
        1 => any::<String>(),
    ]
}

/// What is taken is E.164, and again the same for every country.
fn is_steady(text: &str, country: Option<&str>, other: Option<&str>) -> Result<(), TestCaseError> {
    let Ok(number) = E164::normalise(text, country) else { return Ok(()) };
    prop_assert_eq!(number.reveal().parse(), Ok(number.clone()));
    for country in [country, other, None] {
        prop_assert_eq!(E164::normalise(number.reveal(), country), Ok(number.clone()));
    }
    // A number's own region reads it too.
    if let Some(own) = number.country() {
        prop_assert!(E164::is_region(&own));
        prop_assert_eq!(E164::normalise(number.reveal(), Some(&own)), Ok(number.clone()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_text_is_a_number_or_refused(text in text(), country in country(), other in country()) {
        is_steady(&text, country.as_deref(), other.as_deref())?;
    }

    #[test]
    fn any_number_has_a_country_or_none(number in "[+][1-9][0-9]{6,14}") {
        let number: E164 = number.parse().unwrap();
        is_steady(number.reveal(), None, number.country().as_deref())?;
    }
}

/// Each region reads a text that is no E.164, so that its whole numbering plan is looked at.
#[test]
fn every_region_reads_national_numbers() {
    let known: Vec<String> = codes().filter(|code| E164::is_region(code)).collect();
    assert!(known.len() > 200, "only {} regions", known.len());
    let mut read = 0;
    for code in &known {
        for text in ["650123456", "0650123456", "0170 1234567", "(201) 555-0123", "*1", "0", "", "٠٦٥٠١٢٣٤٥٦", "1é1"]
        {
            is_steady(text, Some(code), None).unwrap();
            read += usize::from(E164::normalise(text, Some(code)).is_ok());
        }
    }
    assert!(read > 100, "only {read} were read");
}

/// What the fuzz target of pasted texts found: its first two letters may be a country.
#[test]
fn every_pasted_text_is_a_number_or_refused() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/pasted");
    let mut read = 0;
    for file in fs::read_dir(dir).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        is_steady(&text, None, Some("CM")).unwrap();
        if let Some((country, national)) = text.split_at_checked(2) {
            is_steady(national, Some(country), None).unwrap();
            read += usize::from(E164::normalise(national, Some(country)).is_ok());
        }
    }
    assert!(read >= 4, "only {read} are national numbers");
}

/// Each part many times over, as long as a door lets through: the numbering plan's patterns must end.
#[test]
fn long_texts_are_refused() {
    for part in ["1", "+", "00", "(", "1x", "1;ext=", "tel:", "-/", "\u{ff11}", "1 ", "a"] {
        let text = part.repeat(200_000 / part.len());
        assert!(E164::normalise(&text, Some("CM")).is_err());
    }
}
