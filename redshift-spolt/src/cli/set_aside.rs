//! `set-aside`: the records that have no row. Which there are, what is wrong with one, and what is to become of them (protocol rule 27).

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use clap::{Args, Subcommand};
use common::failure::Failure;
use common::ids::{Incarnation, Offset, Partition};
use common::plan::Plan;
use runtime::config::Config;
use runtime::port::Registry;
use runtime::registry;
use runtime::report::Error;
use serde::Serialize;

use super::{Settings, open, readiness};
use crate::driver::Shared;
use crate::driver::load::{connecting, look};
use crate::driver::replay::{self, kept, mark, plan_of, tried};
use crate::driver::table::Table;
use crate::load::replay::{Fate, Kept, Place};

/// Bytes of a key or value that are shown.
const SHOWN_BYTES: usize = 512;

#[derive(Debug, Args)]
pub(super) struct Wish {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List the records that were set aside.
    List {
        /// Only of this upstream topic.
        topic: Option<String>,
        /// Those as well that were replayed, superseded or discarded.
        #[arg(long)]
        all: bool,
        /// As JSON, one record a line.
        #[arg(long)]
        json: bool,
    },
    /// Show one record: what was wrong, its bytes, and what it would come to now.
    Show(At),
    /// Try the open records of a topic again by the present configuration and schemas; only shows what it would do unless --apply is given.
    Replay {
        /// The upstream topic.
        topic: String,
        /// Do it.
        #[arg(long)]
        apply: bool,
        /// Records too whose key could not be read when they were set aside: if their key was deleted since, they bring its row back.
        #[arg(long)]
        unknown_keys: bool,
    },
    /// Give a record up, so that it counts as open no more; only shows it unless --apply is given.
    Discard {
        #[command(flatten)]
        at: At,
        /// Do it.
        #[arg(long)]
        apply: bool,
    },
}

#[derive(Debug, Args)]
struct At {
    /// The upstream topic.
    topic: String,
    /// Partition.
    partition: i32,
    /// Offset.
    offset: i64,
    /// Incarnation of the topic.
    #[arg(long, default_value_t = 0)]
    incarnation: u32,
}

