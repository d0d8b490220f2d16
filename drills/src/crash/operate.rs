//! What an operator does about a range that is lost: `s3-spolt gap`, struck between its decision and its signal (C16).

use std::time::Duration;

use anyhow::{Result, ensure};
use common::claim::Kind;

use crate::drill::Context;
use crate::flow::Flow;
use crate::member::{LOST, Member, Role, Start};
use crate::stage::{APPEND, Stage};

/// How long the command may take.
const COMMAND: Duration = Duration::from_mins(1);

/// Ends the writer, and lets retention pass what it has not claimed of one partition.
///
/// # Errors
/// When the workload or the broker fails.
pub(super) async fn lose(context: &Context, stage: &mut Stage, flow: &Flow, others: &mut Vec<Member>) -> Result<()> {
    // Dropping it is kill -9.
    others.retain(|member| member.role() != Role::Writer);
    flow.go_on(10).await?;
    let (from, to) = stage.lose(APPEND, LOST).await?;
    context.did(format!(
        "s3-spolt killed; then retention deletes `{from}..{to}` of {APPEND}, partition {LOST}, before they are claimed"
    ));
    Ok(())
}

/// Waits for the end of commands that were struck, runs one more if the log has no gap yet, and starts a writer again.
///
/// # Errors
/// When there is no gap in the end.
pub(super) async fn again(context: &Context, stage: &Stage, struck: Vec<Member>) -> Result<Vec<Member>> {
    for mut member in struck {
        ensure!(member.ends(COMMAND).await, "the command does not end");
    }
    if !has_gap(stage) {
        let mut last = stage.start(Role::Operator, "last", Start::default());
        ensure!(
            last.ends(COMMAND).await && last.is_well(),
            "the command failed: {}",
            last.log()
        );
    }
    ensure!(has_gap(stage), "the log has no gap");
    context.saw("the signal log says what is lost");
    Ok(vec![stage.start(Role::Writer, "writer", Start::default())])
}

fn has_gap(stage: &Stage) -> bool {
    stage
        .claims(APPEND)
        .iter()
        .any(|claim| claim.kind == Kind::Gap && claim.partition.0 == LOST)
}
