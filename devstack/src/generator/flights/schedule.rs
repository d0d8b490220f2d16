//! When what happens to which flight.

use super::super::mix;
use super::super::source::Flight;

/// Microseconds of a second and of a minute.
const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// One departed flight in so many gets another primary key in the air.
const MOVES: u64 = 200;

/// One cancelled flight in so many is created again.
const AGAIN: u64 = 5;

/// One of those in so many is cancelled once more.
const CANCELLED_AGAIN: u64 = 3;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The flight is scheduled.
    Create,
    /// It departs.
    Depart,
    /// Its primary key changes.
    Move,
    /// It arrives.
    Arrive,
    /// It is cancelled: deleted.
    Cancel,
    /// A deleted one is scheduled again.
    Again,
}

/// One happening. Ordered by time; the rest only makes the order total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Microseconds since 1970.
    pub at: i64,
    /// Place of the flight in the file.
    pub flight: u32,
    /// What happens.
    pub kind: Kind,
}

/// All that happens, in the order of time.
#[must_use]
pub fn of(flights: &[Flight], seed: u64) -> Vec<Moment> {
    let mut all = Vec::with_capacity(flights.len() * 3);
    for (index, flight) in flights.iter().enumerate() {
        let index = u32::try_from(index).expect("invariant: the file has a third of a million lines");
        life(index, flight, seed, &mut |at, kind| {
            all.push(Moment {
                at,
                flight: index,
                kind,
            })
        });
    }
    all.sort_unstable();
    all
}

/// Whether the flight gets another primary key on its way.
#[must_use]
pub fn moves(seed: u64, flight: u32) -> bool {
    mix(seed ^ 0x6d6f_7665, flight.into()).is_multiple_of(MOVES)
}

fn life(index: u32, flight: &Flight, seed: u64, add: &mut impl FnMut(i64, Kind)) {
    let chance = |what: u64| mix(seed ^ what, index.into());
    let spread = |what: u64, width: i64| i64::try_from(chance(what) % width.unsigned_abs()).unwrap_or(0);
    let scheduled = flight.time_hour.micros + i64::from(flight.minute) * MINUTE;
    add(scheduled - 24 * HOUR + spread(1, 12 * HOUR), Kind::Create);
    let Some(_) = flight.dep_time else {
        let mut at = scheduled - spread(2, 3 * HOUR);
        add(at, Kind::Cancel);
        if chance(3).is_multiple_of(AGAIN) {
            at += HOUR + spread(4, HOUR);
            add(at, Kind::Again);
            if chance(5).is_multiple_of(CANCELLED_AGAIN) {
                add(at + 2 * HOUR + spread(6, HOUR), Kind::Cancel);
            }
        }
        return;
    };
    let departed = scheduled + i64::from(flight.dep_delay.unwrap_or(0)) * MINUTE + spread(7, MINUTE);
    add(departed, Kind::Depart);
    if moves(seed, index) {
        add(departed + 5 * MINUTE, Kind::Move);
    }
    if flight.arr_time.is_some() {
        // Diverted flights have no time in the air; at some eight miles a minute they are down.
        let minutes = flight.air_time.unwrap_or(flight.distance / 8) + 20;
        add(departed + i64::from(minutes) * MINUTE + spread(8, MINUTE), Kind::Arrive);
    }
}
