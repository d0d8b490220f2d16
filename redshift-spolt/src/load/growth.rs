//! Partitions that are added to a topic whose table has a key (rules 13, 20).
//!
//! When the number of partitions grows, producers begin to write a key's changes elsewhere, and changes in two partitions have no order.
//! The new partitions therefore wait until an operator says that every producer uses them. What was written of a moved key to an old
//! partition then lies below that partition's end *of that moment*: the end when the increase was first seen would be too early, since
//! producers learn of it minutes apart. These ends, the barriers, are written into the state table under its lock; the new partitions are
//! applied when every old partition's checkpoint has passed its barrier, and so after everything that could be older.

use std::collections::BTreeMap;

use common::chain::Position;
use common::failure::Failure;
use common::ids::Partition;

use super::sql::literal;
use super::state::{Checkpoint, State, StateTables};

/// An increase that an operator accepted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Increase {
    /// How many partitions the topic then had.
    pub count: u32,
    /// Where each partition that was there before must have got to.
    pub barriers: BTreeMap<Partition, Position>,
}

impl Increase {
    /// How many partitions there were before.
    #[must_use]
    pub fn before(&self) -> u32 {
        u32::try_from(self.barriers.len()).unwrap_or(u32::MAX)
    }

    /// Whether every old partition has passed its barrier.
    #[must_use]
    pub fn passed(&self, lineages: &BTreeMap<Partition, Checkpoint>) -> bool {
        self.barriers.iter().all(|(partition, barrier)| {
            lineages
                .get(partition)
                .is_some_and(|checkpoint| checkpoint.position >= *barrier)
        })
    }
}

/// What an operator would accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Source cluster.
    pub cluster: String,
    /// Upstream topic.
    pub topic: String,
    /// How many partitions are applied now.
    pub before: u32,
    /// The increase.
    pub increase: Increase,
}

/// What would be accepted, with the topic's number of partitions and the barriers of now.
///
/// # Errors
/// When there is nothing to accept.
pub fn propose(state: &State, count: u32, barriers: &BTreeMap<Partition, Position>) -> Result<Proposal, Failure> {
    let nothing = |why: String| Failure::stop(why);
    let row = state.table.as_ref().ok_or_else(|| {
        nothing("nothing was loaded yet: all partitions of a topic's beginning belong together".into())
    })?;
    if let Some(column) = &row.order {
        return Err(nothing(format!(
            "rows are ordered by `{column}`, so all partitions are applied as they come"
        )));
    }
    let before = row
        .partitions
        .ok_or_else(|| nothing("the table's claims do not say how many partitions it began with".into()))?;
    if count <= before {
        return Err(nothing(format!(
            "all `{before}` partitions are applied; the topic has `{count}`"
        )));
    }
    let first = state
        .lineages
        .values()
        .next()
        .ok_or_else(|| nothing("the table has no checkpoints".into()))?;
    let old = i32::try_from(before).unwrap_or(i32::MAX);
    let barriers = (0..old)
        .map(Partition)
        .map(|partition| {
            let barrier = barriers.get(&partition).copied();
            let missing = || Failure::stop("the end of the partition is not known").partition(partition);
            Ok((partition, barrier.ok_or_else(missing)?))
        })
        .collect::<Result<_, Failure>>()?;
    Ok(Proposal {
        cluster: first.cluster.clone(),
        topic: first.topic.clone(),
        before,
        increase: Increase { count, barriers },
    })
}

impl Proposal {
    /// The statements that record the acceptance, to be run under the lock of the state table. An earlier acceptance that has not come
    /// into force yet is replaced: nothing was applied by it, and the new barriers are later.
    ///
    /// # Errors
    /// When a name cannot be written as a literal.
    pub fn record(&self, tables: &StateTables) -> Result<[String; 2], Failure> {
        let (cluster, topic) = (literal(&self.cluster)?, literal(&self.topic)?);
        let rows: Vec<String> = self
            .increase
            .barriers
            .iter()
            .map(|(partition, barrier)| {
                format!(
                    "('barrier', {cluster}, {topic}, {}, {partition}, {}, {})",
                    barrier.incarnation, barrier.next, self.increase.count
                )
            })
            .collect();
        Ok([
            format!(
                "DELETE FROM {} WHERE \"kind\" = 'barrier' AND \"partitions\" > {}",
                tables.state, self.before
            ),
            format!(
                "INSERT INTO {} (\"kind\", \"cluster\", \"topic\", \"incarnation\", \"partition\", \"next_offset\", \"partitions\")\nVALUES\n    {}",
                tables.state,
                rows.join(",\n    ")
            ),
        ])
    }
}

