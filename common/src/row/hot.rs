//! The columns that nearly all rows are made of (integers, short texts, booleans, dates and nulls), written with the positions in both
//! buffers held in registers. Nothing is refused here: a value that is not plainly in order is left, unread, to the careful walk.

use crate::avro::Nullable;
use crate::avro::datum::{Cursor, several_bytes};
use crate::avro::form::{Form, Unit};
use crate::csv::time::{DAY_MAX, DAY_MICROS, DAY_MIN, date_digits, fraction_digits, time_digits};
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
    Date,
    /// Of so many microseconds, with or without a zone.
    Timestamp {
        micros: i64,
        zone: bool,
    },
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
            Form::Date => (Kind::Date, DAY_MIN, DAY_MAX),
            Form::Timestamp {
                unit: Unit::Millis,
                zone,
            } => (
                Kind::Timestamp {
                    micros: 1000,
                    zone: *zone,
                },
                i64::MIN / 1000,
                i64::MAX / 1000,
            ),
            Form::Timestamp {
                unit: Unit::Micros,
                zone,
            } => (Kind::Timestamp { micros: 1, zone: *zone }, i64::MIN, i64::MAX),
            _ => (Kind::Other, 0, 0),
        };
        // A key that is null goes the careful way, to be refused.
        let quick_null = follows && nullable.possible() && !key;
        let (value, null) = if nullable == Nullable::Branch(0) {
            (2, 0)
        } else {
            (0, 2)
        };
        HotCell {
            kind,
            nullable: nullable.possible(),
            quick_null,
            value,
            null,
            min,
            max,
        }
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

/// A number of at most eight bytes, and how many it has. Most have one or two.
#[inline(always)]
fn varint(datum: &[u8], at: usize, first: u8) -> Option<(i64, usize)> {
    let (raw, bytes) = if first < 0x80 {
        (u64::from(first), 1)
    } else if let Some(&second @ ..0x80) = datum.get(at + 1) {
        (u64::from(first & 0x7f) | u64::from(second) << 7, 2)
    } else {
        several_bytes(datum, at)?
    };
    Some(((raw >> 1) as i64 ^ (raw & 1).wrapping_neg() as i64, bytes))
}

/// A day or an instant with its delimiter; none outside the years of a row.
#[inline(always)]
fn date_or_timestamp(kind: Kind, value: i64, target: &mut [u8; 40]) -> Option<usize> {
    let (day, timestamp) = match kind {
        Kind::Timestamp { micros, zone } => {
            let micros = value * micros;
            let day = micros.div_euclid(DAY_MICROS);
            (day, Some(((micros - day * DAY_MICROS) as u64, zone)))
        }
        _ => (value, None),
    };
    if !(DAY_MIN..=DAY_MAX).contains(&day) {
        return None;
    }
    let (start, end) = date_digits(day);
    target[..8].copy_from_slice(&start.to_le_bytes());
    target[8..10].copy_from_slice(&end.to_le_bytes());
    let Some((micros, zone)) = timestamp else {
        target[10] = b',';
        return Some(11);
    };
    target[10] = b' ';
    target[11..19].copy_from_slice(&time_digits((micros / 1_000_000) as u32).to_le_bytes());
    let fraction = (micros % 1_000_000) as u32;
    target[19..27].copy_from_slice(&fraction_digits(fraction).to_le_bytes());
    let bytes = if fraction == 0 { 19 } else { 26 };
    target[bytes..bytes + 4].copy_from_slice(if zone { b"+00," } else { b",   " });
    Some(bytes + if zone { 4 } else { 1 })
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
#[inline(always)]
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
                    let Some(target) = block::<{ NULL_MARKER_BYTES_MAX + 1 }>(out, at) else {
                        break;
                    };
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
                let Some((value, bytes)) = varint(datum, next, byte) else {
                    break;
                };
                next += bytes;
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
                let Some(written) = text(datum, next + 1, bytes, out, at) else {
                    break;
                };
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
            Kind::Date | Kind::Timestamp { .. } => {
                let Some((value, bytes)) = varint(datum, next, byte) else {
                    break;
                };
                next += bytes;
                if value < cell.min || value > cell.max {
                    break;
                }
                let Some(target) = block::<40>(out, at) else { break };
                let Some(bytes) = date_or_timestamp(cell.kind, value, target) else {
                    break;
                };
                at += bytes;
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
