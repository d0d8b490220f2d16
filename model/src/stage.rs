//! What the loader's own statements about left-out values (rule 25) do to stage and target, word for word on SQLite.

use std::cell::RefCell;

use common::ids::Offset;
use redshift_spolt::load::statements::STAGE;
use runtime::port::Answer;
use rusqlite::{Connection, params};

use crate::records::{KEY, Row, TOPIC, VALUE, Value, number_of};

/// Schema of the target.
pub const SCHEMA: &str = "s";

const TABLES: &str = r#"ATTACH ':memory:' AS "{schema}";
CREATE TABLE "{schema}"."{table}" ("{key}" BIGINT, "{value}" BIGINT);
CREATE TEMP TABLE "{stage}" ("n" INTEGER, "_kafka_op" VARCHAR(1), "_kafka_partition" INTEGER, "_kafka_offset" BIGINT,
    "_kafka_seq" SMALLINT, "_kafka_unchanged" VARCHAR(65535), "{key}" BIGINT, "{value}" BIGINT);"#;

thread_local! {
    static TABLES_OF_THREAD: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

/// Runs one statement over these rows: the rows of the stage afterwards, and the answer.
///
/// # Panics
/// When SQLite does not understand the statement: the model is to be mended then, and says nothing.
pub fn run(sql: &str, stage: &mut [Row], target: &[Row]) -> Answer {
    TABLES_OF_THREAD.with_borrow_mut(|kept| {
        let connection = kept.get_or_insert_with(|| tables().expect("invariant: SQLite makes the model's tables"));
        run_on(connection, sql, stage, target)
            .unwrap_or_else(|error| panic!("SQLite does not understand a statement of the script: {error}: {sql}"))
    })
}

fn named(text: &str) -> String {
    text.replace("{schema}", SCHEMA)
        .replace("{table}", TOPIC)
        .replace("{stage}", STAGE)
        .replace("{key}", KEY)
        .replace("{value}", VALUE)
}

fn tables() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(&named(TABLES))?;
    Ok(connection)
}

fn run_on(connection: &Connection, sql: &str, stage: &mut [Row], target: &[Row]) -> rusqlite::Result<Answer> {
    // Without a commit nothing of it stays.
    let transaction = connection.unchecked_transaction()?;
    let insert = named(r#"INSERT INTO "{stage}" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"#);
    let mut insert = transaction.prepare(&insert)?;
    for (number, row) in (0i64..).zip(stage.iter()) {
        let op = if row.delete { "d" } else { "u" };
        let marks = if row.value == Value::LeftOut { VALUE } else { "" };
        let place = (row.partition, row.offset.0, row.seq);
        insert.execute(params![
            number,
            op,
            place.0,
            place.1,
            place.2,
            marks,
            row.key,
            number_of(row)
        ])?;
    }
    let insert = named(r#"INSERT INTO "{schema}"."{table}" VALUES (?1, ?2)"#);
    let mut insert = transaction.prepare(&insert)?;
    for row in target {
        insert.execute(params![row.key, number_of(row)])?;
    }
    // The two functions of the dialect that SQLite knows by other names.
    let sql = sql.replace("STRPOS(", "INSTR(").replace("BTRIM(", "TRIM(");
    let mut statement = transaction.prepare(&sql)?;
    let mut answer = Answer::default();
    if statement.column_count() == 0 {
        answer.affected = statement.execute([])? as u64;
    } else {
        let columns = statement.column_count();
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let fields = (0..columns).map(|index| row.get::<_, Option<i64>>(index));
            let fields: Vec<Option<i64>> = fields.collect::<rusqlite::Result<_>>()?;
            answer.rows.push(
                fields
                    .iter()
                    .map(|field| field.map(|number| number.to_string()))
                    .collect(),
            );
        }
        answer.affected = answer.rows.len() as u64;
    }
    let read = named(r#"SELECT "{value}", "_kafka_unchanged" FROM "{stage}" WHERE "n" = ?1"#);
    let mut read = transaction.prepare(&read)?;
    for (number, row) in (0i64..).zip(stage.iter_mut()) {
        let (value, marks): (Option<i64>, String) =
            read.query_row([number], |found| Ok((found.get(0)?, found.get(1)?)))?;
        row.value = if marks.is_empty() {
            value_of(row, value)
        } else {
            Value::LeftOut
        };
    }
    Ok(answer)
}

fn value_of(row: &Row, number: Option<i64>) -> Value {
    match number {
        _ if row.delete => Value::Own,
        None => Value::Null,
        Some(number)
            if Some(number)
                == number_of(&Row {
                    value: Value::Own,
                    ..*row
                }) =>
        {
            Value::Own
        }
        Some(number) => Value::Of(Offset(number / 10), u16::try_from(number % 10).unwrap_or(u16::MAX)),
    }
}
