//! What a column of the source holds, whichever the source is.

use rand::rngs::StdRng;

use super::expected::Expected;
use super::rule::Rule;
use super::values::quoted;
use super::{mariadb, postgres};

/// Type of a column, as far as its values are made up and shown alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of a PostgreSQL.
    Postgres(postgres::kind::Kind),
    /// Of a MariaDB.
    MariaDb(mariadb::kind::Kind),
}

impl Kind {
    /// The edges of its values.
    #[must_use]
    pub fn corners(self) -> Vec<String> {
        match self {
            Kind::Postgres(kind) => postgres::values::corners(kind),
            Kind::MariaDb(kind) => mariadb::values::corners(kind),
        }
    }

    /// Values of it that no column of the target holds.
    #[must_use]
    pub fn unfit_corners(self) -> Vec<String> {
        match self {
            Kind::Postgres(kind) => postgres::values::unfit(kind),
            Kind::MariaDb(kind) => mariadb::values::unfit(kind),
        }
    }

    /// Any value.
    pub fn usual(self, dice: &mut StdRng) -> String {
        match self {
            Kind::Postgres(kind) => postgres::values::usual(kind, dice),
            Kind::MariaDb(kind) => mariadb::values::usual(kind, dice),
        }
    }

    /// A literal of a value.
    #[must_use]
    pub fn literal(self, value: Option<&str>) -> String {
        match (self, value) {
            (_, None) => "NULL".to_owned(),
            (Kind::Postgres(_), Some(text)) => quoted(text),
            (Kind::MariaDb(kind), Some(text)) => mariadb::values::literal(kind, text),
        }
    }

    /// What a query asks for so that nothing of a column's values is lost.
    #[must_use]
    pub fn shown(self, column: &str) -> String {
        match self {
            Kind::Postgres(_) => column.to_owned(),
            Kind::MariaDb(kind) => mariadb::render::shown(kind, column),
        }
    }

    /// Whether a snapshot of Debezium takes a value for another.
    #[must_use]
    pub fn is_misread(self, text: &str) -> bool {
        match self {
            Kind::Postgres(kind) => postgres::values::is_misread(kind, text),
            Kind::MariaDb(kind) => mariadb::values::is_misread(kind, text),
        }
    }

    /// Why the target cannot hold a value; no reason if it can.
    #[must_use]
    pub fn unfit(self, text: &str) -> Option<Rule> {
        match self {
            Kind::Postgres(kind) => postgres::render::unfit(kind, text),
            Kind::MariaDb(kind) => mariadb::render::unfit(kind, text),
        }
    }

    /// What the target should hold of a value that fits, and by which rule it is something else than the source's text.
    ///
    /// # Errors
    /// The source shows the value otherwise than is known here, with what.
    pub fn expected(self, text: &str) -> Result<(Expected, Option<Rule>), String> {
        match self {
            Kind::Postgres(kind) => postgres::render::expected(kind, text),
            Kind::MariaDb(kind) => mariadb::render::expected(kind, text),
        }
    }

    /// Whether the capture leaves out its columns.
    #[must_use]
    pub fn is_left_out(self) -> bool {
        matches!(self, Kind::Postgres(postgres::kind::Kind::Multirange(_)))
    }
}
