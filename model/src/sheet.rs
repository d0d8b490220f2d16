//! A target and its table of records set aside, word for word: while a transaction runs they lie in SQLite, and every statement of the
//! loader's script that touches a row of them is SQLite's to run. Between transactions they are texts.

use std::cell::RefCell;

use common::claim::Claim;
use common::plan::META_COLUMNS;
use redshift_spolt::load::aside;
use redshift_spolt::load::evolve::Present;
use redshift_spolt::load::names::TableName;
use redshift_spolt::load::statements::STAGE;
use runtime::port::Answer;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use crate::records::{BadRecord, KEY, Row, TOPIC, VALUE, Value, number_of, time};
use crate::stage::SCHEMA;

/// Schema of what lies beside the target.
pub const BESIDE: &str = "spolt";

/// One line of a table: its cells as texts.
pub type Line = Vec<Option<String>>;

/// A table between transactions; one that does not exist has no columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Table {
    columns: Vec<Column>,
    /// Sorted.
    lines: Vec<Line>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Column {
    name: String,
    declared: String,
    nullable: bool,
}

impl Table {
    /// The columns as the catalog shows them.
    #[must_use]
    pub fn catalog(&self) -> Vec<Present> {
        let present = |column: &Column| {
            let (ty, width) = column.declared.split_once('(').unwrap_or((&column.declared, ""));
            Present {
                name: column.name.clone(),
                ty: ty.to_lowercase(),
                width: width.trim_end_matches(')').parse().ok(),
                precision: None,
                scale: None,
                nullable: column.nullable,
            }
        };
        self.columns.iter().map(present).collect()
    }

    /// Its lines.
    pub fn lines(&self) -> impl Iterator<Item = Cells<'_>> {
        self.lines.iter().map(|line| Cells { table: self, line })
    }
}

/// A line whose cells are asked for by name.
#[derive(Debug, Clone, Copy)]
pub struct Cells<'a> {
    table: &'a Table,
    line: &'a Line,
}

impl<'a> Cells<'a> {
    /// The cell of a column; `None` for NULL and where there is no such column.
    #[must_use]
    pub fn text(self, name: &str) -> Option<&'a str> {
        let index = self.table.columns.iter().position(|column| column.name == name)?;
        self.line[index].as_deref()
    }

    /// The same as a number.
    #[must_use]
    pub fn number(self, name: &str) -> Option<i64> {
        self.text(name)?.parse().ok()
    }
}

/// A target and what was set aside of its topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Sheet {
    /// The target.
    pub target: Table,
    /// Its records set aside.
    pub aside: Table,
}

/// Name of the target.
#[must_use]
pub fn target() -> TableName {
    TableName {
        schema: SCHEMA.to_owned(),
        name: TOPIC.to_owned(),
    }
}

fn set_aside() -> TableName {
    target().set_aside(BESIDE)
}

thread_local! {
    /// Connections that no transaction uses.
    static IDLE: RefCell<Vec<Connection>> = const { RefCell::new(Vec::new()) };
}

/// A transaction. What it did stays only in what [`Open::content`] says.
pub struct Open {
    /// `None` when it is given back.
    connection: Option<Connection>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && connection.execute_batch("ROLLBACK").is_ok()
        {
            IDLE.with_borrow_mut(|idle| idle.push(connection));
        }
    }
}

impl Open {
    /// Begins one over this content.
    ///
    /// # Panics
    /// When SQLite cannot hold it: the model is to be mended then, and says nothing.
    #[must_use]
    pub fn begin(sheet: &Sheet) -> Open {
        let connection = IDLE.with_borrow_mut(Vec::pop).unwrap_or_else(|| {
            let connection = Connection::open_in_memory().expect("invariant: SQLite opens memory");
            let attach = format!("ATTACH ':memory:' AS \"{SCHEMA}\"; ATTACH ':memory:' AS \"{BESIDE}\";");
            connection
                .execute_batch(&attach)
                .expect("invariant: SQLite attaches memory");
            connection
        });
        connection
            .execute_batch("BEGIN")
            .expect("invariant: a connection is idle");
        let open = Open {
            connection: Some(connection),
        };
        open.fill(&target(), &sheet.target);
        open.fill(&set_aside(), &sheet.aside);
        open
    }

    fn connection(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("invariant: the connection is there until the drop")
    }

    fn fill(&self, name: &TableName, table: &Table) {
        if table.columns.is_empty() {
            return;
        }
        let column = |column: &Column| {
            let null = if column.nullable { "" } else { " NOT NULL" };
            format!("\"{}\" {}{null}", column.name, column.declared)
        };
        let columns: Vec<String> = table.columns.iter().map(column).collect();
        let _ = self.run(&format!("CREATE TABLE {} ({})", name.sql(), columns.join(", ")));
        for line in &table.lines {
            let names = table.columns.iter().map(|column| column.name.as_str()).collect();
            self.put(&name.sql(), names, line);
        }
    }

