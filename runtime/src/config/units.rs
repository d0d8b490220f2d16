//! Sizes and durations as they are written in the configuration.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes, written `"64MiB"`, `"16KiB"`, `"1GiB"` or as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(pub u64);

const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Size {
    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// So many MiB.
    #[must_use]
    pub const fn mib(count: u64) -> Size {
        Size(count << 20)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |unit: u64| self.0 >= unit && self.0.is_multiple_of(unit);
        match SIZE_UNITS.iter().find(|(_, unit)| fits(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let (number, unit) = split(text);
        let factor = match unit {
            "" => Some(1),
            unit => SIZE_UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .map(|(_, factor)| *factor),
        };
        let bytes = factor.and_then(|factor| number.parse::<u64>().ok()?.checked_mul(factor));
        bytes.map(Size).ok_or_else(|| {
            format!("`{text}` is not a size; write a whole number with KiB, MiB or GiB, for example \"64MiB\"")
        })
    }
}

const DURATION_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"1d"`.
pub(super) fn duration_from(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let factor = DURATION_UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor);
    let millis = factor.and_then(|factor| number.parse::<u64>().ok()?.checked_mul(factor));
    millis.map(Duration::from_millis).ok_or_else(|| {
        format!("`{text}` is not a duration; write a whole number with ms, s, m, h or d, for example \"30s\"")
    })
}

/// The opposite of [`duration_from`]: the largest unit that leaves a whole number.
pub(super) fn duration_text(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = |unit: u64| millis >= unit && millis.is_multiple_of(unit);
    match DURATION_UNITS.iter().find(|(_, unit)| fits(*unit)) {
        Some((name, unit)) => format!("{}{name}", millis / unit),
        None => format!("{millis}ms"),
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_as_written() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("1GiB", 1 << 30),
            ("3KiB", 3 << 10),
            ("1537B", 1537),
        ] {
            assert_eq!(text.parse::<Size>(), Ok(Size(bytes)));
            assert_eq!(Size(bytes).to_string(), text);
        }
        assert_eq!("17".parse::<Size>(), Ok(Size(17)));
        assert_eq!("0".parse::<Size>().map(|size| size.to_string()), Ok("0B".to_owned()));
        for wrong in ["", "MiB", "64MB", "-1MiB", "1.5GiB", "99999999999999GiB"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_read_back_as_written() {
        for (text, millis) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("0ms", 0),
        ] {
            assert_eq!(duration_from(text), Ok(Duration::from_millis(millis)));
            assert_eq!(duration_text(Duration::from_millis(millis)), text);
        }
        assert_eq!(duration_text(Duration::from_secs(90)), "90s");
        for wrong in ["", "30", "s", "1.5s", "30 seconds", "-1s"] {
            assert!(duration_from(wrong).is_err(), "{wrong}");
        }
    }
}
