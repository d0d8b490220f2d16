//! A JSON value to a datum of a schema. Fields are found by name; numbers go from digits to bytes, never through floating point unless
//! that is their type.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::decimal;
use super::error::{JsonError, JsonFault};
use super::scan::Scanner;
use crate::avro::default::{self, long, prefixed};
use crate::avro::{DEPTH_MAX, Kind, NodeId, RecordField, WriterSchema};

/// A schema, and how JSON says its values where the type alone does not tell.
#[derive(Debug)]
pub(crate) struct Translation {
    pub(super) schema: Arc<WriterSchema>,
    /// By the number of the node.
    how: Vec<How>,
}

/// How a value of a node is written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// As its type is.
    ByType,
    /// Bytes that are a decimal of a scale: a number; or a text, of its digits or of its unscaled bytes in base64.
    Decimal { scale: i32, base64: bool },
    /// Any JSON, kept as text.
    Raw,
    /// A text, or true or false for `true` and `false`.
    Flag,
    /// A number that is not a whole one of 64 bits: those have a column of their own.
    Fraction,
    /// An object or an array, kept as text: anything else has a column of its own.
    Nested,
    /// A list of records, each an array of its fields.
    Pairs,
    /// A record; what becomes of fields that it does not have.
    Record(Unknown),
}

/// What becomes of a field that the schema does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// The record is refused: the embedded schema does not say what it is.
    Refuse,
    /// The record is refused: the configuration does not say what it is.
    Undeclared,
    /// The same, unless its name says that a transform added it.
    UndeclaredButAdded,
    Ignore,
    /// The record is refused so that the field is learned from it, unless it is null.
    Learn,
}

/// The placeholder for a value that did not change, which may stand for any JSON.
type Unavailable<'a> = Option<&'a str>;

impl Translation {
    pub(super) fn new(schema: WriterSchema, how: Vec<How>) -> Translation {
        Translation {
            schema: Arc::new(schema),
            how,
        }
    }

    /// The translation of a schema of a registry, with what its topic does with fields that it does not have; none of one whose data are
    /// no JSON.
    pub(crate) fn registered(schema: &Arc<WriterSchema>, unknown: Unknown) -> Option<Translation> {
        let how = schema.how()?.iter().map(|how| match how {
            How::Record(Unknown::Undeclared) => How::Record(unknown),
            how => *how,
        });
        Some(Translation {
            how: how.collect(),
            schema: Arc::clone(schema),
        })
    }

    /// Writes the datum of a whole text; null has none, and false is returned.
    ///
    /// # Errors
    /// When it is no JSON, or no value of the schema.
    pub(crate) fn datum(
        &self,
        text: &[u8],
        unavailable: Unavailable<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, JsonError> {
        let mut scanner = Scanner::new(text)?;
        let is_null = scanner.null();
        if !is_null {
            self.write(&mut scanner, unavailable, out)?;
        }
        scanner.end()?;
        Ok(!is_null)
    }

    /// Writes the datum of a whole text.
    pub(super) fn write(
        &self,
        scanner: &mut Scanner<'_>,
        unavailable: Unavailable<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), JsonError> {
        let mut writer = Writer {
            of: self,
            unavailable,
            out,
        };
        writer.value(self.schema.root(), scanner, 0)
    }
}

struct Writer<'a> {
    of: &'a Translation,
    unavailable: Unavailable<'a>,
    out: &'a mut Vec<u8>,
}

fn mismatch(wanted: &'static str, scanner: &mut Scanner<'_>) -> JsonError {
    let found = scanner.found();
    JsonFault::Type { wanted, found }.plain()
}

fn number_of(text: &str) -> JsonFault {
    JsonFault::Number(text.chars().take(64).collect())
}

