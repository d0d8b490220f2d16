//! `plan TOPIC`: the statements that the next load would run, from the same pure functions that the daemon runs. Changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::claim::{Claim, manifest_key};
use common::failure::Failure;
use common::ids::{Offset, Partition};
use runtime::config::{Config, DdlSetting};
use runtime::port::{SignalLog as _, World as _};
use runtime::report::Error;
use runtime::world::RealWorld;

use super::{Settings, authorization_shown, open, readiness};
use crate::driver::load::{catalogs, connecting, look, read_attached, replaces_columns};
use crate::driver::plans::Plans;
use crate::driver::table::Table;
use crate::load::attached;
use crate::load::machine::Limits;
use crate::load::run::LoadPlan;
use crate::load::state::State;
use crate::load::statements::{AUTHORIZATION, Facts, compile};
use crate::load::{Action, Event, Machine};

pub(super) async fn plan(config: Config, settings: Settings, topic: &str) -> Result<(), Error> {
    let readiness = readiness();
    let world = open::world(&config, &settings, &readiness).await?;
    let name = settings.naming.table(topic)?;
    let table = open::table(&config, &settings, topic, name);
    let mut session = world
        .warehouse
        .connect()
        .await
        .map_err(|failure| connecting(&failure))?;
    let state = look(&mut *session, &table.target).await?;
    let row = state.table.clone();
    let limits = Limits {
        age_ms: 0,
        ..settings.limits()
    };
    let Some(load) = next_load(&world, &table, state, limits).await? else {
        println!("-- nothing to load: every claim of `{topic}` is applied");
        return Ok(());
    };
    let plans = Plans::default();
    let mut known = BTreeMap::new();
    let of_load = load.plans().map(|(id, bucket)| (id.clone(), bucket.to_owned()));
    let of_table = row
        .as_ref()
        .and_then(|row| row.plan.clone())
        .map(|id| (id, world.store.bucket().to_owned()));
    for (id, bucket) in of_load.chain(of_table) {
        let plan = plans.get(&*world.store, &bucket, &config.s3.prefix, &id).await?;
        known.insert(id, (*plan).clone());
    }
    let catalogs = catalogs(&mut *session, &table.target.during(row.as_ref()), &load).await?;
    let load_id = RealWorld.uuid();
    let manifests: Vec<(String, String)> = (0..load.manifests())
        .map(|part| {
            (
                world.store.bucket().to_owned(),
                manifest_key(&config.s3.prefix, &settings.own.target, &load_id, part),
            )
        })
        .collect();
    let mut facts = Facts {
        load: &load,
        load_id: &load_id,
        plans: &known,
        known: row
            .as_ref()
            .and_then(|row| row.plan.as_ref())
            .and_then(|id| known.get(id)),
        table_row: row.as_ref(),
        catalog: &catalogs.target,
        deleted: &catalogs.deleted,
        aside: &catalogs.aside,
        attached: &attached::NOTHING,
        manifests: &manifests,
        region: world.store.region(),
        now_ms: RealWorld.now_ms(),
    };
    // What would be run if it may be is what this command is asked for.
    let mut target = table.target.during(row.as_ref());
    let ddl = std::mem::replace(&mut target.made.ddl, DdlSetting::Apply);
    let mut script = compile(&target, &facts)?;
    let attached;
    if replaces_columns(&script) {
        attached = read_attached(&mut *session, &target).await?;
        facts.attached = &attached;
        script = compile(&target, &facts)?;
    }
    println!(
        "-- {} claims, {} rows, {} bytes into {} in mode {}",
        load.claims(),
        load.rows(),
        load.bytes(),
        table.target.table,
        script.mode.name()
    );
    match ddl {
        DdlSetting::Apply => {}
        DdlSetting::Preview => {
            println!("-- `ddl` is \"preview\": changes of the table are left to you, and the load waits for them")
        }
        DdlSetting::Off => println!("-- `ddl` is \"off\": where the table has to change, the load halts"),
    }
    let authorization = authorization_shown(&settings.own.copy);
    for statement in script.before.iter().chain(&script.transaction) {
        println!(
            "\n-- {:?}\n{};",
            statement.purpose,
            statement.sql.replace(AUTHORIZATION, &authorization)
        );
    }
    Ok(())
}

/// Feeds the machine what the daemon would feed it, until it asks for a load or the logs end.
async fn next_load(
    world: &open::World,
    table: &Table,
    state: State,
    limits: Limits,
) -> Result<Option<LoadPlan>, Failure> {
    let found = world.kafka.topic(&table.signals).await?;
    let partitions = found.map_or(0, |topic| i32::try_from(topic.partitions).unwrap_or(i32::MAX));
    if partitions == 0 {
        return Err(Failure::stop(format!("there is no signal topic `{}`", table.signals))
            .topic(&table.topic)
            .hint("s3-spolt creates it when it begins with the topic"));
    }
    let mut actions = Vec::new();
    // Nothing is loaded before all logs were read: the age is counted from the first of them.
    let waiting = Limits {
        age_ms: 1,
        rows: u64::MAX,
        bytes: u64::MAX,
        ..limits
    };
    let mut machine = Machine::new(table.topic.clone(), partitions, waiting, table.policy, &mut actions);
    machine.step(0, Event::State(state), &mut actions);
    let wanted: Vec<(Partition, Option<Offset>)> = actions
        .drain(..)
        .filter_map(|action| match action {
            Action::ReadSignals { partition, from } => Some((partition, from)),
            _ => None,
        })
        .collect();
    for (partition, from) in wanted {
        let slice = world
            .kafka
            .signal_log()
            .read_from(
                &table.signals,
                partition,
                from.unwrap_or(Offset(0)),
                limits.queue_claims,
            )
            .await?;
        machine.step(
            0,
            Event::LogBegins {
                partition,
                low: slice.low,
            },
            &mut actions,
        );
        for record in slice.records {
            match Claim::decode(&record.value) {
                Ok(claim) => machine.step(
                    0,
                    Event::Signal {
                        partition,
                        offset: record.offset,
                        claim: Arc::new(claim),
                    },
                    &mut actions,
                ),
                Err(error) => {
                    return Err(Failure::halt(error.to_string())
                        .topic(&table.signals)
                        .partition(partition)
                        .offset(record.offset));
                }
            }
        }
    }
    machine.step(2, Event::Tick, &mut actions);
    for action in &actions {
        if let Action::Alarm { failure, .. } = action {
            println!("-- halted: {failure}");
        }
    }
    Ok(actions.into_iter().find_map(|action| match action {
        Action::Load(load) => Some(*load),
        _ => None,
    }))
}
