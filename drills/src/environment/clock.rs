//! V12: the clock of the daemons jumps.

use anyhow::{Context as _, Result};

use super::scene::Scene;
use super::{drill, quick};
use crate::drill::{Context, Drill};

const DAY_MS: i64 = 86_400_000;

pub(super) fn drills() -> Vec<Drill> {
    vec![quick(drill(
        "V12",
        "",
        "the clock of both daemons jumps a day ahead while they work, then a day behind, then back. Only what is reported \
         follows it: everything goes on.",
        run,
    ))]
}

async fn run(context: Context) -> Result<()> {
    let mut scene = Scene::set(&context).await?;
    let file = context.folder().join("clock");
    let set = |skew: i64| {
        // Renamed into place: the daemons never see half a number.
        let half = file.with_extension("part");
        std::fs::write(&half, skew.to_string()).context("write the clock's file")?;
        std::fs::rename(&half, &file).context("set the clock")
    };
    set(0)?;
    scene
        .stage
        .rig
        .env
        .push(("SPOLT_CLOCK_FILE".into(), file.display().to_string()));
    let (writer, loader) = (scene.writer("writer"), scene.loader("loader"));
    for (skew, what) in [
        (0, "right"),
        (DAY_MS, "a day ahead"),
        (-DAY_MS, "a day behind"),
        (0, "right again"),
    ] {
        set(skew)?;
        context.did(format!("the clock is {what}"));
        scene.feed(150);
        scene.equal(&[&writer, &loader]).await?;
    }
    Ok(())
}
