//! The tables of the source: one of every type, one with a key of two columns, two with values outside of the row, one whose shape
//! changes, one without a key, and one with values that no target can hold.

use super::kind::{Bound, Item, Kind};

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

/// A column that is no part of the key.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type as PostgreSQL has it, with what follows it in DDL.
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

const fn column(name: &'static str, ddl: &'static str, kind: Kind) -> Column {
    Column {
        name,
        ddl,
        kind,
        unfit: false,
    }
}

const fn unfit(name: &'static str, ddl: &'static str, kind: Kind) -> Column {
    Column {
        name,
        ddl,
        kind,
        unfit: true,
    }
}

/// A table of the source.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What identifies a row.
    pub key: Key,
    /// Its other columns as they are now.
    pub columns: Vec<Column>,
    /// Partitions of its topic; a keyed table that is truncated has one (protocol rule 26).
    pub partitions: u16,
    /// Whether it is truncated now and then.
    pub truncated: bool,
    /// Whether its log has the whole row as it was (REPLICA IDENTITY FULL).
    pub full: bool,
}

/// Name of the table of every type.
pub const EVERY_TYPE: &str = "every_type";
/// Name of the table whose shape changes.
pub const EVOLVING: &str = "evolving";
/// Name of the table without a key.
pub const LOG: &str = "log";
/// Name of the table with values outside of the row that are not logged when they do not change.
pub const LARGE: &str = "large";
/// Name of the table with values that its target cannot hold, whose records are set aside.
pub const UNFIT: &str = "unfit";

impl Table {
    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("{SERVER}.{SCHEMA}.{}", self.name)
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

    /// Statements that make it.
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
        let mut ddl = format!(
            "CREATE TABLE {SCHEMA}.{} ({columns}{}{key});\n",
            self.name,
            others.join(", ")
        );
        if self.full {
            ddl += &format!("ALTER TABLE {SCHEMA}.{} REPLICA IDENTITY FULL;\n", self.name);
        }
        for column in &self.columns {
            // Compressed, a value might find room in the row after all.
            if matches!(
                column.kind,
                Kind::BigText | Kind::BigBytes | Kind::BigJson | Kind::BigArray(_)
            ) {
                ddl += &format!(
                    "ALTER TABLE {SCHEMA}.{} ALTER COLUMN {} SET STORAGE EXTERNAL;\n",
                    self.name, column.name
                );
            }
        }
        ddl
    }
}

/// All tables as they are made.
#[must_use]
pub fn all() -> Vec<Table> {
    let table = |name, key, columns: &[Column]| Table {
        name,
        key,
        columns: columns.to_vec(),
        partitions: 1,
        truncated: false,
        full: false,
    };
    vec![
        Table {
            truncated: true,
            ..table(EVERY_TYPE, Key::Id, EVERY)
        },
        Table {
            partitions: 3,
            ..table("composite_key", Key::RegionAndNumber, COMPOSITE)
        },
        table(LARGE, Key::Id, BIG),
        Table {
            partitions: 2,
            full: true,
            ..table("large_full", Key::Id, BIG)
        },
        Table {
            partitions: 2,
            ..table(EVOLVING, Key::Id, BEFORE_DDL)
        },
        Table {
            truncated: true,
            full: true,
            ..table(LOG, Key::None, LOGGED)
        },
        table(UNFIT, Key::Id, UNFITTING),
    ]
}

const fn bits(most: usize, varying: bool) -> Kind {
    Kind::Bits { most, varying }
}

const EVERY: &[Column] = &[
    column("c_bool", "boolean", Kind::Bool),
    column("c_int2", "smallint", Kind::Int2),
    column("c_int4", "integer", Kind::Int4),
    column("c_int8", "bigint", Kind::Int8),
    column("c_oid", "oid", Kind::Oid),
    unfit("c_float4", "real", Kind::Float4),
    unfit("c_float8", "double precision", Kind::Float8),
    column("c_num", "numeric", Kind::Numeric),
    column("c_num5_0", "numeric(5,0)", Kind::Decimal(5, 0)),
    column("c_num10_2", "numeric(10,2)", Kind::Decimal(10, 2)),
    column("c_num38_9", "numeric(38,9)", Kind::Decimal(38, 9)),
    column("c_num38_37", "numeric(38,37)", Kind::Decimal(38, 37)),
    column("c_num50_10", "numeric(50,10)", Kind::Decimal(50, 10)),
    column("c_money", "money", Kind::Money),
    column("c_char", "char(10)", Kind::Char(10)),
    column("c_varchar", "varchar(40)", Kind::Text(40)),
    column("c_text", "text", Kind::Text(0)),
    column("c_citext", "citext", Kind::Text(0)),
    column("c_xml", "xml", Kind::Xml),
    column("c_mood", "shop.mood", Kind::Mood),
    column("c_inet", "inet", Kind::Inet),
    column("c_cidr", "cidr", Kind::Cidr),
    column("c_macaddr", "macaddr", Kind::Mac),
    column("c_ltree", "ltree", Kind::Ltree),
    column("c_tsv", "tsvector", Kind::Tsvector),
    column("c_uuid", "uuid", Kind::Uuid),
    column("c_bytea", "bytea", Kind::Bytes),
    column("c_bit1", "bit(1)", Kind::Bit),
    column("c_bit8", "bit(8)", bits(8, false)),
    column("c_bit50", "bit(50)", bits(50, false)),
    column("c_varbit", "bit varying(20)", bits(20, true)),
    unfit("c_date", "date", Kind::Date),
    column("c_time", "time", Kind::Time(6)),
    column("c_time3", "time(3)", Kind::Time(3)),
    column("c_timetz", "timetz", Kind::TimeTz),
    unfit("c_ts", "timestamp", Kind::Timestamp(6)),
    column("c_ts3", "timestamp(3)", Kind::Timestamp(3)),
    column("c_ts0", "timestamp(0)", Kind::Timestamp(0)),
    unfit("c_tstz", "timestamptz", Kind::TimestampTz),
    column("c_interval", "interval", Kind::Interval),
    column("c_json", "json", Kind::Json),
    column("c_jsonb", "jsonb", Kind::Json),
    column("c_hstore", "hstore", Kind::Hstore),
    column("c_point", "point", Kind::Point),
    column("c_int4range", "int4range", Kind::Range(Bound::Whole)),
    column("c_int8range", "int8range", Kind::Range(Bound::Whole)),
    column("c_numrange", "numrange", Kind::Range(Bound::Numeric)),
    column("c_daterange", "daterange", Kind::Range(Bound::Date)),
    column("c_tsrange", "tsrange", Kind::Range(Bound::Timestamp)),
    column("c_tstzrange", "tstzrange", Kind::Range(Bound::TimestampTz)),
    column("c_int_arr", "integer[]", Kind::Array(Item::Int4)),
    column("c_bigint_arr", "bigint[]", Kind::Array(Item::Int8)),
    column("c_num_arr", "numeric(10,2)[]", Kind::Array(Item::Decimal)),
    column("c_float_arr", "double precision[]", Kind::Array(Item::Float8)),
    column("c_bool_arr", "boolean[]", Kind::Array(Item::Bool)),
    column("c_text_arr", "text[]", Kind::Array(Item::Text)),
    column("c_uuid_arr", "uuid[]", Kind::Array(Item::Uuid)),
    column("c_date_arr", "date[]", Kind::Array(Item::Date)),
];

