//! The frame of a Confluent-compatible serializer: byte 0, the schema id as four big-endian bytes, the datum.
//!
//! Its other form has the id in a header of the record, `__value_schema_id` or `__key_schema_id`: byte 1 and the GUID of the schema, and
//! nothing before the datum. Put before the datum, such a header makes a frame like the first, so that is how these records travel here.

/// The header with the id of the value's schema.
pub const VALUE_HEADER: &str = "__value_schema_id";
/// The header with the id of the key's schema.
pub const KEY_HEADER: &str = "__key_schema_id";
/// Stands before a datum whose header holds no schema id; no frame begins so.
const NO_ID: &[u8] = &[0xff];

/// The part of such a header that belongs before the datum: `indexes` says whether what names a message within its schema follows the
/// id. Without it, whatever follows the id is not read, as in the serializers' own readers.
#[must_use]
pub fn head(header: &[u8], indexes: bool) -> &[u8] {
    let id = match header.first() {
        Some(0) => 5,
        Some(1) => 17,
        _ => return NO_ID,
    };
    match header.get(..id) {
        Some(_) if indexes => header,
        Some(head) => head,
        None => NO_ID,
    }
}

/// What a frame calls the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Id {
    /// Its number in the registry.
    Number(u32),
    /// Its GUID.
    Guid([u8; 16]),
}

/// Splits a key or value that is framed either way, as the dual readers of such serializers do.
///
/// # Errors
/// When it does not start like a frame.
pub fn split_either(framed: &[u8]) -> Result<(Id, &[u8]), FrameError> {
    match framed {
        [1, rest @ ..] => match rest.split_first_chunk::<16>() {
            Some((guid, datum)) => Ok((Id::Guid(*guid), datum)),
            None => Err(FrameError::Short(framed.len())),
        },
        [0xff, ..] => Err(FrameError::Header),
        _ => match split(framed)? {
            (id, datum) if i32::try_from(id).is_ok() => Ok((Id::Number(id), datum)),
            (id, _) => Err(FrameError::NoId(id)),
        },
    }
}

/// Splits a framed key or value into the id of its schema and its datum.
///
/// # Errors
/// When it does not start like a frame.
#[inline]
pub fn split(framed: &[u8]) -> Result<(u32, &[u8]), FrameError> {
    match framed {
        [0, a, b, c, d, datum @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), datum)),
        [0, ..] | [] => Err(FrameError::Short(framed.len())),
        [magic, ..] => Err(FrameError::Magic(*magic)),
    }
}

/// Why bytes are no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than a frame has.
    #[error("`{0}` bytes are too few for the magic byte and schema id of an Avro message")]
    Short(usize),
    /// Another first byte.
    #[error("the first byte is `{0}`, not the magic byte 0 of an Avro message with a schema id")]
    Magic(u8),
    /// A header that holds no id.
    #[error("the header for the schema id holds none, or the first byte is `255`")]
    Header,
    /// A number that no registry gives.
    #[error("`{0}` is no id of a schema")]
    NoId(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_magic_id_datum() {
        assert_eq!(split(&[0, 0, 0, 1, 2, 9]), Ok((258, &[9][..])));
        assert_eq!(split(&[0, 0, 0, 1, 2]), Ok((258, &[][..])));
        assert_eq!(split(&[0, 0, 0, 1]), Err(FrameError::Short(4)));
        assert_eq!(split(&[]), Err(FrameError::Short(0)));
        assert_eq!(split(b"{}"), Err(FrameError::Magic(b'{')));
    }

    #[test]
    fn a_header_before_its_datum_makes_a_frame() {
        let mut header = vec![1];
        header.extend(0..16);
        let guid = Id::Guid(std::array::from_fn(|at| at as u8));
        let framed = |header: &[u8], indexes| [head(header, indexes), &[9][..]].concat();
        assert_eq!(split_either(&framed(&header, false)), Ok((guid, &[9][..])));
        header.push(7);
        assert_eq!(split_either(&framed(&header, false)), Ok((guid, &[9][..])));
        assert_eq!(split_either(&framed(&header, true)), Ok((guid, &[7, 9][..])));
        let number = framed(&[0, 0, 0, 1, 2], false);
        assert_eq!(split_either(&number), Ok((Id::Number(258), &[9][..])));
        for header in [&[][..], &[2], &[1, 2, 3], &[0, 0, 0, 1]] {
            assert_eq!(
                split_either(&framed(header, true)),
                Err(FrameError::Header),
                "{header:?}"
            );
        }
        assert_eq!(split_either(&[1; 16]), Err(FrameError::Short(16)));
        assert_eq!(split_either(&[0, 0x80, 0, 0, 0, 9]), Err(FrameError::NoId(1 << 31)));
    }
}
