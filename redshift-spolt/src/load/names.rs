//! Topic -> target table -> state tables.

use std::collections::BTreeMap;
use std::fmt;

use common::failure::Failure;
use common::plan::hex;
use regex::Regex;

use super::sql::{IDENTIFIER_BYTES_MAX, identifier};

/// A table with its schema, both as Redshift spells them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// Schema.
    pub schema: String,
    /// Table in the schema.
    pub name: String,
}

impl TableName {
    /// The qualified, delimited name.
    #[must_use]
    pub fn sql(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }

    /// The table's state table (rule 14).
    #[must_use]
    pub fn state(&self, state_schema: &str) -> TableName {
        self.beside(state_schema, "state")
    }

    /// The table's ledger of applied claims (rule 14).
    #[must_use]
    pub fn ledger(&self, state_schema: &str) -> TableName {
        self.beside(state_schema, "ledger")
    }

    /// The table of deleted keys of a table that is ordered by a column (rule 20).
    #[must_use]
    pub fn deleted(&self, state_schema: &str) -> TableName {
        self.beside(state_schema, "deleted")
    }

    /// The table's records that were set aside (rule 27).
    #[must_use]
    pub fn set_aside(&self, state_schema: &str) -> TableName {
        self.beside(state_schema, "set_aside")
    }

    /// The table of changes that were made to the target's columns.
    #[must_use]
    pub fn changes(&self, state_schema: &str) -> TableName {
        self.beside(state_schema, "changes")
    }

    /// The table that is filled beside the target while it is refreshed.
    #[must_use]
    pub fn refresh(&self) -> TableName {
        TableName {
            schema: self.schema.clone(),
            name: format!(
                "{}__refresh",
                shortened(&self.name, IDENTIFIER_BYTES_MAX - "__refresh".len())
            ),
        }
    }

    fn beside(&self, state_schema: &str, what: &str) -> TableName {
        let name = shortened(
            &format!("{}__{}", self.schema, self.name),
            IDENTIFIER_BYTES_MAX - what.len() - 2,
        );
        TableName {
            schema: state_schema.to_owned(),
            name: format!("{name}__{what}"),
        }
    }
}

/// `schema.table`, for people and labels.
impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// One rewrite rule: topics that match go to the table that the replacement spells.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// Matches the whole topic name.
    pub topic: Regex,
    /// `schema.table` with `$1` for groups.
    pub table: String,
}

/// How topics become tables.
#[derive(Debug, Clone)]
pub struct Naming {
    /// Tried in order, first match wins.
    pub rewrites: Vec<Rewrite>,
    /// Schema of topics whose name has one part.
    pub default_schema: String,
}

impl Naming {
    /// The table of a topic: a rewrite rule, or the default: the last two parts of `server.schema.table` or `schema.table`, or the
    /// default schema and the whole name.
    ///
    /// # Errors
    /// When a rewrite rule makes something else than `schema.table`.
    pub fn table(&self, topic: &str) -> Result<TableName, Failure> {
        for rule in &self.rewrites {
            let whole = rule.topic.find(topic).is_some_and(|found| found.len() == topic.len());
            if whole {
                let spelled = rule.topic.replace(topic, rule.table.as_str()).into_owned();
                let Some((schema, name)) = spelled.split_once('.').filter(|(_, name)| !name.contains('.')) else {
                    return Err(
                        Failure::stop(format!("rewrite rule makes `{spelled}`, which is not `schema.table`"))
                            .topic(topic)
                            .hint("give [[redshift_spolt.rewrite]] a `table` with exactly one dot"),
                    );
                };
                return Ok(TableName {
                    schema: mapped(schema),
                    name: mapped(name),
                });
            }
        }
        let parts: Vec<&str> = topic.split('.').collect();
        Ok(match parts.as_slice() {
            [.., schema, name] => TableName {
                schema: mapped(schema),
                name: mapped(name),
            },
            _ => TableName {
                schema: mapped(&self.default_schema),
                name: mapped(topic),
            },
        })
    }

