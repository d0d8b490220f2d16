//! From the name of a source field to the name of a column (redshift.md section 7, "Name mapping"; limits: section 2.2).

use sha2::{Digest, Sha256};

use crate::plan::{META_COLUMNS, hex};

/// The longest name, in bytes; a longer one is cut silently by Redshift.
pub const NAME_BYTES_MAX: usize = 127;
/// Names that begin so are ours.
pub const RESERVED_PREFIX: &str = "_kafka_";
/// Columns that every PostgreSQL table has, so that no user column can be called so.
const SYSTEM_COLUMNS: [&str; 8] = ["oid", "tableoid", "xmin", "xmax", "cmin", "cmax", "ctid", "deletexid"];
/// What a system column's name gets in front.
const SYSTEM_PREFIX: &str = "src_";
/// Hex digits of the source name's digest that tell apart names which would be the same.
const SUFFIX_DIGITS: usize = 8;

/// The name of the column for a field, different from all `taken` ones; `None` for a name that is reserved.
#[must_use]
pub fn column_name(field: &str, taken: impl Fn(&str) -> bool) -> Option<String> {
    let lower = field.to_lowercase();
    if lower.starts_with(RESERVED_PREFIX) || META_COLUMNS.iter().any(|column| column.name == lower) {
        return None;
    }
    let mut name: String = lower
        .chars()
        .map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' })
        .collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_numeric()) {
        name.insert(0, '_');
    }
    if SYSTEM_COLUMNS.contains(&name.as_str()) {
        name.insert_str(0, SYSTEM_PREFIX);
    }
    if name.len() <= NAME_BYTES_MAX && !taken(&name) && !name.starts_with(RESERVED_PREFIX) {
        return Some(name);
    }
    let digest = hex(&Sha256::digest(field.as_bytes()));
    cut(&mut name, NAME_BYTES_MAX - SUFFIX_DIGITS - 1);
    let name = format!("{name}_{}", &digest[..SUFFIX_DIGITS]);
    (!taken(&name)).then_some(name)
}

fn cut(name: &mut String, bytes: usize) {
    let end = (0..=bytes.min(name.len()))
        .rev()
        .find(|&end| name.is_char_boundary(end));
    name.truncate(end.unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(field: &str) -> Option<String> {
        column_name(field, |_| false)
    }

    #[test]
    fn names_become_lower_case_words() {
        assert_eq!(name("carrierCode").as_deref(), Some("carriercode"));
        assert_eq!(name("dep-time (min)").as_deref(), Some("dep_time__min_"));
        assert_eq!(name("2nd").as_deref(), Some("_2nd"));
        assert_eq!(name("Größe").as_deref(), Some("größe"));
        assert_eq!(name("xmin").as_deref(), Some("src_xmin"));
        assert_eq!(name("OID").as_deref(), Some("src_oid"));
        assert_eq!(name("_kafka_offset"), None);
        assert_eq!(name("_Kafka_x"), None);
    }

    #[test]
    fn names_that_would_meet_get_a_suffix_of_their_source() {
        let first = column_name("A b", |_| false).unwrap();
        let second = column_name("A-b", |name| name == first).unwrap();
        assert_eq!(first, "a_b");
        assert!(second.starts_with("a_b_") && second.len() == 12, "{second}");
        let long = name(&"ä".repeat(100)).unwrap();
        assert!(long.len() <= NAME_BYTES_MAX && long.contains("ä_"), "{long}");
        assert_ne!(long, name(&"ä".repeat(101)).unwrap());
    }
}
