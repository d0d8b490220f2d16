//! What rows say of the record that wrote them last, on request: its time and its operation. Every staged row has both; a changelog keeps
//! them anyway, and a history the operation. Fields of the source block are columns of the objects and need nothing here.

use common::table::ColumnType;
use runtime::config::Metadata;

use super::evolve::Wanted;
use super::mode::Mode;
use super::order::RECORD_TIME;

/// The operation of the record that wrote a row last: `c`, `r` or `u`. Not called as the staged column is, by which a changelog is known.
pub const OPERATION: &str = "_kafka_operation";

/// What [`OPERATION`] is in the stage.
pub const STAGED_OPERATION: &str = "_kafka_op";

/// The columns that are asked for and that neither the mode nor the load brings.
#[must_use]
pub fn columns(wanted: &[Metadata], mode: Mode, present: &[Wanted]) -> Vec<Wanted> {
    let own: Vec<&str> = mode.meta_columns().into_iter().map(|(name, _)| name).collect();
    let columns = wanted.iter().filter_map(|metadata| match metadata {
        Metadata::Timestamp if !own.contains(&RECORD_TIME) => Some((RECORD_TIME, ColumnType::Timestamp)),
        Metadata::Operation if !own.contains(&STAGED_OPERATION) => {
            Some((OPERATION, ColumnType::Varchar { limit: Some(1) }))
        }
        _ => None,
    });
    let missing = columns.filter(|(name, _)| present.iter().all(|column| column.name != *name));
    missing
        .map(|(name, ty)| Wanted {
            name: name.to_owned(),
            ty,
            key: false,
            default: None,
            longest: 0,
        })
        .collect()
}
