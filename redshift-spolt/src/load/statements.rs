//! One load as an ordered list of statements with what each must answer (rule 17).
//!
//! Only what both Redshift and PostgreSQL 15 know is written: no QUALIFY, MERGE, RETURNING or ON CONFLICT; one statement per message;
//! every identifier delimited. Nothing that commits (TRUNCATE, VACUUM, ALTER TYPE, APPEND) stands between BEGIN and COMMIT.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use common::claim::{Compression, Dialect};
use common::failure::Failure;
use common::mutant::Mutant;
use common::plan::{META_COLUMNS, Plan, PlanId};
use common::table::ColumnType;

use super::aside::{self, AsideGroup};
use super::attached::Attached;
use super::ddl::{self, constant, create_table, shape, shape_deleted, shape_own};
use super::evolve::{self, Present, Wanted};
use super::growth;
use super::merge;
use super::metadata;
use super::mode::{self, Mode};
use super::names::TableName;
use super::order;
use super::replay;
use super::run::{Group, LoadPlan, Run};
use super::sql::{fill, identifier, literal, timestamp};
use super::state::{StateTables, TableRow};
use super::truncate;
use super::unchanged;
use runtime::config::{Metadata, TableSettings};

/// Stands in a COPY for the credentials, which only the executor knows and nobody logs.
pub const AUTHORIZATION: &str = "{authorization}";

/// The stage: a temporary table that the load creates and drops within its transaction.
pub const STAGE: &str = "spolt_stage";

/// Where a group is staged first whose plan has a column as REAL that the stage has as DOUBLE PRECISION; made and dropped like the stage.
pub const NARROW: &str = "spolt_narrow";

/// What a statement is for; also the name of the phase in metrics, and what the failpoints hang on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Creates the target's schema (before the transaction).
    CreateSchema,
    /// Widens a VARCHAR (before the transaction: it cannot run inside).
    Widen,
    /// Opens the transaction.
    Begin,
    /// Locks the state table.
    Lock,
    /// Reads the checkpoints.
    ReadState,
    /// Reads the catalog again, now that nobody else can change the table by these rules.
    ReadCatalog,
    /// Creates the first state rows.
    FirstRows,
    /// Creates the target.
    CreateTarget,
    /// Adds a column.
    AddColumn,
    /// Gives existing rows a new column's default.
    FillDefault,
    /// Puts a wider column in the place of one whose numbers became too large, or drops one that nobody wants.
    Convert,
    /// Writes down a change of the target's columns.
    RecordChange,
    /// Creates the stage.
    CreateStage,
    /// Loads one group.
    Copy,
    /// Asks how many rows that were.
    CountRows,
    /// Moves rows that were staged apart into the stage.
    Restage,
    /// Removes staged rows that are applied already.
    Trim,
    /// Asks for a key that lies in two partitions.
    FindConflict,
    /// Asks for a row without a place in the order that the table has.
    FindUnplaced,
    /// Takes out of the stage what is older than what is stored.
    PassOver,
    /// Takes the deletes that nothing follows out of the stage, where deleted rows stay.
    SetApart,
    /// Gives values to columns that a row leaves out as unchanged.
    FillUnchanged,
    /// Asks whether a row still lacks one.
    CountUnchanged,
    /// Removes or ends all rows of the target, since the source did.
    EmptyTarget,
    /// Writes into a changelog that the source did.
    RecordTruncate,
    /// Removes target rows that the stage replaces.
    DeleteTarget,
    /// Ends the rows of a history that hold, where the stage has what comes after them.
    CloseRows,
    /// Marks the rows whose keys are deleted.
    MarkDeleted,
    /// Forgets the deletes of keys that come again.
    Forget,
    /// Inserts what is new.
    InsertTarget,
    /// Remembers the keys that are deleted.
    Remember,
    /// Drops the stage.
    DropStage,
    /// Removes records set aside that are in their table already.
    TrimAside,
    /// Keeps the records set aside.
    SetAside,
    /// Marks records set aside that came too late to be mended.
    Supersede,
    /// Asks for a record to be replayed that is not open any more.
    FindClosed,
    /// Takes out of the stage what a later change of its key has overtaken.
    DropLate,
    /// Marks records set aside that are replayed, or that prove to be too late.
    MarkReplayed,
    /// Moves the checkpoints by compare-and-set.
    Checkpoint,
    /// Moves the table's row by compare-and-set.
    TableRow,
    /// Records the applied claims.
    Ledger,
    /// Ends the transaction.
    Commit,
}

