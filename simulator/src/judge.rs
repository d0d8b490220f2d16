//! The judge: invariants after every step where that is possible, and at the end all of them, by the predicates of `common::invariants`
//! and a reference replay of the upstream topics that shares no code with the daemons.

use std::collections::{BTreeMap, BTreeSet};

use common::chain::Position;
use common::claim::{Claim, Kind, fingerprint};
use common::ids::{Incarnation, Lineage, Offset, Partition};
use common::invariants::{self, Violation};
use common::plan::Plan;
use rusqlite::Connection;

use crate::fake::dialect;
use crate::fake::upstream::Record;
use crate::group::Unit;
use crate::host::{CLUSTER, group_of};
use crate::schedule::Damage;
use crate::workload::{APPENDED, DEFAULT_EXTRA, KEYED, TOPICS, signals_of};
use crate::world::State;

/// What stands still with an alarm: topic, partition (`None` for a whole table), reason.
pub type Halted = (String, Option<Partition>, String);

/// What the judge remembers.
#[derive(Debug, Default)]
pub struct Watch {
    /// What is broken, with its virtual time.
    pub violations: Vec<String>,
    /// Partitions that somebody damaged.
    pub damaged: BTreeMap<Unit, Damage>,
    /// Partitions that lost old records to retention.
    pub retained: BTreeSet<Unit>,
    /// Partitions that were added.
    pub added: BTreeSet<Unit>,
    claims: BTreeMap<(String, Partition), Vec<Claim>>,
    checkpoints: BTreeMap<(&'static str, Partition), Position>,
    plans: BTreeMap<&'static str, Plan>,
}

/// What a state table says of a lineage.
#[derive(Debug, Clone, Copy)]
pub struct Checkpoint {
    /// How far it is applied.
    pub position: Position,
    /// First signal that may still matter.
    pub signal_next: i64,
}

fn lineage(topic: &str, partition: Partition) -> Lineage {
    Lineage {
        cluster: CLUSTER.into(),
        topic: topic.into(),
        incarnation: Incarnation(0),
        partition,
    }
}

fn unit(topic: &str, partition: Partition) -> Unit {
    (if topic == APPENDED { APPENDED } else { KEYED }, partition)
}

fn broken(state: &mut State, violation: impl std::fmt::Display) {
    let line = format!("at {} ms: {violation}", state.now);
    state.note(format_args!("VIOLATION {violation}"));
    state.watch.violations.push(line);
}

/// A claim was appended: I2, and that its object lies on S3 (I1, first half).
pub fn appended(state: &mut State, claim: &Claim) {
    let unit = unit(&claim.topic, claim.partition);
    let known = state
        .watch
        .claims
        .entry((claim.topic.clone(), claim.partition))
        .or_default();
    known.push(claim.clone());
    let damage = state.watch.damaged.get(&unit).copied();
    if matches!(damage, Some(Damage::SignalsLost(_))) {
        return;
    }
    if let Err(violation) = invariants::chain(known, &claim.lineage()) {
        broken(state, violation);
    }
    let missing = claim
        .object
        .as_ref()
        .filter(|object| state.bucket.get(&object.key).is_none());
    if let Some(object) = missing
        && damage.is_none()
    {
        let evidence = format!("`{}` is claimed and not on S3", object.key);
        broken(
            state,
            Violation {
                invariant: "I1 truth",
                evidence,
            },
        );
    }
}

/// A transaction was committed: I5, I7, and that the append table holds nothing twice (I4, first half).
pub fn committed(state: &mut State, group: &'static str, by: &str) {
    let topic = if group == "appended" { APPENDED } else { KEYED };
    let Some(content) = state.warehouse.group(group).map(|group| &group.committed) else {
        return;
    };
    let positions = checkpoints(content, group);
    let plan = plan_id(content, group);
    let doubled = (group == "appended").then(|| doubled(content)).flatten();
    let line: Vec<String> = positions
        .iter()
        .map(|(partition, checkpoint)| format!("p{partition}={}", checkpoint.position.next))
        .collect();
    state.note(format_args!("commit {group} {} by {by}", line.join(" ")));
    for (partition, checkpoint) in positions {
        let before = state.watch.checkpoints.insert((topic, partition), checkpoint.position);
        let (Some(before), after) = (before, checkpoint.position) else {
            continue;
        };
        let judged = invariants::monotone((before.incarnation, before.next), (after.incarnation, after.next));
        if let Err(violation) = judged {
            broken(state, format_args!("{topic}[{partition}] {violation}"));
        }
    }
    if let Some(evidence) = doubled {
        let violation = Violation {
            invariant: "I4 exactly once",
            evidence,
        };
        broken(state, violation);
    }
    let document = plan.and_then(|id| state.bucket.get(&format!("raw/_plans/{id}.json")));
    if let Some(plan) = document.and_then(|document| Plan::parse(document).ok())
        && let Some(before) = state.watch.plans.insert(group, plan.clone())
        && let Err(violation) = invariants::forward_schema(&before, &plan)
    {
        broken(state, violation);
    }
}

type Rows = Vec<Vec<Option<String>>>;

fn ask(content: &Connection, sql: &str) -> Rows {
    dialect::run(content, sql).map(|(rows, _)| rows).unwrap_or_default()
}

fn number(row: &[Option<String>], index: usize) -> i64 {
    row.get(index)
        .and_then(|text| text.as_ref()?.parse().ok())
        .unwrap_or(i64::MIN)
}

fn checkpoints(content: &Connection, group: &str) -> BTreeMap<Partition, Checkpoint> {
    let sql = format!(
        "SELECT \"partition\", \"incarnation\", \"next_offset\", \"signal_offset\" FROM \"spolt.shop__{group}__state\" WHERE \"kind\" = 'lineage'"
    );
    let checkpoint = |row: &Vec<Option<String>>| {
        let position = Position {
            incarnation: Incarnation(u32::try_from(number(row, 1)).unwrap_or(0)),
            next: Offset(number(row, 2)),
        };
        let partition = Partition(i32::try_from(number(row, 0)).unwrap_or(-1));
        let signal_next = number(row, 3);
        (partition, Checkpoint { position, signal_next })
    };
    ask(content, &sql).iter().map(checkpoint).collect()
}

fn plan_id(content: &Connection, group: &str) -> Option<String> {
    let sql = format!("SELECT \"plan_id\" FROM \"spolt.shop__{group}__state\" WHERE \"kind\" = 'table'");
    ask(content, &sql).first()?.first()?.clone()
}

fn doubled(content: &Connection) -> Option<String> {
    let sql = "SELECT \"_kafka_partition\", \"_kafka_offset\", \"_kafka_seq\", COUNT(*) FROM \"shop.appended\" GROUP BY 1, 2, 3 \
               HAVING COUNT(*) > 1 ORDER BY 1, 2, 3";
    let rows = ask(content, sql);
    let row = rows.first()?;
    let (partition, offset, times) = (number(row, 0), number(row, 1), number(row, 3));
    Some(format!(
        "offset `{offset}` of partition `{partition}` was applied {times} times"
    ))
}

/// A table's checkpoint of a partition.
#[must_use]
pub fn checkpoint(state: &State, group: &str, partition: Partition) -> Option<Checkpoint> {
    let content = &state.warehouse.group(group)?.committed;
    checkpoints(content, group).get(&partition).copied()
}

fn all_units(state: &State) -> Vec<Unit> {
    TOPICS
        .iter()
        .flat_map(|topic| {
            let count = state.upstream.topics[topic].partitions.len();
            (0..count).map(|p| (*topic, Partition(i32::try_from(p).unwrap_or(0))))
        })
        .collect()
}

fn why_halted(halted: &[Halted], unit: Unit) -> Option<&str> {
    halted
        .iter()
        .find(|(topic, partition, _)| topic == unit.0 && partition.is_none_or(|partition| partition == unit.1))
        .map(|(.., reason)| reason.as_str())
}

fn is_applied(state: &State, unit: Unit) -> bool {
    let last = state
        .upstream
        .log(unit.0, unit.1)
        .and_then(|log| log.visible().last().map(|record| record.offset));
    let last = last.filter(|last| origin(state, unit).is_none_or(|origin| *last >= origin));
    last.is_none_or(|last| checkpoint(state, group_of(unit.0), unit.1).is_some_and(|at| at.position.next > last))
}

/// Whether every partition is applied to its end, or stands still with an alarm. A topic whose records are others now may not have been
/// noticed yet; that has time while the world is kind for `patient` at most.
#[must_use]
pub fn is_settled(state: &State, halted: &[Halted], patient: bool) -> bool {
    all_units(state).into_iter().all(|unit| {
        why_halted(halted, unit).is_some() || (is_applied(state, unit) && !(patient && is_rewritten(state, unit)))
    })
}

/// Where the lineage begins: its first genesis.
fn origin(state: &State, unit: Unit) -> Option<Offset> {
    let claims = state.watch.claims.get(&(unit.0.to_owned(), unit.1))?;
    claims
        .iter()
        .find(|claim| claim.kind == Kind::Genesis)
        .map(|claim| claim.start)
}

/// Whether what happened to the partition explains that it stands still.
fn is_justified(state: &State, unit: Unit, reason: &str) -> bool {
    state.watch.damaged.contains_key(&unit)
        || (state.watch.retained.contains(&unit) && reason.contains("records were deleted before they were read"))
        || (state.watch.added.contains(&unit) && unit.0 == KEYED && reason.contains("the partition was added"))
}

/// Everything that is judged when nothing moves any more.
pub fn finally(state: &mut State, halted: &[Halted]) {
    let mut found: Vec<String> = Vec::new();
    for unit in all_units(state) {
        let (topic, partition) = unit;
        let at = |violation: &dyn std::fmt::Display| format!("{topic}[{partition}] {violation}");
        match why_halted(halted, unit) {
            Some(reason) if !is_justified(state, unit, reason) => {
                found.push(at(&format_args!(
                    "I9 possible progress is broken: it halted without a cause: {reason}"
                )));
            }
            None if !is_applied(state, unit) && !is_rewritten(state, unit) => {
                let next = checkpoint(state, group_of(topic), partition).map(|at| at.position.next.0);
                found.push(at(&format_args!(
                    "I9 possible progress is broken: it stands at {next:?} for ever, without an alarm"
                )));
            }
            _ => {}
        }
        if why_halted(halted, unit).is_none() && is_rewritten(state, unit) && tail_differs(state, unit) {
            found.push(at(
                &"the topic holds another record where the last claim ended, and nobody noticed",
            ));
        }
        if let Err(violation) = lineage_holds(state, unit, why_halted(halted, unit).is_some()) {
            found.push(at(&violation));
        }
    }
    if let Err(violation) = keyed_holds(state) {
        found.push(format!("{KEYED} {violation}"));
    }
    for violation in found {
        broken(state, violation);
    }
}

/// Whether the last claim's fingerprint shows that the topic's records are others now. Where a hole or a control record took its place
/// nothing can show it, and nobody can be blamed (E1).
fn tail_differs(state: &State, unit: Unit) -> bool {
    let claims = state.signals.claims(&signals_of(unit.0), unit.1);
    let Some(tail) = claims.last().and_then(|claim| claim.tail) else {
        return false;
    };
    let log = state.upstream.log(unit.0, unit.1);
    let found = log
        .and_then(|log| log.seen_from(tail.offset))
        .filter(|record| record.offset == tail.offset);
    found.is_some_and(|record| fingerprint(record.key.as_deref(), record.value.as_deref()) != tail.crc32c)
}

/// The present records are no longer those that were claimed: nothing can be compared.
fn is_rewritten(state: &State, unit: Unit) -> bool {
    matches!(
        state.watch.damaged.get(&unit),
        Some(Damage::UpstreamTruncated(_) | Damage::Recreated)
    )
}

/// Visible records of the lineage that make rows, from its origin on.
fn with_rows(state: &State, unit: Unit) -> Vec<&Record> {
    let origin = origin(state, unit);
    let log = state.upstream.log(unit.0, unit.1);
    log.into_iter()
        .flat_map(|log| log.visible())
        .filter(|record| origin.is_some_and(|origin| record.offset >= origin) && !record.change.rows().is_empty())
        .collect()
}

fn lineage_holds(state: &State, unit: Unit, halted: bool) -> Result<(), Violation> {
    if is_rewritten(state, unit) {
        return Ok(());
    }
    let (topic, partition) = unit;
    let records = with_rows(state, unit);
    let offsets: BTreeSet<Offset> = records.iter().map(|record| record.offset).collect();
    let at = checkpoint(state, group_of(topic), partition).map_or(Offset(0), |at| at.position.next);
    let claims = state.signals.claims(&signals_of(topic), partition);
    let lost = matches!(state.watch.damaged.get(&unit), Some(Damage::SignalsLost(_)));
    if !lost {
        let all = state.watch.claims.get(&(topic.to_owned(), partition));
        invariants::chain(all.map_or(&[][..], Vec::as_slice), &lineage(topic, partition))?;
    }
    for claim in claims.iter().filter(|claim| claim.kind == Kind::Data) {
        if let Some(held) = offsets_in(state, claim)? {
            invariants::truth(claim, &held, &offsets)?;
        }
    }
    invariants::no_silent_loss(&offsets, &claims, at, halted)?;
    if topic == APPENDED {
        appended_holds(state, partition, &records, &offsets, at)?;
    }
    Ok(())
}

/// Offsets of the rows of a claim's object; `None` if somebody deleted it.
fn offsets_in(state: &State, claim: &Claim) -> Result<Option<BTreeSet<Offset>>, Violation> {
    let Some(object) = claim.object.as_ref().and_then(|object| state.bucket.get(&object.key)) else {
        return Ok(None);
    };
    let rows = dialect::records(object).map_err(|evidence| Violation {
        invariant: "I1 truth",
        evidence,
    })?;
    let offset = |row: &csv::StringRecord| row.get(3).and_then(|text| text.parse().ok()).map(Offset);
    Ok(Some(rows.iter().filter_map(offset).collect()))
}

/// A row of the append table: partition, offset, seq, id, operation, name, n, extra.
fn appended_rows(state: &State, partition: Partition) -> Rows {
    let Some(content) = state.warehouse.group("appended").map(|group| &group.committed) else {
        return Rows::new();
    };
    let extra = if has_extra(content, "shop.appended") {
        "\"extra\""
    } else {
        "NULL"
    };
    let sql = format!(
        "SELECT \"_kafka_offset\", \"_kafka_seq\", \"id\", \"_kafka_op\", \"name\", \"n\", {extra} FROM \"shop.appended\" \
         WHERE \"_kafka_partition\" = {partition} ORDER BY 1, 2"
    );
    ask(content, &sql)
}

fn has_extra(content: &Connection, table: &str) -> bool {
    let sql = format!("SELECT name FROM pragma_table_info('{table}') WHERE name = 'extra'");
    !ask(content, &sql).is_empty()
}

fn appended_holds(
    state: &State,
    partition: Partition,
    records: &[&Record],
    offsets: &BTreeSet<Offset>,
    at: Offset,
) -> Result<(), Violation> {
    let rows = appended_rows(state, partition);
    // Rows of one record count once, and count twice if any of them does.
    let mut counts: BTreeMap<(Offset, i64), usize> = BTreeMap::new();
    for row in &rows {
        *counts.entry((Offset(number(row, 0)), number(row, 1))).or_default() += 1;
    }
    let mut applied: BTreeMap<Offset, usize> = BTreeMap::new();
    for ((offset, _), times) in counts {
        let known = applied.entry(offset).or_default();
        *known = times.max(*known);
    }
    invariants::exactly_once(&applied, offsets, at)?;
    let wide = state
        .warehouse
        .group("appended")
        .is_some_and(|group| has_extra(&group.committed, "shop.appended"));
    let mut expected = Rows::new();
    for record in records.iter().filter(|record| record.offset < at) {
        for (seq, id, row) in record.change.rows() {
            let shown = |text: String| Some(text);
            let mut line = vec![
                shown(record.offset.to_string()),
                shown(seq.to_string()),
                shown(id.to_string()),
            ];
            if let Some(row) = row {
                line.extend([
                    shown(row.name.clone()),
                    shown(row.n.to_string()),
                    extra_of(row.extra.as_ref(), wide),
                ]);
            }
            expected.push(line);
        }
    }
    let found: Rows = rows
        .into_iter()
        .map(|mut row| {
            let delete = row[3].as_deref() == Some("d");
            row.remove(3);
            row.truncate(if delete { 3 } else { 6 });
            row
        })
        .collect();
    differs("the append table", &expected, &found)
}

fn extra_of(extra: Option<&String>, wide: bool) -> Option<String> {
    wide.then(|| extra.cloned().unwrap_or_else(|| DEFAULT_EXTRA.to_owned()))
}

fn differs(what: &str, expected: &Rows, found: &Rows) -> Result<(), Violation> {
    let at = (0..expected.len().max(found.len())).find(|index| expected.get(*index) != found.get(*index));
    match at {
        None => Ok(()),
        Some(index) => Err(Violation {
            invariant: "oracle",
            evidence: format!(
                "{what} differs from the replay: expected {:?}, found {:?}",
                expected.get(index),
                found.get(index)
            ),
        }),
    }
}

/// The last change of every key below the checkpoints: the writer's place, and the row unless it is gone.
type Last<'a> = BTreeMap<i64, (Offset, u16, Option<&'a crate::workload::Row>)>;

