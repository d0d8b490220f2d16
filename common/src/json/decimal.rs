//! A decimal in digits as the unscaled number of a scale, exactly or not at all.

use super::error::JsonFault;
use crate::csv::decimal::unscaled_of_text;

/// Appends the unscaled number at `scale`, in big-endian two's complement with its length before it.
pub(super) fn write(text: &str, scale: i32, out: &mut Vec<u8>) -> Result<(), JsonFault> {
    let wrong = || JsonFault::Number(text.chars().take(64).collect());
    let number = unscaled_of_text(text, scale).ok_or_else(wrong)?;
    crate::avro::default::prefixed(&number.to_signed_bytes_be(), out);
    Ok(())
}
