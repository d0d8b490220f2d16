//! The tables of PostgreSQL: one of every type, one with a key of two columns, two with values outside of the row, one whose shape
//! changes, one without a key, one with values that no target can hold, and one for each mode that keeps more than the source does.

use super::super::kind::Kind as AnyKind;
use super::super::tables::{Change, Column, EVERY_TYPE, EVOLVING, Key, LOG, Leaves, SCHEMA, TAG, Table, UNFIT};
use super::kind::{Bound, Item, Kind};

/// What comes before the tables.
pub const PROLOGUE: &[&str] = &[
    "CREATE EXTENSION citext",
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION ltree",
    "CREATE SCHEMA shop",
    "CREATE TYPE shop.mood AS ENUM ('sad', 'ok', 'happy', 'so so')",
];

/// Rules for the topics: what NULL takes the place of, and how many records may be set aside.
pub const RULES: &str = r#"[[topic]]
name = "src.shop.every_type"
bad_values = { c_float4 = "null", c_float8 = "null", c_date = "null", c_ts = "null", c_tstz = "null" }

[[topic]]
name = "src.shop.unfit"
# Many records of this table are bad on purpose.
bad_records_max = 1000000
"#;

/// Name of the table with values outside of the row that are not logged when they do not change.
pub const LARGE: &str = "large";

/// Statements on a table that has been made: what its log has of a row, and where its values lie.
#[must_use]
pub fn storage(table: &Table) -> Vec<String> {
    let alter = |what: &str| format!("ALTER TABLE {SCHEMA}.{} {what}", table.name);
    let mut all = Vec::new();
    if table.full {
        all.push(alter("REPLICA IDENTITY FULL"));
    }
    for column in &table.columns {
        // Compressed, a value might find room in the row after all.
        if let AnyKind::Postgres(Kind::BigText | Kind::BigBytes | Kind::BigJson | Kind::BigArray(_)) = column.kind {
            all.push(alter(&format!("ALTER COLUMN {} SET STORAGE EXTERNAL", column.name)));
        }
    }
    all
}

const fn column(name: &'static str, ddl: &'static str, kind: Kind) -> Column {
    Column {
        name,
        ddl,
        kind: AnyKind::Postgres(kind),
        unfit: false,
    }
}

const fn unfit(name: &'static str, ddl: &'static str, kind: Kind) -> Column {
    Column {
        unfit: true,
        ..column(name, ddl, kind)
    }
}

/// All tables as they are made.
#[must_use]
pub fn all() -> Vec<Table> {
    let mut all = vec![
        Table::new(EVERY_TYPE, Key::Id, EVERY),
        Table {
            partitions: 3,
            ..Table::new("composite_key", Key::RegionAndNumber, COMPOSITE)
        },
        Table::new(LARGE, Key::Id, BIG),
        Table {
            partitions: 2,
            full: true,
            ..Table::new("large_full", Key::Id, BIG)
        },
        Table {
            partitions: 2,
            ..Table::new(EVOLVING, Key::Id, BEFORE_DDL)
        },
        Table {
            truncated: true,
            full: true,
            ..Table::new(LOG, Key::None, TOLD)
        },
        Table::new(UNFIT, Key::Id, UNFITTING),
    ];
    all.extend(Table::of_every_mode(TOLD));
    all
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
    column("c_macaddr8", "macaddr8", Kind::Mac8),
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
    column("c_int4multi", "int4multirange", Kind::Multirange(Bound::Whole)),
    column("c_tsmulti", "tsmultirange", Kind::Multirange(Bound::Timestamp)),
    column("c_int_arr", "integer[]", Kind::Array(Item::Int4)),
    column("c_bigint_arr", "bigint[]", Kind::Array(Item::Int8)),
    column("c_num_arr", "numeric(10,2)[]", Kind::Array(Item::Decimal)),
    column("c_float_arr", "double precision[]", Kind::Array(Item::Float8)),
    column("c_bool_arr", "boolean[]", Kind::Array(Item::Bool)),
    column("c_text_arr", "text[]", Kind::Array(Item::Text)),
    column("c_uuid_arr", "uuid[]", Kind::Array(Item::Uuid)),
    column("c_date_arr", "date[]", Kind::Array(Item::Date)),
    column("c_ts_arr", "timestamp[]", Kind::Array(Item::Timestamp)),
    column("c_tstz_arr", "timestamptz[]", Kind::Array(Item::TimestampTz)),
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

/// Of tables whose changes are told.
const TOLD: &[Column] = &[
    column(TAG, "integer", Kind::Int4),
    column("v", "text", Kind::Text(0)),
    column("amount", "numeric(10,2)", Kind::Decimal(10, 2)),
    column("f", "double precision", Kind::Float8),
    column("at", "timestamp", Kind::Timestamp(6)),
    column("doc", "jsonb", Kind::Json),
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

/// All changes, in the order in which they are made.
pub const CHANGES: &[Change] = &[
    Change::of("ADD COLUMN note varchar(10)", column("note", "", Kind::Text(10))),
    Change::of(
        "ALTER COLUMN name TYPE varchar(400)",
        column("name", "NOT NULL", Kind::Text(400)),
    ),
    Change::of("ALTER COLUMN count TYPE bigint", column("count", "", Kind::Int8)),
    Change::of(
        "ADD COLUMN state text NOT NULL DEFAULT 'new, \"or\" not'",
        column("state", "NOT NULL", Kind::Text(0)),
    ),
    Change::of("ALTER COLUMN must DROP NOT NULL", column("must", "", Kind::Int4)),
    Change::of(
        "ALTER COLUMN ratio TYPE double precision",
        column("ratio", "", Kind::Float8),
    ),
    Change::of("ADD COLUMN level integer DEFAULT 7", column("level", "", Kind::Int4)),
    Change {
        ddl: "DROP COLUMN old",
        goes: Some("old"),
        comes: None,
        leaves_rows: None,
    },
    Change::of("ALTER COLUMN note TYPE text", column("note", "", Kind::Text(0))),
    Change::of(
        "ALTER COLUMN price TYPE numeric(14,4)",
        column("price", "", Kind::Decimal(14, 4)),
    ),
    Change {
        ddl: "RENAME COLUMN title TO heading",
        goes: Some("title"),
        comes: Some(column("heading", "", Kind::Text(0))),
        leaves_rows: Some(Leaves::Null),
    },
    Change::of("ALTER COLUMN tiny TYPE integer", column("tiny", "", Kind::Int4)),
    Change {
        ddl: "ADD COLUMN seen timestamptz NOT NULL DEFAULT now()",
        goes: None,
        comes: Some(column("seen", "NOT NULL", Kind::TimestampTz)),
        leaves_rows: Some(Leaves::Epoch),
    },
];
