//! CREATE TABLE: Redshift's attributes are taken out, types mapped, keys kept as notes only (redshift.md 3.1).

use super::cursor::{Cursor, TableName, split_commas};
use super::name;
use super::refusal::Refusal;
use super::rewrite::{Context, rewrite};
use super::token::{Kind, Token};
use super::types::{self, Place};

/// What Redshift would know of a column and PostgreSQL is not told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnNote {
    /// The column, folded.
    pub column: String,
    /// Part of a PRIMARY KEY, UNIQUE or FOREIGN KEY: none is enforced, but the column's type can no longer be altered.
    pub is_key: bool,
    /// Declared encoding, lower case.
    pub encoding: String,
    /// DISTKEY.
    pub distkey: bool,
    /// Position in the sort key from 1; 0 when not part of it.
    pub sortkey: usize,
}

/// One CREATE TABLE, ready to be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateTable {
    /// Text for PostgreSQL.
    pub sql: String,
    /// The table's delimited name for PostgreSQL.
    pub stored: String,
    /// Notes to keep in `redshift_local.column_note`.
    pub notes: Vec<ColumnNote>,
    /// Names over 63 bytes.
    pub long_names: Vec<String>,
    /// CREATE TABLE ... AS: columns of type text have to become VARCHAR afterwards.
    pub is_select: bool,
}

impl CreateTable {
    fn note(&mut self, column: &str) -> &mut ColumnNote {
        let at = self
            .notes
            .iter()
            .position(|note| note.column == column)
            .unwrap_or_else(|| {
                self.notes.push(ColumnNote {
                    column: column.to_owned(),
                    ..ColumnNote::default()
                });
                self.notes.len() - 1
            });
        &mut self.notes[at]
    }

    fn store(&mut self, name: &str) -> String {
        let stored = name::stored(name);
        if stored != name {
            self.long_names.push(name.to_owned());
        }
        name::delimited(&stored)
    }
}

/// Parses what follows `CREATE`.
///
/// # Errors
/// What Redshift refuses and what is not emulated.
pub fn parse(cursor: &mut Cursor<'_>, context: Context) -> Result<CreateTable, Refusal> {
    let mut create = CreateTable {
        sql: "CREATE ".to_owned(),
        ..CreateTable::default()
    };
    cursor.take(&["local"]);
    if cursor.take(&["temp"]) || cursor.take(&["temporary"]) {
        create.sql.push_str("TEMP ");
    }
    if !cursor.take(&["table"]) {
        return Err(Refusal::syntax(cursor.near()));
    }
    create.sql.push_str("TABLE ");
    if cursor.take(&["if", "not", "exists"]) {
        create.sql.push_str("IF NOT EXISTS ");
    }
    let table = cursor.table()?;
    table_name(&mut create, &table);
    if cursor.peek(0).is_some_and(|token| token.is_sign(cursor.sql, '(')) {
        let body = cursor.bracketed()?;
        elements(&mut create, cursor, body, context)?;
    }
    attributes(&mut create, cursor)?;
    if cursor.take(&["as"]) {
        let query = rewrite(cursor.sql, cursor.rest(), context)?;
        create.sql.push_str(" AS ");
        create.sql.push_str(&query.sql);
        create.long_names.extend(query.long_names);
        create.is_select = true;
        return Ok(create);
    }
    cursor.expect_end()?;
    if create.sql.ends_with(')') {
        Ok(create)
    } else {
        Err(Refusal::syntax(""))
    }
}

fn table_name(create: &mut CreateTable, table: &TableName) {
    for part in table.schema.iter().chain([&table.name]) {
        create.store(part);
    }
    create.stored = table.stored();
    let stored = create.stored.clone();
    create.sql.push_str(&stored);
}

/// Column definitions, table constraints, LIKE, or the bare column names of CREATE TABLE ... AS.
fn elements(create: &mut CreateTable, cursor: &Cursor<'_>, body: &[Token], context: Context) -> Result<(), Refusal> {
    let mut parts = Vec::new();
    for element in split_commas(cursor.sql, body) {
        let mut inner = cursor.over(element);
        if inner.sees(&["like"]) {
            parts.push(like(create, &mut inner)?);
        } else if inner.sees(&["constraint"])
            || inner.sees(&["primary", "key"])
            || inner.sees(&["foreign", "key"])
            || (inner.sees(&["unique"]) && element.len() > 1)
        {
            table_constraint(create, &mut inner)?;
        } else if inner.sees(&["check"]) || inner.sees(&["exclude"]) {
            return Err(Refusal::syntax(inner.near()));
        } else {
            parts.push(column(create, &mut inner, context)?);
        }
    }
    create.sql.push_str(&format!(" ({})", parts.join(", ")));
    Ok(())
}

