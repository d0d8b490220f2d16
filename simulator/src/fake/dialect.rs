//! The few places where Redshift's dialect, as the daemon writes it, is not SQLite's.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::bucket::Bucket;

/// A statement as SQLite reads it: `"schema"."table"` is one name, and DELETE … USING is a sub-query.
#[must_use]
pub fn translate(sql: &str) -> String {
    let one = sql
        .replace("\"spolt\".\"", "\"spolt.")
        .replace("\"shop\".\"", "\"shop.");
    if one.starts_with("CREATE ") {
        // Hex digits are no number: SQLite makes one of them in a column whose type it does not know.
        return one.replace(" VARBYTE(", " BLOB_VARBYTE(");
    }
    let Some((delete, rest)) = one
        .split_once("\nUSING ")
        .filter(|(head, _)| head.starts_with("DELETE"))
    else {
        return one;
    };
    let Some((using, condition)) = rest.split_once("\nWHERE ") else {
        return one;
    };
    format!("{delete} WHERE EXISTS (SELECT 1 FROM {using} WHERE {condition})")
}

/// `CREATE TABLE a (LIKE b)`, which SQLite has not: the names of both as it has them, and the statement by which it makes such a table.
#[must_use]
pub fn like(connection: &Connection, sql: &str) -> Option<(String, String, String)> {
    let sql = translate(sql);
    let (made, of) = sql.strip_prefix("CREATE TABLE \"")?.split_once("\" (LIKE \"")?;
    let of = of.strip_suffix("\")")?;
    let query = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?1";
    let declared: String = connection.query_row(query, [of], |row| row.get(0)).ok()?;
    let create = declared.replacen(&format!("\"{of}\""), &format!("\"{made}\""), 1);
    Some((made.to_owned(), of.to_owned(), create))
}

/// The columns of a table as `svv_columns` has them.
///
/// # Errors
/// When SQLite has trouble.
pub fn catalog(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Vec<Option<String>>>> {
    let mut found = connection.prepare("SELECT name, type, \"notnull\" FROM pragma_table_info(?1)")?;
    let rows = found.query_map([table], |row| {
        let declared: String = row.get(1)?;
        let (ty, width) = declared.split_once('(').unwrap_or((&declared, ""));
        let ty = match ty {
            "VARCHAR" => "character varying",
            "TIMESTAMP" => "timestamp without time zone",
            "BLOB_VARBYTE" => "binary varying",
            other => other,
        };
        let width = width.trim_end_matches(')');
        let nullable = if row.get::<_, bool>(2)? { "NO" } else { "YES" };
        Ok(vec![
            Some(row.get(0)?),
            Some(ty.to_lowercase()),
            Some(width.to_owned()).filter(|width| !width.is_empty()),
            None,
            None,
            Some(nullable.to_owned()),
        ])
    })?;
    rows.collect()
}

/// Rows of a SELECT as text, or the number of rows that a statement touched.
///
/// # Errors
/// When SQLite refuses it.
pub fn run(connection: &Connection, sql: &str) -> rusqlite::Result<(Vec<Vec<Option<String>>>, u64)> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    if columns == 0 {
        return Ok((Vec::new(), statement.execute([])? as u64));
    }
    let text = |value: ValueRef<'_>| match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(text) | ValueRef::Blob(text) => Some(String::from_utf8_lossy(text).into_owned()),
    };
    let mut rows = Vec::new();
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        rows.push(
            (0..columns)
                .map(|index| Ok(text(row.get_ref(index)?)))
                .collect::<rusqlite::Result<_>>()?,
        );
    }
    let count = rows.len() as u64;
    Ok((rows, count))
}

/// Why a COPY failed, in Redshift's words.
pub type CopyFailure = String;

