//! Reading and skipping the bytes of a datum. Every read is checked against the end; nothing is copied.

use super::DEPTH_MAX;
use super::form::Extent;
use super::schema::{Kind, NodeId, Nullable, WriterSchema};
use crate::row::Reason;

/// The bit by which each byte of a varint says that another follows.
const CONTINUES: u64 = 0x8080_8080_8080_8080;

/// A varint of at most eight bytes, with eight bytes to read: its bits and how many bytes it has.
#[inline(always)]
pub(crate) fn several_bytes(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let word = u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
    let ends = !word & CONTINUES;
    if ends == 0 {
        return None;
    }
    // Up to the last byte of the number, then seven bits of each moved together, in pairs, fours and eights.
    let word = word & (ends ^ ends.wrapping_sub(1)) & !CONTINUES;
    let word = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
    let word = (word & 0x0000_3fff_0000_3fff) | ((word & 0x3fff_0000_3fff_0000) >> 2);
    let word = (word & 0x0000_0000_0fff_ffff) | ((word & 0x0fff_ffff_0000_0000) >> 4);
    Some((word, ends.trailing_zeros() as usize / 8 + 1))
}

/// A datum and how far it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { bytes, at: 0 }
    }

    /// A zigzag varint of at most 64 bits.
    #[inline(always)]
    pub(crate) fn long(&mut self) -> Result<i64, Reason> {
        let raw = match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                u64::from(byte)
            }
            _ => self.long_of_several_bytes()?,
        };
        Ok((raw >> 1) as i64 ^ (raw & 1).wrapping_neg() as i64)
    }

    /// Eight bytes ahead, if there are as many.
    #[inline(always)]
    fn word(&self) -> Option<u64> {
        let block = self.bytes.get(self.at..)?.first_chunk::<8>()?;
        Some(u64::from_le_bytes(*block))
    }

    #[inline(never)]
    fn long_of_several_bytes(&mut self) -> Result<u64, Reason> {
        match several_bytes(self.bytes, self.at) {
            Some((value, bytes)) => {
                self.at += bytes;
                Ok(value)
            }
            None => self.long_byte_by_byte(),
        }
    }

    fn long_byte_by_byte(&mut self) -> Result<u64, Reason> {
        let mut value = 0;
        let mut shift = 0;
        for &byte in &self.bytes[self.at..] {
            self.at += 1;
            if shift == 63 && byte > 1 {
                return Err(Reason::Varint);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
        }
        Err(Reason::Truncated)
    }

    /// Passes a varint without reading it.
    #[inline(always)]
    pub(crate) fn pass_long(&mut self) -> Result<(), Reason> {
        match self.word().map(|word| !word & CONTINUES) {
            Some(0) if self.bytes.get(self.at + 8).is_some_and(|&byte| byte < 0x80) => self.at += 9,
            Some(0) | None => _ = self.long_byte_by_byte()?,
            Some(ends) => self.at += ends.trailing_zeros() as usize / 8 + 1,
        }
        Ok(())
    }

    /// Passes bytes or text with their length before them.
    #[inline(always)]
    fn pass_prefixed(&mut self) -> Result<(), Reason> {
        match self.bytes.get(self.at) {
            Some(&length) if length & 0x81 == 0 => {
                let end = self.at + 1 + usize::from(length >> 1);
                if end > self.bytes.len() {
                    return Err(Reason::Length);
                }
                self.at = end;
                Ok(())
            }
            _ => self.prefixed().map(|_| ()),
        }
    }

    /// A zigzag varint of at most 32 bits.
    #[inline]
    pub(crate) fn int(&mut self) -> Result<i32, Reason> {
        i32::try_from(self.long()?).map_err(|_| Reason::Varint)
    }

    /// Passes so many bytes; where they start.
    #[inline]
    pub(crate) fn pass(&mut self, bytes: usize) -> Result<usize, Reason> {
        let start = self.at;
        if bytes > self.bytes.len() - start {
            return Err(Reason::Truncated);
        }
        self.at = start + bytes;
        Ok(start)
    }

    #[inline]
    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], Reason> {
        let start = self.pass(bytes)?;
        Ok(&self.bytes[start..start + bytes])
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let start = self.pass(N)?;
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[start..start + N]);
        Ok(array)
    }

    /// The length before bytes or text, which then lie at [`Cursor::at`] in full.
    #[inline]
    pub(crate) fn length(&mut self) -> Result<usize, Reason> {
        let length = usize::try_from(self.long()?).map_err(|_| Reason::Length)?;
        if length > self.bytes.len() - self.at {
            return Err(Reason::Length);
        }
        Ok(length)
    }

    /// Bytes or text with their length before them.
    #[inline]
    pub(crate) fn prefixed(&mut self) -> Result<&'a [u8], Reason> {
        let length = self.length()?;
        self.take(length)
    }

    /// The bytes of a value that may have its length before it.
    #[inline]
    pub(crate) fn extent(&mut self, extent: Extent) -> Result<&'a [u8], Reason> {
        match extent {
            Extent::Prefixed => self.prefixed(),
            Extent::Fixed(bytes) => self.take(bytes as usize),
        }
    }

    #[inline]
    pub(crate) fn boolean(&mut self) -> Result<bool, Reason> {
        match self.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(Reason::Boolean(other)),
        }
    }

    /// Whether a value follows, or null.
    #[inline(always)]
    pub(crate) fn present(&mut self, nullable: Nullable) -> Result<bool, Reason> {
        match (nullable, self.bytes.get(self.at)) {
            (Nullable::Never, _) => Ok(true),
            (Nullable::Branch(null), Some(&byte @ (0 | 2))) => {
                self.at += 1;
                Ok(byte >> 1 != null)
            }
            _ => self.only_branch(nullable),
        }
    }

    /// The branch of a union of one, or a broken one.
    #[cold]
    fn only_branch(&mut self, nullable: Nullable) -> Result<bool, Reason> {
        match (self.long()?, nullable) {
            (0, Nullable::OneBranch) => Ok(true),
            (other, _) => Err(Reason::Branch(other as u32)),
        }
    }

    /// The items of the next block of an array or map; 0 at its end.
    pub(crate) fn block(&mut self) -> Result<(u64, Option<usize>), Reason> {
        let items = self.long()?;
        if items >= 0 {
            return Ok((items as u64, None));
        }
        // A negative count is followed by the bytes of the block, for those who skip it.
        let bytes = self.length()?;
        Ok((items.unsigned_abs(), Some(bytes)))
    }

    /// Passes a datum of any type.
    pub(crate) fn skip(&mut self, schema: &WriterSchema, id: NodeId, depth: usize) -> Result<(), Reason> {
        if depth > DEPTH_MAX {
            return Err(Reason::Depth);
        }
        match schema.kind(id) {
            Kind::Null => {}
            Kind::Boolean => _ = self.pass(1)?,
            Kind::Int | Kind::Long | Kind::Enum(_) => _ = self.long()?,
            Kind::Float => _ = self.pass(4)?,
            Kind::Double => _ = self.pass(8)?,
            Kind::Bytes | Kind::String => _ = self.prefixed()?,
            Kind::Fixed(bytes) => _ = self.pass(*bytes)?,
            Kind::Union(branches) => {
                let branch = self.branch(branches)?;
                self.skip(schema, branch, depth + 1)?;
            }
            Kind::Record(fields) => fields
                .iter()
                .try_for_each(|field| self.skip(schema, field.node, depth + 1))?,
            Kind::Array(item) => self.skip_blocks(schema, *item, false, depth)?,
            Kind::Map(value) => self.skip_blocks(schema, *value, true, depth)?,
        }
        Ok(())
    }

    /// The type that a union has here.
    pub(crate) fn branch(&mut self, branches: &[NodeId]) -> Result<NodeId, Reason> {
        let branch = self.long()?;
        let known = usize::try_from(branch).ok().and_then(|branch| branches.get(branch));
        known.copied().ok_or(Reason::Branch(branch as u32))
    }

    fn skip_blocks(&mut self, schema: &WriterSchema, item: NodeId, keys: bool, depth: usize) -> Result<(), Reason> {
        loop {
            match self.block()? {
                (0, _) => return Ok(()),
                (_, Some(bytes)) => _ = self.pass(bytes)?,
                (items, None) => {
                    self.countable(items)?;
                    for _ in 0..items {
                        if keys {
                            self.prefixed()?;
                        }
                        self.skip(schema, item, depth + 1)?;
                    }
                }
            }
        }
    }

    /// Refuses more items than a datum of any honest writer has: items of no bytes (null, empty records) could be counted without end.
    pub(crate) fn countable(&self, items: u64) -> Result<(), Reason> {
        if items > self.bytes.len() as u64 {
            Err(Reason::Length)
        } else {
            Ok(())
        }
    }
}

