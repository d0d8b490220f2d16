//! Records on their way from the polling thread to an encoder: copied once, in a row, with an index.

use common::ids::Offset;
use common::row::Record;

use super::SlotId;
use super::memory::Reservation;

/// A chunk is handed over when it holds this much: large enough to make the hand-over cheap, small enough to stay in the cache.
pub const CHUNK_BYTES: usize = 128 * 1024;
/// The same for many small records.
pub const CHUNK_RECORDS: usize = 1_024;

/// Length that stands for a null key or value.
const NULL: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: i64,
    timestamp_ms: i64,
    key: u32,
    value: u32,
}

/// Consecutive records of one partition, as fetched under one generation of its lineage.
#[derive(Debug)]
pub struct Chunk {
    /// Whose records they are.
    pub slot: SlotId,
    /// Under which generation they were asked for.
    pub generation: u64,
    /// Counted while the chunk lives.
    held: Reservation,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Chunk {
    /// An empty chunk.
    #[must_use]
    pub fn new(slot: SlotId, generation: u64, held: Reservation) -> Chunk {
        Chunk {
            slot,
            generation,
            held,
            bytes: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Copies a record to the end of the chunk.
    pub fn push(&mut self, record: &Record<'_>) {
        if self.entries.is_empty() {
            self.bytes.reserve(CHUNK_BYTES);
            self.entries.reserve(CHUNK_RECORDS.min(256));
        }
        let mut part = |bytes: Option<&[u8]>| {
            let Some(bytes) = bytes else { return NULL };
            self.bytes.extend_from_slice(bytes);
            // checked: a Kafka record is at most 2 GiB
            bytes.len() as u32
        };
        let key = part(record.key);
        let value = part(record.value);
        self.entries.push(Entry {
            offset: record.offset.0,
            timestamp_ms: record.timestamp_ms,
            key,
            value,
        });
    }

    /// Whether it is time to hand it over.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES || self.entries.len() >= CHUNK_RECORDS
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Counts its memory; called once, when it is handed over.
    pub fn account(&mut self) {
        self.held
            .set(self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>());
    }

    /// The records, from the `skip`-th on, each with its index.
    pub fn records(&self, skip: usize) -> impl Iterator<Item = (usize, Record<'_>)> {
        let length = |length: u32| if length == NULL { 0 } else { length as usize };
        let mut at: usize = self.entries[..skip]
            .iter()
            .map(|entry| length(entry.key) + length(entry.value))
            .sum();
        self.entries.iter().enumerate().skip(skip).map(move |(index, entry)| {
            let mut part = |length: u32| {
                if length == NULL {
                    return None;
                }
                let from = at;
                at += length as usize;
                Some(&self.bytes[from..at])
            };
            let key = part(entry.key);
            let value = part(entry.value);
            (
                index,
                Record {
                    offset: Offset(entry.offset),
                    timestamp_ms: entry.timestamp_ms,
                    key,
                    value,
                },
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;
    use crate::ingest::budget::Budget;

    #[test]
    fn records_come_out_as_they_went_in_from_any_place() {
        let memory = Memory::new(Budget::of(1 << 20));
        let mut chunk = Chunk::new(SlotId(0), 1, memory.reserve());
        let records = [
            (1, Some(&b"k"[..]), Some(&b"value"[..])),
            (4, None, Some(&b""[..])),
            (5, Some(&b""[..]), None),
            (9, Some(&b"key"[..]), Some(&b"v"[..])),
        ];
        for (offset, key, value) in records {
            chunk.push(&Record {
                offset: Offset(offset),
                timestamp_ms: offset * 10,
                key,
                value,
            });
        }
        chunk.account();
        assert!(memory.used() > 0);
        for skip in 0..=records.len() {
            let read: Vec<_> = chunk
                .records(skip)
                .map(|(_, record)| (record.offset.0, record.key, record.value))
                .collect();
            assert_eq!(read, records[skip..]);
        }
        drop(chunk);
        assert_eq!(memory.used(), 0);
    }
}
