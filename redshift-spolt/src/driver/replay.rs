//! Records set aside, over the ports: reading them, trying them again, and giving them up (protocol rule 27). What decides is
//! `load::replay`.

use std::collections::HashMap;
use std::sync::Arc;

use common::avro::WriterSchema;
use common::claim::{Compression, Decoder, Dialect, Object, replay_key};
use common::csv;
use common::failure::Failure;
use common::ids::SchemaId;
use common::mutant::Mutant;
use common::plan::{Plan, hex};
use common::row::{DECODER_VERSION, Settings};
use runtime::port::{PutObject, Registry, Session};
use runtime::registry::writer_schema;
use sha2::{Digest, Sha256};

use super::load::{connecting, has_set_aside, look};
use super::table::Table;
use super::{Shared, load};
use crate::load::aside;
use crate::load::machine::Outcome;
use crate::load::mode::Mode;
use crate::load::replay::{self, Encoded, Fate, Kept, Place, Rows, Tried};
use crate::load::run::LoadPlan;
use crate::load::state::{State, StateTables};

/// Parts of records read at once.
const PARTS: usize = 500;
/// How often a replay starts anew because a loader was faster.
const TRIES: usize = 20;

/// What a replay came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Records that became rows, or that came too late for it, as their table now says.
    pub applied: usize,
    /// Records of which nothing is to be shown.
    pub nothing: usize,
    /// Records that still cannot be read, or are not applied, with the reason.
    pub left: Vec<(Kept, String)>,
}

/// Records set aside of a table, in the order of their places.
///
/// # Errors
/// When the warehouse does not answer.
pub async fn kept(
    session: &mut dyn Session,
    table: &Table,
    plan: Option<&Plan>,
    only_open: bool,
    after: Option<Place>,
) -> Result<Vec<Kept>, Failure> {
    let Some(columns) = has_set_aside(session, &table.target).await? else {
        return Ok(Vec::new());
    };
    let keys = plan.map_or_else(Vec::new, Plan::key_columns);
    let keys: Vec<String> = keys.iter().map(|key| key.name.clone()).collect();
    let keys = if keys.iter().all(|key| columns.iter().any(|column| column.name == *key)) {
        keys
    } else {
        Vec::new()
    };
    let name = table.target.own().set_aside(&table.target.state_schema).sql();
    let sql = replay::read(&name, (&keys, aside::keeps_headers(&columns)), only_open, after, PARTS);
    let answer = session.run(&sql).await;
    replay::parse(&answer.map_err(|failure| connecting(&failure).context("read the records set aside"))?)
}

/// The plan that a table has, if anything was loaded into it.
///
/// # Errors
/// When S3 does not answer.
pub async fn plan_of(shared: &Shared, state: &State) -> Result<Option<Arc<Plan>>, Failure> {
    let Some(id) = state.table.as_ref().and_then(|row| row.plan.as_ref()) else {
        return Ok(None);
    };
    let plan = shared
        .plans
        .get(&*shared.store, shared.store.bucket(), &shared.prefix, id);
    plan.await.map(Some)
}

/// What a table's open records come to by the present settings, without doing anything.
///
/// # Errors
/// When a part of the world does not answer.
pub async fn tried(
    registry: &dyn Registry,
    records: &[Kept],
    settings: &Arc<Settings>,
    plan: Option<Arc<Plan>>,
) -> Result<Encoded, Failure> {
    let mut schemas: HashMap<SchemaId, Arc<WriterSchema>> = HashMap::new();
    loop {
        match replay::encode(records, settings, plan.clone(), &schemas)? {
            Tried::Done(encoded) => return Ok(*encoded),
            Tried::NeedSchema(id) => {
                let schema = writer_schema(registry, &id).await?;
                schemas.insert(id, schema);
            }
        }
    }
}

/// Tries a table's open records again, batch by batch.
///
/// # Errors
/// When a part of the world does not answer, or the warehouse refuses the rows.
pub async fn replay(
    shared: &Shared,
    registry: &dyn Registry,
    table: &Table,
    settings: &Arc<Settings>,
    unknown_keys: bool,
) -> Result<Report, Failure> {
    let mut report = Report::default();
    let (mut after, mut tries) = (None, 0);
    while tries < TRIES {
        let mut session = shared.pool.take().await.map_err(|failure| connecting(&failure))?;
        let state = look(&mut *session, &table.target).await?;
        let plan = plan_of(shared, &state).await?;
        let mut records = kept(&mut *session, table, plan.as_deref(), true, after).await?;
        shared.pool.give(session);
        let Some(first) = records.first() else {
            return Ok(report);
        };
        // Two lives of a topic never meet in one merge; nor do partitions, whose offsets say nothing of each other.
        let of = |kept: &Kept| (kept.place.incarnation, kept.place.partition);
        let lineage = of(first);
        records.retain(|kept| of(kept) == lineage);
        let last = records.last().map(|kept| kept.place);
        if batch(shared, registry, table, settings, (records, unknown_keys), &mut report).await? {
            (after, tries) = (last, 0);
        } else {
            tries += 1;
        }
    }
    Err(Failure::retry(format!(
        "the table was loaded or changed `{TRIES}` times while the records were made ready"
    ))
    .table(table.target.table.to_string())
    .hint("run the command again; what it has done so far is done"))
}

