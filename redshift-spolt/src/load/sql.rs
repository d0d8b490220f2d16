//! Identifiers and literals, and the filling of the fixed statements of the `sql` folder.

use common::failure::Failure;

/// Longest identifier of Redshift, in bytes (redshift.md 2.2).
pub const IDENTIFIER_BYTES_MAX: usize = 127;

/// An identifier, always delimited, so that the list of reserved words never matters.
#[must_use]
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal. Redshift reads backslashes in plain literals as escapes and PostgreSQL does not, so none may stand in one.
///
/// # Errors
/// When the text holds a backslash or a NUL.
pub fn literal(text: &str) -> Result<String, Failure> {
    if text.contains('\\') || text.contains('\0') {
        return Err(Failure::halt(format!(
            "`{}` cannot be written into a statement: it holds a backslash or NUL",
            text.escape_debug()
        ))
        .hint("rename the topic, object or column so that it holds neither"));
    }
    Ok(format!("'{}'", text.replace('\'', "''")))
}

/// Fills `{name}` marks of a fixed statement and drops its comment lines and the final semicolon.
#[must_use]
pub fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text: String = template
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .collect::<Vec<_>>()
        .join("\n");
    for (name, value) in values {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    text.trim().trim_end_matches(';').to_owned()
}

/// Milliseconds since 1970 as a timestamp literal without a zone (UTC).
#[must_use]
pub fn timestamp(millis: i64) -> String {
    let days = millis.div_euclid(86_400_000);
    let rest = millis.rem_euclid(86_400_000);
    let (year, month, day) = civil(days);
    let (second, millis) = (rest / 1000, rest % 1000);
    format!(
        "'{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}.{millis:03}'",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Days since 1970 as a date of the Gregorian calendar (Howard Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Milliseconds since 1970 of a timestamp as the warehouse shows it: `YYYY-MM-DD HH:MM:SS` with a fraction or without, in UTC.
#[must_use]
pub fn millis(text: &str) -> Option<i64> {
    let (date, time) = text.trim().split_once(' ')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let fraction: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some((((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000 + fraction)
}

/// A date of the Gregorian calendar as days since 1970 (Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_read_back() {
        for at in [0, 951_782_400_000, 1_700_000_000_123, 253_402_300_799_999] {
            let text = timestamp(at);
            assert_eq!(millis(text.trim_matches('\'')), Some(at), "{text}");
        }
        assert_eq!(millis("1970-01-01 00:00:01.5"), Some(1_500));
        assert_eq!(millis("1970-01-01 00:00:01"), Some(1_000));
        assert_eq!(millis("yesterday"), None);
    }

    #[test]
    fn quotes_are_doubled_and_backslashes_refused() {
        assert_eq!(identifier("we\"ird"), "\"we\"\"ird\"");
        assert_eq!(literal("it's").unwrap(), "'it''s'");
        assert!(literal("a\\b").is_err());
    }

    #[test]
    fn comments_of_a_fixed_statement_are_not_sent() {
        assert_eq!(fill("-- why\nLOCK {state};\n", &[("state", "\"a\"")]), "LOCK \"a\"");
    }

    #[test]
    fn timestamps_are_utc_and_right_at_the_edges() {
        assert_eq!(timestamp(0), "'1970-01-01 00:00:00.000'");
        assert_eq!(timestamp(951_782_400_000), "'2000-02-29 00:00:00.000'");
        assert_eq!(timestamp(1_735_689_599_999), "'2024-12-31 23:59:59.999'");
        assert_eq!(timestamp(-1), "'1969-12-31 23:59:59.999'");
    }
}
