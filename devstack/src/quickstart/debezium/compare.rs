//! Every row of every table of the source against its target, value by value.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::AddAssign;

use anyhow::{Context, Result, bail};

use super::client::Client;
use super::expected::Expected;
use super::rule::Rule;
use super::tables::{Column, EVERY_TYPE, EVOLVING, Leaves, Mode, SCHEMA, Table, UNFIT};
use super::workload::{Since, Told};
use crate::client::sql::{Row, Sql};

mod modes;

/// Differences of one column that are described, not only counted.
const EXAMPLES: usize = 2;

/// Longest value that is shown, in characters.
const SHOWN: usize = 160;

/// What came of comparing.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Rows at the source; of a table without a key, its changes.
    pub rows: u64,
    /// Values that were compared.
    pub values: u64,
    /// Rows that are missing or too many, and values that differ.
    pub differences: u64,
    /// The first of every column, in words.
    pub examples: Vec<String>,
    /// How often each rule explained a value.
    pub rules: BTreeMap<Rule, u64>,
    /// Differences by column.
    by_column: BTreeMap<&'static str, usize>,
}

impl Comparison {
    /// Something else than a value differs.
    fn differs(&mut self, example: impl FnOnce() -> String) {
        self.differs_in("", example);
    }

    fn differs_in(&mut self, column: &'static str, example: impl FnOnce() -> String) {
        self.differences += 1;
        let so_far = self.by_column.entry(column).or_default();
        *so_far += 1;
        if *so_far <= EXAMPLES {
            self.examples.push(example());
        }
    }

    fn rule(&mut self, rule: Rule) {
        self.rules.entry(rule).or_default().add_assign(1);
    }

    /// A value of the source against the target's.
    fn value(&mut self, column: &'static str, wanted: &Expected, found: Option<&str>, place: impl FnOnce() -> String) {
        self.values += 1;
        if !wanted.is(found) {
            let is = format!(
                "`{column}` is {}, should be {}",
                shown(found),
                cut(&format!("{wanted:?}"))
            );
            self.differs_in(column, || format!("{}: {is}", place()));
        }
    }
}

fn shown(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), |text| format!("`{}`", cut(text)))
}

fn cut(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() { short + "..." } else { short }
}

/// The two ends.
pub struct Ends<'a> {
    /// The source.
    pub source: &'a Client,
    /// The target.
    pub target: &'a Sql,
}

