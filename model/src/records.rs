//! The upstream records of a scenario, the rows they make, and claims about them as s3-spolt writes them.

use std::collections::{BTreeMap, BTreeSet};

use common::claim::{Aside, Claim, Compression, Decoder, Dialect, Kind, Object, Tail, bare_claim_key, object_key};
use common::ids::{Incarnation, Lineage, Offset, Partition};
use common::plan::{Column, Plan, PlanId};
use common::table::ColumnType;
use redshift_spolt::load::sql::timestamp;
use s3_spolt::ingest::batch::Batch;

use crate::graph::print;

/// The upstream topic.
pub const TOPIC: &str = "t";
/// The source cluster.
pub const CLUSTER: &str = "c";
/// The bucket.
pub const BUCKET: &str = "b";
/// Its region.
pub const REGION: &str = "r";

/// What lies at one offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Record {
    /// Nothing that a reader sees: compacted, aborted, or a control record.
    Hole,
    /// A record that makes no row, such as a heartbeat.
    Bare,
    /// The row of a key as it is from now on.
    Put(u8),
    /// The row of a key goes.
    Delete(u8),
    /// A row changes its key: two rows of one offset (rule 7).
    Move(u8, u8),
    /// A row changes, and its value is left out because it did not (rule 25).
    Unchanged(u8),
    /// All rows of the table go: a claim of its own (rule 26).
    Truncate,
    /// It cannot become a row until somebody mends it (rule 27).
    Bad(Mended, Known),
}

/// What a bad record means when it is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mended {
    /// As [`Record::Put`].
    Put(u8),
    /// As [`Record::Delete`].
    Delete(u8),
    /// As [`Record::Unchanged`].
    Unchanged(u8),
}

/// Whether the key of a bad record can be read.
pub type Known = bool;

/// A record set aside, as the line of its object has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BadRecord {
    /// Its offset.
    pub offset: Offset,
    /// Its key, if that can be read.
    pub key: Option<u8>,
}

impl Mended {
    /// Its key.
    #[must_use]
    pub fn key(self) -> u8 {
        match self {
            Mended::Put(key) | Mended::Delete(key) | Mended::Unchanged(key) => key,
        }
    }

    /// The record that it would have been.
    #[must_use]
    pub fn record(self) -> Record {
        match self {
            Mended::Put(key) => Record::Put(key),
            Mended::Delete(key) => Record::Delete(key),
            Mended::Unchanged(key) => Record::Unchanged(key),
        }
    }
}

/// The one column of a row beside its key, of which a source may leave out what did not change. Every record that has it writes another
/// value, so that a value is named by its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Value {
    /// What the row's own record wrote.
    Own,
    /// What an earlier record wrote, as [`writer`] numbers it.
    Of(Offset, u16),
    /// Left out, and the row says so.
    LeftOut,
    /// NULL, which no record wrote.
    Null,
}

/// A row of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// Life of the topic.
    pub life: u32,
    /// Partition of the topic.
    pub partition: i32,
    /// Offset of its record.
    pub offset: Offset,
    /// Its place among the rows of the record.
    pub seq: u16,
    /// Its key.
    pub key: u8,
    /// Whether it says that the key's row goes.
    pub delete: bool,
    /// Its value.
    pub value: Value,
}

/// The records of one life of one partition, by offset.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Records(pub Vec<Record>);

impl Records {
    /// The offset behind the last record.
    #[must_use]
    pub fn end(&self) -> Offset {
        Offset(i64::try_from(self.0.len()).unwrap_or(i64::MAX))
    }

