//! The life of every flight as a change stream: scheduled, departed, arrived or cancelled; some get another primary key, some are deleted
//! and created again. All in the order of time. Afterwards, a steady stream of changes to what is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;

use super::avro::{Bytes, Cells, Column};
use super::cell::Cell;
use super::messages::{Outlet, Record, Truth};
use super::source::Source;
use super::{FLIGHTS, FLIGHTS_PARTITIONS, mix, murmur2};

pub mod envelope;
pub mod row;
pub mod schedule;

use envelope::{Envelope, Op};
use row::{Row, Stage};
use schedule::{Kind, Moment};

/// Ids of flights whose primary key changes move up by this much: beyond all ids of the file.
const MOVED: i64 = 10_000_000;

/// Ids of flights that the steady phase creates begin here.
const BORN_LATER: i64 = 20_000_000;

/// In the steady phase one change in so many is a delete, and as many are creations, so that the table keeps its size.
const STEADY_TURNOVER: u64 = 200;

/// Ids of the registered schemas.
#[derive(Debug, Clone, Copy)]
pub struct Schemas {
    /// Of `FLIGHTS-key`.
    pub key: u32,
    /// Of `FLIGHTS-value`.
    pub value: u32,
}

/// The stream and, at every moment, the table that it has led to.
pub struct Flights {
    source: Arc<Source>,
    schedule: Vec<Moment>,
    position: usize,
    rows: BTreeMap<i64, Row>,
    seed: u64,
    writer: Writer,
    steady: Steady,
}

/// What is needed to write records: buffers that are used again, and the counters of the source database's log.
struct Writer {
    schemas: Schemas,
    envelope: Envelope,
    key: Bytes,
    value: Bytes,
    header: String,
    time_ms: Option<i64>,
}

#[derive(Default)]
struct Steady {
    ids: Vec<i64>,
    count: u64,
    born: i64,
}

impl Flights {
    /// The stream of the flights of `source`.
    #[must_use]
    pub fn new(source: Arc<Source>, schemas: Schemas, seed: u64) -> Self {
        let schedule = schedule::of(&source.flights, seed);
        let writer = Writer {
            schemas,
            envelope: Envelope::default(),
            key: Bytes::default(),
            value: Bytes::default(),
            header: String::new(),
            time_ms: None,
        };
        Self {
            source,
            schedule,
            position: 0,
            rows: BTreeMap::new(),
            seed,
            writer,
            steady: Steady::default(),
        }
    }

