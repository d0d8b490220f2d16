//! What the tables of a source are made of.

use super::kind::Kind;

/// Schema of all tables, at the source and at the target.
pub const SCHEMA: &str = "shop";

/// Name of the server in the topics.
pub const SERVER: &str = "src";

/// What identifies a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The column `id`.
    Id,
    /// The columns `region` and `n`.
    RegionAndNumber,
    /// Nothing: the target is a changelog.
    None,
}

/// Regions of keys with two columns.
pub const REGIONS: [&str; 5] = ["eu", "us east", "ÅØ", "", "a,\"b\""];

/// What the target keeps of a table with a key (docs/operations.md, "What a table keeps").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The last row of each key.
    Upsert,
    /// That, and the rows that were deleted.
    SoftDelete,
    /// Every row that a key had, and when.
    History,
    /// Every change.
    Append,
}

impl Mode {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mode::Upsert => "upsert",
            Mode::SoftDelete => "soft_delete",
            Mode::History => "history",
            Mode::Append => "append",
        }
    }
}

/// A column that is no part of the key.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type as the source has it, with what follows it in DDL.
    pub ddl: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it holds values that no column of the target can.
    pub unfit: bool,
}

impl Column {
    /// Whether NULL is refused.
    #[must_use]
    pub fn required(&self) -> bool {
        self.ddl.contains("NOT NULL")
    }
}

/// A table of the source.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What identifies a row.
    pub key: Key,
    /// What the target keeps of it; a table without a key is a changelog whatever this says.
    pub mode: Mode,
    /// Its other columns as they are now.
    pub columns: Vec<Column>,
    /// Partitions of its topic; a keyed table that is truncated has one (protocol rule 26).
    pub partitions: u16,
    /// Whether it is truncated now and then.
    pub truncated: bool,
    /// Whether its log has the whole row as it was.
    pub full: bool,
}

/// Name of the table of every type.
pub const EVERY_TYPE: &str = "every_type";
/// Name of the table whose shape changes.
pub const EVOLVING: &str = "evolving";
/// Name of the table without a key.
pub const LOG: &str = "log";
/// Name of the table with values that its target cannot hold, whose records are set aside.
pub const UNFIT: &str = "unfit";

/// Number of the writer of a row, in tables whose changes are told: it makes every change one, and finds rows again.
pub const TAG: &str = "n";

impl Table {
    /// A table of one partition in mode upsert.
    #[must_use]
    pub fn new(name: &'static str, key: Key, columns: &[Column]) -> Self {
        Table {
            name,
            key,
            mode: Mode::Upsert,
            columns: columns.to_vec(),
            partitions: 1,
            truncated: false,
            full: false,
        }
    }

    /// A table for each mode; all are truncated now and then.
    #[must_use]
    pub fn of_every_mode(columns: &[Column]) -> Vec<Self> {
        let of = |name, mode| Table {
            mode,
            truncated: true,
            ..Table::new(name, Key::Id, columns)
        };
        vec![
            of("upserted", Mode::Upsert),
            of("soft_deleted", Mode::SoftDelete),
            of("past", Mode::History),
            of("appended", Mode::Append),
        ]
    }

    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("{SERVER}.{SCHEMA}.{}", self.name)
    }

    /// Whether every change of it is remembered, since the source itself forgets what the target keeps.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.key == Key::None || self.mode != Mode::Upsert
    }

    /// Names of the key's columns.
    #[must_use]
    pub fn key_columns(&self) -> &'static [&'static str] {
        match self.key {
            Key::Id => &["id"],
            Key::RegionAndNumber => &["region", "n"],
            Key::None => &[],
        }
    }

    /// The columns as a query of the source names them so that nothing of a value is lost, those of the key first.
    #[must_use]
    pub fn shown(&self) -> String {
        let key = self.key_columns().iter().map(|name| (*name).to_owned());
        let others = self.columns.iter().map(|column| column.kind.shown(column.name));
        key.chain(others).collect::<Vec<_>>().join(", ")
    }

    /// `CREATE TABLE`.
    #[must_use]
    pub fn ddl(&self) -> String {
        let (columns, key) = match self.key {
            Key::Id => ("id bigint, ", ", PRIMARY KEY (id)"),
            Key::RegionAndNumber => ("region varchar(12), n integer, ", ", PRIMARY KEY (region, n)"),
            Key::None => ("", ""),
        };
        let others: Vec<String> = self
            .columns
            .iter()
            .map(|column| format!("{} {}", column.name, column.ddl))
            .collect();
        format!(
            "CREATE TABLE {SCHEMA}.{} ({columns}{}{key})",
            self.name,
            others.join(", ")
        )
    }
}

/// A change of the shape of [`EVOLVING`].
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// What follows `ALTER TABLE`.
    pub ddl: &'static str,
    /// The column that is not there any more.
    pub goes: Option<&'static str>,
    /// The column that is there now, or is another now.
    pub comes: Option<Column>,
    /// Rows that are not written since differ from the source in the column that comes.
    pub leaves_rows: Option<Leaves>,
}

impl Change {
    /// A column that comes, or is another now.
    #[must_use]
    pub const fn of(ddl: &'static str, comes: Column) -> Change {
        Change {
            ddl,
            goes: None,
            comes: Some(comes),
            leaves_rows: None,
        }
    }
}

/// What rows have in a new column that are not written since it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// NULL.
    Null,
    /// 1970, since the default is no constant.
    Epoch,
}
