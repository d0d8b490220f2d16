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

/// What headers say of a record's schemas, to stand before its key and value ([`common::avro::frame::head`]); empty where they say nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heads<'a> {
    /// Before the key.
    pub key: &'a [u8],
    /// Before the value.
    pub value: &'a [u8],
}

impl Heads<'_> {
    /// Nearly all records have none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.key.is_empty() && self.value.is_empty()
    }
}

/// How long the heads of a record are.
#[derive(Debug, Clone, Copy)]
struct Headed {
    record: u32,
    key: u32,
    value: u32,
}

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
    /// The records that have heads, in order.
    headed: Vec<Headed>,
    /// How long the headers of each record are, behind its value; empty where they are not asked for.
    headers: Vec<u32>,
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
            headed: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Copies a record to the end of the chunk, its heads before its key and value.
    pub fn push(&mut self, record: &Record<'_>, heads: Heads<'_>) {
        if self.entries.is_empty() {
            self.bytes.reserve(CHUNK_BYTES);
            self.entries.reserve(CHUNK_RECORDS.min(256));
        }
        if !heads.is_empty() {
            // checked: a chunk is handed over at 1,024 records, and a Kafka record is at most 2 GiB
            self.headed.push(Headed {
                record: self.entries.len() as u32,
                key: heads.key.len() as u32,
                value: heads.value.len() as u32,
            });
        }
        let mut part = |head: &[u8], bytes: Option<&[u8]>| {
            let Some(bytes) = bytes else { return NULL };
            self.bytes.extend_from_slice(head);
            self.bytes.extend_from_slice(bytes);
            (head.len() + bytes.len()) as u32
        };
        let key = part(heads.key, record.key);
        let value = part(heads.value, record.value);
        if let Some(headers) = record.headers {
            self.bytes.extend_from_slice(headers);
            self.headers.push(headers.len() as u32);
        }
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
        self.held.set(
            self.bytes.capacity()
                + self.entries.capacity() * size_of::<Entry>()
                + self.headed.capacity() * size_of::<Headed>()
                + self.headers.capacity() * size_of::<u32>(),
        );
    }

    /// The record at an index as Kafka has it, without what was put before its key and value.
    #[must_use]
    pub fn as_read<'a>(&self, index: usize, record: Record<'a>) -> Record<'a> {
        if self.headed.is_empty() {
            return record;
        }
        let found = self
            .headed
            .binary_search_by_key(&index, |headed| headed.record as usize);
        let Ok(headed) = found.map(|at| self.headed[at]) else {
            return record;
        };
        let cut = |bytes: Option<&'a [u8]>, head: u32| bytes.and_then(|bytes| bytes.get(head as usize..));
        Record {
            key: cut(record.key, headed.key),
            value: cut(record.value, headed.value),
            ..record
        }
    }

    /// The records, from the `skip`-th on, each with its index.
    pub fn records(&self, skip: usize) -> impl Iterator<Item = (usize, Record<'_>)> {
        let length = |length: u32| if length == NULL { 0 } else { length as usize };
        let of_headers = |index: usize| self.headers.get(index).map(|&bytes| bytes as usize);
        let skipped = self.entries[..skip].iter().enumerate();
        let mut at: usize = skipped
            .map(|(index, entry)| length(entry.key) + length(entry.value) + of_headers(index).unwrap_or(0))
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
            let headers = of_headers(index).map(|bytes| {
                let from = at;
                at += bytes;
                &self.bytes[from..at]
            });
            (
                index,
                Record {
                    offset: Offset(entry.offset),
                    timestamp_ms: entry.timestamp_ms,
                    key,
                    value,
                    headers,
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
            let record = Record {
                offset: Offset(offset),
                timestamp_ms: offset * 10,
                key,
                value,
                headers: None,
            };
            chunk.push(&record, Heads::default());
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

    #[test]
    fn headers_come_out_with_their_record() {
        let memory = Memory::new(Budget::of(1 << 20));
        let mut chunk = Chunk::new(SlotId(0), 1, memory.reserve());
        let records: [(&[u8], Option<&[u8]>); 3] = [(b"one", Some(b"v")), (b"", None), (b"three", Some(b""))];
        for (index, (headers, value)) in records.into_iter().enumerate() {
            let record = Record {
                offset: Offset(index as i64),
                timestamp_ms: 0,
                key: Some(b"k"),
                value,
                headers: Some(headers),
            };
            chunk.push(&record, Heads::default());
        }
        for skip in 0..=records.len() {
            let read: Vec<_> = chunk
                .records(skip)
                .map(|(_, record)| (record.headers, record.value))
                .collect();
            let pushed: Vec<_> = records[skip..]
                .iter()
                .map(|(headers, value)| (Some(*headers), *value))
                .collect();
            assert_eq!(read, pushed);
        }
    }

    #[test]
    fn heads_stand_before_key_and_value_and_are_no_part_of_the_record_as_it_was_read() {
        let memory = Memory::new(Budget::of(1 << 20));
        let mut chunk = Chunk::new(SlotId(0), 1, memory.reserve());
        let record = |offset, value| Record {
            offset: Offset(offset),
            timestamp_ms: 0,
            key: Some(&b"k"[..]),
            value,
            headers: None,
        };
        let (plain, headed, null) = (record(1, Some(&b"v"[..])), record(2, Some(&b""[..])), record(3, None));
        let heads = Heads { key: b"", value: b"hh" };
        chunk.push(&plain, Heads::default());
        chunk.push(&headed, heads);
        chunk.push(&null, Heads { key: b"H", ..heads });
        let framed: Vec<_> = chunk.records(0).map(|(_, record)| (record.key, record.value)).collect();
        let k = Some(&b"k"[..]);
        assert_eq!(
            framed,
            [(k, Some(&b"v"[..])), (k, Some(&b"hh"[..])), (Some(&b"Hk"[..]), None)]
        );
        let read: Vec<_> = chunk
            .records(0)
            .map(|(index, record)| chunk.as_read(index, record))
            .collect();
        for (read, pushed) in read.iter().zip([plain, headed, null]) {
            assert_eq!(
                (read.offset, read.key, read.value),
                (pushed.offset, pushed.key, pushed.value)
            );
        }
    }
}
