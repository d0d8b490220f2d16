//! Framed JSON and Protobuf whose schemas are in a registry: found by what the frame says, and made datums of those schemas.

use std::collections::HashMap;
use std::sync::Arc;

use super::encoder::Failed;
use super::error::Problem;
use super::front::{Read, part_of};
use super::numbered::Numbered;
use super::settings::{Format, Settings};
use crate::avro::{Language, WriterSchema};
use crate::ids::SchemaId;
use crate::json::{self, Side, Translation};
use crate::protobuf::Message;

/// A buffer beyond this is given back.
const BUFFER_KEEP_BYTES: usize = 1 << 20;

/// Schemas kept ready per lineage; one that has more in turn makes them ready again.
const TRANSLATORS_MAX: usize = 64;

/// Reads the keys and values of one lineage.
#[derive(Debug)]
pub(super) struct Registered {
    settings: Arc<Settings>,
    numbered: Numbered,
    translators: HashMap<u32, Translator>,
    datums: [Vec<u8>; 2],
}

/// What makes datums of the values of a schema.
#[derive(Debug)]
enum Translator {
    Json(Translation),
    Protobuf(Arc<Message>),
}

impl Registered {
    pub(super) fn new(settings: &Arc<Settings>) -> Registered {
        Registered {
            settings: Arc::clone(settings),
            numbered: Numbered::default(),
            translators: HashMap::new(),
            datums: [Vec::new(), Vec::new()],
        }
    }

    /// Turns a key or value into a datum, which [`Registered::datum`] then has.
    pub(super) fn read(
        &mut self,
        side: Side,
        bytes: &[u8],
        names: &mut HashMap<u32, SchemaId>,
        schemas: &HashMap<SchemaId, Arc<WriterSchema>>,
    ) -> Result<Read, Failed> {
        let id = self
            .numbered
            .read(side, bytes, names, self.settings.format == Format::Protobuf)?;
        if !self.translators.contains_key(&id) {
            let named = names.get(&id).cloned();
            let name = named.unwrap_or_else(|| SchemaId::confluent(id));
            let Some(schema) = schemas.get(&name) else {
                return Ok(Read::NeedSchema(name));
            };
            let translator = self.translator(schema, name)?;
            if self.translators.len() >= TRANSLATORS_MAX {
                self.translators.clear();
            }
            self.translators.insert(id, translator);
        }
        let datum = &mut self.datums[side as usize];
        if datum.capacity() > BUFFER_KEEP_BYTES {
            *datum = Vec::new();
        }
        datum.clear();
        let part = part_of(side);
        let body = self.numbered.datum(side, bytes);
        let is_value = match &self.translators[&id] {
            Translator::Json(translation) => {
                let unavailable = self.settings.unavailable_value.as_deref();
                let read = translation.datum(body, unavailable, datum);
                read.map_err(|error| -> Failed {
                    let error = Box::new(error);
                    (None, Box::new(Problem::Json { part, error }))
                })?
            }
            Translator::Protobuf(message) => {
                let read = message.datum(body, datum);
                read.map_err(|error| -> Failed { (None, Box::new(Problem::Protobuf { part, error })) })?;
                true
            }
        };
        Ok(if is_value { Read::Datum(id) } else { Read::Null })
    }

    fn translator(&self, schema: &Arc<WriterSchema>, name: SchemaId) -> Result<Translator, Failed> {
        let (translator, wanted) = if self.settings.format == Format::Protobuf {
            (schema.message().cloned().map(Translator::Protobuf), Language::Protobuf)
        } else {
            let translation = Translation::registered(schema, json::unknown(&self.settings));
            (translation.map(Translator::Json), Language::JsonSchema)
        };
        translator.ok_or_else(|| {
            let found = schema.language();
            (
                None,
                Box::new(Problem::Language {
                    schema: name,
                    found,
                    wanted,
                }),
            )
        })
    }

    /// The datum that was read last of a side.
    pub(super) fn datum(&self, side: Side) -> &[u8] {
        &self.datums[side as usize]
    }

    pub(super) fn forget(&mut self) {
        self.numbered.forget();
        self.translators.clear();
    }
}