impl Ends<'_> {
    /// Sets both to show what they hold without loss.
    ///
    /// # Errors
    /// One refuses.
    pub async fn prepare(&self) -> Result<()> {
        // With fewer digits a double precision number does not come back as it was; 2 is the most that Redshift allows.
        self.target.execute("SET extra_float_digits TO 2").await.map(drop)
    }

    /// Compares one table.
    ///
    /// # Errors
    /// An end cannot be read, or a value cannot be.
    pub async fn compare(&self, table: &Table, told: &Told) -> Result<Comparison> {
        let mut comparison = Comparison::default();
        let mut table = table.clone();
        table.columns.retain(|column| {
            if column.kind.is_left_out() {
                comparison.rule(Rule::LeftOut);
            }
            !column.kind.is_left_out()
        });
        let table = &table;
        self.surplus(table, told, &mut comparison).await?;
        match table.mode {
            _ if modes::is_changelog(table) => self.changelog(table, told, &mut comparison).await?,
            Mode::Upsert => self.keyed(table, told, &mut comparison).await?,
            Mode::SoftDelete => self.soft_delete(table, told, &mut comparison).await?,
            Mode::History => self.history(table, told, &mut comparison).await?,
            Mode::Append => self.changelog(table, told, &mut comparison).await?,
        }
        Ok(comparison)
    }

    /// Columns that only the target has must be those that went.
    async fn surplus(&self, table: &Table, told: &Told, comparison: &mut Comparison) -> Result<()> {
        let query = format!(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = '{SCHEMA}' AND table_name = '{}'",
            table.name
        );
        let found = self.target.query(&query).await?.into_iter().flatten().flatten();
        let key = table.key_columns();
        let known = |name: &str| key.contains(&name) || table.columns.iter().any(|column| column.name == name);
        for name in found.filter(|name| !known(name) && !name.starts_with("_kafka_")) {
            if table.name == EVOLVING && told.dropped.contains(&name.as_str()) {
                comparison.rule(Rule::Dropped);
            } else {
                comparison.differs(|| format!("the source has no column `{name}`"));
            }
        }
        Ok(())
    }

    async fn keyed(&self, table: &Table, told: &Told, comparison: &mut Comparison) -> Result<()> {
        let names = table.columns.iter().map(|column| column.name);
        let columns: Vec<&str> = table.key_columns().iter().copied().chain(names).collect();
        let query = format!("SELECT {} FROM {SCHEMA}.{}", columns.join(", "), table.name);
        let mut found = by_key(self.target.query(&query).await?, table)?;
        let source = rows_by_key(self.source, table).await?;
        for (key, row) in &source {
            let place = || format!("{}.{} {}", SCHEMA, table.name, key.join("/"));
            let found = found.remove(key);
            comparison.rows += 1;
            let reasons = unfit_in(table, row);
            if !reasons.is_empty() {
                reasons.into_iter().for_each(|rule| comparison.rule(rule));
                if found.is_some() {
                    comparison.differs(|| format!("{} should be set aside", place()));
                }
                continue;
            }
            let Some(found) = found else {
                comparison.differs(|| format!("{} is missing", place()));
                continue;
            };
            for ((column, value), found) in table.columns.iter().zip(row).zip(&found) {
                let (wanted, rule) = in_target(table, column, value.as_deref(), found.as_deref(), key, told)
                    .with_context(|| format!("{}: column `{}`", place(), column.name))?;
                if let Some(rule) = rule {
                    comparison.rule(rule);
                }
                comparison.value(column.name, &wanted, found.as_deref(), place);
            }
        }
        for key in found.keys() {
            comparison.differs(|| format!("{SCHEMA}.{} {} is too many", table.name, key.join("/")));
        }
        Ok(())
    }

    /// Whether just those records are set aside that have values which do not fit: by their keys, and each for such a value's reason.
    ///
    /// # Errors
    /// The target cannot be read.
    pub async fn set_aside(
        &self,
        table: &Table,
        expected: &BTreeSet<Vec<String>>,
        comparison: &mut Comparison,
    ) -> Result<()> {
        let name = format!("{SCHEMA}__{}__set_aside", table.name);
        let exists = format!(
            "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'spolt' AND table_name = '{name}'"
        );
        let mut open = Vec::new();
        if self.target.value(&exists).await?.as_deref() != Some("0") {
            let keys = table.key_columns().iter().map(|key| format!("\"{key}\", "));
            let query = format!(
                "SELECT {}\"_kafka_column\", \"_kafka_reason\" FROM \"spolt\".\"{name}\" \
                 WHERE \"_kafka_status\" = 'open' AND \"_kafka_part\" = 0",
                keys.collect::<String>()
            );
            open = self.target.query(&query).await?;
        }
        let reasons = if expected.is_empty() {
            BTreeMap::new()
        } else {
            self.reasons(table).await?
        };
        let mut missing = expected.clone();
        for row in open {
            let (key, found) = row_at(row, table.key_columns().len());
            comparison.values += 1;
            let found: Vec<&str> = found.iter().flatten().map(String::as_str).collect();
            let is_known = matches!(found[..], [column, reason]
                if reasons.get(&key).is_some_and(|wanted| wanted.contains(&(column, reason))));
            if !(missing.remove(&key) && is_known) {
                comparison.differs_in("set aside", || {
                    format!("{SCHEMA}.{} {} is set aside for {found:?}", table.name, key.join("/"))
                });
            }
        }
        for key in missing {
            comparison.differs_in("set aside", || {
                format!("{SCHEMA}.{} {} is not set aside", table.name, key.join("/"))
            });
        }
        Ok(())
    }

    /// For which columns and reasons the record of each row may be set aside.
    async fn reasons(&self, table: &Table) -> Result<BTreeMap<Vec<String>, Vec<(&'static str, &'static str)>>> {
        let rows = rows_by_key(self.source, table).await?;
        let of = |row: &Row| {
            let pairs = table.columns.iter().zip(row);
            let unfit = pairs.filter_map(|(column, value)| {
                let rule = column.kind.unfit(value.as_deref()?)?;
                Some((column.name, rule.reason()?))
            });
            unfit.collect()
        };
        Ok(rows.into_iter().map(|(key, row)| (key, of(&row))).collect())
    }
}

