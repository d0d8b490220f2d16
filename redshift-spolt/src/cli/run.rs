//! `run`: joins the loader group and loads the tables that fall to this process, until told to stop.

use std::sync::Arc;

use common::failure::{Class, Failure};
use runtime::config::{Config, SignalsConfig, TopicPattern, TopicSelection};
use runtime::http;
use runtime::kafka::TopicRole;
use runtime::membership::{Change, Membership, TopicPartition};
use runtime::report::Error;
use runtime::retry::REQUESTS;
use runtime::tasks;
use runtime::world::RealWorld;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Settings, open, readiness};
use crate::driver::Shared;
use crate::driver::owner::Owner;

/// Name of the group in /readyz.
const GROUP: &str = "loader group";

/// Partition of a signal topic whose owner loads the table (rule 14).
const DECIDING: i32 = 0;

/// How long leaving the group may take of the time to stop.
const LEAVE: std::time::Duration = std::time::Duration::from_secs(5);

pub(super) async fn run(config: Config, settings: Settings) -> Result<(), Error> {
    let stop = CancellationToken::new();
    tasks::stop_on_signal(stop.clone())?;
    let readiness = readiness();
    readiness.register(GROUP);
    let world = open::as_loader(open::world(&config, &settings, &readiness).await?, &settings);
    let shared = open::shared(&config, &settings, &world, &readiness)?;
    let state = {
        let shared = Arc::clone(&shared);
        Arc::new(move || shared.watch.state(&shared.target))
    };
    let server = http::serve(settings.own.http, readiness.clone(), state).await?;
    let daemon = Daemon {
        config,
        settings,
        world,
        shared,
    };
    let result = daemon.work(&readiness, &stop).await;
    server.stop().await;
    info!("stopped");
    result
}

struct Daemon {
    config: Config,
    settings: Settings,
    world: open::World,
    shared: Arc<Shared>,
}

impl Daemon {
    async fn work(&self, readiness: &runtime::readiness::Readiness, stop: &CancellationToken) -> Result<(), Error> {
        tokio::select! {
            prepared = self.prepare() => prepared?,
            () = stop.cancelled() => return Ok(()),
        }
        let selection = signal_selection(&self.settings.own.topics, &self.config.signals)?;
        let (membership, mut changed) = Membership::join(&self.world.kafka, &selection)?;
        let (fatal, mut fatally) = unbounded_channel();
        let mut owner = Owner::new(Arc::clone(&self.shared), fatal);
        let ended = self
            .follow(&mut owner, &mut changed, &mut fatally, readiness, stop)
            .await;
        // The others may take over at once: what is in flight here may finish or die, the checkpoints decide (rule 18).
        let (_, finished) = tokio::join!(
            membership.leave(LEAVE),
            tokio::time::timeout(self.settings.own.shutdown, owner.end())
        );
        let in_time = finished.is_ok();
        match ended {
            Err(failure) => Err(failure.into()),
            Ok(()) if in_time => Ok(()),
            Ok(()) => Err(Error::Deadline),
        }
    }

