//! What only messages of Yelp's Data Pipeline can be told.

use std::path::PathBuf;

use common::row::SchemaIds;

use super::super::reader::Section;
use super::super::topics::{EnvelopeSetting, FormatSetting, TopicSettings};

/// Whether messages may begin with 0, and the folder of the keys of encrypted ones.
pub(super) fn yelp(
    section: &Section<'_>,
    envelope: EnvelopeSetting,
    inherited: &TopicSettings,
) -> (bool, Option<PathBuf>) {
    let accept_nul_magic = section.or("accept_nul_magic", inherited.accept_nul_magic);
    let folder: Option<PathBuf> = section.optional("encryption_keys");
    if envelope != EnvelopeSetting::Yelp {
        let hint = "write envelope = \"yelp\", or leave it out";
        if section.has("accept_nul_magic") && accept_nul_magic {
            section.wrong("accept_nul_magic", "says nothing of another envelope", hint);
        }
        if folder.is_some() {
            section.wrong("encryption_keys", "says nothing of another envelope", hint);
        }
    }
    (accept_nul_magic, folder.or_else(|| inherited.encryption_keys.clone()))
}

/// Payloads are in Avro, and their schema is named in the envelope.
pub(super) fn check(section: &Section<'_>, envelope: EnvelopeSetting, format: FormatSetting, schema_ids: SchemaIds) {
    if envelope != EnvelopeSetting::Yelp {
        return;
    }
    if format != FormatSetting::Avro {
        let hint = "leave `format` out, or write another envelope";
        section.wrong("format", "the payloads of a `yelp` envelope are in Avro", hint);
    }
    if section.has("schema_ids") && schema_ids == SchemaIds::Header {
        section.wrong(
            "schema_ids",
            "a `yelp` envelope has the schema's id within",
            "leave it out",
        );
    }
}