    /// The tables of all topics.
    ///
    /// # Errors
    /// When two topics meet in one table, with both names.
    pub fn tables(&self, topics: &[String]) -> Result<BTreeMap<String, TableName>, Failure> {
        let mut taken: BTreeMap<TableName, &String> = BTreeMap::new();
        let mut tables = BTreeMap::new();
        let mut states: BTreeMap<String, TableName> = BTreeMap::new();
        for topic in topics {
            let table = self.table(topic)?;
            if let Some(other) = taken.insert(table.clone(), topic)
                && other != topic
            {
                return Err(
                    Failure::stop(format!("topics `{other}` and `{topic}` meet in one table"))
                        .table(table.to_string())
                        .hint("give one of them another table by [[redshift_spolt.rewrite]], or exclude it"),
                );
            }
            let state = table.state("").name;
            if let Some(other) = states.insert(state, table.clone())
                && other != table
            {
                return Err(
                    Failure::stop(format!("tables `{other}` and `{table}` would share their state tables"))
                        .table(table.to_string())
                        .hint("rename one of them by [[redshift_spolt.rewrite]]: `__` must not make two names one"),
                );
            }
            tables.insert(topic.clone(), table);
        }
        Ok(tables)
    }
}

/// PostgreSQL's system columns, which cannot be user columns (redshift.md 2.2).
const SYSTEM_COLUMNS: [&str; 7] = ["oid", "tableoid", "xmin", "xmax", "cmin", "cmax", "ctid"];

/// Name mapping of redshift.md section 7: lower case, `_` for everything but letters, digits and underscores, at most 127 bytes.
#[must_use]
pub fn mapped(name: &str) -> String {
    let mut mapped: String = name
        .chars()
        .flat_map(char::to_lowercase)
        .map(|c| if c.is_alphanumeric() || c == '_' { c } else { '_' })
        .collect();
    if !mapped.starts_with(|c: char| c.is_alphabetic() || c == '_') || SYSTEM_COLUMNS.contains(&mapped.as_str()) {
        mapped.insert(0, '_');
    }
    shortened(&mapped, IDENTIFIER_BYTES_MAX)
}

/// The name, or its beginning with a digest of the whole where it is longer than `limit` bytes.
fn shortened(name: &str, limit: usize) -> String {
    if name.len() <= limit {
        return name.to_owned();
    }
    let digest = hex(&fnv(name).to_be_bytes());
    let mut cut = limit - digest.len() - 1;
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}_{digest}", &name[..cut])
}

/// FNV-1a: names need a stable, short digest, not a strong one.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming() -> Naming {
        Naming {
            rewrites: vec![Rewrite {
                topic: Regex::new(r"^shop-(\w+)\.public\.(.*)$").unwrap(),
                table: "shop_$1.$2".into(),
            }],
            default_schema: "public".into(),
        }
    }

    #[test]
    fn topics_become_tables_by_rule_or_by_default() {
        let table = |topic: &str| naming().table(topic).unwrap().to_string();
        assert_eq!(table("inventory.public.orders"), "public.orders");
        assert_eq!(table("sales.Order-Lines"), "sales.order_lines");
        assert_eq!(table("weather"), "public.weather");
        assert_eq!(table("shop-de.public.items"), "shop_de.items");
        assert_eq!(table("2024"), "public._2024");
    }

    #[test]
    fn two_topics_in_one_table_are_refused_with_both_names() {
        let failure = naming()
            .tables(&["a.public.orders".into(), "b.public.orders".into()])
            .unwrap_err()
            .to_string();
        assert!(failure.contains("`a.public.orders` and `b.public.orders`"), "{failure}");
    }

    #[test]
    fn long_names_stay_distinct_and_within_the_limit() {
        let long = |end: &str| naming().table(&format!("{}{end}", "x".repeat(200))).unwrap();
        assert_ne!(long("a"), long("b"));
        assert!(long("a").name.len() <= 127 && long("a").state("spolt").name.len() <= 127);
        assert_ne!(long("a").state("spolt"), long("b").state("spolt"));
        assert_eq!(
            naming().table("a.b").unwrap().ledger("spolt").to_string(),
            "spolt.a__b__ledger"
        );
    }
}
