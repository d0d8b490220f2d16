//! What hangs on the columns of a table and would be lost with them: comments, rights granted on a single column, views. A wider column that
//! takes a column's place is given the same comment and rights; where a view is bound to it the change is refused, with the views' names.

use std::collections::{BTreeMap, BTreeSet};

use common::failure::Failure;
use runtime::port::Answer;

use super::names::TableName;
use super::sql::{fill, identifier, literal};

/// A right on one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// `SELECT`, `UPDATE` and so on.
    pub privilege: String,
    /// Who has it.
    pub name: String,
    /// `user`, `role`, `group` or `public`.
    pub kind: String,
}

/// What hangs on the columns of one table, by column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attached {
    /// Comments.
    pub comments: BTreeMap<String, String>,
    /// Rights.
    pub rights: BTreeMap<String, Vec<Right>>,
    /// Views that are bound to it, `schema.view`.
    pub views: BTreeMap<String, BTreeSet<String>>,
}

/// Nothing hangs on any column.
pub static NOTHING: Attached = Attached {
    comments: BTreeMap::new(),
    rights: BTreeMap::new(),
    views: BTreeMap::new(),
};

/// The statements that ask for comments, rights and views, in this order; their answers go to [`parse`].
///
/// # Errors
/// When the table's name cannot be written as a literal.
pub fn read(table: &TableName) -> Result<[String; 3], Failure> {
    let (schema, name) = (literal(&table.schema)?, literal(&table.name)?);
    let templates = [
        include_str!("../../../sql/read_comments.sql"),
        include_str!("../../../sql/read_column_rights.sql"),
        include_str!("../../../sql/read_dependents.sql"),
    ];
    Ok(templates.map(|template| fill(template, &[("schema", &schema), ("table", &name)])))
}

/// Reads the answers to [`read`].
#[must_use]
pub fn parse([comments, rights, views]: &[Answer; 3]) -> Attached {
    let text = |row: &Vec<Option<String>>, index: usize| {
        let text = row.get(index).cloned().flatten().unwrap_or_default();
        text.trim_end().to_owned()
    };
    let mut attached = Attached::default();
    for row in &comments.rows {
        attached.comments.insert(text(row, 0), text(row, 1));
    }
    for row in &rights.rows {
        let right = Right {
            privilege: text(row, 1).to_uppercase(),
            name: text(row, 2),
            kind: text(row, 3).to_lowercase(),
        };
        attached.rights.entry(text(row, 0)).or_default().push(right);
    }
    for row in &views.rows {
        let view = format!("{}.{}", text(row, 1), text(row, 2));
        attached.views.entry(text(row, 0)).or_default().insert(view);
    }
    attached
}

impl Attached {
    /// Whether a column may be dropped, be it for another of its name; `what` says why it shall be.
    ///
    /// # Errors
    /// When views are bound to it, with their names.
    pub fn may_be_dropped(&self, column: &str, what: &str) -> Result<(), Failure> {
        let Some(views) = self.views.get(column) else {
            return Ok(());
        };
        let views: Vec<&str> = views.iter().map(String::as_str).collect();
        Err(Failure::halt(format!(
            "{what}, and views are bound to it: `{}`",
            views.join("`, `")
        ))
        .column(column)
        .hint(
            "drop the views, let the load run, and make them again, WITH NO SCHEMA BINDING if they shall not stand in the way once more; then \
             restart",
        ))
    }

    /// The statements that give a column what the one before it had.
    ///
    /// # Errors
    /// When a comment cannot be written as a literal.
    pub fn restore(&self, table: &str, column: &str) -> Result<Vec<String>, Failure> {
        let name = identifier(column);
        let comment = self.comments.get(column);
        let comment = comment.map(|text| Ok(format!("COMMENT ON COLUMN {table}.{name} IS {}", literal(text)?)));
        let rights = self.rights.get(column).into_iter().flatten().map(|right| {
            let to = match right.kind.as_str() {
                "public" => "PUBLIC".to_owned(),
                "role" => format!("ROLE {}", identifier(&right.name)),
                "group" => format!("GROUP {}", identifier(&right.name)),
                _ => identifier(&right.name),
            };
            Ok(format!("GRANT {} ({name}) ON {table} TO {to}", right.privilege))
        });
        comment.into_iter().chain(rights).collect()
    }
}
