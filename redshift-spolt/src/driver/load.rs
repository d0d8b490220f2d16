//! One load from plan to outcome: plan documents, catalog, script, manifests, transaction. And the reading of checkpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::claim::manifest_key;
use common::failure::{Class, Failure};
use common::manifest;
use common::plan::{Plan, PlanId};
use runtime::failpoint;
use runtime::port::{Answer, Session, SqlFailure};
use tracing::debug;

use super::{Shared, plans};
use crate::load::aside::AsideGroup;
use crate::load::attached::{self, Attached};
use crate::load::evolve::{self, Present};
use crate::load::machine::Outcome;
use crate::load::names::TableName;
use crate::load::outcome::meaning;
use crate::load::run::{Group, LoadPlan};
use crate::load::sql::identifier;
use crate::load::state::{State, StateTables, TableRow};
use crate::load::statements::{Facts, Purpose, Script, Target, compile};
use crate::warehouse::apply::{Phases, apply};

/// What a load came to.
pub struct Report {
    /// What follows.
    pub outcome: Outcome,
    /// Where the time went, in seconds.
    pub phases: Phases,
}

impl Report {
    /// Of a load that came to this before it began.
    #[must_use]
    pub fn nothing(outcome: Outcome) -> Report {
        Report {
            outcome,
            phases: Phases::new(),
        }
    }
}

/// Applies a load. Errors on the way become outcomes.
pub async fn run(shared: &Shared, target: &Target, load: &LoadPlan, row: Option<&TableRow>, load_id: &str) -> Report {
    let Ok(_permit) = shared.permits.acquire().await else {
        return Report::nothing(Outcome::Retry(Failure::retry("the process is shutting down")));
    };
    match attempt(shared, &target.during(row), load, row, load_id).await {
        Ok(report) => report,
        Err(failure) => Report::nothing(ended(failure)),
    }
}

/// What a failure outside the transaction means. Halting ones that come from the claims' documents can be told apart by lineage.
fn ended(failure: Failure) -> Outcome {
    match failure.class {
        Class::Retry => Outcome::Retry(failure),
        Class::Halt | Class::Stop => Outcome::Halt {
            separable: failure.at.key.is_some() || failure.at.partition.is_some(),
            partition: failure.at.partition,
            failure,
        },
    }
}

async fn attempt(
    shared: &Shared,
    target: &Target,
    load: &LoadPlan,
    row: Option<&TableRow>,
    load_id: &str,
) -> Result<Report, Failure> {
    let known = known_plans(shared, load, row).await?;
    let authorization = (shared.authorization)()?;
    let mut session = shared.pool.take().await.map_err(|failure| connecting(&failure))?;
    let catalogs = catalogs(&mut *session, target, load).await?;
    let manifests: Vec<(String, String)> = (0..load.manifests())
        .map(|part| {
            (
                shared.store.bucket().to_owned(),
                manifest_key(&shared.prefix, &shared.target, load_id, part),
            )
        })
        .collect();
    let mut facts = Facts {
        load,
        load_id,
        plans: &known,
        known: row.and_then(|row| row.plan.as_ref()).and_then(|id| known.get(id)),
        table_row: row,
        catalog: &catalogs.target,
        deleted: &catalogs.deleted,
        aside: &catalogs.aside,
        attached: &attached::NOTHING,
        manifests: &manifests,
        region: shared.store.region(),
        now_ms: shared.world.now_ms(),
    };
    let mut compiled = compile(target, &facts);
    let attached;
    if compiled.as_ref().is_ok_and(replaces_columns) {
        attached = read_attached(&mut *session, target).await?;
        facts.attached = &attached;
        compiled = compile(target, &facts);
    }
    let script = match compiled {
        Ok(script) => script,
        Err(failure) => {
            shared.pool.give(session);
            return unfit(shared, target, row, failure).await;
        }
    };
    failpoint::hit("C17").await?;
    put_documents(shared, load, &script, &manifests).await?;
    failpoint::hit("C18").await?;
    let ended = apply(&mut *session, &script, load, row, &authorization, &*shared.world).await;
    if ended.clean {
        shared.pool.give(session);
    }
    debug!(load_id, mode = ?script.mode, "load ended");
    Ok(Report {
        outcome: ended.outcome,
        phases: ended.phases,
    })
}

/// Whether a column of the target is replaced, so that what hangs on it has to be known.
#[must_use]
pub fn replaces_columns(script: &Script) -> bool {
    script
        .transaction
        .iter()
        .any(|statement| statement.purpose == Purpose::Convert)
}

/// What hangs on the target's columns.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn read_attached(session: &mut dyn Session, target: &Target) -> Result<Attached, Failure> {
    let mut answers: [Answer; 3] = Default::default();
    for (statement, answer) in attached::read(&target.table)?.iter().zip(&mut answers) {
        let ran = session.run(statement).await;
        *answer = ran.map_err(|failure| asking("read what hangs on the columns", &failure))?;
    }
    Ok(attached::parse(&answers))
}

/// The catalog does not fit what is known of the table. What is known may be of another moment than the catalog: the warehouse was restored
/// under a running loader. Then the load is planned anew from what the state says now, before anybody is told to mend the table.
async fn unfit(shared: &Shared, target: &Target, row: Option<&TableRow>, failure: Failure) -> Result<Report, Failure> {
    let now = read_state(shared, target).await?;
    if now.table.as_ref() == row {
        return Err(failure);
    }
    Ok(Report::nothing(Outcome::Replan))
}

