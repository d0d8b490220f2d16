//! `s3-spolt gc`: what may be deleted, and with `--apply` its deletion (rules 23, 24).

use std::io::IsTerminal as _;
use std::sync::Arc;

use common::failure::Failure;
use common::ids::Partition;
use runtime::config::{Config, S3SpoltConfig};
use runtime::kafka::Kafka;
use runtime::port::World as _;
use runtime::readiness::Readiness;
use runtime::s3::S3Store;
use runtime::world::RealWorld;

use crate::collect::{Collector, Report, Source};
use crate::run::{BUILD, rules};

/// Shows or collects the given topics, or all that this configuration reads.
pub(super) async fn gc(
    config: &Config,
    own: &S3SpoltConfig,
    topics: &[String],
    apply: bool,
    json: bool,
) -> Result<(), Failure> {
    #[cfg(feature = "drills")]
    runtime::failpoint::arm()?;
    if own.gc.targets.is_empty() {
        return Err(Failure::stop("garbage collection is off: no targets are configured")
            .hint("list every target that loads these topics in [s3_spolt.gc] targets; `redshift-spolt status` shows them"));
    }
    let readiness = Readiness::default();
    let kafka = Kafka::new(&config.kafka, &own.group_id, &readiness)?;
    if kafka.topic(&config.signals.progress_topic).await?.is_none() {
        return Err(Failure::stop("there is no progress topic, so no target has registered")
            .topic(&config.signals.progress_topic)
            .hint("start redshift-spolt first"));
    }
    let sources = sources(&kafka, config, own, topics).await?;
    let collector = Collector {
        store: Arc::new(S3Store::new(&config.s3, Arc::new(RealWorld), &readiness).await),
        log: Arc::new(kafka.signal_log()),
        world: Arc::new(RealWorld),
        cluster: kafka.cluster_id().await?,
        signature: (RealWorld.uuid(), BUILD.to_owned()),
        rules: rules(config, own),
    };
    let reports = if apply {
        let (mut done, all, shown) = (0, sources.len(), std::io::stderr().is_terminal());
        let tell = |_: &Report| {
            done += 1;
            if shown {
                eprint!("\r{done} of {all} partitions ");
            }
        };
        let reports = collector.apply(&sources, tell).await?;
        if shown {
            eprintln!();
        }
        reports
    } else {
        collector.preview(&sources).await?
    };
    if json {
        println!("{}", serde_json::to_string_pretty(&reports).unwrap_or_default());
    } else {
        show(&reports, apply);
    }
    Ok(())
}

async fn sources(
    kafka: &Kafka,
    config: &Config,
    own: &S3SpoltConfig,
    topics: &[String],
) -> Result<Vec<Source>, Failure> {
    let existing = kafka.topics().await?;
    let mut sources = Vec::new();
    for topic in topics {
        let signals = config.signals.topic_for(topic);
        if !existing.iter().any(|known| known.name == signals) {
            return Err(Failure::stop("the topic has no signal topic, so nothing of it is on S3").topic(topic));
        }
    }
    for signals in &existing {
        let Some(topic) = config.signals.upstream_of(&signals.name) else {
            continue;
        };
        let meant = if topics.is_empty() {
            own.topics.contains(topic)
        } else {
            topics.iter().any(|wanted| wanted == topic)
        };
        let partitions = (0..signals.partitions).filter_map(|number| i32::try_from(number).ok());
        sources.extend(partitions.filter(|_| meant).map(|partition| Source {
            topic: topic.to_owned(),
            signal_topic: signals.name.clone(),
            partition: Partition(partition),
        }));
    }
    sources.sort();
    Ok(sources)
}

fn show(reports: &[Report], apply: bool) {
    let width = reports
        .iter()
        .map(|report| report.topic.len())
        .max()
        .unwrap_or(5)
        .max(5);
    println!(
        "{:width$}  {:>9}  {:>4}  {:>19}  {:>9}  {:>15}  held back by",
        "topic", "partition", "life", "horizon", "objects", "bytes"
    );
    let number = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    for report in reports {
        let held = match (&report.refused, &report.held_by) {
            (Some(reason), _) => reason.clone(),
            (None, Some(target)) => target.clone(),
            (None, None) => String::new(),
        };
        println!(
            "{:width$}  {:>9}  {:>4}  {:>19}  {:>9}  {:>15}  {held}",
            report.topic,
            report.partition,
            number(report.incarnation.map(i64::from)),
            number(report.horizon),
            report.objects,
            report.bytes
        );
    }
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let (objects, bytes, failed) = (
        sum(|report| report.objects),
        sum(|report| report.bytes),
        sum(|report| report.failed),
    );
    let manifests = sum(|report| report.manifests);
    if apply {
        println!(
            "\n{objects} objects with {bytes} bytes were deleted, {failed} could not be; and {manifests} manifests."
        );
    } else {
        println!(
            "\n{objects} objects with {bytes} bytes would be deleted, and {manifests} manifests. Nothing was done; --apply does it."
        );
    }
}