impl Purpose {
    /// Phase of the load, as metrics and logs name it.
    #[must_use]
    pub fn phase(self) -> &'static str {
        match self {
            Purpose::CreateSchema
            | Purpose::Widen
            | Purpose::CreateTarget
            | Purpose::AddColumn
            | Purpose::FillDefault
            | Purpose::Convert
            | Purpose::RecordChange => "evolve",
            Purpose::Begin | Purpose::Lock | Purpose::ReadState | Purpose::ReadCatalog => "lock",
            Purpose::CreateStage | Purpose::Copy | Purpose::CountRows | Purpose::Restage => "copy",
            Purpose::Trim
            | Purpose::FindConflict
            | Purpose::FindUnplaced
            | Purpose::PassOver
            | Purpose::SetApart
            | Purpose::FillUnchanged
            | Purpose::CountUnchanged
            | Purpose::EmptyTarget
            | Purpose::RecordTruncate
            | Purpose::DeleteTarget
            | Purpose::CloseRows
            | Purpose::MarkDeleted
            | Purpose::Forget
            | Purpose::InsertTarget
            | Purpose::Remember
            | Purpose::DropStage
            | Purpose::TrimAside
            | Purpose::SetAside
            | Purpose::Supersede
            | Purpose::FindClosed
            | Purpose::DropLate
            | Purpose::MarkReplayed => "merge",
            Purpose::FirstRows | Purpose::Checkpoint | Purpose::TableRow | Purpose::Ledger => "checkpoint",
            Purpose::Commit => "commit",
        }
    }
}

/// What a statement must answer for the load to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Anything but an error.
    Done,
    /// The checkpoints of the plan; others mean that somebody was faster.
    State,
    /// This catalog; another means that somebody changed the table meanwhile.
    Catalog(Vec<Present>),
    /// So many rows in the last COPY, else a claim is untrue.
    CopyCount(u64),
    /// No row, else somebody else has dealt with a record that is to be replayed.
    NoneClosed,
    /// No row, else a key lies in two partitions.
    NoConflict,
    /// No row, else one has no place in the order of the table.
    AllPlaced,
    /// No row, else a value that the source left out is nowhere to be had.
    NoneLeft,
    /// So many rows touched, else the compare-and-set failed.
    Affected(u64),
}

/// One message to the warehouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What it is for.
    pub purpose: Purpose,
    /// Its text; COPY holds [`AUTHORIZATION`].
    pub sql: String,
    /// What it must answer.
    pub expect: Expect,
}

/// A target table and how it is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The table.
    pub table: TableName,
    /// Schema of its state tables.
    pub state_schema: String,
    /// Create the target's schema when it is missing.
    pub create_schemas: bool,
    /// How changes become rows, if there is a key.
    pub mode: Mode,
    /// Configured widths of text columns, in bytes.
    pub varchar: BTreeMap<String, u32>,
    /// The field whose column orders the rows of a key; `None` for their offsets.
    pub order_by: Option<String>,
    /// What rows say of their records besides their place in Kafka.
    pub metadata: Vec<Metadata>,
    /// How the table is made and changed.
    pub made: TableSettings,
    /// While the table is refreshed: the table that [`Target::table`], which rows are loaded into meanwhile, will take the place of.
    pub refreshes: Option<TableName>,
}

impl Target {
    /// The table that the state is of, by whose name its own tables are called.
    #[must_use]
    pub fn own(&self) -> &TableName {
        self.refreshes.as_ref().unwrap_or(&self.table)
    }

    /// Where rows go by what the table's state row says: the table, or the one beside it while it is refreshed.
    #[must_use]
    pub fn during(&self, row: Option<&TableRow>) -> Target {
        let mut target = self.clone();
        if row.is_some_and(|row| row.refreshing) && target.refreshes.is_none() {
            let beside = target.table.refresh();
            target.refreshes = Some(std::mem::replace(&mut target.table, beside));
        }
        target
    }
}

