//! The judge: invariants after every step where that is possible, and at the end all of them ([`end`]), by the predicates of
//! `common::invariants` and a reference replay of the upstream topics ([`story`]) that shares no code with the daemons.

use std::collections::{BTreeMap, BTreeSet};

use common::chain::Position;
use common::claim::{self, Claim, Kind};
use common::ids::{Incarnation, Lineage, Offset, Partition};
use common::invariants::{self, Violation};
use common::manifest;
use common::plan::Plan;
use common::progress::Statement;
use rusqlite::Connection;

use self::refresh::Refreshed;
use crate::fake::dialect;
use crate::group::Unit;
use crate::host::{CLUSTER, PREFIX, TARGETS, group_of};
use crate::schedule::Damage;
use crate::workload::{APPENDED, KEYED, TOPICS, signals_of};
use crate::world::{EPOCH_MS, State};

pub mod aside;
pub mod end;
pub mod refresh;
pub mod story;

/// Something that stands still with an alarm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Halted {
    /// Topic.
    pub topic: String,
    /// Partition; `None` for a whole table.
    pub partition: Option<Partition>,
    /// The target whose loader it is; `None` if it is s3-spolt.
    pub target: Option<&'static str>,
    /// Why.
    pub reason: String,
}

/// A partition of a topic as a target has it.
pub type Place = (&'static str, Unit);

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
    /// Targets whose warehouse was restored.
    pub restored: BTreeSet<&'static str>,
    /// Partitions of which it cannot be said any more what they held: claims were made after they were cut short.
    murky: BTreeSet<Unit>,
    /// By the name of an accepting process: where the keyed topic's old partitions ended as it began, and how many partitions there were.
    accepting: BTreeMap<String, Accepted>,
    /// The last acceptance that a target has recorded.
    accepted: BTreeMap<&'static str, Accepted>,
    /// Claim objects that were deleted by collectors.
    pub collected: u64,
    claims: BTreeMap<Unit, Vec<Claim>>,
    /// Counts what is appended to signal topics and progress topic.
    appended: u64,
    /// Horizons with the count at which each was appended.
    horizons: BTreeMap<Unit, Vec<(u64, Position)>>,
    /// Since which count a target is registered for a topic.
    registered: BTreeMap<(String, &'static str), u64>,
    checkpoints: BTreeMap<Place, Position>,
    /// The highest that each checkpoint ever was: a restored warehouse may miss what lies below.
    highest: BTreeMap<Place, Position>,
    plans: BTreeMap<(&'static str, &'static str), Plan>,
    /// Refreshes that were begun, finished and given up.
    pub refreshed: BTreeMap<&'static str, u64>,
    /// Topics of which a refresh has begun: their sources are to send everything again.
    pub begun: Vec<&'static str>,
    refreshes: BTreeMap<(&'static str, &'static str), Refreshed>,
    refreshes_backed_up: BTreeMap<(&'static str, &'static str), Refreshed>,
}

/// What an operator accepts.
#[derive(Debug, Clone, Default)]
struct Accepted {
    partitions: usize,
    /// Last visible record of each partition of then.
    last: BTreeMap<Partition, Offset>,
}

/// What a state table says of a lineage.
#[derive(Debug, Clone, Copy)]
pub struct Checkpoint {
    /// How far it is applied.
    pub position: Position,
    /// First signal that may still matter.
    pub signal_next: i64,
}

fn lineage(unit: Unit, incarnation: Incarnation) -> Lineage {
    Lineage {
        cluster: CLUSTER.into(),
        topic: unit.0.into(),
        incarnation,
        partition: unit.1,
    }
}

fn topic_named(topic: &str) -> &'static str {
    if topic == APPENDED { APPENDED } else { KEYED }
}

fn broken(state: &mut State, violation: impl std::fmt::Display) {
    let line = format!("at {} ms: {violation}", state.now);
    state.note(format_args!("VIOLATION {violation}"));
    state.watch.violations.push(line);
}

