//! The short tables at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::super::follow::Counts;
use super::super::report::{add, table};
use super::compare::Comparison;
use super::database::Database;
use super::rule::Rule;
use crate::generator::load::rate;
use crate::progress::thousands;

/// What is told of a table.
#[derive(Debug)]
pub struct TableReport {
    /// `schema.table`.
    pub name: String,
    /// Records in its topic.
    pub records: u64,
    /// What the daemons made of them.
    pub counts: Counts,
    /// What came of comparing.
    pub comparison: Comparison,
}

/// All that is told.
#[derive(Debug)]
pub struct Report {
    /// What the source is.
    pub database: Database,
    /// Operations of the workload.
    pub operations: u64,
    /// Its seed.
    pub seed: u64,
    /// How long the workload took.
    pub changed: Duration,
    /// From its beginning until the last change was in Kafka.
    pub captured: Duration,
    /// From its beginning until the last change was in its table.
    pub loaded: Duration,
    /// Operations of each kind that were committed.
    pub counts: BTreeMap<&'static str, u64>,
    /// The tables.
    pub tables: Vec<TableReport>,
}

impl Report {
    /// Whether there are no differences but those that a rule explains, and no rule that explains none.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.differences() == 0 && self.unused().is_empty()
    }

    fn differences(&self) -> u64 {
        self.tables.iter().map(|table| table.comparison.differences).sum()
    }

    /// A rule that no value needed is one that nothing shows.
    fn unused(&self) -> Vec<&'static str> {
        let used = super::rules(&self.tables);
        let unused = self.database.rules().iter().filter(|rule| !used.contains_key(rule));
        unused.map(|rule| rule.name()).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tables = table(&["table", "records", "objects", "loads", "rows", "values", "differences"]);
        let mut sums = [0; 6];
        for table in &self.tables {
            let comparison = &table.comparison;
            let numbers = [
                table.records,
                table.counts.objects,
                table.counts.loads,
                comparison.rows,
                comparison.values,
                comparison.differences,
            ];
            add(&mut tables, &table.name, &numbers);
            sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
        }
        add(&mut tables, "all", &sums);
        writeln!(f, "\n{tables}\n")?;
        let counts: Vec<String> = self
            .counts
            .iter()
            .map(|(name, count)| format!("{} {name}", thousands(*count)))
            .collect();
        writeln!(f, "Committed at the source (seed {}): {}", self.seed, counts.join(", "))?;
        let seconds = |took: Duration| format!("{:.1} s", took.as_secs_f64());
        writeln!(
            f,
            "{} operations in {}; captured after {} ({} records/s), loaded after {}\n",
            thousands(self.operations),
            seconds(self.changed),
            seconds(self.captured),
            thousands(rate(sums[0], self.captured)),
            seconds(self.loaded)
        )?;
        let mut rules = table(&["held otherwise by the rule", "values"]);
        for (rule, count) in super::rules(&self.tables) {
            add(&mut rules, Rule::name(rule), &[count]);
        }
        writeln!(f, "{rules}\n")?;
        for unused in self.unused() {
            writeln!(
                f,
                "No value needed the rule `{unused}`: the workload does not show what it should."
            )?;
        }
        match self.differences() {
            0 => write!(
                f,
                "No differences: every value of {} rows and changes is in the target as it is at the source, or as a rule says.",
                thousands(sums[3])
            ),
            count => write!(f, "{} DIFFERENCES between the source and the target.", thousands(count)),
        }
    }
}
