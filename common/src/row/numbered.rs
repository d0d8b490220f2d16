//! Framed keys and values whose schemas have names that are no numbers: each name gets a number of its own, in the range that no registry
//! uses, so that all that goes by number stays as it is.

use std::collections::HashMap;

use super::encoder::Failed;
use super::error::Problem;
use super::front::part_of;
use crate::avro::frame;
use crate::ids::{SchemaId, SchemaKey};
use crate::json::Side;
use crate::protobuf::{self, ProtobufError};

/// The first number of our own: a registry counts below it.
const OWN: u32 = 1 << 31;

/// What a frame calls the schema, and the place of the message where that is not the first.
type Name = (frame::Id, Vec<u32>);

/// Gives numbers to names.
#[derive(Debug, Default)]
pub(super) struct Numbered {
    own: HashMap<Name, u32>,
    /// How many numbers were given; none is given twice.
    given: u32,
    /// The name of the last value and key: most likely this one's too.
    last: [Option<(Name, u32)>; 2],
    /// Where the last datum of value and key begins in its bytes.
    begins: [usize; 2],
}

impl Numbered {
    /// Finds the datum of a key or value, and the number of its schema; `with_path` says whether the place of a message stands between.
    pub(super) fn read(
        &mut self,
        side: Side,
        bytes: &[u8],
        names: &mut HashMap<u32, SchemaId>,
        with_path: bool,
    ) -> Result<u32, Failed> {
        let part = part_of(side);
        let (key, datum) =
            frame::split_either(bytes).map_err(|error| (None, Box::new(Problem::Frame { part, error })))?;
        let (path, datum) = if with_path {
            let error = ProtobufError::Indexes;
            protobuf::indexes(datum).ok_or_else(|| (None, Box::new(Problem::Protobuf { part, error })))?
        } else {
            (Vec::new(), datum)
        };
        self.begins[side as usize] = bytes.len() - datum.len();
        Ok(match key {
            frame::Id::Number(id) if path.is_empty() => id,
            key => self.number(side, (key, path), names),
        })
    }

    fn number(&mut self, side: Side, name: Name, names: &mut HashMap<u32, SchemaId>) -> u32 {
        if let Some((last, number)) = &self.last[side as usize]
            && *last == name
        {
            return *number;
        }
        let given = &mut self.given;
        let number = *self.own.entry(name.clone()).or_insert_with(|| {
            let number = OWN + *given;
            *given = (*given + 1) % OWN;
            let key = match name.0 {
                frame::Id::Number(id) => SchemaKey::Confluent(id),
                frame::Id::Guid(guid) => SchemaKey::Guid(guid),
            };
            names.insert(number, SchemaId::of_message(key, &name.1));
            number
        });
        self.last[side as usize] = Some((name, number));
        number
    }

    /// The datum that was read last of a side.
    pub(super) fn datum<'a>(&self, side: Side, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.begins[side as usize].min(bytes.len())..]
    }

    pub(super) fn forget(&mut self) {
        self.own.clear();
        self.last = [None, None];
    }
}
