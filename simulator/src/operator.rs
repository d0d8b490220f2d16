//! What operators do: the commands' own code over the ports, as a process that may crash, stand still, or run twice at once.

use std::sync::Arc;

use common::claim::Kind;
use common::failure::Failure;
use common::ids::Partition;
use redshift_spolt::driver::accept::{barriers, record};
use redshift_spolt::driver::load::{connecting, look};
use redshift_spolt::driver::refresh;
use redshift_spolt::driver::replay::{self, kept, mark, plan_of};
use redshift_spolt::driver::unregister::{end, registered};
use redshift_spolt::load::growth::propose;
use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::refresh::Step;
use runtime::port::{SignalLog, Upstream, Warehouse, World as _};
use runtime::progress;
use s3_spolt::collect::{Collector, Rules, Source};
use s3_spolt::ingest::operator::At;
use s3_spolt::operate::{Operation, Wish, needs_solitude};

use crate::attendant::poison;
use crate::fake::signals::PROGRESS;
use crate::host::{CLUSTER, PREFIX, Shape, TARGETS, shared, table};
use crate::judge;
use crate::schedule::{Command, Refresh};
use crate::workload::{KEYED, TOPICS, signals_of};
use crate::world::Port;

/// Runs a command and says what it came to.
///
/// # Errors
/// As the command fails.
pub async fn run(port: Port, command: Command, shape: Shape) -> Result<String, Failure> {
    match command {
        Command::Collect => collect(&port).await,
        Command::Unregister => unregister(&port).await,
        Command::Reset(topic, partition) => reset(&port, topic, partition).await,
        Command::Gap(topic, partition) => gap(&port, topic, partition).await,
        Command::Accept(_) => accept(&port).await,
        Command::Replay(_, topic) => replay(&port, shape, topic).await,
        Command::Discard(_, topic) => discard(&port, shape, topic).await,
        Command::Refresh(_, topic, step) => refresh(&port, shape, topic, step).await,
        Command::RaiseLimit => Ok("a setting, no command".to_owned()),
    }
}

/// A collector by the configuration of now.
#[must_use]
pub fn collector(port: &Port) -> Collector {
    let shared = Arc::new(port.clone());
    let state = port.world.state();
    Collector {
        store: shared.clone(),
        log: shared.clone(),
        world: shared,
        cluster: CLUSTER.into(),
        signature: (port.name.to_string(), "simulated".into()),
        rules: Rules {
            prefix: PREFIX.into(),
            progress_topic: PROGRESS.into(),
            targets: state.configured.clone(),
            retention_ms: state.retention_ms,
        },
    }
}

/// `s3-spolt gc --apply`, of all partitions.
async fn collect(port: &Port) -> Result<String, Failure> {
    let sources = |state: &crate::world::State| -> Vec<Source> {
        let of_topic = |topic: &&'static str| {
            let count = state.signals.topics.get(&signals_of(topic)).map_or(0, Vec::len);
            let topic = *topic;
            (0..count).map(move |number| Source {
                topic: topic.to_owned(),
                signal_topic: signals_of(topic),
                partition: Partition(i32::try_from(number).unwrap_or(0)),
            })
        };
        TOPICS.iter().flat_map(of_topic).collect()
    };
    let sources = sources(&port.world.state());
    let reports = collector(port).apply(&sources, |_| {}).await?;
    let objects: u64 = reports.iter().map(|report| report.objects).sum();
    Ok(format!("{objects} objects deleted"))
}

/// `redshift-spolt unregister --apply`, for the second target; then the configuration lists it no longer.
async fn unregister(port: &Port) -> Result<String, Failure> {
    let registry = progress::read(port as &dyn SignalLog, PROGRESS).await?;
    let registrations = registered(&registry, TARGETS[1], &[]);
    end(port, port, &registrations).await?;
    port.world.state().configured.remove(TARGETS[1]);
    Ok(format!("{} registrations ended", registrations.len()))
}

/// `s3-spolt reset --apply`: of a whole topic, or of a partition from where it was cut.
async fn reset(port: &Port, topic: &'static str, partition: Option<Partition>) -> Result<String, Failure> {
    let cut = |partition| {
        let state = port.world.state();
        let log = state.upstream.log(topic, partition)?;
        let cut = log.truncated_at.last()?;
        Some(At::Offset((*cut).max(log.start)))
    };
    let wish = Wish::Reset {
        partitions: partition.into_iter().collect(),
        at: partition.and_then(cut),
    };
    operate(port, topic, wish, false).await
}

