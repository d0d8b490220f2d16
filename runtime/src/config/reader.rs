//! Reads keys of a TOML document one by one and remembers what it met: mistakes, keys nobody asked for, and the value that holds.
//!
//! Not serde: a derived reader stops at the first mistake, and does not know afterwards which key had which default.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::{Table, Value};

use super::problem::{Problem, did_you_mean};
use super::units::{Size, duration_from, duration_text};

/// A key as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// Section, such as `s3_spolt` or `topic[0]`.
    pub(super) section: String,
    /// Key in the section.
    pub(super) key: String,
    /// The value that holds; `None` when it is absent and has no default.
    pub(super) value: Option<Value>,
    /// The default.
    pub(super) default: Option<Value>,
}

/// What was met on the way through the document.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) problems: Vec<Problem>,
    pub(super) seen: Vec<Seen>,
}

/// A type that a key can have.
pub(super) trait Field: Sized {
    fn read(value: &Value) -> Result<Self, String>;
    fn write(&self) -> Value;
}

fn expected<T>(what: &str, value: &Value) -> Result<T, String> {
    Err(format!("expected {what}, found {} `{value}`", value.type_str()))
}

impl Field for String {
    fn read(value: &Value) -> Result<String, String> {
        value
            .as_str()
            .map_or_else(|| expected("a text", value), |text| Ok(text.to_owned()))
    }
    fn write(&self) -> Value {
        Value::String(self.clone())
    }
}

impl Field for bool {
    fn read(value: &Value) -> Result<bool, String> {
        value.as_bool().map_or_else(|| expected("true or false", value), Ok)
    }
    fn write(&self) -> Value {
        Value::Boolean(*self)
    }
}

macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn read(value: &Value) -> Result<$type, String> {
                let number = value.as_integer().and_then(|number| <$type>::try_from(number).ok());
                number.map_or_else(|| expected("a whole number that is not negative", value), Ok)
            }
            fn write(&self) -> Value {
                Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
            }
        }
    )*};
}
whole_number!(u16, u32, u64, usize);

