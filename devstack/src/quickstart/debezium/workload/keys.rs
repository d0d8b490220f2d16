//! Which rows there are, and what is known of the changes beside the tables that they lead to.

use std::collections::{BTreeMap, BTreeSet};

use rand::Rng;
use rand::rngs::StdRng;

use super::super::tables::{Key, Leaves, REGIONS, Table};
use crate::client::sql::Row;

/// The rows of a keyed table, by number; [`key_texts`] says which key a number stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    live: Vec<i64>,
    gone: Vec<i64>,
    next: i64,
    /// Rows with a value that the target cannot hold, where their records are set aside for it.
    pub(super) unfit: BTreeSet<i64>,
}

impl Keys {
    /// A key that no row has: now and then one that a row had before.
    pub(super) fn fresh(&mut self, dice: &mut StdRng) -> i64 {
        let number = if !self.gone.is_empty() && dice.random_ratio(1, 4) {
            self.gone.swap_remove(dice.random_range(0..self.gone.len()))
        } else {
            self.next += 1;
            self.next
        };
        self.live.push(number);
        number
    }

    pub(super) fn any(&self, dice: &mut StdRng) -> Option<i64> {
        (!self.live.is_empty()).then(|| self.live[dice.random_range(0..self.live.len())])
    }

    pub(super) fn remove(&mut self, number: i64) {
        self.live.retain(|live| *live != number);
        self.gone.push(number);
        self.unfit.remove(&number);
    }

    pub(super) fn clear(&mut self) {
        self.gone.append(&mut self.live);
        self.unfit.clear();
    }
}

/// The texts of the key that a number stands for.
pub(super) fn key_texts(table: &Table, number: i64) -> Vec<String> {
    match table.key {
        Key::Id => vec![number.to_string()],
        Key::RegionAndNumber => {
            let regions = i64::try_from(REGIONS.len()).unwrap_or(i64::MAX);
            let region = usize::try_from(number % regions).unwrap_or(0);
            vec![REGIONS[region].to_owned(), (number / regions).to_string()]
        }
        Key::None => Vec::new(),
    }
}

/// A column that came while rows were there, and the rows written since.
#[derive(Debug, Clone)]
pub struct Since {
    /// Its name.
    pub column: &'static str,
    /// What the others have at the target.
    pub leaves: Leaves,
    /// Ids of the rows written since.
    pub written: BTreeSet<i64>,
}

/// What is known of the workload beside the tables that it leads to.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Every change of the tables that are told: operation, and the row as the source shows it, its key first. A delete of a key has the
    /// key alone, a truncate nothing.
    pub logs: BTreeMap<&'static str, Vec<(char, Row)>>,
    /// Columns that came.
    pub since: Vec<Since>,
    /// Columns that went.
    pub dropped: Vec<&'static str>,
    /// How many operations of each kind were committed.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Told {
    /// Every change of a table.
    #[must_use]
    pub fn log(&self, table: &Table) -> &[(char, Row)] {
        self.logs.get(table.name).map_or(&[], Vec::as_slice)
    }
}
