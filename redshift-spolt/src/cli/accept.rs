//! `accept-partitions TOPIC`: an operator's word that every producer uses all partitions of a topic that has grown (rules 13, 20). The
//! decision is `load::growth`'s, what carries it out is `driver::accept`; here it is shown.

use common::failure::Failure;
use runtime::config::Config;
use runtime::report::Error;

use super::{Settings, open, readiness};
use crate::driver::accept::{barriers, record};
use crate::driver::load::{connecting, look};
use crate::driver::table::Table;
use crate::load::growth::{Proposal, propose};
use crate::load::state::State;

pub(super) async fn accept(config: Config, settings: Settings, topic: &str, apply: bool) -> Result<(), Error> {
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
    let found = world.kafka.topic(topic).await?;
    let count = found.map_or(0, |topic| topic.partitions);
    let (upstream, log) = (world.kafka.upstream(), world.kafka.signal_log());
    let barriers = barriers(&upstream, &log, &table, &state).await?;
    let at_table = |failure: Failure| failure.topic(topic).table(table.target.table.to_string());
    let proposal = propose(&state, count, &barriers).map_err(at_table)?;
    show(&table, &proposal, &state);
    if !apply {
        println!(
            "\nNothing was done. When every producer writes to all partitions, and no transaction from before is open:"
        );
        println!("  redshift-spolt accept-partitions {topic} --apply");
        return Ok(());
    }
    record(&mut *session, &table, count, &barriers)
        .await
        .map_err(at_table)?;
    println!(
        "\nAccepted. A running loader applies the new partitions by itself, within half a minute after the old ones have caught up."
    );
    Ok(())
}

fn show(table: &Table, proposal: &Proposal, state: &State) {
    println!(
        "{} into {}: {} partitions are applied, the topic has {}",
        table.topic, table.target.table, proposal.before, proposal.increase.count
    );
    for (partition, barrier) in &proposal.increase.barriers {
        let checkpoint = state.lineages.get(partition).map(|checkpoint| checkpoint.position);
        let at = checkpoint.map_or("not begun".to_owned(), |at| at.to_string());
        let left = match checkpoint {
            Some(at) if at >= *barrier => "passed".to_owned(),
            Some(at) if at.incarnation == barrier.incarnation => {
                format!("{} offsets to go", barrier.next.0 - at.next.0)
            }
            _ => "to go".to_owned(),
        };
        println!("  partition {partition}: applied up to {at}, must reach {barrier}: {left}");
    }
    println!(
        "  partitions {}..{} are applied when all of these are passed",
        proposal.before,
        proposal.increase.count - 1
    );
}
