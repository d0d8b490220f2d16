//! The envelope of Yelp's Data Pipeline: a magic byte, and behind it one datum of a schema that never changes and has no id.
//!
//! The magic byte is the character `0`, since the writers ran on Python 2, whose `bytes(0)` is that; or `a` before the same in URL-safe
//! base64, for transports of ASCII. What it holds besides the payload: the kind of message, the id of the payload's schema, the row
//! before an update, attributes (of which the initialization vector of encrypted messages is one), and a time in seconds.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

use crate::avro::datum::Cursor;
use crate::row::Reason;

const BINARY: u8 = b'0';
const BASE64: u8 = b'a';
const NUL: u8 = 0;

/// Python's encoder pads; others may not.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a message does, in the order of the envelope's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    Update,
    Delete,
    /// The row as it is, without a change: how a topic is filled.
    Refresh,
    /// An event; there is no row that it could change.
    Log,
    /// A heartbeat, or what clients say of themselves.
    Nothing,
}

impl Action {
    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
            Action::Refresh => "refresh",
            Action::Log => "log",
            Action::Nothing => "",
        }
    }
}

/// A message, as far as it says something about rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parcel<'a> {
    /// The message's own id.
    pub(crate) uuid: [u8; 16],
    pub(crate) action: Action,
    /// Id of the schema of both payloads.
    pub(crate) schema: u32,
    /// The row; of a delete the one that was.
    pub(crate) payload: &'a [u8],
    /// The row before an update.
    pub(crate) previous: Option<&'a [u8]>,
    /// Algorithm and key, if the payloads are encrypted.
    pub(crate) encryption: Option<&'a [u8]>,
    /// The attributes, as they lie there.
    attributes: &'a [u8],
    /// When it was written, in seconds since 1970.
    pub(crate) seconds: i32,
}

/// Why bytes are no such message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParcelError {
    /// Another first byte.
    #[error("the first byte is `{0}`, neither `48` (the character 0) nor `97` (a)")]
    Magic(u8),
    /// No bytes at all.
    #[error("it is empty")]
    Empty,
    /// What follows `a` is no base64.
    #[error("what follows its first byte is no base64")]
    Base64,
    /// A kind of message that the envelope does not have.
    #[error("`{0}` is no kind of message")]
    Kind(i64),
    /// A number that no registry gives.
    #[error("`{0}` is no id of a schema")]
    Schema(i32),
    /// Its datum is broken.
    #[error("{0}")]
    Datum(Reason),
}

impl From<Reason> for ParcelError {
    fn from(reason: Reason) -> ParcelError {
        ParcelError::Datum(reason)
    }
}

impl<'a> Parcel<'a> {
    /// Opens a value; `buffer` holds it where it had to be decoded. A writer that took "null byte" by its word wrote 0 before its datums:
    /// `accept_nul` takes that too.
    pub(crate) fn open(value: &'a [u8], accept_nul: bool, buffer: &'a mut Vec<u8>) -> Result<Parcel<'a>, ParcelError> {
        let (&magic, rest) = value.split_first().ok_or(ParcelError::Empty)?;
        let is_binary = |magic| magic == BINARY || magic == NUL && accept_nul;
        if is_binary(magic) {
            return Parcel::parse(rest);
        }
        if magic != BASE64 {
            return Err(ParcelError::Magic(magic));
        }
        buffer.clear();
        ENGINE.decode_vec(rest, buffer).map_err(|_| ParcelError::Base64)?;
        match buffer.split_first() {
            Some((&magic, rest)) if is_binary(magic) => Parcel::parse(rest),
            Some((&magic, _)) => Err(ParcelError::Magic(magic)),
            None => Err(ParcelError::Empty),
        }
    }

    fn parse(datum: &'a [u8]) -> Result<Parcel<'a>, ParcelError> {
        let mut cursor = Cursor::new(datum);
        let uuid = cursor.array()?;
        let action = match cursor.long()? {
            0 => Action::Create,
            1 => Action::Update,
            2 => Action::Delete,
            3 => Action::Refresh,
            4..=6 => Action::Nothing,
            7 => Action::Log,
            other => return Err(ParcelError::Kind(other)),
        };
        let id = cursor.int()?;
        let schema = u32::try_from(id).map_err(|_| ParcelError::Schema(id))?;
        let payload = cursor.prefixed()?;
        let previous = optional(&mut cursor)?.then(|| cursor.prefixed()).transpose()?;
        let attributes = cursor.at;
        if optional(&mut cursor)? {
            Attributes::new(&cursor.bytes[cursor.at..]).pass(&mut cursor)?;
        }
        let attributes = &datum[attributes..cursor.at];
        let encryption = optional(&mut cursor)?.then(|| cursor.prefixed()).transpose()?;
        let seconds = cursor.int()?;
        match datum.len() - cursor.at {
            0 => Ok(Parcel {
                uuid,
                action,
                schema,
                payload,
                previous,
                encryption,
                attributes,
                seconds,
            }),
            left => Err(Reason::Trailing(u32::try_from(left).unwrap_or(u32::MAX)).into()),
        }
    }

    /// The attributes: id of the schema and datum of each.
    pub(crate) fn attributes(&self) -> Attributes<'a> {
        match self.attributes.split_first() {
            // The branch of the union; what follows was read once already.
            Some((2, list)) => Attributes::new(list),
            _ => Attributes::new(&[0]),
        }
    }
}

/// A union of null and one type.
fn optional(cursor: &mut Cursor<'_>) -> Result<bool, Reason> {
    match cursor.long()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Reason::Branch(u32::try_from(other).unwrap_or(u32::MAX))),
    }
}

/// Attributes one after the other.
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    cursor: Cursor<'a>,
    /// How many are left in this block.
    left: u64,
    ended: bool,
}

impl<'a> Attributes<'a> {
    fn new(list: &'a [u8]) -> Attributes<'a> {
        Attributes {
            cursor: Cursor::new(list),
            left: 0,
            ended: false,
        }
    }

    fn one(&mut self) -> Result<Option<(i32, &'a [u8])>, Reason> {
        while self.left == 0 {
            self.left = self.cursor.block()?.0;
            if self.left == 0 {
                self.ended = true;
                return Ok(None);
            }
        }
        self.left -= 1;
        Ok(Some((self.cursor.int()?, self.cursor.prefixed()?)))
    }

    /// Reads all of them, and moves `over` behind them.
    fn pass(mut self, over: &mut Cursor<'a>) -> Result<(), Reason> {
        while self.one()?.is_some() {}
        over.at += self.cursor.at;
        Ok(())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (i32, &'a [u8]);

    fn next(&mut self) -> Option<(i32, &'a [u8])> {
        if self.ended {
            return None;
        }
        // They were read once without a mistake.
        self.one().ok().flatten()
    }
}
