//! The frame of a Confluent-compatible serializer: byte 0, the schema id as four big-endian bytes, the datum.

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
}
