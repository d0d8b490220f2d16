//! The row being written. It is built in a buffer that is already as long as the row can get, so that a field costs one bounds check
//! and no growth check; the finished row is copied out once.

use super::{NULL_MARKER_BYTES_MAX, ROW_BYTES_MAX};
use crate::row::Reason;

/// Writes may store whole blocks past the end of a field; so much room is always left for that.
const SLACK: usize = 64;
/// A buffer that one huge record has blown up is given back beyond this: a thousand lineages each have one.
const KEEP_BYTES: usize = 256 * 1024;

/// The NULL marker and a delimiter, padded to a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marker {
    pub(crate) block: [u8; NULL_MARKER_BYTES_MAX + 1],
    /// Bytes of the marker alone.
    pub(crate) bytes: usize,
}

impl Marker {
    fn new(text: &str) -> Marker {
        let mut block = [b','; NULL_MARKER_BYTES_MAX + 1];
        let bytes = text.len().min(NULL_MARKER_BYTES_MAX);
        block[..bytes].copy_from_slice(&text.as_bytes()[..bytes]);
        Marker { block, bytes }
    }

    /// Its text.
    pub(super) fn text(&self) -> &[u8] {
        &self.block[..self.bytes]
    }
}

/// A row under construction: `bytes[..at]` is written.
#[derive(Debug)]
pub(crate) struct Row {
    pub(super) bytes: Vec<u8>,
    pub(super) at: usize,
    pub(super) marker: Marker,
}

impl Row {
    /// An empty row.
    pub(crate) fn new(null_marker: &str) -> Row {
        Row {
            bytes: Vec::new(),
            at: 0,
            marker: Marker::new(null_marker),
        }
    }

    /// Bytes of the NULL marker.
    #[inline]
    pub(crate) fn marker_bytes(&self) -> usize {
        self.marker.bytes
    }

    /// The buffer, how much of it is written, and the NULL marker.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&mut [u8], &mut usize, &Marker) {
        (&mut self.bytes, &mut self.at, &self.marker)
    }

    /// Starts over.
    pub(crate) fn clear(&mut self) {
        self.at = 0;
        if self.bytes.len() > KEEP_BYTES {
            self.bytes = Vec::new();
        }
    }

    /// Makes room for so many more bytes.
    #[inline]
    pub(crate) fn reserve(&mut self, bytes: usize) {
        let needed = self.at + bytes + SLACK;
        if self.bytes.len() < needed {
            self.bytes.resize(needed.next_power_of_two(), 0);
        }
    }

    /// What is written.
    #[inline]
    pub(crate) fn written(&self) -> &[u8] {
        &self.bytes[..self.at]
    }

    /// How much is written.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.at
    }

    /// Takes back what was written after `len`.
    #[inline]
    pub(crate) fn truncate(&mut self, len: usize) {
        self.at = self.at.min(len);
    }

    /// Replaces one written byte.
    #[inline]
    pub(crate) fn patch(&mut self, at: usize, byte: u8) {
        self.bytes[at] = byte;
    }

    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes[self.at] = byte;
        self.at += 1;
    }

    /// Copies bytes as they are.
    #[inline]
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        self.bytes[self.at..end].copy_from_slice(bytes);
        self.at = end;
    }

    /// The last byte of a row: the delimiter written after the last field becomes the end of the record.
    #[inline]
    pub(crate) fn end(&mut self, start: usize) -> Result<(), Reason> {
        let bytes = self.at - start;
        if bytes > ROW_BYTES_MAX {
            return Err(Reason::RowBytes(u32::try_from(bytes).unwrap_or(u32::MAX)));
        }
        let last = self.at - 1;
        self.bytes[last] = b'\n';
        Ok(())
    }

    #[inline]
    pub(crate) fn null(&mut self) {
        let target = &mut self.bytes[self.at..];
        if let Some(target) = target.first_chunk_mut() {
            *target = self.marker.block;
        }
        self.at += self.marker.bytes;
    }

    #[inline]
    pub(crate) fn boolean(&mut self, value: bool) {
        self.byte(if value { b't' } else { b'f' });
    }

    /// Decimal digits of an integer.
    #[inline]
    pub(crate) fn integer(&mut self, value: i64) {
        if value < 0 {
            self.byte(b'-');
        }
        self.unsigned(value.unsigned_abs());
    }

    /// Decimal digits of a number.
    #[inline]
    pub(crate) fn unsigned(&mut self, value: u64) {
        if value < EIGHT_DIGITS {
            self.up_to_eight_digits(value as u32);
        } else {
            self.many_digits(value);
        }
    }

    #[inline]
    fn up_to_eight_digits(&mut self, value: u32) {
        let digits = eight_digits(value);
        // Zeros in front are shifted out, except the last digit of all.
        let zeros = ((digits ^ ZEROS) | 1 << 56).trailing_zeros() as usize / 8;
        self.word(digits >> (8 * zeros), 8 - zeros);
    }

    fn many_digits(&mut self, value: u64) {
        let (high, low) = (value / EIGHT_DIGITS, (value % EIGHT_DIGITS) as u32);
        if high < EIGHT_DIGITS {
            self.up_to_eight_digits(high as u32);
        } else {
            self.up_to_eight_digits((high / EIGHT_DIGITS) as u32);
            self.word(eight_digits((high % EIGHT_DIGITS) as u32), 8);
        }
        self.word(eight_digits(low), 8);
    }

    /// Writes the first bytes of a word.
    #[inline(always)]
    pub(super) fn word(&mut self, word: u64, bytes: usize) {
        if let Some(target) = self
            .bytes
            .get_mut(self.at..)
            .and_then(|rest| rest.first_chunk_mut::<8>())
        {
            *target = word.to_le_bytes();
        }
        self.at += bytes;
    }

    /// Shortest text that reads back as the same number. Of the largest one that is a little more than it, which a reader that takes it for a
    /// double first finds out of range, as PostgreSQL 8 does: it is written with the digits of a double.
    pub(crate) fn float(&mut self, value: f32) -> Result<(), Reason> {
        if !value.is_finite() {
            return Err(Reason::NotFinite);
        }
        if value.abs() >= f32::MAX {
            return self.double(value.into());
        }
        let mut buffer = ryu::Buffer::new();
        self.raw(buffer.format_finite(value).as_bytes());
        Ok(())
    }

    /// Shortest text that reads back as the same number.
    pub(crate) fn double(&mut self, value: f64) -> Result<(), Reason> {
        if !value.is_finite() {
            return Err(Reason::NotFinite);
        }
        let mut buffer = ryu::Buffer::new();
        self.raw(buffer.format_finite(value).as_bytes());
        Ok(())
    }

    /// Bytes as quoted lower-case hex (VARBYTE rule).
    pub(crate) fn hex(&mut self, value: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.byte(b'"');
        for byte in value {
            self.byte(DIGITS[usize::from(byte >> 4)]);
            self.byte(DIGITS[usize::from(byte & 15)]);
        }
        self.byte(b'"');
    }

    /// A UUID from its 16 bytes.
    pub(crate) fn uuid(&mut self, value: &[u8; 16]) {
        self.hex(value);
        let start = self.at - 33;
        self.at = start;
        let mut digits = [0; 32];
        digits.copy_from_slice(&self.bytes[start..start + 32]);
        for (index, group) in [
            &digits[..8],
            &digits[8..12],
            &digits[12..16],
            &digits[16..20],
            &digits[20..],
        ]
        .iter()
        .enumerate()
        {
            if index > 0 {
                self.byte(b'-');
            }
            self.raw(group);
        }
        self.byte(b'"');
    }
}

