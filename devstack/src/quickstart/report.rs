//! The short table at the end.

use std::fmt;
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::compare::Comparison;
use super::follow::{Ends, Seen};
use super::freshness::Freshness;
use crate::generator::load::rate;
use crate::progress::thousands;

/// A stage of the way, and how long the backlog took there.
#[derive(Debug, Clone, Copy)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// Records or rows.
    pub records: u64,
    /// From its start to the last of them.
    pub took: Duration,
}

/// All that is told.
#[derive(Debug)]
pub struct Report<'a> {
    /// The stages.
    pub stages: Vec<Stage>,
    /// Freshness of the steady phase.
    pub steady: Freshness,
    /// Its rate, records a second.
    pub steady_rate: u32,
    /// The comparison after the backlog.
    pub first: &'a [Comparison],
    /// The comparison after the steady phase.
    pub second: &'a [Comparison],
    /// What the daemons have told.
    pub seen: &'a Seen,
    /// Bounds of the topics at the end.
    pub ends: &'a Ends,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}\n", self.tables())?;
        writeln!(f, "{}\n", self.rates())?;
        let seconds = |millis: i64| format!("{}.{:02} s", millis / 1000, millis % 1000 / 10);
        let Freshness {
            p50_ms,
            p99_ms,
            max_ms,
            records,
            missing,
        } = self.steady;
        let per_second = thousands(self.steady_rate.into());
        writeln!(
            f,
            "Freshness at {per_second} events a second, record timestamp to COMMIT: p50 {}, p99 {}, slowest {} ({} records)",
            seconds(p50_ms),
            seconds(p99_ms),
            seconds(max_ms),
            thousands(records as u64),
        )?;
        if missing > 0 {
            writeln!(
                f,
                "{} records of the steady phase are in no commit",
                thousands(missing as u64)
            )?;
        }
        match self.differences() {
            0 => write!(
                f,
                "No differences: after the backlog and after the steady phase every row equals the truth."
            ),
            count => write!(f, "{} DIFFERENCES between the tables and the truth.", thousands(count)),
        }
    }
}

impl Report<'_> {
    fn differences(&self) -> u64 {
        self.first
            .iter()
            .chain(self.second)
            .map(|comparison| comparison.differences)
            .sum()
    }

    fn tables(&self) -> Table {
        let mut table = table(&[
            "table",
            "events",
            "objects",
            "bytes",
            "claims",
            "loads",
            "rows",
            "differences",
        ]);
        let mut sums = [0; 7];
        for (first, second) in self.first.iter().zip(self.second) {
            let counts = self.seen.of(second.topic);
            let bounds = self.ends.iter().filter(|((topic, _), _)| topic == second.topic);
            let events: i64 = bounds.map(|(_, (low, end))| end - low).sum();
            let numbers = [
                u64::try_from(events).unwrap_or(0),
                counts.objects,
                counts.bytes,
                counts.claims,
                counts.loads,
                second.rows,
                first.differences + second.differences,
            ];
            add(&mut table, &second.table, &numbers);
            sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
        }
        add(&mut table, "all", &sums);
        table
    }

    fn rates(&self) -> Table {
        let mut table = table(&["stage of the backlog", "rows", "seconds", "rows per second"]);
        for stage in &self.stages {
            let cells = [
                stage.name.to_owned(),
                thousands(stage.records),
                format!("{:.1}", stage.took.as_secs_f64()),
                thousands(rate(stage.records, stage.took)),
            ];
            table.add_row(cells);
        }
        table
    }
}

pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

pub(super) fn add(table: &mut Table, name: &str, numbers: &[u64]) {
    table.add_row(std::iter::once(name.to_owned()).chain(numbers.iter().map(|number| thousands(*number))));
}
