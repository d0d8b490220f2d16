//! How changes become rows, and that a table stays in the mode that it began in.
//!
//! A table shows its mode by its columns, so nothing else has to remember it: a table that was copied, restored or made by hand is judged
//! by what it is.

use common::failure::Failure;
use common::plan::{META_COLUMNS, ORIGIN_COLUMNS, Plan};
use common::table::ColumnType;

use super::evolve::Present;
use super::state::TableRow;

/// Whether the source has deleted the row of a soft-delete table.
pub const DELETED: &str = "_kafka_deleted";

/// Time of the record that made a row of a history.
pub const VALID_FROM: &str = "_kafka_valid_from";

/// Time of the record that ended it: the key's next change, its delete, or a truncate. NULL in the current row.
pub const VALID_TO: &str = "_kafka_valid_to";

/// Whether a row of a history is what holds now.
pub const IS_CURRENT: &str = "_kafka_is_current";

/// The operation of a change: in changelogs and histories.
const OP: &str = "_kafka_op";

/// How changes become rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The last row of a key stays.
    Upsert,
    /// The same, but a deleted row stays with its last values and says so.
    SoftDelete,
    /// Every change of a key becomes a row with the time from and to which it held.
    History,
    /// Every change becomes a row, with its operation.
    Append,
}

impl Mode {
    /// Its name, as the configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mode::Upsert => "upsert",
            Mode::SoftDelete => "soft_delete",
            Mode::History => "history",
            Mode::Append => "append",
        }
    }

    /// The mode that holds for a plan: without a key there is nothing to find rows by.
    #[must_use]
    pub fn of(wanted: Mode, plan: &Plan) -> Mode {
        if plan.key_columns().is_empty() {
            Mode::Append
        } else {
            wanted
        }
    }

    /// Whether rows are found by their key, so that the changes of a key need an order.
    #[must_use]
    pub fn is_keyed(self) -> bool {
        self != Mode::Append
    }

    /// Meta columns that the target has, in order: the row's last writer, then what the mode adds.
    #[must_use]
    pub fn meta_columns(self) -> Vec<(&'static str, ColumnType)> {
        let staged = |name: &str| match self {
            Mode::Upsert | Mode::SoftDelete => false,
            Mode::History => name == OP,
            Mode::Append => name == OP || name == "_kafka_timestamp",
        };
        let own: &[(&'static str, ColumnType)] = match self {
            Mode::Upsert | Mode::Append => &[],
            Mode::SoftDelete => &[(DELETED, ColumnType::Boolean)],
            Mode::History => &[
                (VALID_FROM, ColumnType::Timestamp),
                (VALID_TO, ColumnType::Timestamp),
                (IS_CURRENT, ColumnType::Boolean),
            ],
        };
        let origin = META_COLUMNS
            .iter()
            .filter(|column| ORIGIN_COLUMNS.contains(&column.name) || staged(column.name));
        origin
            .map(|column| (column.name, column.ty))
            .chain(own.iter().copied())
            .collect()
    }

    /// The mode in which a table with these columns began.
    #[must_use]
    pub fn shown_by(catalog: &[Present]) -> Mode {
        let has = |name: &str| catalog.iter().any(|column| column.name == name);
        if has(VALID_FROM) {
            Mode::History
        } else if has(DELETED) {
            Mode::SoftDelete
        } else if has(OP) {
            Mode::Append
        } else {
            Mode::Upsert
        }
    }
}

/// Whether a table whose state is `row` and whose columns are `catalog` goes on in `mode`. What a mode has thrown away no other can bring
/// back; only from upsert to soft delete nothing is wrong afterwards: what is there has not been deleted.
///
/// # Errors
/// When it began in another mode.
pub fn settled(mode: Mode, row: Option<&TableRow>, catalog: &[Present]) -> Result<(), Failure> {
    if catalog.is_empty() || row.is_none_or(|row| row.plan.is_none()) {
        return Ok(());
    }
    let began = Mode::shown_by(catalog);
    let ordered = row.is_some_and(|row| row.order.is_some());
    if began == mode || (began, mode, ordered) == (Mode::Upsert, Mode::SoftDelete, false) {
        return Ok(());
    }
    let said = if ordered { " with `order_by`" } else { "" };
    Err(Failure::halt(format!(
        "the table began in mode `{}`{said}, and `mode` now says `{}`",
        began.name(),
        mode.name()
    ))
    .hint(
        "what the rows that are there have lost cannot be brought back: set `mode` back, or load the topic into a new table by a rewrite \
         rule. only a table of mode `upsert` without `order_by` may become one of mode `soft_delete`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::plan::PlanId;

    const MODES: [Mode; 4] = [Mode::Upsert, Mode::SoftDelete, Mode::History, Mode::Append];

    fn table(mode: Mode) -> Vec<Present> {
        let present = |(name, _): (&str, ColumnType)| Present {
            name: name.to_owned(),
            ty: String::new(),
            width: None,
            precision: None,
            scale: None,
            nullable: true,
        };
        mode.meta_columns().into_iter().map(present).collect()
    }

    fn row(order: Option<&str>) -> TableRow {
        TableRow {
            serial: 1,
            generation: "g".into(),
            plan: Some(PlanId("p".into())),
            partitions: Some(1),
            grown: Vec::new(),
            order: order.map(str::to_owned),
            refreshing: false,
        }
    }

    #[test]
    fn a_table_shows_its_mode() {
        for mode in MODES {
            assert_eq!(Mode::shown_by(&table(mode)), mode);
        }
    }

    #[test]
    fn a_mode_is_not_changed_but_from_upsert_to_soft_delete() {
        for began in MODES {
            for mode in MODES {
                let safe = began == mode || (began, mode) == (Mode::Upsert, Mode::SoftDelete);
                let judged = settled(mode, Some(&row(None)), &table(began));
                assert_eq!(judged.is_ok(), safe, "{began:?} {mode:?}");
                // What has no rows yet may be of any mode.
                assert!(settled(mode, None, &table(began)).is_ok());
                assert!(settled(mode, Some(&row(None)), &[]).is_ok());
            }
        }
        let refused = settled(Mode::SoftDelete, Some(&row(Some("lsn"))), &table(Mode::Upsert)).unwrap_err();
        let text = refused.to_string();
        assert!(
            text.contains("began in mode `upsert` with `order_by`, and `mode` now says `soft_delete`"),
            "{text}"
        );
    }
}
