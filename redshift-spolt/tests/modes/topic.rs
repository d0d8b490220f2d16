//! A topic's records, and the claims that writers may cut of them.
#![allow(unreachable_pub)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use common::chain::{Policy, Position};
use common::claim::{Claim, Kind};
use common::ids::{Incarnation, Offset, Partition};
use common::plan::Plan;
use common::table::ColumnType;
use proptest::prelude::*;
use redshift_spolt::load::run::{self, Caps, LoadPlan, Offer, Pending};
use redshift_spolt::load::state::State;

use crate::support::{bare, column, data};

const CAPS: Caps = Caps {
    claims: 100,
    rows: 1_000_000,
    bytes: 1 << 30,
};

/// The two columns whose values may be left out.
pub const COLUMNS: [&str; 2] = ["a", "b"];

/// A column of a change: what it was set to, or that it was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Null,
    Set(String),
    LeftOut,
}

/// One change of a key.
#[derive(Debug, Clone)]
pub struct Row {
    pub op: char,
    pub seq: i64,
    pub key: i64,
    pub cells: [Cell; 2],
}

/// What a record of the topic does.
#[derive(Debug, Clone)]
pub enum Does {
    /// Nothing that anybody sees.
    Hole,
    Truncate,
    Changes(Vec<Row>),
}

#[derive(Debug, Clone)]
pub struct Record {
    pub second: i64,
    pub does: Does,
}

/// The records of a partition, by life and offset.
pub type Log = Vec<Vec<Record>>;

/// A record before it is known which keys live: what (0-1 hole, 2-6 upsert, 7-8 delete, 9 change of key, 10 truncate), key, which columns
/// are left out, time.
pub type Raw = (u8, i64, [bool; 2], i64);

pub fn raw() -> impl Strategy<Value = Raw> {
    (0u8..11, 0..3i64, any::<[bool; 2]>(), 0..50i64)
}

/// Lives of a partition: usually one.
pub fn lives() -> impl Strategy<Value = Vec<Vec<Raw>>> {
    let life = || proptest::collection::vec(raw(), 1..9);
    prop_oneof![
        3 => life().prop_map(|one| vec![one]),
        1 => (life(), life()).prop_map(|(one, two)| vec![one, two]),
    ]
}

/// What a source would send: an update leaves values out only of a row that is there.
pub fn log(partition: usize, raw: &[Vec<Raw>], truncates: bool) -> Log {
    let mut live: BTreeMap<i64, ()> = BTreeMap::new();
    let mut lives = Vec::new();
    for (life, records) in raw.iter().enumerate() {
        let mut log = Vec::new();
        for (offset, (what, key, out, second)) in records.iter().enumerate() {
            let key = partition as i64 * 10 + key;
            let other = key - key % 10 + (key + 1) % 10 % 3;
            let cells = |left_out: bool| {
                let cell = |index: usize| match left_out && out[index] {
                    true => Cell::LeftOut,
                    false => Cell::Set(format!("{}{life}/{partition}/{offset}", COLUMNS[index])),
                };
                [cell(0), cell(1)]
            };
            let delete = Row {
                op: 'd',
                seq: 0,
                key,
                cells: [Cell::Null, Cell::Null],
            };
            let does = match what {
                0 | 1 => Does::Hole,
                10 if truncates => {
                    live.clear();
                    Does::Truncate
                }
                7 | 8 => {
                    live.remove(&key);
                    Does::Changes(vec![delete])
                }
                9 if live.contains_key(&key) => {
                    live.remove(&key);
                    live.insert(other, ());
                    let born = Row {
                        op: 'u',
                        seq: 1,
                        key: other,
                        cells: cells(false),
                    };
                    Does::Changes(vec![delete, born])
                }
                _ => {
                    let there = live.insert(key, ()).is_some();
                    Does::Changes(vec![Row {
                        op: if there { 'u' } else { 'c' },
                        seq: 0,
                        key,
                        cells: cells(there),
                    }])
                }
            };
            log.push(Record { second: *second, does });
        }
        lives.push(log);
    }
    lives
}

pub fn time(second: i64) -> String {
    format!("2026-01-01 00:00:{second:02}.000")
}

pub fn plan() -> Plan {
    let text = || ColumnType::Varchar { limit: Some(64) };
    Plan {
        columns: vec![
            column("id", ColumnType::BigInt, Some(0), None),
            column("a", text(), None, None),
            column("b", text(), None, None),
        ],
    }
}

pub fn marks(row: &Row) -> String {
    let left_out = COLUMNS
        .iter()
        .zip(&row.cells)
        .filter(|(_, cell)| **cell == Cell::LeftOut);
    left_out.map(|(name, _)| *name).collect::<Vec<_>>().join(",")
}

pub fn records(topic: &[Log], partition: Partition, life: Incarnation) -> &[Record] {
    let log = &topic[usize::try_from(partition.0).unwrap()];
    log.get(life.0 as usize).map_or(&[], Vec::as_slice)
}

