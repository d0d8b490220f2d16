//! Decimals: big-endian two's complement in, plain fixed point at exactly the column's scale out.

use num_bigint::BigInt;

use super::field::Row;
use crate::row::Reason;

/// The longest text of a decimal that goes into a VARCHAR: sign, point, digits (VARCHAR(80) for a scale that varies, redshift.md 7.1).
pub(crate) const DECIMAL_TEXT_BYTES_MAX: usize = 80;

const POWERS: [u128; 39] = {
    let mut powers = [1; 39];
    let mut i = 1;
    while i < 39 {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// The number in big-endian two's complement bytes; `None` if it does not fit.
#[inline]
pub(crate) fn unscaled(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let fill = if negative { 0xff } else { 0 };
    let (extra, bytes) = bytes.split_at(bytes.len().saturating_sub(16));
    let mut block = [fill; 16];
    block[16 - bytes.len()..].copy_from_slice(bytes);
    let value = i128::from_be_bytes(block);
    (extra.iter().all(|&byte| byte == fill) && (value < 0) == negative).then_some(value)
}

impl Row {
    /// A decimal of scale `from` in a column DECIMAL(precision, to), where `from <= to`.
    #[inline]
    pub(crate) fn decimal(&mut self, bytes: &[u8], from: u8, precision: u8, to: u8) -> Result<(), Reason> {
        let value = unscaled(bytes).ok_or(Reason::Digits)?;
        let widened = u8::checked_sub(to, from).ok_or(Reason::Digits)?;
        let power = *POWERS.get(usize::from(widened)).ok_or(Reason::Digits)?;
        let magnitude = value.unsigned_abs().checked_mul(power).ok_or(Reason::Digits)?;
        if magnitude >= *POWERS.get(usize::from(precision)).ok_or(Reason::Digits)? {
            return Err(Reason::Digits);
        }
        if value < 0 {
            self.byte(b'-');
        }
        if let Ok(small) = u64::try_from(magnitude) {
            let power = 10_u64.checked_pow(u32::from(to));
            let (whole, fraction) = power.map_or((0, small), |power| (small / power, small % power));
            self.unsigned(whole);
            self.fraction(u128::from(fraction), to);
        } else {
            let power = POWERS[usize::from(to)];
            self.large(magnitude / power);
            self.fraction(magnitude % power, to);
        }
        Ok(())
    }

    /// A decimal of any scale in a column DECIMAL(precision, to), if it is exactly such a number.
    pub(crate) fn decimal_of_any_scale(
        &mut self,
        bytes: &[u8],
        from: i32,
        precision: u8,
        to: u8,
    ) -> Result<(), Reason> {
        let number = BigInt::from_signed_bytes_be(bytes);
        let shift = i64::from(to) - i64::from(from);
        let power = || BigInt::from(10).pow(u32::try_from(shift.unsigned_abs()).unwrap_or(u32::MAX));
        let scaled = match number.sign() {
            num_bigint::Sign::NoSign => number,
            // No number of 38 digits is that far away from its own.
            _ if shift.unsigned_abs() > 1000 => return Err(Reason::Digits),
            _ if shift >= 0 => number * power(),
            _ => {
                let power = power();
                let scaled = &number / &power;
                if &scaled * power != number {
                    return Err(Reason::Digits);
                }
                scaled
            }
        };
        self.decimal(&scaled.to_signed_bytes_be(), to, precision, to)
    }

    fn large(&mut self, value: u128) {
        let mut buffer = itoa::Buffer::new();
        self.raw(buffer.format(value).as_bytes());
    }

    /// The point and exactly `scale` digits.
    #[inline]
    fn fraction(&mut self, mut value: u128, scale: u8) {
        if scale == 0 {
            return;
        }
        let end = self.at + 1 + usize::from(scale);
        let field = &mut self.bytes[self.at..end];
        field[0] = b'.';
        let mut digits = field[1..].iter_mut().rev();
        if let Ok(mut small) = u64::try_from(value) {
            digits.for_each(|digit| {
                *digit = b'0' + (small % 10) as u8;
                small /= 10;
            });
        } else {
            digits.by_ref().for_each(|digit| {
                *digit = b'0' + (value % 10) as u8;
                value /= 10;
            });
        }
        self.at = end;
    }

    /// A decimal of any size and scale as quoted text.
    pub(crate) fn decimal_text(&mut self, bytes: &[u8], scale: i32, limit: usize) -> Result<usize, Reason> {
        let text = decimal_text(bytes, scale, limit)?;
        self.reserve(text.len() + 2);
        self.byte(b'"');
        self.raw(text.as_bytes());
        self.byte(b'"');
        Ok(text.len())
    }
}

/// Digits that are followed, those that an exponent adds included. Redshift has 38; text columns take more.
const DIGITS_MAX: usize = 1000;

/// The unscaled number at `scale` of a decimal in digits, exactly; `None` if the text is no number or the scale cannot hold it.
pub(crate) fn unscaled_of_text(text: &str, scale: i32) -> Option<BigInt> {
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

/// Plain fixed point of a decimal of any size and scale, of at most `limit` bytes.
pub(crate) fn decimal_text(bytes: &[u8], scale: i32, limit: usize) -> Result<String, Reason> {
    // A byte of the number makes at least two digits, so a longer one cannot fit; and a scale adds or moves that many digits.
    let too_long = Reason::TextBytes(u32::try_from(bytes.len().max(scale.unsigned_abs() as usize)).unwrap_or(u32::MAX));
    if bytes.len() > limit || scale.unsigned_abs() as usize > limit {
        return Err(too_long);
    }
    let number = BigInt::from_signed_bytes_be(bytes);
    let mut digits = number.magnitude().to_string();
    if scale < 0 && digits != "0" {
        digits.extend(std::iter::repeat_n('0', scale.unsigned_abs() as usize));
    }
    let scale = usize::try_from(scale).unwrap_or(0);
    if digits.len() <= scale {
        digits.insert_str(0, &"0".repeat(scale + 1 - digits.len()));
    }
    if scale > 0 {
        digits.insert(digits.len() - scale, '.');
    }
    if number.sign() == num_bigint::Sign::Minus {
        digits.insert(0, '-');
    }
    if digits.len() > limit {
        Err(Reason::TextBytes(digits.len() as u32))
    } else {
        Ok(digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(value: i128, from: u8, precision: u8, to: u8) -> Result<String, Reason> {
        let mut row = Row::new("~NULL~");
        row.reserve(128);
        row.decimal(&value.to_be_bytes(), from, precision, to)?;
        Ok(String::from_utf8(row.written().to_vec()).unwrap())
    }

    #[test]
    fn the_scale_is_exact_and_the_precision_is_kept() {
        assert_eq!(decimal(-1, 2, 10, 2).unwrap(), "-0.01");
        assert_eq!(decimal(0, 9, 38, 9).unwrap(), "0.000000000");
        assert_eq!(decimal(1_234_567_891, 2, 10, 2).unwrap(), "12345678.91");
        assert_eq!(decimal(15, 1, 10, 4).unwrap(), "1.5000");
        assert_eq!(decimal(7, 0, 5, 0).unwrap(), "7");
        assert_eq!(
            decimal(10_i128.pow(38) - 1, 37, 38, 37).unwrap(),
            "9.9999999999999999999999999999999999999"
        );
        assert_eq!(decimal(10_i128.pow(38), 0, 38, 0), Err(Reason::Digits));
        assert_eq!(decimal(100_000, 0, 5, 0), Err(Reason::Digits));
        assert_eq!(decimal(10_000, 0, 5, 2), Err(Reason::Digits));
    }

    #[test]
    fn numbers_longer_than_needed_are_the_same_number() {
        for value in [0_i128, 1, -1, 127, 128, -128, -129, i128::MAX, i128::MIN] {
            let bytes = value.to_be_bytes();
            let mut long = vec![if value < 0 { 0xff } else { 0 }; 5];
            long.extend(bytes);
            assert_eq!(unscaled(&long), Some(value));
            assert_eq!(unscaled(&BigInt::from(value).to_signed_bytes_be()), Some(value));
        }
        assert_eq!(unscaled(&[]), Some(0));
        let mut beyond = vec![0x01];
        beyond.extend([0; 16]);
        assert_eq!(unscaled(&beyond), None);
        let mut sign_only = vec![0x00];
        sign_only.extend([0xff; 16]);
        assert_eq!(unscaled(&sign_only), None);
    }

    #[test]
    fn scales_of_every_sign_become_plain_text() {
        let text = |value: i64, scale| decimal_text(&value.to_be_bytes(), scale, 80).unwrap();
        assert_eq!(text(-1, 9), "-0.000000001");
        assert_eq!(text(15, -3), "15000");
        assert_eq!(text(0, -3), "0");
        assert_eq!(text(0, 2), "0.00");
        assert_eq!(text(12345, 2), "123.45");
        assert!(matches!(decimal_text(&[1], 1_000_000, 80), Err(Reason::TextBytes(_))));
        assert!(matches!(decimal_text(&[1], i32::MIN, 80), Err(Reason::TextBytes(_))));
        assert!(matches!(decimal_text(&[1; 81], 0, 80), Err(Reason::TextBytes(_))));
    }

    proptest! {
        /// The two ways to write a decimal agree.
        #[test]
        fn fast_and_slow_agree(value in any::<i128>().prop_map(|v| v % 10_i128.pow(38)), shift in 0_u32..127, scale in 0_u8..=37) {
            let value = value >> shift;
            prop_assert_eq!(decimal(value, scale, 38, scale).unwrap(), decimal_text(&value.to_be_bytes(), scale.into(), 80).unwrap());
        }
    }

    #[test]
    fn digits_stay_exact() {
        let at = |text: &str, scale| unscaled_of_text(text, scale).map(|number| number.to_string());
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
