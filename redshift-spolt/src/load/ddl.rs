//! The statements that make a table fit what the claims bring, what is written down of them, and whether they are run at all.

use std::collections::BTreeSet;

use common::failure::Failure;
use common::plan::PlanId;
use common::table::ColumnType;
use runtime::config::{DdlSetting, DistSetting, TableSettings};

use super::attached::{self, Attached};
use super::evolve::{self, Evolution, Present, Wanted};
use super::mode::Mode;
use super::names::TableName;
use super::order::Order;
use super::sql::{fill, identifier, literal, timestamp};
use super::statements::{Expect, Facts, Purpose, Statement, Target, Writer};

/// A statement in the table of changes is cut at so many bytes.
const STATEMENT_BYTES_MAX: usize = 60_000;

/// What is written down of a change besides itself.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// Load that makes it.
    pub load_id: &'a str,
    /// Plan that asks for it.
    pub plan: Option<&'a PlanId>,
    /// When, milliseconds since 1970.
    pub now_ms: i64,
}

impl<'a> Stamp<'a> {
    fn of(facts: &Facts<'a>) -> Stamp<'a> {
        Stamp {
            load_id: facts.load_id,
            plan: facts.load.groups.last().map(|group| &group.key.plan),
            now_ms: facts.now_ms,
        }
    }
}

/// One change of a table.
struct Change {
    purpose: Purpose,
    /// As the table of changes names it.
    kind: &'static str,
    /// The column concerned; none for a whole table.
    column: Option<String>,
    sql: String,
}

impl Change {
    fn new(purpose: Purpose, kind: &'static str, column: Option<&str>, sql: String) -> Change {
        Change {
            purpose,
            kind,
            column: column.map(str::to_owned),
            sql,
        }
    }

