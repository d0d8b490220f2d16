//! The records of the two topics: Debezium's envelope in Avro, with inserts, updates, key changes, deletes and tombstones, a schema that
//! grows once while old and new ids interleave, holes, control records and transactions. And what each record means for a table.

use std::collections::BTreeSet;

use common::csv::DEFAULT_NULL_MARKER;
use common::ids::{Offset, Partition};

use crate::dice::Dice;
use crate::fake::upstream::{Record, Standing};
use crate::world::{EPOCH_MS, State};

/// The topic of the table that keeps the last row of each key.
pub const KEYED: &str = "shop.keyed";
/// The topic of the table that keeps every change.
pub const APPENDED: &str = "shop.appended";
/// Both.
pub const TOPICS: [&str; 2] = [KEYED, APPENDED];

/// What stands for NULL once operators have changed it, so that every row has a place.
pub const MENDED_NULL_MARKER: &str = "~none~";

/// What the second schema gives to rows that know nothing of its new field.
pub const DEFAULT_EXTRA: &str = "none";

const KEY_SCHEMA: u32 = 1;
const NARROW: u32 = 2;
const WIDE: u32 = 3;

/// Name of a topic's signal topic.
#[must_use]
pub fn signals_of(topic: &str) -> String {
    format!("{topic}.signals")
}

/// The schemas by id.
#[must_use]
pub fn schema(id: u32) -> Option<&'static str> {
    Some(match id {
        KEY_SCHEMA => r#"{"type":"record","name":"Key","fields":[{"name":"id","type":"long"}]}"#,
        NARROW => {
            r#"{"type":"record","name":"Envelope","fields":[
            {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
                {"name":"id","type":"long"},{"name":"name","type":"string"},{"name":"n","type":"long"}]}],"default":null},
            {"name":"after","type":["null","Value"],"default":null},
            {"name":"op","type":"string"}]}"#
        }
        WIDE => {
            r#"{"type":"record","name":"Envelope","fields":[
            {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
                {"name":"id","type":"long"},{"name":"name","type":"string"},{"name":"n","type":"long"},
                {"name":"extra","type":"string","default":"none"}]}],"default":null},
            {"name":"after","type":["null","Value"],"default":null},
            {"name":"op","type":"string"}]}"#
        }
        _ => return None,
    })
}

/// A row as its source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Key.
    pub id: i64,
    /// Text of varying length.
    pub name: String,
    /// A number that no other record has.
    pub n: i64,
    /// The field of the second schema.
    pub extra: Option<String>,
}

/// What a record does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The row is there now; if its key was another one before, that row is gone.
    Put {
        /// The row.
        row: Row,
        /// Its key before, if that changed.
        old: Option<i64>,
    },
    /// The row of this key is gone.
    Delete(i64),
    /// Nothing: a tombstone.
    Nothing,
    /// It cannot be read.
    Poison,
}

impl Change {
    /// The rows that an object has of it: sequence number, key, and the row unless it is a delete.
    #[must_use]
    pub fn rows(&self) -> Vec<(u16, i64, Option<&Row>)> {
        match self {
            Change::Put { row, old: None } => vec![(0, row.id, Some(row))],
            Change::Put { row, old: Some(old) } => vec![(0, *old, None), (1, row.id, Some(row))],
            Change::Delete(id) => vec![(0, *id, None)],
            Change::Nothing | Change::Poison => Vec::new(),
        }
    }
}

impl Row {
    /// Whether its name is what stands for NULL by default, so that it has no place in a row until the setting is another one.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.name == DEFAULT_NULL_MARKER
    }
}

/// The producer of both topics.
#[derive(Debug)]
pub struct Producer {
    dice: Dice,
    /// So many of a hundred rows cannot be rows, by dice of their own.
    bad: Option<(Dice, u64)>,
    count: i64,
    live: BTreeSet<(usize, i32, i64)>,
    /// The new schema is used from this record on, for every other record.
    wide_from: i64,
}

impl Producer {
    /// A producer that begins to use the second schema somewhere in the middle of `records`.
    #[must_use]
    pub fn new(mut dice: Dice, records: u64, bad: Option<(Dice, u64)>) -> Producer {
        let wide_from = i64::try_from(dice.between(records / 4, records)).unwrap_or(0);
        Producer {
            dice,
            bad,
            count: 0,
            live: BTreeSet::new(),
            wide_from,
        }
    }

    /// Produces one change, and what goes with it.
    pub fn produce(&mut self, state: &mut State) {
        let topic = self.dice.index(2);
        let partitions = state.upstream.topics[TOPICS[topic]].partitions.len();
        let partition = Partition(i32::try_from(self.dice.index(partitions)).unwrap_or(0));
        self.produce_into(state, topic, partition);
    }

    /// Produces one change into this partition of [`TOPICS`]`[topic]`.
    pub fn produce_into(&mut self, state: &mut State, topic: usize, partition: Partition) {
        self.count += 1;
        let moves = topic == 0 && state.keys_move && state.watch.added.contains(&(KEYED, partition));
        let moved = if moves && self.dice.chance(40) {
            self.moved(topic, partition)
        } else {
            None
        };
        let (change, op) = moved.unwrap_or_else(|| self.change(topic, partition));
        let wide = self.count > self.wide_from && self.dice.chance(50);
        let deleted = matches!(change, Change::Delete(_));
        let (change, key, value) = encode(change, op, wide);
        self.append(state, topic, partition, change, Some(key.clone()), value);
        if deleted && self.dice.chance(60) {
            self.append(state, topic, partition, Change::Nothing, Some(key), None);
        }
    }