    /// Records of `start..next` that a reader sees.
    pub fn visible(&self, start: Offset, next: Offset) -> impl Iterator<Item = (Offset, Record)> + '_ {
        let all = (0..).map(Offset).zip(self.0.iter().copied());
        all.filter(move |(offset, record)| *offset >= start && *offset < next && *record != Record::Hole)
    }

    /// Where a batch may end that begins at `start`: behind any record that is seen, up to a truncate.
    pub fn cuts(&self, start: Offset) -> impl Iterator<Item = Offset> + '_ {
        let mut open = true;
        self.visible(start, self.end())
            .enumerate()
            .take_while(move |(index, (_, record))| {
                // A truncate ends what is open, and is alone in its claim.
                let alone = *record == Record::Truncate;
                let goes_on = open && (!alone || *index == 0);
                open = open && !alone;
                goes_on
            })
            .map(|(_, (offset, _))| offset.next())
    }

    /// The rows of `start..next`.
    #[must_use]
    pub fn rows(&self, place: (u32, i32), start: Offset, next: Offset) -> Vec<Row> {
        let records = self.visible(start, next);
        records
            .flat_map(|(offset, record)| rows_of(record, place, offset))
            .collect()
    }

    /// The records of `start..next` that are set aside.
    #[must_use]
    pub fn bad(&self, start: Offset, next: Offset) -> Vec<BadRecord> {
        let bad = |(offset, record)| match record {
            Record::Bad(mended, known) => Some(BadRecord {
                offset,
                key: known.then(|| mended.key()),
            }),
            _ => None,
        };
        self.visible(start, next).filter_map(bad).collect()
    }

    /// The rows of a record once it is mended.
    #[must_use]
    pub fn mended(&self, place: (u32, i32), offset: Offset) -> Vec<Row> {
        match usize::try_from(offset.0).ok().and_then(|index| self.0.get(index)) {
            Some(Record::Bad(mended, _)) => rows_of(mended.record(), place, offset),
            _ => Vec::new(),
        }
    }

    /// Offsets below `end` whose records make a row of this place among the record's rows.
    #[must_use]
    pub fn offsets(&self, seq: u16, start: Offset, end: Offset) -> BTreeSet<Offset> {
        let rows = self.rows((0, 0), start, end);
        rows.iter().filter(|row| row.seq == seq).map(|row| row.offset).collect()
    }

    /// One word per offset.
    #[must_use]
    pub fn words(&self) -> String {
        let word = |(offset, record): (usize, &Record)| match record {
            Record::Hole => format!("{offset} -"),
            Record::Bare => format!("{offset} no row"),
            Record::Truncate => format!("{offset} truncate"),
            Record::Put(key) => format!("{offset} put {}", name(*key)),
            Record::Delete(key) => format!("{offset} delete {}", name(*key)),
            Record::Move(from, to) => format!("{offset} move {} to {}", name(*from), name(*to)),
            Record::Unchanged(key) => format!("{offset} put {} but its value", name(*key)),
            Record::Bad(Mended::Put(key), known) => format!("{offset} bad put {}{}", name(*key), unknown(*known)),
            Record::Bad(Mended::Delete(key), known) => format!("{offset} bad delete {}{}", name(*key), unknown(*known)),
            Record::Bad(Mended::Unchanged(key), known) => {
                format!("{offset} bad put {} but its value{}", name(*key), unknown(*known))
            }
        };
        self.0.iter().enumerate().map(word).collect::<Vec<_>>().join(", ")
    }
}

/// The rows of one record.
fn rows_of(record: Record, (life, partition): (u32, i32), offset: Offset) -> Vec<Row> {
    let row = |seq, key, delete| Row {
        life,
        partition,
        offset,
        seq,
        key,
        delete,
        value: Value::Own,
    };
    match record {
        Record::Hole | Record::Bare | Record::Truncate | Record::Bad(..) => Vec::new(),
        Record::Put(key) => vec![row(0, key, false)],
        Record::Delete(key) => vec![row(0, key, true)],
        Record::Move(from, to) => vec![row(0, from, true), row(1, to, false)],
        Record::Unchanged(key) => vec![Row {
            value: Value::LeftOut,
            ..row(0, key, false)
        }],
    }
}

fn unknown(known: Known) -> &'static str {
    if known { "" } else { ", which cannot be seen" }
}

/// Time of a record, milliseconds since 1970. The source's clock goes backwards: times order nothing.
#[must_use]
pub fn time_ms(life: u32, offset: Offset) -> i64 {
    1_000_000_000 - (i64::from(life) * 1_000 + offset.0) * 1_000
}

/// The same as it stands in a table.
#[must_use]
pub fn time(life: u32, offset: Offset) -> String {
    timestamp(time_ms(life, offset)).trim_matches('\'').to_owned()
}

/// A value as a number: that of the row that wrote it. Deletes carry none.
#[must_use]
pub fn number_of(row: &Row) -> Option<i64> {
    let (offset, seq) = match row.value {
        Value::Own => writer(row),
        Value::Of(offset, seq) => (offset, seq),
        Value::LeftOut | Value::Null => return None,
    };
    (!row.delete).then_some(offset.0 * 10 + i64::from(seq))
}

/// Name of a key.
#[must_use]
pub fn name(key: u8) -> char {
    char::from(b'a' + key)
}

/// The last change of each key over rows in order of life, offset and place: who wrote its row, or `None` where it went.
#[must_use]
pub fn last_changes(rows: &BTreeSet<Row>) -> BTreeMap<u8, Option<(Offset, u16)>> {
    let mut last = BTreeMap::new();
    for row in rows {
        last.insert(row.key, (!row.delete).then_some(writer(row)));
    }
    last
}

/// The value of each key over rows in order of life, offset and place: who wrote the last one since the key's last delete. `None` where a
/// row stands whose value is nowhere to be had, or nothing stands.
#[must_use]
pub fn last_values(rows: &BTreeSet<Row>) -> BTreeMap<u8, Option<(Offset, u16)>> {
    let mut last = BTreeMap::new();
    for row in rows {
        match row.value {
            _ if row.delete => last.insert(row.key, None),
            Value::Own => last.insert(row.key, Some(writer(row))),
            Value::Of(..) | Value::LeftOut | Value::Null => Some(*last.entry(row.key).or_insert(None)),
        };
    }
    last
}

/// Whether some row, when it is the last one, has a value that is nowhere to be had.
#[must_use]
pub fn lacks_values(rows: &BTreeSet<Row>) -> bool {
    let mut before = BTreeSet::new();
    rows.iter().any(|row| {
        before.insert(*row);
        !row.delete && last_values(&before).get(&row.key) == Some(&None)
    })
}