/// A field to pass, reduced to what its bytes need.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Skip {
    Bytes(u32),
    Varint,
    Prefixed,
    NullOrVarint(Nullable),
    NullOrPrefixed(Nullable),
    Any(NodeId),
}

impl Skip {
    /// What it takes to pass a datum of a node, in order; records that are always there are taken apart.
    pub(crate) fn plan(schema: &WriterSchema, id: NodeId) -> Vec<Skip> {
        let mut skips = Vec::new();
        Skip::add(schema, id, &mut Vec::new(), &mut skips);
        skips
    }

    fn add(schema: &WriterSchema, id: NodeId, inside: &mut Vec<NodeId>, skips: &mut Vec<Skip>) {
        let nullable = schema.nullable(id);
        match (schema.kind(id), nullable) {
            (Kind::Null, _) => {}
            // A record that holds itself is left to the walk that counts its depth.
            (Kind::Record(fields), _) if !inside.contains(&id) => {
                inside.push(id);
                fields
                    .iter()
                    .for_each(|field| Skip::add(schema, field.node, inside, skips));
                inside.pop();
            }
            (Kind::Union(_), Some((inner, nullable))) => skips.push(match schema.kind(inner) {
                Kind::Int | Kind::Long | Kind::Enum(_) => Skip::NullOrVarint(nullable),
                Kind::Bytes | Kind::String => Skip::NullOrPrefixed(nullable),
                _ => Skip::Any(id),
            }),
            (kind, _) => skips.push(match kind {
                Kind::Boolean => Skip::Bytes(1),
                Kind::Float => Skip::Bytes(4),
                Kind::Double => Skip::Bytes(8),
                Kind::Int | Kind::Long | Kind::Enum(_) => Skip::Varint,
                Kind::Bytes | Kind::String => Skip::Prefixed,
                _ => Skip::Any(id),
            }),
        }
    }

