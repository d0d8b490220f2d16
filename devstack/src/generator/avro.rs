//! Columns and their Avro form: one list says name, schema and place; rows are written through a sink, as Avro bytes or as cells.

use serde_json::{Value, json};

use super::cell::Cell;

/// Type of a column: its Avro schema, and by that what the target holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// 64 bits, never null.
    Long,
    /// 32 bits, never null.
    Int,
    /// 32 bits or null.
    OptInt,
    /// 16 bits or null.
    OptShort,
    /// Text, never null.
    Text,
    /// Text or null.
    OptText,
    /// Boolean or null.
    OptBool,
    /// Double or null.
    OptDouble,
    /// DECIMAL(10,2) or null.
    OptDecimal,
    /// `io.debezium.time.Date` or null.
    OptDate,
    /// `io.debezium.time.MicroTimestamp`, never null.
    MicroTimestamp,
    /// `io.debezium.time.ZonedTimestamp` or null.
    OptZoned,
    /// Avro's own timestamp-millis, never null.
    TimestampMillis,
}

/// A column's name and type.
pub type Column = (&'static str, Type);

impl Type {
    /// The schema, as Connect's Avro converter writes it.
    #[must_use]
    pub fn schema(self) -> Value {
        match self {
            Type::Long => json!("long"),
            Type::Int => json!("int"),
            Type::OptInt => json!(["null", "int"]),
            Type::OptShort => json!(["null", {"type": "int", "connect.type": "int16"}]),
            Type::Text => json!("string"),
            Type::OptText => json!(["null", "string"]),
            Type::OptBool => json!(["null", "boolean"]),
            Type::OptDouble => json!(["null", "double"]),
            Type::OptDecimal => json!(["null", {
                "type": "bytes", "scale": 2, "precision": 10, "connect.version": 1,
                "connect.parameters": {"scale": "2", "connect.decimal.precision": "10"},
                "connect.name": "org.apache.kafka.connect.data.Decimal", "logicalType": "decimal"
            }]),
            Type::OptDate => {
                json!(["null", {"type": "int", "connect.version": 1, "connect.name": "io.debezium.time.Date"}])
            }
            Type::MicroTimestamp => {
                json!({"type": "long", "connect.version": 1, "connect.name": "io.debezium.time.MicroTimestamp"})
            }
            Type::OptZoned => {
                json!(["null", {"type": "string", "connect.version": 1, "connect.name": "io.debezium.time.ZonedTimestamp"}])
            }
            Type::TimestampMillis => json!({"type": "long", "logicalType": "timestamp-millis"}),
        }
    }
}

/// The fields of a record with these columns.
#[must_use]
pub fn fields(columns: &[Column]) -> Value {
    let field = |(name, kind): &Column| {
        let schema = kind.schema();
        if schema.is_array() {
            json!({"name": name, "type": schema, "default": null})
        } else {
            json!({"name": name, "type": schema})
        }
    };
    columns.iter().map(field).collect()
}

/// Takes the values of a row, in the order of its columns.
pub trait Sink {
    /// [`Type::Long`].
    fn long(&mut self, value: i64);
    /// [`Type::Int`].
    fn int(&mut self, value: i32);
    /// [`Type::OptInt`] and [`Type::OptShort`].
    fn opt_int(&mut self, value: Option<i32>);
    /// [`Type::Text`].
    fn text(&mut self, value: &str);
    /// [`Type::OptText`].
    fn opt_text(&mut self, value: Option<&str>);
    /// [`Type::OptBool`].
    fn opt_bool(&mut self, value: Option<bool>);
    /// [`Type::OptDouble`].
    fn opt_double(&mut self, value: Option<f64>);
    /// [`Type::OptDecimal`], in hundredths.
    fn opt_decimal(&mut self, value: Option<i64>);
    /// [`Type::OptDate`], in days.
    fn opt_date(&mut self, value: Option<i32>);
    /// [`Type::MicroTimestamp`].
    fn micro_timestamp(&mut self, value: i64);
    /// [`Type::OptZoned`]: the text, and the same in microseconds.
    fn opt_zoned(&mut self, value: Option<(&str, i64)>);
    /// [`Type::TimestampMillis`].
    fn timestamp_millis(&mut self, value: i64);
}

/// Writes Avro's binary encoding.
#[derive(Debug, Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// Starts a message anew: the Confluent prefix, a zero and the schema's id.
    pub fn begin(&mut self, schema: u32) {
        self.0.clear();
        self.0.push(0);
        self.0.extend_from_slice(&schema.to_be_bytes());
    }

    /// An int or a long: zigzag, then seven bits a byte.
    pub fn number(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.0.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.0.push(rest.to_le_bytes()[0]);
    }

    /// Bytes or a string: length, then content.
    pub fn blob(&mut self, value: &[u8]) {
        self.number(i64::try_from(value.len()).unwrap_or(i64::MAX));
        self.0.extend_from_slice(value);
    }

    /// The branch of a union [null, T].
    pub fn present(&mut self, present: bool) {
        self.0.push(if present { 2 } else { 0 });
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.present(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }
}

impl Sink for Bytes {
    fn long(&mut self, value: i64) {
        self.number(value);
    }
    fn int(&mut self, value: i32) {
        self.number(i64::from(value));
    }
    fn opt_int(&mut self, value: Option<i32>) {
        self.optional(value, Self::int);
    }
    fn text(&mut self, value: &str) {
        self.blob(value.as_bytes());
    }
    fn opt_text(&mut self, value: Option<&str>) {
        self.optional(value, Self::text);
    }
    fn opt_bool(&mut self, value: Option<bool>) {
        self.optional(value, |bytes, value| bytes.0.push(u8::from(value)));
    }
    fn opt_double(&mut self, value: Option<f64>) {
        self.optional(value, |bytes, value| bytes.0.extend_from_slice(&value.to_le_bytes()));
    }
    fn opt_decimal(&mut self, value: Option<i64>) {
        self.optional(value, |bytes, value| {
            // The shortest big-endian two's complement: leading bytes go as long as the sign stays.
            let whole = value.to_be_bytes();
            let sign = if value < 0 { 0xff } else { 0 };
            let same = |index: usize| whole[index] == sign && (whole[index + 1] ^ sign) & 0x80 == 0;
            let skip = (0..7).take_while(|index| same(*index)).count();
            bytes.blob(&whole[skip..]);
        });
    }
    fn opt_date(&mut self, value: Option<i32>) {
        self.optional(value, Self::int);
    }
    fn micro_timestamp(&mut self, value: i64) {
        self.number(value);
    }
    fn opt_zoned(&mut self, value: Option<(&str, i64)>) {
        self.optional(value, |bytes, (text, _)| bytes.text(text));
    }
    fn timestamp_millis(&mut self, value: i64) {
        self.number(value);
    }
}

/// Collects the values as cells.
#[derive(Debug, Default)]
pub struct Cells(pub Vec<Cell>);

impl Cells {
    fn optional<T>(&mut self, value: Option<T>, cell: impl FnOnce(T) -> Cell) {
        self.0.push(value.map_or(Cell::Null, cell));
    }
}

impl Sink for Cells {
    fn long(&mut self, value: i64) {
        self.0.push(Cell::Int(value));
    }
    fn int(&mut self, value: i32) {
        self.0.push(Cell::Int(value.into()));
    }
    fn opt_int(&mut self, value: Option<i32>) {
        self.optional(value, |value| Cell::Int(value.into()));
    }
    fn text(&mut self, value: &str) {
        self.0.push(Cell::Text(value.to_owned()));
    }
    fn opt_text(&mut self, value: Option<&str>) {
        self.optional(value, |value| Cell::Text(value.to_owned()));
    }
    fn opt_bool(&mut self, value: Option<bool>) {
        self.optional(value, Cell::Bool);
    }
    fn opt_double(&mut self, value: Option<f64>) {
        self.optional(value, Cell::Double);
    }
    fn opt_decimal(&mut self, value: Option<i64>) {
        self.optional(value, Cell::Hundredths);
    }
    fn opt_date(&mut self, value: Option<i32>) {
        self.optional(value, Cell::Date);
    }
    fn micro_timestamp(&mut self, value: i64) {
        self.0.push(Cell::Timestamp(value));
    }
    fn opt_zoned(&mut self, value: Option<(&str, i64)>) {
        self.optional(value, |(_, micros)| Cell::Instant(micros));
    }
    fn timestamp_millis(&mut self, value: i64) {
        self.0.push(Cell::Instant(value * 1000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_take_the_fewest_bytes_that_keep_the_sign() {
        for (value, bytes) in [
            (0, vec![0]),
            (127, vec![127]),
            (128, vec![0, 128]),
            (-128, vec![128]),
            (-129, vec![255, 127]),
            (-1, vec![255]),
        ] {
            let mut written = Bytes::default();
            written.opt_decimal(Some(value));
            assert_eq!(written.0[2..], bytes, "{value}");
        }
    }
}
