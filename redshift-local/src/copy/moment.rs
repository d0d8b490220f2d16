//! Dates and timestamps in COPY (redshift.md 1.5): the strict defaults, `'auto'` in its ISO forms, and epoch numbers.

use crate::sql::copy_statement::MomentFormat;

struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Text<'_> {
    fn digits(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for byte in self.bytes.get(self.at..self.at + count)? {
            value = value * 10 + u32::from(byte.is_ascii_digit().then(|| byte - b'0')?);
        }
        self.at += count;
        Some(value)
    }

    fn sign(&mut self, sign: u8) -> Option<()> {
        let seen = self.peek() == Some(sign);
        self.at += usize::from(seen);
        seen.then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn done(&self) -> bool {
        self.at >= self.bytes.len()
    }
}

/// True for a date that COPY accepts; PostgreSQL reads the same text the same way.
#[must_use]
pub fn is_date(bytes: &[u8], format: MomentFormat) -> bool {
    let mut text = Text { bytes, at: 0 };
    if format == MomentFormat::Auto && bytes.len() == 8 && bytes.iter().all(u8::is_ascii_digit) {
        return compact_date(bytes).is_some();
    }
    date(&mut text).is_some() && text.done()
}

fn compact_date(bytes: &[u8]) -> Option<()> {
    let mut text = Text { bytes, at: 0 };
    let (year, month, day) = (text.digits(4)?, text.digits(2)?, text.digits(2)?);
    valid_date(year, month, day)
}

fn date(text: &mut Text<'_>) -> Option<()> {
    let year = text.digits(4)?;
    text.sign(b'-')?;
    let month = text.digits(2)?;
    text.sign(b'-')?;
    valid_date(year, month, text.digits(2)?)
}

fn valid_date(year: u32, month: u32, day: u32) -> Option<()> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (year >= 1 && (1..=days).contains(&day)).then_some(())
}

/// True for a timestamp text that COPY accepts. A zone in a text for a column without one is accepted and ignored, as PostgreSQL does.
#[must_use]
pub fn is_timestamp(bytes: &[u8], format: MomentFormat) -> bool {
    timestamp(&mut Text { bytes, at: 0 }, format == MomentFormat::Auto).is_some()
}

fn timestamp(text: &mut Text<'_>, auto: bool) -> Option<()> {
    date(text)?;
    if auto && text.done() {
        return Some(());
    }
    if !(auto && text.sign(b'T').is_some()) {
        text.sign(b' ')?;
    }
    let hour = text.digits(2)?;
    text.sign(b':')?;
    let minute = text.digits(2)?;
    let mut second = 0;
    if !auto || text.peek() == Some(b':') {
        text.sign(b':')?;
        second = text.digits(2)?;
        if text.sign(b'.').is_some() {
            let digits = text.bytes[text.at..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            // Finer than microseconds is refused rather than cut (redshift.md 1.5).
            if digits == 0 || digits > 6 {
                return None;
            }
            text.at += digits;
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    zone(text, auto)?;
    text.done().then_some(())
}

/// `+00`, `+0000`, `+00:00`; with `'auto'` also `Z`, `UTC` and a blank in front.
fn zone(text: &mut Text<'_>, auto: bool) -> Option<()> {
    if auto {
        let _ = text.sign(b' ');
        if text.sign(b'Z').is_some() {
            return Some(());
        }
        if text.bytes[text.at..].eq_ignore_ascii_case(b"UTC") {
            text.at = text.bytes.len();
            return Some(());
        }
    }
    match text.peek() {
        Some(b'+' | b'-') => text.at += 1,
        _ => return Some(()),
    }
    let hours = text.digits(2)?;
    let minutes = if text.done() {
        0
    } else {
        let _ = text.sign(b':');
        text.digits(2)?
    };
    (hours <= 15 && minutes <= 59).then_some(())
}

/// Text of the moment `micros` microseconds after 1970, in UTC; none when out of range.
#[must_use]
pub fn epoch_text(number: i64, format: MomentFormat) -> Option<String> {
    let micros = i128::from(number)
        * if format == MomentFormat::EpochSeconds {
            1_000_000
        } else {
            1_000
        };
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(i64::try_from(days).ok()?);
    (1..=9999).contains(&year).then(|| {
        format!(
            "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}.{fraction:06}+00",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    })
}

/// Days since 1970 to year, month and day: Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let month = if month_shifted < 10 {
        month_shifted + 3
    } else {
        month_shifted - 9
    };
    (
        year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day_of_year - (153 * month_shifted + 2) / 5 + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_and_auto() {
        for (text, strict, auto) in [
            ("2024-02-29 23:59:59", true, true),
            ("2024-02-29 23:59:59.123456", true, true),
            ("2024-02-29 23:59:59.1234567", false, false),
            ("2023-02-29 00:00:00", false, false),
            ("2024-02-29 24:00:00", false, false),
            ("2024-02-29 23:59:59+00", true, true),
            ("2024-02-29 23:59:59.5+05:30", true, true),
            ("2024-02-29T23:59:59Z", false, true),
            ("2024-02-29 23:59:59 UTC", false, true),
            ("2024-02-29", false, true),
            ("2024-02-29 23:59", false, true),
            ("1709251199", false, false),
            ("", false, false),
            ("2024-02-29 23:59:59x", false, false),
        ] {
            assert_eq!(is_timestamp(text.as_bytes(), MomentFormat::Strict), strict, "{text}");
            assert_eq!(is_timestamp(text.as_bytes(), MomentFormat::Auto), auto, "{text}");
        }
        assert!(is_date(b"0001-01-01", MomentFormat::Strict) && is_date(b"20240229", MomentFormat::Auto));
        assert!(
            !is_date(b"0000-01-01", MomentFormat::Strict)
                && !is_date(b"20240229", MomentFormat::Strict)
                && !is_date(b"2024-2-9", MomentFormat::Auto)
        );
    }

    #[test]
    fn epochs() {
        assert_eq!(
            epoch_text(0, MomentFormat::EpochSeconds).unwrap(),
            "1970-01-01 00:00:00.000000+00"
        );
        assert_eq!(
            epoch_text(1_709_251_199_001, MomentFormat::EpochMilliseconds).unwrap(),
            "2024-02-29 23:59:59.001000+00"
        );
        assert_eq!(
            epoch_text(-1, MomentFormat::EpochSeconds).unwrap(),
            "1969-12-31 23:59:59.000000+00"
        );
        assert_eq!(epoch_text(i64::MAX, MomentFormat::EpochSeconds), None);
    }
}
