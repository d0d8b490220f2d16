//! The weather: append-only, plain records without a key, in the order of the file.

use std::sync::Arc;

use anyhow::Result;
use serde_json::json;

use super::avro::{Bytes, Cells, Column, Sink, Type, fields};
use super::cell::Cell;
use super::messages::{Outlet, Record, Truth};
use super::source::{Source, Weather as Line};
use super::{SMALL_PARTITIONS, WEATHER};

const COLUMNS: &[Column] = &[
    ("origin", Type::Text),
    ("year", Type::Int),
    ("month", Type::Int),
    ("day", Type::Int),
    ("hour", Type::Int),
    ("temp", Type::OptDouble),
    ("dewp", Type::OptDouble),
    ("humid", Type::OptDouble),
    ("wind_dir", Type::OptInt),
    ("wind_speed", Type::OptDouble),
    ("wind_gust", Type::OptDouble),
    ("precip", Type::OptDouble),
    ("pressure", Type::OptDouble),
    ("visib", Type::OptDouble),
    ("time_hour", Type::TimestampMillis),
];

/// The JSON schema of `WEATHER-value`.
#[must_use]
pub fn value_schema() -> String {
    json!({"type": "record", "name": "weather", "namespace": "nyc", "fields": fields(COLUMNS)}).to_string()
}

/// The stream, and the table that it leads to.
pub struct Weather {
    source: Arc<Source>,
    sent: usize,
}

impl Weather {
    /// The weather of `source`.
    #[must_use]
    pub fn new(source: Arc<Source>) -> Self {
        Self { source, sent: 0 }
    }

    /// Hands out all records, with values of the schema `id`.
    ///
    /// # Errors
    /// The outlet refuses.
    pub fn drain(&mut self, id: u32, out: &mut impl Outlet) -> Result<()> {
        let mut value = Bytes::default();
        for line in &self.source.weather[self.sent..] {
            value.begin(id);
            write(line, &mut value);
            let partition = i32::try_from(self.sent % SMALL_PARTITIONS as usize)?;
            out.send(Record {
                topic: WEATHER,
                partition,
                key: None,
                value: Some(&value.0),
                header: None,
                time_ms: None,
            })?;
            self.sent += 1;
        }
        Ok(())
    }
}

fn write(line: &Line, sink: &mut impl Sink) {
    sink.text(&line.origin);
    line.when.iter().for_each(|number| sink.int(*number));
    line.air.iter().for_each(|number| sink.opt_double(*number));
    sink.opt_int(line.wind_dir);
    line.rest.iter().for_each(|number| sink.opt_double(*number));
    sink.timestamp_millis(line.time_hour.micros / 1000);
}

impl Truth for Weather {
    fn topic(&self) -> &'static str {
        WEATHER
    }

    fn table(&self) -> (&'static str, &'static str) {
        ("nyc", "weather")
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn key(&self) -> Option<usize> {
        None
    }

    fn len(&self) -> usize {
        self.sent
    }

    fn rows(&self) -> Box<dyn Iterator<Item = Vec<Cell>> + Send + '_> {
        Box::new(self.source.weather[..self.sent].iter().map(|line| {
            let mut cells = Cells::default();
            write(line, &mut cells);
            cells.0
        }))
    }
}