/// Why the lineage of an added partition waits.
#[must_use]
pub fn waiting(topic: &str, partition: Partition, count: u32) -> Failure {
    Failure::halt(format!(
        "the partition was added after the table began with `{count}`, so the order of a key's changes is not known"
    ))
    .topic(topic)
    .partition(partition)
    .hint(
        "when every producer writes to all partitions: `redshift-spolt accept-partitions TOPIC` shows what is waited for, and accepts it with \
         --apply; the lineage then goes on by itself when the old partitions have caught up",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::names::TableName;
    use crate::load::state::TableRow;
    use common::ids::{Incarnation, Offset};

    fn at(incarnation: u32, next: i64) -> Position {
        Position {
            incarnation: Incarnation(incarnation),
            next: Offset(next),
        }
    }

    fn state(partitions: Option<u32>, positions: &[Position]) -> State {
        let checkpoint = |position: &Position| Checkpoint {
            cluster: "c".into(),
            topic: "t".into(),
            position: *position,
            signal_next: Offset(0),
        };
        State {
            lineages: (0..).map(Partition).zip(positions.iter().map(checkpoint)).collect(),
            table: Some(TableRow {
                serial: 3,
                generation: "g".into(),
                plan: None,
                partitions,
                grown: Vec::new(),
                order: None,
                refreshing: false,
            }),
            increases: Vec::new(),
            refresh: BTreeMap::new(),
        }
    }

    fn barriers(positions: &[Position]) -> BTreeMap<Partition, Position> {
        (0..).map(Partition).zip(positions.iter().copied()).collect()
    }

    #[test]
    fn an_increase_is_in_force_when_every_old_partition_has_passed() {
        let ends = barriers(&[at(0, 10), at(1, 4)]);
        let behind = state(Some(2), &[at(0, 9), at(1, 4)]);
        let proposal = propose(&behind, 4, &ends).unwrap();
        assert_eq!((proposal.before, proposal.increase.before()), (2, 2));
        assert!(!proposal.increase.passed(&behind.lineages));
        assert!(
            proposal
                .increase
                .passed(&state(Some(2), &[at(1, 0), at(1, 4)]).lineages),
            "a later life is further"
        );
        assert!(
            !proposal.increase.passed(&state(Some(2), &[at(0, 10)]).lineages),
            "one has not begun"
        );
        let table = TableName {
            schema: "s".into(),
            name: "t".into(),
        };
        let [delete, insert] = proposal.record(&StateTables::of(&table, "spolt")).unwrap();
        assert!(
            delete.contains("> 2") && insert.contains("('barrier', 'c', 't', 1, 1, 4, 4)"),
            "{insert}"
        );
    }

    #[test]
    fn there_is_nothing_to_accept_without_an_increase() {
        let ends = barriers(&[at(0, 10), at(0, 10)]);
        let positions = [at(0, 10), at(0, 10)];
        assert!(propose(&state(Some(2), &positions), 2, &ends).is_err());
        assert!(propose(&state(None, &positions), 3, &ends).is_err());
        let mut ordered = state(Some(2), &positions);
        ordered.table.as_mut().unwrap().order = Some("updated".into());
        let refused = propose(&ordered, 3, &ends).unwrap_err().to_string();
        assert!(refused.contains("ordered by `updated`"), "{refused}");
        assert!(propose(&State::default(), 3, &ends).is_err());
        assert!(propose(&state(Some(2), &positions), 3, &barriers(&[at(0, 10)])).is_err());
    }
}
