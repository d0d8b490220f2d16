//! The COPY statement: options in any order (redshift.md 1.1, 1.3, 1.6).

use super::create_table;
use super::cursor::{Cursor, TableName};
use super::refusal::Refusal;
use super::token::Kind;

/// How the objects are compressed. Redshift goes by the option, never by the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// GZIP
    Gzip,
    /// ZSTD
    Zstd,
}

/// How texts become dates or timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MomentFormat {
    /// `YYYY-MM-DD`, `YYYY-MM-DD HH:MI:SS[.ffffff]`, and for TIMESTAMPTZ an offset.
    #[default]
    Strict,
    /// `'auto'`
    Auto,
    /// `'epochsecs'`
    EpochSeconds,
    /// `'epochmillisecs'`
    EpochMilliseconds,
}

/// What of a statement governs the reading of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Quote character.
    pub quote: u8,
    /// Delimiter.
    pub delimiter: u8,
    /// NULL marker; compared after unquoting.
    pub null: Vec<u8>,
    /// EMPTYASNULL
    pub empty_as_null: bool,
    /// BLANKSASNULL
    pub blanks_as_null: bool,
    /// TRIMBLANKS
    pub trim_blanks: bool,
    /// IGNOREBLANKLINES
    pub ignore_blank_lines: bool,
    /// Lines to leave out at the beginning of each object.
    pub ignore_header: u64,
    /// FILLRECORD
    pub fill_record: bool,
    /// TRUNCATECOLUMNS
    pub truncate_columns: bool,
    /// Replacement for invalid UTF-8 in VARCHAR.
    pub accept_invalid_chars: Option<u8>,
    /// ROUNDEC
    pub round_decimals: bool,
    /// DATEFORMAT
    pub date: MomentFormat,
    /// TIMEFORMAT
    pub time: MomentFormat,
}

impl Default for Format {
    fn default() -> Self {
        Self {
            quote: b'"',
            delimiter: b',',
            null: b"\\N".to_vec(),
            empty_as_null: false,
            blanks_as_null: false,
            trim_blanks: false,
            ignore_blank_lines: false,
            ignore_header: 0,
            fill_record: false,
            truncate_columns: false,
            accept_invalid_chars: None,
            round_decimals: false,
            date: MomentFormat::Strict,
            time: MomentFormat::Strict,
        }
    }
}

/// One COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStatement {
    /// The target.
    pub table: TableName,
    /// The column list, if given.
    pub columns: Option<Vec<String>>,
    /// Bucket of the `s3://` address.
    pub bucket: String,
    /// Key or key prefix.
    pub key: String,
    /// MANIFEST
    pub manifest: bool,
    /// Compression of the data.
    pub compression: Compression,
    /// How fields are read.
    pub format: Format,
    /// MAXERROR
    pub max_error: usize,
}

/// Largest MAXERROR (redshift.md 1.6).
const MAX_ERROR_MAX: u64 = 100_000;

#[derive(Default)]
struct Seen {
    authorization: bool,
    csv: bool,
    options: Vec<String>,
}

/// Parses what follows `COPY`.
///
/// # Errors
/// Unknown options are syntax errors; known ones that are not built are "not emulated".
pub fn parse(cursor: &mut Cursor<'_>) -> Result<CopyStatement, Refusal> {
    let table = cursor.table()?;
    let columns = if cursor.peek(0).is_some_and(|token| token.is_sign(cursor.sql, '(')) {
        Some(create_table::columns(cursor)?)
    } else {
        None
    };
    if !cursor.take(&["from"]) {
        return Err(Refusal::syntax(cursor.near()));
    }
    if cursor.sees(&["stdin"]) {
        return Err(Refusal::unsupported("COPY FROM STDIN is not supported"));
    }
    let (bucket, key) = address(&cursor.literal()?)?;
    let mut copy = CopyStatement {
        table,
        columns,
        bucket,
        key,
        manifest: false,
        compression: Compression::None,
        format: Format::default(),
        max_error: 0,
    };
    let mut seen = Seen::default();
    cursor.take(&["with"]);
    while !cursor.done() {
        option(&mut copy, &mut seen, cursor)?;
    }
    if !seen.authorization {
        return Err(Refusal::new(
            "XX000",
            "No authorization was given to access the source: IAM_ROLE, CREDENTIALS or ACCESS_KEY_ID is required",
        ));
    }
    if !seen.csv {
        return Err(Refusal::not_emulated("COPY of a format other than CSV"));
    }
    Ok(copy)
}

/// Splits `s3://bucket/key`.
fn address(text: &str) -> Result<(String, String), Refusal> {
    let Some(rest) = text.strip_prefix("s3://") else {
        return Err(Refusal::not_emulated(format!(
            "COPY FROM '{text}': only s3:// sources are"
        )));
    };
    match rest.split_once('/') {
        Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => Ok((bucket.to_owned(), key.to_owned())),
        _ => Err(Refusal::new("XX000", format!("Invalid S3 URI: {text}"))),
    }
}