/// Four times the digit 0.
pub(crate) const FOUR_ZEROS: u32 = 0x3030_3030;

/// The four digits of a number below 10^4, the first in the lowest byte.
#[inline(always)]
pub(crate) fn four_digits(value: u32) -> u32 {
    let hundreds = value.wrapping_mul(10_486) >> 20;
    let pairs = hundreds | value.wrapping_sub(hundreds.wrapping_mul(100)) << 16;
    let tens = (pairs.wrapping_mul(103) >> 10) & 0x000f_000f;
    let digits = tens | pairs.wrapping_sub(tens.wrapping_mul(10)) << 8;
    digits.wrapping_add(FOUR_ZEROS)
}

/// The first number of nine digits.
const EIGHT_DIGITS: u64 = 100_000_000;
/// Eight times the digit 0.
pub(crate) const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight digits of a number below 10^8, the first in the lowest byte. Divides four, then two by two, in parts of one word.
#[inline(always)]
pub(crate) fn eight_digits(value: u32) -> u64 {
    let value = u64::from(value);
    let fours = (value / 10_000) | (value % 10_000) << 32;
    let hundreds = (fours.wrapping_mul(10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | fours.wrapping_sub(hundreds.wrapping_mul(100)) << 16;
    let tens = (pairs.wrapping_mul(103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | pairs.wrapping_sub(tens.wrapping_mul(10)) << 8;
    digits.wrapping_add(ZEROS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let mut row = Row::new("~NULL~");
        row.reserve(256);
        row
    }

    #[test]
    fn integers_have_the_digits_of_the_standard_library() {
        let mut values = vec![0, 1, 9, 10, 99, 100, 101, 999, i64::MAX, i64::MIN, -1, -10, -100];
        let mut power = 1_i64;
        for _ in 0..18 {
            power *= 10;
            values.extend([power - 1, power, power + 1, -power]);
        }
        for value in values {
            let mut row = row();
            row.integer(value);
            assert_eq!(row.written(), value.to_string().as_bytes());
        }
    }

    #[test]
    fn every_eight_digits_are_the_digits() {
        for value in (0..100_000_000)
            .step_by(97)
            .chain(0..20_000)
            .chain(99_990_000..100_000_000)
        {
            assert_eq!(eight_digits(value).to_le_bytes(), format!("{value:08}").as_bytes());
        }
        for value in 0..10_000 {
            assert_eq!(four_digits(value).to_le_bytes(), format!("{value:04}").as_bytes());
        }
    }

    #[test]
    fn uuids_have_their_dashes() {
        let mut row = row();
        row.uuid(&[
            0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a, 0x11,
        ]);
        assert_eq!(row.written(), b"\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"");
    }

    #[test]
    fn floats_are_shortest_and_finite() {
        let mut row = row();
        row.double(0.1).unwrap();
        row.byte(b' ');
        row.float(3.402_823e38).unwrap();
        row.byte(b' ');
        row.float(-f32::MAX).unwrap();
        assert_eq!(row.written(), b"0.1 3.402823e38 -3.4028234663852886e38");
        assert_eq!(row.double(f64::NAN), Err(Reason::NotFinite));
        assert_eq!(row.float(f32::NEG_INFINITY), Err(Reason::NotFinite));
    }
}