impl Writer<'_> {
    fn value(&mut self, id: NodeId, scanner: &mut Scanner<'_>, depth: usize) -> Result<(), JsonError> {
        if depth > DEPTH_MAX {
            return Err(JsonFault::Depth.into());
        }
        let schema = &self.of.schema;
        match schema.kind(id) {
            Kind::Union(branches) => match branches.as_slice() {
                // The only union that is made here has null first.
                [_, inner] if !scanner.null() => {
                    long(1, self.out);
                    self.value(*inner, scanner, depth + 1)
                }
                _ => {
                    long(0, self.out);
                    Ok(())
                }
            },
            Kind::Record(fields) => {
                let How::Record(unknown) = self.how(id) else {
                    return Err(mismatch("a value", scanner));
                };
                self.record(fields, unknown, scanner, depth)
            }
            Kind::Array(item) if self.how(id) == How::Pairs => self.pairs(*item, scanner, depth),
            Kind::Array(item) => self.array(*item, scanner, depth),
            Kind::Map(item) => self.map(*item, scanner, depth),
            kind => self.scalar(kind, self.how(id), scanner),
        }
    }

    fn how(&self, id: NodeId) -> How {
        self.of.how.get(id.index()).copied().unwrap_or(How::ByType)
    }

    fn scalar(&mut self, kind: &Kind, how: How, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        match (kind, how) {
            (_, How::Nested) if !matches!(scanner.peek(), Some(b'{' | b'[')) => {
                Err(mismatch("an object or an array", scanner))
            }
            (_, How::Raw | How::Nested) => self.raw(scanner),
            (_, How::Fraction) if whole(&mut scanner.clone()).is_ok() => {
                Err(mismatch("a number that is not a whole one", scanner))
            }
            (_, How::Decimal { scale, base64 }) => self.decimal(scale, base64, scanner),
            (_, How::Flag) if scanner.peek() != Some(b'"') => match scanner.boolean() {
                Some(flag) => {
                    prefixed(if flag { b"true" } else { b"false" }, self.out);
                    Ok(())
                }
                None => Err(mismatch("a text, true or false", scanner)),
            },
            (Kind::Boolean, _) => match scanner.boolean() {
                Some(value) => {
                    self.out.push(u8::from(value));
                    Ok(())
                }
                None => Err(mismatch("true or false", scanner)),
            },
            (Kind::Int, _) => {
                let (value, text) = whole(scanner)?;
                long(i32::try_from(value).map_err(|_| number_of(text))?.into(), self.out);
                Ok(())
            }
            (Kind::Long, _) => {
                long(whole(scanner)?.0, self.out);
                Ok(())
            }
            (Kind::Float, _) => {
                let value: f32 = floating(scanner)?;
                self.out.extend(value.to_le_bytes());
                Ok(())
            }
            (Kind::Double, _) => {
                let value: f64 = floating(scanner)?;
                self.out.extend(value.to_le_bytes());
                Ok(())
            }
            (Kind::Bytes, _) => self.base64(scanner),
            _ => self.text(scanner),
        }
    }

    fn text(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        if scanner.peek() != Some(b'"') {
            return Err(mismatch("a text", scanner));
        }
        let quoted = scanner.string()?;
        match quoted.unescaped() {
            Some(text) => prefixed(text, self.out),
            None => prefixed(quoted.text()?.as_bytes(), self.out),
        }
        Ok(())
    }

    fn base64(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        if scanner.peek() != Some(b'"') {
            return Err(mismatch("bytes in base64", scanner));
        }
        let text = scanner.string()?.text()?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(|_| JsonFault::Base64)?;
        prefixed(&bytes, self.out);
        Ok(())
    }

    fn decimal(&mut self, scale: i32, base64: bool, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        match scanner.peek() {
            Some(b'"') if base64 => self.base64(scanner),
            Some(b'"') => {
                let text = scanner.string()?.text()?;
                Ok(decimal::write(&text, scale, self.out)?)
            }
            Some(b'-' | b'0'..=b'9') => Ok(decimal::write(scanner.number()?, scale, self.out)?),
            _ => Err(mismatch("a decimal", scanner)),
        }
    }

    /// Any JSON as its text; the placeholder for an unchanged value as itself.
    fn raw(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        let mut ahead = *scanner;
        if let (Some(placeholder), Some(b'"')) = (self.unavailable, ahead.peek())
            && ahead.string()?.is(placeholder)
        {
            *scanner = ahead;
            prefixed(placeholder.as_bytes(), self.out);
            return Ok(());
        }
        prefixed(scanner.pass()?, self.out);
        Ok(())
    }

    /// Every item is a block of its own: how many there are is not known before they are read.
    fn array(&mut self, item: NodeId, scanner: &mut Scanner<'_>, depth: usize) -> Result<(), JsonError> {
        if !scanner.eat(b'[') {
            return Err(mismatch("an array", scanner));
        }
        scanner.items(b']', |scanner| {
            long(1, self.out);
            self.value(item, scanner, depth + 1)
        })?;
        long(0, self.out);
        Ok(())
    }

    fn map(&mut self, item: NodeId, scanner: &mut Scanner<'_>, depth: usize) -> Result<(), JsonError> {
        if !scanner.eat(b'{') {
            return Err(mismatch("an object", scanner));
        }
        let mut keys = HashSet::new();
        scanner.items(b'}', |scanner| -> Result<(), JsonError> {
            let key = scanner.string()?.text()?;
            scanner.expect(b':')?;
            long(1, self.out);
            prefixed(key.as_bytes(), self.out);
            if keys.contains(&key) {
                return Err(JsonFault::DuplicateKey(key.into_owned()).into());
            }
            self.value(item, scanner, depth + 1)
                .map_err(|error| error.within(&key))?;
            keys.insert(key);
            Ok(())
        })?;
        long(0, self.out);
        Ok(())
    }

    /// A map whose keys are no texts: `[[key, value], ...]`.
    fn pairs(&mut self, item: NodeId, scanner: &mut Scanner<'_>, depth: usize) -> Result<(), JsonError> {
        if !scanner.eat(b'[') {
            return Err(mismatch("an array of pairs", scanner));
        }
        let nodes: Vec<NodeId> = self
            .of
            .schema
            .fields(item)
            .unwrap_or_default()
            .iter()
            .map(|field| field.node)
            .collect();
        scanner.items(b']', |scanner| -> Result<(), JsonError> {
            long(1, self.out);
            scanner.expect(b'[')?;
            for (index, node) in nodes.iter().enumerate() {
                if index > 0 {
                    scanner.expect(b',')?;
                }
                self.value(*node, scanner, depth + 1)?;
            }
            Ok(scanner.expect(b']')?)
        })?;
        long(0, self.out);
        Ok(())
    }

    fn record(
        &mut self,
        fields: &[RecordField],
        unknown: Unknown,
        scanner: &mut Scanner<'_>,
        depth: usize,
    ) -> Result<(), JsonError> {
        if !scanner.eat(b'{') {
            return Err(mismatch("an object", scanner));
        }
        let (at, written) = (scanner.at, self.out.len());
        if !self.in_order(fields, scanner, depth)? {
            scanner.at = at;
            self.out.truncate(written);
            self.in_any_order(fields, unknown, scanner, depth)?;
        }
        Ok(())
    }

    /// Writes fields as they come, which is the order of the schema in all that a converter writes; false as soon as it is not.
    fn in_order(&mut self, fields: &[RecordField], scanner: &mut Scanner<'_>, depth: usize) -> Result<bool, JsonError> {
        for (index, field) in fields.iter().enumerate() {
            if index > 0 && !scanner.eat(b',') || scanner.peek() != Some(b'"') || !scanner.string()?.is(&field.name) {
                return Ok(false);
            }
            scanner.expect(b':')?;
            self.value(field.node, scanner, depth + 1)
                .map_err(|error| error.within(&field.name))?;
        }
        Ok(scanner.eat(b'}'))
    }

    fn in_any_order(
        &mut self,
        fields: &[RecordField],
        unknown: Unknown,
        scanner: &mut Scanner<'_>,
        depth: usize,
    ) -> Result<(), JsonError> {
        let mut places: Vec<Option<usize>> = vec![None; fields.len()];
        let mut others = HashSet::new();
        let mut expected = 0;
        scanner.items(b'}', |scanner| -> Result<(), JsonError> {
            let key = scanner.string()?;
            scanner.expect(b':')?;
            scanner.peek();
            let next = fields
                .get(expected)
                .filter(|field| key.is(&field.name))
                .map(|_| expected);
            let found = next.or_else(|| fields.iter().position(|field| key.is(&field.name)));
            let name = || key.text().map(|name| name.into_owned());
            let twice = match found {
                Some(index) => {
                    expected = index + 1;
                    places[index].replace(scanner.at).is_some()
                }
                None => {
                    let name = name()?;
                    unknown.judge(&name, scanner)?;
                    !others.insert(name)
                }
            };
            if twice {
                return Err(JsonFault::DuplicateKey(name()?).into());
            }
            Ok(scanner.pass().map(drop)?)
        })?;
        for (field, place) in fields.iter().zip(places) {
            let written = match place {
                Some(at) => self.value(field.node, &mut scanner.moved_to(at), depth + 1),
                None => self.absent(field),
            };
            written.map_err(|error| error.within(&field.name))?;
        }
        Ok(())
    }

    /// A field that is not there has its default, else null.
    fn absent(&mut self, field: &RecordField) -> Result<(), JsonError> {
        let schema = &self.of.schema;
        if let Some(value) = &field.default {
            let written = default::datum(schema, field.node, value, self.out, 0);
            return written.ok_or_else(|| JsonFault::Missing.plain());
        }
        match schema.kind(field.node) {
            Kind::Union(_) => {
                long(0, self.out);
                Ok(())
            }
            _ => Err(JsonFault::Missing.into()),
        }
    }
}

