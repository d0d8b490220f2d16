//! Every row of a target table against the truth.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::pin::pin;

use anyhow::{Context, Result};
use futures::TryStreamExt;
use tokio_postgres::SimpleQueryMessage;

use crate::client::sql::{Row, Sql};
use crate::generator::avro::Type;
use crate::generator::cell::Cell;
use crate::generator::messages::Truth;

/// Differences that are described, not only counted.
const EXAMPLES: usize = 5;

/// What came of comparing one table.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// `schema.table`.
    pub table: String,
    /// The topic that it comes from.
    pub topic: &'static str,
    /// Rows in the target.
    pub rows: u64,
    /// Rows that are missing, too many, or differ in some column.
    pub differences: u64,
    /// The first of them, in words.
    pub examples: Vec<String>,
}

impl Comparison {
    fn differs(&mut self, example: impl FnOnce() -> String) {
        self.differences += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
    }
}

/// Compares one table.
///
/// # Errors
/// The target cannot be read.
pub async fn table(sql: &Sql, truth: &(dyn Truth + Sync)) -> Result<Comparison> {
    let (schema, table) = truth.table();
    let name = format!("{schema}.{table}");
    let mut comparison = Comparison {
        table: name,
        topic: truth.topic(),
        rows: 0,
        differences: 0,
        examples: Vec::new(),
    };
    let columns: Vec<String> = truth.columns().iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let order = truth
        .key()
        .map_or_else(String::new, |key| format!(" ORDER BY {}", columns[key]));
    let query = format!("SELECT {} FROM \"{schema}\".\"{table}\"{order}", columns.join(", "));
    // With fewer digits a double precision number does not come back as it was; 2 is the most that Redshift allows.
    sql.execute("SET extra_float_digits TO 2").await?;
    let mut rows = pin!(
        sql.client()
            .simple_query_raw(&query)
            .await
            .with_context(|| format!("cannot run `{query}`"))?
    );
    match truth.key() {
        Some(key) => {
            let mut merge = Merge {
                truth,
                key,
                expected: truth.rows(),
                next: None,
            };
            while let Some(message) = rows.try_next().await? {
                if let Some(row) = row(&message) {
                    comparison.rows += 1;
                    merge.take(&row, &mut comparison);
                }
            }
            merge.rest(&mut comparison);
        }
        None => {
            let mut bag = Bag::of(truth);
            while let Some(message) = rows.try_next().await? {
                if let Some(row) = row(&message) {
                    comparison.rows += 1;
                    bag.take(row, truth, &mut comparison);
                }
            }
            bag.rest(&mut comparison);
        }
    }
    Ok(comparison)
}

fn row(message: &SimpleQueryMessage) -> Option<Row> {
    match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|index| row.get(index).map(str::to_owned)).collect()),
        _ => None,
    }
}

/// Walks both tables in the order of the key.
struct Merge<'a> {
    truth: &'a (dyn Truth + Sync),
    key: usize,
    expected: Box<dyn Iterator<Item = Vec<Cell>> + Send + 'a>,
    next: Option<Vec<Cell>>,
}

impl Merge<'_> {
    fn take(&mut self, row: &Row, comparison: &mut Comparison) {
        let key = row[self.key].as_deref();
        loop {
            let Some(expected) = self.next.take().or_else(|| self.expected.next()) else {
                return comparison.differs(|| format!("too many: {}", shown(key)));
            };
            match order(&expected[self.key], key) {
                Ordering::Less => comparison.differs(|| format!("missing: {}", expected[self.key].text())),
                Ordering::Greater => {
                    self.next = Some(expected);
                    return comparison.differs(|| format!("too many: {}", shown(key)));
                }
                Ordering::Equal => {
                    let place = expected
                        .iter()
                        .zip(row)
                        .position(|(cell, text)| !cell.is(text.as_deref()));
                    if let Some(place) = place {
                        let column = self.truth.columns()[place].0;
                        let (cell, text) = (expected[place].clone(), row[place].clone());
                        comparison.differs(|| {
                            format!("{}: `{column}` is {}, not {cell:?}", shown(key), shown(text.as_deref()))
                        });
                    }
                    return;
                }
            }
        }
    }

    fn rest(&mut self, comparison: &mut Comparison) {
        while let Some(expected) = self.next.take().or_else(|| self.expected.next()) {
            comparison.differs(|| format!("missing: {}", expected[self.key].text()));
        }
    }
}

