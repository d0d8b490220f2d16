//! The form of a value in a column of another type than its schema makes: because the column was widened, or because the configuration asks
//! for that type.

use super::form::{Form, Mapping, Unit, Unscaled};
use super::schema::NodeId;
use crate::table::{ColumnType, VARCHAR_BYTES_MAX};

impl Mapping {
    /// The form that writes values of `node` into a column of type `ty`; `None` if that is not done: it would say something else than the
    /// source.
    pub(crate) fn into_column(self, node: NodeId, ty: ColumnType) -> Option<Form> {
        if self.ty == ty {
            return Some(self.form);
        }
        match ty {
            ColumnType::Varchar { limit } => Some(as_text(self.form, limit.unwrap_or(VARCHAR_BYTES_MAX))),
            ColumnType::Super => Some(match self.form {
                Form::Text { .. } => Form::Json,
                _ => Form::Super(node),
            }),
            ColumnType::Decimal { precision, scale } => as_decimal(self.form, precision, scale),
            ColumnType::SmallInt | ColumnType::Integer | ColumnType::BigInt => as_integer(self.form, ty),
            ColumnType::Real | ColumnType::Double => as_float(self.form, ty),
            ColumnType::Varbyte { limit } => match self.form {
                Form::Hex { extent, limit: own } => {
                    let limit = limit.map_or(own, |limit| limit.min(own));
                    Some(Form::Hex { extent, limit })
                }
                Form::Bits { limit: own } => Some(Form::Bits {
                    limit: limit.map_or(own, |limit| limit.min(own)),
                }),
                _ => None,
            },
            ColumnType::Boolean => None,
            _ => as_time(&self.form, ty),
        }
    }
}

/// Anything has a text. What is text keeps its form; a limit below its own is kept.
fn as_text(form: Form, limit: u32) -> Form {
    match form {
        Form::Text { limit: own } => Form::Text { limit: own.min(limit) },
        Form::Null | Form::Uuid | Form::UuidBytes | Form::VariableScaleDecimal { .. } | Form::BigDecimal => form,
        Form::Duration | Form::DecimalText { .. } => form,
        // An enum's symbols may have become longer than the column was; what a claim says of its longest value widens it.
        Form::Enum(_) => form,
        Form::AsText { form, .. } => Form::AsText { form, limit },
        form => Form::AsText {
            form: Box::new(form),
            limit,
        },
    }
}

fn as_decimal(form: Form, precision: u8, scale: u8) -> Option<Form> {
    let from = match form {
        // The hot form, for a column that only grew.
        Form::Decimal { extent, scale: own, .. } if own <= scale => {
            return Some(Form::Decimal {
                extent,
                scale: own,
                precision,
                column_scale: scale,
            });
        }
        Form::Decimal { extent, scale, .. } => Unscaled::Bytes {
            extent,
            scale: scale.into(),
        },
        Form::FixedPoint { scale: own, .. } if own <= scale => {
            return Some(Form::FixedPoint {
                scale: own,
                precision,
                column_scale: scale,
            });
        }
        Form::DecimalText { extent, scale, .. } => Unscaled::Bytes { extent, scale },
        Form::BigDecimal => Unscaled::Big,
        Form::VariableScaleDecimal { scale_first } => Unscaled::Variable { scale_first },
        Form::Text { .. } => Unscaled::Text,
        // Whole numbers are decimals as they stand, where all of them fit.
        Form::Narrow { .. } if precision - scale >= 5 => return Some(form),
        Form::Int if precision - scale >= 10 => return Some(form),
        Form::Long if precision - scale >= 19 => return Some(form),
        _ => return None,
    };
    Some(Form::AsDecimal { from, precision, scale })
}

fn as_integer(form: Form, ty: ColumnType) -> Option<Form> {
    let (min, max, bytes) = match ty {
        ColumnType::SmallInt => (i16::MIN.into(), i16::MAX.into(), 2),
        ColumnType::Integer => (i32::MIN.into(), i32::MAX.into(), 4),
        _ => (i64::MIN, i64::MAX, 8),
    };
    Some(match form {
        Form::Narrow { .. } => form,
        Form::Int if bytes >= 4 => form,
        Form::Long if bytes >= 8 => form,
        Form::Text { .. } => Form::TextAsInteger { min, max },
        // The number that the source writes, in its own unit.
        Form::Date if bytes >= 4 => Form::Int,
        Form::Time(Unit::Millis) if bytes >= 4 => Form::Int,
        Form::Time(_) | Form::Timestamp { .. } if bytes >= 8 => Form::Long,
        _ => return None,
    })
}

fn as_float(form: Form, ty: ColumnType) -> Option<Form> {
    Some(match (form, ty) {
        (Form::Float, ColumnType::Double) => Form::FloatAsDouble,
        (Form::Text { .. }, ColumnType::Double) => Form::TextAsDouble,
        (form @ (Form::Narrow { .. } | Form::Int), ColumnType::Double) => form,
        (form @ Form::Narrow { .. }, ColumnType::Real) => form,
        _ => return None,
    })
}

fn as_time(form: &Form, ty: ColumnType) -> Option<Form> {
    Some(match (form, ty) {
        (Form::Timestamp { unit, .. }, ColumnType::TimestampTz) => Form::Timestamp {
            unit: *unit,
            zone: true,
        },
        (Form::Timestamp { unit, .. }, ColumnType::Timestamp) => Form::Timestamp {
            unit: *unit,
            zone: false,
        },
        (Form::Text { .. }, ColumnType::Date) => Form::IsoDate,
        (Form::Text { .. }, ColumnType::Time) => Form::IsoTime,
        (Form::Text { .. }, ColumnType::Timestamp) => Form::IsoTimestamp,
        (Form::Text { .. }, ColumnType::TimestampTz) => Form::ZonedTimestamp,
        (Form::Text { .. }, ColumnType::TimeTz) => Form::ZonedTime,
        _ => return None,
    })
}
