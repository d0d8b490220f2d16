//! What is judged when nothing moves any more, target by target: I1-I7, I9, I10, and the reference replay.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use common::chain::Position;
use common::claim::{Claim, Kind, fingerprint};
use common::ids::{Incarnation, Offset, Partition};
use common::invariants::{self, Violation};
use redshift_spolt::load::evolve::Present;
use redshift_spolt::load::mode::Mode;
use rusqlite::Connection;

use super::aside::{self, Asides, Kept};
use super::refresh::{self, Refreshed};
use super::story::{self, Stretch, below, is_rewritten, present_life, records};
use super::{Halted, Rows, all_units, ask, broken, lineage, number};
use crate::attendant::is_one_too_many;
use crate::fake::dialect;
use crate::fake::upstream::Record;
use crate::group::Unit;
use crate::host::group_of;
use crate::schedule::Damage;
use crate::workload::{APPENDED, DEFAULT_EXTRA, KEYED, Row, signals_of};
use crate::world::State;

fn why_halted<'h>(halted: &'h [Halted], unit: Unit, target: &str) -> Option<&'h Halted> {
    halted.iter().find(|halted| {
        halted.topic == unit.0
            && halted.partition.is_none_or(|partition| partition == unit.1)
            && halted.target.is_none_or(|of| of == target)
    })
}

/// Whether a target has everything visible of a partition, and the present life has nothing that is not.
fn is_applied(state: &State, target: &'static str, unit: Unit) -> bool {
    let told = story::of(state, unit);
    let at = state.watch.checkpoints.get(&(target, unit)).copied();
    let reached = |position: Position| at.is_some_and(|at| at > position);
    let position = |incarnation, next| Position { incarnation, next };
    let Some((life, origin)) = present_life(&told) else {
        // Nothing is claimed, so nothing may be there.
        return state
            .upstream
            .log(unit.0, unit.1)
            .is_none_or(|log| log.visible().next().is_none());
    };
    let last = state
        .upstream
        .life(unit, life)
        .and_then(|log| log.visible().last().map(|record| record.offset))
        .filter(|last| *last >= origin);
    let earlier = told.iter().filter(|stretch| stretch.incarnation < life);
    let last_of = |stretch: &Stretch| {
        Some(position(
            stretch.incarnation,
            records(state, unit, stretch).last()?.offset,
        ))
    };
    last.is_none_or(|last| reached(position(life, last))) && earlier.filter_map(last_of).all(reached)
}

/// Whether every partition is applied to its end by every target, or stands still with an alarm. A topic whose records are others now may
/// not have been noticed yet; that has time while the world is kind for `patient` at most.
#[must_use]
pub fn is_settled(state: &State, halted: &[Halted], patient: bool) -> bool {
    all_units(state).into_iter().all(|unit| {
        state.present.iter().all(|target| {
            why_halted(halted, unit, target).is_some()
                || (is_applied(state, target, unit) && !(patient && is_rewritten(state, unit)))
        })
    })
}

/// Whether what happened explains that the partition stands still.
fn is_justified(state: &State, target: &'static str, unit: Unit, reason: &str) -> bool {
    let watch = &state.watch;
    watch.damaged.contains_key(&unit)
        || (watch.retained.contains(&unit) && reason.contains("records were deleted before they were read"))
        || (watch.added.contains(&unit) && unit.0 == KEYED && reason.contains("the partition was added"))
        || (reason.contains("which have no order") && increase_is_forgotten(state, unit))
        || is_too_late(state, target, unit, reason)
        || is_one_too_many(reason)
}

/// Whether the log of a keyed topic that grew lost its beginning, and with it how many partitions there were: a key that moved then halts.
fn increase_is_forgotten(state: &State, unit: Unit) -> bool {
    let watch = &state.watch;
    let lost = |(of, damage): (&Unit, &Damage)| of.0 == unit.0 && matches!(damage, Damage::SignalsLost(_));
    unit.0 == KEYED && watch.added.iter().any(|added| added.0 == unit.0) && watch.damaged.iter().any(lost)
}

