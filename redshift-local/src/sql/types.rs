//! Redshift's column types and what each is in the PostgreSQL behind the stand-in (redshift.md 2.1).

use super::cursor::Cursor;
use super::refusal::Refusal;

/// A length that no column may declare: it marks `::varchar` without a length, whose result on long values is not documented well enough
/// to imitate. `redshift_local.varchar_overlong` refuses values over 256 bytes there.
pub const LENGTH_UNSTATED: u32 = 1_000_256;

/// Where a type name stands, since VARCHAR without a length means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A column definition.
    Column,
    /// `CAST(x AS type)` or `x::type`.
    Cast,
}

const LENGTH_MAX_VARCHAR: u64 = 65_535;
const LENGTH_MAX_CHAR: u64 = 4_096;
const LENGTH_MAX_VARBYTE: u64 = 16_777_216;
const PRECISION_MAX: u64 = 38;
const SCALE_MAX: u64 = 37;

/// Moves over one type name and returns PostgreSQL's name for it.
///
/// # Errors
/// Types that Redshift does not have (`0A000`), types that are not emulated, lengths out of range.
pub fn parse(cursor: &mut Cursor<'_>, place: Place) -> Result<String, Refusal> {
    let word = cursor.identifier()?;
    let mapped = match word.as_str() {
        "smallint" | "int2" => "int2".to_owned(),
        "integer" | "int" | "int4" => "int4".to_owned(),
        "bigint" | "int8" => "int8".to_owned(),
        "real" | "float4" => "float4".to_owned(),
        "float8" => "float8".to_owned(),
        "float" => float(cursor)?,
        "double" if cursor.take(&["precision"]) => "float8".to_owned(),
        "decimal" | "numeric" => decimal(cursor)?,
        "boolean" | "bool" => "bool".to_owned(),
        "date" => "date".to_owned(),
        "time" | "timetz" | "timestamp" | "timestamptz" => moment(&word, cursor)?,
        "varchar" | "nvarchar" | "text" => varchar(&word, cursor, place)?,
        "character" | "char" | "nchar" if cursor.take(&["varying"]) => varchar("varchar", cursor, place)?,
        "character" | "char" | "nchar" | "bpchar" => character(&word, cursor)?,
        "super" => "json".to_owned(),
        "varbyte" | "varbinary" => varbyte(cursor)?,
        "binary" if cursor.take(&["varying"]) => varbyte(cursor)?,
        "geometry" | "geography" | "hllsketch" | "interval" => {
            return Err(Refusal::not_emulated(format!("type {word}")));
        }
        "uuid" | "json" | "jsonb" | "bytea" | "xml" | "money" | "inet" | "cidr" | "macaddr" | "bit" | "serial"
        | "bigserial" | "smallserial" | "point" | "line" | "box" | "path" | "polygon" | "circle" | "tsvector"
        | "tsquery" | "int4range" | "hstore" | "tinyint" | "datetime2" | "blob" | "string" => {
            return Err(Refusal::unsupported(format!("type \"{word}\" is not supported")));
        }
        // Casts that catalog queries use; Redshift has these types on its leader node.
        "name" | "oid" | "regclass" if place == Place::Cast => word,
        "regtype" | "regproc" | "regnamespace" => return Err(Refusal::not_emulated(format!("type {word}"))),
        _ => return Err(Refusal::new("42704", format!("type \"{word}\" does not exist"))),
    };
    if cursor.peek(0).is_some_and(|token| token.is_sign(cursor.sql, '[')) {
        return Err(Refusal::unsupported("array types are not supported"));
    }
    Ok(mapped)
}

fn length(cursor: &mut Cursor<'_>, name: &str, length_max: u64) -> Result<Option<u64>, Refusal> {
    if !cursor.take_sign('(') {
        return Ok(None);
    }
    let length = if cursor.take(&["max"]) {
        length_max
    } else {
        cursor.number()?
    };
    cursor.expect_sign(')')?;
    if length == 0 {
        return Err(Refusal::new(
            "22023",
            format!("length for type {name} must be at least 1"),
        ));
    }
    if length > length_max {
        return Err(Refusal::new(
            "22023",
            format!("length for type {name} cannot exceed {length_max}"),
        ));
    }
    Ok(Some(length))
}

fn varchar(word: &str, cursor: &mut Cursor<'_>, place: Place) -> Result<String, Refusal> {
    let length = match length(cursor, "varchar", LENGTH_MAX_VARCHAR)? {
        Some(length) if word != "text" => length,
        // TEXT is VARCHAR(256) whatever length it is given.
        _ if place == Place::Column => 256,
        _ => u64::from(LENGTH_UNSTATED),
    };
    Ok(format!("redshift_local.\"varchar\"({length})"))
}

