//! A row of the flights table.

use super::super::avro::{Column, Sink, Type};
use super::super::cell::days;
use super::super::mix;
use super::super::source::{Flight, Source};

/// Minutes from which a flight counts as delayed, as the US authorities count.
const DELAYED: i32 = 15;

/// The 26 columns: a surrogate key, the 19 of the file, and six that bring further types.
pub const COLUMNS: &[Column] = &[
    ("id", Type::Long),
    ("year", Type::Int),
    ("month", Type::Int),
    ("day", Type::Int),
    ("dep_time", Type::OptInt),
    ("sched_dep_time", Type::OptInt),
    ("dep_delay", Type::OptInt),
    ("arr_time", Type::OptInt),
    ("sched_arr_time", Type::OptInt),
    ("arr_delay", Type::OptInt),
    ("carrier", Type::Text),
    ("flight", Type::OptInt),
    ("tailnum", Type::OptText),
    ("origin", Type::Text),
    ("dest", Type::Text),
    ("air_time", Type::OptInt),
    ("distance", Type::OptInt),
    ("hour", Type::OptShort),
    ("minute", Type::OptShort),
    ("time_hour", Type::OptZoned),
    ("status", Type::OptText),
    ("fare", Type::OptDecimal),
    ("updated_at", Type::MicroTimestamp),
    ("flight_date", Type::OptDate),
    ("is_delayed", Type::OptBool),
    ("air_speed", Type::OptDouble),
];

/// How far a flight has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// On the schedule: nothing actual is known.
    Scheduled,
    /// In the air.
    Departed,
    /// Down again.
    Arrived,
}

/// A row: which flight, and what has happened to it. The columns follow from it and the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Primary key.
    pub id: i64,
    /// Place in the file.
    pub flight: u32,
    /// How far it has got.
    pub stage: Stage,
    /// Hundredths of a dollar.
    pub fare: Option<i64>,
    /// Microseconds since 1970.
    pub updated_at: i64,
}

impl Row {
    /// Writes all columns.
    pub fn write(&self, source: &Source, sink: &mut impl Sink) {
        let flight = &source.flights[self.flight as usize];
        let departed = |value: Option<i32>| value.filter(|_| self.stage >= Stage::Departed);
        let arrived = |value: Option<i32>| value.filter(|_| self.stage == Stage::Arrived);
        let air_time = arrived(flight.air_time);
        sink.long(self.id);
        sink.int(flight.year);
        sink.int(flight.month);
        sink.int(flight.day);
        sink.opt_int(departed(flight.dep_time));
        sink.opt_int(Some(flight.sched_dep_time));
        sink.opt_int(departed(flight.dep_delay));
        sink.opt_int(arrived(flight.arr_time));
        sink.opt_int(Some(flight.sched_arr_time));
        sink.opt_int(arrived(flight.arr_delay));
        sink.text(&flight.carrier);
        sink.opt_int(Some(flight.flight));
        sink.opt_text(flight.tailnum.as_deref());
        sink.text(&flight.origin);
        sink.text(&flight.dest);
        sink.opt_int(air_time);
        sink.opt_int(Some(flight.distance));
        sink.opt_int(Some(flight.hour));
        sink.opt_int(Some(flight.minute));
        sink.opt_zoned(Some((&flight.time_hour.text, flight.time_hour.micros)));
        sink.opt_text(Some(self.status()));
        sink.opt_decimal(self.fare);
        sink.micro_timestamp(self.updated_at);
        sink.opt_date(i32::try_from(days(flight.year.into(), flight.month.into(), flight.day.into())).ok());
        sink.opt_bool(
            arrived(flight.arr_delay)
                .or(departed(flight.dep_delay))
                .map(|minutes| minutes >= DELAYED),
        );
        sink.opt_double(
            air_time
                .filter(|time| *time > 0)
                .map(|time| f64::from(flight.distance) / f64::from(time) * 60.0),
        );
    }

    fn status(&self) -> &'static str {
        match self.stage {
            Stage::Scheduled => "scheduled",
            Stage::Departed => "departed",
            Stage::Arrived => "arrived",
        }
    }
}

/// Writes a row of which only the key is known, as replica identity default leaves it: others null, or their type's empty value where they
/// may not be null.
pub fn write_key_only(id: i64, sink: &mut impl Sink) {
    for (place, (_, kind)) in COLUMNS.iter().enumerate() {
        match kind {
            Type::Long => sink.long(if place == 0 { id } else { 0 }),
            Type::Int => sink.int(0),
            Type::Text => sink.text(""),
            Type::MicroTimestamp => sink.micro_timestamp(0),
            Type::TimestampMillis => sink.timestamp_millis(0),
            Type::OptInt | Type::OptShort => sink.opt_int(None),
            Type::OptText => sink.opt_text(None),
            Type::OptBool => sink.opt_bool(None),
            Type::OptDouble => sink.opt_double(None),
            Type::OptDecimal => sink.opt_decimal(None),
            Type::OptDate => sink.opt_date(None),
            Type::OptZoned => sink.opt_zoned(None),
        }
    }
}

/// What the ticket costs: nothing is known for a few, and who came more than two hours late gets money back (a negative fare).
#[must_use]
pub fn fare(seed: u64, index: u32, flight: &Flight, stage: Stage) -> Option<i64> {
    let chance = mix(seed ^ 0x6661_7265, index.into());
    let fare = 3_000 + i64::from(flight.distance) * 12 + i64::try_from(chance % 10_000).unwrap_or(0);
    let refund = stage == Stage::Arrived && flight.arr_delay.is_some_and(|minutes| minutes > 120);
    (!chance.is_multiple_of(50)).then_some(if refund { -fare / 10 } else { fare })
}
