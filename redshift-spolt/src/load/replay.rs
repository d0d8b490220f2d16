//! Records set aside that are tried again (rule 27): made into rows by the present settings, and merged only where nothing later of their
//! key was applied.
//!
//! A replay is a load without claims: it moves no checkpoint, and takes the table's lock like any other. What it says of the records it
//! was given, it says in the same transaction.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use common::avro::WriterSchema;
use common::claim::{Claim, Decoder, Dialect, Kind, Object};
use common::failure::Failure;
use common::ids::{Incarnation, Lineage, Offset, Partition, SchemaId};
use common::plan::Plan;
use common::row::{ASIDE_HEADERS, EncodeError, Outcome, Record, RowEncoder, Settings, Stats};
use runtime::port::Answer;

use super::aside::STATUS;
use super::evolve::Wanted;
use super::run::{Group, GroupKey, LoadPlan};
use super::sql::{identifier, literal, timestamp};

/// How often the plan may grow while records are encoded: each time at least one column is added or widened.
const GROWTHS_MAX: usize = 10_000;

/// Where a record lay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Incarnation of the topic.
    pub incarnation: Incarnation,
    /// Partition.
    pub partition: Partition,
    /// Offset.
    pub offset: Offset,
}

/// A record that was set aside, as its table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it lay.
    pub place: Place,
    /// Its timestamp, milliseconds since 1970; -1 for none.
    pub timestamp_ms: i64,
    /// Name of the reason.
    pub reason: String,
    /// The column at fault.
    pub column: Option<String>,
    /// What was wrong.
    pub error: String,
    /// What became of it.
    pub status: String,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers, where the topic asked for them.
    pub headers: Option<Vec<u8>>,
    /// Whether the table knows its key, so that later changes of the key were noticed.
    pub key_known: bool,
}

/// What a record comes to by the present settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Rows.
    Rows,
    /// Nothing that a table would show.
    Nothing,
    /// The same or another problem.
    Bad(EncodeError),
    /// It would empty the table, which is not done behind what came later.
    Truncate,
}

/// Records made into rows by one plan.
#[derive(Debug)]
pub struct Encoded {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The rows, uncompressed.
    pub rows: Vec<u8>,
    /// How many.
    pub count: u64,
    /// What a claim would say of them.
    pub stats: Stats,
    /// What became of each record, in the order given.
    pub fates: Vec<Fate>,
}

/// What came of an attempt to encode.
#[derive(Debug)]
pub enum Tried {
    /// This schema is needed first.
    NeedSchema(SchemaId),
    /// Done.
    Done(Box<Encoded>),
}

/// Makes records into rows that all have one plan: that of the table, or one grown from it.
///
/// # Errors
/// When the plan does not come to rest.
pub fn encode(
    records: &[Kept],
    settings: &Arc<Settings>,
    plan: Option<Arc<Plan>>,
    schemas: &HashMap<SchemaId, Arc<WriterSchema>>,
) -> Result<Tried, Failure> {
    let mut plan = plan;
    for _ in 0..GROWTHS_MAX {
        match attempt(records, settings, plan.clone(), schemas) {
            Attempt::NeedSchema(id) => return Ok(Tried::NeedSchema(id)),
            Attempt::Grow(grown) => plan = Some(grown),
            Attempt::Done(encoded) => return Ok(Tried::Done(encoded)),
        }
    }
    Err(Failure::halt("the plan of the records does not come to rest"))
}

enum Attempt {
    NeedSchema(SchemaId),
    Grow(Arc<Plan>),
    Done(Box<Encoded>),
}

fn attempt(
    records: &[Kept],
    settings: &Arc<Settings>,
    plan: Option<Arc<Plan>>,
    schemas: &HashMap<SchemaId, Arc<WriterSchema>>,
) -> Attempt {
    let mut encoders: HashMap<(Incarnation, Partition), RowEncoder> = HashMap::new();
    let mut done = Encoded {
        plan: plan.clone().unwrap_or_default(),
        rows: Vec::new(),
        count: 0,
        stats: Stats::default(),
        fates: Vec::new(),
    };
    for kept in records {
        let Place {
            incarnation, partition, ..
        } = kept.place;
        let encoder = encoders.entry((incarnation, partition)).or_insert_with(|| {
            let mut encoder = RowEncoder::new(Arc::clone(settings), incarnation, partition, plan.clone());
            for (id, schema) in schemas {
                encoder.add_schema(id.clone(), Arc::clone(schema));
            }
            encoder
        });
        let record = Record {
            offset: kept.place.offset,
            timestamp_ms: kept.timestamp_ms,
            key: kept.key.as_deref(),
            value: kept.value.as_deref(),
            headers: kept.headers.as_deref(),
        };
        done.fates
            .push(match encoder.encode(&record, &mut done.rows, &mut done.stats) {
                Ok(Outcome::NeedSchema(id)) => return Attempt::NeedSchema(id),
                Ok(Outcome::PlanGrows(grown)) => return Attempt::Grow(grown),
                Ok(Outcome::Rows(count)) => {
                    done.count += u64::from(count);
                    Fate::Rows
                }
                Ok(Outcome::Skipped) => Fate::Nothing,
                Ok(Outcome::Truncate) => Fate::Truncate,
                Err(error) => Fate::Bad(error),
            });
    }
    Attempt::Done(Box::new(done))
}

