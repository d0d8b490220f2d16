//! The configuration as it holds, written as a document that reads back the same.

use std::fmt::Write as _;

use super::reader::Seen;

/// Sections in the order they were read, keys with the values that hold.
pub(super) fn document(seen: &[Seen]) -> String {
    let mut text = String::new();
    let mut section = "";
    for Seen {
        section: of,
        key,
        value,
        ..
    } in seen
    {
        let Some(value) = value else { continue };
        if of != section {
            section = of;
            let gap = if text.is_empty() { "" } else { "\n" };
            let _ = match of.split_once('[') {
                Some((list, _)) => writeln!(text, "{gap}[[{list}]]"),
                None => writeln!(text, "{gap}[{of}]"),
            };
        }
        let bare = key
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '-'));
        let _ = if bare {
            writeln!(text, "{key} = {value}")
        } else {
            writeln!(text, "\"{key}\" = {value}")
        };
    }
    text
}
