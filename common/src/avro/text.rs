//! A schema as a registry has it: text in one of three languages, and the texts that it refers to.

use std::fmt;

/// The language of a schema's text, which is also how its data are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// Avro's JSON; data are datums.
    Avro,
    /// JSON Schema; data are JSON.
    JsonSchema,
    /// A `.proto` file; data are Protobuf's wire format.
    Protobuf,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Language::Avro => "Avro",
            Language::JsonSchema => "JSON Schema",
            Language::Protobuf => "Protobuf",
        })
    }
}

impl Language {
    /// The language by the name that registries give it (`schemaType`); none for one that is not known.
    #[must_use]
    pub fn named(name: &str) -> Option<Language> {
        match name {
            "AVRO" => Some(Language::Avro),
            "JSON" => Some(Language::JsonSchema),
            "PROTOBUF" => Some(Language::Protobuf),
            _ => None,
        }
    }
}

/// The text of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaText {
    /// Its language.
    pub language: Language,
    /// Itself.
    pub text: String,
    /// The names by which it refers to other texts, and those; each after all that it refers to itself.
    pub references: Vec<(String, String)>,
}

impl SchemaText {
    /// An Avro schema that refers to no other.
    #[must_use]
    pub fn avro(text: impl Into<String>) -> SchemaText {
        SchemaText {
            language: Language::Avro,
            text: text.into(),
            references: Vec::new(),
        }
    }
}