/// A row's writer as one number that grows over lives.
#[must_use]
pub fn writer(row: &Row) -> (Offset, u16) {
    (Offset(i64::from(row.life) * 1_000 + row.offset.0), row.seq)
}

/// The lineage of a life of a partition.
#[must_use]
pub fn lineage(life: u32, partition: i32) -> Lineage {
    Lineage {
        cluster: CLUSTER.to_owned(),
        topic: TOPIC.to_owned(),
        incarnation: Incarnation(life),
        partition: Partition(partition),
    }
}

/// Id of the topic in one of its lives, as brokers give it.
#[must_use]
pub fn topic_id(life: u32) -> String {
    format!("id{life}")
}

/// Fingerprint of a record, as far as a model needs one: records of two lives differ.
#[must_use]
pub fn crc(life: u32, offset: Offset) -> u32 {
    life * 1_000 + u32::try_from(offset.0).unwrap_or(u32::MAX)
}

/// Seals the records of `start..next` as the encoder does: what the batch says, the plan, and the object's place by its digest.
#[must_use]
pub fn seal(
    lineage: &Lineage,
    records: &Records,
    start: Offset,
    next: Offset,
    plan: &PlanId,
    tail: Option<Tail>,
) -> Claim {
    let life = lineage.incarnation.0;
    let place = (life, lineage.partition.0);
    let mut batch = Batch::new(start);
    for (offset, record) in records.visible(start, next) {
        let rows = records.rows(place, offset, offset.next()).len();
        match record {
            Record::Bad(..) => batch.reject(offset, time_ms(life, offset), 0),
            _ => batch.add(offset, time_ms(life, offset), u8::try_from(rows).unwrap_or(u8::MAX), 0),
        }
        batch.tail = Some(Tail {
            offset,
            leader_epoch: None,
            crc32c: crc(life, offset),
        });
    }
    let rows = records.rows(place, start, next);
    let truncates = records
        .visible(start, next)
        .any(|(_, record)| record == Record::Truncate);
    let kind = if truncates { Kind::Truncate } else { batch.kind() };
    let left_out = rows.iter().any(|row| row.value == Value::LeftOut);
    let mut claim = Claim {
        topic_id: Some(topic_id(life)),
        plan: Some(plan.clone()),
        unchanged: left_out.then(|| VALUE.to_owned()).into_iter().collect(),
        ..batch.claim(kind, lineage, tail)
    };
    let digest = format!("{:016x}", print(&(&rows, &plan.0)));
    let bad = records.bad(start, next);
    if !bad.is_empty() {
        // Before the first row of a lineage there is no plan, and so no key.
        let any = !records.rows(place, Offset(0), next).is_empty();
        claim.plan = claim.plan.filter(|_| any);
        claim.dialect = Some(dialect());
        claim.aside = Some(Aside {
            headers: false,
            lines: bad.len() as u64,
            bytes: 1,
            sha256: format!("{:016x}", print(&bad)),
        });
    }
    let key = if claim.kind == Kind::Data {
        claim.dialect = Some(dialect());
        claim.decoder = Some(Decoder {
            version: 1,
            fingerprint: String::new(),
        });
        object_key("", lineage, claim.start, claim.next, &digest, Compression::Zstd)
    } else {
        bare_claim_key("", &claim)
    };
    claim.object = Some(Object {
        bucket: BUCKET.to_owned(),
        region: REGION.to_owned(),
        key,
        bytes: claim.rows,
        sha256: digest,
    });
    claim
}

/// How the objects are read.
#[must_use]
pub fn dialect() -> Dialect {
    Dialect {
        id: "1".to_owned(),
        delimiter: ',',
        quote: '"',
        null: String::new(),
        compression: Compression::Zstd,
    }
}

fn column(name: &str, key: Option<u16>, default: Option<&str>) -> Column {
    Column {
        name: name.to_owned(),
        ty: ColumnType::BigInt,
        nullable: key.is_none(),
        default: default.map(str::to_owned),
        key,
        source: name.to_owned(),
    }
}

/// The key column.
pub const KEY: &str = "id";
/// The column of [`Value`].
pub const VALUE: &str = "text";

/// Three plans: the first, one with a column more, and one that grew another way.
#[must_use]
pub fn plans() -> [Plan; 3] {
    let of = |more: &[Column]| Plan {
        columns: [&[column(KEY, Some(0), None), column(VALUE, None, None)], more].concat(),
    };
    [
        of(&[]),
        of(&[column("price", None, Some("0"))]),
        of(&[column("note", None, None)]),
    ]
}

/// A claim in one line.
#[must_use]
pub fn words(claim: &Claim, plans: &[PlanId]) -> String {
    let plan = claim
        .plan
        .as_ref()
        .and_then(|plan| plans.iter().position(|known| known == plan));
    let plan = plan
        .filter(|_| claim.kind == Kind::Data)
        .map_or(String::new(), |plan| format!(" plan {plan}"));
    let life = if claim.incarnation.0 == 0 {
        String::new()
    } else {
        format!(" i{}", claim.incarnation)
    };
    format!("{} {}..{}{life}{plan}", claim.kind.name(), claim.start, claim.next)
}
