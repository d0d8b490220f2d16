//! Records set aside (rule 27): how they reach their table, and how it is noticed that one came too late to be mended.
//!
//! `{schema}__{table}__set_aside` beside the state has a row for every part of such a record: where it lay in Kafka, why it has no row, its
//! bytes, its key where that could be read, and what became of it in `_kafka_status`:
//!
//! | status | meaning |
//! |---|---|
//! | `amended` | the record has its row, but for a value that was replaced as its column's rule says |
//! | `open` | nothing came after it, as far as its key is known |
//! | `superseded` | its key was changed or deleted later, or the table was emptied: applied now it would undo that |
//! | `replayed` | it was mended and applied |
//! | `discarded` | somebody decided that it is not needed |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::claim::{Claim, Dialect};
use common::failure::Failure;
use common::manifest::Entry;
use common::mutant::Mutant;
use common::plan::{Plan, PlanId};
use common::row::{ASIDE_HEADERS, aside_columns};
use common::table::ColumnType;

use super::evolve::{self, Present, Wanted};
use super::replay::{fate, is_later};
use super::run::Run;
use super::sql::{identifier, literal, timestamp};

/// The stage of records set aside: a temporary table, made and dropped within the load's transaction.
pub const STAGE: &str = "spolt_aside";

/// What becomes of a record set aside.
pub const STATUS: &str = "_kafka_status";
/// The load that brought a record, or that changed its status last.
const LOAD_ID: &str = "_kafka_load_id";
/// When that was.
const CHANGED_AT: &str = "_kafka_changed_at";

/// Records set aside that one COPY reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AsideGroup {
    /// What makes them readable alike.
    pub key: AsideKey,
    /// The claims that name them.
    pub claims: Vec<Arc<Claim>>,
    /// Lines that COPY must report.
    pub lines: u64,
}

/// See [`AsideGroup`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsideKey {
    /// The plan whose key columns the lines have; none where the first record of a lineage was bad.
    pub plan: Option<PlanId>,
    /// How they are read.
    pub dialect: Dialect,
    /// Region of their bucket.
    pub region: String,
    /// Whether the lines have headers.
    pub headers: bool,
}

impl AsideGroup {
    /// The manifest's entries.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let objects = self.claims.iter().filter_map(|claim| claim.aside_object());
        let entry = |object: common::claim::Object| Entry {
            bucket: object.bucket,
            key: object.key,
            bytes: object.bytes,
        };
        objects.map(entry).collect()
    }
}

/// What the claims of these runs set aside.
#[must_use]
pub fn groups(runs: &[Run]) -> Vec<AsideGroup> {
    let mut groups: BTreeMap<AsideKey, Vec<Arc<Claim>>> = BTreeMap::new();
    for claim in runs.iter().flat_map(|run| &run.claims) {
        let (Some(object), Some(dialect)) = (claim.aside_object(), claim.dialect.clone()) else {
            continue;
        };
        let key = AsideKey {
            plan: claim.plan.clone(),
            dialect,
            region: object.region,
            headers: claim.aside.as_ref().is_some_and(|aside| aside.headers),
        };
        groups.entry(key).or_default().push(Arc::clone(claim));
    }
    let group = |(key, claims): (AsideKey, Vec<Arc<Claim>>)| AsideGroup {
        key,
        lines: claims
            .iter()
            .filter_map(|claim| claim.aside.as_ref())
            .map(|aside| aside.lines)
            .sum(),
        claims,
    };
    groups.into_iter().map(group).collect()
}

/// The key columns of a plan, as they stand in a line and as this table has them.
#[must_use]
pub fn key_columns(plan: &Plan) -> Vec<Wanted> {
    let column = |column: &&common::plan::Column| Wanted {
        name: column.name.clone(),
        ty: match column.ty {
            ColumnType::Varchar { limit: None } => ColumnType::Varchar {
                limit: Some(evolve::WIDTHS[5]),
            },
            ty => ty,
        },
        key: false,
        default: None,
        longest: 0,
    };
    plan.key_columns().iter().map(column).collect()
}

/// Whether any of these groups has headers.
#[must_use]
pub fn any_headers(groups: &[AsideGroup]) -> bool {
    groups.iter().any(|group| group.key.headers)
}

/// Whether the table has a column for headers.
#[must_use]
pub fn keeps_headers(present: &[Present]) -> bool {
    let is_headers = |column: &Present| column.name == ASIDE_HEADERS[0].name;
    present.iter().any(is_headers)
}

/// All columns of the table, with those of headers if there are any, and the key columns of a plan.
#[must_use]
pub fn columns(keys: &[Wanted], headers: bool) -> Vec<Wanted> {
    let text = |bytes| ColumnType::Varchar { limit: Some(bytes) };
    let own = aside_columns(headers).map(|column| (column.name, column.ty));
    let fate = [(LOAD_ID, text(64)), (CHANGED_AT, ColumnType::Timestamp)];
    let wanted = |(name, ty): (&str, ColumnType)| Wanted {
        name: name.to_owned(),
        ty,
        key: false,
        default: None,
        longest: 0,
    };
    own.chain(fate).map(wanted).chain(keys.iter().cloned()).collect()
}