fn option(copy: &mut CopyStatement, seen: &mut Seen, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    let near = cursor.near();
    if cursor.peek(0).is_none_or(|token| token.kind != Kind::Word) {
        return Err(Refusal::syntax(near));
    }
    let word = near.to_ascii_lowercase();
    cursor.skip();
    if word != "format" && word != "as" {
        if seen.options.contains(&word) {
            return Err(Refusal::new("42601", "conflicting or redundant options"));
        }
        seen.options.push(word.clone());
    }
    let format = &mut copy.format;
    match word.as_str() {
        "iam_role" | "credentials" | "access_key_id" | "secret_access_key" | "session_token" => {
            authorization(&word, seen, cursor)?
        }
        "region" => {
            as_literal(cursor)?;
        }
        "manifest" => copy.manifest = true,
        "format" => {
            cursor.take(&["as"]);
            if !cursor.sees(&["csv"]) {
                return Err(Refusal::not_emulated(format!("COPY FORMAT {}", cursor.near())));
            }
        }
        "csv" => seen.csv = true,
        "quote" => format.quote = one_character(cursor)?,
        "delimiter" => format.delimiter = one_character(cursor)?,
        "null" => format.null = null_marker(cursor)?,
        "emptyasnull" => format.empty_as_null = true,
        "blanksasnull" => format.blanks_as_null = true,
        "trimblanks" => format.trim_blanks = true,
        "ignoreblanklines" => format.ignore_blank_lines = true,
        "fillrecord" => format.fill_record = true,
        "truncatecolumns" => format.truncate_columns = true,
        "roundec" => format.round_decimals = true,
        "ignoreheader" => {
            cursor.take(&["as"]);
            format.ignore_header = cursor.number()?;
        }
        "acceptinvchars" => format.accept_invalid_chars = Some(replacement(cursor)?),
        "gzip" | "zstd" => {
            if copy.compression != Compression::None {
                return Err(Refusal::new("42601", "conflicting or redundant options"));
            }
            copy.compression = if word == "gzip" {
                Compression::Gzip
            } else {
                Compression::Zstd
            };
        }
        "dateformat" => format.date = moment_format(cursor, "YYYY-MM-DD", "DATEFORMAT")?,
        "timeformat" => format.time = moment_format(cursor, "YYYY-MM-DD HH:MI:SS", "TIMEFORMAT")?,
        "compupdate" => {
            let _ = cursor.take(&["on"])
                || cursor.take(&["off"])
                || cursor.take(&["true"])
                || cursor.take(&["false"])
                || cursor.take(&["preset"]);
        }
        "statupdate" => {
            let _ = cursor.take(&["on"]) || cursor.take(&["off"]) || cursor.take(&["true"]) || cursor.take(&["false"]);
        }
        "comprows" => {
            cursor.number()?;
        }
        "maxerror" => {
            cursor.take(&["as"]);
            let number = cursor.number()?;
            if number > MAX_ERROR_MAX {
                return Err(Refusal::new(
                    "22023",
                    format!("MAXERROR must be between 0 and {MAX_ERROR_MAX}"),
                ));
            }
            copy.max_error = usize::try_from(number).unwrap_or(usize::MAX);
        }
        "encoding" => {
            cursor.take(&["as"]);
            let encoding = if cursor.peek(0).is_some_and(|token| token.kind == Kind::Literal) {
                cursor.literal()?
            } else {
                cursor.identifier()?
            };
            if !encoding.eq_ignore_ascii_case("utf8") {
                return Err(Refusal::not_emulated(format!("COPY ENCODING {encoding}")));
            }
        }
        "bzip2"
        | "lzop"
        | "encrypted"
        | "ssh"
        | "readratio"
        | "acceptanydate"
        | "escape"
        | "removequotes"
        | "fixedwidth"
        | "json"
        | "avro"
        | "parquet"
        | "orc"
        | "shapefile"
        | "noload"
        | "explicit_ids"
        | "ignoreallerrors"
        | "master_symmetric_key"
        | "serializetojson"
        | "template" => {
            return Err(Refusal::not_emulated(format!("COPY option {}", word.to_uppercase())));
        }
        _ => return Err(Refusal::syntax(near)),
    }
    Ok(())
}

/// The form is checked; access itself goes by the stand-in's own S3 credentials.
fn authorization(word: &str, seen: &mut Seen, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    seen.authorization |= !matches!(word, "secret_access_key" | "session_token");
    if word == "iam_role" {
        if cursor.take(&["default"]) {
            return Ok(());
        }
        let role = cursor.literal()?;
        let valid = role == "default"
            || role
                .split(',')
                .all(|arn| arn.starts_with("arn:") && arn.contains(":iam::") && arn.contains(":role/"));
        return if valid {
            Ok(())
        } else {
            Err(Refusal::new("XX000", "Invalid IAM role ARN").with_detail(format!("role: {role}")))
        };
    }
    let text = as_literal(cursor)?;
    let known = [
        "aws_access_key_id=",
        "aws_secret_access_key=",
        "aws_iam_role=",
        "token=",
        "master_symmetric_key=",
    ];
    if word == "credentials"
        && !text
            .split(';')
            .all(|part| known.iter().any(|key| part.starts_with(key)))
    {
        return Err(Refusal::new(
            "XX000",
            "Invalid credentials. Must be of the format: credentials 'aws_iam_role=...' or 'aws_access_key_id=...;aws_secret_access_key=...[;token=...]'",
        ));
    }
    Ok(())
}

