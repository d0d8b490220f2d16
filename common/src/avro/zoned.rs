//! The texts in which Debezium writes times: `2013-01-01T08:11:12.123456Z`, with any offset and up to nine digits of a second.

use crate::csv::Row;
use crate::csv::time::{DAY_MICROS, day_of};
use crate::row::Reason;

/// What is left of a text.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    /// A number of exactly so many digits.
    fn digits(&mut self, count: usize) -> Result<i64, Reason> {
        let (digits, rest) = self.0.split_at_checked(count).ok_or(Reason::TimeText)?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(Reason::TimeText);
        }
        self.0 = rest;
        Ok(digits
            .iter()
            .fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
    }

    fn eat(&mut self, byte: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Reason> {
        if self.eat(byte) { Ok(()) } else { Err(Reason::TimeText) }
    }

    /// Days since 1970-01-01.
    fn date(&mut self) -> Result<i64, Reason> {
        // Years of more than four digits have a sign, and no place in a row; neither have PostgreSQL's `infinity` and `-infinity`.
        if matches!(self.0.first(), Some(b'+' | b'-')) || self.0 == b"infinity" {
            return Err(Reason::Year);
        }
        let year = self.digits(4)?;
        self.expect(b'-')?;
        let month = self.digits(2)?;
        self.expect(b'-')?;
        let no_such_day = if (1..=9999).contains(&year) {
            Reason::TimeText
        } else {
            Reason::Year
        };
        day_of(year, month, self.digits(2)?).ok_or(no_such_day)
    }

    /// Microseconds since midnight; seconds and their fraction may be missing, finer digits are cut.
    fn time(&mut self) -> Result<i64, Reason> {
        let hours = self.digits(2)?;
        self.expect(b':')?;
        let minutes = self.digits(2)?;
        let seconds = if self.eat(b':') { self.digits(2)? } else { 0 };
        if hours > 24 || minutes > 59 || seconds > 59 {
            return Err(Reason::TimeText);
        }
        let mut micros = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000;
        if self.eat(b'.') {
            let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return Err(Reason::TimeText);
            }
            let nanos = self.digits(digits)? * 10_i64.pow(9 - digits as u32);
            micros += nanos / 1000;
        }
        if micros > DAY_MICROS {
            Err(Reason::TimeOfDay)
        } else {
            Ok(micros)
        }
    }

    /// Microseconds by which the zone is ahead of UTC.
    fn offset(&mut self) -> Result<i64, Reason> {
        if self.eat(b'Z') || self.eat(b'z') {
            return Ok(0);
        }
        let sign = if self.eat(b'+') { 1 } else { -1 };
        if sign < 0 {
            self.expect(b'-')?;
        }
        let hours = self.digits(2)?;
        let minutes = if self.eat(b':') || !self.0.is_empty() {
            self.digits(2)?
        } else {
            0
        };
        let seconds = if self.eat(b':') { self.digits(2)? } else { 0 };
        if hours > 18 || minutes > 59 || seconds > 59 {
            return Err(Reason::TimeText);
        }
        Ok(sign * ((hours * 60 + minutes) * 60 + seconds) * 1_000_000)
    }

    fn end(&self) -> Result<(), Reason> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Reason::TimeText)
        }
    }
}

fn instant(text: &[u8], zone_needed: bool) -> Result<i64, Reason> {
    let mut text = Text(text);
    let day = text.date()?;
    if !text.eat(b'T') {
        text.expect(b' ')?;
    }
    let local = text.time()?;
    let offset = if zone_needed || !text.0.is_empty() {
        text.offset()?
    } else {
        0
    };
    text.end()?;
    Ok(day * DAY_MICROS + local - offset)
}

/// The form in which Debezium writes nearly all: `YYYY-MM-DDTHH:MM:SS[.ffffff]Z`, with up to six digits.
#[inline]
fn usual(text: &[u8]) -> Option<i64> {
    let (seconds, rest) = text.split_first_chunk::<19>()?;
    let (b'Z', fraction) = rest.split_last()? else {
        return None;
    };
    let mut wrong =
        seconds[4] ^ b'-' | seconds[7] ^ b'-' | seconds[10] ^ b'T' | seconds[13] ^ b':' | seconds[16] ^ b':';
    let mut pair = |at: usize| {
        let (tens, ones) = (seconds[at].wrapping_sub(b'0'), seconds[at + 1].wrapping_sub(b'0'));
        wrong |= u8::from(tens > 9 || ones > 9);
        i64::from(tens.wrapping_mul(10).wrapping_add(ones))
    };
    let day = day_of(pair(0) * 100 + pair(2), pair(5), pair(8));
    let (hours, minutes, second) = (pair(11), pair(14), pair(17));
    if wrong != 0 || hours > 23 || minutes > 59 || second > 59 {
        return None;
    }
    let micros = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=6).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) => {
            let number = digits
                .iter()
                .fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
            number * [100_000, 10_000, 1000, 100, 10, 1][digits.len() - 1]
        }
        _ => return None,
    };
    Some(day? * DAY_MICROS + ((hours * 60 + minutes) * 60 + second) * 1_000_000 + micros)
}

/// TIMESTAMPTZ in UTC.
pub(super) fn timestamp(text: &[u8], row: &mut Row) -> Result<(), Reason> {
    let micros = match usual(text) {
        Some(micros) => micros,
        None => instant(text, true)?,
    };
    row.timestamp(micros)?;
    row.raw(b"+00");
    Ok(())
}