fn broken_as(state: &mut State, invariant: &'static str, evidence: impl Into<String>) {
    let evidence = evidence.into();
    broken(state, Violation { invariant, evidence });
}

/// A claim was appended: I2, and that its object lies on S3 (I1, first half).
pub fn appended(state: &mut State, claim: &Claim) {
    let unit = (topic_named(&claim.topic), claim.partition);
    let watch = &mut state.watch;
    watch.appended += 1;
    let at = Position {
        incarnation: claim.incarnation,
        next: claim.next,
    };
    if claim.kind == Kind::Horizon {
        watch.horizons.entry(unit).or_default().push((watch.appended, at));
        return;
    }
    let known = watch.claims.entry(unit).or_default();
    known.push(claim.clone());
    let cut = state
        .upstream
        .log(unit.0, unit.1)
        .and_then(|log| log.truncated_at.last());
    if claim.kind == Kind::Data && claim.incarnation == Incarnation(0) && cut.is_some_and(|cut| claim.next > *cut) {
        watch.murky.insert(unit);
    }
    let damage = watch.damaged.get(&unit).copied();
    if matches!(damage, Some(Damage::SignalsLost(_))) {
        return;
    }
    if let Err(violation) = invariants::chain(known, &claim.lineage()) {
        broken(state, violation);
    }
    // What lies below a horizon is needed by nobody: the claim of a writer that was thought dead may come after its object's end.
    let needed = is_needed(state, unit, at);
    let missing = claim
        .object
        .as_ref()
        .filter(|object| needed && state.bucket.get(&object.key).is_none());
    if let Some(object) = missing
        && damage.is_none()
    {
        let evidence = format!("`{}` is claimed and not on S3", object.key);
        broken_as(state, "I1 truth", evidence);
    }
}

/// Whether no horizon lies above this end of a claim.
fn is_needed(state: &State, unit: Unit, end: Position) -> bool {
    let horizons = state.watch.horizons.get(&unit).into_iter().flatten();
    horizons.into_iter().all(|(_, horizon)| *horizon <= end)
}

/// Whether s3-spolt has begun to read a topic: what it is like before that belongs together for everybody.
#[must_use]
pub fn has_begun(state: &State, topic: &str) -> bool {
    let mut claims = state.watch.claims.iter().filter(|((of, _), _)| *of == topic);
    claims.any(|(_, claims)| claims.iter().any(|claim| claim.kind == Kind::Genesis))
}

/// A target said something on the progress topic. From its registration until it takes it back everything that it needs must stay.
pub fn said(state: &mut State, said: &Statement) {
    state.watch.appended += 1;
    let now = state.watch.appended;
    match said {
        Statement::Pin(pin) => {
            let key = (pin.target.clone(), topic_named(&pin.topic));
            state.watch.registered.entry(key).or_insert(now);
        }
        Statement::Unpin(unpin) => {
            let key = (unpin.target.clone(), topic_named(&unpin.topic));
            state.watch.registered.remove(&key);
        }
        Statement::Progress(_) => {}
    }
}

/// A collector deleted an object: that it was old enough where the collector's clock is right (`modified_ms`), and I8. What holds a claim
/// needs a horizon above it that was appended before; a manifest, that its target has moved beyond something that it lists.
pub fn deleted(state: &mut State, key: &str, body: &[u8], modified_ms: Option<i64>) {
    let now_ms = EPOCH_MS + i64::try_from(state.now).unwrap_or(0);
    if modified_ms.is_some_and(|written| now_ms - written < state.retention_ms) {
        let evidence = format!("`{key}` was deleted, it is younger than the retention");
        broken_as(state, "I8 garbage collection", evidence);
    }
    let of_target = |target: &&&'static str| key.starts_with(&claim::manifest_folder(PREFIX, target));
    if let Some(target) = TARGETS.iter().find(of_target) {
        if !is_spent(state, target, body) {
            let evidence = format!("manifest `{key}` was deleted, and a load may need it");
            broken_as(state, "I8 garbage collection", evidence);
        }
        return;
    }
    let name = |topic: &&'static str| Some((*topic, claim::object_name(PREFIX, topic, key)?));
    let Some((topic, name)) = TOPICS.iter().find_map(name) else {
        broken_as(state, "I8 garbage collection", format!("`{key}` is no claim's object"));
        return;
    };
    state.watch.collected += 1;
    let unit = (topic, name.partition);
    if let Some(evidence) = wrongly_deleted(state, unit, name.kind, name.end()) {
        let evidence = format!("`{key}` was deleted: {evidence}");
        broken_as(state, "I8 garbage collection", evidence);
    }
}

