//! Messages of Yelp's Data Pipeline on their way to rows. The id of the schema, the operation and the row before an update are in the
//! envelope; the record's key is made of the payload, so the row's key is read there too.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::attached::MessageField;
use super::encoder::{Failed, Hand, RowEncoder, all_read, broken};
use super::error::Problem;
use super::program::RowProgram;
use super::{Outcome, Reason, Record, Stats};
use crate::avro::datum::Cursor;
use crate::avro::{Kind, WriterSchema, json};
use crate::csv::Row;
use crate::envelope::{Action, Cipher, CipherError, KEY_BYTES, Parcel};
use crate::ids::{SchemaId, SchemaKey};
use crate::plan::Plan;

/// A buffer beyond this is given back.
const BUFFER_KEEP_BYTES: usize = 1 << 20;

/// Bytes of a timestamp in a row, at least.
const TIMESTAMP_ROOM: usize = 64;

/// What messages are opened with, reused from record to record.
#[derive(Debug, Default)]
pub(super) struct Opener {
    /// A message that came in base64.
    decoded: Vec<u8>,
    /// Payloads that came encrypted.
    payload: Vec<u8>,
    previous: Vec<u8>,
}

/// How the rows of one schema are written.
#[derive(Debug)]
pub(super) struct Yelp {
    pub(super) keyed: bool,
    pub(super) upsert: RowProgram,
    /// The key alone; all of the row in a table without one.
    pub(super) delete: RowProgram,
}

/// The payloads of a message, decrypted.
struct Payloads<'a> {
    now: &'a [u8],
    before: Option<&'a [u8]>,
}

fn bad_cipher(error: CipherError) -> Failed {
    (None, Box::new(Problem::Encrypted(error)))
}

impl RowEncoder {
    pub(super) fn encode_yelp(
        &mut self,
        opener: &mut Opener,
        record: &Record<'_>,
        out: &mut Vec<u8>,
        stats: &mut Stats,
    ) -> Result<Outcome, Failed> {
        // Topics with keys were compacted: what is null follows a delete, which has said it all.
        let Some(value) = record.value else {
            return Ok(Outcome::Skipped);
        };
        let Opener {
            decoded,
            payload,
            previous,
        } = opener;
        give_back([&mut *decoded, &mut *payload, &mut *previous]);
        let parcel = self.opened(value, decoded)?;
        if parcel.action == Action::Nothing {
            return Ok(Outcome::Skipped);
        }
        let ids = (Some(parcel.schema), None);
        self.named(parcel.schema);
        if !self.knows(ids)
            && let Some(outcome) = self.compile(ids.0, ids.1)?
        {
            return Ok(outcome);
        }
        let payloads = match self.decrypted(&parcel, payload, previous)? {
            Ok(payloads) => payloads,
            Err(needed) => return Ok(needed),
        };
        self.begin(record)?;
        if let Some(needed) = self.attach_message(&parcel)? {
            return Ok(needed);
        }
        let outcome = self.write_yelp(parcel.action, &payloads, record, stats)?;
        stats.schemas_of_row(ids);
        if let Some(name) = self.names.get(&parcel.schema) {
            stats.name(parcel.schema, name);
        }
        out.extend_from_slice(self.written());
        Ok(outcome)
    }

    /// Puts what the message says of itself where the columns that are asked for take it from; or what is needed first.
    fn attach_message(&mut self, parcel: &Parcel<'_>) -> Result<Option<Outcome>, Failed> {
        if self.hand.places.have_message(MessageField::Meta) {
            let mut names = parcel.attributes().map(|(id, _)| attribute_schema(id));
            if let Some(needed) = names.find(|name| !self.schemas.contains_key(name)) {
                return Ok(Some(Outcome::NeedSchema(needed)));
            }
        }
        let schemas = &self.schemas;
        let mut scratch = Row::new("\0");
        let filled = self.hand.places.fill_message(|field, place, json| {
            match field {
                MessageField::Uuid => place.write_text(&Uuid::from_bytes(parcel.uuid).to_string()),
                MessageField::Type => place.write_text(parcel.action.word()),
                MessageField::Timestamp => {
                    place.row.reserve(TIMESTAMP_ROOM);
                    place.row.timestamp(i64::from(parcel.seconds) * 1_000_000)?;
                }
                MessageField::Meta => write_attributes(parcel, schemas, &mut scratch, json)?,
            }
            Ok(())
        });
        filled.or_else(|(column, reason)| self.leave_out(column, reason))?;
        Ok(None)
    }