    /// The progress topic, and the tables that are known already: two topics in one table are refused before anything is loaded.
    async fn prepare(&self) -> Result<(), Failure> {
        let signals = &self.config.signals;
        let mut tries = 0;
        loop {
            let done = async {
                self.world
                    .kafka
                    .ensure_progress_topic(&signals.progress_topic, signals.replication_factor)
                    .await?;
                open::topics(&self.config, &self.settings, &self.world.kafka).await
            };
            match done.await {
                Ok(tables) => {
                    info!(
                        tables = tables.len(),
                        target = self.shared.target,
                        "signal topics found"
                    );
                    return Ok(());
                }
                Err(failure) if failure.class == Class::Retry => {
                    if tries == 0 {
                        warn!(error = %failure, "prepare, will be tried again");
                    }
                    REQUESTS.wait(&RealWorld, tries).await;
                    tries += 1;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    async fn follow(
        &self,
        owner: &mut Owner,
        changed: &mut UnboundedReceiver<Change>,
        fatally: &mut UnboundedReceiver<Failure>,
        readiness: &runtime::readiness::Readiness,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                Some(failure) = fatally.recv() => return Err(failure),
                change = changed.recv() => match change {
                    Some(Change::Assigned(partitions)) => {
                        readiness.ok(GROUP);
                        for topic in deciding(&partitions) {
                            self.own(owner, topic).await?;
                        }
                    }
                    Some(Change::Revoked(partitions)) => deciding(&partitions).for_each(|topic| owner.disown(topic)),
                    Some(Change::Failing(failure)) if failure.class == Class::Retry => {
                        readiness.failing(GROUP, &failure.message);
                    }
                    Some(Change::Failing(failure)) => return Err(failure),
                    None => return Err(Failure::stop("the membership of the loader group has ended")),
                }
            }
        }
    }

    async fn own(&self, owner: &mut Owner, signals: &str) -> Result<(), Failure> {
        let topic = open::upstream(&self.config, signals)?;
        let name = self.settings.naming.table(&topic)?;
        let taken: Vec<String> = owner
            .owned()
            .filter_map(|other| self.config.signals.upstream_of(other))
            .map(str::to_owned)
            .collect();
        self.settings.naming.tables(&[taken, vec![topic.clone()]].concat())?;
        self.judge(signals).await?;
        owner.own(open::table(&self.config, &self.settings, &topic, name));
        Ok(())
    }

    /// Assumption E1 holds for signal topics too.
    async fn judge(&self, signals: &str) -> Result<(), Failure> {
        for finding in self
            .world
            .kafka
            .check_topic(signals, TopicRole::Signal)
            .await
            .unwrap_or_default()
        {
            if !self.config.kafka.allow_unsafe_topics {
                return Err(Failure::stop(finding.message).topic(finding.topic).hint(finding.hint));
            }
            warn!(
                topic = finding.topic,
                finding = finding.message,
                "signal topic could lose records"
            );
        }
        Ok(())
    }
}

fn deciding(partitions: &[TopicPartition]) -> impl Iterator<Item = &str> {
    partitions
        .iter()
        .filter(|(_, partition)| *partition == DECIDING)
        .map(|(topic, _)| topic.as_str())
}

/// The signal topics of the selected upstream topics.
fn signal_selection(topics: &TopicSelection, signals: &SignalsConfig) -> Result<TopicSelection, Failure> {
    let map = |patterns: &[TopicPattern]| {
        patterns
            .iter()
            .map(|pattern| signal_pattern(pattern, signals))
            .collect::<Result<Vec<_>, _>>()
    };
    Ok(TopicSelection {
        include: map(&topics.include)?,
        exclude: map(&topics.exclude)?,
    })
}

fn signal_pattern(pattern: &TopicPattern, signals: &SignalsConfig) -> Result<TopicPattern, Failure> {
    let text = match pattern.name() {
        Some(name) => signals.topic_for(name),
        None => {
            let whole = pattern.to_string();
            let inner = whole.strip_prefix('^').unwrap_or(&whole);
            // A `$` at the end of the topic's pattern would stand in the middle of the signal topic's.
            let inner = inner
                .strip_suffix('$')
                .filter(|rest| !rest.ends_with('\\'))
                .unwrap_or(inner);
            let (before, after) = signals
                .topic
                .split_once("{topic}")
                .unwrap_or((signals.topic.as_str(), ""));
            format!("^{}(?:{inner}){}$", regex::escape(before), regex::escape(after))
        }
    };
    TopicPattern::parse(&text).map_err(|error| Failure::stop(error).hint("check `topics` and signals.topic"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_topics_become_patterns_of_signal_topics() {
        let signals = SignalsConfig {
            topic: "spolt.signals.{topic}".into(),
            replication_factor: 1,
            progress_topic: "p".into(),
        };
        let topics = TopicSelection {
            include: vec![
                TopicPattern::parse("weather").unwrap(),
                TopicPattern::parse("^shop\\..*$").unwrap(),
            ],
            exclude: vec![TopicPattern::parse("shop.audit").unwrap()],
        };
        let selection = signal_selection(&topics, &signals).unwrap();
        for (topic, meant) in [
            ("spolt.signals.weather", true),
            ("spolt.signals.shop.orders", true),
            ("spolt.signals.shop.audit", false),
            ("spolt-signals.weather", false),
            ("weather", false),
        ] {
            assert_eq!(selection.contains(topic), meant, "{topic}");
        }
    }
}