pub fn within<'a>(claim: &Claim, topic: &'a [Log]) -> impl Iterator<Item = (i64, &'a Record)> {
    let records = records(topic, claim.partition, claim.incarnation);
    let range = usize::try_from(claim.start.0).unwrap()..usize::try_from(claim.next.0).unwrap();
    (claim.start.0..).zip(&records[range])
}

/// The claim of a range that holds no truncate, or ends with its only one.
pub fn claim(topic: &[Log], partition: Partition, life: Incarnation, start: i64, next: i64) -> Claim {
    let in_life = |claim: Claim| Claim {
        incarnation: life,
        ..claim
    };
    let whole = in_life(data(partition.0, start, next, &plan().id()));
    let (mut rows, mut left_out, mut kind) = (0, Vec::new(), Kind::Skip);
    for (_, record) in within(&whole, topic) {
        match &record.does {
            Does::Hole => {}
            Does::Truncate => {
                let bare = in_life(bare(Kind::Truncate, partition.0, start, next));
                let at = 1_767_225_600_000 + record.second * 1_000;
                return Claim {
                    max_time_ms: Some(at),
                    ..bare
                };
            }
            Does::Changes(changes) => {
                kind = Kind::Data;
                rows += changes.len() as u64;
                left_out.extend(changes.iter().map(marks));
            }
        }
    }
    if kind == Kind::Skip {
        return in_life(bare(kind, partition.0, start, next));
    }
    let unchanged = COLUMNS
        .iter()
        .filter(|name| left_out.iter().any(|marks| marks.contains(**name)));
    Claim {
        rows,
        unchanged: unchanged.map(|name| (*name).to_owned()).collect(),
        ..whole
    }
}

/// Per load and partition: how many records the claims go on for, where they are cut, and how far each goes back.
pub type Step = [(usize, Vec<bool>, i64); 2];

pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = || (0..5usize, proptest::collection::vec(any::<bool>(), 5), 0..4i64);
    proptest::collection::vec([one(), one()], 1..8)
}

/// The claims of a partition as some writer may cut them from `from` on: a truncate is alone in its own, but for holes before it.
pub fn cut(topic: &[Log], partition: Partition, at: Position, step: &(usize, Vec<bool>, i64)) -> Vec<Claim> {
    let life = at.incarnation;
    let records = records(topic, partition, life);
    let truncates = |offset: i64| matches!(records[offset as usize].does, Does::Truncate);
    let end = (at.next.0 + step.0 as i64).min(records.len() as i64);
    let mut claims = Vec::new();
    let mut from = at.next.0;
    for offset in at.next.0..end {
        let ends = truncates(offset);
        let before = (offset + 1 < records.len() as i64) && truncates(offset + 1);
        if !(ends || before || offset + 1 == end || step.1[(offset - at.next.0) as usize % 5]) {
            continue;
        }
        let mut start = from;
        let fits = |start: i64| match ends {
            // Only what nobody sees may stand before a truncate in its claim.
            true => matches!(records[start as usize].does, Does::Hole),
            false => !truncates(start),
        };
        for _ in 0..step.2 {
            if start > 0 && fits(start - 1) {
                start -= 1;
            }
        }
        if ends && (start..offset).any(|offset| !matches!(records[offset as usize].does, Does::Hole)) {
            start = offset;
        }
        claims.push(claim(topic, partition, life, start, offset + 1));
        from = offset + 1;
    }
    claims
}

pub fn planned(state: &State, topic: &[Log], step: &Step) -> Option<LoadPlan> {
    let mut queues: Vec<(Option<Position>, VecDeque<Pending>)> = Vec::new();
    for (index, step) in step.iter().enumerate().take(topic.len()) {
        let partition = Partition(i32::try_from(index).unwrap());
        let at = state.lineages.get(&partition).map(|found| found.position);
        let from = at.unwrap_or(Position {
            incarnation: Incarnation(0),
            next: Offset(0),
        });
        let mut claims = Vec::new();
        if at.is_none() {
            claims.push(Claim {
                partitions: u32::try_from(topic.len()).ok(),
                ..bare(Kind::Genesis, partition.0, 0, 0)
            });
        }
        claims.extend(cut(topic, partition, from, step));
        let (life, next) = (from.incarnation.0, from.next.0 as usize);
        let lives = &topic[index];
        if next == lives[life as usize].len() && life as usize + 1 < lives.len() {
            claims.push(Claim {
                incarnation: Incarnation(life + 1),
                ..bare(Kind::Reset, partition.0, 0, 0)
            });
        }
        let pending = (0..).zip(claims).map(|(signal, claim)| Pending {
            signal: Offset(signal),
            arrived_ms: 0,
            claim: Arc::new(claim),
        });
        queues.push((at, pending.collect()));
    }
    let offers: Vec<Offer<'_>> = (0..)
        .map(Partition)
        .zip(&queues)
        .map(|(partition, (at, queue))| Offer {
            partition,
            at: *at,
            queue,
        })
        .collect();
    run::plan(&offers, CAPS, Policy::default())
}
