//! Small states out of large parts: every part of a state (a state machine, a log, a warehouse) is kept once and named by a number, so
//! that a state is a few numbers, and a step that many states share is taken once.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::{Arc, PoisonError, RwLock};

use ahash::RandomState;
use dashmap::{DashMap, Entry};

/// Names a part of a state. Equal parts of one table have equal names.
pub struct Id<T>(u32, PhantomData<fn() -> T>);

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Id<T> {}
impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Keeps every part once.
pub struct Table<T> {
    ids: DashMap<Arc<T>, u32, RandomState>,
    all: RwLock<Vec<Arc<T>>>,
}

impl<T: Eq + Hash> Default for Table<T> {
    fn default() -> Self {
        Table {
            ids: DashMap::default(),
            all: RwLock::default(),
        }
    }
}

impl<T: Eq + Hash> Table<T> {
    /// The name of this part.
    ///
    /// # Panics
    /// When there are more than 2^32 parts; memory ends long before.
    #[must_use]
    pub fn id(&self, part: T) -> Id<T> {
        if let Some(id) = self.ids.get(&part) {
            return Id(*id, PhantomData);
        }
        let id = match self.ids.entry(Arc::new(part)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
                let id = u32::try_from(all.len()).expect("invariant: a table holds less than 2^32 parts");
                all.push(Arc::clone(free.key()));
                *free.insert(id)
            }
        };
        Id(id, PhantomData)
    }

    /// The part of this name.
    #[must_use]
    pub fn get(&self, id: Id<T>) -> Arc<T> {
        Arc::clone(&self.all.read().unwrap_or_else(PoisonError::into_inner)[id.0 as usize])
    }
}

/// Remembers the answers of a function.
pub struct Memo<K, V> {
    known: DashMap<K, V, RandomState>,
}

impl<K: Eq + Hash, V> Default for Memo<K, V> {
    fn default() -> Self {
        Memo {
            known: DashMap::default(),
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Memo<K, V> {
    /// The answer for `key`, made once (twice at worst, when two threads ask at the same time).
    pub fn get(&self, key: &K, make: impl FnOnce() -> V) -> V {
        if let Some(value) = self.known.get(key) {
            return value.clone();
        }
        let value = make();
        self.known.insert(key.clone(), value.clone());
        value
    }
}