/// Whether the target has, or had before a restore, something that the manifest lists: a load that read it now would stop before.
fn is_spent(state: &State, target: &'static str, manifest: &[u8]) -> bool {
    let keys = manifest::keys(manifest).unwrap_or_default();
    keys.iter().any(|key| {
        let Some((topic, name)) = claim::lineage_of(PREFIX, key) else {
            return false;
        };
        let unit = (topic_named(topic), name.partition);
        let highest = state.watch.highest.get(&(target, unit));
        highest.is_some_and(|highest| *highest >= name.end())
    })
}

fn wrongly_deleted(state: &State, unit: Unit, kind: Kind, end: Position) -> Option<String> {
    let watch = &state.watch;
    if matches!(kind, Kind::Genesis | Kind::Reset) {
        return Some("origins stay for ever".to_owned());
    }
    let horizons = watch.horizons.get(&unit).into_iter().flatten();
    let above: Vec<u64> = horizons
        .filter(|(_, horizon)| *horizon > end)
        .map(|(count, _)| *count)
        .collect();
    let Some(first) = above.first() else {
        return Some("no horizon above it was appended".to_owned());
    };
    TARGETS.iter().find_map(|target| {
        let since = watch.registered.get(&((*target).to_owned(), unit.0))?;
        // It registered after the horizon, and must see it.
        if first < since {
            return None;
        }
        let has = watch.highest.get(&(*target, unit));
        let needs = has.is_none_or(|has| *has < end);
        needs.then(|| format!("registered target `{target}` stands at {has:?}"))
    })
}

/// A transaction was committed: I5, I7, and that no table holds a change twice (I4, first half).
pub fn committed(state: &mut State, target: &'static str, group: &'static str, by: &str) {
    let topic = if group == "appended" { APPENDED } else { KEYED };
    let Some(content) = state.warehouses[target].group(group).map(|group| &group.committed) else {
        return;
    };
    let positions = checkpoints(content, group);
    let plan = plan_id(content, group);
    let doubled = doubled(content, topic).or_else(|| aside::doubled(content, topic));
    let line: Vec<String> = positions
        .iter()
        .map(|(partition, checkpoint)| format!("p{partition}={}", checkpoint.position))
        .collect();
    state.note(format_args!("commit {target} {group} {} by {by}", line.join(" ")));
    if let Some(accepted) = state.watch.accepting.get(by).cloned() {
        state.watch.accepted.insert(target, accepted);
    }
    if topic == KEYED {
        added_waits(state, target, &positions);
    }
    if refresh::committed(state, target, topic, by) {
        state
            .watch
            .checkpoints
            .retain(|(of, unit), _| (*of, unit.0) != (target, topic));
    }
    let refreshed = refresh::of(state, target, topic);
    for (partition, checkpoint) in positions {
        let place = (target, (topic, partition));
        let after = checkpoint.position;
        // What came since a refresh began is needed again if it is given up.
        if let Some(shown) = refreshed.shown(partition, after) {
            let highest = state.watch.highest.entry(place).or_insert(shown);
            *highest = shown.max(*highest);
        }
        let Some(before) = state.watch.checkpoints.insert(place, after) else {
            continue;
        };
        let judged = invariants::monotone((before.incarnation, before.next), (after.incarnation, after.next));
        if let Err(violation) = judged {
            broken(state, format_args!("{target} {topic}[{partition}] {violation}"));
        }
    }
    if let Some(evidence) = doubled {
        broken_as(state, "I4 exactly once", evidence);
    }
    let document = plan.and_then(|id| state.bucket.get(&format!("{PREFIX}/_plans/{id}.json")));
    if let Some(plan) = document.and_then(|document| Plan::parse(document).ok())
        && let Some(before) = state.watch.plans.insert((target, group), plan.clone())
        && let Err(violation) = invariants::forward_schema(&before, &plan)
    {
        broken(state, violation);
    }
}