/// Rule 24: whether the target began, came back or was restored below a horizon, so that what it needs may be gone.
fn is_too_late(state: &State, target: &'static str, unit: Unit, reason: &str) -> bool {
    let watch = &state.watch;
    let at = watch.checkpoints.get(&(target, unit)).copied();
    let origin = story::of(state, unit).first().map(|stretch| Position {
        incarnation: stretch.incarnation,
        next: stretch.from,
    });
    let from = at.or(origin);
    let beyond = |horizon: &Position| from.is_none_or(|from| from < *horizon);
    let mut horizons = watch.horizons.get(&unit).into_iter().flatten();
    if at.is_none() && reason.contains("may have been collected") {
        return horizons.any(|(_, horizon)| beyond(horizon));
    }
    let since = watch.registered.get(&(target.to_owned(), unit.0)).copied().unwrap_or(0);
    let restored = watch.restored.contains(target);
    // After a restore, what the target said before makes a manifest look spent that a load is about to read.
    if restored && reason.contains("The specified manifest file does not exist") {
        return true;
    }
    let missing = reason.contains("Mandatory url is not present");
    missing && horizons.any(|(count, horizon)| (restored || *count < since) && beyond(horizon))
}

/// Everything that is judged when nothing moves any more.
pub fn finally(state: &mut State, halted: &[Halted]) {
    let mut found: Vec<String> = Vec::new();
    for unit in all_units(state) {
        for target in state.present.iter().copied() {
            possible_progress(state, halted, target, unit, &mut found);
        }
        let at = |violation: &dyn Display| format!("{}[{}] {violation}", unit.0, unit.1);
        if let Err(violation) = claims_hold(state, unit) {
            found.push(at(&violation));
        }
    }
    for target in state.warehouses.keys().copied() {
        for unit in all_units(state) {
            let is_halted = why_halted(halted, unit, target).is_some();
            if let Err(violation) = lineage_holds(state, target, unit, is_halted) {
                found.push(format!("{target} {}[{}] {violation}", unit.0, unit.1));
            }
        }
        if let Err(violation) = keyed_holds(state, target) {
            found.push(format!("{target} {KEYED} {violation}"));
        }
    }
    for violation in found {
        broken(state, violation);
    }
}

/// I9, as far as a single run shows it: whatever stands still has a cause, and says so.
fn possible_progress(state: &State, halted: &[Halted], target: &'static str, unit: Unit, found: &mut Vec<String>) {
    let at = |violation: &dyn Display| format!("{target} {}[{}] {violation}", unit.0, unit.1);
    let why = why_halted(halted, unit, target);
    match why.map(|halted| halted.reason.as_str()) {
        Some(reason) if !is_justified(state, target, unit, reason) => {
            found.push(at(&format_args!(
                "I9 possible progress is broken: it halted without a cause: {reason}"
            )));
        }
        None if !is_applied(state, target, unit) && !is_rewritten(state, unit) => {
            let next = state.watch.checkpoints.get(&(target, unit)).map(ToString::to_string);
            found.push(at(&format_args!(
                "I9 possible progress is broken: it stands at {next:?} for ever, without an alarm"
            )));
        }
        _ => {}
    }
    if why.is_none() && is_rewritten(state, unit) && tail_differs(state, unit) {
        found.push(at(
            &"the topic holds another record where the last claim ended, and nobody noticed",
        ));
    }
}

/// Whether the last claim's fingerprint shows that the topic's records are others now. Where a hole or a control record took its place
/// nothing can show it, and nobody can be blamed (E1).
fn tail_differs(state: &State, unit: Unit) -> bool {
    let claims = state.signals.claims(&signals_of(unit.0), unit.1);
    let rows = claims.iter().rev().find(|claim| claim.kind != Kind::Horizon);
    let Some(tail) = rows.and_then(|claim| claim.tail) else {
        return false;
    };
    let log = state.upstream.log(unit.0, unit.1);
    let found = log
        .and_then(|log| log.seen_from(tail.offset))
        .filter(|record| record.offset == tail.offset);
    found.is_some_and(|record| fingerprint(record.key.as_deref(), record.value.as_deref()) != tail.crc32c)
}

fn makes_rows(record: &&Record) -> bool {
    !record.change.rows().is_empty()
}

