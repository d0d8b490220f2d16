//! Drills of the environment (V1-V15 of protocol section 7): what happens to the brokers, the topics, the store and the warehouse.
//!
//! Each says in one sentence what is done and what is promised then: either that everything goes on and the tables come out right, or that
//! the lineage halts with an alarm that says why, nothing wrong is loaded, and the operator's way on leads to the right tables.

mod brokers;
mod clock;
mod objects;
mod outages;
mod partitions;
mod records;
mod recreated;
mod restored;
mod retention;
mod scene;
mod signals;

use std::sync::Arc;

use anyhow::Result;
use futures::FutureExt as _;

use crate::drill::{Context, Drill};

/// All of them.
#[must_use]
pub fn drills() -> Vec<Drill> {
    let mut all: Vec<Drill> = [
        brokers::drills(),
        recreated::drills(),
        retention::drills(),
        signals::drills(),
        partitions::drills(),
        records::drills(),
        outages::drills(),
        clock::drills(),
        objects::drills(),
        restored::drills(),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.sort_by_key(|drill| drill.point[1..].parse().unwrap_or(u32::MAX));
    all
}

/// What each does and what is promised then, as a Markdown table.
#[must_use]
pub fn markdown() -> String {
    let rows = drills().into_iter().map(|drill| {
        let name = if drill.quick {
            format!("**{}**", drill.name())
        } else {
            drill.name()
        };
        format!("| {name} | {} |\n", drill.what)
    });
    std::iter::once("| drill | what is done, and what is promised |\n|---|---|\n".to_owned())
        .chain(rows)
        .collect()
}

/// A drill that shares the parts with others.
fn drill<F>(point: &'static str, variant: &str, what: &str, run: fn(Context) -> F) -> Drill
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    Drill {
        point,
        variant: variant.to_owned(),
        deed: None,
        what: what.to_owned(),
        quick: false,
        alone: false,
        run: Arc::new(move |context| run(context).boxed()),
    }
}

/// Part of `--quick`, too.
fn quick(drill: Drill) -> Drill {
    Drill { quick: true, ..drill }
}

/// Weighs so much that nothing else should run meanwhile.
fn alone(drill: Drill) -> Drill {
    Drill { alone: true, ..drill }
}