/// An operator's command begins to accept the partitions that there are: from now on every producer uses them.
pub fn accepts(state: &mut State, by: &str) {
    state.keys_move = false;
    let mut accepted = Accepted::default();
    for partition in state.upstream.partitions(KEYED) {
        accepted.partitions += 1;
        let last = state
            .upstream
            .log(KEYED, partition)
            .and_then(|log| log.visible().last());
        if let Some(last) = last {
            accepted.last.insert(partition, last.offset);
        }
    }
    state.watch.accepting.insert(by.to_owned(), accepted);
}

/// Rules 13 and 20: a partition that was added to the keyed topic is not applied before an operator accepted it, and not before all older
/// partitions are applied up to where they ended then.
fn added_waits(state: &mut State, target: &'static str, positions: &BTreeMap<Partition, Checkpoint>) {
    let watch = &state.watch;
    let added = |partition: &Partition| watch.added.contains(&(KEYED, *partition));
    // A lineage that began when the partition was there already knows nothing of an increase.
    let began_with = |partition: &Partition| {
        let of_topic = watch.claims.iter().filter(|((topic, _), _)| *topic == KEYED);
        let first = |claims: &[Claim]| claims.iter().find(|claim| claim.kind == Kind::Genesis)?.partitions;
        let least = of_topic
            .filter_map(|(unit, claims)| {
                // Where the log lost its beginning, only what it says now can be known.
                let lost = matches!(watch.damaged.get(unit), Some(Damage::SignalsLost(_)));
                if lost {
                    first(&state.signals.claims(&signals_of(unit.0), unit.1))
                } else {
                    first(claims)
                }
            })
            .min();
        least.is_none_or(|count| i64::from(count) > i64::from(partition.0))
    };
    // A checkpoint at the origin says that nothing is applied.
    let beyond_origin = |partition: &Partition, at: Position| {
        let claims = watch.claims.get(&(KEYED, *partition)).into_iter().flatten();
        let mut geneses = claims.filter(|claim| claim.kind == Kind::Genesis);
        at.incarnation == Incarnation(0) && geneses.next().is_none_or(|genesis| at.next > genesis.start)
    };
    let applied = positions.iter().filter(|(partition, checkpoint)| {
        beyond_origin(partition, checkpoint.position) && added(partition) && !began_with(partition)
    });
    let mut found = Vec::new();
    for (partition, _) in applied {
        let accepted = watch.accepted.get(target);
        let Some(accepted) = accepted.filter(|accepted| i64::from(partition.0) < accepted.partitions as i64) else {
            found.push(format!(
                "partition `{partition}` was applied before anybody accepted it"
            ));
            continue;
        };
        for (old, last) in accepted.last.iter().filter(|(old, _)| !added(old)) {
            let at = positions.get(old).map(|checkpoint| checkpoint.position);
            if at.is_none_or(|at| at.incarnation == Incarnation(0) && at.next <= *last) {
                found.push(format!(
                    "partition `{partition}` was applied before partition `{old}` had passed offset `{last}`"
                ));
            }
        }
    }
    for evidence in found {
        broken_as(state, "I6 order", format!("{target} {KEYED}: {evidence}"));
    }
}

