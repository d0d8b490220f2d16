//! The tables of MariaDB: one of every type that the connector can parse, one with a key of two columns, one whose shape changes, one
//! without a key, one with values that no target can hold, and one for each mode that keeps more than the source does.

use super::super::kind::Kind as AnyKind;
use super::super::tables::{Change, Column, EVERY_TYPE, EVOLVING, Key, LOG, Leaves, TAG, Table, UNFIT};
use super::kind::Kind;

/// Rules for the topics: what NULL takes the place of, what has another type than by itself, and how many records may be set aside.
pub const RULES: &str = r#"[[topic]]
name = "src.shop.every_type"
bad_values = { c_time = "null", c_time3 = "null", c_time6 = "null" }
types = { c_micros = "BIGINT", c_micros3 = "BIGINT", c_number = "DECIMAL(20,0)", c_json = "SUPER" }

[[topic]]
name = "src.shop.unfit"
# Many records of this table are bad on purpose.
bad_records_max = 1000000
"#;

const fn column(name: &'static str, ddl: &'static str, kind: Kind) -> Column {
    Column {
        name,
        ddl,
        kind: AnyKind::MariaDb(kind),
        unfit: false,
    }
}

const fn unfit(name: &'static str, ddl: &'static str, kind: Kind) -> Column {
    Column {
        unfit: true,
        ..column(name, ddl, kind)
    }
}

/// All tables as they are made. The log has the whole row as it was; where a key changes, rows with values that do not fit get others.
#[must_use]
pub fn all() -> Vec<Table> {
    let mut all = vec![
        Table::new(EVERY_TYPE, Key::Id, EVERY),
        Table {
            partitions: 3,
            ..Table::new("composite_key", Key::RegionAndNumber, COMPOSITE)
        },
        Table {
            partitions: 2,
            ..Table::new(EVOLVING, Key::Id, BEFORE_DDL)
        },
        Table {
            truncated: true,
            ..Table::new(LOG, Key::None, TOLD)
        },
    ];
    all.extend(Table::of_every_mode(TOLD));
    for table in &mut all {
        table.full = true;
    }
    all.push(Table::new(UNFIT, Key::Id, UNFITTING));
    all
}

const EVERY: &[Column] = &[
    column("c_tiny", "tinyint", Kind::Int(8)),
    column("c_bool", "tinyint(1)", Kind::Int(8)),
    column("c_utiny", "tinyint unsigned", Kind::Unsigned(8)),
    column("c_small", "smallint", Kind::Int(16)),
    column("c_usmall", "smallint unsigned", Kind::Unsigned(16)),
    column("c_medium", "mediumint", Kind::Int(24)),
    column("c_umedium", "mediumint unsigned", Kind::Unsigned(24)),
    column("c_int", "int", Kind::Int(32)),
    column("c_uint", "int unsigned", Kind::Unsigned(32)),
    column("c_big", "bigint", Kind::Int(64)),
    column("c_ubig", "bigint unsigned", Kind::Unsigned(64)),
    column("c_number", "bigint unsigned", Kind::Unsigned(64)),
    column("c_dec5_0", "decimal(5,0)", Kind::Decimal(5, 0)),
    column("c_dec10_2", "decimal(10,2)", Kind::Decimal(10, 2)),
    column("c_dec38_9", "decimal(38,9)", Kind::Decimal(38, 9)),
    column("c_dec38_37", "decimal(38,37)", Kind::Decimal(38, 37)),
    column("c_dec65_0", "decimal(65,0)", Kind::Decimal(65, 0)),
    column("c_dec65_30", "decimal(65,30)", Kind::Decimal(65, 30)),
    column("c_float", "float", Kind::Float),
    column("c_double", "double", Kind::Double),
    column("c_char", "char(10)", Kind::Text(10)),
    column("c_varchar", "varchar(40)", Kind::Text(40)),
    column("c_latin1", "varchar(40) CHARACTER SET latin1", Kind::Latin1(40)),
    column("c_tinytext", "tinytext", Kind::Text(50)),
    column("c_text", "text", Kind::Text(0)),
    column("c_mediumtext", "mediumtext", Kind::Text(0)),
    column("c_longtext", "longtext", Kind::Text(0)),
    column("c_enum", "enum('sad','ok','happy','so so','a''''b')", Kind::Enum),
    column("c_set", "set('a','b','c d')", Kind::Set),
    column("c_binary", "binary(16)", Kind::Binary(16)),
    column("c_varbinary", "varbinary(40)", Kind::Bytes),
    column("c_tinyblob", "tinyblob", Kind::Bytes),
    column("c_blob", "blob", Kind::Bytes),
    column("c_mediumblob", "mediumblob", Kind::Bytes),
    column("c_longblob", "longblob", Kind::Bytes),
    column("c_bit1", "bit(1)", Kind::Bit),
    column("c_bit8", "bit(8)", Kind::Bits(8)),
    column("c_bit20", "bit(20)", Kind::Bits(20)),
    column("c_bit64", "bit(64)", Kind::Bits(64)),
    unfit("c_date", "date", Kind::Date),
    unfit("c_datetime", "datetime", Kind::DateTime(0)),
    unfit("c_datetime3", "datetime(3)", Kind::DateTime(3)),
    unfit("c_datetime6", "datetime(6)", Kind::DateTime(6)),
    unfit("c_timestamp", "timestamp NULL", Kind::Timestamp(0)),
    unfit("c_timestamp3", "timestamp(3) NULL", Kind::Timestamp(3)),
    unfit("c_timestamp6", "timestamp(6) NULL", Kind::Timestamp(6)),
    unfit("c_time", "time", Kind::Time(0)),
    unfit("c_time3", "time(3)", Kind::Time(3)),
    unfit("c_time6", "time(6)", Kind::Time(6)),
    column("c_micros", "time(6)", Kind::Micros(6)),
    column("c_micros3", "time(3)", Kind::Micros(3)),
    column("c_year", "year", Kind::Year),
    column("c_json", "json", Kind::Json),
    column("c_json_text", "json", Kind::JsonText),
    column("c_point", "point", Kind::Point),
    column("c_geometry", "geometry", Kind::Geometry("")),
    column("c_line", "linestring", Kind::Geometry("LINESTRING")),
    column("c_polygon", "polygon", Kind::Geometry("POLYGON")),
    column("c_multipoint", "multipoint", Kind::Geometry("MULTIPOINT")),
    column("c_multiline", "multilinestring", Kind::Geometry("MULTILINESTRING")),
    column("c_multipolygon", "multipolygon", Kind::Geometry("MULTIPOLYGON")),
    column(
        "c_collection",
        "geometrycollection",
        Kind::Geometry("GEOMETRYCOLLECTION"),
    ),
];