fn as_literal(cursor: &mut Cursor<'_>) -> Result<String, Refusal> {
    cursor.take(&["as"]);
    cursor.literal()
}

fn one_character(cursor: &mut Cursor<'_>) -> Result<u8, Refusal> {
    let text = as_literal(cursor)?;
    match text.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(*byte),
        _ => Err(Refusal::new(
            "42601",
            "COPY delimiter and quote must be a single ASCII character",
        )),
    }
}

fn null_marker(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, Refusal> {
    let text = as_literal(cursor)?;
    if text.contains(['\n', '\r']) {
        return Err(Refusal::new("42601", "COPY null marker cannot contain a newline"));
    }
    if text.contains('\0') {
        return Err(Refusal::not_emulated("COPY NULL AS with a NUL byte"));
    }
    Ok(text.into_bytes())
}

fn replacement(cursor: &mut Cursor<'_>) -> Result<u8, Refusal> {
    let has_as = cursor.take(&["as"]);
    if !has_as && cursor.peek(0).is_none_or(|token| token.kind != Kind::Literal) {
        return Ok(b'?');
    }
    match cursor.literal()?.as_bytes() {
        [byte] if byte.is_ascii() && *byte != 0 => Ok(*byte),
        _ => Err(Refusal::new(
            "42601",
            "ACCEPTINVCHARS replacement must be a single ASCII character",
        )),
    }
}

fn moment_format(cursor: &mut Cursor<'_>, default: &str, option: &str) -> Result<MomentFormat, Refusal> {
    let text = as_literal(cursor)?;
    match text.as_str() {
        "auto" => Ok(MomentFormat::Auto),
        "epochsecs" if option == "TIMEFORMAT" => Ok(MomentFormat::EpochSeconds),
        "epochmillisecs" if option == "TIMEFORMAT" => Ok(MomentFormat::EpochMilliseconds),
        text if text == default => Ok(MomentFormat::Strict),
        text => Err(Refusal::not_emulated(format!("COPY {option} '{text}'"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::tokenize;
    use super::*;

    fn run(sql: &str) -> Result<CopyStatement, Refusal> {
        let tokens = tokenize(sql).unwrap();
        parse(&mut Cursor::new(sql, &tokens, false))
    }

    #[test]
    fn options_in_any_order() {
        let one = run("s.t (\"A\", b) FROM 's3://b/k/x' IAM_ROLE 'arn:aws:iam::1:role/r' REGION 'us-east-1' MANIFEST FORMAT AS CSV QUOTE AS '\"' DELIMITER ',' NULL AS '@N@' ZSTD \
                       DATEFORMAT 'auto' TIMEFORMAT 'auto' COMPUPDATE OFF STATUPDATE OFF")
        .unwrap();
        let two = run("s.t (a, b) from 's3://b/k/x' null '@N@' zstd timeformat as 'auto' dateformat 'auto' delimiter as ',' manifest csv iam_role default").unwrap();
        assert_eq!(one, two);
        assert_eq!(one.columns.as_deref(), Some(&["a".to_owned(), "b".to_owned()][..]));
        assert!(one.manifest);
        assert_eq!(one.format.time, MomentFormat::Auto);
    }

    #[test]
    fn escapes_in_literals() {
        let copy = run(r"t FROM 's3://b/k' IAM_ROLE DEFAULT CSV DELIMITER '\t' NULL AS '\\N' QUOTE '\''").unwrap();
        assert_eq!(
            (copy.format.delimiter, copy.format.quote, copy.format.null.as_slice()),
            (b'\t', b'\'', &b"\\N"[..])
        );
    }

    #[test]
    fn refuses() {
        for (tail, code) in [
            ("CSV NONSENSE IAM_ROLE DEFAULT", "42601"),
            ("CSV", "XX000"),
            ("IAM_ROLE DEFAULT", "0A000"),
            ("IAM_ROLE 'role' CSV", "XX000"),
            ("IAM_ROLE DEFAULT CSV BZIP2", "0A000"),
            ("IAM_ROLE DEFAULT CSV GZIP ZSTD", "42601"),
            ("IAM_ROLE DEFAULT CSV CSV", "42601"),
            ("IAM_ROLE DEFAULT FORMAT AS PARQUET", "0A000"),
            ("IAM_ROLE DEFAULT CSV TIMEFORMAT 'HH:MI'", "0A000"),
            ("IAM_ROLE DEFAULT CSV TIMEFORMAT 'AUTO'", "0A000"),
            ("IAM_ROLE DEFAULT CSV MAXERROR 100001", "22023"),
            ("IAM_ROLE DEFAULT CSV DELIMITER 'ab'", "42601"),
        ] {
            assert_eq!(
                run(&format!("t FROM 's3://b/k' {tail}")).unwrap_err().code,
                code,
                "{tail}"
            );
        }
        assert_eq!(run("t FROM STDIN").unwrap_err().code, "0A000");
    }
}
