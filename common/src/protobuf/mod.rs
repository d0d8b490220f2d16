//! Protobuf of a registry: a `.proto` text as the schema that its records would have in Avro, and records as datums of that schema.
//!
//! | file | what it holds |
//! |---|---|
//! | `files.rs` | the texts of a schema, of those that it imports and of those that nobody registers, linked |
//! | `schema.rs` | the fields of a message as the fields of a record |
//! | `transcode.rs` | a message to a datum |

mod files;
mod schema;
mod transcode;

pub(crate) use schema::{Message, writer_schema};
pub use transcode::ProtobufError;

/// Takes the place of a message in its file from the front of a body: how many numbers there are and each of them, all as zigzag varints;
/// one 0 stands for the first message, whose place is told as none. The bytes behind it; none if there is no such thing.
pub(crate) fn indexes(body: &[u8]) -> Option<(Vec<u32>, &[u8])> {
    let mut cursor = crate::avro::datum::Cursor::new(body);
    let mut number = || u32::try_from(cursor.long().ok()?).ok();
    let count = number()?;
    if count == 0 {
        return Some((Vec::new(), &body[cursor.at..]));
    }
    if count as usize > crate::avro::DEPTH_MAX {
        return None;
    }
    let path = (0..count).map(|_| number()).collect::<Option<Vec<u32>>>()?;
    let path = if path == [0] { Vec::new() } else { path };
    Some((path, &body[cursor.at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_named_by_its_place() {
        assert_eq!(indexes(&[0, 9]), Some((vec![], &[9][..])));
        assert_eq!(indexes(&[2, 0, 9]), Some((vec![], &[9][..])));
        assert_eq!(indexes(&[4, 2, 4, 9]), Some((vec![1, 2], &[9][..])));
        for wrong in [&[][..], &[4, 2], &[1], &[2, 1], &[0xff, 0xff, 0xff, 0xff, 0x0f]] {
            assert_eq!(indexes(wrong), None, "{wrong:?}");
        }
    }
}
