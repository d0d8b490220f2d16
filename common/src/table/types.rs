//! Column types of Redshift (redshift.md section 2.1).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest VARCHAR that Redshift has, in bytes.
pub const VARCHAR_BYTES_MAX: u32 = 65_535;

/// The longest VARBYTE that every version of Redshift has, in bytes.
pub const VARBYTE_BYTES_MAX: u32 = 1_024_000;

/// A type that a column of a plan can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// BOOLEAN
    Boolean,
    /// SMALLINT, 2 bytes
    #[serde(rename = "smallint")]
    SmallInt,
    /// INTEGER, 4 bytes
    Integer,
    /// BIGINT, 8 bytes
    #[serde(rename = "bigint")]
    BigInt,
    /// REAL
    Real,
    /// DOUBLE PRECISION
    Double,
    /// DECIMAL(precision, scale): precision at most 38, scale at most 37
    Decimal {
        /// All digits.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// VARCHAR; with a limit in bytes where the source declares one. Without, the loader sizes it by what the claims have seen.
    Varchar {
        /// Declared limit in bytes.
        limit: Option<u32>,
    },
    /// DATE
    Date,
    /// TIME, staged as VARCHAR(32) and cast on INSERT: loading TIME by COPY is undocumented (redshift.md 1.4)
    Time,
    /// TIMETZ, staged like [`ColumnType::Time`]
    #[serde(rename = "timetz")]
    TimeTz,
    /// TIMESTAMP
    Timestamp,
    /// TIMESTAMPTZ, always UTC
    #[serde(rename = "timestamptz")]
    TimestampTz,
    /// SUPER, loaded from JSON text
    Super,
    /// VARBYTE; with a limit in bytes where the source declares one
    Varbyte {
        /// Declared limit in bytes.
        limit: Option<u32>,
    },
}

impl ColumnType {
    /// The type without its arguments, as part of a name: `double_precision`.
    #[must_use]
    pub fn word(self) -> String {
        let text = self.to_string().to_lowercase();
        let name = text.split('(').next().unwrap_or_default();
        name.replace(' ', "_")
    }

    /// Whether COPY reads this column as characters, so that an empty field is the empty string and not NULL.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self, ColumnType::Varchar { .. })
    }

    /// Whether its values compare alike everywhere, so that rows may be ordered by them (rule 20): texts depend on a collation, floating
    /// point has NaN.
    #[must_use]
    pub fn has_order(self) -> bool {
        matches!(
            self,
            ColumnType::SmallInt
                | ColumnType::Integer
                | ColumnType::BigInt
                | ColumnType::Decimal { .. }
                | ColumnType::Date
                | ColumnType::Timestamp
                | ColumnType::TimestampTz
        )
    }
}

/// Reads a type as DDL has it, in any case: `DECIMAL(10,2)`, `varchar`, `varchar(100)`, `double precision`.
impl FromStr for ColumnType {
    type Err = ();

    fn from_str(text: &str) -> Result<ColumnType, ()> {
        let text = text.trim().to_ascii_lowercase();
        let (name, arguments) = match text.split_once('(') {
            None => (text.as_str(), Vec::new()),
            Some((name, rest)) => {
                let inner = rest.strip_suffix(')').ok_or(())?;
                let numbers = inner.split(',').map(|number| number.trim().parse::<u32>());
                (name.trim(), numbers.collect::<Result<Vec<u32>, _>>().map_err(drop)?)
            }
        };
        let limit = |max: u32| match arguments.as_slice() {
            [] => Ok(None),
            [limit] if (1..=max).contains(limit) => Ok(Some(*limit)),
            _ => Err(()),
        };
        let plain = |ty: ColumnType| if arguments.is_empty() { Ok(ty) } else { Err(()) };
        match name {
            "boolean" | "bool" => plain(ColumnType::Boolean),
            "smallint" | "int2" => plain(ColumnType::SmallInt),
            "integer" | "int" | "int4" => plain(ColumnType::Integer),
            "bigint" | "int8" => plain(ColumnType::BigInt),
            "real" | "float4" => plain(ColumnType::Real),
            "double precision" | "double" | "float8" | "float" => plain(ColumnType::Double),
            "decimal" | "numeric" => decimal(&arguments),
            "varchar" | "character varying" | "text" => Ok(ColumnType::Varchar {
                limit: limit(VARCHAR_BYTES_MAX)?,
            }),
            "date" => plain(ColumnType::Date),
            "time" => plain(ColumnType::Time),
            "timetz" => plain(ColumnType::TimeTz),
            "timestamp" => plain(ColumnType::Timestamp),
            "timestamptz" => plain(ColumnType::TimestampTz),
            "super" => plain(ColumnType::Super),
            "varbyte" => Ok(ColumnType::Varbyte {
                limit: limit(VARBYTE_BYTES_MAX)?,
            }),
            _ => Err(()),
        }
    }
}

/// Precision and scale within what Redshift has.
fn decimal(arguments: &[u32]) -> Result<ColumnType, ()> {
    let (precision, scale) = match arguments {
        [precision] => (*precision, 0),
        [precision, scale] => (*precision, *scale),
        _ => return Err(()),
    };
    if !(1..=38).contains(&precision) || scale > precision.min(37) {
        return Err(());
    }
    let narrow = |number: u32| u8::try_from(number).map_err(drop);
    Ok(ColumnType::Decimal {
        precision: narrow(precision)?,
        scale: narrow(scale)?,
    })
}

/// As in DDL; a VARCHAR without a limit is shown as `VARCHAR`, its width being the loader's to choose.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Boolean => f.write_str("BOOLEAN"),
            ColumnType::SmallInt => f.write_str("SMALLINT"),
            ColumnType::Integer => f.write_str("INTEGER"),
            ColumnType::BigInt => f.write_str("BIGINT"),
            ColumnType::Real => f.write_str("REAL"),
            ColumnType::Double => f.write_str("DOUBLE PRECISION"),
            ColumnType::Decimal { precision, scale } => write!(f, "DECIMAL({precision},{scale})"),
            ColumnType::Varchar { limit: Some(limit) } => write!(f, "VARCHAR({limit})"),
            ColumnType::Varchar { limit: None } => f.write_str("VARCHAR"),
            ColumnType::Date => f.write_str("DATE"),
            ColumnType::Time => f.write_str("TIME"),
            ColumnType::TimeTz => f.write_str("TIMETZ"),
            ColumnType::Timestamp => f.write_str("TIMESTAMP"),
            ColumnType::TimestampTz => f.write_str("TIMESTAMPTZ"),
            ColumnType::Super => f.write_str("SUPER"),
            ColumnType::Varbyte { limit: Some(limit) } => write!(f, "VARBYTE({limit})"),
            ColumnType::Varbyte { limit: None } => f.write_str("VARBYTE"),
        }
    }
}