/// Offsets of a life's visible records that make rows, for a writer that sets those aside which hold the default NULL marker, or not.
fn offsets(state: &State, unit: Unit, life: Incarnation, refuses: bool) -> BTreeSet<Offset> {
    let log = state.upstream.life(unit, life);
    log.into_iter()
        .flat_map(|log| log.visible())
        .filter(makes_rows)
        .filter(|record| !aside::is_bad(record, refuses))
        .map(|record| record.offset)
        .collect()
}

/// I1 and I2 of a partition.
fn claims_hold(state: &State, unit: Unit) -> Result<(), Violation> {
    if is_rewritten(state, unit) {
        return Ok(());
    }
    let told = story::of(state, unit);
    let lives: BTreeSet<Incarnation> = told.iter().map(|stretch| stretch.incarnation).collect();
    let lost = matches!(state.watch.damaged.get(&unit), Some(Damage::SignalsLost(_)));
    if !lost {
        let all = state.watch.claims.get(&unit).map_or(&[][..], Vec::as_slice);
        for life in &lives {
            invariants::chain(all, &lineage(unit, *life))?;
        }
    }
    let claims = state.signals.claims(&signals_of(unit.0), unit.1);
    for claim in claims.iter().filter(|claim| aside::speaks(claim)) {
        aside::claimed(state, unit, claim)?;
    }
    for claim in claims.iter().filter(|claim| claim.kind == Kind::Data) {
        if let Some(held) = offsets_in(state, claim)?
            && lives.contains(&claim.incarnation)
        {
            let with_rows = offsets(state, unit, claim.incarnation, story::refuses(claim));
            invariants::truth(claim, &held, &with_rows)?;
        }
    }
    Ok(())
}

/// Offsets of the rows of a claim's object; `None` if it was deleted.
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

/// I10, and for the append table I4 and the replay.
fn lineage_holds(state: &State, target: &'static str, unit: Unit, halted: bool) -> Result<(), Violation> {
    let told = story::of(state, unit);
    let Some((life, origin)) = present_life(&told).filter(|_| !is_rewritten(state, unit)) else {
        return Ok(());
    };
    let beginning = Position {
        incarnation: told[0].incarnation,
        next: told[0].from,
    };
    let at = state
        .watch
        .checkpoints
        .get(&(target, unit))
        .copied()
        .unwrap_or(beginning);
    let claims: Vec<Claim> = state.signals.claims(&signals_of(unit.0), unit.1);
    let claims: Vec<Claim> = claims.into_iter().filter(|claim| claim.incarnation == life).collect();
    let from = if at.incarnation == life { at.next } else { origin };
    let mut present = offsets(state, unit, life, false);
    present.retain(|offset| *offset >= origin);
    // A target that is gone, or has not begun, misses nothing.
    if state.present.contains(target) {
        invariants::no_silent_loss(&present, &claims, from, halted)?;
    }
    let refreshed = refresh::of(state, target, unit.0);
    let group = group_of(unit.0);
    let asides = Asides::of(content(state, target, group), group);
    asides.hold(state, unit, &told, at)?;
    if unit.0 == APPENDED {
        let shown = refreshed.shown(unit.1, at).unwrap_or(beginning);
        appended_holds(state, target, unit, (&told, &asides, &refreshed), shown)?;
    }
    Ok(())
}

fn content<'a>(state: &'a State, target: &str, group: &str) -> Option<&'a Connection> {
    state.warehouses[target].group(group).map(|group| &group.committed)
}

fn has_extra(content: &Connection, table: &str) -> bool {
    let sql = format!("SELECT name FROM pragma_table_info('{table}') WHERE name = 'extra'");
    !ask(content, &sql).is_empty()
}

/// A row of the append table: incarnation, offset, seq, id, operation, name, n, extra.
fn appended_rows(content: &Connection, partition: Partition, wide: bool) -> Rows {
    let extra = if wide { "\"extra\"" } else { "NULL" };
    let sql = format!(
        "SELECT \"_kafka_incarnation\", \"_kafka_offset\", \"_kafka_seq\", \"id\", \"_kafka_op\", \"name\", \"n\", {extra} \
         FROM \"shop.appended\" WHERE \"_kafka_partition\" = {partition} ORDER BY 1, 2, 3"
    );
    ask(content, &sql)
}