    /// Passes one.
    #[inline(always)]
    fn pass(self, cursor: &mut Cursor<'_>, schema: &WriterSchema) -> Result<(), Reason> {
        match self {
            Skip::Bytes(bytes) => _ = cursor.pass(bytes as usize)?,
            Skip::Varint => cursor.pass_long()?,
            Skip::Prefixed => cursor.pass_prefixed()?,
            Skip::NullOrVarint(nullable) => {
                if cursor.present(nullable)? {
                    cursor.pass_long()?;
                }
            }
            Skip::NullOrPrefixed(nullable) => {
                if cursor.present(nullable)? {
                    cursor.pass_prefixed()?;
                }
            }
            Skip::Any(id) => cursor.skip(schema, id, 0)?,
        }
        Ok(())
    }

    /// Passes all of them.
    pub(crate) fn pass_all(skips: &[Skip], cursor: &mut Cursor<'_>, schema: &WriterSchema) -> Result<(), Reason> {
        let mut left = skips;
        loop {
            left = Skip::pass_quickly(left, cursor);
            let Some((first, rest)) = left.split_first() else {
                return Ok(());
            };
            first.pass(cursor, schema)?;
            left = rest;
        }
    }

    /// Passes what is plainly in order, with the position in a register; returns the rest, beginning with what is not.
    #[inline(always)]
    fn pass_quickly<'s>(skips: &'s [Skip], cursor: &mut Cursor<'_>) -> &'s [Skip] {
        let bytes = cursor.bytes;
        let mut at = cursor.at;
        let mut passed = 0;
        for skip in skips {
            // Eight bytes to read are there for all but the last fields of a datum.
            let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) else {
                break;
            };
            let (nullable, varint, size) = match *skip {
                Skip::Bytes(size) => (Nullable::Never, false, size as usize),
                Skip::Varint => (Nullable::Never, true, 0),
                Skip::NullOrVarint(nullable) => (nullable, true, 0),
                Skip::Prefixed => (Nullable::Never, false, 0),
                Skip::NullOrPrefixed(nullable) => (nullable, false, 0),
                Skip::Any(_) => break,
            };
            let mut word = u64::from_le_bytes(*block);
            let mut next = at;
            if let Nullable::Branch(null) = nullable {
                let branch = block[0];
                if branch == 2 * null {
                    at += 1;
                    passed += 1;
                    continue;
                }
                if branch != 2 - 2 * null {
                    break;
                }
                // Without the branch; the byte that comes in ends nothing.
                word = word >> 8 | 0x80 << 56;
                next += 1;
            } else if nullable == Nullable::OneBranch {
                break;
            }
            next += if varint {
                let ends = !word & CONTINUES;
                if ends == 0 {
                    break;
                }
                ends.trailing_zeros() as usize / 8 + 1
            } else if let Skip::Bytes(_) = skip {
                size
            } else if word & 0x81 == 0 {
                1 + (word & 0x7e) as usize / 2
            } else {
                break;
            };
            if next > bytes.len() {
                break;
            }
            at = next;
            passed += 1;
        }
        cursor.at = at;
        skips.get(passed..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(bytes: &[u8]) -> Result<i64, Reason> {
        let mut cursor = Cursor::new(bytes);
        let value = cursor.long()?;
        assert_eq!(cursor.at, bytes.len());
        Ok(value)
    }

    #[test]
    fn varints_of_every_length() {
        assert_eq!(long(&[0]), Ok(0));
        assert_eq!(long(&[1]), Ok(-1));
        assert_eq!(long(&[0x80, 1]), Ok(64));
        assert_eq!(
            long(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            Ok(i64::MAX)
        );
        assert_eq!(
            long(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            Ok(i64::MIN)
        );
        assert_eq!(
            long(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]),
            Err(Reason::Varint)
        );
        assert_eq!(long(&[0xff; 11]), Err(Reason::Varint));
        assert_eq!(long(&[0x80]), Err(Reason::Truncated));
        assert_eq!(long(&[]), Err(Reason::Truncated));
        assert_eq!(Cursor::new(&[0xfe, 0xff, 0xff, 0xff, 0x1f]).int(), Err(Reason::Varint));
    }

    #[test]
    fn lengths_beyond_the_datum_are_refused() {
        assert_eq!(Cursor::new(&[4, b'a']).prefixed(), Err(Reason::Length));
        assert_eq!(Cursor::new(&[1, b'a']).prefixed(), Err(Reason::Length));
        assert_eq!(Cursor::new(&[2, b'a']).prefixed(), Ok(&b"a"[..]));
    }

    /// An array that claims 2^62 nulls takes no time.
    #[test]
    fn items_without_bytes_cannot_be_counted_for_ever() {
        let schema = WriterSchema::parse(r#"{"type": "array", "items": "null"}"#).unwrap();
        let datum = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0];
        assert_eq!(Cursor::new(&datum).skip(&schema, schema.root(), 0), Err(Reason::Length));
    }

    #[test]
    fn a_type_that_holds_itself_ends_at_the_depth_limit() {
        let json = r#"{"type": "record", "name": "r", "fields": [{"name": "r", "type": ["null", "r"]}]}"#;
        let schema = WriterSchema::parse(json).unwrap();
        assert_eq!(Cursor::new(&[2, 2, 0]).skip(&schema, schema.root(), 0), Ok(()));
        assert_eq!(
            Cursor::new(&[2; 1000]).skip(&schema, schema.root(), 0),
            Err(Reason::Depth)
        );
    }
}