/// COPY with a manifest: every file must be there; rows go into the table as they are, and each value must fit its column.
///
/// # Errors
/// With Redshift's message.
pub fn copy(connection: &Connection, bucket: &Bucket, sql: &str) -> Result<u64, CopyFailure> {
    let parsed = parse(sql).ok_or("the fake does not understand this COPY")?;
    let manifest = bucket
        .get(&parsed.manifest)
        .ok_or("The specified manifest file does not exist (NoSuchKey)")?;
    let manifest: serde_json::Value = serde_json::from_slice(manifest).map_err(|error| error.to_string())?;
    let widths = widths(connection, &parsed.table).map_err(|error| error.to_string())?;
    let width = |column: &String| {
        widths
            .iter()
            .find(|(name, _)| name == column)
            .and_then(|(_, width)| *width)
    };
    let limits: Vec<Option<usize>> = parsed.columns.iter().map(width).collect();
    let marks = vec!["?"; parsed.columns.len()].join(", ");
    let names: Vec<String> = parsed.columns.iter().map(|name| format!("\"{name}\"")).collect();
    let insert = format!(
        "INSERT INTO \"{}\" ({}) VALUES ({marks})",
        parsed.table,
        names.join(", ")
    );
    let mut insert = connection.prepare(&insert).map_err(|error| error.to_string())?;
    let mut rows = 0;
    for entry in manifest["entries"].as_array().into_iter().flatten() {
        let key = object_key(entry["url"].as_str().unwrap_or_default());
        let object = bucket
            .get(key)
            .ok_or("Mandatory url is not present in manifest file.")?;
        for record in records(object)? {
            let fields = record
                .iter()
                .map(|field| (field != parsed.null).then(|| field.to_owned()));
            let fields: Vec<Option<String>> = fields.collect();
            let fits = fields.iter().zip(&limits).all(|(field, limit)| {
                field
                    .as_ref()
                    .zip(*limit)
                    .is_none_or(|(field, limit)| field.len() <= limit)
            });
            if !fits || fields.len() != limits.len() {
                return Err(format!(
                    "Load into table '{}' failed. Check 'sys_load_error_detail' for details.",
                    parsed.table
                ));
            }
            insert
                .execute(params_from_iter(fields))
                .map_err(|error| error.to_string())?;
            rows += 1;
        }
    }
    Ok(rows)
}

/// The key of an `s3://bucket/key`.
#[must_use]
pub fn object_key(url: &str) -> &str {
    url.strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
        .map_or(url, |(_, key)| key)
}

/// The CSV records of an object.
///
/// # Errors
/// When it is not what the dialect says.
pub fn records(object: &[u8]) -> Result<Vec<csv::StringRecord>, String> {
    let text = zstd::decode_all(object).map_err(|error| format!("zstd: {error}"))?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_slice());
    reader
        .records()
        .collect::<Result<_, csv::Error>>()
        .map_err(|error| format!("csv: {error}"))
}

struct Copy {
    table: String,
    columns: Vec<String>,
    manifest: String,
    null: String,
}

fn parse(sql: &str) -> Option<Copy> {
    let (table, rest) = sql.strip_prefix("COPY ")?.split_once(" (")?;
    let columns = rest.split_once(')')?.0;
    let quoted = |after: &str| Some(sql.split_once(after)?.1.split('\'').nth(1)?.to_owned());
    Some(Copy {
        table: table.trim_matches('"').to_owned(),
        columns: columns
            .split(", ")
            .map(|name| name.trim_matches('"').to_owned())
            .collect(),
        manifest: object_key(&quoted("FROM ")?).to_owned(),
        null: quoted("NULL AS ")?,
    })
}

fn widths(connection: &Connection, table: &str) -> rusqlite::Result<Vec<(String, Option<usize>)>> {
    let columns = catalog(connection, table)?;
    let width = |row: &Vec<Option<String>>| row[2].as_ref().and_then(|width| width.parse().ok());
    Ok(columns
        .iter()
        .map(|row| (row[0].clone().unwrap_or_default(), width(row)))
        .collect())
}
