//! Keys and values of one lineage as datums, each with the schema that it is of.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::declared::Undeclared;
use super::error::{JsonError, JsonFault};
use super::learned::{Learned, Lesson};
use super::scan::Scanner;
use super::transcode::Translation;
use super::{connect, declared};
use crate::avro::WriterSchema;
use crate::ids::SchemaId;
use crate::plan::{Plan, hex};
use crate::row::{Format, Settings};

/// Embedded schemas kept per lineage; one that has more in turn reads them again.
const KNOWN_MAX: usize = 16;
/// The longest text of an embedded schema, in bytes.
const SCHEMA_BYTES_MAX: usize = 1 << 20;
/// A buffer beyond this is given back.
const BUFFER_KEEP_BYTES: usize = 1 << 20;

/// Which part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Value,
    Key,
}

/// A schema that was met.
#[derive(Debug)]
struct Known {
    /// The text that it was read of; empty for a declared one.
    text: Box<[u8]>,
    /// All of a record that comes before its payload, where the schema is part of that.
    head: Option<Box<[u8]>>,
    /// A number of its own, never given again.
    id: u32,
    name: SchemaId,
    translation: Arc<Translation>,
}

/// Reads the keys and values of one lineage.
#[derive(Debug)]
pub(crate) struct Reader {
    settings: Arc<Settings>,
    /// Embedded schemas in the order in which they came; or the declared table's value and key.
    known: Vec<Known>,
    /// Where the last ones of value and key are in it.
    last: [usize; 2],
    next_id: u32,
    datums: [Vec<u8>; 2],
    /// The plan by which tables were learned.
    learned_by: Option<Arc<Plan>>,
    /// Whether that plan holds the last table of value and key as it is: only then other records may be of it too, since what a record
    /// becomes must not depend on those before.
    settled: [bool; 2],
}

impl Reader {
    /// A reader of a topic in JSON; none for one in Avro.
    pub(crate) fn new(settings: &Arc<Settings>) -> Option<Reader> {
        let mut reader = Reader {
            settings: Arc::clone(settings),
            known: Vec::new(),
            last: [usize::MAX; 2],
            next_id: 0,
            datums: [Vec::new(), Vec::new()],
            learned_by: None,
            settled: [false; 2],
        };
        match settings.format {
            // Those whose schemas are in a registry.
            Format::Avro | Format::JsonSchema | Format::Protobuf => return None,
            Format::ConnectJson => {}
            Format::Json if settings.undeclared == Undeclared::Learn => {}
            Format::Json => {
                reader.last = [0, 1];
                let print = settings.fingerprint();
                let translations = [
                    ("value", declared::value(settings, &[])),
                    ("key", declared::key(settings, &[])),
                ];
                for (part, translation) in translations {
                    let name = SchemaId(format!("declared:{part}:{print}"));
                    reader.add(Box::default(), name, translation);
                }
            }
        }
        Some(reader)
    }

    fn add(&mut self, text: Box<[u8]>, name: SchemaId, translation: Translation) {
        self.known.push(Known {
            text,
            head: None,
            id: self.next_id,
            name,
            translation: Arc::new(translation),
        });
        self.next_id += 1;
    }

    /// Turns a key or value into a datum, which [`Reader::datum`] then has; the number of its schema, none for null. What is learned is
    /// learned by the plan that the lineage has.
    ///
    /// # Errors
    /// When it is no JSON of the topic's format, or no value of its schema.
    pub(crate) fn read(
        &mut self,
        side: Side,
        bytes: &[u8],
        plan: Option<&Arc<Plan>>,
    ) -> Result<Option<u32>, JsonError> {
        let mut datum = std::mem::take(&mut self.datums[side as usize]);
        if datum.capacity() > BUFFER_KEEP_BYTES {
            datum = Vec::new();
        }
        datum.clear();
        let read = match self.settings.format {
            Format::ConnectJson => self.embedded(side, bytes, &mut datum),
            _ if self.settings.undeclared == Undeclared::Learn => self.learned(side, bytes, plan, &mut datum),
            _ => self.declared(side, bytes, &mut datum),
        };
        self.datums[side as usize] = datum;
        read
    }