/// `LIKE t [INCLUDING DEFAULTS]` copies names, types and NOT NULL, as PostgreSQL's does.
fn like(create: &mut CreateTable, inner: &mut Cursor<'_>) -> Result<String, Refusal> {
    inner.skip();
    let table = inner.table()?;
    for part in table.schema.iter().chain([&table.name]) {
        create.store(part);
    }
    let mut text = format!("LIKE {}", table.stored());
    while !inner.done() {
        if inner.take(&["including", "defaults"]) {
            text.push_str(" INCLUDING DEFAULTS");
        } else if !inner.take(&["excluding", "defaults"]) {
            return Err(Refusal::syntax(inner.near()));
        }
    }
    Ok(text)
}

fn column(create: &mut CreateTable, inner: &mut Cursor<'_>, context: Context) -> Result<String, Refusal> {
    let column = inner.identifier()?;
    let mut text = create.store(&column);
    if inner.done() {
        return Ok(text);
    }
    text.push(' ');
    text.push_str(&types::parse(inner, Place::Column)?);
    while !inner.done() {
        if let Some(more) = column_attribute(create, inner, &column, context)? {
            text.push(' ');
            text.push_str(&more);
        }
    }
    Ok(text)
}

/// One attribute of a column; nothing when PostgreSQL is not to be told.
fn column_attribute(
    create: &mut CreateTable,
    inner: &mut Cursor<'_>,
    column: &str,
    context: Context,
) -> Result<Option<String>, Refusal> {
    if inner.take(&["not", "null"]) {
        return Ok(Some("NOT NULL".to_owned()));
    }
    if inner.take(&["null"]) {
        return Ok(Some("NULL".to_owned()));
    }
    if inner.take(&["default"]) {
        let (sql, long_names) = default_expression(inner, context)?;
        create.long_names.extend(long_names);
        return Ok(Some(format!("DEFAULT {sql}")));
    }
    if inner.take(&["encode"]) {
        create.note(column).encoding = inner.identifier()?;
    } else if inner.take(&["distkey"]) {
        create.note(column).distkey = true;
    } else if inner.take(&["sortkey"]) {
        create.note(column).sortkey = 1;
    } else if inner.take(&["primary", "key"]) {
        create.note(column).is_key = true;
        return Ok(Some("NOT NULL".to_owned()));
    } else if inner.take(&["unique"]) {
        create.note(column).is_key = true;
    } else if inner.take(&["references"]) {
        create.note(column).is_key = true;
        inner.table()?;
        if inner.peek(0).is_some_and(|token| token.is_sign(inner.sql, '(')) {
            inner.bracketed()?;
        }
    } else if inner.take(&["identity"]) {
        return identity(inner, "ALWAYS").map(Some);
    } else if inner.take(&["generated", "by", "default", "as", "identity"]) {
        return identity(inner, "BY DEFAULT").map(Some);
    } else if inner.take(&["collate"]) {
        return Err(Refusal::not_emulated("COLLATE"));
    } else {
        return Err(Refusal::syntax(inner.near()));
    }
    Ok(None)
}

fn identity(inner: &mut Cursor<'_>, kind: &str) -> Result<String, Refusal> {
    inner.expect_sign('(')?;
    let seed = inner.number()?;
    inner.expect_sign(',')?;
    let step = inner.number()?;
    inner.expect_sign(')')?;
    Ok(format!(
        "GENERATED {kind} AS IDENTITY (START WITH {seed} INCREMENT BY {step})"
    ))
}

/// The expression ends where the next attribute's keyword stands outside of brackets.
pub(super) fn default_expression(inner: &mut Cursor<'_>, context: Context) -> Result<(String, Vec<String>), Refusal> {
    const ENDS: &[&str] = &[
        "not",
        "encode",
        "distkey",
        "sortkey",
        "primary",
        "unique",
        "references",
        "identity",
        "generated",
        "collate",
    ];
    let tokens = inner.rest();
    let mut depth = 0;
    let mut length = 0;
    for token in tokens {
        if token.is_sign(inner.sql, '(') {
            depth += 1;
        } else if token.is_sign(inner.sql, ')') {
            depth -= 1;
        }
        // A bare NULL can only be the attribute once the expression has begun.
        let ends = token.kind == Kind::Word
            && (ENDS.iter().any(|word| token.is(inner.sql, word)) || (length > 0 && token.is(inner.sql, "null")));
        if depth == 0 && ends {
            break;
        }
        length += 1;
    }
    let expression = rewrite(inner.sql, &tokens[..length], context)?;
    for _ in 0..length {
        inner.skip();
    }
    if expression.sql.is_empty() {
        Err(Refusal::syntax(inner.near()))
    } else {
        Ok((expression.sql, expression.long_names))
    }
}

