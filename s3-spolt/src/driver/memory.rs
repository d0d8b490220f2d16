//! What is in memory, counted: every buffer of records and objects holds a [`Reservation`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ingest::budget::{Budget, Verdict};

use super::SlotId;

/// The process's account of memory.
#[derive(Debug)]
pub struct Memory {
    budget: Budget,
    used: AtomicU64,
    open: Mutex<BTreeMap<SlotId, u64>>,
}

impl Memory {
    /// An account with nothing in it.
    #[must_use]
    pub fn new(budget: Budget) -> Arc<Memory> {
        Arc::new(Memory {
            budget,
            used: AtomicU64::new(0),
            open: Mutex::new(BTreeMap::new()),
        })
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// A reservation of nothing yet.
    #[must_use]
    pub fn reserve(self: &Arc<Memory>) -> Reservation {
        Reservation {
            memory: self.clone(),
            bytes: 0,
        }
    }

    /// Notes the size of a slot's open object; 0 when it has none.
    pub fn note_open(&self, slot: SlotId, bytes: u64) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes == 0 {
            open.remove(&slot);
        } else {
            open.insert(slot, bytes);
        }
    }

    /// What the present use asks for, and the slot whose open object is the largest.
    #[must_use]
    pub fn judge(&self) -> (Verdict, Option<SlotId>) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = self.budget.judge(self.used(), open.values().sum());
        (
            verdict,
            open.iter().max_by_key(|(_, bytes)| **bytes).map(|(slot, _)| *slot),
        )
    }
}

/// Bytes that somebody holds; given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Reservation {
    /// Sets how many bytes are held from now on.
    pub fn set(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        if bytes >= self.bytes {
            self.memory.used.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            self.memory.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_given_back() {
        let memory = Memory::new(Budget::of(4_000));
        let mut one = memory.reserve();
        one.set(2_000);
        let mut two = memory.reserve();
        two.set(700);
        one.set(100);
        assert_eq!(memory.used(), 800);
        drop(one);
        assert_eq!(memory.used(), 700);
    }

    #[test]
    fn the_largest_open_object_is_the_one_to_cut() {
        let memory = Memory::new(Budget::of(4_000));
        let mut held = memory.reserve();
        held.set(2_900);
        memory.note_open(SlotId(1), 900);
        memory.note_open(SlotId(2), 2_000);
        assert_eq!(memory.judge(), (Verdict::CutLargestAndHold, Some(SlotId(2))));
        memory.note_open(SlotId(2), 0);
        assert_eq!(memory.judge().1, Some(SlotId(1)));
    }
}
