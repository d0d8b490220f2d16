//! A warehouse that knows the few statements of a load: SQLite, with schemas `public` and `spolt`.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use redshift_spolt::load::evolve::Present;
use redshift_spolt::load::names::TableName;
use redshift_spolt::load::state::{State, StateTables};
use runtime::port::Answer;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

pub struct Sqlite {
    connection: Connection,
    table: TableName,
}

impl Sqlite {
    /// Holds the empty state tables of `public.orders`.
    pub fn new() -> Sqlite {
        let connection = Connection::open_in_memory().unwrap();
        for schema in ["public", "spolt"] {
            connection
                .execute(&format!("ATTACH ':memory:' AS {schema}"), [])
                .unwrap();
        }
        let table = orders();
        for sql in StateTables::of(&table, "spolt").create() {
            connection.execute(&sql, []).unwrap();
        }
        Sqlite { connection, table }
    }

    /// DELETE … USING, and two functions by another name, are all that SQLite does not know.
    pub fn run(&self, sql: &str) -> Answer {
        let (delete, rest) = sql.split_once("\nUSING ").unwrap_or((sql, ""));
        let sql = match rest.split_once("\nWHERE ") {
            Some((using, condition)) => format!("{delete} WHERE EXISTS (SELECT 1 FROM {using} WHERE {condition})"),
            None => sql.to_owned(),
        };
        let sql = sql.replace("STRPOS(", "INSTR(").replace("BTRIM(", "TRIM(");
        let prepared = self.connection.prepare(&sql);
        let mut statement = prepared.unwrap_or_else(|error| panic!("{error}: {sql}"));
        let columns = statement.column_count();
        if columns == 0 {
            let affected = statement.execute([]).unwrap() as u64;
            return Answer { rows: vec![], affected };
        }
        let text = |value: ValueRef<'_>| match value {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(number.to_string()),
            ValueRef::Text(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
            other => panic!("{other:?}"),
        };
        let mut found = statement.query([]).unwrap();
        let mut rows = Vec::new();
        while let Some(row) = found.next().unwrap() {
            rows.push((0..columns).map(|index| text(row.get_ref(index).unwrap())).collect());
        }
        let affected = rows.len() as u64;
        Answer { rows, affected }
    }

    pub fn state(&self) -> State {
        State::parse(&self.run(&StateTables::of(&self.table, "spolt").read())).unwrap()
    }

    pub fn catalog(&self, schema: &str, table: &str) -> Vec<Present> {
        let sql = format!("SELECT name, type, \"notnull\" FROM {schema}.pragma_table_info('{table}', '{schema}')");
        let rows = self.run(&sql).rows;
        rows.iter()
            .map(|row| {
                let declared = row[1].clone().unwrap();
                let (ty, width) = declared.split_once('(').unwrap_or((&declared, ""));
                Present {
                    name: row[0].clone().unwrap(),
                    ty: ty.to_lowercase(),
                    width: width.trim_end_matches(')').parse().ok(),
                    precision: None,
                    scale: None,
                    nullable: row[2].as_deref() == Some("0"),
                }
            })
            .collect()
    }
}

pub fn orders() -> TableName {
    TableName {
        schema: "public".into(),
        name: "orders".into(),
    }
}