fn keyed_holds(state: &State) -> Result<(), Violation> {
    let Some(content) = state.warehouse.group("keyed").map(|group| &group.committed) else {
        return Ok(());
    };
    let units: Vec<Unit> = all_units(state).into_iter().filter(|unit| unit.0 == KEYED).collect();
    let wide = has_extra(content, "shop.keyed");
    let extra = if wide { "\"extra\"" } else { "NULL" };
    for unit in units {
        if is_rewritten(state, unit) {
            continue;
        }
        let at = checkpoint(state, "keyed", unit.1).map_or(Offset(0), |at| at.position.next);
        let mut last: Last<'_> = BTreeMap::new();
        for record in with_rows(state, unit).into_iter().filter(|record| record.offset < at) {
            for (seq, id, row) in record.change.rows() {
                last.insert(id, (record.offset, seq, row));
            }
        }
        let sql = format!(
            "SELECT \"id\", \"_kafka_offset\", \"_kafka_seq\", \"name\", \"n\", {extra} FROM \"shop.keyed\" \
             WHERE \"_kafka_partition\" = {} ORDER BY 1",
            unit.1
        );
        let rows = ask(content, &sql);
        let place = |row: &Vec<Option<String>>| {
            (
                Offset(number(row, 1)),
                u16::try_from(number(row, 2)).unwrap_or(u16::MAX),
            )
        };
        let survivors: BTreeMap<i64, (Offset, u16)> = rows.iter().map(|row| (number(row, 0), place(row))).collect();
        let expected = last
            .iter()
            .map(|(id, (offset, seq, row))| (*id, row.map(|_| (*offset, *seq))))
            .collect();
        invariants::order(&survivors, &expected)?;
        let expected: Rows = last
            .iter()
            .filter_map(|(id, (offset, seq, row))| {
                let row = (*row)?;
                let numbers = [
                    id.to_string(),
                    offset.to_string(),
                    seq.to_string(),
                    row.name.clone(),
                    row.n.to_string(),
                ];
                let shown = numbers
                    .into_iter()
                    .map(Some)
                    .chain([extra_of(row.extra.as_ref(), wide)]);
                Some(shown.collect())
            })
            .collect();
        differs("the keyed table", &expected, &rows)?;
    }
    Ok(())
}