    /// The datum that was read last.
    pub(crate) fn datum(&self, side: Side) -> &[u8] {
        &self.datums[side as usize]
    }

    /// The schema of what was read last: its number, its name and itself.
    pub(crate) fn schema(&self, side: Side) -> Option<(u32, &SchemaId, &Arc<WriterSchema>)> {
        let known = self.known.get(self.last[side as usize])?;
        Some((known.id, &known.name, &known.translation.schema))
    }

    fn declared(&mut self, side: Side, bytes: &[u8], datum: &mut Vec<u8>) -> Result<Option<u32>, JsonError> {
        let mut scanner = Scanner::new(bytes)?;
        let known = &self.known[side as usize];
        if scanner.null() {
            scanner.end()?;
            return Ok(None);
        }
        let unavailable = self.settings.unavailable_value.as_deref();
        known.translation.write(&mut scanner, unavailable, datum)?;
        scanner.end()?;
        Ok(Some(known.id))
    }

    fn learned(
        &mut self,
        side: Side,
        bytes: &[u8],
        plan: Option<&Arc<Plan>>,
        datum: &mut Vec<u8>,
    ) -> Result<Option<u32>, JsonError> {
        if self.learned_by.as_ref().map(Arc::as_ptr) != plan.map(Arc::as_ptr) {
            self.known.clear();
            self.settled = [false; 2];
            self.learned_by = plan.cloned();
        }
        let mut scanner = Scanner::new(bytes)?;
        if scanner.null() {
            scanner.end()?;
            return Ok(None);
        }
        if self.settled[side as usize]
            && let Some(known) = self.known.get(self.last[side as usize])
            && let Some(id) = self.wholly(known, scanner, datum)
        {
            return Ok(Some(id));
        }
        datum.clear();
        let lesson = Lesson {
            settings: &self.settings,
            plan: plan.map(|plan| &**plan),
            key_only: side == Side::Key,
        };
        let fields = lesson.fields(bytes)?;
        let settled = lesson.holds(&fields);
        let index = self.table_of(side, &fields);
        self.last[side as usize] = index;
        self.settled[side as usize] = settled;
        let known = &self.known[index];
        let unavailable = self.settings.unavailable_value.as_deref();
        known.translation.write(&mut scanner, unavailable, datum)?;
        scanner.end()?;
        Ok(Some(known.id))
    }

    /// Reads a whole text by what is known. None if anything is wrong with it: what is said must not depend on what came before.
    fn wholly(&self, known: &Known, mut scanner: Scanner<'_>, datum: &mut Vec<u8>) -> Option<u32> {
        let unavailable = self.settings.unavailable_value.as_deref();
        known.translation.write(&mut scanner, unavailable, datum).ok()?;
        scanner.end().is_ok().then_some(known.id)
    }

    /// The table with these fields.
    fn table_of(&mut self, side: Side, fields: &[Learned]) -> usize {
        let (part, translation): (_, fn(&Settings, &[Learned]) -> Translation) = match side {
            Side::Value => ("value", declared::value),
            Side::Key => ("key", declared::key),
        };
        let mut text = part.as_bytes().to_vec();
        fields.iter().for_each(|field| field.describe(&mut text));
        if let Some(index) = self.known.iter().position(|known| *known.text == *text) {
            return index;
        }
        self.make_room();
        let digest = hex(&Sha256::digest([self.settings.fingerprint().as_bytes(), &text].concat())[..16]);
        let name = SchemaId(format!("learned:{part}:{digest}"));
        self.add(text.into(), name, translation(&self.settings, fields));
        self.known.len() - 1
    }

    /// Forgets the oldest schema where there are many.
    fn make_room(&mut self) {
        if self.known.len() >= KNOWN_MAX {
            self.known.remove(0);
            self.last = self.last.map(|index| index.wrapping_sub(1));
        }
    }

