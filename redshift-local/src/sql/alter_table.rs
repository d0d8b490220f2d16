//! ALTER TABLE, as far as Redshift allows it (redshift.md 3.2).

use super::create_table::{self, CreateTable};
use super::cursor::{Cursor, TableName};
use super::name;
use super::refusal::Refusal;
use super::rewrite::Context;
use super::types::{self, Place};

/// What an ALTER TABLE does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Alteration {
    /// Text for PostgreSQL; it may stand in a block.
    Plain {
        /// The statement.
        sql: String,
    },
    /// Keys that are noted and not enforced.
    Keys {
        /// The columns.
        columns: Vec<String>,
    },
    /// `ALTER COLUMN c TYPE VARCHAR(n)`: not in a block.
    VarcharLength {
        /// The column, folded.
        column: String,
        /// The new length in bytes.
        bytes_max: u32,
    },
}

/// One ALTER TABLE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterTable {
    /// The table.
    pub table: TableName,
    /// What to do.
    pub alteration: Alteration,
    /// Names over 63 bytes.
    pub long_names: Vec<String>,
}

/// Parses what follows `ALTER TABLE`.
///
/// # Errors
/// What Redshift refuses and what is not emulated.
pub fn parse(cursor: &mut Cursor<'_>, context: Context) -> Result<AlterTable, Refusal> {
    if cursor.sees(&["if"]) || cursor.sees(&["only"]) {
        return Err(Refusal::syntax(cursor.near()));
    }
    let table = cursor.table()?;
    let mut alter = AlterTable {
        alteration: Alteration::Keys { columns: Vec::new() },
        long_names: Vec::new(),
        table,
    };
    alter.alteration = if cursor.take(&["add"]) {
        add(&mut alter, cursor, context)?
    } else if cursor.take(&["drop"]) {
        drop(&mut alter, cursor)?
    } else if cursor.take(&["rename"]) {
        rename(&mut alter, cursor)?
    } else if cursor.take(&["owner", "to"]) {
        let owner = cursor.identifier()?;
        plain(&alter, &format!("OWNER TO {}", name::delimited(&owner)))
    } else if cursor.take(&["alter"]) {
        alter_column(cursor)?
    } else if cursor.sees(&["append"]) || cursor.sees(&["set"]) {
        return Err(Refusal::not_emulated(format!(
            "ALTER TABLE {}",
            cursor.near().to_uppercase()
        )));
    } else {
        return Err(Refusal::syntax(cursor.near()));
    };
    // Redshift's grammar has one action per statement: a second one is a syntax error at the comma.
    cursor.expect_end()?;
    Ok(alter)
}

fn plain(alter: &AlterTable, action: &str) -> Alteration {
    Alteration::Plain {
        sql: format!("ALTER TABLE {} {action}", alter.table.stored()),
    }
}

fn store(alter: &mut AlterTable, name: &str) -> String {
    let stored = name::stored(name);
    if stored != name {
        alter.long_names.push(name.to_owned());
    }
    name::delimited(&stored)
}

fn add(alter: &mut AlterTable, cursor: &mut Cursor<'_>, context: Context) -> Result<Alteration, Refusal> {
    if ["constraint", "primary", "unique", "foreign"]
        .iter()
        .any(|word| cursor.sees(&[word]))
    {
        let mut create = CreateTable::default();
        create_table::table_constraint(&mut create, cursor)?;
        return Ok(Alteration::Keys {
            columns: create.notes.into_iter().map(|note| note.column).collect(),
        });
    }
    cursor.take(&["column"]);
    if cursor.sees(&["if"]) {
        return Err(Refusal::syntax(cursor.near()));
    }
    let column = cursor.identifier()?;
    let mut text = format!(
        "ADD COLUMN {} {}",
        store(alter, &column),
        types::parse(cursor, Place::Column)?
    );
    let (mut required, mut default) = (false, false);
    while !cursor.done() {
        if cursor.take(&["not", "null"]) {
            required = true;
            text.push_str(" NOT NULL");
        } else if cursor.take(&["default"]) {
            let (expression, long_names) = create_table::default_expression(cursor, context)?;
            alter.long_names.extend(long_names);
            default = !expression.eq_ignore_ascii_case("null");
            text.push_str(&format!(" DEFAULT {expression}"));
        } else if cursor.take(&["encode"]) {
            cursor.identifier()?;
        } else if cursor.sees(&["identity"]) || cursor.sees(&["generated"]) {
            return Err(Refusal::unsupported(
                "ALTER TABLE ADD COLUMN with IDENTITY is not supported",
            ));
        } else if !cursor.take(&["null"]) {
            return Err(Refusal::syntax(cursor.near()));
        }
    }
    if required && !default {
        return Err(Refusal::unsupported(
            "ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression",
        ));
    }
    Ok(plain(alter, &text))
}

