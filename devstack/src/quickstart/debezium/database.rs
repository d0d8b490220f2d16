//! Which database is the source, and in what they differ.

use super::rule::{self, Rule};
use super::tables::{Change, Mode, SCHEMA, Table};
use super::{mariadb, postgres};

/// A database from which Debezium captures changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Database {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    #[value(name = "mariadb")]
    MariaDb,
}

impl Database {
    /// Its tables as they are made.
    #[must_use]
    pub fn tables(self) -> Vec<Table> {
        match self {
            Database::Postgres => postgres::tables::all(),
            Database::MariaDb => mariadb::tables::all(),
        }
    }

    /// Changes of a table's shape, in the order in which they are made.
    #[must_use]
    pub fn changes(self) -> &'static [Change] {
        match self {
            Database::Postgres => postgres::tables::CHANGES,
            Database::MariaDb => mariadb::tables::CHANGES,
        }
    }

    /// The rules by which its targets may hold something else than it shows.
    #[must_use]
    pub fn rules(self) -> &'static [Rule] {
        match self {
            Database::Postgres => rule::POSTGRES,
            Database::MariaDb => rule::MARIADB,
        }
    }

    /// The topics' entries of the daemons' configuration.
    #[must_use]
    pub fn topic_rules(self) -> String {
        let own = match self {
            Database::Postgres => postgres::tables::RULES,
            Database::MariaDb => mariadb::tables::RULES,
        };
        let tables = self.tables();
        let kept = tables.iter().filter(|table| table.mode != Mode::Upsert);
        let modes = kept.map(|table| {
            format!(
                "\n[[topic]]\nname = \"{}\"\nmode = \"{}\"\n",
                table.topic(),
                table.mode.name()
            )
        });
        std::iter::once(own.to_owned()).chain(modes).collect()
    }

    /// Statements that make the tables, and one that is written only to move the capture on.
    #[must_use]
    pub fn ddl(self, tables: &[Table]) -> Vec<String> {
        let mut all: Vec<String> = match self {
            Database::Postgres => postgres::tables::PROLOGUE.iter().map(|sql| (*sql).to_owned()).collect(),
            Database::MariaDb => vec![format!("CREATE DATABASE {SCHEMA}")],
        };
        let marker = match self {
            Database::Postgres => "serial PRIMARY KEY",
            Database::MariaDb => "bigint AUTO_INCREMENT PRIMARY KEY",
        };
        all.push(format!("CREATE TABLE {SCHEMA}.marker (id {marker})"));
        for table in tables {
            all.push(table.ddl());
            if self == Database::Postgres {
                all.extend(postgres::tables::storage(table));
            }
        }
        all
    }

    /// A statement that writes a row into the marker.
    #[must_use]
    pub fn mark(self) -> String {
        match self {
            Database::Postgres => format!("INSERT INTO {SCHEMA}.marker DEFAULT VALUES"),
            Database::MariaDb => format!("INSERT INTO {SCHEMA}.marker VALUES ()"),
        }
    }

    /// Whether a truncate ends the transaction in which it stands.
    #[must_use]
    pub fn truncates_commit(self) -> bool {
        self == Database::MariaDb
    }

    /// An insertion or deletion that answers with the rows.
    #[must_use]
    pub fn returning(self, table: &Table, sql: &str) -> String {
        format!("{sql} RETURNING {}", table.shown())
    }

    /// An update that answers with the rows as they are now, by statements of which the last one does; `now` finds the rows.
    #[must_use]
    pub fn update_returning(self, table: &Table, sql: &str, now: &str) -> Vec<String> {
        match self {
            Database::Postgres => vec![self.returning(table, sql)],
            Database::MariaDb => vec![
                sql.to_owned(),
                format!("SELECT {} FROM {SCHEMA}.{} WHERE {now}", table.shown(), table.name),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::Kind;
    use super::super::tables::{Key, LOG, TAG};
    use super::*;

    #[test]
    fn every_mode_is_there_and_its_tables_can_be_told() {
        for database in [Database::Postgres, Database::MariaDb] {
            let tables = database.tables();
            for mode in [Mode::Upsert, Mode::SoftDelete, Mode::History, Mode::Append] {
                assert!(tables.iter().any(|table| table.mode == mode), "{database:?} {mode:?}");
            }
            assert!(tables.iter().any(|table| table.name == LOG && table.key == Key::None));
            let mut told = tables.iter().filter(|table| table.is_told());
            assert!(told.all(|table| table.columns[0].name == TAG));
            let rules: toml::Table = database.topic_rules().parse().unwrap();
            assert!(rules["topic"].as_array().is_some_and(|all| all.len() >= 5));
            let of_its_own = |kind| match database {
                Database::Postgres => matches!(kind, Kind::Postgres(_)),
                Database::MariaDb => matches!(kind, Kind::MariaDb(_)),
            };
            let mut columns = tables.iter().flat_map(|table| &table.columns);
            assert!(columns.all(|column| of_its_own(column.kind)));
        }
    }
}