    /// Adds a line to a table.
    fn put(&self, table: &str, names: Vec<&str>, line: &Line) {
        let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let marks = vec!["?"; names.len()].join(", ");
        let sql = format!("INSERT INTO {table} ({}) VALUES ({marks})", names.join(", "));
        let inserted = self
            .connection()
            .prepare(&sql)
            .and_then(|mut insert| insert.execute(params_from_iter(line)));
        inserted.unwrap_or_else(|error| panic!("SQLite does not take a line of the model: {error}: {sql}"));
    }

    /// What the transaction has made of it.
    #[must_use]
    pub fn content(&self) -> Sheet {
        Sheet {
            target: self.table(&target()),
            aside: self.table(&set_aside()),
        }
    }

    fn table(&self, name: &TableName) -> Table {
        let sql = format!(
            "SELECT name, type, CASE \"notnull\" WHEN 0 THEN 'YES' ELSE 'NO' END FROM pragma_table_info('{}', '{}')",
            name.name, name.schema
        );
        let column = |row: Line| {
            let mut cells = row.into_iter().map(Option::unwrap_or_default);
            let mut cell = || cells.next().unwrap_or_default();
            Column {
                name: cell(),
                declared: cell(),
                nullable: cell() == "YES",
            }
        };
        let columns: Vec<Column> = self.run(&sql).rows.into_iter().map(column).collect();
        if columns.is_empty() {
            return Table::default();
        }
        let mut lines = self.run(&format!("SELECT * FROM {}", name.sql())).rows;
        lines.sort_unstable();
        Table { columns, lines }
    }

    /// The columns that a question for the catalog is about.
    #[must_use]
    pub fn catalog(&self, sql: &str) -> Vec<Present> {
        let mut names = sql.split('\'').skip(1).step_by(2).map(str::to_owned);
        let (Some(schema), Some(name)) = (names.next(), names.next()) else {
            return Vec::new();
        };
        self.table(&TableName { schema, name }).catalog()
    }

    /// Runs a statement of the script.
    ///
    /// # Panics
    /// When SQLite does not understand it.
    #[must_use]
    pub fn run(&self, sql: &str) -> Answer {
        let sql = translated(sql);
        self.ask(&sql)
            .unwrap_or_else(|error| panic!("SQLite does not understand a statement of the script: {error}: {sql}"))
    }

    fn ask(&self, sql: &str) -> rusqlite::Result<Answer> {
        let mut statement = self.connection().prepare(sql)?;
        let columns = statement.column_count();
        if columns == 0 {
            let affected = statement.execute([])? as u64;
            return Ok(Answer {
                rows: Vec::new(),
                affected,
            });
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
            let cells = (0..columns).map(|index| Ok(text(row.get_ref(index)?)));
            rows.push(cells.collect::<rusqlite::Result<Line>>()?);
        }
        let affected = rows.len() as u64;
        Ok(Answer { rows, affected })
    }

    /// Stages rows, as COPY does.
    pub fn stage(&self, rows: &[Row]) {
        let names: Vec<&str> = META_COLUMNS
            .iter()
            .map(|column| column.name)
            .chain([KEY, VALUE])
            .collect();
        for row in rows {
            let op = if row.delete { "d" } else { "u" };
            let marks = if row.value == Value::LeftOut { VALUE } else { "" };
            let line: Vec<String> = vec![
                op.to_owned(),
                row.life.to_string(),
                row.partition.to_string(),
                row.offset.to_string(),
                row.seq.to_string(),
                time(row.life, row.offset),
                marks.to_owned(),
                row.key.to_string(),
            ];
            let mut line: Line = line.into_iter().map(Some).collect();
            line.push(number_of(row).map(|number| number.to_string()));
            self.put(&format!("\"{STAGE}\""), names.clone(), &line);
        }
    }

    /// Stages records set aside, as COPY does with the lines of their object.
    pub fn stage_aside(&self, claim: &Claim, records: &[BadRecord]) {
        for record in records {
            let mut names = vec![
                "_kafka_incarnation",
                "_kafka_partition",
                "_kafka_offset",
                "_kafka_part",
                "_kafka_status",
            ];
            let mut line: Line = vec![
                Some(claim.incarnation.to_string()),
                Some(claim.partition.to_string()),
                Some(record.offset.to_string()),
                Some("0".to_owned()),
                Some("open".to_owned()),
            ];
            if claim.plan.is_some() {
                names.push(KEY);
                line.push(record.key.map(|key| key.to_string()));
            }
            self.put(&format!("\"{}\"", aside::STAGE), names, &line);
        }
    }
}

/// What SQLite does not know of the dialect: DELETE … USING, and two functions by another name.
fn translated(sql: &str) -> String {
    let (delete, rest) = sql.split_once("\nUSING ").unwrap_or((sql, ""));
    let sql = match rest.split_once("\nWHERE ") {
        Some((using, condition)) => format!("{delete} WHERE EXISTS (SELECT 1 FROM {using} WHERE {condition})"),
        None => sql.to_owned(),
    };
    sql.replace("STRPOS(", "INSTR(").replace("BTRIM(", "TRIM(")
}