impl At {
    fn place(&self) -> Place {
        Place {
            incarnation: Incarnation(self.incarnation),
            partition: Partition(self.partition),
            offset: Offset(self.offset),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    table: String,
    incarnation: u32,
    partition: i32,
    offset: i64,
    status: &'a str,
    reason: &'a str,
    column: Option<&'a str>,
    error: &'a str,
}

/// What all of these need.
struct Desk {
    config: Config,
    settings: Settings,
    world: open::World,
    shared: Arc<Shared>,
}

pub(super) async fn set_aside(config: Config, settings: Settings, wish: Wish) -> Result<(), Error> {
    let readiness = readiness();
    let world = open::world(&config, &settings, &readiness).await?;
    let shared = open::shared(&config, &settings, &world, &readiness)?;
    let desk = Desk {
        config,
        settings,
        world,
        shared,
    };
    match wish.what {
        What::List { topic, all, json } => desk.list(topic.as_deref(), all, json).await,
        What::Show(at) => desk.show(&at).await,
        What::Replay {
            topic,
            apply,
            unknown_keys,
        } => desk.replay(&topic, apply, unknown_keys).await,
        What::Discard { at, apply } => desk.discard(&at, apply).await,
    }
}

impl Desk {
    fn registry(&self) -> Result<Arc<dyn Registry>, Failure> {
        registry::configured(self.config.registry.as_ref())
    }

    fn table(&self, topic: &str) -> Result<Table, Failure> {
        let name = self.settings.naming.table(topic)?;
        Ok(open::table(&self.config, &self.settings, topic, name))
    }

    /// All records of a table, and its plan.
    async fn all(&self, table: &Table, only_open: bool) -> Result<(Vec<Kept>, Option<Arc<Plan>>), Failure> {
        let mut session = self
            .world
            .warehouse
            .connect()
            .await
            .map_err(|failure| connecting(&failure))?;
        let state = look(&mut *session, &table.target).await?;
        let plan = plan_of(&self.shared, &state).await?;
        let mut all = Vec::new();
        loop {
            let after = all.last().map(|kept: &Kept| kept.place);
            let more = kept(&mut *session, table, plan.as_deref(), only_open, after).await?;
            if more.is_empty() {
                return Ok((all, plan));
            }
            all.extend(more);
        }
    }

    async fn list(&self, topic: Option<&str>, all: bool, json: bool) -> Result<(), Error> {
        let topics = match topic {
            Some(topic) => BTreeMap::from([(topic.to_owned(), self.settings.naming.table(topic)?)]),
            None => open::topics(&self.config, &self.settings, &self.world.kafka).await?,
        };
        let mut out = std::io::stdout().lock();
        let mut shown = 0;
        for topic in topics.keys() {
            let table = self.table(topic)?;
            for kept in &self.all(&table, !all).await?.0 {
                shown += 1;
                let line = line(topic, &table, kept);
                // A reader that has seen enough closes the pipe.
                let _ = if json {
                    writeln!(out, "{}", serde_json::to_string(&line).unwrap_or_default())
                } else {
                    writeln!(
                        out,
                        "{} [{}] {}  {}  {}{}: {}",
                        topic,
                        line.partition,
                        line.offset,
                        line.status,
                        line.reason,
                        line.column.map_or(String::new(), |column| format!(" in `{column}`")),
                        line.error
                    )
                };
            }
        }
        if shown == 0 && !json {
            let _ = writeln!(out, "no record is set aside{}", if all { "" } else { " and open" });
        }
        Ok(())
    }

    async fn one(&self, at: &At) -> Result<(Table, Kept, Option<Arc<Plan>>), Failure> {
        let table = self.table(&at.topic)?;
        let (all, plan) = self.all(&table, false).await?;
        let found = all.into_iter().find(|kept| kept.place == at.place());
        let kept = found.ok_or_else(|| {
            Failure::stop("no such record is set aside")
                .topic(&at.topic)
                .partition(Partition(at.partition))
                .offset(Offset(at.offset))
                .hint("`redshift-spolt set-aside list` shows which there are; one that is claimed and not yet loaded is not among them")
        })?;
        Ok((table, kept, plan))
    }

    async fn show(&self, at: &At) -> Result<(), Error> {
        let (table, kept, plan) = self.one(at).await?;
        println!(
            "{} [{}] {} of table {}",
            at.topic, at.partition, at.offset, table.target.table
        );
        println!("  status  {}", kept.status);
        let column = kept
            .column
            .as_deref()
            .map_or(String::new(), |column| format!(" in column `{column}`"));
        println!("  reason  {}{column}: {}", kept.reason, kept.error);
        println!("  key     {}", shown(kept.key.as_deref()));
        println!("  value   {}", shown(kept.value.as_deref()));
        let registry = self.registry()?;
        let settings = Arc::new(self.config.topics.for_topic(&at.topic).rows());
        let encoded = tried(&*registry, std::slice::from_ref(&kept), &settings, plan).await?;
        match encoded.fates.first() {
            Some(Fate::Bad(error)) => println!("  now     {}\n  hint: {}", error.problem, error.hint()),
            Some(Fate::Rows) => {
                println!(
                    "  now     it can be read; `redshift-spolt set-aside replay {}` applies it",
                    at.topic
                );
                print!("{}", String::from_utf8_lossy(&encoded.rows));
            }
            Some(Fate::Nothing) => println!("  now     it makes no row"),
            Some(Fate::Truncate) => println!("  now     it empties the table"),
            None => {}
        }
        Ok(())
    }

    async fn replay(&self, topic: &str, apply: bool, unknown_keys: bool) -> Result<(), Error> {
        let table = self.table(topic)?;
        let registry = self.registry()?;
        let settings = Arc::new(self.config.topics.for_topic(topic).rows());
        if apply {
            let report = replay::replay(&self.shared, &*registry, &table, &settings, unknown_keys).await?;
            for (kept, reason) in &report.left {
                println!("left  [{}] {}: {reason}", kept.place.partition, kept.place.offset);
            }
            println!(
                "{} records were replayed or proved to be too late, {} needed nothing, {} are left",
                report.applied,
                report.nothing,
                report.left.len()
            );
            return Ok(());
        }
        let (all, plan) = self.all(&table, true).await?;
        let encoded = tried(&*registry, &all, &settings, plan).await?;
        for (kept, fate) in all.iter().zip(&encoded.fates) {
            let fate = match fate {
                Fate::Rows if kept.key_known => "can be read now".to_owned(),
                Fate::Rows => "can be read now; its key could not be when it was set aside".to_owned(),
                Fate::Nothing => "makes no row".to_owned(),
                Fate::Truncate => "empties the table, which is not replayed".to_owned(),
                Fate::Bad(error) => error.problem.to_string(),
            };
            println!("[{}] {}: {fate}", kept.place.partition, kept.place.offset);
        }
        let good = encoded.fates.iter().filter(|fate| **fate == Fate::Rows).count();
        println!(
            "\nNothing was done. {good} of {} open records can be read now.",
            all.len()
        );
        println!("  redshift-spolt set-aside replay {topic} --apply");
        Ok(())
    }

    async fn discard(&self, at: &At, apply: bool) -> Result<(), Error> {
        let (table, kept, _) = self.one(at).await?;
        println!("[{}] {} is {}: {}", at.partition, at.offset, kept.status, kept.error);
        if kept.status != "open" {
            println!("Nothing is to be done: only open records can be discarded.");
        } else if apply {
            mark(&self.shared, &table, &[kept.place], "discarded").await?;
            println!("Discarded. Its bytes stay in the table.");
        } else {
            println!("\nNothing was done.");
            println!(
                "  redshift-spolt set-aside discard {} {} {} --apply",
                at.topic, at.partition, at.offset
            );
        }
        Ok(())
    }
}

fn line<'a>(topic: &'a str, table: &Table, kept: &'a Kept) -> Line<'a> {
    Line {
        topic,
        table: table.target.table.to_string(),
        incarnation: kept.place.incarnation.0,
        partition: kept.place.partition.0,
        offset: kept.place.offset.0,
        status: &kept.status,
        reason: &kept.reason,
        column: kept.column.as_deref(),
        error: &kept.error,
    }
}

/// Bytes as text where they are some, with what is no text escaped.
fn shown(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else {
        return "null".to_owned();
    };
    let cut = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let rest = if cut.len() < bytes.len() { " …" } else { "" };
    format!("{} bytes: {}{rest}", bytes.len(), cut.escape_ascii())
}