impl Unknown {
    fn judge(self, name: &str, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        let fault = match self {
            Unknown::Ignore => return Ok(()),
            Unknown::Learn if scanner.peek() == Some(b'n') => return Ok(()),
            Unknown::UndeclaredButAdded if name.starts_with("__") => return Ok(()),
            Unknown::Refuse => JsonFault::Unknown,
            Unknown::Undeclared | Unknown::UndeclaredButAdded | Unknown::Learn => JsonFault::Undeclared,
        };
        Err(fault.plain().within(name))
    }
}

/// A whole number of 64 bits, as it is written and as it is.
fn whole<'t>(scanner: &mut Scanner<'t>) -> Result<(i64, &'t str), JsonError> {
    if !matches!(scanner.peek(), Some(b'-' | b'0'..=b'9')) {
        return Err(mismatch("a whole number", scanner));
    }
    let text = scanner.number()?;
    Ok((text.parse().map_err(|_| number_of(text))?, text))
}

/// The nearest number; what JSON has no digits for is written as text.
fn floating<F: std::str::FromStr>(scanner: &mut Scanner<'_>) -> Result<F, JsonError> {
    let text = match scanner.peek() {
        Some(b'-' | b'0'..=b'9') => scanner.number()?.into(),
        Some(b'"') => {
            let text = scanner.string()?.text()?;
            if !matches!(&*text, "NaN" | "Infinity" | "-Infinity") {
                return Err(number_of(&text).into());
            }
            text
        }
        _ => return Err(mismatch("a number", scanner)),
    };
    text.parse().map_err(|_| number_of(&text).into())
}