impl Field for Size {
    fn read(value: &Value) -> Result<Size, String> {
        match value {
            Value::String(text) => text.parse(),
            Value::Integer(bytes) if *bytes >= 0 => Ok(Size(bytes.unsigned_abs())),
            other => expected("a size such as \"64MiB\"", other),
        }
    }
    fn write(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl Field for Duration {
    fn read(value: &Value) -> Result<Duration, String> {
        value
            .as_str()
            .map_or_else(|| expected("a duration such as \"30s\"", value), duration_from)
    }
    fn write(&self) -> Value {
        Value::String(duration_text(*self))
    }
}

impl Field for SocketAddr {
    fn read(value: &Value) -> Result<SocketAddr, String> {
        let text = String::read(value)?;
        text.parse()
            .map_err(|_| format!("`{text}` is not an address with a port, such as \"127.0.0.1:9308\""))
    }
    fn write(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl Field for PathBuf {
    fn read(value: &Value) -> Result<PathBuf, String> {
        String::read(value).map(PathBuf::from)
    }
    fn write(&self) -> Value {
        Value::String(self.display().to_string())
    }
}

impl<T: Field> Field for Vec<T> {
    fn read(value: &Value) -> Result<Vec<T>, String> {
        match value.as_array() {
            Some(items) => items.iter().map(T::read).collect(),
            None => expected("a list in brackets", value),
        }
    }
    fn write(&self) -> Value {
        Value::Array(self.iter().map(Field::write).collect())
    }
}

/// One table of the document.
pub(super) struct Section<'n> {
    notes: &'n RefCell<Notes>,
    path: String,
    table: Table,
    asked: RefCell<Vec<&'static str>>,
}

impl<'n> Section<'n> {
    pub(super) fn root(notes: &'n RefCell<Notes>, table: Table) -> Section<'n> {
        Section {
            notes,
            path: String::new(),
            table,
            asked: RefCell::default(),
        }
    }

    fn below(&self, path: String, table: Table) -> Section<'n> {
        Section {
            notes: self.notes,
            path,
            table,
            asked: RefCell::default(),
        }
    }

    /// Path of a key in this section.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Notes a mistake about a key of this section.
    pub(super) fn wrong(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        let problem = Problem {
            key: self.path(key),
            message: message.into(),
            hint: hint.into(),
        };
        self.notes.borrow_mut().problems.push(problem);
    }

    /// Whether the key is written.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn ask(&self, key: &'static str) -> Option<&Value> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    fn note(&self, key: &str, value: Option<Value>, default: Option<Value>) {
        let seen = Seen {
            section: self.path.clone(),
            key: key.to_owned(),
            value,
            default,
        };
        self.notes.borrow_mut().seen.push(seen);
    }

    fn read<T: Field>(&self, key: &str, value: &Value) -> Option<T> {
        match T::read(value) {
            Ok(read) => Some(read),
            Err(message) => {
                self.wrong(
                    key,
                    message,
                    "see spolt.example.toml, which shows every key with its default",
                );
                None
            }
        }
    }

    /// A key that may be absent.
    pub(super) fn optional<T: Field>(&self, key: &'static str) -> Option<T> {
        let read = self.ask(key).and_then(|value| self.read::<T>(key, value));
        self.note(key, read.as_ref().map(Field::write), None);
        read
    }

    /// A key with a default; the only place where that default is written is the call.
    pub(super) fn or<T: Field>(&self, key: &'static str, default: T) -> T {
        let written = default.write();
        let read = self
            .ask(key)
            .and_then(|value| self.read::<T>(key, value))
            .unwrap_or(default);
        self.note(key, Some(read.write()), Some(written));
        read
    }

    /// A key that must be written. What is returned in its absence is never used, since the mistake is noted.
    pub(super) fn required<T: Field + Default>(&self, key: &'static str, hint: &str) -> T {
        let Some(value) = self.ask(key) else {
            self.wrong(key, "is missing", hint);
            return T::default();
        };
        let read = self.read::<T>(key, value);
        self.note(key, read.as_ref().map(Field::write), None);
        read.unwrap_or_default()
    }

    /// A value of a shape of its own, as written.
    pub(super) fn raw(&self, key: &'static str) -> Option<Value> {
        let value = self.ask(key).cloned();
        self.note(key, value.clone(), None);
        value
    }

    /// The same for a key with a default.
    pub(super) fn raw_or(&self, key: &'static str, default: Value) -> Value {
        let value = self.ask(key).cloned().unwrap_or_else(|| default.clone());
        self.note(key, Some(value.clone()), Some(default));
        value
    }

    /// A key that was read before, if it can be read.
    pub(super) fn peek<T: Field>(&self, key: &str) -> Option<T> {
        self.table.get(key).and_then(|value| T::read(value).ok())
    }

    /// Notes what holds in a section with names of the user's choice.
    pub(super) fn show(&self, entries: Vec<(String, Value)>) {
        for (key, value) in entries {
            self.note(&key, Some(value), None);
        }
    }

    /// A section below this one; an absent one reads as empty.
    pub(super) fn section(&self, key: &'static str) -> Section<'n> {
        let table = match self.ask(key) {
            Some(Value::Table(table)) => table.clone(),
            None => Table::new(),
            Some(other) => {
                self.wrong(
                    key,
                    format!("expected a section, found `{other}`"),
                    format!("write [{}]", self.path(key)),
                );
                Table::new()
            }
        };
        self.below(self.path(key), table)
    }

    /// The entries of a list of sections (`[[key]]`).
    pub(super) fn sections(&self, key: &'static str) -> Vec<Section<'n>> {
        let items = match self.ask(key) {
            Some(Value::Array(items)) => items.as_slice(),
            None => &[],
            Some(other) => {
                let hint = format!("write [[{}]], with two brackets, before each entry", self.path(key));
                self.wrong(key, format!("expected a list of sections, found `{other}`"), hint);
                &[]
            }
        };
        let mut sections = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item {
                Value::Table(table) => sections.push(self.below(format!("{}[{index}]", self.path(key)), table.clone())),
                other => self.wrong(
                    key,
                    format!("expected sections, found `{other}`"),
                    "write each entry as a section",
                ),
            }
        }
        sections
    }

    /// All keys and values of this section, for sections with names of the user's choice.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.table.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for key in self.table.keys().filter(|key| !asked.contains(&key.as_str())) {
            let hint = match did_you_mean(key, asked.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", asked.join(", ")),
            };
            self.wrong(key, "is not a known key", hint);
        }
    }
}
