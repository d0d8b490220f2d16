//! Columns that are filled from what comes with a record beside the fields of its row, in every row, deletes included: fields of Debezium's
//! `source` block (see `position`), Kafka's headers, and what the envelope of Yelp's pipeline says beside its payload.

use serde::{Deserialize, Serialize};

use super::shape::Field;
use super::{Reason, Settings, headers, position};
use crate::csv::Row;
use crate::envelope;
use crate::plan::{Column, Plan};
use crate::table::ColumnType;

/// What the plan knows the column of headers by. No field has such a name in Avro, and in JSON none that has is a column.
const HEADERS: &str = "@headers";
/// What the plan knows columns of the message by, each with a word behind it.
const MESSAGE: &str = "@message.";

/// A buffer beyond this is given back.
const JSON_KEEP_BYTES: usize = 1 << 20;

/// What a message of Yelp's pipeline says beside its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageField {
    /// Its UUID.
    Uuid,
    /// The kind of message: `create`, `update`, `delete`, `refresh` or `log`.
    Type,
    /// When it was written, to the second.
    Timestamp,
    /// Its meta attributes: a list of schema id and payload of each.
    Meta,
}

impl MessageField {
    /// All, each with the word for it.
    pub const ALL: [(&str, MessageField); 4] = [
        ("uuid", MessageField::Uuid),
        ("type", MessageField::Type),
        ("timestamp", MessageField::Timestamp),
        ("meta", MessageField::Meta),
    ];

    fn word(self) -> &'static str {
        let found = MessageField::ALL.iter().find(|(_, field)| *field == self);
        found.map_or("", |(word, _)| word)
    }

    fn ty(self) -> ColumnType {
        let text = |bytes| ColumnType::Varchar { limit: Some(bytes) };
        match self {
            MessageField::Uuid => text(36),
            MessageField::Type => text(16),
            MessageField::Timestamp => ColumnType::Timestamp,
            MessageField::Meta => ColumnType::Super,
        }
    }
}

/// What a column is filled from that is no field of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attached {
    Source,
    Headers,
    Message(MessageField),
}

impl Attached {
    /// What fills a column of a plan; none if that is a field of the row.
    pub(super) fn of(column: &Column) -> Option<Attached> {
        Attached::named(&column.source)
    }

    fn named(source: &str) -> Option<Attached> {
        if source.starts_with(position::PREFIX) {
            return Some(Attached::Source);
        }
        if source == HEADERS {
            return Some(Attached::Headers);
        }
        let word = source.strip_prefix(MESSAGE)?;
        let found = MessageField::ALL.iter().find(|(name, _)| *name == word);
        found.map(|(_, field)| Attached::Message(*field))
    }
}

/// Whether a field of a record cannot be a column, because its name stands for something that comes with the record.
pub(crate) fn is_reserved(field: &str) -> bool {
    Attached::named(field).is_some()
}

/// What a column of such a source is called unless the configuration says otherwise.
pub(super) fn column_name(source: &str) -> String {
    match Attached::named(source) {
        Some(Attached::Headers) => "kafka_headers".to_owned(),
        _ => source.trim_start_matches('@').to_owned(),
    }
}

/// The columns that the settings ask for, besides those of the source block.
pub(super) fn fields(settings: &Settings) -> Vec<Field> {
    let rules = &settings.column_rules;
    let mut fields = Vec::new();
    if rules.headers {
        fields.push(Field::plain(HEADERS.to_owned(), ColumnType::Super, true));
    }
    if settings.envelope == envelope::Kind::Yelp {
        let message = rules.message_fields.iter();
        fields.extend(message.map(|field| Field::plain(format!("{MESSAGE}{}", field.word()), field.ty(), true)));
    }
    fields
}

/// What the present record has for one such column, as it stands in a row; nothing where it has none.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) row: Row,
    /// Bytes of its text, if the column is one of texts.
    pub(super) text: u32,
}

impl Place {
    fn clear(&mut self) {
        self.row.clear();
        self.text = 0;
    }

