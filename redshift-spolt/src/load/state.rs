//! A target table's state rows (rule 14): their layout, how they are read, and what they say.
//!
//! Per target table there are two tables in the state schema. `{schema}__{table}__state` has one row of kind `lineage` per source
//! partition (a reset moves its incarnation), one row of kind `table`, one of kind `order` where rows are ordered by a column (its field
//! stands in `topic`), one of kind `barrier` per old partition of an accepted increase of their number, and one of kind `refresh` per
//! partition while the table is refreshed. `{schema}__{table}__ledger` has one row per applied claim.

use std::collections::BTreeMap;

use common::chain::Position;
use common::failure::Failure;
use common::ids::{Incarnation, Offset, Partition};
use common::plan::PlanId;
use runtime::port::Answer;

use super::growth::Increase;
use super::names::TableName;
use super::sql::fill;

/// What the state table says of one source partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// Source cluster.
    pub cluster: String,
    /// Upstream topic.
    pub topic: String,
    /// How far it is applied.
    pub position: Position,
    /// First signal that may still matter.
    pub signal_next: Offset,
}

/// What the state table says of the table as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableRow {
    /// Loads committed so far.
    pub serial: i64,
    /// Load that created the target.
    pub generation: String,
    /// Plan that has all columns that were ever loaded; `None` before the first rows.
    pub plan: Option<PlanId>,
    /// Partitions that the topic had when the table's first lineage began, as the genesis claims say; those added later do not share
    /// the order of the others (rule 13), until an operator accepts them and their barriers are passed.
    pub partitions: Option<u32>,
    /// How many partitions there were before each increase that is in force, in order: a key may have moved across these borders.
    pub grown: Vec<u32>,
    /// The field that rows are ordered by since the first one (rule 20); `None` for the order of offsets.
    pub order: Option<String>,
    /// Whether the table is refreshed, so that rows go into the one beside it (`load::refresh`).
    pub refreshing: bool,
}

/// All of a table's state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// By source partition.
    pub lineages: BTreeMap<Partition, Checkpoint>,
    /// `None` before the first load.
    pub table: Option<TableRow>,
    /// Increases of the number of partitions that an operator accepted, the smallest first.
    pub increases: Vec<Increase>,
    /// Where a refresh that is under way began; empty if there is none.
    pub refresh: BTreeMap<Partition, Checkpoint>,
}

/// Statements about the state tables of one target table.
#[derive(Debug, Clone)]
pub struct StateTables {
    /// Delimited name of the state table.
    pub state: String,
    /// Delimited name of the ledger.
    pub ledger: String,
    /// Delimited name of the table of deleted keys, which only tables have that are ordered by a column.
    pub deleted: String,
}

impl StateTables {
    /// The state tables of a target table.
    #[must_use]
    pub fn of(table: &TableName, state_schema: &str) -> StateTables {
        StateTables {
            state: table.state(state_schema).sql(),
            ledger: table.ledger(state_schema).sql(),
            deleted: table.deleted(state_schema).sql(),
        }
    }

    fn fill(&self, template: &str) -> String {
        fill(template, &[("state", &self.state), ("ledger", &self.ledger)])
    }

    /// Creates both tables where they are missing.
    #[must_use]
    pub fn create(&self) -> [String; 2] {
        [
            self.fill(include_str!("../../../sql/create_state.sql")),
            self.fill(include_str!("../../../sql/create_ledger.sql")),
        ]
    }

    /// Waits for every writer of the state and excludes others until the transaction ends (rules 17, 18).
    #[must_use]
    pub fn lock(&self) -> String {
        self.fill(include_str!("../../../sql/lock_state.sql"))
    }

    /// Reads all state rows; the answer goes to [`State::parse`].
    #[must_use]
    pub fn read(&self) -> String {
        self.fill(include_str!("../../../sql/read_state.sql"))
    }
}

impl State {
    /// Reads the answer of [`StateTables::read`].
    ///
    /// # Errors
    /// When a row is malformed, or a lineage or the table has more than one row: then nothing may be applied by them.
    pub fn parse(answer: &Answer) -> Result<State, Failure> {
        let mut state = State::default();
        let mut increases: BTreeMap<u32, BTreeMap<Partition, Position>> = BTreeMap::new();
        let mut order = None;
        for row in &answer.rows {
            let row = Row(row);
            match row.text(0) {
                Some("barrier") => {
                    let count = u32::try_from(row.number(10)?).map_err(|_| row.malformed())?;
                    increases
                        .entry(count)
                        .or_default()
                        .insert(row.partition()?, row.position()?);
                }
                Some("refresh") => {
                    state.refresh.insert(row.partition()?, row.checkpoint()?);
                }
                Some("order") => {
                    let column = row.text(2).ok_or_else(|| row.malformed())?.to_owned();
                    if order.replace(column).is_some() {
                        return Err(Failure::halt("the state has more than one row of kind `order`").hint(BY_HAND));
                    }
                }
                Some("table") => {
                    if state.table.replace(row.table()?).is_some() {
                        return Err(Failure::halt("the state has more than one row of kind `table`").hint(BY_HAND));
                    }
                }
                Some("lineage") => {
                    let (partition, checkpoint) = (row.partition()?, row.checkpoint()?);
                    let position = checkpoint.position;
                    if let Some(other) = state.lineages.insert(partition, checkpoint) {
                        return Err(Failure::halt(format!(
                            "the state has more than one row of a partition, at `{}` and `{position}`",
                            other.position
                        ))
                        .topic(other.topic)
                        .partition(partition)
                        .hint(BY_HAND));
                    }
                }
                _ => return Err(row.malformed()),
            }
        }
        state.increases = increases
            .into_iter()
            .map(|(count, barriers)| Increase { count, barriers })
            .collect();
        if let Some(row) = &mut state.table {
            row.order = order;
            row.refreshing = !state.refresh.is_empty();
        }
        state.settle();
        Ok(state)
    }

