//! Dates, times and timestamps as digits: proleptic Gregorian, years 1 to 9999, microseconds.

use super::field::{Row, eight_digits};
use crate::row::Reason;

/// 0001-01-01 in days since 1970-01-01.
pub(crate) const DAY_MIN: i64 = -719_162;
/// 9999-12-31 in days since 1970-01-01.
pub(crate) const DAY_MAX: i64 = 2_932_896;
/// Microseconds of a day.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// Year, month and day of a day since 1970-01-01, which lies between [`DAY_MIN`] and [`DAY_MAX`].
///
/// The method is Neri and Schneider's "Euclidean affine functions": years begin in March, so that the leap day is the last.
#[inline]
fn civil(day: i64) -> (u32, u32, u32) {
    // From 0000-03-01, which is 719,468 days before 1970; positive for all days that are let in.
    let n = 4 * (day + 719_468) as u32 + 3;
    let century = n / 146_097;
    let n = n % 146_097 / 4;
    let product = 2_939_745_u64 * u64::from(4 * n + 3);
    let year_of_century = (product >> 32) as u32;
    let day_of_year = (product as u32) / 2_939_745 / 4;
    let n = 2_141 * day_of_year + 197_913;
    let month = n >> 16;
    let day = (n & 0xffff) / 2_141;
    let late = u32::from(day_of_year >= 306);
    (100 * century + year_of_century + late, month - 12 * late, day + 1)
}

/// Days since 1970-01-01 of a date; `None` if there is no such day.
pub(crate) fn day_of(year: i64, month: i64, day: i64) -> Option<i64> {
    const DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = *DAYS.get(usize::try_from(month - 1).ok()?)? + i64::from(leap && month == 2);
    if !(1..=9999).contains(&year) || !(1..=last).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    Some(365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468)
}

/// `YYYY-MM-DD` of a day that lies between [`DAY_MIN`] and [`DAY_MAX`], as a word and the two bytes after it.
#[inline(always)]
pub(crate) fn date_digits(day: i64) -> (u64, u16) {
    let (year, month, day) = civil(day);
    let digits = eight_digits(year * 10_000 + month * 100 + day);
    let year = digits & 0xffff_ffff;
    let month = (digits >> 32) & 0xffff;
    let dash = u64::from(b'-');
    (year | dash << 32 | month << 40 | dash << 56, (digits >> 48) as u16)
}

/// `HH:MM:SS` of seconds since midnight.
#[inline(always)]
pub(crate) fn time_digits(seconds: u32) -> u64 {
    let minutes = seconds / 60;
    let digits = eight_digits(minutes / 60 * 10_000 + minutes % 60 * 100 + seconds % 60);
    let part = |at: u32| (digits >> at) & 0xffff;
    let colon = u64::from(b':');
    part(16) | colon << 16 | part(32) << 24 | colon << 40 | part(48) << 48
}

/// `.ffffff` of a number of microseconds, seven bytes: eight digits begin with two zeros, one of which gives its place to the point.
#[inline(always)]
pub(crate) fn fraction_digits(micros: u32) -> u64 {
    (eight_digits(micros) >> 8 & !0xff) | u64::from(b'.')
}

impl Row {
    #[inline]
    fn put_date(&mut self, day: i64) {
        let (start, end) = date_digits(day);
        self.word(start, 8);
        self.word(end.into(), 2);
    }

    #[inline]
    fn put_time(&mut self, micros: u64) {
        self.word(time_digits((micros / 1_000_000) as u32), 8);
        let fraction = (micros % 1_000_000) as u32;
        if fraction != 0 {
            self.fraction_of_second(fraction);
        }
    }

    /// `.ffffff` of a number of microseconds.
    #[inline]
    pub(crate) fn fraction_of_second(&mut self, micros: u32) {
        self.word(fraction_digits(micros), 7);
    }