    fn embedded(&mut self, side: Side, bytes: &[u8], datum: &mut Vec<u8>) -> Result<Option<u32>, JsonError> {
        let mut scanner = Scanner::new(bytes)?;
        if let Some(id) = self.like_the_last(side, bytes, scanner, datum) {
            return Ok(Some(id));
        }
        datum.clear();
        let Some(mut halves) = halves(&mut scanner)? else {
            return Ok(None);
        };
        let head = &bytes[..halves.payload.at];
        if halves.payload.null() {
            return Ok(None);
        }
        let index = self.find(side, halves.schema)?;
        self.last[side as usize] = index;
        let known = &mut self.known[index];
        known.head = halves.schema_first.then(|| head.into());
        let unavailable = self.settings.unavailable_value.as_deref();
        known.translation.write(&mut halves.payload, unavailable, datum)?;
        Ok(Some(known.id))
    }

    /// A record that begins like the one before has its schema, which then need not be read again. None if it does not, or if anything is
    /// wrong with it: that is for the long way to say, so that what is said does not depend on what came before.
    fn like_the_last(&self, side: Side, bytes: &[u8], scanner: Scanner<'_>, datum: &mut Vec<u8>) -> Option<u32> {
        let known = self.known.get(self.last[side as usize])?;
        let head = known.head.as_deref()?;
        if !bytes.starts_with(head) {
            return None;
        }
        let mut payload = scanner.moved_to(head.len());
        if payload.peek() == Some(b'n') {
            return None;
        }
        let unavailable = self.settings.unavailable_value.as_deref();
        known.translation.write(&mut payload, unavailable, datum).ok()?;
        (payload.eat(b'}') && payload.end().is_ok()).then_some(known.id)
    }

    /// The schema of a text. Nearly always it is that of the record before, byte by byte.
    fn find(&mut self, side: Side, text: &[u8]) -> Result<usize, JsonError> {
        let last = self.last[side as usize];
        if self.known.get(last).is_some_and(|known| *known.text == *text) {
            return Ok(last);
        }
        if let Some(index) = self.known.iter().position(|known| *known.text == *text) {
            return Ok(index);
        }
        if text == b"null" {
            return Err(JsonFault::NoSchema.into());
        }
        if text.len() > SCHEMA_BYTES_MAX {
            return Err(JsonFault::Schema(format!("it is longer than {SCHEMA_BYTES_MAX} bytes")).into());
        }
        let translation = connect::translation(text).map_err(JsonFault::Schema)?;
        self.make_room();
        let digest = hex(&Sha256::digest(text)[..16]);
        self.add(text.into(), SchemaId(format!("connect:{digest}")), translation);
        Ok(self.known.len() - 1)
    }
}

/// What `{"schema": ..., "payload": ...}` consists of.
struct Halves<'t> {
    /// The text of the schema.
    schema: &'t [u8],
    /// Where the payload begins.
    payload: Scanner<'t>,
    schema_first: bool,
}

/// Finds both; none for null.
fn halves<'t>(scanner: &mut Scanner<'t>) -> Result<Option<Halves<'t>>, JsonError> {
    if scanner.null() {
        scanner.end()?;
        return Ok(None);
    }
    if scanner.peek() != Some(b'{') {
        // What is no JSON at all is told as such.
        scanner.pass()?;
        return Err(JsonFault::NoSchema.into());
    }
    scanner.expect(b'{')?;
    let (mut schema, mut payload) = (None, None);
    let mut schema_first = false;
    scanner.items(b'}', |scanner| -> Result<(), JsonError> {
        let key = scanner.string()?;
        scanner.expect(b':')?;
        scanner.peek();
        let at = *scanner;
        let text = scanner.pass()?;
        let twice = if key.is("schema") {
            schema_first = payload.is_none();
            schema.replace(text).is_some()
        } else if key.is("payload") {
            payload.replace(at).is_some()
        } else {
            return Err(JsonFault::NoSchema.into());
        };
        if twice {
            return Err(JsonFault::DuplicateKey(key.text()?.into_owned()).into());
        }
        Ok(())
    })?;
    scanner.end()?;
    match (schema, payload) {
        (Some(schema), Some(payload)) => Ok(Some(Halves {
            schema,
            payload,
            schema_first,
        })),
        _ => Err(JsonFault::NoSchema.into()),
    }
}
