//! A decimal in digits as the unscaled number of a scale, exactly or not at all.

use num_bigint::BigInt;

use super::error::JsonFault;

/// Digits that are followed, those that an exponent adds included. Redshift has 38; text columns take more.
const DIGITS_MAX: usize = 1000;

/// Appends the unscaled number at `scale`, in big-endian two's complement with its length before it.
pub(super) fn write(text: &str, scale: i32, out: &mut Vec<u8>) -> Result<(), JsonFault> {
    let wrong = || JsonFault::Number(text.chars().take(64).collect());
    let number = unscaled(text, scale).ok_or_else(wrong)?;
    crate::avro::default::prefixed(&number.to_signed_bytes_be(), out);
    Ok(())
}

fn unscaled(text: &str, scale: i32) -> Option<BigInt> {
    let (negative, magnitude) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let mut digits = format!("{whole}{fraction}");
    let shift = i64::from(scale) - fraction.len() as i64 + i64::from(exponent.parse::<i32>().ok()?);
    if digits.bytes().all(|digit| digit == b'0') {
        return Some(BigInt::ZERO);
    }
    if shift < 0 {
        // Digits beyond the scale may be cut only if they say nothing.
        let kept = digits.len().saturating_sub(usize::try_from(-shift).ok()?);
        if digits[kept..].bytes().any(|digit| digit != b'0') {
            return None;
        }
        digits.truncate(kept);
    } else {
        let length = digits.len().checked_add(usize::try_from(shift).ok()?)?;
        if length > DIGITS_MAX {
            return None;
        }
        digits.extend(std::iter::repeat_n('0', length - digits.len()));
    }
    if digits.len() > DIGITS_MAX {
        return None;
    }
    let number: BigInt = digits.parse().ok()?;
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stay_exact() {
        let at = |text: &str, scale| unscaled(text, scale).map(|number| number.to_string());
        assert_eq!(at("12.34", 2).as_deref(), Some("1234"));
        assert_eq!(at("-0.01", 2).as_deref(), Some("-1"));
        assert_eq!(at("12.3", 2).as_deref(), Some("1230"));
        assert_eq!(at("12.3400", 2).as_deref(), Some("1234"));
        assert_eq!(at("1.5E+3", 0).as_deref(), Some("1500"));
        assert_eq!(at("15e-1", 1).as_deref(), Some("15"));
        assert_eq!(at(".5", 1).as_deref(), Some("5"));
        assert_eq!(at("-0", 5).as_deref(), Some("0"));
        assert_eq!(at("0e999999999", 0).as_deref(), Some("0"));
        let large = "12345678901234567890123456789.123456789";
        assert_eq!(at(large, 9), Some(large.replace('.', "")));
        for (text, scale) in [
            ("12.345", 2),
            ("1e-3", 2),
            ("1e999999999", 0),
            ("1e99999999999", 0),
            ("", 0),
            (".", 0),
            ("-", 0),
            ("1x", 0),
            ("NaN", 0),
            ("1e", 0),
            ("--1", 0),
            ("0x10", 0),
        ] {
            assert_eq!(at(text, scale), None, "{text}");
        }
    }
}
