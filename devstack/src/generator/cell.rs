//! One value of the truth, and whether a database's text says the same.

use std::fmt::Write;

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;

/// A value as the target should hold it.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// Any integer.
    Int(i64),
    /// Text.
    Text(String),
    /// Boolean.
    Bool(bool),
    /// Double precision.
    Double(f64),
    /// A decimal of scale 2, in hundredths.
    Hundredths(i64),
    /// Days since 1970.
    Date(i32),
    /// A timestamp without zone, in microseconds since 1970.
    Timestamp(i64),
    /// An instant, in microseconds since 1970, shown in UTC.
    Instant(i64),
}

impl Cell {
    /// Whether `text` (as PostgreSQL and Redshift write it, in UTC; `None` is NULL) is this value.
    #[must_use]
    pub fn is(&self, text: Option<&str>) -> bool {
        match (self, text) {
            (Cell::Null, None) => true,
            (Cell::Null, Some(_)) | (_, None) => false,
            (Cell::Text(own), Some(text)) => own == text,
            // Both sides print the shortest digits that give the number back, yet not in the same form: compare the numbers.
            (Cell::Double(own), Some(text)) => text
                .parse::<f64>()
                .is_ok_and(|number| number.to_bits() == own.to_bits()),
            (own, Some(text)) => own.text() == text,
        }
    }

    /// The value as text, NULL as nothing.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Int(number) => number.to_string(),
            Cell::Text(text) => text.clone(),
            Cell::Bool(value) => if *value { "t" } else { "f" }.to_owned(),
            Cell::Double(number) => number.to_string(),
            Cell::Hundredths(number) => {
                let sign = if *number < 0 { "-" } else { "" };
                let number = number.unsigned_abs();
                format!("{sign}{}.{:02}", number / 100, number % 100)
            }
            Cell::Date(days) => date(i64::from(*days)),
            Cell::Timestamp(micros) => timestamp(*micros),
            Cell::Instant(micros) => timestamp(*micros) + "+00",
        }
    }
}

fn timestamp(micros: i64) -> String {
    let seconds = micros.div_euclid(SECOND);
    let fraction = micros.rem_euclid(SECOND);
    let of_day = seconds.rem_euclid(86_400);
    let mut text = date(seconds.div_euclid(86_400));
    let written = write!(text, " {:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60);
    written.expect("invariant: writing to a string cannot fail");
    if fraction != 0 {
        let digits = format!(".{fraction:06}");
        text.push_str(digits.trim_end_matches('0'));
    }
    text
}

fn date(days: i64) -> String {
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Days since 1970-01-01 of a date (the proleptic Gregorian calendar; Howard Hinnant, "chrono-compatible low-level date algorithms").
#[must_use]
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_another_calendar() {
        for days_since in (-700_000..2_900_000).step_by(97) {
            let (year, month, day) = civil(days_since);
            assert_eq!(days(year, month, day), days_since);
            if (1..=9999).contains(&year) {
                let other = jiff::civil::date(1970, 1, 1)
                    .checked_add(jiff::Span::new().days(days_since))
                    .unwrap();
                assert_eq!(date(days_since), other.to_string());
            }
        }
    }

    #[test]
    fn texts_are_those_of_postgresql() {
        assert!(Cell::Hundredths(-5).is(Some("-0.05")));
        assert!(Cell::Timestamp(1_500_000).is(Some("1970-01-01 00:00:01.5")));
        assert!(Cell::Instant(1_000_000).is(Some("1970-01-01 00:00:01+00")));
        assert!(Cell::Double(10.357_019_999_999_999).is(Some("10.357019999999999")));
        assert!(!Cell::Double(1.0).is(Some("1.0000001")));
        assert!(Cell::Null.is(None) && !Cell::Null.is(Some("")) && !Cell::Text(String::new()).is(None));
    }
}