/// TIMETZ in UTC; a time that crosses midnight on its way there stays a time of day.
pub(super) fn time(text: &[u8], row: &mut Row) -> Result<(), Reason> {
    let mut text = Text(text);
    let local = text.time()?;
    let offset = text.offset()?;
    text.end()?;
    let utc = if offset == 0 {
        local
    } else {
        (local - offset).rem_euclid(DAY_MICROS)
    };
    row.time(utc)?;
    row.raw(b"+00");
    Ok(())
}

/// DATE of `2023-11-21`, with or without a Z.
pub(super) fn iso_date(text: &[u8], row: &mut Row) -> Result<(), Reason> {
    let mut text = Text(text);
    let day = text.date()?;
    text.eat(b'Z');
    text.end()?;
    row.date(day)
}

/// TIME of `10:15:30Z`.
pub(super) fn iso_time(text: &[u8], row: &mut Row) -> Result<(), Reason> {
    let mut text = Text(text);
    let micros = text.time()?;
    text.eat(b'Z');
    text.end()?;
    row.time(micros)
}

/// TIMESTAMP of `2023-11-21T18:29:26Z`.
pub(super) fn iso_timestamp(text: &[u8], row: &mut Row) -> Result<(), Reason> {
    row.timestamp(instant(text, false)?)
}

/// An Avro duration as an ISO-8601 period: `P1M2DT3.004S`.
pub(super) fn duration(bytes: &[u8; 12], row: &mut Row) {
    let part = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let (months, days, millis) = (part(0), part(4), part(8));
    row.raw(b"\"P");
    row.unsigned(months.into());
    row.byte(b'M');
    row.unsigned(days.into());
    row.raw(b"DT");
    row.unsigned((millis / 1000).into());
    if millis % 1000 != 0 {
        row.byte(b'.');
        let thousandths = millis % 1000;
        row.byte(b'0' + (thousandths / 100) as u8);
        row.byte(b'0' + (thousandths / 10 % 10) as u8);
        row.byte(b'0' + (thousandths % 10) as u8);
    }
    row.raw(b"S\"");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&[u8], &mut Row) -> Result<(), Reason>, text: &str) -> Result<String, Reason> {
        let mut row = Row::new("~NULL~");
        row.reserve(64);
        write(text.as_bytes(), &mut row)?;
        Ok(String::from_utf8(row.written().to_vec()).unwrap())
    }

    #[test]
    fn timestamps_are_brought_to_utc() {
        for (text, expected) in [
            ("2013-01-01T08:11:12.123456Z", "2013-01-01 08:11:12.123456+00"),
            ("2013-01-01T08:11:12Z", "2013-01-01 08:11:12+00"),
            ("2013-01-01T08:11:12.1+02:00", "2013-01-01 06:11:12.100000+00"),
            ("2013-01-01T00:11-0530", "2013-01-01 05:41:00+00"),
            ("2013-01-01T00:11:12.123456789+01", "2012-12-31 23:11:12.123456+00"),
        ] {
            assert_eq!(written(timestamp, text).unwrap(), expected);
        }
        for text in [
            "infinity",
            "2013-01-01",
            "2013-01-01T08:11:12",
            "2013-01-01T08:11:12Zx",
            "2013-13-01T08:11:12Z",
            "",
        ] {
            assert!(written(timestamp, text).is_err(), "{text}");
        }
        assert_eq!(written(timestamp, "+12013-01-01T08:11:12Z"), Err(Reason::Year));
        assert_eq!(written(timestamp, "0001-01-01T00:00:00+02:00"), Err(Reason::Year));
        for infinite in ["infinity", "-infinity"] {
            assert_eq!(written(timestamp, infinite), Err(Reason::Year), "{infinite}");
        }
        assert_eq!(written(timestamp, "infinitely"), Err(Reason::TimeText));
    }

    #[test]
    fn times_dates_and_iso_texts() {
        assert_eq!(written(time, "08:11:12.123456Z").unwrap(), "08:11:12.123456+00");
        assert_eq!(written(time, "24:00:00Z").unwrap(), "24:00:00+00");
        assert_eq!(written(time, "01:00:00+02:00").unwrap(), "23:00:00+00");
        assert_eq!(written(iso_date, "2023-11-21Z").unwrap(), "2023-11-21");
        assert_eq!(written(iso_time, "10:15:30Z").unwrap(), "10:15:30");
        assert_eq!(
            written(iso_timestamp, "2023-11-21T18:29:26.5Z").unwrap(),
            "2023-11-21 18:29:26.500000"
        );
        assert_eq!(
            written(iso_timestamp, "2023-11-21T18:29:26").unwrap(),
            "2023-11-21 18:29:26"
        );
        assert_eq!(written(time, "24:00:01Z"), Err(Reason::TimeOfDay));
        assert_eq!(written(iso_date, "2023-02-29"), Err(Reason::TimeText));
    }

    #[test]
    fn durations_are_periods() {
        let text = |parts: [u32; 3]| {
            let bytes: Vec<u8> = parts.iter().flat_map(|part| part.to_le_bytes()).collect();
            written(
                |_, row| {
                    duration(&bytes.clone().try_into().unwrap(), row);
                    Ok(())
                },
                "",
            )
            .unwrap()
        };
        assert_eq!(text([1, 2, 3004]), "\"P1M2DT3.004S\"");
        assert_eq!(text([0, 0, 0]), "\"P0M0DT0S\"");
        assert_eq!(text([u32::MAX; 3]), "\"P4294967295M4294967295DT4294967.295S\"");
    }
}