/// The source's rows by the texts of their key, without it.
async fn rows_by_key(source: &Client, table: &Table) -> Result<BTreeMap<Vec<String>, Row>> {
    let query = format!("SELECT {} FROM {SCHEMA}.{}", table.shown(), table.name);
    by_key(source.query(&query).await?, table)
}

fn by_key(rows: Vec<Row>, table: &Table) -> Result<BTreeMap<Vec<String>, Row>> {
    let mut all = BTreeMap::new();
    for row in rows {
        let (key, values) = row_at(row, table.key_columns().len());
        if let Some(twice) = all.insert(key, values) {
            bail!("a key is there twice, also with {}", cut(&format!("{twice:?}")));
        }
    }
    Ok(all)
}

/// The key of a row, of so many columns, and the others.
fn row_at(mut row: Row, keys: usize) -> (Vec<String>, Row) {
    let values = row.split_off(keys);
    (row.into_iter().map(Option::unwrap_or_default).collect(), values)
}

/// By which rules the record of a row is set aside.
fn unfit_in(table: &Table, row: &Row) -> Vec<Rule> {
    let pairs = table.columns.iter().zip(row).filter(|_| table.name == UNFIT);
    pairs
        .filter_map(|(column, value)| column.kind.unfit(value.as_deref()?))
        .collect()
}

fn plain(column: &Column, value: Option<&str>) -> Result<(Expected, Option<Rule>)> {
    match value {
        None => Ok((Expected::Null, None)),
        Some(text) => column.kind.expected(text).map_err(anyhow::Error::msg),
    }
}

/// What the target should hold of a row's column, the exceptions of its table included.
fn in_target(
    table: &Table,
    column: &Column,
    value: Option<&str>,
    found: Option<&str>,
    key: &[String],
    told: &Told,
) -> Result<(Expected, Option<Rule>)> {
    // NULL takes the place of what does not fit, as the rules of the topic say.
    if table.name == EVERY_TYPE
        && let Some(rule) = value.and_then(|text| column.kind.unfit(text))
    {
        return Ok((Expected::Null, Some(rule)));
    }
    if table.name == EVOLVING {
        let id = key.first().and_then(|id| id.parse().ok()).unwrap_or_default();
        if let Some(leaves) = left(&told.since, column.name, id) {
            return Ok(match leaves {
                Leaves::Null => (Expected::Null, Some(Rule::Renamed)),
                Leaves::Epoch => (Expected::Text("1970-01-01 00:00:00+00".into()), Some(Rule::NoConstant)),
            });
        }
        if column.name == "level" && value.is_none() && found == Some("7") {
            return Ok((Expected::Text("7".into()), Some(Rule::NullAsDefault)));
        }
    }
    plain(column, value)
}

/// What a row has in a column that came after it was written last.
fn left(since: &[Since], column: &str, id: i64) -> Option<Leaves> {
    let since = since.iter().find(|since| since.column == column)?;
    (!since.written.contains(&id)).then_some(since.leaves)
}