    /// What a new snapshot of the source brings: every row of a topic once more, as it is now.
    pub fn snapshot(&mut self, state: &mut State, topic: usize) {
        let live: Vec<_> = self.live.iter().copied().filter(|(of, ..)| *of == topic).collect();
        for (_, partition, id) in live {
            self.count += 1;
            let wide = self.count > self.wide_from && self.dice.chance(50);
            let (change, key, value) = encode(self.put(id, None), "r", wide);
            self.append(state, topic, Partition(partition), change, Some(key), value);
        }
    }

    fn change(&mut self, topic: usize, partition: Partition) -> (Change, &'static str) {
        let here: Vec<i64> = self
            .live
            .range((topic, partition.0, i64::MIN)..=(topic, partition.0, i64::MAX))
            .map(|(.., id)| *id)
            .collect();
        let fresh = i64::from(partition.0) * 1_000_000 + self.count;
        let what = if here.len() < 3 { 0 } else { self.dice.below(100) };
        let known = here.get(self.dice.index(here.len())).copied().unwrap_or(fresh);
        match what {
            0..35 => {
                self.live.insert((topic, partition.0, fresh));
                (self.put(fresh, None), "c")
            }
            35..70 => (self.put(known, None), "u"),
            70..82 => {
                self.live.remove(&(topic, partition.0, known));
                self.live.insert((topic, partition.0, fresh));
                (self.put(fresh, Some(known)), "u")
            }
            _ => {
                self.live.remove(&(topic, partition.0, known));
                (Change::Delete(known), "d")
            }
        }
    }

    /// A change of a key that lived in another partition until now, and lives in this one from now on: its producer has learnt of the
    /// added partition.
    fn moved(&mut self, topic: usize, to: Partition) -> Option<(Change, &'static str)> {
        let elsewhere = self.live.iter().filter(|(of, at, _)| *of == topic && *at < to.0);
        let elsewhere: Vec<_> = elsewhere.copied().collect();
        let known = elsewhere.get(self.dice.index(elsewhere.len()))?;
        self.live.remove(known);
        self.live.insert((topic, to.0, known.2));
        Some((self.put(known.2, None), "u"))
    }

    fn put(&mut self, id: i64, old: Option<i64>) -> Change {
        let length = if self.dice.chance(5) { 90 } else { 8 };
        let bad = self.bad.as_mut().is_some_and(|(dice, percent)| dice.chance(*percent));
        let name = format!("{:0length$}", self.count, length = length);
        let row = Row {
            id,
            name: if bad { DEFAULT_NULL_MARKER.to_owned() } else { name },
            n: self.count,
            extra: None,
        };
        Change::Put { row, old }
    }

    fn append(
        &mut self,
        state: &mut State,
        topic: usize,
        partition: Partition,
        change: Change,
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    ) {
        let hole = if self.dice.chance(15) {
            self.dice.between(1, 4)
        } else {
            0
        };
        let control = self.dice.chance(6);
        let in_transaction = state.open_transaction == Some((TOPICS[topic], partition)) && self.dice.chance(60);
        let timestamp_ms = EPOCH_MS + i64::try_from(state.now).unwrap_or(0);
        let serial = u64::try_from(self.count).unwrap_or(0);
        let Some(log) = state.upstream.log_mut(TOPICS[topic], partition) else {
            return;
        };
        let standing = if in_transaction {
            Standing::Open
        } else {
            Standing::Visible
        };
        log.append(i64::try_from(hole).unwrap_or(0), |offset| Record {
            offset,
            timestamp_ms,
            key,
            value,
            standing,
            change,
            serial,
        });
        if control {
            log.append(0, |offset| marker(offset, timestamp_ms));
        }
    }
}

/// A control record.
#[must_use]
pub fn marker(offset: Offset, timestamp_ms: i64) -> Record {
    Record {
        offset,
        timestamp_ms,
        key: None,
        value: None,
        standing: Standing::Hidden,
        change: Change::Nothing,
        serial: 0,
    }
}

fn long(out: &mut Vec<u8>, number: i64) {
    let mut zigzag = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while zigzag >= 0x80 {
        out.push((zigzag & 0x7f) as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    long(out, i64::try_from(text.len()).unwrap_or(0));
    out.extend_from_slice(text.as_bytes());
}

fn framed(schema: u32) -> Vec<u8> {
    let mut out = vec![0];
    out.extend_from_slice(&schema.to_be_bytes());
    out
}

fn image(out: &mut Vec<u8>, row: Option<&Row>, wide: bool) {
    let Some(row) = row else { return long(out, 0) };
    long(out, 1);
    long(out, row.id);
    text(out, &row.name);
    long(out, row.n);
    if wide {
        text(out, row.extra.as_deref().unwrap_or(DEFAULT_EXTRA));
    }
}

/// The change (with the field that its schema adds), the record's key and its value.
fn encode(change: Change, op: &str, wide: bool) -> (Change, Vec<u8>, Option<Vec<u8>>) {
    let gone = |id: i64| Row {
        id,
        name: "before".into(),
        n: 0,
        extra: None,
    };
    let (change, before, after, id) = match change {
        Change::Put { mut row, old } => {
            row.extra = wide.then(|| format!("x{}", row.n));
            let id = row.id;
            let before = if op == "u" { Some(gone(old.unwrap_or(id))) } else { None };
            let after = Some(row.clone());
            (Change::Put { row, old }, before, after, id)
        }
        Change::Delete(id) => (Change::Delete(id), Some(gone(id)), None, id),
        other => (other, None, None, 0),
    };
    let mut key = framed(KEY_SCHEMA);
    long(&mut key, id);
    let mut value = framed(if wide { WIDE } else { NARROW });
    image(&mut value, before.as_ref(), wide);
    image(&mut value, after.as_ref(), wide);
    text(&mut value, op);
    (change, key, Some(value))
}
