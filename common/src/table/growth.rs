//! Which type holds the values of two types. Types only widen; what no type holds is an incompatible change.

use super::ColumnType;

/// Limits of DECIMAL.
const DECIMAL_PRECISION_MAX: u8 = 38;

impl ColumnType {
    /// The narrowest type that holds every value of both; `None` if there is none without changing what values mean.
    #[must_use]
    pub fn join(self, other: ColumnType) -> Option<ColumnType> {
        use ColumnType as Type;
        if self == other {
            return Some(self);
        }
        let limits = |a: Option<u32>, b: Option<u32>| a.zip(b).map(|(a, b)| a.max(b));
        match (self, other) {
            (Type::SmallInt | Type::Integer | Type::BigInt, Type::SmallInt | Type::Integer | Type::BigInt) => {
                let either = |ty| self == ty || other == ty;
                Some(if either(Type::BigInt) {
                    Type::BigInt
                } else {
                    Type::Integer
                })
            }
            (Type::Real, Type::Double) | (Type::Double, Type::Real) => Some(Type::Double),
            (Type::Varchar { limit: a }, Type::Varchar { limit: b }) => Some(Type::Varchar { limit: limits(a, b) }),
            (Type::Varbyte { limit: a }, Type::Varbyte { limit: b }) => Some(Type::Varbyte { limit: limits(a, b) }),
            (Type::Decimal { precision: p, scale: s }, Type::Decimal { precision: q, scale: t }) => {
                let scale = s.max(t);
                let precision = p.saturating_sub(s).max(q.saturating_sub(t)) + scale;
                (precision <= DECIMAL_PRECISION_MAX).then_some(Type::Decimal { precision, scale })
            }
            _ => None,
        }
    }

    /// The type by which a column is rebuilt so that it holds the values of both, each as it would be written there; that of
    /// [`ColumnType::join`] where there is one. `None` if values would be rounded, or texts of them are not the same everywhere.
    #[must_use]
    pub fn rebuilt(self, other: ColumnType) -> Option<ColumnType> {
        use ColumnType as Type;
        self.join(other).or_else(|| match (self, other) {
            (Type::Decimal { .. }, whole) | (whole, Type::Decimal { .. }) if whole.whole_digits().is_some() => {
                let decimal = if self == whole { other } else { self };
                decimal.join(Type::Decimal {
                    precision: whole.whole_digits()?,
                    scale: 0,
                })
            }
            (Type::SmallInt | Type::Integer, Type::Real | Type::Double)
            | (Type::Real | Type::Double, Type::SmallInt | Type::Integer) => Some(Type::Double),
            (Type::Varchar { .. }, other) | (other, Type::Varchar { .. }) => {
                let has_one_text = matches!(other, Type::Decimal { .. } | Type::Date) || other.whole_digits().is_some();
                has_one_text.then_some(Type::Varchar { limit: None })
            }
            _ => None,
        })
    }

    /// Digits of the largest whole number of a type.
    fn whole_digits(self) -> Option<u8> {
        match self {
            ColumnType::SmallInt => Some(5),
            ColumnType::Integer => Some(10),
            ColumnType::BigInt => Some(19),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ColumnType::{self as Type, *};

    #[test]
    fn types_widen_and_never_change_their_meaning() {
        assert_eq!(SmallInt.join(Integer), Some(Integer));
        assert_eq!(BigInt.join(SmallInt), Some(BigInt));
        assert_eq!(Real.join(Double), Some(Double));
        assert_eq!(
            Varchar { limit: Some(36) }.join(Varchar { limit: None }),
            Some(Varchar { limit: None })
        );
        assert_eq!(
            Varchar { limit: Some(36) }.join(Varchar { limit: Some(256) }),
            Some(Varchar { limit: Some(256) })
        );
        let decimal = |precision, scale| Type::Decimal { precision, scale };
        assert_eq!(decimal(10, 2).join(decimal(8, 4)), Some(decimal(12, 4)));
        assert_eq!(decimal(38, 0).join(decimal(38, 9)), None);
        for (a, b) in [
            (Integer, Double),
            (Varchar { limit: None }, Integer),
            (Timestamp, TimestampTz),
            (Date, Timestamp),
            (Super, Varchar { limit: None }),
        ] {
            assert_eq!(a.join(b), None);
            assert_eq!(b.join(a), None);
        }
    }

    #[test]
    fn a_column_is_rebuilt_where_every_value_stays_what_it_is() {
        let decimal = |precision, scale| Type::Decimal { precision, scale };
        let text = Varchar { limit: None };
        for (a, b, both) in [
            (Integer, decimal(8, 2), Some(decimal(12, 2))),
            (BigInt, decimal(38, 9), Some(decimal(38, 9))),
            (BigInt, decimal(38, 30), None),
            (Integer, Double, Some(Double)),
            (Integer, Real, Some(Double)),
            // 2^53 + 1 is no double.
            (BigInt, Double, None),
            (Integer, Varchar { limit: Some(4) }, Some(text)),
            (decimal(10, 2), text, Some(text)),
            (Date, text, Some(text)),
            // A double, a timestamp or a flag has several texts.
            (Double, text, None),
            (Timestamp, text, None),
            (Boolean, text, None),
            (Super, text, None),
            (SmallInt, BigInt, Some(BigInt)),
        ] {
            assert_eq!(a.rebuilt(b), both, "{a} and {b}");
            assert_eq!(b.rebuilt(a), both, "{b} and {a}");
            if let Some(both) = both {
                assert_eq!(
                    (both.rebuilt(a), both.rebuilt(b)),
                    (Some(both), Some(both)),
                    "{a} and {b}"
                );
            }
        }
    }
}