/// Creates the stage.
#[must_use]
pub fn create_stage(keys: &[Wanted], headers: bool) -> String {
    let own = aside_columns(headers).map(|column| format!("{} {}", identifier(column.name), column.ty));
    let keys = keys
        .iter()
        .map(|key| format!("{} {}", identifier(&key.name), evolve::staged(key)));
    let lines: Vec<String> = own.chain(keys).collect();
    format!(
        "CREATE TEMP TABLE {} (\n    {}\n)",
        identifier(STAGE),
        lines.join(",\n    ")
    )
}

/// The columns that a group's lines have, in order.
#[must_use]
pub fn line_columns(plan: Option<&Plan>, headers: bool) -> Vec<String> {
    let own = aside_columns(headers).map(|column| column.name.to_owned());
    let keys = plan.map_or_else(Vec::new, key_columns);
    own.chain(keys.into_iter().map(|key| key.name)).collect()
}

/// Removes what lies before the checkpoints; `None` where no claim reaches below its own.
#[must_use]
pub fn trim(runs: &[Run]) -> Option<String> {
    let below = |run: &&Run| {
        let floor = run.from.next;
        run.claims
            .iter()
            .any(|claim| claim.aside.is_some() && claim.start < floor)
    };
    let trims: Vec<String> = runs
        .iter()
        .filter(below)
        .map(|run| {
            format!(
                "(\"_kafka_partition\" = {} AND \"_kafka_offset\" < {})",
                run.partition, run.from.next
            )
        })
        .collect();
    let trims = trims
        .into_iter()
        .filter(|_| !Mutant::AsideKeptTwice.is_on())
        .collect::<Vec<_>>();
    (!trims.is_empty()).then(|| format!("DELETE FROM {}\nWHERE {}", identifier(STAGE), trims.join("\n   OR ")))
}

/// Moves the stage into the table, one row for each part of a record: claims of a run may overlap (M9).
///
/// # Errors
/// When the load's id cannot be written as a literal.
pub fn keep(table: &str, (keys, headers): (&[Wanted], bool), load_id: &str, now_ms: i64) -> Result<String, Failure> {
    let names: Vec<String> = aside_columns(headers).map(|column| identifier(column.name)).collect();
    let key_names = keys.iter().map(|key| identifier(&key.name));
    let targets: Vec<String> = names
        .iter()
        .cloned()
        .chain(key_names)
        .chain([LOAD_ID, CHANGED_AT].map(identifier))
        .collect();
    let values: Vec<String> = names
        .iter()
        .map(|name| format!("s.{name}"))
        .chain(keys.iter().map(|key| super::merge::value(key, "s")))
        .chain([literal(load_id)?, timestamp(now_ms)])
        .collect();
    let once = if Mutant::AsideKeptTwice.is_on() { ">= 1" } else { "= 1" };
    Ok(format!(
        "INSERT INTO {table} ({})\nSELECT {}\nFROM (\n    SELECT r.*, ROW_NUMBER() OVER (PARTITION BY \"_kafka_partition\", \"_kafka_offset\", \"_kafka_column\", \"_kafka_part\" ORDER BY \
         \"_kafka_incarnation\") AS \"_spolt_rank\"\n    FROM {} AS r\n) AS s\nWHERE s.\"_spolt_rank\" {once}",
        targets.join(", "),
        values.join(", "),
        identifier(STAGE)
    ))
}

/// Whether the table knows the keys of its records.
#[must_use]
pub fn has_keys(present: &[Present], keys: &[Wanted]) -> bool {
    let names: BTreeSet<&str> = present.iter().map(|column| column.name.as_str()).collect();
    !keys.is_empty() && keys.iter().all(|key| names.contains(key.name.as_str()))
}

/// Marks records whose key the stage changes or deletes later than they would have.
///
/// # Errors
/// When the load's id cannot be written as a literal.
pub fn supersede(
    table: &str,
    stage: &str,
    (keys, grown): (&[&Wanted], &[u32]),
    load_id: &str,
    now_ms: i64,
) -> Result<String, Failure> {
    let by: Vec<String> = keys.iter().map(|key| identifier(&key.name)).collect();
    let matches: Vec<String> = keys
        .iter()
        .map(|key| format!("{table}.{} = {}", identifier(&key.name), super::merge::value(key, "s")))
        .collect();
    Ok(format!(
        "UPDATE {table}\nSET {}\nFROM (\n    SELECT {by}, \"_kafka_incarnation\", \"_kafka_partition\", MAX(\"_kafka_offset\") AS \
         \"_kafka_offset\"\n    FROM {stage}\n    GROUP BY {by}, \"_kafka_incarnation\", \"_kafka_partition\"\n) AS s\nWHERE {table}.{} = \
         'open'\n  AND {}\n  AND {}",
        fate("superseded", load_id, now_ms)?,
        identifier(STATUS),
        matches.join("\n  AND "),
        is_later("s", table, grown),
        by = by.join(", "),
    ))
}

/// Marks all records, since the table is emptied behind them.
///
/// # Errors
/// When the load's id cannot be written as a literal.
pub fn supersede_all(table: &str, load_id: &str, now_ms: i64) -> Result<String, Failure> {
    Ok(format!(
        "UPDATE {table}\nSET {}\nWHERE {} = 'open'",
        fate("superseded", load_id, now_ms)?,
        identifier(STATUS)
    ))
}
