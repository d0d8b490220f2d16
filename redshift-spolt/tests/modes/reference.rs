//! What a table of each mode must hold, from the changes one by one.
#![allow(unreachable_pub)]

use std::collections::BTreeMap;

use common::ids::Partition;
use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::state::State;

use crate::topic::{Cell, Does, Log, Record, Row, marks, time};

pub type Values = [Option<String>; 2];
pub type Line = Vec<Option<String>>;

/// A key's row in the reference.
#[derive(Debug, Clone)]
pub struct Held {
    pub values: Values,
    pub origin: String,
    pub deleted: bool,
}

#[derive(Debug, Clone)]
pub struct Past {
    pub key: i64,
    pub op: char,
    pub values: Values,
    pub origin: String,
    pub from: String,
    pub to: Option<String>,
    pub current: bool,
}

/// Everything that every mode must hold, from the changes one by one.
#[derive(Debug, Default)]
pub struct Reference {
    /// By key, deleted ones included.
    pub rows: BTreeMap<i64, Held>,
    pub past: Vec<Past>,
    pub changes: Vec<Line>,
}

impl Reference {
    pub fn apply(&mut self, record: &Record, life: usize, partition: usize, offset: usize) {
        let origin = |seq: i64| format!("{life}/{partition}/{offset}/{seq}");
        match &record.does {
            Does::Hole => {}
            Does::Truncate => {
                for held in self.rows.values_mut().filter(|held| !held.deleted) {
                    held.deleted = true;
                    held.origin = origin(0);
                }
                self.close(None, record.second);
                self.changes.push(vec![
                    None,
                    None,
                    None,
                    Some(origin(0)),
                    Some("t".into()),
                    Some(time(record.second)),
                    None,
                ]);
            }
            Does::Changes(rows) => rows.iter().for_each(|row| self.change(row, record, &origin(row.seq))),
        }
    }

    pub fn close(&mut self, key: Option<i64>, second: i64) {
        let ends = |past: &&mut Past| past.current && key.is_none_or(|key| past.key == key);
        for past in self.past.iter_mut().filter(ends) {
            past.current = false;
            past.to = Some(time(second));
        }
    }

    pub fn change(&mut self, row: &Row, record: &Record, origin: &str) {
        let sent = |cell: &Cell| match cell {
            Cell::Set(text) => Some(text.clone()),
            _ => None,
        };
        let [a, b] = &row.cells;
        // Where the table is of another mode it has no mark, and then none can be asked for.
        let marked = Some(marks(row)).filter(|marks| !marks.is_empty());
        self.changes.push(vec![
            Some(row.key.to_string()),
            sent(a),
            sent(b),
            Some(origin.to_owned()),
            Some(row.op.to_string()),
            Some(time(record.second)),
            marked,
        ]);
        self.close(Some(row.key), record.second);
        let before = self.rows.get(&row.key).cloned();
        if row.op == 'd' {
            let values = before.map_or([None, None], |held| held.values);
            let held = Held {
                values,
                origin: origin.to_owned(),
                deleted: true,
            };
            self.rows.insert(row.key, held);
            return;
        }
        let value = |index: usize| match &row.cells[index] {
            Cell::LeftOut => before.as_ref().unwrap().values[index].clone(),
            cell => sent(cell),
        };
        let values = [value(0), value(1)];
        self.past.push(Past {
            key: row.key,
            op: row.op,
            values: values.clone(),
            origin: origin.to_owned(),
            from: time(record.second),
            to: None,
            current: true,
        });
        let held = Held {
            values,
            origin: origin.to_owned(),
            deleted: false,
        };
        self.rows.insert(row.key, held);
    }

    /// The rows that a table of this mode must have, sorted.
    pub fn lines(&self, mode: Mode) -> Vec<Line> {
        let flag = |yes: bool| Some(i32::from(yes).to_string());
        let held = |(key, held): (&i64, &Held)| {
            let [a, b] = held.values.clone();
            vec![Some(key.to_string()), a, b, Some(held.origin.clone())]
        };
        let mut lines: Vec<Line> = match mode {
            Mode::Upsert => self.rows.iter().filter(|(_, row)| !row.deleted).map(held).collect(),
            Mode::SoftDelete => self
                .rows
                .iter()
                .map(|row| [held(row), vec![flag(row.1.deleted)]].concat())
                .collect(),
            Mode::Append => self.changes.clone(),
            Mode::History => self
                .past
                .iter()
                .map(|past| {
                    let [a, b] = past.values.clone();
                    let times = [Some(past.from.clone()), past.to.clone(), flag(past.current)];
                    let start = vec![
                        Some(past.key.to_string()),
                        a,
                        b,
                        Some(past.origin.clone()),
                        Some(past.op.to_string()),
                    ];
                    [start, times.to_vec()].concat()
                })
                .collect(),
        };
        lines.sort();
        lines
    }
}

/// What is applied, change by change: life by life, and within a life a partition after the other, whose keys differ.
pub fn reference(topic: &[Log], state: &State) -> Reference {
    let mut reference = Reference::default();
    for (partition, log) in topic.iter().enumerate() {
        let Some(at) = state.lineages.get(&Partition(i32::try_from(partition).unwrap())) else {
            continue;
        };
        for (life, records) in log.iter().enumerate() {
            let applied = match life.cmp(&(at.position.incarnation.0 as usize)) {
                std::cmp::Ordering::Less => records.len(),
                std::cmp::Ordering::Equal => at.position.next.0 as usize,
                std::cmp::Ordering::Greater => 0,
            };
            for (offset, record) in records.iter().enumerate().take(applied) {
                reference.apply(record, life, partition, offset);
            }
        }
    }
    reference
}
