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
}