fn appended_holds(
    state: &State,
    target: &str,
    unit: Unit,
    (told, asides, refreshed): (&[Stretch], &Asides, &Refreshed),
    at: Position,
) -> Result<(), Violation> {
    let content = content(state, target, "appended");
    let wide = content.is_some_and(|content| has_extra(content, "shop.appended"));
    let rows = content.map_or_else(Rows::new, |content| appended_rows(content, unit.1, wide));
    let due = below(told, at);
    let lives: BTreeSet<Incarnation> = told.iter().map(|stretch| stretch.incarnation).collect();
    for life in lives {
        let of_life = |stretch: &&Stretch| stretch.incarnation == life;
        let expected: BTreeSet<Offset> = due
            .iter()
            .filter(of_life)
            .flat_map(|stretch| records(state, unit, stretch).map(move |record| (record, stretch)))
            .filter(|(record, stretch)| !asides.shown(unit, record, stretch, refreshed).is_empty())
            .map(|(record, _)| record.offset)
            .collect();
        let end = if life == at.incarnation {
            at.next
        } else {
            Offset(i64::MAX)
        };
        invariants::exactly_once(&times(&rows, life), &expected, end)?;
    }
    let mut expected = Rows::new();
    for stretch in &due {
        for record in records(state, unit, stretch) {
            let rows = asides.shown(unit, record, stretch, refreshed);
            expected.extend(lines(record, rows, stretch.incarnation, wide));
        }
    }
    let found: Rows = rows
        .into_iter()
        .map(|mut row| {
            let delete = row[4].as_deref() == Some("d");
            row.remove(4);
            row.truncate(if delete { 4 } else { 7 });
            row
        })
        .collect();
    differs("the append table", &expected, &found)
}

/// How often each offset of a life is there: rows of one record count once, and count twice if any of them does.
fn times(rows: &Rows, life: Incarnation) -> BTreeMap<Offset, usize> {
    let mut counts: BTreeMap<(Offset, i64), usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| number(row, 0) == i64::from(life.0)) {
        *counts.entry((Offset(number(row, 1)), number(row, 2))).or_default() += 1;
    }
    let mut applied: BTreeMap<Offset, usize> = BTreeMap::new();
    for ((offset, _), times) in counts {
        let known = applied.entry(offset).or_default();
        *known = times.max(*known);
    }
    applied
}

/// The rows of a record as the append table should have them.
fn lines(record: &Record, rows: Vec<(u16, i64, Option<&Row>)>, life: Incarnation, wide: bool) -> Rows {
    let line = |(seq, id, row): (u16, i64, Option<&Row>)| {
        let mut line = vec![
            Some(life.to_string()),
            Some(record.offset.to_string()),
            Some(seq.to_string()),
            Some(id.to_string()),
        ];
        if let Some(row) = row {
            line.extend([Some(row.name.clone()), Some(row.n.to_string()), extra_of(row, wide)]);
        }
        line
    };
    rows.into_iter().map(line).collect()
}

fn extra_of(row: &Row, wide: bool) -> Option<String> {
    wide.then(|| row.extra.clone().unwrap_or_else(|| DEFAULT_EXTRA.to_owned()))
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

/// Where a row of the keyed table was written last.
type Origin = (i64, Partition, Incarnation);

/// A change that is applied: which one it is, its writer's place, and the row unless it is gone.
type Change<'a> = ((u64, u16), (Origin, Offset, u16), Option<&'a Row>);

/// A record that could not become a row, and what is said of it.
type Bad<'a> = (&'a Record, Kept);

