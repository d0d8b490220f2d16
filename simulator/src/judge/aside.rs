//! Records set aside (rule 27): each that could not become a row is in its table exactly once, with a status that is true.

use std::collections::{BTreeMap, BTreeSet};

use common::chain::Position;
use common::claim::{Claim, Kind};
use common::ids::{Incarnation, Offset, Partition};
use common::invariants::Violation;
use rusqlite::Connection;

use super::refresh::Refreshed;
use super::story::{self, Stretch, below, is_rewritten, records};
use super::{ask, number};
use crate::fake::dialect;
use crate::fake::upstream::Record;
use crate::group::Unit;
use crate::host::group_of;
use crate::workload::{Change, KEYED, Row, TOPICS};
use crate::world::State;

/// Where a record lay.
pub type Place = (Incarnation, Partition, Offset);

/// What a target says of a record set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What became of it.
    pub status: String,
    /// Its key, where that was known.
    pub key: Option<i64>,
}

/// The records set aside of a table.
#[derive(Debug, Default)]
pub struct Asides(BTreeMap<Place, Kept>);

fn columns(content: &Connection, table: &str) -> BTreeSet<String> {
    let names = ask(content, &format!("SELECT name FROM pragma_table_info('{table}')"));
    names.into_iter().flatten().flatten().collect()
}

fn table(group: &str) -> String {
    format!("spolt.shop__{group}__set_aside")
}

fn place(row: &[Option<String>]) -> Place {
    (
        Incarnation(u32::try_from(number(row, 0)).unwrap_or(u32::MAX)),
        Partition(i32::try_from(number(row, 1)).unwrap_or(-1)),
        Offset(number(row, 2)),
    )
}

impl Asides {
    /// Those that a group of tables has.
    #[must_use]
    pub fn of(content: Option<&Connection>, group: &str) -> Asides {
        let Some(content) = content else {
            return Asides::default();
        };
        let table = table(group);
        let key = if columns(content, &table).contains("id") {
            "\"id\""
        } else {
            "NULL"
        };
        let sql = format!(
            "SELECT \"_kafka_incarnation\", \"_kafka_partition\", \"_kafka_offset\", \"_kafka_status\", {key} FROM \"{table}\" ORDER BY 1, 2, 3"
        );
        let kept = |row: &Vec<Option<String>>| {
            let kept = Kept {
                status: row[3].clone().unwrap_or_default(),
                key: row[4].as_ref().and_then(|text| text.parse().ok()),
            };
            (place(row), kept)
        };
        Asides(ask(content, &sql).iter().map(kept).collect())
    }

    /// What is said of a record, where it should have been set aside.
    #[must_use]
    pub fn status(&self, unit: Unit, record: &Record, stretch: &Stretch) -> Option<&Kept> {
        let place = (stretch.incarnation, unit.1, record.offset);
        let kept = self.0.get(&place);
        is_bad(record, stretch.refuses.unwrap_or(kept.is_some()))
            .then_some(kept)
            .flatten()
    }

    /// The places of those that were replayed.
    #[must_use]
    pub fn replayed(&self) -> BTreeSet<Place> {
        let replayed = self.0.iter().filter(|(_, kept)| kept.status == "replayed");
        replayed.map(|(place, _)| *place).collect()
    }

    /// The rows of a record that a table should show, as far as no refresh has replaced them.
    #[must_use]
    pub fn shown<'a>(
        &self,
        unit: Unit,
        record: &'a Record,
        stretch: &Stretch,
        refreshed: &Refreshed,
    ) -> Vec<(u16, i64, Option<&'a Row>)> {
        let place = (stretch.incarnation, unit.1, record.offset);
        let replayed = self.status(unit, record, stretch).is_some();
        let replaced = if replayed {
            refreshed.is_wiped(place)
        } else {
            refreshed.is_replaced(place)
        };
        if replaced {
            return Vec::new();
        }
        self.applied(unit, record, stretch)
    }

    /// The rows that a target should have applied of a record: none while it is set aside, all of them once it was replayed.
    #[must_use]
    pub fn applied<'a>(&self, unit: Unit, record: &'a Record, stretch: &Stretch) -> Vec<(u16, i64, Option<&'a Row>)> {
        let place = (stretch.incarnation, unit.1, record.offset);
        let kept = self.0.get(&place);
        let bad = is_bad(record, stretch.refuses.unwrap_or(kept.is_some()));
        if bad && kept.is_none_or(|kept| kept.status != "replayed") {
            return Vec::new();
        }
        record.change.rows()
    }

    /// Every record below a checkpoint that could not become a row is there, and nothing else.
    ///
    /// # Errors
    /// With the first that is missing, or should not be there.
    pub fn hold(&self, state: &State, unit: Unit, told: &[Stretch], at: Position) -> Result<(), Violation> {
        let mut due: BTreeSet<Place> = BTreeSet::new();
        for stretch in below(told, at) {
            for record in records(state, unit, &stretch) {
                let place = (stretch.incarnation, unit.1, record.offset);
                if is_bad(record, stretch.refuses.unwrap_or(self.0.contains_key(&place))) {
                    due.insert(place);
                }
            }
        }
        let found: BTreeSet<Place> = self.0.keys().copied().filter(|place| place.1 == unit.1).collect();
        let evidence = match due.symmetric_difference(&found).next() {
            None => return Ok(()),
            Some(place) if due.contains(place) => "has no row and is not set aside",
            Some(_) => "is set aside, and should not be",
        };
        let first = due.symmetric_difference(&found).next();
        let offset = first.map_or(Offset(-1), |place| place.2);
        Err(Violation {
            invariant: "I4 exactly once",
            evidence: format!("the record at offset `{offset}` {evidence}"),
        })
    }
}