    /// How many moments the backlog has, and how many have passed.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        (self.position, self.schedule.len())
    }

    /// Hands out the records of the next moment of the backlog; `false` when there is none.
    ///
    /// # Errors
    /// The outlet refuses.
    pub fn next(&mut self, out: &mut impl Outlet) -> Result<bool> {
        let Some(moment) = self.schedule.get(self.position).copied() else {
            return Ok(false);
        };
        self.position += 1;
        let own = i64::from(moment.flight) + 1;
        let id = if moment.kind == Kind::Arrive && schedule::moves(self.seed, moment.flight) {
            own + MOVED
        } else {
            own
        };
        let stage = match moment.kind {
            Kind::Create | Kind::Again => Stage::Scheduled,
            Kind::Arrive => Stage::Arrived,
            Kind::Depart | Kind::Move | Kind::Cancel => Stage::Departed,
        };
        let flight = &self.source.flights[moment.flight as usize];
        let fare = row::fare(self.seed, moment.flight, flight, stage);
        let row = Row {
            id,
            flight: moment.flight,
            stage,
            fare,
            updated_at: moment.at,
        };
        match moment.kind {
            Kind::Create | Kind::Again => self.put(Op::Create, row, None, out)?,
            Kind::Depart | Kind::Arrive => self.put(Op::Update, row, None, out)?,
            Kind::Cancel => self.delete(id, moment.at, None, out)?,
            Kind::Move => {
                // As Debezium says it: the old key goes, with the new one in a header, a tombstone follows, the new key comes.
                self.delete(id, moment.at, Some(id + MOVED), out)?;
                self.put(Op::Create, Row { id: id + MOVED, ..row }, Some(id), out)?;
            }
        }
        Ok(true)
    }

    /// Hands out all that is left of the backlog.
    ///
    /// # Errors
    /// The outlet refuses.
    pub fn drain(&mut self, out: &mut impl Outlet) -> Result<()> {
        while self.next(out)? {}
        Ok(())
    }

    /// Hands out one more change at `now` (microseconds since 1970): mostly an update of a flight that is there, now and then a delete (with
    /// its tombstone) or a new flight. Returns the number of records.
    ///
    /// # Errors
    /// The outlet refuses.
    pub fn steady(&mut self, now: i64, out: &mut impl Outlet) -> Result<u64> {
        if self.steady.ids.is_empty() {
            self.steady.ids = self.rows.keys().copied().collect();
        }
        self.steady.count += 1;
        let chance = mix(self.seed ^ 0x5eed, self.steady.count);
        self.writer.time_ms = Some(now / 1000);
        let pick = usize::try_from(mix(chance, 1) % self.steady.ids.len().max(1) as u64).unwrap_or(0);
        let records = match chance % STEADY_TURNOVER {
            0 if self.steady.ids.len() > 1 => {
                let id = self.steady.ids.swap_remove(pick);
                self.delete(id, now, None, out)?;
                2
            }
            1 => {
                let id = BORN_LATER + self.steady.born;
                self.steady.born += 1;
                let flight = u32::try_from(mix(chance, 2) % self.source.flights.len() as u64).unwrap_or(0);
                self.steady.ids.push(id);
                self.put(
                    Op::Create,
                    Row {
                        id,
                        flight,
                        stage: Stage::Scheduled,
                        fare: Some(0),
                        updated_at: now,
                    },
                    None,
                    out,
                )?;
                1
            }
            _ => {
                let mut row = self.rows[&self.steady.ids[pick]];
                row.updated_at = now;
                row.fare = row
                    .fare
                    .map(|fare| fare + i64::try_from(mix(chance, 3) % 1000).unwrap_or(0) - 500);
                self.put(Op::Update, row, None, out)?;
                1
            }
        };
        self.writer.time_ms = None;
        Ok(records)
    }

    fn put(&mut self, op: Op, row: Row, old: Option<i64>, out: &mut impl Outlet) -> Result<()> {
        let writer = &mut self.writer;
        writer.key(row.id);
        writer.value.begin(writer.schemas.value);
        // Replica identity default: an update does not bring the row as it was.
        writer.value.present(false);
        writer.value.present(true);
        row.write(&self.source, &mut writer.value);
        writer.envelope.write(op, row.updated_at, &mut writer.value);
        writer.send(true, old.map(|id| ("__debezium.oldkey", id)), out)?;
        self.rows.insert(row.id, row);
        Ok(())
    }

    fn delete(&mut self, id: i64, at: i64, new: Option<i64>, out: &mut impl Outlet) -> Result<()> {
        let writer = &mut self.writer;
        writer.key(id);
        writer.value.begin(writer.schemas.value);
        writer.value.present(true);
        row::write_key_only(id, &mut writer.value);
        writer.value.present(false);
        writer.envelope.write(Op::Delete, at, &mut writer.value);
        let header = new.map(|id| ("__debezium.newkey", id));
        writer.send(true, header, out)?;
        writer.send(false, header, out)?;
        self.rows.remove(&id);
        Ok(())
    }
}

impl Writer {
    fn key(&mut self, id: i64) {
        self.key.begin(self.schemas.key);
        self.key.number(id);
    }

    /// Sends the value, or a tombstone of the same key.
    fn send(&mut self, value: bool, header: Option<(&str, i64)>, out: &mut impl Outlet) -> Result<()> {
        if let Some((_, id)) = header {
            self.header = format!("{{\"id\":{id}}}");
        }
        out.send(Record {
            topic: FLIGHTS,
            partition: murmur2::partition(&self.key.0, FLIGHTS_PARTITIONS),
            key: Some(&self.key.0),
            value: value.then_some(&self.value.0),
            header: header.map(|(name, _)| (name, self.header.as_str())),
            time_ms: self.time_ms,
        })
    }
}

impl Truth for Flights {
    fn topic(&self) -> &'static str {
        FLIGHTS
    }

    fn table(&self) -> (&'static str, &'static str) {
        ("public", "flights")
    }

    fn columns(&self) -> &'static [Column] {
        row::COLUMNS
    }

    fn key(&self) -> Option<usize> {
        Some(0)
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn rows(&self) -> Box<dyn Iterator<Item = Vec<Cell>> + Send + '_> {
        Box::new(self.rows.values().map(|row| {
            let mut cells = Cells::default();
            row.write(&self.source, &mut cells);
            cells.0
        }))
    }
}

#[cfg(test)]
mod tests;
