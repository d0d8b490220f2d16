//! What a claim says about the columns of its object (protocol rule 2).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::SchemaId;
use crate::plan::Plan;

/// Collected while the rows of one object are written, all by one plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Longest text in bytes, by position of the column in the plan.
    pub(super) longest: Vec<u32>,
    /// Which columns hold "unchanged" marks, by position.
    pub(super) unchanged: Vec<bool>,
    /// Ids of the writer schemas, each once.
    pub(super) schemas: Vec<u32>,
    /// Names of those that are not of a registry.
    names: BTreeMap<u32, SchemaId>,
    /// Those of the last row, noted already.
    last: (Option<u32>, Option<u32>),
}

impl Stats {
    /// Makes room for the columns of a plan.
    #[inline]
    pub(super) fn fit(&mut self, columns: usize) {
        if self.longest.len() < columns {
            self.longest.resize(columns, 0);
            self.unchanged.resize(columns, false);
        }
    }

    /// Notes the schemas of a row's value and key.
    #[inline]
    pub(super) fn schemas_of_row(&mut self, ids: (Option<u32>, Option<u32>)) {
        if self.last != ids {
            self.schema(ids.0);
            self.schema(ids.1);
            self.last = ids;
        }
    }

    /// Notes the name of a schema that is not of a registry.
    pub(super) fn name(&mut self, id: u32, name: &SchemaId) {
        self.names.entry(id).or_insert_with(|| name.clone());
    }

    fn schema(&mut self, id: Option<u32>) {
        if let Some(id) = id
            && !self.schemas.contains(&id)
        {
            self.schemas.push(id);
        }
    }

    /// Forgets everything, for the next object.
    pub fn reset(&mut self) {
        self.longest.clear();
        self.unchanged.clear();
        self.schemas.clear();
        self.names.clear();
        self.last = (None, None);
    }

    /// Adds what another part of the same object, of the same plan, collected.
    pub fn merge(&mut self, other: &Stats) {
        self.fit(other.longest.len());
        for (mine, theirs) in self.longest.iter_mut().zip(&other.longest) {
            *mine = (*mine).max(*theirs);
        }
        for (mine, theirs) in self.unchanged.iter_mut().zip(&other.unchanged) {
            *mine |= *theirs;
        }
        other.schemas.iter().for_each(|&id| self.schema(Some(id)));
        other.names.iter().for_each(|(id, name)| self.name(*id, name));
    }

    /// The longest text of each VARCHAR column in bytes, by name; columns without any text are left out.
    #[must_use]
    pub fn longest_by_column(&self, plan: Option<&Arc<Plan>>) -> BTreeMap<String, u32> {
        let columns = plan.map_or(&[][..], |plan| &plan.columns);
        let longest = columns.iter().zip(&self.longest).filter(|(_, bytes)| **bytes > 0);
        longest.map(|(column, bytes)| (column.name.clone(), *bytes)).collect()
    }

    /// Names of the columns that hold "unchanged" marks.
    #[must_use]
    pub fn unchanged_columns(&self, plan: Option<&Arc<Plan>>) -> Vec<String> {
        let columns = plan.map_or(&[][..], |plan| &plan.columns);
        let marked = columns.iter().zip(&self.unchanged).filter(|(_, marked)| **marked);
        marked.map(|(column, _)| column.name.clone()).collect()
    }

    /// Ids of the writer schemas of the rows, in order of their number.
    #[must_use]
    pub fn schemas_seen(&self) -> Vec<SchemaId> {
        let mut ids = self.schemas.clone();
        ids.sort_unstable();
        let name = |id| self.names.get(&id).cloned().unwrap_or_else(|| SchemaId::confluent(id));
        ids.into_iter().map(name).collect()
    }
}
