//! Identifiers: folding to lower case, the limit of 127 bytes, and aliases for names that PostgreSQL would cut at 63 bytes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Longest identifier of Redshift in bytes; what is longer is cut silently (redshift.md 2.2).
pub const NAME_BYTES_MAX: usize = 127;
/// Longest identifier of PostgreSQL in bytes.
pub const STORED_BYTES_MAX: usize = 63;

/// Cuts `text` to at most `bytes_max` bytes at the end of a character.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The name as Redshift understands it: folded to lower case unless `keep_case`, cut at 127 bytes.
#[must_use]
pub fn fold(name: &str, keep_case: bool) -> String {
    let cut = cut(name, NAME_BYTES_MAX);
    if keep_case {
        cut.to_owned()
    } else {
        cut.to_ascii_lowercase()
    }
}

/// The name as PostgreSQL stores it: itself up to 63 bytes, else its beginning and a hash that is the same in every run.
#[must_use]
pub fn stored(name: &str) -> String {
    if name.len() <= STORED_BYTES_MAX {
        return name.to_owned();
    }
    // FNV-1a over the whole name: stable across versions and machines, which the standard library's hasher does not promise.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{}_{hash:016x}", cut(name, STORED_BYTES_MAX - 17))
}

/// `name` as a delimited identifier of PostgreSQL.
#[must_use]
pub fn delimited(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `text` as a literal; backslashes are escaped because Redshift's literals interpret them.
#[must_use]
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// Every alias in use, to show clients the name they gave. Shared by all sessions and kept in `redshift_local.long_name`.
#[derive(Debug, Default)]
pub struct Aliases {
    names: Mutex<HashMap<String, String>>,
}

impl Aliases {
    /// Remembers the alias of a long name; true when it was unknown and has to be stored.
    pub fn insert(&self, alias: String, name: String) -> bool {
        self.names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(alias, name)
            .is_none()
    }

    /// The name behind an alias.
    pub fn name_of(&self, alias: &str) -> Option<String> {
        self.names
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(alias)
            .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_get_stable_distinct_aliases() {
        let long = "a".repeat(126);
        let (one, two) = (format!("{long}1"), format!("{long}2"));
        assert_eq!(stored(&one).len(), STORED_BYTES_MAX);
        assert_ne!(stored(&one), stored(&two));
        assert_eq!(stored(&one), stored(&one.clone()));
        assert_eq!(stored("short"), "short");
    }

    #[test]
    fn folds_and_cuts_at_characters() {
        assert_eq!(fold("AbÉ", false), "abÉ");
        assert_eq!(fold("Ab", true), "Ab");
        assert_eq!(fold(&"é".repeat(100), false).len(), 126);
    }
}