/// What is known when a load is compiled.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// What to apply.
    pub load: &'a LoadPlan,
    /// Identity of the load.
    pub load_id: &'a str,
    /// The documents of the plans of all groups.
    pub plans: &'a BTreeMap<PlanId, Plan>,
    /// Plan with all columns that the table had so far.
    pub known: Option<&'a Plan>,
    /// The table's state row.
    pub table_row: Option<&'a TableRow>,
    /// The target as the catalog has it.
    pub catalog: &'a [Present],
    /// The same of the table of deleted keys; empty unless rows are ordered by a column.
    pub deleted: &'a [Present],
    /// The same of the table of records set aside; empty where there never were any.
    pub aside: &'a [Present],
    /// What hangs on the target's columns; asked for where one of them is replaced.
    pub attached: &'a Attached,
    /// Bucket and key of each manifest: of the groups, then of the records set aside.
    pub manifests: &'a [(String, String)],
    /// Region of the manifests' bucket.
    pub region: &'a str,
    /// For the rows' `updated_at`, milliseconds since 1970.
    pub now_ms: i64,
}

/// A compiled load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Run one by one, each committed by itself; idempotent.
    pub before: Vec<Statement>,
    /// From BEGIN to COMMIT.
    pub transaction: Vec<Statement>,
    /// The table's state row afterwards.
    pub row: TableRow,
    /// Plan with all columns that the table then has; its document must lie on S3 before COMMIT. `None` when nothing was ever loaded.
    pub plan: Option<Plan>,
    /// The mode that holds.
    pub mode: Mode,
}

/// Compiles a load.
///
/// # Errors
/// When the claims do not fit the table, with the reason.
pub fn compile(target: &Target, facts: &Facts<'_>) -> Result<Script, Failure> {
    compile_inner(target, facts).map_err(|failure| failure.table(target.own().to_string()))
}

fn compile_inner(target: &Target, facts: &Facts<'_>) -> Result<Script, Failure> {
    let tables = StateTables::of(target.own(), &target.state_schema);
    let plans: Vec<&Plan> = facts
        .load
        .groups
        .iter()
        .filter_map(|group| facts.plans.get(&group.key.plan))
        .collect();
    let plan = evolve::union(facts.known, &plans, target.made.rebuild)?;
    let mode = Mode::of(target.mode, &plan);
    mode::settled(mode, facts.table_row, facts.catalog)?;
    let ordered = order::settled(
        target.order_by.as_deref(),
        mode,
        facts.table_row,
        !plan.columns.is_empty(),
    )?;
    let mut script = Script {
        before: Vec::new(),
        transaction: Vec::new(),
        row: next_row(facts, &plan, ordered),
        plan: (!plan.columns.is_empty()).then(|| plan.clone()),
        mode,
    };
    if mode.is_keyed() && script.row.order.is_none() {
        refuse_added_partitions(facts.load, script.row.partitions)?;
    }
    let mut out = Writer { list: Vec::new() };
    out.add(Purpose::Begin, "BEGIN".into(), Expect::Done);
    if !Mutant::NoLockNoCompareAndSet.is_on() {
        out.add(Purpose::Lock, tables.lock(), Expect::Done);
    }
    out.add(Purpose::ReadState, tables.read(), Expect::State);
    first_rows(&mut out, &tables, facts, script.row.order.as_deref())?;
    let aside = set_aside(&mut script.before, &mut out, target, facts, &plan)?;
    if !facts.load.groups.is_empty() {
        let columns = evolve::wanted(&plan, &target.varchar, &facts.load.longest())?;
        let mut kept = ddl::without_dropped(&columns, target, script.row.order.as_deref())?;
        if mode == Mode::Append && !unchanged::marked(facts.load).is_empty() {
            kept.push(unchanged::marks_column());
        }
        let by = script.row.order.as_deref().filter(|_| mode == Mode::Upsert);
        let by = by.map(|by| order::of(by, facts.load, facts.plans, &columns, &plan, &tables));
        let by = by.transpose()?;
        if let Some(by) = by.as_ref().filter(|by| by.column.name == order::RECORD_TIME) {
            kept.push(by.column.clone());
        }
        kept.extend(metadata::columns(&target.metadata, mode, &kept));
        shape(&mut script.before, &mut out, target, facts, &kept, mode)?;
        if let Some(by) = &by {
            shape_deleted(&mut script.before, &mut out, target, facts, by)?;
        }
        stage(&mut out, facts, &columns, mode)?;
        match &by {
            Some(by) => merge::ordered(&mut out, target, facts, &kept, by)?,
            None => merge::by_offsets(&mut out, target, facts, (&kept, mode), aside.as_deref())?,
        }
    }
    if !facts.load.replay.is_empty() && !Mutant::ReplayMarkedApart.is_on() {
        let table = target.own().set_aside(&target.state_schema).sql();
        let (id, now) = (facts.load_id, facts.now_ms);
        let late = replay::mark(&table, &facts.load.replay, "superseded", id, now)?;
        out.add(Purpose::MarkReplayed, late, Expect::Done);
    }
    truncated(&mut out, target, facts, &mut script)?;
    checkpoint(&mut out, &tables, facts, &script.row)?;
    ledger(&mut out, &tables, facts)?;
    out.add(Purpose::Commit, "COMMIT".into(), Expect::Done);
    script.transaction = out.list;
    Ok(script)
}