/// `s3-spolt gap --apply`, past a record that cannot be read with `--force`. Whoever insists has read what would be given up: nothing but
/// that record.
async fn gap(port: &Port, topic: &'static str, partition: Partition) -> Result<String, Failure> {
    let poison = poison(&port.world.state(), (topic, partition));
    if let Some(offset) = poison {
        let claimed = port.world.state().signals.claims(&signals_of(topic), partition);
        let next = claimed
            .iter()
            .filter(|claim| claim.kind != Kind::Horizon)
            .map(|claim| claim.next)
            .max();
        let first = port.next_visible(topic, partition, next.unwrap_or(offset)).await?;
        if first != Some(offset) {
            return Ok(format!("not yet: offset {first:?} would be given up as well"));
        }
    }
    let wish = Wish::Gap {
        partition,
        to: poison.map(|offset| offset.next()),
    };
    operate(port, topic, wish, poison.is_some()).await
}

async fn operate(port: &Port, topic: &'static str, wish: Wish, force: bool) -> Result<String, Failure> {
    let shared = Arc::new(port.clone());
    let operation = Operation {
        store: shared.clone(),
        log: shared.clone(),
        upstream: shared,
        cluster: CLUSTER.into(),
        prefix: PREFIX.into(),
        topic: topic.into(),
        signals: signals_of(topic),
        signature: (port.name.to_string(), "simulated".into()),
        wish,
        force,
    };
    let count = port.facts(topic, Partition(0)).await?.partitions;
    let proposals = operation.propose(count).await?;
    if needs_solitude(&proposals) {
        return Err(Failure::stop("the lineage is healthy"));
    }
    let mut said = Vec::new();
    for proposal in proposals {
        match proposal.claim {
            Ok(claim) => said.push(format!("{:?}", operation.append(claim).await?)),
            Err(refusal) => said.push(refusal.to_string()),
        }
    }
    Ok(said.join("; "))
}

/// `redshift-spolt accept-partitions --apply` for the keyed topic.
async fn accept(port: &Port) -> Result<String, Failure> {
    // Of the mode nothing is asked here.
    let table = table(KEYED, Mode::Upsert);
    judge::accepts(&mut port.world.state(), &port.name);
    let mut session = port.connect().await.map_err(|failure| connecting(&failure))?;
    let state = look(&mut *session, &table.target).await?;
    let count = port.facts(KEYED, Partition(0)).await?.partitions;
    let barriers = barriers(port, port, &table, &state).await?;
    let proposal = propose(&state, count, &barriers)?;
    record(&mut *session, &table, count, &barriers).await?;
    Ok(format!("{:?} accepted", proposal.increase))
}

/// `redshift-spolt set-aside replay --apply`.
async fn replay(port: &Port, shape: Shape, topic: &'static str) -> Result<String, Failure> {
    let (shared, table) = (shared(port, shape), table(topic, shape.keyed));
    let report = replay::replay(&shared, port, &table, &port.settings(), false).await?;
    Ok(format!("{} applied, {} left", report.applied, report.left.len()))
}

/// `redshift-spolt set-aside discard --apply`, for any of the open records.
async fn discard(port: &Port, shape: Shape, topic: &'static str) -> Result<String, Failure> {
    let (shared, table) = (shared(port, shape), table(topic, shape.keyed));
    let mut session = port.connect().await.map_err(|failure| connecting(&failure))?;
    let state = look(&mut *session, &table.target).await?;
    let plan = plan_of(&shared, &state).await?;
    let open = kept(&mut *session, &table, plan.as_deref(), true, None).await?;
    let chosen = usize::try_from(port.random_below(open.len() as u64)).unwrap_or(0);
    let Some(one) = open.get(chosen) else {
        return Ok("nothing is open".to_owned());
    };
    let touched = mark(&shared, &table, &[one.place], "discarded").await?;
    Ok(format!("{touched} discarded"))
}

/// `redshift-spolt refresh begin | finish | give-up --apply`.
async fn refresh(port: &Port, shape: Shape, topic: &'static str, step: Refresh) -> Result<String, Failure> {
    let step = match step {
        Refresh::Begin => Step::Begin,
        Refresh::Finish => Step::Finish,
        Refresh::GiveUp => Step::GiveUp,
    };
    let table = table(topic, shape.keyed);
    let mut session = port.connect().await.map_err(|failure| connecting(&failure))?;
    let state = refresh::judge(&mut *session, &table, step).await?;
    let rows = refresh::rows(&mut *session, &table, &state).await?;
    let load_id = port.uuid();
    refresh::take(&mut *session, &table, step, (&load_id, port.now_ms())).await?;
    Ok(format!("{step:?}: {} rows, {} beside", rows.own, rows.beside))
}
