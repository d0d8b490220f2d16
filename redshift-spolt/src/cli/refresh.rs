//! `refresh begin | finish | give-up TOPIC`: what a source sends again takes the place of all that a table holds. What decides is
//! `load::refresh`, what carries it out `driver::refresh`; here it is shown.

use clap::{Args, Subcommand};
use common::failure::Failure;
use runtime::config::Config;
use runtime::port::World as _;
use runtime::report::Error;
use runtime::world::RealWorld;

use super::{Settings, open, readiness};
use crate::driver::load::connecting;
use crate::driver::refresh::{judge, rows, take};
use crate::load::refresh::Step;

/// What is asked for.
#[derive(Debug, Args)]
pub(super) struct Wish {
    #[command(subcommand)]
    step: Steps,
}

#[derive(Debug, Subcommand)]
enum Steps {
    /// Load into a table beside from now on; the table stays as it is.
    Begin(Of),
    /// Let what was loaded since take the place of the table's rows.
    Finish(Of),
    /// Forget what was loaded since, and load it into the table instead.
    GiveUp(Of),
}

#[derive(Debug, Args)]
struct Of {
    /// The upstream topic.
    topic: String,
    /// Do it; without this it is only shown.
    #[arg(long)]
    apply: bool,
}

impl Steps {
    fn parts(&self) -> (Step, &'static str, &Of) {
        match self {
            Steps::Begin(of) => (Step::Begin, "begin", of),
            Steps::Finish(of) => (Step::Finish, "finish", of),
            Steps::GiveUp(of) => (Step::GiveUp, "give-up", of),
        }
    }
}

pub(super) async fn refresh(config: Config, settings: Settings, wish: Wish) -> Result<(), Error> {
    let (step, word, of) = wish.step.parts();
    let readiness = readiness();
    let world = open::world(&config, &settings, &readiness).await?;
    let name = settings.naming.table(&of.topic)?;
    let table = open::table(&config, &settings, &of.topic, name);
    let at_table = |failure: Failure| failure.topic(&of.topic);
    let connected = world.warehouse.connect().await;
    let mut session = connected.map_err(|failure| connecting(&failure))?;
    let state = judge(&mut *session, &table, step).await.map_err(at_table)?;
    let rows = rows(&mut *session, &table, &state).await.map_err(at_table)?;
    let (own, beside) = (&table.target.table, table.target.table.refresh());
    match step {
        Step::Begin => println!(
            "{own} has {} rows and keeps them until the refresh is finished; what comes from now on goes into {beside}",
            rows.own
        ),
        Step::Finish => println!(
            "the {} rows of {beside} take the place of the {} rows of {own}, in one transaction",
            rows.beside, rows.own
        ),
        Step::GiveUp => println!(
            "{beside} with its {} rows is dropped; {own} has {} rows, and what came since the begin is loaded into it",
            rows.beside, rows.own
        ),
    }
    if !of.apply {
        println!(
            "\nNothing was done. To do it:\n  redshift-spolt refresh {word} {} --apply",
            of.topic
        );
        if step == Step::Begin {
            println!("and then let the source send every row again: a new snapshot, or a full export");
        }
        return Ok(());
    }
    let stamp = (RealWorld.uuid(), RealWorld.now_ms());
    let taken = take(&mut *session, &table, step, (&stamp.0, stamp.1)).await;
    taken.map_err(at_table)?;
    println!("\nDone. A running loader takes it up with its next load, or within half a minute.");
    Ok(())
}