/// The statements of the transaction as they come.
pub(super) struct Writer {
    list: Vec<Statement>,
}

impl Writer {
    pub(super) fn add(&mut self, purpose: Purpose, sql: String, expect: Expect) {
        self.list.push(Statement { purpose, sql, expect });
    }

    /// Statements that need answer nothing.
    pub(super) fn all(&mut self, statements: Vec<(Purpose, String)>) {
        for (purpose, sql) in statements {
            self.add(purpose, sql, Expect::Done);
        }
    }
}

fn next_row(facts: &Facts<'_>, plan: &Plan, order: Option<String>) -> TableRow {
    TableRow {
        serial: facts.table_row.map_or(0, |row| row.serial) + 1,
        generation: facts
            .table_row
            .map_or(facts.load_id, |row| row.generation.as_str())
            .to_owned(),
        plan: (!plan.columns.is_empty()).then(|| plan.id()),
        partitions: facts
            .table_row
            .and_then(|row| row.partitions)
            .or_else(|| born_with(facts.load)),
        grown: facts.table_row.map_or_else(Vec::new, |row| row.grown.clone()),
        order,
        refreshing: facts.table_row.is_some_and(|row| row.refreshing),
    }
}

/// How many partitions the topic had when the first of its lineages began, as far as it is known.
pub(super) fn born_with(load: &LoadPlan) -> Option<u32> {
    let said = load.runs.iter().flat_map(|run| &run.claims);
    said.filter_map(|claim| claim.partitions).chain(load.born_with).min()
}

/// Rule 13: where rows have a key, a partition that was added later waits until an operator has accepted it and the old ones have passed
/// their barriers (`growth`).
fn refuse_added_partitions(load: &LoadPlan, partitions: Option<u32>) -> Result<(), Failure> {
    let Some(count) = partitions else { return Ok(()) };
    let added = load
        .runs
        .iter()
        .find(|run| i64::from(run.partition.0) >= i64::from(count));
    added.map_or(Ok(()), |run| Err(growth::waiting(&run.topic, run.partition, count)))
}

/// Rule 26. Where nothing was loaded yet there are no rows to go, but of a topic of several partitions there may be some to come.
fn truncated(out: &mut Writer, target: &Target, facts: &Facts<'_>, script: &mut Script) -> Result<(), Failure> {
    let Some(run) = facts.load.emptying() else {
        return Ok(());
    };
    let (partitions, order) = (script.row.partitions, script.row.order.as_deref());
    let mode = if script.plan.is_some() {
        script.mode
    } else {
        target.mode
    };
    truncate::refuse(run, mode, partitions, order)?;
    // Also where there is no row yet, and so no key of any record: what was set aside until now came before.
    if mode.is_keyed() && !facts.aside.is_empty() {
        let table = target.own().set_aside(&target.state_schema).sql();
        let sql = aside::supersede_all(&table, facts.load_id, facts.now_ms)?;
        out.add(Purpose::Supersede, sql, Expect::Done);
    }
    let Some(plan) = &script.plan else {
        return Ok(());
    };
    if facts.load.groups.is_empty() {
        let columns = evolve::wanted(plan, &target.varchar, &BTreeMap::new())?;
        let columns = ddl::without_dropped(&columns, target, order)?;
        shape(&mut script.before, out, target, facts, &columns, script.mode)?;
    }
    let (purpose, sql) = truncate::statement(facts.load, run, script.mode, &target.table.sql());
    out.add(purpose, sql, Expect::Done);
    Ok(())
}