/// PRIMARY KEY, UNIQUE and FOREIGN KEY: noted, never enforced.
pub(super) fn table_constraint(create: &mut CreateTable, inner: &mut Cursor<'_>) -> Result<(), Refusal> {
    if inner.take(&["constraint"]) {
        inner.identifier()?;
    }
    let is_foreign = inner.take(&["foreign", "key"]);
    if !is_foreign && !inner.take(&["primary", "key"]) && !inner.take(&["unique"]) {
        return Err(Refusal::syntax(inner.near()));
    }
    for column in columns(inner)? {
        create.note(&column).is_key = true;
    }
    if is_foreign {
        if !inner.take(&["references"]) {
            return Err(Refusal::syntax(inner.near()));
        }
        inner.table()?;
        if inner.peek(0).is_some_and(|token| token.is_sign(inner.sql, '(')) {
            inner.bracketed()?;
        }
    }
    inner.expect_end()
}

/// A bracketed list of column names.
///
/// # Errors
/// A syntax error where a name or comma is missing.
pub fn columns(cursor: &mut Cursor<'_>) -> Result<Vec<String>, Refusal> {
    let body = cursor.bracketed()?;
    split_commas(cursor.sql, body)
        .into_iter()
        .map(|part| {
            let mut inner = cursor.over(part);
            let column = inner.identifier()?;
            inner.expect_end()?;
            Ok(column)
        })
        .collect()
}

/// BACKUP, DISTSTYLE, DISTKEY, SORTKEY and ENCODE AUTO behind the columns.
fn attributes(create: &mut CreateTable, cursor: &mut Cursor<'_>) -> Result<(), Refusal> {
    loop {
        if cursor.take(&["backup"]) {
            if !cursor.take(&["yes"]) && !cursor.take(&["no"]) {
                return Err(Refusal::syntax(cursor.near()));
            }
        } else if cursor.take(&["diststyle"]) {
            if !["auto", "even", "key", "all"].iter().any(|style| cursor.take(&[style])) {
                return Err(Refusal::syntax(cursor.near()));
            }
        } else if cursor.take(&["distkey"]) {
            for column in columns(cursor)? {
                create.note(&column).distkey = true;
            }
        } else if cursor.sees(&["sortkey"]) || cursor.sees(&["compound"]) || cursor.sees(&["interleaved"]) {
            let _ = cursor.take(&["compound"]) || cursor.take(&["interleaved"]);
            if !cursor.take(&["sortkey"]) {
                return Err(Refusal::syntax(cursor.near()));
            }
            if !cursor.take(&["auto"]) {
                for (position, column) in columns(cursor)?.iter().enumerate() {
                    create.note(column).sortkey = position + 1;
                }
            }
        } else if !cursor.take(&["encode", "auto"]) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::tokenize;
    use super::*;

    fn run(sql: &str) -> Result<CreateTable, Refusal> {
        let tokens = tokenize(sql).unwrap();
        parse(&mut Cursor::new(sql, &tokens, false), Context::default())
    }

    #[test]
    fn takes_attributes_out_and_notes_them() {
        let create = run("TABLE \"S\".t (id BIGINT IDENTITY(1,1) ENCODE az64, k VARCHAR(3) NOT NULL DEFAULT 'x'::varchar(3) DISTKEY, d DECIMAL, PRIMARY KEY (id)) \
                          BACKUP NO DISTSTYLE KEY COMPOUND SORTKEY (k, d)")
        .unwrap();
        assert_eq!(
            create.sql,
            "CREATE TABLE \"s\".\"t\" (\"id\" int8 GENERATED ALWAYS AS IDENTITY (START WITH 1 INCREMENT BY 1), \
             \"k\" redshift_local.\"varchar\"(3) NOT NULL DEFAULT 'x'::redshift_local.\"varchar\"(3), \"d\" numeric(18,0))"
        );
        let notes: Vec<_> = create
            .notes
            .iter()
            .map(|n| (n.column.as_str(), n.is_key, n.encoding.as_str(), n.distkey, n.sortkey))
            .collect();
        assert_eq!(
            notes,
            [
                ("id", true, "az64", false, 0),
                ("k", false, "", true, 1),
                ("d", false, "", false, 2)
            ]
        );
    }

    #[test]
    fn like_and_select() {
        assert_eq!(
            run("TEMP TABLE x (LIKE s.t INCLUDING DEFAULTS)").unwrap().sql,
            "CREATE TEMP TABLE \"x\" (LIKE \"s\".\"t\" INCLUDING DEFAULTS)"
        );
        let select = run("TEMP TABLE x DISTSTYLE ALL AS SELECT a::text FROM t").unwrap();
        assert!(select.is_select);
        assert_eq!(
            select.sql,
            "CREATE TEMP TABLE \"x\" AS SELECT a::redshift_local.\"varchar\"(1000256) FROM t"
        );
    }

    #[test]
    fn refuses() {
        for sql in [
            "TABLE t (a int CHECK (a > 1))",
            "TABLE t (a uuid)",
            "TABLE t",
            "TABLE t (a int) WITH (fillfactor = 3)",
            "TABLE t (LIKE x INCLUDING ALL)",
            "TABLE #t (a int)",
        ] {
            assert!(run(sql).is_err(), "{sql}");
        }
    }
}
