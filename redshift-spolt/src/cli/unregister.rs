//! `unregister`: ends the registration of a target that is no more, so that the garbage collector waits for it no longer (rule 23).

use common::failure::Failure;
use runtime::config::Config;
use runtime::port::SignalLog;
use runtime::progress;
use runtime::report::Error;
use runtime::world::RealWorld;

use super::{Settings, open, readiness};
use crate::driver::kafka::ProgressTopic;
use crate::driver::unregister::{Registered, end, registered};

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

pub(super) async fn unregister(config: Config, settings: Settings, wish: Wish) -> Result<(), Error> {
    let world = open::world(&config, &settings, &readiness()).await?;
    let topic = &config.signals.progress_topic;
    let target = wish.target.clone().unwrap_or_else(|| settings.own.target.clone());
    let registry = match world.kafka.topic(topic).await? {
        Some(_) => progress::read(&world.kafka.signal_log() as &dyn SignalLog, topic).await?,
        None => common::progress::Registry::default(),
    };
    let lines = registered(&registry, &target, &wish.topic);
    if lines.is_empty() {
        return Err(
            Failure::stop(format!("target `{target}` is not registered for any of these topics"))
                .hint("`redshift-spolt status` shows what is registered")
                .into(),
        );
    }
    if wish.apply {
        let sink = ProgressTopic::new(world.kafka.producer(), topic.clone());
        end(&sink, &RealWorld, &lines).await?;
    }
    show(&lines, &wish);
    Ok(())
}

fn show(lines: &[Registered], wish: &Wish) {
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