fn drop(alter: &mut AlterTable, cursor: &mut Cursor<'_>) -> Result<Alteration, Refusal> {
    if cursor.sees(&["constraint"]) {
        return Err(Refusal::not_emulated("ALTER TABLE DROP CONSTRAINT"));
    }
    cursor.take(&["column"]);
    if cursor.sees(&["if"]) {
        return Err(Refusal::syntax(cursor.near()));
    }
    let column = cursor.identifier()?;
    let behaviour = if cursor.take(&["cascade"]) {
        " CASCADE"
    } else {
        cursor.take(&["restrict"]);
        ""
    };
    let column = store(alter, &column);
    Ok(plain(alter, &format!("DROP COLUMN {column}{behaviour}")))
}

fn rename(alter: &mut AlterTable, cursor: &mut Cursor<'_>) -> Result<Alteration, Refusal> {
    if cursor.take(&["to"]) {
        let to = cursor.identifier()?;
        let to = store(alter, &to);
        return Ok(plain(alter, &format!("RENAME TO {to}")));
    }
    cursor.take(&["column"]);
    let from = cursor.identifier()?;
    if !cursor.take(&["to"]) {
        return Err(Refusal::syntax(cursor.near()));
    }
    let to = cursor.identifier()?;
    let (from, to) = (store(alter, &from), store(alter, &to));
    Ok(plain(alter, &format!("RENAME COLUMN {from} TO {to}")))
}

fn alter_column(cursor: &mut Cursor<'_>) -> Result<Alteration, Refusal> {
    if ["distkey", "diststyle", "sortkey", "compound", "encode"]
        .iter()
        .any(|word| cursor.sees(&[word]))
    {
        return Err(Refusal::not_emulated(format!(
            "ALTER TABLE ALTER {}",
            cursor.near().to_uppercase()
        )));
    }
    cursor.take(&["column"]);
    let column = cursor.identifier()?;
    for refused in [["set", "not"], ["drop", "not"], ["set", "default"], ["drop", "default"]] {
        if cursor.sees(&refused) {
            let what = if refused[1] == "not" { "NOT NULL" } else { "DEFAULT" };
            return Err(Refusal::unsupported(format!(
                "ALTER COLUMN {} {what} is not supported",
                refused[0].to_uppercase()
            )));
        }
    }
    if cursor.sees(&["encode"]) {
        return Err(Refusal::not_emulated("ALTER TABLE ALTER COLUMN ENCODE"));
    }
    if !cursor.take(&["type"]) {
        return Err(Refusal::syntax(cursor.near()));
    }
    let mapped = types::parse(cursor, Place::Column)?;
    let bytes_max = mapped
        .strip_prefix("redshift_local.\"varchar\"(")
        .and_then(|rest| rest.trim_end_matches(')').parse().ok())
        .ok_or_else(|| {
            Refusal::unsupported(
                "ALTER TABLE ALTER COLUMN TYPE is only supported for columns of type character varying",
            )
        })?;
    Ok(Alteration::VarcharLength { column, bytes_max })
}

#[cfg(test)]
mod tests {
    use super::super::token::tokenize;
    use super::*;

    fn run(sql: &str) -> Result<Alteration, Refusal> {
        let tokens = tokenize(sql).unwrap();
        parse(&mut Cursor::new(sql, &tokens, false), Context::default()).map(|alter| alter.alteration)
    }

    #[test]
    fn allows_one_action() {
        assert_eq!(
            run("t ADD COLUMN \"C\" int ENCODE raw").unwrap(),
            Alteration::Plain {
                sql: "ALTER TABLE \"t\" ADD COLUMN \"c\" int4".to_owned()
            }
        );
        assert_eq!(
            run("t ALTER c TYPE VARCHAR(9)").unwrap(),
            Alteration::VarcharLength {
                column: "c".to_owned(),
                bytes_max: 9
            }
        );
        assert_eq!(
            run("t ADD PRIMARY KEY (a, b)").unwrap(),
            Alteration::Keys {
                columns: vec!["a".to_owned(), "b".to_owned()]
            }
        );
    }

    #[test]
    fn refuses() {
        for (sql, code) in [
            ("t ADD COLUMN a int, ADD COLUMN b int", "42601"),
            ("t ADD COLUMN a int NOT NULL", "0A000"),
            ("t ADD COLUMN IF NOT EXISTS a int", "42601"),
            ("t ALTER COLUMN a SET NOT NULL", "0A000"),
            ("t ALTER COLUMN a DROP NOT NULL", "0A000"),
            ("t ALTER COLUMN a SET DEFAULT 1", "0A000"),
            ("t ALTER COLUMN a TYPE bigint", "0A000"),
            ("t APPEND FROM s", "0A000"),
        ] {
            assert_eq!(run(sql).unwrap_err().code, code, "{sql}");
        }
    }
}