/// Whether a record cannot become a row for a writer that `refuses` the default NULL marker as a text.
#[must_use]
pub fn is_bad(record: &Record, refuses: bool) -> bool {
    match &record.change {
        Change::Poison => true,
        Change::Put { row, .. } => refuses && row.is_marked(),
        Change::Delete(_) | Change::Nothing => false,
    }
}

/// I1 of records set aside: a claim counts them, and its object beside has them, each once.
///
/// # Errors
/// With what is wrong.
pub fn claimed(state: &State, unit: Unit, claim: &Claim) -> Result<(), Violation> {
    let Some(log) = state.upstream.life(unit, claim.incarnation) else {
        return Ok(());
    };
    let range = claim.start..claim.next;
    let bad = log.visible().filter(|record| range.contains(&record.offset));
    let due: Vec<Offset> = bad
        .filter(|record| is_bad(record, story::refuses(claim)))
        .map(|record| record.offset)
        .collect();
    let broken = |evidence: String| {
        let evidence = format!("claim `{}..{}` {evidence}", claim.start, claim.next);
        Err(Violation {
            invariant: "I1 truth",
            evidence,
        })
    };
    if claim.rejected != due.len() as u64 {
        return broken(format!(
            "counts `{}` records set aside of `{}`",
            claim.rejected,
            due.len()
        ));
    }
    let Some(object) = claim.aside_object().and_then(|object| state.bucket.get(&object.key)) else {
        return Ok(());
    };
    let lines = dialect::records(object).unwrap_or_default();
    let offset = |line: &csv::StringRecord| line.get(2).and_then(|text| text.parse().ok()).map(Offset);
    let held: Vec<Offset> = lines.iter().filter_map(offset).collect();
    if held != due {
        return broken(format!("has {held:?} set aside beside it, and not {due:?}"));
    }
    Ok(())
}

/// Whether a claim says something of records that could be set aside.
#[must_use]
pub fn speaks(claim: &Claim) -> bool {
    matches!(claim.kind, Kind::Data | Kind::Skip)
}

/// What no commit may show: a record that is set aside twice, or that has its row and is open.
#[must_use]
pub fn doubled(content: &Connection, topic: &str) -> Option<String> {
    let table = table(group_of(topic));
    let names = "\"_kafka_partition\", \"_kafka_incarnation\", \"_kafka_offset\"";
    let twice =
        format!("SELECT {names}, COUNT(*) FROM \"{table}\" GROUP BY 1, 2, 3 HAVING COUNT(*) > 1 ORDER BY 1, 2, 3");
    if let Some(row) = ask(content, &twice).first() {
        let (partition, offset, times) = (number(row, 0), number(row, 2), number(row, 3));
        return Some(format!(
            "offset `{offset}` of partition `{partition}` was set aside {times} times"
        ));
    }
    let same =
        ["_kafka_partition", "_kafka_incarnation", "_kafka_offset"].map(|name| format!("t.\"{name}\" = a.\"{name}\""));
    let both = format!(
        "SELECT a.\"_kafka_partition\", a.\"_kafka_offset\", a.\"_kafka_status\" FROM \"{table}\" AS a JOIN \"{topic}\" AS t ON {} \
         WHERE a.\"_kafka_status\" <> 'replayed' ORDER BY 1, 2",
        same.join(" AND ")
    );
    let rows = ask(content, &both);
    let row = rows.first()?;
    let (partition, offset, status) = (number(row, 0), number(row, 1), row[2].as_deref().unwrap_or_default());
    Some(format!(
        "offset `{offset}` of partition `{partition}` has its row, and is `{status}` among the records set aside"
    ))
}

/// Whether a record of a table is open that could be replayed by now.
#[must_use]
pub fn is_left(state: &State, target: &str, topic: &'static str) -> bool {
    let group = group_of(topic);
    let content = state.warehouses[target].group(group).map(|group| &group.committed);
    let asides = Asides::of(content, group);
    let keyed = topic == KEYED;
    let open = |(place, kept): (&Place, &Kept)| {
        let unit = (topic, place.1);
        let record = state
            .upstream
            .life(unit, place.0)
            .and_then(|log| log.seen_from(place.2));
        let readable = record.is_some_and(|record| record.offset == place.2 && record.change != Change::Poison);
        kept.status == "open" && readable && (kept.key.is_some() || !keyed) && !is_rewritten(state, unit)
    };
    asides.0.iter().any(open)
}

/// Records set aside in all targets, by status.
#[must_use]
pub fn counts(state: &State) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for warehouse in state.warehouses.values() {
        for group in TOPICS.map(group_of) {
            let asides = Asides::of(warehouse.group(group).map(|group| &group.committed), group);
            for kept in asides.0.into_values() {
                *counts.entry(kept.status).or_default() += 1;
            }
        }
    }
    counts
}