const COMPOSITE: &[Column] = &[
    column("v", "text", Kind::Text(0)),
    column("amount", "numeric(12,3)", Kind::Decimal(12, 3)),
    column("at", "timestamptz NOT NULL", Kind::TimestampTz),
];

const BIG: &[Column] = &[
    column("small", "integer", Kind::Int4),
    column("big", "text", Kind::BigText),
    column("raw", "bytea", Kind::BigBytes),
    column("doc", "jsonb", Kind::BigJson),
    column("numbers", "integer[]", Kind::BigArray(Item::Int4)),
    column("more", "bigint[]", Kind::BigArray(Item::Int8)),
    column("words", "text[]", Kind::BigArray(Item::Text)),
];

const LOGGED: &[Column] = &[
    column("n", "integer", Kind::Int2),
    column("v", "text", Kind::Text(0)),
    column("amount", "numeric(10,2)", Kind::Decimal(10, 2)),
    column("f", "double precision", Kind::Float8),
    column("at", "timestamp", Kind::Timestamp(6)),
];

const UNFITTING: &[Column] = &[
    unfit("f", "double precision", Kind::Float8),
    unfit("day", "date", Kind::Date),
    unfit("at", "timestamp", Kind::Timestamp(6)),
    unfit("tz", "timestamptz", Kind::TimestampTz),
    unfit("v", "text", Kind::Text(0)),
];

const BEFORE_DDL: &[Column] = &[
    column("name", "varchar(20) NOT NULL", Kind::Text(20)),
    column("count", "integer", Kind::Int4),
    column("tiny", "smallint", Kind::Int2),
    column("ratio", "real", Kind::Float4),
    column("price", "numeric(8,2)", Kind::Decimal(8, 2)),
    column("must", "integer NOT NULL", Kind::Int4),
    column("old", "text", Kind::Text(0)),
    column("title", "text", Kind::Text(0)),
];

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

/// What rows have in a new column that are not written since it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// NULL.
    Null,
    /// 1970, since the default is no constant.
    Epoch,
}

/// All changes, in the order in which they are made.
pub const CHANGES: &[Change] = &[
    change("ADD COLUMN note varchar(10)", column("note", "", Kind::Text(10))),
    change(
        "ALTER COLUMN name TYPE varchar(400)",
        column("name", "NOT NULL", Kind::Text(400)),
    ),
    change("ALTER COLUMN count TYPE bigint", column("count", "", Kind::Int8)),
    change(
        "ADD COLUMN state text NOT NULL DEFAULT 'new, \"or\" not'",
        column("state", "NOT NULL", Kind::Text(0)),
    ),
    change("ALTER COLUMN must DROP NOT NULL", column("must", "", Kind::Int4)),
    change(
        "ALTER COLUMN ratio TYPE double precision",
        column("ratio", "", Kind::Float8),
    ),
    change("ADD COLUMN level integer DEFAULT 7", column("level", "", Kind::Int4)),
    Change {
        ddl: "DROP COLUMN old",
        goes: Some("old"),
        comes: None,
        leaves_rows: None,
    },
    change("ALTER COLUMN note TYPE text", column("note", "", Kind::Text(0))),
    change(
        "ALTER COLUMN price TYPE numeric(14,4)",
        column("price", "", Kind::Decimal(14, 4)),
    ),
    Change {
        ddl: "RENAME COLUMN title TO heading",
        goes: Some("title"),
        comes: Some(column("heading", "", Kind::Text(0))),
        leaves_rows: Some(Leaves::Null),
    },
    change("ALTER COLUMN tiny TYPE integer", column("tiny", "", Kind::Int4)),
    Change {
        ddl: "ADD COLUMN seen timestamptz NOT NULL DEFAULT now()",
        goes: None,
        comes: Some(column("seen", "NOT NULL", Kind::TimestampTz)),
        leaves_rows: Some(Leaves::Epoch),
    },
];

const fn change(ddl: &'static str, comes: Column) -> Change {
    Change {
        ddl,
        goes: None,
        comes: Some(comes),
        leaves_rows: None,
    }
}
