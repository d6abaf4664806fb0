//! ISO 8601 dates and times, as far as queries use them.

/// Days since the epoch of `YYYY-MM-DD`, from 1970 on.
pub(super) fn day(text: &str) -> Option<u64> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let is_date = year >= 1970 && (1..=12).contains(&month) && day >= 1 && day <= days_of(year, month);
    let months: u64 = (1..month).map(|month| days_of(year, month)).sum();
    is_date.then(|| days_before(year) - days_before(1970) + months + day - 1)
}

/// Seconds since the epoch of a date (its first second, UTC) or a time; without a zone it is UTC.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let Some((date, time)) = text.split_once(['T', 't', ' ']) else { return Some(day(text)? * 86_400) };
    let (time, offset) = zone(time)?;
    let mut parts = time.splitn(3, ':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let second = match parts.next() {
        Some(second) => digits(second.split(['.', ',']).next()?, 2)?,
        None => 0,
    };
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    (day(date)? * 86_400 + hour * 3_600 + minute * 60 + second).checked_add_signed(-offset)
}

/// Splits the zone off: seconds east of UTC. A blank stands for the plus that a query turns into one.
fn zone(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = time.rfind(['+', '-', ' ']) else { return Some((time, 0)) };
    let (time, zone) = time.split_at(at);
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let zone: String = zone.chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes) = match zone.len() {
        2 => (digits(&zone, 2)?, 0),
        4 => (digits(zone.get(..2)?, 2)?, digits(zone.get(2..)?, 2)?),
        _ => return None,
    };
    let seconds = i64::try_from(hours * 3_600 + minutes * 60).ok()?;
    (hours <= 23 && minutes <= 59).then_some((time, sign * seconds))
}

fn digits(text: &str, count: usize) -> Option<u64> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Days from the year 1 to the beginning of `year`.
fn days_before(year: u64) -> u64 {
    let past = year - 1;
    past * 365 + past / 4 - past / 100 + past / 400
}

fn days_of(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_are_counted_from_the_epoch() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            ("1970-12-31", Some(364)),
            ("2000-02-29", Some(11_016)),
            ("2024-03-01", Some(19_783)),
            ("2023-02-29", None),
            ("1969-12-31", None),
            ("2024-13-01", None),
            ("2024-00-01", None),
            ("2024-1-1", None),
            ("0000-01-01", None),
            ("today", None),
            ("", None),
        ] {
            assert_eq!(day(text), expected, "{text}");
        }
    }

    #[test]
    fn times_may_have_a_zone() {
        for (text, expected) in [
            ("2024-03-01", Some(1_709_251_200)),
            ("2024-03-01T00:00:05", Some(1_709_251_205)),
            ("2024-03-01 00:01", Some(1_709_251_260)),
            ("2024-03-01T00:00:05.123Z", Some(1_709_251_205)),
            ("2024-03-01T01:00:05+01:00", Some(1_709_251_205)),
            ("2024-03-01T01:00:05 01:00", Some(1_709_251_205)),
            ("2024-02-29T23:00:05-0100", Some(1_709_251_205)),
            ("1970-01-01T00:00:00+01:00", None),
            ("2024-03-01T25:00", None),
            ("2024-03-01T", None),
            ("2024-03-01T00:00:00+1", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = seconds(&text);
        }

        #[test]
        fn consecutive_days_differ_by_one(year in 1970_u64..9999, month in 1_u64..=12) {
            let last = day(&format!("{year:04}-{month:02}-{:02}", days_of(year, month))).unwrap();
            let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            prop_assert_eq!(day(&format!("{year:04}-{month:02}-01")), Some(last + 1));
        }
    }
}