/// The first state rows are made under the lock, after it was seen that there are none: no key would keep a second one out.
fn first_rows(out: &mut Writer, tables: &StateTables, facts: &Facts<'_>, order: Option<&str>) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let recorded = facts.table_row.is_some_and(|row| row.order.is_some());
    if let Some(column) = order.filter(|_| !recorded) {
        rows.push(order::state_row(column)?);
    }
    for run in facts.load.runs.iter().filter(|run| run.stored.is_none()) {
        rows.push(format!(
            "('lineage', {}, {}, {}, {}, {}, NULL, NULL)",
            literal(&run.cluster)?,
            literal(&run.topic)?,
            run.from.incarnation,
            run.partition,
            run.from.next
        ));
    }
    if facts.table_row.is_none() {
        rows.push(format!(
            "('table', NULL, NULL, NULL, NULL, NULL, 0, {})",
            literal(facts.load_id)?
        ));
    }
    if !rows.is_empty() {
        let sql = format!(
            "INSERT INTO {} (\"kind\", \"cluster\", \"topic\", \"incarnation\", \"partition\", \"next_offset\", \"serial\", \"generation\")\nVALUES\n    {}",
            tables.state,
            rows.join(",\n    ")
        );
        out.add(Purpose::FirstRows, sql, Expect::Affected(rows.len() as u64));
    }
    Ok(())
}

/// Brings the records that were set aside to their table (rule 27). The table's name where it knows the keys of its records, so that the
/// merge can tell which of them came too late.
fn set_aside(
    before: &mut Vec<Statement>,
    out: &mut Writer,
    target: &Target,
    facts: &Facts<'_>,
    plan: &Plan,
) -> Result<Option<String>, Failure> {
    let name = target.own().set_aside(&target.state_schema);
    let table = name.sql();
    let groups = &facts.load.asides;
    let own: Vec<&Plan> = groups
        .iter()
        .filter_map(|group| facts.plans.get(group.key.plan.as_ref()?))
        .collect();
    let keys = aside::key_columns(&evolve::union(
        Some(plan).filter(|plan| !plan.columns.is_empty()),
        &own,
        // Keys keep their types.
        false,
    )?);
    if groups.is_empty() {
        return Ok(aside::has_keys(facts.aside, &keys).then_some(table));
    }
    let headers = aside::any_headers(groups);
    let columns = aside::columns(&keys, headers);
    let evolution = evolve::compare_all(facts.aside, &columns, false)?;
    let create = create_table(&table, columns.iter().map(|column| (column.name.as_str(), column.ty)));
    shape_own(before, out, &name, facts.aside, (&evolution, create))?;
    out.add(Purpose::CreateStage, aside::create_stage(&keys, headers), Expect::Done);
    for (index, group) in groups.iter().enumerate() {
        let sql = copy_aside(facts, facts.load.groups.len() + index, group)?;
        out.add(Purpose::Copy, sql, Expect::Done);
        let count = fill(include_str!("../../../sql/copy_count.sql"), &[]);
        out.add(Purpose::CountRows, count, Expect::CopyCount(group.lines));
    }
    if let Some(sql) = aside::trim(&facts.load.runs) {
        out.add(Purpose::TrimAside, sql, Expect::Done);
    }
    let sql = aside::keep(&table, (&keys, headers), facts.load_id, facts.now_ms)?;
    out.add(Purpose::SetAside, sql, Expect::Done);
    let drop = format!("DROP TABLE {}", identifier(aside::STAGE));
    out.add(Purpose::DropStage, drop, Expect::Done);
    Ok((!keys.is_empty()).then_some(table))
}

