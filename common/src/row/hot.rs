//! The columns that nearly all rows are made of (integers, short texts, booleans and nulls), written with the positions in both
//! buffers held in registers. Nothing is refused here: a value that is not plainly in order is left, unread, to the careful walk.

use crate::avro::Nullable;
use crate::avro::datum::{Cursor, several_bytes};
use crate::avro::form::Form;
use crate::csv::{FOUR_ZEROS, NULL_MARKER_BYTES_MAX, Row, ZEROS, eight_digits, four_digits, special};

/// A number with more digits is written elsewhere.
const SMALL: u64 = 100_000_000;
/// A text with more bytes is written elsewhere: its length would not fit one byte, and block searches pay from there.
const TEXT_BYTES: usize = 63;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Text,
    Boolean,
    /// For the careful walk.
    Other,
}

/// What this walk needs of a cell.
#[derive(Debug, Clone, Copy)]
pub(super) struct HotCell {
    kind: Kind,
    nullable: bool,
    /// Null is written here, whatever the type.
    quick_null: bool,
    /// The bytes that say "a value follows" and "null".
    value: u8,
    null: u8,
    min: i64,
    max: i64,
}

impl HotCell {
    pub(super) fn new(form: &Form, nullable: Nullable, key: bool, follows: bool) -> HotCell {
        let (kind, min, max) = match form {
            _ if !follows || nullable == Nullable::OneBranch => (Kind::Other, 0, 0),
            Form::Int => (Kind::Integer, i32::MIN.into(), i32::MAX.into()),
            Form::Long => (Kind::Integer, i64::MIN, i64::MAX),
            Form::Narrow { min, max } => (Kind::Integer, (*min).into(), (*max).into()),
            // The end of a key text has to be looked at, and a limit to be kept.
            Form::Text { limit } if !key && *limit as usize >= TEXT_BYTES => (Kind::Text, 0, 0),
            Form::Boolean => (Kind::Boolean, 0, 0),
            _ => (Kind::Other, 0, 0),
        };
        // A key that is null goes the careful way, to be refused.
        let quick_null = follows && nullable.possible() && !key;
        let (value, null) = if nullable == Nullable::Branch(0) { (2, 0) } else { (0, 2) };
        HotCell { kind, nullable: nullable.possible(), quick_null, value, null, min, max }
    }
}

/// A block of bytes from a position on.
#[inline(always)]
fn block<const N: usize>(bytes: &mut [u8], at: usize) -> Option<&mut [u8; N]> {
    bytes.get_mut(at..)?.first_chunk_mut()
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Decimal digits of a number below [`SMALL`]; how many. Zeros in front are shifted out, except the last digit of all.
#[inline(always)]
fn digits(value: u32, target: &mut [u8]) -> usize {
    if value < 10_000 {
        let digits = four_digits(value);
        let zeros = ((digits ^ FOUR_ZEROS) | 1 << 24).trailing_zeros() / 8;
        if let Some(target) = target.first_chunk_mut() {
            *target = (digits >> (8 * zeros)).to_le_bytes();
        }
        return 4 - zeros as usize;
    }
    let digits = eight_digits(value);
    let zeros = ((digits ^ ZEROS) | 1 << 56).trailing_zeros() / 8;
    if let Some(target) = target.first_chunk_mut() {
        *target = (digits >> (8 * zeros)).to_le_bytes();
    }
    8 - zeros as usize
}

/// Text that needs no care, with its quotes; the bytes written. Copies eight at a time and looks at each word on its way.
#[inline(always)]
fn text(datum: &[u8], from: usize, bytes: usize, out: &mut [u8], at: usize) -> Option<usize> {
    let target = out.get_mut(at..at + TEXT_BYTES + 12)?;
    target[0] = b'"';
    let mut seen = 0;
    let mut done = 0;
    loop {
        let word = word(datum, from + done)?;
        *target.get_mut(1 + done..)?.first_chunk_mut()? = word.to_le_bytes();
        let left = bytes - done;
        if left < 8 {
            // What follows the text in the datum is none of its business.
            seen |= special(word | u64::MAX.wrapping_shl(8 * left as u32)) & !u64::MAX.wrapping_shl(8 * left as u32);
            break;
        }
        seen |= special(word);
        done += 8;
    }
    if seen != 0 {
        return None;
    }
    *target.get_mut(1 + bytes)? = b'"';
    Some(bytes + 2)
}

/// Writes columns from the `first` on, each with its delimiter; the column at which it stopped, nothing of which is read or written.
///
/// `careful` are the lengths of texts that must be compared with the NULL marker and the placeholder.
pub(super) fn write(
    cells: &[HotCell],
    first: usize,
    cursor: &mut Cursor<'_>,
    row: &mut Row,
    longest: &mut [u32],
    careful: [usize; 2],
) -> usize {
    let datum = cursor.bytes;
    let (out, out_at, marker) = row.parts();
    let (mut from, mut at) = (cursor.at, *out_at);
    let mut column = first;
    while let Some(cell) = cells.get(column) {
        let mut next = from;
        if cell.nullable {
            match datum.get(next) {
                Some(&byte) if byte == cell.value => next += 1,
                Some(&byte) if byte == cell.null && cell.quick_null => {
                    let Some(target) = block::<{ NULL_MARKER_BYTES_MAX + 1 }>(out, at) else { break };
                    *target = marker.block;
                    at += marker.bytes + 1;
                    from = next + 1;
                    column += 1;
                    continue;
                }
                _ => break,
            }
        }
        let Some(&byte) = datum.get(next) else { break };
        match cell.kind {
            Kind::Integer => {
                let raw = if byte < 0x80 {
                    next += 1;
                    u64::from(byte)
                } else if let Some(&second @ ..0x80) = datum.get(next + 1) {
                    next += 2;
                    u64::from(byte & 0x7f) | u64::from(second) << 7
                } else if let Some((raw, bytes)) = several_bytes(datum, next) {
                    next += bytes;
                    raw
                } else {
                    break;
                };
                let value = (raw >> 1) as i64 ^ (raw & 1).wrapping_neg() as i64;
                let size = value.unsigned_abs();
                if size >= SMALL || value < cell.min || value > cell.max {
                    break;
                }
                let Some(target) = block::<16>(out, at) else { break };
                target[0] = b'-';
                let sign = usize::from(value < 0);
                let bytes = sign + digits(size as u32, &mut target[sign..]);
                target[bytes & 15] = b',';
                at += bytes + 1;
            }
            Kind::Text => {
                let bytes = usize::from(byte >> 1);
                if byte & 0x81 != 0 || bytes == careful[0] || bytes == careful[1] {
                    break;
                }
                let Some(written) = text(datum, next + 1, bytes, out, at) else { break };
                at += written;
                out[at] = b',';
                at += 1;
                next += 1 + bytes;
                if let Some(longest) = longest.get_mut(column) {
                    *longest = (*longest).max(bytes as u32);
                }
            }
            Kind::Boolean => {
                let Some(target) = block::<2>(out, at) else { break };
                if byte > 1 {
                    break;
                }
                *target = [if byte == 1 { b't' } else { b'f' }, b','];
                at += 2;
                next += 1;
            }
            Kind::Other => break,
        }
        from = next;
        column += 1;
    }
    *out_at = at;
    cursor.at = from;
    column
}