async fn known_plans(
    shared: &Shared,
    load: &LoadPlan,
    row: Option<&TableRow>,
) -> Result<BTreeMap<PlanId, Plan>, Failure> {
    let own = shared.store.bucket();
    let of_table = row.and_then(|row| row.plan.as_ref()).map(|id| (id, own));
    let mut known = BTreeMap::new();
    for (id, bucket) in load.plans().chain(of_table) {
        if !known.contains_key(id) {
            let plan: Arc<Plan> = shared.plans.get(&*shared.store, bucket, &shared.prefix, id).await?;
            known.insert(id.clone(), Plan::clone(&plan));
        }
    }
    Ok(known)
}

/// The table's own plan and the manifests lie on S3 before the transaction that names them begins.
async fn put_documents(
    shared: &Shared,
    load: &LoadPlan,
    script: &Script,
    manifests: &[(String, String)],
) -> Result<(), Failure> {
    if let Some(plan) = &script.plan {
        shared.plans.put(&*shared.store, &shared.prefix, plan).await?;
    }
    let of_groups = load.groups.iter().map(Group::entries);
    let of_asides = load.asides.iter().map(AsideGroup::entries);
    for (entries, (_, key)) in of_groups.chain(of_asides).zip(manifests) {
        let document = manifest::document(&entries);
        let put = shared.store.put_if_absent(plans::object(key.clone(), document)).await;
        put.map_err(|failure| failure.context("put the manifest"))?;
    }
    Ok(())
}

/// The columns that the catalog has now, as far as a load needs them.
#[derive(Debug, Default)]
pub struct Catalogs {
    /// Of the target.
    pub target: Vec<Present>,
    /// Of its table of deleted keys, where rows are ordered by a column.
    pub deleted: Vec<Present>,
    /// Of its table of records set aside.
    pub aside: Vec<Present>,
}

/// Reads what a load needs of the catalog.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn catalogs(session: &mut dyn Session, target: &Target, load: &LoadPlan) -> Result<Catalogs, Failure> {
    let mut found = Catalogs::default();
    if !load.groups.is_empty() || load.emptying().is_some() {
        found.target = catalog(session, &target.table).await?;
        if target.order_by.is_some() {
            found.deleted = catalog(session, &target.own().deleted(&target.state_schema)).await?;
        }
    }
    if !load.groups.is_empty() || !load.asides.is_empty() || load.emptying().is_some() {
        found.aside = catalog(session, &target.own().set_aside(&target.state_schema)).await?;
    }
    Ok(found)
}

/// The columns of the table of records set aside; `None` where there never were any.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn has_set_aside(session: &mut dyn Session, target: &Target) -> Result<Option<Vec<Present>>, Failure> {
    let columns = catalog(session, &target.own().set_aside(&target.state_schema)).await?;
    Ok((!columns.is_empty()).then_some(columns))
}

/// The columns of a table as the catalog has them now.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn catalog(session: &mut dyn Session, table: &TableName) -> Result<Vec<Present>, Failure> {
    let answer = session
        .run(&evolve::read(table)?)
        .await
        .map_err(|failure| asking("read the catalog", &failure))?;
    Ok(evolve::parse(&answer))
}

/// Reads a table's state under the lock, creating its state tables first where they are missing (rules 14, 18).
///
/// # Errors
/// When the warehouse does not answer or refuses.
pub async fn read_state(shared: &Shared, target: &Target) -> Result<State, Failure> {
    let mut session = shared.pool.take().await.map_err(|failure| connecting(&failure))?;
    let tables = StateTables::of(target.own(), &target.state_schema);
    if !has_state(&mut *session, target).await? {
        let schema = format!("CREATE SCHEMA IF NOT EXISTS {}", identifier(&target.state_schema));
        let creates = shared
            .create_schemas
            .then_some(schema)
            .into_iter()
            .chain(tables.create());
        for statement in creates {
            session
                .run(&statement)
                .await
                .map_err(|failure| asking("create the state tables", &failure))?;
        }
    }
    let locked = ["BEGIN".to_owned(), tables.lock()];
    for statement in &locked {
        session
            .run(statement)
            .await
            .map_err(|failure| asking("lock the state table", &failure))?;
    }
    let answer = session
        .run(&tables.read())
        .await
        .map_err(|failure| asking("read the checkpoints", &failure))?;
    session
        .run("COMMIT")
        .await
        .map_err(|failure| asking("unlock the state table", &failure))?;
    shared.pool.give(session);
    State::parse(&answer)
}

/// Reads a table's state without lock, and without making anything: as it was at some moment just now.
///
/// # Errors
/// When the warehouse does not answer or refuses.
pub async fn look(session: &mut dyn Session, target: &Target) -> Result<State, Failure> {
    if !has_state(session, target).await? {
        return Ok(State::default());
    }
    let tables = StateTables::of(target.own(), &target.state_schema);
    let answer = session
        .run(&tables.read())
        .await
        .map_err(|failure| connecting(&failure))?;
    State::parse(&answer)
}

/// Whether both state tables exist.
///
/// # Errors
/// When the catalog cannot be read.
pub async fn has_state(session: &mut dyn Session, target: &Target) -> Result<bool, Failure> {
    for table in [
        target.own().state(&target.state_schema),
        target.own().ledger(&target.state_schema),
    ] {
        if catalog(session, &table).await?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A failed connection as a failure.
#[must_use]
pub fn connecting(failure: &SqlFailure) -> Failure {
    asking("connect to Redshift", failure)
}

/// A statement that failed while something was done.
#[must_use]
pub fn asking(doing: &str, failure: &SqlFailure) -> Failure {
    meaning(None, failure).failure().clone().context(doing)
}