fn copy_aside(facts: &Facts<'_>, manifest: usize, group: &AsideGroup) -> Result<String, Failure> {
    let plan = group.key.plan.as_ref().map(|id| plan_of(facts, id)).transpose()?;
    let columns = aside::line_columns(plan, group.key.headers);
    let (dialect, region) = (&group.key.dialect, group.key.region.as_str());
    copy(facts, manifest, (aside::STAGE, &columns), dialect, region)
}

/// The stage has the columns of all groups; each COPY names its own, and what it lacks takes the stage's default.
fn stage(out: &mut Writer, facts: &Facts<'_>, columns: &[Wanted], mode: Mode) -> Result<(), Failure> {
    let stage = identifier(STAGE);
    let mut lines = meta_lines(facts.load);
    let lacked = lacked(facts);
    let marked = unchanged::marked(facts.load);
    for column in columns {
        let ty = match evolve::staged(column) {
            // What takes the place of a value that was left out may be longer than all that this load brings.
            ColumnType::Varchar { .. } if marked.contains(column.name.as_str()) => unchanged::WIDEST,
            ty => ty,
        };
        let mut line = staged_line(column, ty, mode);
        if let Some(default) = column
            .default
            .as_ref()
            .filter(|_| lacked.contains(column.name.as_str()))
        {
            let staged = evolve::staged(column);
            let _ = write!(line, " DEFAULT {}", constant(default, staged)?);
        }
        lines.push(line);
    }
    let sql = format!("CREATE TEMP TABLE {stage} (\n    {}\n)", lines.join(",\n    "));
    out.add(Purpose::CreateStage, sql, Expect::Done);
    for (index, group) in facts.load.groups.iter().enumerate() {
        let plan = plan_of(facts, &group.key.plan)?;
        let narrow = has_narrow(plan, columns);
        let into = if narrow {
            let lines = narrow_lines(facts.load, plan, columns, mode).join(",\n    ");
            let sql = format!("CREATE TEMP TABLE {} (\n    {lines}\n)", identifier(NARROW));
            out.add(Purpose::CreateStage, sql, Expect::Done);
            NARROW
        } else {
            STAGE
        };
        out.add(Purpose::Copy, copy_group(facts, index, group, into)?, Expect::Done);
        let count = fill(include_str!("../../../sql/copy_count.sql"), &[]);
        out.add(Purpose::CountRows, count, Expect::CopyCount(group.rows));
        if narrow {
            let names: Vec<String> = group_columns(plan).iter().map(|name| identifier(name)).collect();
            let (names, narrow) = (names.join(", "), identifier(NARROW));
            let sql = format!("INSERT INTO {stage} ({names})\nSELECT {names}\nFROM {narrow}");
            out.add(Purpose::Restage, sql, Expect::Affected(group.rows));
            out.add(Purpose::DropStage, format!("DROP TABLE {narrow}"), Expect::Done);
        }
    }
    Ok(())
}

fn meta_lines(load: &LoadPlan) -> Vec<String> {
    let line = |meta: &common::plan::MetaColumn| {
        let ty = match meta.ty {
            ColumnType::Varchar { limit: None } => ColumnType::Varchar {
                limit: Some(marks_width(load)),
            },
            ty => ty,
        };
        format!("{} {ty}", identifier(meta.name))
    };
    META_COLUMNS.iter().map(line).collect()
}

/// A key that is NULL is found by COPY, which names file, line and column.
fn staged_line(column: &Wanted, ty: ColumnType, mode: Mode) -> String {
    let not_null = if column.key && mode.is_keyed() { " NOT NULL" } else { "" };
    format!("{} {ty}{not_null}", identifier(&column.name))
}

/// Whether a plan has a column as REAL that is staged as DOUBLE PRECISION. Its objects have the shortest digits of a REAL, which are another
/// DOUBLE PRECISION than the one that the same REAL became in the rows that were there when the column was widened.
fn has_narrow(plan: &Plan, columns: &[Wanted]) -> bool {
    columns.iter().any(|column| is_narrow(plan, column))
}

fn is_narrow(plan: &Plan, column: &Wanted) -> bool {
    let own = plan.columns.iter().find(|own| own.name == column.name);
    column.ty == ColumnType::Double && own.is_some_and(|own| own.ty == ColumnType::Real)
}