/// I6 and the replay of the keyed table: of each key the change that was made last, of those below the checkpoints.
fn keyed_holds(state: &State, target: &'static str) -> Result<(), Violation> {
    let Some(content) = content(state, target, "keyed") else {
        return Ok(());
    };
    let mut last: BTreeMap<i64, Change<'_>> = BTreeMap::new();
    let mut brought: BTreeMap<i64, usize> = BTreeMap::new();
    let asides = Asides::of(Some(content), "keyed");
    let mut kept: Vec<Bad<'_>> = Vec::new();
    let refreshed = refresh::of(state, target, KEYED);
    // The last change that was applied, whether the table shows it or a refresh has replaced it.
    let mut all: BTreeMap<i64, Change<'_>> = BTreeMap::new();
    let mut unknown: BTreeSet<i64> = BTreeSet::new();
    for unit in all_units(state).into_iter().filter(|unit| unit.0 == KEYED) {
        if is_rewritten(state, unit) {
            let lives = [
                state.upstream.life(unit, Incarnation(0)),
                state.upstream.log(unit.0, unit.1),
            ];
            let records = lives.into_iter().flatten().flat_map(|log| &log.records);
            unknown.extend(records.flat_map(|record| record.change.rows()).map(|(_, id, _)| id));
            continue;
        }
        let Some(at) = state.watch.checkpoints.get(&(target, unit)) else {
            continue;
        };
        for stretch in below(&story::of(state, unit), *at) {
            for record in records(state, unit, &stretch) {
                if let Some(status) = asides.status(unit, record, &stretch) {
                    kept.push((record, status.clone()));
                }
                let place = Position {
                    incarnation: stretch.incarnation,
                    next: record.offset,
                };
                let shown = refreshed.shown(unit.1, *at).is_some_and(|shown| place < shown);
                let rows = asides.shown(unit, record, &stretch, &refreshed);
                let rows = if shown { rows } else { Vec::new() };
                let applied = asides.applied(unit, record, &stretch);
                for (seq, id, row) in applied {
                    note(&mut all, unit, (record, &stretch), (seq, id, row));
                }
                for (seq, id, row) in rows {
                    *brought.entry(id).or_default() += usize::from(row.is_some());
                    note(&mut last, unit, (record, &stretch), (seq, id, row));
                }
            }
        }
    }
    last.retain(|id, _| !unknown.contains(id));
    statuses_hold(&kept, &all, &unknown)?;
    brought.retain(|id, _| !unknown.contains(id));
    let holds = match Mode::shown_by(&columns(content)) {
        Mode::SoftDelete => {
            marked(content, &last, &unknown)?;
            "\"_kafka_deleted\" = 0"
        }
        Mode::History => {
            every_change(content, &brought, &unknown)?;
            "\"_kafka_is_current\" = 1"
        }
        _ => "1 = 1",
    };
    let wide = has_extra(content, "shop.keyed");
    let extra = if wide { "\"extra\"" } else { "NULL" };
    let mut rows = ask(
        content,
        &format!(
            "SELECT \"id\", \"_kafka_partition\", \"_kafka_incarnation\", \"_kafka_offset\", \"_kafka_seq\", \"name\", \"n\", {extra} \
             FROM \"shop.keyed\" WHERE {holds} ORDER BY 1"
        ),
    );
    rows.retain(|row| !unknown.contains(&number(row, 0)));
    keyed_order(&rows, &last)?;
    let expected = last.values().filter_map(|(_, (origin, offset, seq), row)| {
        let row = (*row)?;
        let numbers = [
            origin.0.to_string(),
            origin.1.to_string(),
            origin.2.to_string(),
            offset.to_string(),
            seq.to_string(),
            row.name.clone(),
            row.n.to_string(),
        ];
        Some(numbers.into_iter().map(Some).chain([extra_of(row, wide)]).collect())
    });
    differs("the keyed table", &expected.collect(), &rows)
}

/// Takes a change for the last one of its key, unless a later one is known.
fn note<'a>(
    last: &mut BTreeMap<i64, Change<'a>>,
    unit: Unit,
    (record, stretch): (&Record, &Stretch),
    (seq, id, row): (u16, i64, Option<&'a Row>),
) {
    let origin = (id, unit.1, stretch.incarnation);
    let change = ((record.serial, seq), (origin, record.offset, seq), row);
    if last.get(&id).is_none_or(|known| known.0 < change.0) {
        last.insert(id, change);
    }
}