/// How the expected key compares with the one found, in the order in which the target sorts: numbers as such, text by its bytes.
fn order(expected: &Cell, found: Option<&str>) -> Ordering {
    match (expected, found) {
        // NULL sorts last.
        (_, None) => Ordering::Less,
        (Cell::Int(number), Some(text)) => text.parse().map_or(Ordering::Less, |found| number.cmp(&found)),
        (cell, Some(text)) => cell.text().as_str().cmp(text),
    }
}

/// Rows without a key: how often each is expected.
struct Bag(HashMap<Row, i64>);

impl Bag {
    fn of(truth: &(dyn Truth + Sync)) -> Self {
        let mut bag = HashMap::new();
        for cells in truth.rows() {
            let row: Row = cells
                .iter()
                .map(|cell| (*cell != Cell::Null).then(|| cell.text()))
                .collect();
            *bag.entry(row).or_default() += 1;
        }
        Self(bag)
    }

    fn take(&mut self, mut row: Row, truth: &(dyn Truth + Sync), comparison: &mut Comparison) {
        for (text, (_, kind)) in row.iter_mut().zip(truth.columns()) {
            // Shortest digits have two forms (1e-05, 0.00001): bring them to ours.
            if let (Type::OptDouble, Some(number)) = (kind, text.as_ref().and_then(|text| text.parse::<f64>().ok())) {
                *text = Some(Cell::Double(number).text());
            }
        }
        match self.0.get_mut(&row) {
            Some(left) if *left > 0 => *left -= 1,
            _ => comparison.differs(|| format!("too many: {row:?}")),
        }
    }

    fn rest(&self, comparison: &mut Comparison) {
        for (row, left) in &self.0 {
            for _ in 0..*left {
                comparison.differs(|| format!("missing: {row:?}"));
            }
        }
    }
}

fn shown(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), |text| format!("`{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::avro::Column;

    struct Small(Option<usize>, Vec<(i64, Option<f64>)>);

    impl Truth for Small {
        fn topic(&self) -> &'static str {
            "x"
        }
        fn table(&self) -> (&'static str, &'static str) {
            ("s", "t")
        }
        fn columns(&self) -> &'static [Column] {
            &[("id", Type::Long), ("number", Type::OptDouble)]
        }
        fn key(&self) -> Option<usize> {
            self.0
        }
        fn len(&self) -> usize {
            self.1.len()
        }
        fn rows(&self) -> Box<dyn Iterator<Item = Vec<Cell>> + Send + '_> {
            Box::new(
                self.1
                    .iter()
                    .map(|(id, number)| vec![Cell::Int(*id), number.map_or(Cell::Null, Cell::Double)]),
            )
        }
    }

    fn compare(truth: &Small, found: &[(&str, Option<&str>)]) -> Comparison {
        let mut comparison = Comparison {
            table: "s.t".into(),
            topic: "x",
            rows: 0,
            differences: 0,
            examples: Vec::new(),
        };
        let rows = found
            .iter()
            .map(|(id, number)| vec![Some((*id).to_owned()), number.map(str::to_owned)]);
        match truth.key() {
            Some(key) => {
                let mut merge = Merge {
                    truth,
                    key,
                    expected: truth.rows(),
                    next: None,
                };
                rows.for_each(|row| merge.take(&row, &mut comparison));
                merge.rest(&mut comparison);
            }
            None => {
                let mut bag = Bag::of(truth);
                rows.for_each(|row| bag.take(row, truth, &mut comparison));
                bag.rest(&mut comparison);
            }
        }
        comparison
    }

    #[test]
    fn sees_what_is_missing_too_many_twice_or_different() {
        for key in [Some(0), None] {
            let truth = Small(key, vec![(1, None), (2, Some(0.00001)), (10, Some(2.0))]);
            assert_eq!(
                compare(&truth, &[("1", None), ("2", Some("1e-05")), ("10", Some("2"))]).differences,
                0
            );
            assert_eq!(
                compare(&truth, &[("1", None), ("10", Some("2"))]).differences,
                1,
                "one is missing"
            );
            assert_eq!(compare(&truth, &[]).differences, 3, "all are missing");
            let twice = [("1", None), ("1", None), ("2", Some("1e-05")), ("10", Some("2"))];
            assert_eq!(compare(&truth, &twice).differences, 1, "one is there twice");
            let more = [("1", None), ("2", Some("1e-05")), ("10", Some("2")), ("11", None)];
            assert_eq!(compare(&truth, &more).differences, 1, "one is too many");
            let null = [("1", Some("0")), ("2", Some("1e-05")), ("10", Some("2"))];
            assert!(compare(&truth, &null).differences >= 1, "zero is not NULL");
        }
    }
}
