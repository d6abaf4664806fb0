//! Time as people read it.

use crate::ids::Timestamp;

const SECONDS_PER_DAY: u64 = 86_400;
/// Days of 400 Gregorian years.
const DAYS_PER_ERA: u64 = 146_097;
/// From 0000-03-01, where the algorithm's years begin, to the epoch.
const EPOCH_DAY: u64 = 719_468;

/// `2025-05-27 22:10:02 (UTC)`.
#[must_use]
pub fn utc(time: Timestamp) -> String {
    let seconds = time.seconds();
    let (year, month, day) = date(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} (UTC)")
}

/// Year, month and day of a day since the epoch (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH_DAY;
    let (era, of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + 400 * era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_at_their_edges() {
        let cases = [
            (0, "1970-01-01 00:00:00 (UTC)"),
            (951_782_399, "2000-02-28 23:59:59 (UTC)"),
            (951_782_400, "2000-02-29 00:00:00 (UTC)"),
            (1_748_383_802, "2025-05-27 22:10:02 (UTC)"),
            (1_767_225_599, "2025-12-31 23:59:59 (UTC)"),
            (4_107_542_400, "2100-03-01 00:00:00 (UTC)"),
        ];
        for (seconds, text) in cases {
            assert_eq!(utc(Timestamp(seconds * 1000)), text);
        }
        assert!(utc(Timestamp(u64::MAX)).ends_with("(UTC)"));
    }
}
