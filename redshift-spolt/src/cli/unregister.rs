//! `unregister`: ends the registration of a target that is no more, so that the garbage collector waits for it no longer (rule 23).

use common::failure::Failure;
use common::progress::{Statement, Unpin};
use runtime::config::Config;
use runtime::port::{SignalLog, World};
use runtime::progress;
use runtime::report::Error;
use runtime::world::RealWorld;
use serde::Serialize;

use super::{Settings, open, readiness};
use crate::driver::kafka::ProgressTopic;
use crate::driver::port::Progress;

/// What was asked for.
#[derive(Debug, clap::Args)]
pub(super) struct Wish {
    /// Upstream topics; all that the target is registered for unless given.
    topic: Vec<String>,
    /// The target; that of the configuration unless given.
    #[arg(long)]
    target: Option<String>,
    /// Does it.
    #[arg(long)]
    apply: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line {
    target: String,
    topic: String,
    table: String,
    /// Partition and first offset that is not applied.
    positions: Vec<(i32, i64)>,
}

pub(super) async fn unregister(config: Config, settings: Settings, wish: Wish) -> Result<(), Error> {
    let world = open::world(&config, &settings, &readiness()).await?;
    let topic = &config.signals.progress_topic;
    let target = wish.target.clone().unwrap_or_else(|| settings.own.target.clone());
    let registry = match world.kafka.topic(topic).await? {
        Some(_) => progress::read(&world.kafka.signal_log() as &dyn SignalLog, topic).await?,
        None => common::progress::Registry::default(),
    };
    let topics: Vec<&str> = registry.topics().collect();
    let lines: Vec<Line> = topics
        .into_iter()
        .filter(|topic| wish.topic.is_empty() || wish.topic.iter().any(|wanted| wanted == topic))
        .flat_map(|topic| {
            registry
                .targets(topic)
                .map(move |(name, registration)| (topic, name, registration))
        })
        .filter(|(_, name, _)| *name == target)
        .map(|(topic, name, registration)| Line {
            target: name.to_owned(),
            topic: topic.to_owned(),
            table: registration.table.clone(),
            positions: registration
                .at
                .iter()
                .map(|(partition, standing)| (partition.0, standing.position.next.0))
                .collect(),
        })
        .collect();
    if lines.is_empty() {
        return Err(
            Failure::stop(format!("target `{target}` is not registered for any of these topics"))
                .hint("`redshift-spolt status` shows what is registered")
                .into(),
        );
    }
    if wish.apply {
        let sink = ProgressTopic::new(world.kafka.producer(), topic.clone());
        for line in &lines {
            let unpin = Statement::Unpin(Unpin {
                target: line.target.clone(),
                topic: line.topic.clone(),
                at_ms: RealWorld.now_ms(),
            });
            sink.publish(unpin.key(), unpin.encode()).await?;
        }
    }
    show(&lines, &wish);
    Ok(())
}

fn show(lines: &[Line], wish: &Wish) {
    if wish.json {
        println!("{}", serde_json::to_string_pretty(lines).unwrap_or_default());
        return;
    }
    for line in lines {
        let positions: Vec<String> = line
            .positions
            .iter()
            .map(|(partition, next)| format!("{partition}: {next}"))
            .collect();
        let stands = if positions.is_empty() {
            "nothing applied".to_owned()
        } else {
            format!("applied before {}", positions.join(", "))
        };
        println!("{}  {}  {}  {stands}", line.target, line.topic, line.table);
    }
    if wish.apply {
        println!(
            "\nThese are registered no longer. Take the target out of [s3_spolt.gc] targets too, or nothing is collected."
        );
    } else {
        println!(
            "\nWould be registered no longer: objects that this target alone still needs may then be deleted. Nothing was done; --apply does it, \
             once no loader of the target runs (a running one registers again when it starts)."
        );
    }
}
