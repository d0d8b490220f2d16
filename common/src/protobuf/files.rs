//! The texts that make a schema. What Confluent's registry knows without being told (its own options and decimal, Google's common types)
//! is here as well; Google's well-known types come with the compiler.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use prost_reflect::FileDescriptor;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

/// The name that the schema itself gets.
const ROOT: &str = "_registered.proto";

/// Texts that nobody registers.
const BUILT_IN: [(&str, &str); 5] = [
    (
        "confluent/meta.proto",
        r#"syntax = "proto3";
        package confluent;
        import "google/protobuf/descriptor.proto";
        message Meta {
          string doc = 1;
          map<string, string> params = 2;
          repeated string tags = 3;
        }
        extend google.protobuf.FileOptions { Meta file_meta = 1088; }
        extend google.protobuf.MessageOptions { Meta message_meta = 1088; }
        extend google.protobuf.FieldOptions { Meta field_meta = 1088; }
        extend google.protobuf.EnumOptions { Meta enum_meta = 1088; }
        extend google.protobuf.EnumValueOptions { Meta enum_value_meta = 1088; }"#,
    ),
    (
        "confluent/type/decimal.proto",
        r#"syntax = "proto3";
        package confluent.type;
        message Decimal { bytes value = 1; uint32 precision = 2; int32 scale = 3; }"#,
    ),
    (
        "google/type/date.proto",
        r#"syntax = "proto3";
        package google.type;
        message Date { int32 year = 1; int32 month = 2; int32 day = 3; }"#,
    ),
    (
        "google/type/timeofday.proto",
        r#"syntax = "proto3";
        package google.type;
        message TimeOfDay { int32 hours = 1; int32 minutes = 2; int32 seconds = 3; int32 nanos = 4; }"#,
    ),
    (
        "google/type/decimal.proto",
        r#"syntax = "proto3";
        package google.type;
        message Decimal { string value = 1; }"#,
    ),
];

/// Texts by the names by which they are imported.
struct Texts(HashMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(text) => file(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// A text as a file. Some serializers (Confluent's for Python) register a compiled file in base64, which their own registry turns into a
/// text, and others keep as it is.
fn file(name: &str, text: &str) -> Result<File, protox::Error> {
    let written = File::from_source(name, text);
    let compiled = || {
        let bytes = BASE64.decode(text.trim()).ok()?;
        let compiled = File::decode_file_descriptor_proto(bytes.as_slice()).ok()?;
        let mut proto = compiled.file_descriptor_proto().clone();
        // Others import it by the name of the reference, whatever its writer called it.
        proto.name = Some(name.to_owned());
        Some(File::from_file_descriptor_proto(proto))
    };
    written.or_else(|error| compiled().ok_or(error))
}

/// Compiles a text with those that it imports.
///
/// # Errors
/// What is wrong with one of them, in words.
pub(super) fn linked(text: &str, references: &[(String, String)]) -> Result<FileDescriptor, String> {
    let mut texts: HashMap<String, String> = HashMap::new();
    for (name, text) in BUILT_IN {
        texts.insert(name.to_owned(), text.to_owned());
    }
    texts.extend(references.iter().cloned());
    texts.insert(ROOT.to_owned(), text.to_owned());
    let mut resolver = ChainFileResolver::new();
    resolver.add(Texts(texts));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_file(ROOT).map_err(|error| error.to_string())?;
    let pool = compiler.descriptor_pool();
    pool.get_file_by_name(ROOT)
        .ok_or_else(|| "it has no messages".to_owned())
}
