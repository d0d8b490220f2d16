//! The explored graph, walked backwards: from which states can nobody ever finish (invariant I9)?
//!
//! Stateright's `eventually` misses cycles, so the edges are collected while it explores, and the walk goes from the finished states
//! towards their causes. What it does not reach cannot finish.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use ahash::RandomState;

/// Edges are spread over so many lists, so that threads seldom wait for each other.
const SHARDS: usize = 64;

/// Identity of a state in the graph.
#[must_use]
pub fn print(state: &impl Hash) -> u64 {
    // Fixed seeds, other than stateright's own: the same state has the same print in every run.
    RandomState::with_seeds(0x5350_4f4c, 0x5426_4733, 0x6772_6170, 0x6870_7269).hash_one(state)
}

/// Prints are hashes already.
#[derive(Default)]
pub struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, print: u64) {
        self.0 = print;
    }
}

type Numbers = HashMap<u64, u32, BuildHasherDefault<Plain>>;

/// What was seen of a state space.
pub struct Graph {
    edges: Vec<Mutex<Vec<(u64, u64)>>>,
    finished: Mutex<Vec<u64>>,
    recovered: AtomicUsize,
}

impl Default for Graph {
    fn default() -> Self {
        Graph {
            edges: (0..SHARDS).map(|_| Mutex::default()).collect(),
            finished: Mutex::default(),
            recovered: AtomicUsize::new(0),
        }
    }
}

/// What the walk found.
pub struct Walk {
    /// States from which no finished state can be reached.
    pub stuck: usize,
    /// A shortest way from a first state to one of them (to one in which nothing happens any more, if there is one), as prints; empty
    /// when nobody is stuck.
    pub way: Vec<u64>,
    /// How many states are finished.
    pub finished: usize,
}

impl Graph {
    /// One step of the model.
    #[allow(clippy::cast_possible_truncation, reason = "only the low bits choose a shard")]
    pub fn edge(&self, from: u64, to: u64) {
        self.edges[from as usize % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((from, to));
    }

    /// A state in which all is done; `recovered` if that is so after every fault.
    pub fn finished(&self, print: u64, recovered: bool) {
        self.recovered.fetch_add(usize::from(recovered), Ordering::Relaxed);
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).push(print);
    }

    /// How many states are finished after every fault.
    #[must_use]
    pub fn recovered(&self) -> usize {
        self.recovered.load(Ordering::Relaxed)
    }

    /// Walks backwards from the finished states.
    #[must_use]
    pub fn walk(&self, first: &[u64]) -> Walk {
        let mut numbers = Numbers::default();
        let mut prints: Vec<u64> = Vec::new();
        let mut number = |print: u64| -> u32 {
            *numbers.entry(print).or_insert_with(|| {
                prints.push(print);
                u32::try_from(prints.len() - 1).expect("invariant: a run has less than 2^32 states")
            })
        };
        let first: Vec<u32> = first.iter().map(|print| number(*print)).collect();
        let lengths = self
            .edges
            .iter()
            .map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len());
        let mut edges: Vec<(u32, u32)> = Vec::with_capacity(lengths.sum());
        for shard in &self.edges {
            let shard = std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            edges.extend(shard.into_iter().map(|(from, to)| (number(from), number(to))));
        }
        let finished = std::mem::take(&mut *self.finished.lock().unwrap_or_else(PoisonError::into_inner));
        let mut finished: Vec<u32> = finished.into_iter().map(&mut number).collect();
        finished.sort_unstable();
        finished.dedup();
        drop(numbers);
        let causes = Neighbours::new(prints.len(), edges.iter().map(|(from, to)| (*to, *from)));
        let may_finish = causes.reached(&finished);
        let stuck = may_finish.iter().filter(|reached| !**reached).count();
        let mut way = Vec::new();
        if stuck > 0 {
            let forward = Neighbours::new(prints.len(), edges.iter().copied());
            let is_stuck = |state: u32| !may_finish[state as usize];
            // A state in which nothing happens any more tells more than the first from which there is no way out.
            let is_end = |state: u32| is_stuck(state) && forward.of(state).is_empty();
            way = forward.way(&first, is_end);
            if way.is_empty() {
                way = forward.way(&first, is_stuck);
            }
        }
        Walk {
            stuck,
            way: way.into_iter().map(|state| prints[state as usize]).collect(),
            finished: finished.len(),
        }
    }
}

/// Adjacent states of each state, in one list.
struct Neighbours {
    starts: Vec<u32>,
    list: Vec<u32>,
}

impl Neighbours {
    fn new(states: usize, edges: impl Iterator<Item = (u32, u32)> + Clone) -> Neighbours {
        let mut starts = vec![0u32; states + 1];
        for (from, _) in edges.clone() {
            starts[from as usize + 1] += 1;
        }
        for index in 1..starts.len() {
            starts[index] += starts[index - 1];
        }
        let mut fill = starts.clone();
        let mut list = vec![0u32; starts[states] as usize];
        for (from, to) in edges {
            let place = &mut fill[from as usize];
            list[*place as usize] = to;
            *place += 1;
        }
        Neighbours { starts, list }
    }

    fn of(&self, state: u32) -> &[u32] {
        let state = state as usize;
        &self.list[self.starts[state] as usize..self.starts[state + 1] as usize]
    }

    /// Which states can be reached.
    fn reached(&self, from: &[u32]) -> Vec<bool> {
        let mut seen = vec![false; self.starts.len() - 1];
        let mut open = from.to_vec();
        open.iter().for_each(|state| seen[*state as usize] = true);
        while let Some(state) = open.pop() {
            for next in self.of(state) {
                if !std::mem::replace(&mut seen[*next as usize], true) {
                    open.push(*next);
                }
            }
        }
        seen
    }

    /// A shortest way to a wanted state.
    fn way(&self, from: &[u32], wanted: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut seen = vec![false; self.starts.len() - 1];
        let mut before = vec![u32::MAX; seen.len()];
        let mut open: VecDeque<u32> = from.iter().copied().collect();
        open.iter().for_each(|state| seen[*state as usize] = true);
        while let Some(state) = open.pop_front() {
            if wanted(state) {
                let mut way = vec![state];
                let mut at = state;
                while before[at as usize] != u32::MAX {
                    at = before[at as usize];
                    way.push(at);
                }
                way.reverse();
                return way;
            }
            for next in self.of(state) {
                if !std::mem::replace(&mut seen[*next as usize], true) {
                    before[*next as usize] = state;
                    open.push_back(*next);
                }
            }
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_beside_the_way_is_found_although_the_end_can_be_reached() {
        let graph = Graph::default();
        // 1 -> 2 -> 3 (finished), 2 -> 4 <-> 5: whoever went to 4 turns in circles for ever.
        for (from, to) in [(1, 2), (2, 3), (2, 4), (4, 5), (5, 4)] {
            graph.edge(from, to);
        }
        graph.finished(3, false);
        let walk = graph.walk(&[1]);
        assert_eq!((walk.stuck, walk.finished), (2, 1));
        assert_eq!(walk.way, [1, 2, 4]);
    }

    #[test]
    fn a_circle_with_a_way_out_is_no_trap() {
        let graph = Graph::default();
        for (from, to) in [(1, 2), (2, 1), (2, 3)] {
            graph.edge(from, to);
        }
        graph.finished(3, false);
        assert_eq!(graph.walk(&[1]).stuck, 0);
    }
}