    /// It cannot run in a transaction.
    fn is_before(&self) -> bool {
        self.purpose == Purpose::Widen
    }
}

/// Makes the target fit: widening before the transaction, the rest inside; and writes down what is done.
///
/// # Errors
/// When it cannot be made to fit, or may not be.
pub(super) fn shape(
    before: &mut Vec<Statement>,
    out: &mut Writer,
    target: &Target,
    facts: &Facts<'_>,
    columns: &[Wanted],
    mode: Mode,
) -> Result<(), Failure> {
    let mut evolution = evolve::compare(facts.catalog, columns, mode, target.made.rebuild)?;
    let present = facts.catalog.iter().map(|column| &column.name);
    evolution.drop = present
        .filter(|name| target.made.drop_columns.contains(name))
        .cloned()
        .collect();
    if evolution.create && facts.known.is_some() {
        return Err(
            Failure::halt("the target table is gone, but its state says that rows were loaded into it").hint(
                "restore the table, or drop its state tables as well to load everything again from the beginning",
            ),
        );
    }
    let table = target.table.sql();
    // What a table is sorted and spread by is judged when it is made, and not again.
    let create = if evolution.create {
        let (columns_of, made) = (create_target(&table, columns, mode, &target.made), &target.made);
        format!("{columns_of}{}", placed(columns, mode, made)?)
    } else {
        String::new()
    };
    let schema = (evolution.create && target.create_schemas)
        .then(|| format!("CREATE SCHEMA IF NOT EXISTS {}", identifier(&target.table.schema)));
    let (early, late) = fit(target, (&evolution, create, schema), facts.attached, Stamp::of(facts))?;
    before.extend(early);
    read_catalog(out, &target.table, facts.catalog, &evolution)?;
    for statement in late {
        out.add(statement.purpose, statement.sql, statement.expect);
    }
    Ok(())
}

/// The statements that make the target's table fit: those before a transaction, and those within it. Each is written down first.
///
/// # Errors
/// When it cannot be made to fit, or may not be.
pub fn fit(
    target: &Target,
    (evolution, create, schema): (&Evolution, String, Option<String>),
    attached: &Attached,
    stamp: Stamp<'_>,
) -> Result<(Vec<Statement>, Vec<Statement>), Failure> {
    let changes = changes(&target.table.sql(), evolution, create, &target.made, attached)?;
    allowed(target.made.ddl, schema.as_deref(), &changes)?;
    let mut before: Vec<Statement> = schema.map(|sql| done(Purpose::CreateSchema, sql)).into_iter().collect();
    let mut within = Vec::new();
    if changes.is_empty() {
        return Ok((before, within));
    }
    let name = target.own().changes(&target.state_schema).sql();
    let sql = fill(include_str!("../../../sql/create_changes.sql"), &[("changes", &name)]);
    before.push(done(Purpose::RecordChange, sql));
    let (early, late): (Vec<&Change>, Vec<&Change>) = changes.iter().partition(|change| change.is_before());
    for change in early {
        before.push(done(Purpose::RecordChange, record(&name, stamp, &[change])?));
        before.push(done(change.purpose, change.sql.clone()));
    }
    if !late.is_empty() {
        within.push(done(Purpose::RecordChange, record(&name, stamp, &late)?));
    }
    within.extend(late.into_iter().map(|change| done(change.purpose, change.sql.clone())));
    Ok((before, within))
}

/// The same for the table of deleted keys, which is made with the first rows.
pub(super) fn shape_deleted(
    before: &mut Vec<Statement>,
    out: &mut Writer,
    target: &Target,
    facts: &Facts<'_>,
    order: &Order,
) -> Result<(), Failure> {
    let columns = order.columns();
    let evolution = evolve::compare(facts.deleted, &columns, Mode::Upsert, target.made.rebuild)?;
    let table = target.own().deleted(&target.state_schema);
    if evolution.create && facts.known.is_some() {
        return Err(Failure::halt(format!(
            "the table `{table}` of deleted keys is gone, so that a late change of such a key could bring it back"
        ))
        .hint("restore it together with the target and its state tables, or drop them all to load everything again from the beginning"));
    }
    let create = create_target(&table.sql(), &columns, Mode::Upsert, &TableSettings::default());
    shape_own(before, out, &table, facts.deleted, (&evolution, create))
}

/// The same for a table of the loader's own, whose changes nobody has to allow or to know of.
pub(super) fn shape_own(
    before: &mut Vec<Statement>,
    out: &mut Writer,
    name: &TableName,
    catalog: &[Present],
    (evolution, create): (&Evolution, String),
) -> Result<(), Failure> {
    let own = TableSettings::default();
    let changes = changes(&name.sql(), evolution, create, &own, &attached::NOTHING)?;
    let (early, late): (Vec<Change>, Vec<Change>) = changes.into_iter().partition(Change::is_before);
    before.extend(early.into_iter().map(|change| done(change.purpose, change.sql)));
    read_catalog(out, name, catalog, evolution)?;
    for change in late {
        out.add(change.purpose, change.sql, Expect::Done);
    }
    Ok(())
}

fn done(purpose: Purpose, sql: String) -> Statement {
    Statement {
        purpose,
        sql,
        expect: Expect::Done,
    }
}

/// Whether these changes may be made.
///
/// # Errors
/// When the table's settings say that somebody else makes them: what a load waits for is tried again, so that it goes on by itself.
fn allowed(ddl: DdlSetting, schema: Option<&str>, changes: &[Change]) -> Result<(), Failure> {
    if ddl == DdlSetting::Apply || changes.is_empty() {
        return Ok(());
    }
    let statements = schema
        .into_iter()
        .chain(changes.iter().map(|change| change.sql.as_str()));
    let list = statements.map(|sql| format!("\n{sql};")).collect::<String>();
    Err(match ddl {
        DdlSetting::Preview => Failure::retry(format!(
            "the table has to be changed first, and `ddl` is \"preview\":{list}"
        ))
        .hint("run these statements, or others that come to the same; the load goes on by itself when the table fits"),
        _ => Failure::halt(format!(
            "the table does not fit what the source has, and `ddl` is \"off\"; it would take:{list}"
        ))
        .hint("change the table and restart, or set `ddl` to \"preview\" or \"apply\""),
    })
}

/// What the catalog must show under the lock: what it showed before, and what was widened since.
fn read_catalog(out: &mut Writer, name: &TableName, catalog: &[Present], evolution: &Evolution) -> Result<(), Failure> {
    let expected = widened(catalog, evolution);
    out.add(Purpose::ReadCatalog, evolve::read(name)?, Expect::Catalog(expected));
    Ok(())
}

/// A catalog after what an evolution does before the transaction.
#[must_use]
pub fn widened(catalog: &[Present], evolution: &Evolution) -> Vec<Present> {
    let mut expected = catalog.to_vec();
    for present in &mut expected {
        let widened = evolution.widen.iter().find(|(column, _)| *column == present.name);
        present.width = widened.map(|(_, width)| *width).or(present.width);
    }
    expected
}

/// Writes changes down.
fn record(table: &str, stamp: Stamp<'_>, changes: &[&Change]) -> Result<String, Failure> {
    let (load_id, now) = (literal(stamp.load_id)?, timestamp(stamp.now_ms));
    let plan = stamp.plan.map(|plan| literal(&plan.0));
    let plan = plan.transpose()?.unwrap_or_else(|| "NULL".to_owned());
    let row = |change: &&Change| {
        let column = change.column.as_deref().map(literal).transpose()?;
        let column = column.unwrap_or_else(|| "NULL".to_owned());
        let end = (0..=STATEMENT_BYTES_MAX.min(change.sql.len()))
            .rev()
            .find(|&at| change.sql.is_char_boundary(at));
        let sql = literal(&change.sql[..end.unwrap_or(0)])?;
        Ok(format!(
            "({now}, {load_id}, {plan}, '{}', {column}, {sql})",
            change.kind
        ))
    };
    let rows = changes.iter().map(row).collect::<Result<Vec<String>, Failure>>()?;
    Ok(format!(
        "INSERT INTO {table} (\"changed_at\", \"load_id\", \"plan_id\", \"kind\", \"column_name\", \"statement\")\nVALUES\n    {}",
        rows.join(",\n    ")
    ))
}

/// An evolution as statements.
fn changes(
    table: &str,
    evolution: &Evolution,
    create: String,
    made: &TableSettings,
    attached: &Attached,
) -> Result<Vec<Change>, Failure> {
    let mut changes = Vec::new();
    for (column, width) in &evolution.widen {
        let sql = format!(
            "ALTER TABLE {table} ALTER COLUMN {} TYPE VARCHAR({width})",
            identifier(column)
        );
        changes.push(Change::new(Purpose::Widen, "widen", Some(column), sql));
    }
    if evolution.create {
        changes.push(Change::new(Purpose::CreateTarget, "create_table", None, create));
    }
    for column in &evolution.add {
        let (name, ty) = (identifier(&column.name), column.ty);
        let own = Some(column.name.as_str());
        let sql = format!(
            "ALTER TABLE {table} ADD COLUMN {name} {ty}{}",
            encoded(&column.name, made)
        );
        changes.push(Change::new(Purpose::AddColumn, "add_column", own, sql));
        if let Some(default) = &column.default {
            let sql = format!("UPDATE {table} SET {name} = {}", constant(default, ty)?);
            changes.push(Change::new(Purpose::FillDefault, "fill_default", own, sql));
        }
    }
    for column in &evolution.convert {
        let what = "a wider column has to take the place of this one";
        droppable(&column.name, what, made)?;
        attached.may_be_dropped(&column.name, what)?;
        let convert = evolve::convert(table, column, &encoded(&column.name, made));
        let restore = attached.restore(table, &column.name)?;
        for sql in convert.into_iter().chain(restore) {
            changes.push(Change::new(Purpose::Convert, "wider_type", Some(&column.name), sql));
        }
    }
    for column in &evolution.drop {
        let what = "`drop_columns` says that this one goes";
        droppable(column, what, made)?;
        attached.may_be_dropped(column, what)?;
        let sql = format!("ALTER TABLE {table} DROP COLUMN {}", identifier(column));
        changes.push(Change::new(Purpose::Convert, "drop_column", Some(column), sql));
    }
    Ok(changes)
}

/// The columns that the table shall have: all but those that are dropped.
///
/// # Errors
/// When one of those is part of the key, or orders the rows.
pub(super) fn without_dropped(
    columns: &[Wanted],
    target: &Target,
    order_by: Option<&str>,
) -> Result<Vec<Wanted>, Failure> {
    let dropped = |column: &&Wanted| target.made.drop_columns.contains(&column.name);
    let needed = |column: &&Wanted| column.key || Some(column.name.as_str()) == order_by;
    if let Some(column) = columns.iter().filter(dropped).find(needed) {
        let what = if column.key {
            "is part of the key"
        } else {
            "orders the rows"
        };
        return Err(
            Failure::halt(format!("`drop_columns` says that this column goes, and it {what}"))
                .column(&column.name)
                .hint("take it out of the topic's `drop_columns`"),
        );
    }
    Ok(columns.iter().filter(|column| !dropped(column)).cloned().collect())
}

/// A column by which rows are sorted or spread cannot be dropped (vendor page "ALTER TABLE").
fn droppable(column: &str, what: &str, made: &TableSettings) -> Result<(), Failure> {
    let sorts = made.sort_key.iter().any(|name| name == column);
    let spreads = matches!(&made.dist, Some(DistSetting::Key(name)) if name == column);
    if !sorts && !spreads {
        return Ok(());
    }
    let how = if sorts { "sorted" } else { "spread" };
    Err(Failure::halt(format!(
        "{what}, but rows are {how} by it, so that it cannot be dropped"
    ))
    .column(column)
    .hint("rebuild the table as it shall be, with its rows and `_kafka_` columns as they are; then restart"))
}

/// How a column is compressed, where that is said.
fn encoded(column: &str, made: &TableSettings) -> String {
    let encoding = made.encode.get(column);
    encoding.map_or(String::new(), |encoding| format!(" ENCODE {}", encoding.to_uppercase()))
}

/// How the rows of a new table are spread and sorted, as the end of its CREATE TABLE.
fn placed(columns: &[Wanted], mode: Mode, made: &TableSettings) -> Result<String, Failure> {
    let meta = mode.meta_columns();
    let known: BTreeSet<&str> = columns
        .iter()
        .map(|column| column.name.as_str())
        .chain(meta.iter().map(|(name, _)| *name))
        .collect();
    let has = |setting: &str, column: &str| {
        if known.contains(column) {
            return Ok(());
        }
        Err(
            Failure::halt(format!("`{setting}` names a column that the table does not have"))
                .column(column)
                .hint("name it as Redshift does, in lower case; what a table is sorted and spread by is said when it is made"),
        )
    };
    let dist = match &made.dist {
        None => String::new(),
        Some(DistSetting::Auto) => " DISTSTYLE AUTO".to_owned(),
        Some(DistSetting::Even) => " DISTSTYLE EVEN".to_owned(),
        Some(DistSetting::All) => " DISTSTYLE ALL".to_owned(),
        Some(DistSetting::Key(column)) => {
            has("dist", column)?;
            format!(" DISTSTYLE KEY DISTKEY ({})", identifier(column))
        }
    };
    made.sort_key.iter().try_for_each(|column| has("sort_key", column))?;
    let sort: Vec<String> = made.sort_key.iter().map(|column| identifier(column)).collect();
    let sort = if sort.is_empty() {
        String::new()
    } else {
        format!(" COMPOUND SORTKEY ({})", sort.join(", "))
    };
    Ok(format!("{dist}{sort}"))
}

/// Neither DEFAULT nor PRIMARY KEY: such columns could never be widened (rule 17). Only the key refuses NULL, since that cannot be
/// taken back.
fn create_target(table: &str, columns: &[Wanted], mode: Mode, made: &TableSettings) -> String {
    let key = mode.is_keyed();
    let data = columns.iter().map(|column| {
        let null = if column.key && key { " NOT NULL" } else { "" };
        let encoding = encoded(&column.name, made);
        format!("{} {}{encoding}{null}", identifier(&column.name), column.ty)
    });
    let meta = mode.meta_columns().into_iter();
    let meta = meta.map(|(name, ty)| format!("{} {ty}{}", identifier(name), encoded(name, made)));
    format!(
        "CREATE TABLE {table} (\n    {}\n)",
        data.chain(meta).collect::<Vec<_>>().join(",\n    ")
    )
}

/// A table of nothing but these columns.
pub(super) fn create_table<'a>(table: &str, columns: impl Iterator<Item = (&'a str, ColumnType)>) -> String {
    let lines: Vec<String> = columns.map(|(name, ty)| format!("{} {ty}", identifier(name))).collect();
    format!("CREATE TABLE {table} (\n    {}\n)", lines.join(",\n    "))
}

/// A default of a plan as a constant of its column's type.
pub(super) fn constant(default: &str, ty: ColumnType) -> Result<String, Failure> {
    let text = literal(default)?;
    Ok(match ty {
        ColumnType::Varchar { .. } => text,
        ColumnType::Super => format!("JSON_PARSE({text})"),
        ColumnType::Varbyte { .. } => format!("FROM_HEX({text})"),
        ty => format!("CAST({text} AS {ty})"),
    })
}