    /// Writes JSON as a field of a row; nothing where there is none.
    fn quote(&mut self, json: &[u8]) {
        if !json.is_empty() {
            self.row.reserve(2 * json.len() + 4);
            self.row.quoted(json);
        }
    }

    /// Writes a short text.
    pub(super) fn write_text(&mut self, text: &str) {
        self.row.reserve(2 * text.len() + 4);
        self.row.quoted(text.as_bytes());
        // checked: only texts of our own come here
        self.text = text.len() as u32;
    }
}

/// What the present record has for the columns of a plan that are no fields, in the order of the plan.
#[derive(Debug)]
pub(super) struct Places {
    all: Vec<Place>,
    /// What fills each, and which column of the plan that is.
    filled_by: Vec<(Attached, usize)>,
    /// Which of them the headers fill.
    headers: Option<usize>,
    null_marker: String,
    /// Where JSON is written before it is quoted.
    json: Vec<u8>,
}

impl Places {
    pub(super) fn new(plan: Option<&Plan>, null_marker: &str) -> Places {
        let mut places = Places {
            all: Vec::new(),
            filled_by: Vec::new(),
            headers: None,
            null_marker: null_marker.to_owned(),
            json: Vec::new(),
        };
        plan.into_iter().for_each(|plan| places.adopt(plan));
        places
    }

    /// Makes ready for rows of a plan.
    pub(super) fn adopt(&mut self, plan: &Plan) {
        let columns = plan.columns.iter().enumerate();
        self.filled_by = columns
            .filter_map(|(index, column)| Some((Attached::of(column)?, index)))
            .collect();
        self.headers = self.filled_by.iter().position(|(by, _)| *by == Attached::Headers);
        self.all.resize_with(self.filled_by.len(), || Place {
            row: Row::new(&self.null_marker),
            text: 0,
        });
    }

    /// Forgets the record before.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.all.iter_mut().for_each(Place::clear);
    }

    /// Bytes of all of them.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.all.iter().map(|place| place.row.len()).sum()
    }

    /// The place of a number, in the order of the plan.
    pub(super) fn get(&self, index: usize) -> Option<&Place> {
        self.all.get(index)
    }

    /// All of them, in that order.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        self.all.iter_mut()
    }

    /// Whether there is a column of headers.
    #[inline]
    pub(super) fn have_headers(&self) -> bool {
        self.headers.is_some()
    }

    /// Fills the column of headers.
    ///
    /// # Errors
    /// When no SUPER holds them; the column stays empty then.
    pub(super) fn fill_headers(&mut self, block: &[u8]) -> Result<(), (usize, Reason)> {
        let Some(at) = self.headers else { return Ok(()) };
        let wrong = |reason| (self.filled_by[at].1, reason);
        self.json.clear();
        headers::write(block, &mut self.json).map_err(wrong)?;
        self.all[at].quote(&self.json);
        give_back(&mut self.json);
        Ok(())
    }

    /// Fills the columns of what a message says of itself, each by what `write` writes: a field of a row, or JSON that is quoted here.
    ///
    /// # Errors
    /// What `write` says, with the column.
    pub(super) fn fill_message(
        &mut self,
        mut write: impl FnMut(MessageField, &mut Place, &mut Vec<u8>) -> Result<(), Reason>,
    ) -> Result<(), (usize, Reason)> {
        for ((by, column), place) in self.filled_by.iter().zip(&mut self.all) {
            let Attached::Message(field) = by else { continue };
            self.json.clear();
            write(*field, place, &mut self.json).map_err(|reason| (*column, reason))?;
            place.quote(&self.json);
        }
        give_back(&mut self.json);
        Ok(())
    }

    /// Whether there is a column of this field of a message.
    pub(super) fn have_message(&self, field: MessageField) -> bool {
        self.filled_by.iter().any(|(by, _)| *by == Attached::Message(field))
    }
}

fn give_back(json: &mut Vec<u8>) {
    if json.capacity() > JSON_KEEP_BYTES {
        *json = Vec::new();
    }
}