    /// Schema and payload of a message by itself, for a record that has no row.
    pub(super) fn payload_of<'a>(&mut self, opener: &'a mut Opener, value: &'a [u8]) -> Option<(u32, &'a [u8])> {
        let Opener {
            decoded,
            payload,
            previous,
        } = opener;
        let parcel = self.opened(value, decoded).ok()?;
        self.named(parcel.schema);
        let payloads = self.decrypted(&parcel, payload, previous).ok()?.ok()?;
        Some((parcel.schema, payloads.now))
    }

    fn opened<'a>(&self, value: &'a [u8], buffer: &'a mut Vec<u8>) -> Result<Parcel<'a>, Failed> {
        let opened = Parcel::open(value, self.settings.accept_nul_magic, buffer);
        opened.map_err(|error| (None, Box::new(Problem::Parcel(error))))
    }

    fn named(&mut self, schema: u32) {
        let name = || SchemaKey::Schematizer(schema).into();
        self.names.entry(schema).or_insert_with(name);
    }

    /// The payloads as they were before they were encrypted; or what is needed first.
    fn decrypted<'a>(
        &self,
        parcel: &Parcel<'a>,
        payload: &'a mut Vec<u8>,
        previous: &'a mut Vec<u8>,
    ) -> Result<Result<Payloads<'a>, Outcome>, Failed> {
        let Some(name) = parcel.encryption else {
            return Ok(Ok(Payloads {
                now: parcel.payload,
                before: parcel.previous,
            }));
        };
        let vector = match self.vector(parcel)? {
            Ok(vector) => vector,
            Err(needed) => return Ok(Err(needed)),
        };
        let cipher = Cipher::named(name, &self.settings.data_keys, vector).map_err(bad_cipher)?;
        cipher.decrypt(parcel.payload, payload).map_err(bad_cipher)?;
        if let Some(bytes) = parcel.previous {
            cipher.decrypt(bytes, previous).map_err(bad_cipher)?;
        }
        Ok(Ok(Payloads {
            now: payload,
            before: parcel.previous.map(|_| previous.as_slice()),
        }))
    }

    /// The initialization vector: the attribute whose schema is 16 bytes and nothing else.
    fn vector(&self, parcel: &Parcel<'_>) -> Result<Result<[u8; KEY_BYTES], Outcome>, Failed> {
        for (id, datum) in parcel.attributes() {
            let Ok(vector) = datum.try_into() else { continue };
            let name = attribute_schema(id);
            let Some(schema) = self.schemas.get(&name) else {
                return Ok(Err(Outcome::NeedSchema(name)));
            };
            if *schema.kind(schema.root()) == Kind::Fixed(KEY_BYTES) {
                return Ok(Ok(vector));
            }
        }
        Err(bad_cipher(CipherError::NoVector))
    }
}

/// The name of an attribute's schema.
fn attribute_schema(id: i32) -> SchemaId {
    SchemaKey::Schematizer(id.cast_unsigned()).into()
}

/// Writes the attributes of a message as JSON; nothing where there are none.
fn write_attributes(
    parcel: &Parcel<'_>,
    schemas: &HashMap<SchemaId, Arc<WriterSchema>>,
    scratch: &mut Row,
    json: &mut Vec<u8>,
) -> Result<(), Reason> {
    for (id, datum) in parcel.attributes() {
        json.extend_from_slice(if json.is_empty() { b"[" } else { b"," });
        json.extend_from_slice(format!("{{\"schema_id\":{id},\"payload\":").as_bytes());
        if let Some(schema) = schemas.get(&attribute_schema(id)) {
            json::write(schema, schema.root(), &mut Cursor::new(datum), scratch, json)?;
        }
        json.push(b'}');
    }
    if !json.is_empty() {
        json.push(b']');
    }
    Ok(())
}

fn give_back(buffers: [&mut Vec<u8>; 3]) {
    for buffer in buffers {
        if buffer.capacity() > BUFFER_KEEP_BYTES {
            *buffer = Vec::new();
        }
    }
}

impl Yelp {
    /// Writes the rows of a message.
    fn write(
        &self,
        hand: &mut Hand,
        action: Action,
        payloads: &Payloads<'_>,
        record: &Record<'_>,
        plan: Option<&Plan>,
        stats: &mut Stats,
    ) -> Result<Outcome, Failed> {
        let mut cursor = Cursor::new(payloads.now);
        let op = match action {
            Action::Create | Action::Log | Action::Nothing => b'c',
            Action::Update => b'u',
            Action::Refresh => b'r',
            Action::Delete => {
                self.row(&self.delete, b'd', 0, (hand, &mut cursor), record, plan, stats)?;
                return Ok(Outcome::Rows(1));
            }
        };
        let mut rows = 0;
        if let (Action::Update, Some(before), true) = (action, payloads.before, self.keyed) {
            // An update that changed the key first deletes the row of the old one (protocol rule 7).
            let mut before = Cursor::new(before);
            let fields = self.delete.fields();
            let differs = fields.map(|fields| self.upsert.key_differs(before, fields, cursor));
            if differs.transpose().map_err(|reason| broken((None, reason)))? == Some(true) {
                self.row(&self.delete, b'd', 0, (hand, &mut before), record, plan, stats)?;
                rows = 1;
            }
        }
        self.row(&self.upsert, op, rows, (hand, &mut cursor), record, plan, stats)?;
        Ok(Outcome::Rows(rows + 1))
    }

    #[expect(clippy::too_many_arguments, reason = "as many as a row is made of")]
    fn row(
        &self,
        program: &RowProgram,
        op: u8,
        seq: u8,
        (hand, cursor): (&mut Hand, &mut Cursor<'_>),
        record: &Record<'_>,
        plan: Option<&Plan>,
        stats: &mut Stats,
    ) -> Result<(), Failed> {
        hand.write_row(program, op, seq, record, (cursor, &[]), plan, stats)
            .map_err(broken)?;
        all_read(cursor)
    }
}

impl RowEncoder {
    fn write_yelp(
        &mut self,
        action: Action,
        payloads: &Payloads<'_>,
        record: &Record<'_>,
        stats: &mut Stats,
    ) -> Result<Outcome, Failed> {
        let (hand, yelp, plan) = self.yelp_program();
        yelp.write(hand, action, payloads, record, plan, stats)
    }
}