/// A target's warehouse was restored: what was known of it is no more.
pub fn restored(state: &mut State, target: &'static str) {
    refresh::restored(state, target);
    let State { watch, warehouses, .. } = state;
    watch.restored.insert(target);
    watch.plans.retain(|(of, _), _| *of != target);
    watch.checkpoints.retain(|(of, _), _| *of != target);
    for topic in TOPICS {
        let group = group_of(topic);
        let content = warehouses.get(target).and_then(|warehouse| warehouse.group(group));
        let found = content.map_or_else(BTreeMap::new, |content| checkpoints(&content.committed, group));
        for (partition, checkpoint) in found {
            watch
                .checkpoints
                .insert((target, (topic, partition)), checkpoint.position);
        }
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
    checkpoints_of(content, &of_kind(group, "lineage"))
}

fn checkpoints_of(content: &Connection, sql: &str) -> BTreeMap<Partition, Checkpoint> {
    let checkpoint = |row: &Vec<Option<String>>| {
        let position = Position {
            incarnation: Incarnation(u32::try_from(number(row, 1)).unwrap_or(0)),
            next: Offset(number(row, 2)),
        };
        let partition = Partition(i32::try_from(number(row, 0)).unwrap_or(-1));
        let signal_next = number(row, 3);
        (partition, Checkpoint { position, signal_next })
    };
    ask(content, sql).iter().map(checkpoint).collect()
}

fn of_kind(group: &str, kind: &str) -> String {
    format!(
        "SELECT \"partition\", \"incarnation\", \"next_offset\", \"signal_offset\" FROM \"spolt.shop__{group}__state\" WHERE \"kind\" = '{kind}'"
    )
}

fn positions_of_kind(content: &Connection, group: &str, kind: &str) -> BTreeMap<Partition, Position> {
    let positions = checkpoints_of(content, &of_kind(group, kind)).into_iter();
    positions.map(|(partition, at)| (partition, at.position)).collect()
}

fn plan_id(content: &Connection, group: &str) -> Option<String> {
    let sql = format!("SELECT \"plan_id\" FROM \"spolt.shop__{group}__state\" WHERE \"kind\" = 'table'");
    ask(content, &sql).first()?.first()?.clone()
}

fn doubled(content: &Connection, topic: &str) -> Option<String> {
    let sql = format!(
        "SELECT \"_kafka_partition\", \"_kafka_incarnation\", \"_kafka_offset\", \"_kafka_seq\", COUNT(*) FROM \"{topic}\" \
         GROUP BY 1, 2, 3, 4 HAVING COUNT(*) > 1 ORDER BY 1, 2, 3, 4"
    );
    let rows = ask(content, &sql);
    let row = rows.first()?;
    let (partition, offset, times) = (number(row, 0), number(row, 2), number(row, 4));
    Some(format!(
        "offset `{offset}` of partition `{partition}` was applied {times} times"
    ))
}

/// First signal of a partition that some target, or the backup of one, may still read. A target that may yet begin needs all of them.
#[must_use]
pub fn signals_needed_from(state: &State, targets: &[&'static str], unit: Unit) -> i64 {
    let group = group_of(unit.0);
    let from = |content: Option<&Connection>| {
        let of = |kind| {
            let found =
                content.and_then(|content| checkpoints_of(content, &of_kind(group, kind)).get(&unit.1).copied());
            found.map(|checkpoint| checkpoint.signal_next)
        };
        let refreshes = content.is_some_and(|content| !positions_of_kind(content, group, "refresh").is_empty());
        // To give a refresh up is to read again from where it began.
        of(if refreshes { "refresh" } else { "lineage" }).unwrap_or(0)
    };
    let needed = targets.iter().map(|target| {
        let warehouse = &state.warehouses[target];
        let now = from(warehouse.group(group).map(|group| &group.committed));
        if warehouse.is_backed_up() {
            now.min(from(warehouse.backup(group)))
        } else {
            now
        }
    });
    needed.min().unwrap_or(0)
}

fn all_units(state: &State) -> Vec<Unit> {
    let of_topic = |topic: &&'static str| {
        let topic = *topic;
        let partitions = state.upstream.partitions(topic).into_iter();
        partitions.map(move |partition| (topic, partition))
    };
    TOPICS.iter().flat_map(of_topic).collect()
}