/// Tries these records. Whether it is done with them: else the table was changed meanwhile, and they must be read again, for what came to
/// the table may have overtaken some.
async fn batch(
    shared: &Shared,
    registry: &dyn Registry,
    table: &Table,
    settings: &Arc<Settings>,
    (mut records, unknown_keys): (Vec<Kept>, bool),
    report: &mut Report,
) -> Result<bool, Failure> {
    let state = load::read_state(shared, &table.target).await?;
    // By the state that the load is planned from: a refresh that begins after this raises its serial.
    if !state.refresh.is_empty() {
        let failure =
            Failure::stop("the table is refreshed, and what was set aside before belongs to neither of its halves");
        return Err(failure.hint("finish the refresh or give it up, then replay"));
    }
    let plan = plan_of(shared, &state).await?;
    let keyed = plan
        .as_ref()
        .is_some_and(|plan| Mode::of(table.target.mode, plan).is_keyed());
    let needs_key = keyed && table.target.order_by.is_none() && !unknown_keys;
    // Those that stay are told and taken out before the rest is made into rows.
    let encoded = tried(registry, &records, settings, plan.clone()).await?;
    let (mut nothing, mut left) = (Vec::new(), Vec::new());
    let mut fates = encoded.fates.into_iter();
    records.retain(|kept| {
        let Some(fate) = fates.next() else { return false };
        if let Some(reason) = replay::refusal(kept, &fate, needs_key) {
            left.push((kept.clone(), reason));
            return false;
        }
        if fate == Fate::Nothing {
            nothing.push(kept.place);
        }
        fate == Fate::Rows
    });
    if !nothing.is_empty() {
        mark(shared, table, &nothing, "replayed").await?;
        report.nothing += nothing.len();
    }
    if !records.is_empty() {
        let encoded = tried(registry, &records, settings, plan).await?;
        let plan = load_plan(shared, table, settings, &records, encoded).await?;
        let load_id = shared.world.uuid();
        let ran = load::run(shared, &table.target, &plan, state.table.as_ref(), &load_id).await;
        match ran.outcome {
            Outcome::Committed { .. } => {
                if Mutant::ReplayMarkedApart.is_on() {
                    let places: Vec<Place> = records.iter().map(|kept| kept.place).collect();
                    mark(shared, table, &places, "replayed").await?;
                }
                report.applied += records.len();
            }
            Outcome::Replan => return Ok(false),
            Outcome::Retry(failure) | Outcome::Halt { failure, .. } => return Err(failure.context("replay")),
        }
    }
    report.left.append(&mut left);
    Ok(true)
}

/// Puts the rows on S3 and says how they are loaded.
async fn load_plan(
    shared: &Shared,
    table: &Table,
    settings: &Arc<Settings>,
    records: &[Kept],
    encoded: Encoded,
) -> Result<LoadPlan, Failure> {
    let body = zstd::encode_all(encoded.rows.as_slice(), 3)
        .map_err(|error| Failure::stop(format!("compress the rows: {error}")))?;
    let sha256: [u8; 32] = Sha256::digest(&body).into();
    let key = replay_key(&shared.prefix, &shared.target, &hex(&sha256));
    shared.plans.put(&*shared.store, &shared.prefix, &encoded.plan).await?;
    let (bucket, region) = (shared.store.bucket().to_owned(), shared.store.region().to_owned());
    let object = Object {
        bucket: bucket.clone(),
        region: region.clone(),
        key: key.clone(),
        bytes: body.len() as u64,
        sha256: hex(&sha256),
    };
    let put = PutObject {
        key: key.clone(),
        body: body.into(),
        sha256,
        content_type: "text/csv",
        metadata: Vec::new(),
    };
    shared
        .store
        .put_if_absent(put)
        .await
        .map_err(|failure| failure.key(&key))?;
    let decoder = Decoder {
        version: DECODER_VERSION,
        fingerprint: settings.fingerprint(),
    };
    let dialect = Dialect {
        id: csv::DIALECT_ID.to_owned(),
        delimiter: ',',
        quote: '"',
        null: settings.null_marker.clone(),
        compression: Compression::Zstd,
    };
    let places = records.iter().map(|kept| kept.place).collect();
    let what = Rows {
        decoder,
        dialect,
        plan: &encoded.plan,
        count: encoded.count,
        longest: encoded.stats.longest_by_column(Some(&encoded.plan)),
        unchanged: encoded.stats.unchanged_columns(Some(&encoded.plan)),
        object,
    };
    replay::load_plan(&table.topic, places, what).ok_or_else(|| Failure::halt("a replay without records"))
}

/// Gives open records another status, under the table's lock. How many rows of their table that touched.
///
/// # Errors
/// When the warehouse does not answer.
pub async fn mark(shared: &Shared, table: &Table, places: &[Place], status: &str) -> Result<u64, Failure> {
    let mut session = shared.pool.take().await.map_err(|failure| connecting(&failure))?;
    let tables = StateTables::of(table.target.own(), &table.target.state_schema);
    let name = table.target.own().set_aside(&table.target.state_schema).sql();
    let update = replay::mark(&name, places, status, &shared.world.uuid(), shared.world.now_ms())?;
    let mut touched = 0;
    for sql in ["BEGIN", &tables.lock(), &update, "COMMIT"] {
        let answer = session.run(sql).await;
        let answer = answer.map_err(|failure| connecting(&failure).context("mark records set aside"))?;
        if sql == update {
            touched = answer.affected;
        }
    }
    shared.pool.give(session);
    Ok(touched)
}