/// The columns of a table for a group that has some of them as REAL.
fn narrow_lines(load: &LoadPlan, plan: &Plan, columns: &[Wanted], mode: Mode) -> Vec<String> {
    let mut lines = meta_lines(load);
    let own = |column: &&Wanted| plan.columns.iter().any(|own| own.name == column.name);
    for column in columns.iter().filter(own) {
        let ty = if is_narrow(plan, column) {
            ColumnType::Real
        } else {
            evolve::staged(column)
        };
        lines.push(staged_line(column, ty, mode));
    }
    lines
}

/// The columns that a group's lines have, in order.
fn group_columns(plan: &Plan) -> Vec<String> {
    let meta = META_COLUMNS.iter().map(|column| column.name.to_owned());
    meta.chain(plan.columns.iter().map(|column| column.name.clone()))
        .collect()
}

/// Longest list of unchanged columns that the load brings: without marks the column is empty.
fn marks_width(load: &LoadPlan) -> u32 {
    if unchanged::marked(load).is_empty() {
        evolve::WIDTHS[0]
    } else {
        evolve::WIDTHS[5]
    }
}

/// Columns that some group has no field for.
fn lacked<'a>(facts: &'a Facts<'_>) -> BTreeSet<&'a str> {
    let of = |plan: &'a Plan| {
        plan.columns
            .iter()
            .map(|column| column.name.as_str())
            .collect::<BTreeSet<&str>>()
    };
    let plans: Vec<BTreeSet<&str>> = facts
        .load
        .groups
        .iter()
        .filter_map(|group| facts.plans.get(&group.key.plan))
        .chain(facts.known)
        .map(of)
        .collect();
    let all: BTreeSet<&str> = plans.iter().flatten().copied().collect();
    all.into_iter()
        .filter(|name| plans.iter().any(|plan| !plan.contains(name)))
        .collect()
}

fn plan_of<'a>(facts: &Facts<'a>, id: &PlanId) -> Result<&'a Plan, Failure> {
    let plan = facts.plans.get(id);
    plan.ok_or_else(|| Failure::retry(format!("plan `{id}` is not at hand")))
}

fn copy_group(facts: &Facts<'_>, index: usize, group: &Group, stage: &str) -> Result<String, Failure> {
    let columns = group_columns(plan_of(facts, &group.key.plan)?);
    copy(facts, index, (stage, &columns), &group.key.dialect, &group.key.region)
}

fn copy(
    facts: &Facts<'_>,
    manifest: usize,
    (stage, columns): (&str, &[String]),
    dialect: &Dialect,
    region: &str,
) -> Result<String, Failure> {
    let (bucket, key) = facts
        .manifests
        .get(manifest)
        .ok_or_else(|| Failure::retry("a manifest is not at hand"))?;
    if region != facts.region {
        return Err(Failure::halt(format!(
            "the objects lie in region `{region}` and their manifest in `{}`, but one COPY reads one region",
            facts.region
        ))
        .hint("set [s3] region and bucket to where the objects are"));
    }
    let columns: Vec<String> = columns.iter().map(|name| identifier(name)).collect();
    let compression = match dialect.compression {
        Compression::Zstd => "ZSTD",
        Compression::Gzip => "GZIP",
    };
    Ok(format!(
        "COPY {} ({})\nFROM {}\n{AUTHORIZATION}\nREGION {}\nMANIFEST\nFORMAT AS CSV QUOTE AS {} DELIMITER {} NULL AS {} {compression}\n\
         DATEFORMAT 'auto' TIMEFORMAT 'auto' COMPUPDATE OFF STATUPDATE OFF",
        identifier(stage),
        columns.join(", "),
        literal(&format!("s3://{bucket}/{key}"))?,
        literal(facts.region)?,
        literal(&dialect.quote.to_string())?,
        literal(&dialect.delimiter.to_string())?,
        literal(&dialect.null)?,
    ))
}

