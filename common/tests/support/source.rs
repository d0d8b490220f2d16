//! The source's tables as they were at the end, in PostgreSQL's CSV: NULL is an empty field without quotes.

use std::collections::BTreeMap;

use super::debezium;

type Row = BTreeMap<String, Option<String>>;

/// The rows of a captured table, `TABLE` or `TABLE.later`.
pub(crate) fn rows(name: &str) -> Vec<Row> {
    let text = debezium::final_text(name);
    let mut records = records(&text).into_iter();
    let names: Vec<String> = records.next().unwrap().into_iter().flatten().collect();
    records
        .map(|fields| names.iter().cloned().zip(fields).collect())
        .collect()
}

fn records(text: &str) -> Vec<Vec<Option<String>>> {
    let (mut records, mut record) = (Vec::new(), Vec::new());
    let (mut field, mut quoted, mut inside) = (String::new(), false, false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if inside && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => {
                inside = !inside;
                quoted = true;
            }
            ',' | '\n' if !inside => {
                let value = std::mem::take(&mut field);
                record.push((quoted || !value.is_empty()).then_some(value));
                quoted = false;
                if c == '\n' {
                    records.push(std::mem::take(&mut record));
                }
            }
            _ => field.push(c),
        }
    }
    assert!(record.is_empty() && field.is_empty(), "the file ends with a line");
    records
}