/// Why a record that can be read is not replayed all the same. Where rows have a key, one whose key was not known is left alone unless
/// somebody insists (`needs_key`).
#[must_use]
pub fn refusal(kept: &Kept, fate: &Fate, needs_key: bool) -> Option<String> {
    match fate {
        Fate::Bad(error) => Some(error.problem.to_string()),
        Fate::Truncate => {
            Some("it empties the table, which cannot be done behind what came later; discard it".to_owned())
        }
        Fate::Rows if needs_key && !kept.key_known => Some(
            "its key could not be read when it was set aside, so a later delete of it would not have been noticed; \
             --unknown-keys replays it all the same"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Rows made of records set aside, as they lie on S3.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    /// The decoder that made them.
    pub decoder: Decoder,
    /// How they are read.
    pub dialect: Dialect,
    /// Their columns.
    pub plan: &'a Plan,
    /// How many.
    pub count: u64,
    /// Longest value of each text column, in bytes.
    pub longest: BTreeMap<String, u32>,
    /// The columns that some row leaves out as unchanged (rule 25).
    pub unchanged: Vec<String>,
    /// Where they lie.
    pub object: Object,
}

/// The load that merges these rows, which were made of the records at `places`; `None` without any. It belongs to no run, so it moves no
/// checkpoint.
#[must_use]
pub fn load_plan(topic: &str, places: Vec<Place>, rows: Rows<'_>) -> Option<LoadPlan> {
    let (first, last) = (*places.first()?, *places.last()?);
    // No claim of any log: it only tells the load what the object holds.
    let lineage = Lineage {
        cluster: String::new(),
        topic: topic.to_owned(),
        incarnation: first.incarnation,
        partition: first.partition,
    };
    let next = last.offset.next().max(first.offset.next());
    let key = GroupKey {
        plan: rows.plan.id(),
        decoder: Some(rows.decoder),
        dialect: rows.dialect,
        bucket: rows.object.bucket.clone(),
        region: rows.object.region.clone(),
    };
    let claim = Claim {
        rows: rows.count,
        longest: rows.longest,
        unchanged: rows.unchanged,
        object: Some(rows.object),
        ..Claim::new(Kind::Data, &lineage, first.offset, next)
    };
    Some(LoadPlan {
        groups: vec![Group {
            key,
            claims: vec![Arc::new(claim)],
            rows: rows.count,
        }],
        replay: places,
        ..LoadPlan::default()
    })
}

/// The question for a staged record that is not open any more; its answer must have no row.
#[must_use]
pub fn find_closed(aside: &str, stage: &str) -> String {
    format!(
        "SELECT s.\"_kafka_partition\", s.\"_kafka_offset\"\nFROM {stage} AS s\nLEFT JOIN {aside} AS a\n  ON {}\n  AND a.{} = 'open'\nWHERE a.\"_kafka_offset\" IS NULL\nLIMIT 1",
        same_place("a", "s"),
        identifier(STATUS)
    )
}

/// Whether the row or record of one place came after that of another, both of one key: they lie in one partition, or the later one in a
/// partition that was added and accepted (`grown`, see `conflict`).
#[must_use]
pub fn is_later(later: &str, earlier: &str, grown: &[u32]) -> String {
    let added: String = grown
        .iter()
        .map(|count| {
            format!("\n   OR ({later}.\"_kafka_partition\" >= {count} AND {earlier}.\"_kafka_partition\" < {count})")
        })
        .collect();
    format!(
        "({later}.\"_kafka_incarnation\" > {earlier}.\"_kafka_incarnation\"\n   OR ({later}.\"_kafka_incarnation\" = {earlier}.\"_kafka_incarnation\" \
         AND (({later}.\"_kafka_partition\" = {earlier}.\"_kafka_partition\" AND {later}.\"_kafka_offset\" > \
         {earlier}.\"_kafka_offset\"){added})))"
    )
}

/// Takes out of the stage what a later change of its key has overtaken.
///
/// What was there before an accepted increase is not later than what lies in a partition that was added by it, though the lives of the one
/// may be more than those of the other: a partition that is added to a topic that was made anew begins its first life there. A change of a
/// life that began after the increase has marked the record already, where its key was known.
#[must_use]
pub fn drop_late(table: &str, stage: &str, keys: &[&Wanted], grown: &[u32]) -> String {
    let matches: Vec<String> = keys
        .iter()
        .map(|key| {
            format!(
                "{table}.{} = {}",
                identifier(&key.name),
                super::merge::value(key, stage)
            )
        })
        .collect();
    let before: String = grown
        .iter()
        .map(|count| {
            format!("\n  AND NOT ({table}.\"_kafka_partition\" < {count} AND {stage}.\"_kafka_partition\" >= {count})")
        })
        .collect();
    format!(
        "DELETE FROM {stage}\nUSING {table}\nWHERE {}\n  AND {}{before}",
        matches.join("\n  AND "),
        is_later(table, stage, grown)
    )
}

/// Marks what the stage still has as replayed.
///
/// # Errors
/// When the load's id cannot be written as a literal.
pub fn mark_replayed(aside: &str, stage: &str, load_id: &str, now_ms: i64) -> Result<String, Failure> {
    Ok(format!(
        "UPDATE {aside}\nSET {}\nFROM (\n    SELECT DISTINCT \"_kafka_incarnation\", \"_kafka_partition\", \"_kafka_offset\"\n    FROM {stage}\n) AS s\nWHERE {aside}.{} = 'open'\n  AND {}",
        fate("replayed", load_id, now_ms)?,
        identifier(STATUS),
        same_place(aside, "s")
    ))
}

/// Marks records that are still open with a status.
///
/// # Errors
/// When the load's id cannot be written as a literal.
pub fn mark(aside: &str, places: &[Place], status: &str, load_id: &str, now_ms: i64) -> Result<String, Failure> {
    let which: Vec<String> = places
        .iter()
        .map(|place| {
            format!(
                "(\"_kafka_incarnation\" = {} AND \"_kafka_partition\" = {} AND \"_kafka_offset\" = {})",
                place.incarnation, place.partition, place.offset
            )
        })
        .collect();
    Ok(format!(
        "UPDATE {aside}\nSET {}\nWHERE {} = 'open' AND (\n    {}\n)",
        fate(status, load_id, now_ms)?,
        identifier(STATUS),
        which.join("\n    OR ")
    ))
}

pub(super) fn fate(status: &str, load_id: &str, now_ms: i64) -> Result<String, Failure> {
    Ok(format!(
        "{} = {}, \"_kafka_load_id\" = {}, \"_kafka_changed_at\" = {}",
        identifier(STATUS),
        literal(status)?,
        literal(load_id)?,
        timestamp(now_ms)
    ))
}

fn same_place(a: &str, b: &str) -> String {
    ["_kafka_incarnation", "_kafka_partition", "_kafka_offset"]
        .map(|column| format!("{a}.\"{column}\" = {b}.\"{column}\""))
        .join(" AND ")
}

/// The statement that reads records set aside, with these key columns; its answer goes to [`parse`]. Those of a later place than `after`
/// come, at most `limit` parts of them. `headers` says whether the table keeps those.
#[must_use]
pub fn read(
    aside: &str,
    (keys, headers): (&[String], bool),
    only_open: bool,
    after: Option<Place>,
    limit: usize,
) -> String {
    let known = keys
        .iter()
        .map(|key| format!("{} IS NOT NULL", identifier(key)))
        .collect::<Vec<_>>()
        .join(" AND ");
    let known = if known.is_empty() { "1 = 0".to_owned() } else { known };
    let headers = if headers {
        ASIDE_HEADERS.map(|column| identifier(column.name)).join(", ")
    } else {
        "NULL, NULL".to_owned()
    };
    let mut conditions = Vec::new();
    if only_open {
        conditions.push(format!("{} = 'open'", identifier(STATUS)));
    }
    if let Some(Place {
        incarnation,
        partition,
        offset,
    }) = after
    {
        conditions.push(format!(
            "(\"_kafka_incarnation\" > {incarnation} OR (\"_kafka_incarnation\" = {incarnation} AND (\"_kafka_partition\" > {partition} OR (\"_kafka_partition\" = \
             {partition} AND \"_kafka_offset\" > {offset}))))"
        ));
    }
    let condition = match conditions.as_slice() {
        [] => String::new(),
        all => format!("\nWHERE {}", all.join("\n  AND ")),
    };
    format!(
        "SELECT \"_kafka_incarnation\", \"_kafka_partition\", \"_kafka_offset\", \"_kafka_timestamp\", \"_kafka_reason\", \"_kafka_column\", \"_kafka_error\", \
         {}, \"_kafka_key_bytes\", \"_kafka_key\", \"_kafka_value_bytes\", \"_kafka_value\", CASE WHEN {known} THEN 1 ELSE 0 END, {headers}\nFROM {aside}{condition}\n\
         ORDER BY \"_kafka_incarnation\", \"_kafka_partition\", \"_kafka_offset\", \"_kafka_part\"\nLIMIT {limit}",
        identifier(STATUS)
    )
}

/// Reads the answer of [`read`]: the parts of a record are joined, and one whose parts did not all come is left out.
///
/// # Errors
/// When a row is malformed.
pub fn parse(answer: &Answer) -> Result<Vec<Kept>, Failure> {
    let mut all: Vec<Kept> = Vec::new();
    let mut lengths: Vec<[Option<usize>; 3]> = Vec::new();
    for row in &answer.rows {
        let text = |index: usize| row.get(index).and_then(Option::as_deref);
        let malformed = || Failure::halt(format!("a row of the records set aside is malformed: `{row:?}`"));
        let number = |index: usize| text(index).and_then(|text| text.trim().parse::<i64>().ok());
        let place = Place {
            incarnation: Incarnation(number(0).and_then(|n| u32::try_from(n).ok()).ok_or_else(malformed)?),
            partition: Partition(number(1).and_then(|n| i32::try_from(n).ok()).ok_or_else(malformed)?),
            offset: Offset(number(2).ok_or_else(malformed)?),
        };
        let length = |index: usize| number(index).and_then(|length| usize::try_from(length).ok());
        let [of_key, of_value, of_headers] = [8, 10, 13].map(length);
        // Two values of one record that were replaced are two.
        if all
            .last()
            .is_none_or(|last| last.place != place || last.column.as_deref() != text(5))
        {
            let owned = |index: usize| text(index).unwrap_or_default().to_owned();
            all.push(Kept {
                place,
                timestamp_ms: text(3).map_or(Ok(-1), |text| super::sql::millis(text).ok_or_else(malformed))?,
                reason: owned(4),
                column: text(5).map(str::to_owned),
                error: owned(6),
                status: owned(7),
                key: of_key.map(|_| Vec::new()),
                value: of_value.map(|_| Vec::new()),
                headers: of_headers.map(|_| Vec::new()),
                key_known: number(12) == Some(1),
            });
            lengths.push([of_key, of_value, of_headers]);
        }
        let Some(kept) = all.last_mut() else { continue };
        for (bytes, index) in [(&mut kept.key, 9), (&mut kept.value, 11), (&mut kept.headers, 14)] {
            if let (Some(bytes), Some(digits)) = (bytes, text(index)) {
                bytes.extend(unhex(digits).ok_or_else(malformed)?);
            }
        }
    }
    let whole = |kept: &Kept, lengths| {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(Vec::len);
        [&kept.key, &kept.value, &kept.headers].map(length) == lengths
    };
    let mut lengths = lengths.into_iter();
    all.retain(|kept| lengths.next().is_some_and(|length| whole(kept, length)));
    Ok(all)
}

/// VARBYTE as it is shown: hex digits, which PostgreSQL begins with `\x`.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x").unwrap_or(text).as_bytes();
    let pairs = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok().filter(|_| pair.len() == 2)
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_and_what_is_not_whole_is_left_out() {
        let row = |offset: &str, lengths: (&str, &str), value: &str| {
            let cells = [
                "0",
                "3",
                offset,
                "2026-11-21 10:00:00.25",
                "not_finite",
                "-",
                "e",
                "open",
                lengths.0,
                "\\x6b",
                lengths.1,
                value,
                "1",
            ];
            cells.map(|cell| (cell != "-").then(|| cell.to_owned())).to_vec()
        };
        let answer = Answer {
            rows: vec![
                row("5", ("2", "4"), "0102"),
                row("5", ("2", "4"), "\\x0304"),
                row("6", ("1", "-"), "-"),
                row("7", ("1", "4"), "0102"),
            ],
            affected: 4,
        };
        let kept = parse(&answer).unwrap();
        let seen: Vec<_> = kept
            .iter()
            .map(|kept| (kept.place.offset.0, kept.key.clone(), kept.value.clone()))
            .collect();
        assert_eq!(
            seen,
            [
                (5, Some(b"kk".to_vec()), Some(vec![1, 2, 3, 4])),
                (6, Some(b"k".to_vec()), None)
            ]
        );
        assert_eq!(kept[0].timestamp_ms, 1_795_255_200_250);
        assert!(kept[0].key_known && kept[0].column.is_none());
        let broken = Answer {
            rows: vec![row("5", ("1", "1"), "0g")],
            affected: 1,
        };
        assert!(parse(&broken).is_err());
    }
}