/// Compare-and-set of every lineage that moves, and of the table's row.
fn checkpoint(out: &mut Writer, tables: &StateTables, facts: &Facts<'_>, row: &TableRow) -> Result<(), Failure> {
    let (load_id, now) = (literal(facts.load_id)?, timestamp(facts.now_ms));
    let case = |value: &dyn Fn(&Run) -> String| {
        let arms: Vec<String> = facts
            .load
            .runs
            .iter()
            .map(|run| format!("WHEN {} THEN {}", run.partition, value(run)))
            .collect();
        format!("CASE \"partition\" {} END", arms.join(" "))
    };
    let mut old = Vec::new();
    for run in &facts.load.runs {
        let mut condition = format!(
            "(\"cluster\" = {} AND \"topic\" = {} AND \"partition\" = {}",
            literal(&run.cluster)?,
            literal(&run.topic)?,
            run.partition
        );
        if !Mutant::NoLockNoCompareAndSet.is_on() {
            let _ = write!(
                condition,
                " AND \"incarnation\" = {} AND \"next_offset\" = {}",
                run.from.incarnation, run.from.next
            );
        }
        condition.push(')');
        old.push(condition);
    }
    if facts.load.runs.is_empty() {
        return table_row(out, tables, facts, row);
    }
    let sql = format!(
        "UPDATE {}\nSET \"incarnation\" = {},\n    \"next_offset\" = {},\n    \"signal_offset\" = {},\n    \"load_id\" = {load_id}, \"updated_at\" = {now}\nWHERE \"kind\" = 'lineage' AND (\n    {}\n)",
        tables.state,
        case(&|run| run.to.incarnation.to_string()),
        case(&|run| run.to.next.to_string()),
        case(&|run| run.signal_next.to_string()),
        old.join("\n    OR ")
    );
    out.add(Purpose::Checkpoint, sql, Expect::Affected(facts.load.runs.len() as u64));
    table_row(out, tables, facts, row)
}

/// The table's row: with it every other loader sees that something was done.
fn table_row(out: &mut Writer, tables: &StateTables, facts: &Facts<'_>, row: &TableRow) -> Result<(), Failure> {
    let (load_id, now) = (literal(facts.load_id)?, timestamp(facts.now_ms));
    let plan = row
        .plan
        .as_ref()
        .map_or(Ok("NULL".to_owned()), |plan| literal(&plan.0))?;
    let partitions = row.partitions.map_or("NULL".to_owned(), |count| count.to_string());
    let guard = if Mutant::NoLockNoCompareAndSet.is_on() {
        String::new()
    } else {
        format!(" AND \"serial\" = {}", row.serial - 1)
    };
    let sql = format!(
        "UPDATE {}\nSET \"serial\" = {}, \"plan_id\" = {plan}, \"partitions\" = {partitions}, \"load_id\" = {load_id}, \"updated_at\" = {now}\nWHERE \"kind\" = 'table'{guard}",
        tables.state, row.serial
    );
    out.add(Purpose::TableRow, sql, Expect::Affected(1));
    Ok(())
}

fn ledger(out: &mut Writer, tables: &StateTables, facts: &Facts<'_>) -> Result<(), Failure> {
    let (load_id, now) = (literal(facts.load_id)?, timestamp(facts.now_ms));
    let mut rows = Vec::new();
    for claim in facts.load.runs.iter().flat_map(|run| &run.claims) {
        let (key, sha) = match &claim.object {
            Some(object) => (literal(&object.key)?, literal(&object.sha256)?),
            None => ("NULL".to_owned(), "NULL".to_owned()),
        };
        rows.push(format!(
            "({}, {}, {}, {}, '{}', {}, {}, {key}, {sha}, {}, {load_id}, {now})",
            literal(&claim.cluster)?,
            literal(&claim.topic)?,
            claim.incarnation,
            claim.partition,
            claim.kind.name(),
            claim.start,
            claim.next,
            claim.rows
        ));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO {} (\"cluster\", \"topic\", \"incarnation\", \"partition\", \"kind\", \"start_offset\", \"next_offset\", \"object_key\", \"sha256\", \"row_count\", \"load_id\", \"applied_at\")\nVALUES\n    {}",
        tables.ledger,
        rows.join(",\n    ")
    );
    out.add(Purpose::Ledger, sql, Expect::Affected(rows.len() as u64));
    Ok(())
}