    /// From where on objects may be needed again: from the checkpoints, but while the table is refreshed from where that began. A lineage that
    /// began since then would have to begin anew.
    #[must_use]
    pub fn needed(&self) -> BTreeMap<Partition, &Checkpoint> {
        let checkpoints = if self.refresh.is_empty() {
            &self.lineages
        } else {
            &self.refresh
        };
        checkpoints
            .iter()
            .map(|(partition, checkpoint)| (*partition, checkpoint))
            .collect()
    }

    /// Increases whose barriers are passed are in force: what the table's row says of the number of partitions is raised by them.
    fn settle(&mut self) {
        let Some(row) = &mut self.table else { return };
        for increase in &self.increases {
            let written = row.partitions.is_some_and(|count| count >= increase.count);
            if !written && !increase.passed(&self.lineages) {
                return;
            }
            row.partitions = row.partitions.max(Some(increase.count));
            row.grown.push(increase.before());
        }
    }
}

/// A row of the state table, by the columns of `read_state.sql`.
struct Row<'a>(&'a [Option<String>]);

impl Row<'_> {
    fn malformed(&self) -> Failure {
        Failure::halt(format!("state row is malformed: `{:?}`", self.0)).hint(BY_HAND)
    }

    fn text(&self, index: usize) -> Option<&str> {
        self.0.get(index).and_then(Option::as_deref)
    }

    fn number(&self, index: usize) -> Result<i64, Failure> {
        let number = self.text(index).and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.malformed())
    }

    fn partition(&self) -> Result<Partition, Failure> {
        i32::try_from(self.number(4)?)
            .map(Partition)
            .map_err(|_| self.malformed())
    }

    fn position(&self) -> Result<Position, Failure> {
        Ok(Position {
            incarnation: Incarnation(u32::try_from(self.number(3)?).map_err(|_| self.malformed())?),
            next: Offset(self.number(5)?),
        })
    }

    fn checkpoint(&self) -> Result<Checkpoint, Failure> {
        let name = |index| self.text(index).map(str::to_owned).ok_or_else(|| self.malformed());
        Ok(Checkpoint {
            cluster: name(1)?,
            topic: name(2)?,
            position: self.position()?,
            signal_next: Offset(self.number(9)?),
        })
    }

    fn table(&self) -> Result<TableRow, Failure> {
        Ok(TableRow {
            serial: self.number(6)?,
            generation: self.text(7).unwrap_or_default().to_owned(),
            plan: self.text(8).map(|plan| PlanId(plan.to_owned())),
            partitions: self.text(10).and_then(|count| count.parse().ok()),
            grown: Vec::new(),
            order: None,
            refreshing: false,
        })
    }
}

const BY_HAND: &str =
    "somebody wrote to the state table by hand; restore it from a snapshot together with its target table";

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Vec<Option<String>> {
        text.split('|')
            .map(|field| (field != "-").then(|| field.to_owned()))
            .collect()
    }

    #[test]
    fn rows_read_back_and_doubles_are_refused() {
        let lineage = "lineage|c|t|0|3|17|-|-|-|5";
        let answer = Answer {
            rows: vec![row(lineage), row("table|-|-|-|-|-|4|g|p|-|6")],
            affected: 2,
        };
        let state = State::parse(&answer).unwrap();
        let checkpoint = &state.lineages[&Partition(3)];
        assert_eq!(
            (checkpoint.position.next, checkpoint.signal_next),
            (Offset(17), Offset(5))
        );
        let table = state.table.unwrap();
        assert_eq!((table.plan, table.partitions), (Some(PlanId("p".into())), Some(6)));
        let mut refreshed = answer.clone();
        refreshed.rows.push(row("lineage|c|t|0|4|9|-|-|-|5|-"));
        refreshed.rows.push(row("refresh|c|t|0|3|12|-|-|-|4|-"));
        let state = State::parse(&refreshed).unwrap();
        assert!(state.table.as_ref().unwrap().refreshing);
        let needed = state
            .needed()
            .into_iter()
            .map(|(partition, at)| (partition, at.position.next));
        assert_eq!(
            needed.collect::<Vec<_>>(),
            [(Partition(3), Offset(12))],
            "not from where the rows beside are"
        );
        let mut ordered = answer.clone();
        ordered.rows.insert(1, row("order|-|updated|-|-|-|-|-|-|-|-"));
        let state = State::parse(&ordered).unwrap();
        assert_eq!(state.table.unwrap().order.as_deref(), Some("updated"));
        ordered.rows.insert(1, row("order|-|created|-|-|-|-|-|-|-|-"));
        assert!(State::parse(&ordered).is_err());
        let mut grown = answer.clone();
        for barrier in ["barrier|c|t|0|3|18|-|-|-|-|8", "barrier|c|t|0|3|17|-|-|-|-|7"] {
            grown.rows.push(row(barrier));
        }
        let state = State::parse(&grown).unwrap();
        assert_eq!(state.increases.len(), 2);
        let table = state.table.unwrap();
        assert_eq!(
            (table.partitions, table.grown),
            (Some(7), vec![1]),
            "the second barrier is ahead"
        );
        let doubled = Answer {
            rows: vec![row(lineage), row(lineage)],
            affected: 2,
        };
        assert!(State::parse(&doubled).is_err());
        assert!(
            State::parse(&Answer {
                rows: vec![row("lineage|c|t|0|x|17|-|-|-|5")],
                affected: 1
            })
            .is_err()
        );
    }
}