    /// `YYYY-MM-DD` of days since 1970-01-01.
    #[inline]
    pub(crate) fn date(&mut self, day: i64) -> Result<(), Reason> {
        if !(DAY_MIN..=DAY_MAX).contains(&day) {
            return Err(Reason::Year);
        }
        self.put_date(day);
        Ok(())
    }

    /// `HH:MM:SS[.ffffff]` of microseconds since midnight, up to 24:00:00 inclusive as in the source databases.
    #[inline]
    pub(crate) fn time(&mut self, micros: i64) -> Result<(), Reason> {
        if !(0..=DAY_MICROS).contains(&micros) {
            return Err(Reason::TimeOfDay);
        }
        self.put_time(micros as u64);
        Ok(())
    }

    /// `YYYY-MM-DD HH:MM:SS[.ffffff]` of microseconds since 1970-01-01.
    #[inline]
    pub(crate) fn timestamp(&mut self, micros: i64) -> Result<(), Reason> {
        let day = micros.div_euclid(DAY_MICROS);
        if !(DAY_MIN..=DAY_MAX).contains(&day) {
            return Err(Reason::Year);
        }
        self.put_date(day);
        self.byte(b' ');
        self.put_time((micros - day * DAY_MICROS) as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl Fn(&mut Row) -> Result<(), Reason>) -> String {
        let mut row = Row::new("~NULL~");
        row.reserve(64);
        write(&mut row).unwrap();
        String::from_utf8(row.written().to_vec()).unwrap()
    }

    /// Every day of ten thousand years, against another library.
    #[test]
    fn every_day_is_the_day_that_jiff_says() {
        let mut row = Row::new("~NULL~");
        row.reserve(64);
        let mut date = jiff::civil::date(1, 1, 1);
        for day in DAY_MIN..=DAY_MAX {
            row.truncate(0);
            row.date(day).unwrap();
            let (year, month, of_month) = (date.year(), date.month(), date.day());
            assert_eq!(row.written(), format!("{year:04}-{month:02}-{of_month:02}").as_bytes());
            assert_eq!(day_of(year.into(), month.into(), of_month.into()), Some(day));
            if day < DAY_MAX {
                date = date.tomorrow().unwrap();
            }
        }
        assert_eq!(row.date(DAY_MIN - 1), Err(Reason::Year));
        assert_eq!(row.date(DAY_MAX + 1), Err(Reason::Year));
    }

    #[test]
    fn there_is_no_30th_of_february() {
        assert_eq!(day_of(2000, 2, 29), Some(11_016));
        for (year, month, day) in [
            (1900, 2, 29),
            (2001, 2, 30),
            (2001, 0, 1),
            (2001, 13, 1),
            (0, 1, 1),
            (10_000, 1, 1),
        ] {
            assert_eq!(day_of(year, month, day), None);
        }
    }

    #[test]
    fn times_and_timestamps() {
        assert_eq!(text(|row| row.time(0)), "00:00:00");
        assert_eq!(text(|row| row.time(DAY_MICROS)), "24:00:00");
        assert_eq!(text(|row| row.time(36_672_123_456)), "10:11:12.123456");
        assert_eq!(text(|row| row.timestamp(-1)), "1969-12-31 23:59:59.999999");
        assert_eq!(
            text(|row| row.timestamp(1_357_035_072_123_000)),
            "2013-01-01 10:11:12.123000"
        );
        assert_eq!(text(|row| row.timestamp(DAY_MIN * DAY_MICROS)), "0001-01-01 00:00:00");
        assert_eq!(
            text(|row| row.timestamp((DAY_MAX + 1) * DAY_MICROS - 1)),
            "9999-12-31 23:59:59.999999"
        );
        let mut row = Row::new("~NULL~");
        row.reserve(64);
        assert_eq!(row.timestamp(i64::MAX), Err(Reason::Year));
        assert_eq!(row.timestamp(i64::MIN), Err(Reason::Year));
        assert_eq!(row.time(-1), Err(Reason::TimeOfDay));
        assert_eq!(row.time(DAY_MICROS + 1), Err(Reason::TimeOfDay));
    }
}