fn character(word: &str, cursor: &mut Cursor<'_>) -> Result<String, Refusal> {
    let default = if word == "bpchar" { 256 } else { 1 };
    Ok(format!(
        "pg_catalog.bpchar({})",
        length(cursor, "char", LENGTH_MAX_CHAR)?.unwrap_or(default)
    ))
}

fn varbyte(cursor: &mut Cursor<'_>) -> Result<String, Refusal> {
    Ok(format!(
        "redshift_local.varbyte({})",
        length(cursor, "varbyte", LENGTH_MAX_VARBYTE)?.unwrap_or(64_000)
    ))
}

fn float(cursor: &mut Cursor<'_>) -> Result<String, Refusal> {
    let precision = length(cursor, "float", 53)?.unwrap_or(53);
    Ok(if precision <= 24 { "float4" } else { "float8" }.to_owned())
}

fn decimal(cursor: &mut Cursor<'_>) -> Result<String, Refusal> {
    let (mut precision, mut scale) = (18, 0);
    if cursor.take_sign('(') {
        precision = cursor.number()?;
        if cursor.take_sign(',') {
            scale = cursor.number()?;
        }
        cursor.expect_sign(')')?;
    }
    if precision == 0 || precision > PRECISION_MAX {
        return Err(Refusal::new(
            "22023",
            format!("DECIMAL precision {precision} must be between 1 and 38"),
        ));
    }
    if scale > precision.min(SCALE_MAX) {
        return Err(Refusal::new(
            "22023",
            format!(
                "DECIMAL scale {scale} must be between 0 and {}",
                precision.min(SCALE_MAX)
            ),
        ));
    }
    Ok(format!("numeric({precision},{scale})"))
}

fn moment(word: &str, cursor: &mut Cursor<'_>) -> Result<String, Refusal> {
    if cursor.peek(0).is_some_and(|token| token.is_sign(cursor.sql, '(')) {
        return Err(Refusal::not_emulated(format!("precision of type {word}")));
    }
    let zoned =
        cursor.take(&["with", "time", "zone"]) || (!cursor.take(&["without", "time", "zone"]) && word.ends_with("tz"));
    let base = word.trim_end_matches("tz");
    Ok(if zoned { format!("{base}tz") } else { base.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::token::tokenize;
    use super::*;

    fn column(text: &str) -> Result<String, Refusal> {
        let tokens = tokenize(text).unwrap();
        let mut cursor = Cursor::new(text, &tokens, false);
        let mapped = parse(&mut cursor, Place::Column)?;
        cursor.expect_end()?;
        Ok(mapped)
    }

    #[test]
    fn maps_types() {
        for (given, mapped) in [
            ("VARCHAR", "redshift_local.\"varchar\"(256)"),
            ("text", "redshift_local.\"varchar\"(256)"),
            ("Varchar(MAX)", "redshift_local.\"varchar\"(65535)"),
            ("CHARACTER VARYING(7)", "redshift_local.\"varchar\"(7)"),
            ("char", "pg_catalog.bpchar(1)"),
            ("decimal", "numeric(18,0)"),
            ("NUMERIC(38,10)", "numeric(38,10)"),
            ("DOUBLE PRECISION", "float8"),
            ("TIMESTAMP WITH TIME ZONE", "timestamptz"),
            ("timestamp without time zone", "timestamp"),
            ("timestamptz", "timestamptz"),
            ("SUPER", "json"),
            ("VARBYTE", "redshift_local.varbyte(64000)"),
            ("binary varying(8)", "redshift_local.varbyte(8)"),
        ] {
            assert_eq!(column(given).unwrap(), mapped, "{given}");
        }
    }

    #[test]
    fn refuses_what_redshift_has_not() {
        for (given, code) in [
            ("uuid", "0A000"),
            ("jsonb", "0A000"),
            ("bytea", "0A000"),
            ("serial", "0A000"),
            ("int[]", "0A000"),
            ("varchar(65536)", "22023"),
            ("varchar(0)", "22023"),
            ("char(4097)", "22023"),
            ("decimal(39,0)", "22023"),
            ("decimal(10,11)", "22023"),
            ("nonsense", "42704"),
        ] {
            assert_eq!(column(given).unwrap_err().code, code, "{given}");
        }
    }
}