const COMPOSITE: &[Column] = &[
    column("v", "text", Kind::Text(0)),
    column("amount", "decimal(12,3)", Kind::Decimal(12, 3)),
    column("at", "datetime(6) NOT NULL", Kind::DateTime(6)),
];

/// Of tables whose changes are told.
const TOLD: &[Column] = &[
    column(TAG, "int", Kind::Int(32)),
    column("v", "text", Kind::Text(0)),
    column("amount", "decimal(10,2)", Kind::Decimal(10, 2)),
    column("f", "double", Kind::Double),
    column("at", "datetime(6)", Kind::DateTime(6)),
    column("raw", "varbinary(40)", Kind::Bytes),
];

const UNFITTING: &[Column] = &[
    unfit("t", "time(6)", Kind::Time(6)),
    unfit("v", "longtext", Kind::Text(0)),
];

const BEFORE_DDL: &[Column] = &[
    column("name", "varchar(20) NOT NULL", Kind::Text(20)),
    column("count", "int", Kind::Int(32)),
    column("tiny", "smallint", Kind::Int(16)),
    column("ratio", "float", Kind::Float),
    column("price", "decimal(8,2)", Kind::Decimal(8, 2)),
    column("must", "int NOT NULL", Kind::Int(32)),
    column("old", "text", Kind::Text(0)),
    column("title", "varchar(200)", Kind::Text(200)),
];

/// All changes, in the order in which they are made.
pub const CHANGES: &[Change] = &[
    Change::of("ADD COLUMN note varchar(10)", column("note", "", Kind::Text(10))),
    Change::of(
        "MODIFY COLUMN name varchar(400) NOT NULL",
        column("name", "NOT NULL", Kind::Text(400)),
    ),
    Change::of("MODIFY COLUMN count bigint", column("count", "", Kind::Int(64))),
    Change::of(
        "ADD COLUMN state varchar(100) NOT NULL DEFAULT 'new, \"or\" not' AFTER name",
        column("state", "NOT NULL", Kind::Text(100)),
    ),
    Change::of("MODIFY COLUMN must int NULL", column("must", "", Kind::Int(32))),
    Change::of("MODIFY COLUMN ratio double", column("ratio", "", Kind::Double)),
    Change::of(
        "ADD COLUMN level int DEFAULT 7 FIRST",
        column("level", "", Kind::Int(32)),
    ),
    Change {
        ddl: "DROP COLUMN old",
        goes: Some("old"),
        comes: None,
        leaves_rows: None,
    },
    Change::of("MODIFY COLUMN note text", column("note", "", Kind::Text(0))),
    Change::of(
        "MODIFY COLUMN price decimal(14,4)",
        column("price", "", Kind::Decimal(14, 4)),
    ),
    Change {
        ddl: "RENAME COLUMN title TO heading",
        goes: Some("title"),
        comes: Some(column("heading", "", Kind::Text(200))),
        leaves_rows: Some(Leaves::Null),
    },
    Change::of("MODIFY COLUMN tiny int", column("tiny", "", Kind::Int(32))),
    Change {
        ddl: "ADD COLUMN seen timestamp NOT NULL DEFAULT current_timestamp()",
        goes: None,
        comes: Some(column("seen", "NOT NULL", Kind::Timestamp(0))),
        leaves_rows: Some(Leaves::Epoch),
    },
];