/// A record set aside is open where nothing came after it of its key, as far as that was known, and superseded only where something did.
fn statuses_hold(kept: &[Bad<'_>], last: &BTreeMap<i64, Change<'_>>, unknown: &BTreeSet<i64>) -> Result<(), Violation> {
    let later = |id: &i64, serial: u64| last.get(id).is_some_and(|(at, ..)| at.0 > serial);
    for (record, kept) in kept {
        let ids: Vec<i64> = record.change.rows().into_iter().map(|(_, id, _)| id).collect();
        if ids.iter().any(|id| unknown.contains(id)) {
            continue;
        }
        let wrong = match kept.status.as_str() {
            "open" if kept.key.is_some_and(|key| later(&key, record.serial)) => "though its key was changed later",
            "superseded" if !ids.iter().any(|id| later(id, record.serial)) => "and nothing came after it",
            "open" | "superseded" | "replayed" | "discarded" => continue,
            _ => "which is no status that it can have",
        };
        return Err(Violation {
            invariant: "rule 27 replay",
            evidence: format!("the record at offset `{}` is {}, {wrong}", record.offset, kept.status),
        });
    }
    Ok(())
}

/// What the keyed table has by name; its mode shows in it.
fn columns(content: &Connection) -> Vec<Present> {
    let present = |row: Vec<Option<String>>| Present {
        name: row.into_iter().next().flatten().unwrap_or_default(),
        ty: String::new(),
        width: None,
        precision: None,
        scale: None,
        nullable: true,
    };
    let names = ask(content, "SELECT name FROM pragma_table_info('shop.keyed')");
    names.into_iter().map(present).collect()
}

/// A table of soft deletes has a row for every key that the source deleted, whose last writer is the delete.
fn marked(content: &Connection, last: &BTreeMap<i64, Change<'_>>, unknown: &BTreeSet<i64>) -> Result<(), Violation> {
    let mut found = ask(
        content,
        "SELECT \"id\", \"_kafka_partition\", \"_kafka_incarnation\", \"_kafka_offset\", \"_kafka_seq\" FROM \"shop.keyed\" \
         WHERE \"_kafka_deleted\" = 1 ORDER BY 1",
    );
    found.retain(|row| !unknown.contains(&number(row, 0)));
    let deleted = last.values().filter(|(.., row)| row.is_none());
    let expected = deleted.map(|(_, (origin, offset, seq), _)| {
        let numbers = [
            origin.0.to_string(),
            origin.1.to_string(),
            origin.2.to_string(),
            offset.to_string(),
            seq.to_string(),
        ];
        numbers.into_iter().map(Some).collect()
    });
    differs("the deleted rows of the keyed table", &expected.collect(), &found)
}

/// A history has a row for every change that brought one.
fn every_change(
    content: &Connection,
    brought: &BTreeMap<i64, usize>,
    unknown: &BTreeSet<i64>,
) -> Result<(), Violation> {
    let mut found = ask(
        content,
        "SELECT \"id\", COUNT(*) FROM \"shop.keyed\" GROUP BY 1 ORDER BY 1",
    );
    found.retain(|row| !unknown.contains(&number(row, 0)));
    let counted = brought.iter().filter(|(_, count)| **count > 0);
    let expected = counted.map(|(id, count)| vec![Some(id.to_string()), Some(count.to_string())]);
    differs("the history of the keyed table", &expected.collect(), &found)
}

fn keyed_order(rows: &Rows, last: &BTreeMap<i64, Change<'_>>) -> Result<(), Violation> {
    let survivor = |row: &Vec<Option<String>>| {
        let origin: Origin = (
            number(row, 0),
            Partition(i32::try_from(number(row, 1)).unwrap_or(-1)),
            Incarnation(u32::try_from(number(row, 2)).unwrap_or(u32::MAX)),
        );
        let seq = u16::try_from(number(row, 4)).unwrap_or(u16::MAX);
        (origin, (Offset(number(row, 3)), seq))
    };
    let survivors = rows.iter().map(survivor).collect();
    let expected = last
        .values()
        .map(|(_, (origin, offset, seq), row)| (*origin, row.map(|_| (*offset, *seq))))
        .collect();
    invariants::order(&survivors, &expected)
}
