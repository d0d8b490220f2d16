//! `s3-spolt check`: everything that can be found out before the first record.

use std::sync::Arc;

use common::failure::Failure;
use runtime::config::{Config, FormatSetting, S3SpoltConfig};
use runtime::kafka::{Kafka, TopicRole};
use runtime::readiness::Readiness;
use runtime::registry::HttpRegistry;
use runtime::report::Error;
use runtime::s3::S3Store;
use runtime::world::RealWorld;

/// Prints one line for each thing that was tried.
#[derive(Default)]
struct Report {
    failed: usize,
}

impl Report {
    fn line(&mut self, what: &str, result: Result<String, Failure>) {
        match result {
            Ok(found) => println!("ok    {what}: {found}"),
            Err(failure) => {
                self.failed += 1;
                println!("FAIL  {what}: {}", failure.to_string().replace('\n', "\n      "));
            }
        }
    }
}

/// Tries Kafka, every topic that is meant, S3 and the registry.
pub async fn check(config: &Config, own: &S3SpoltConfig) -> Result<(), Error> {
    let mut report = Report::default();
    let kafka = Kafka::new(&config.kafka, &own.group_id, &Readiness::default())?;
    let mut reads_avro = true;
    match kafka.cluster_id().await {
        Ok(id) => {
            report.line("kafka", Ok(format!("cluster `{id}`")));
            reads_avro = topics(&mut report, &kafka, config, own).await;
        }
        Err(failure) => report.line("kafka", Err(failure)),
    }
    let store = S3Store::new(&config.s3, Arc::new(RealWorld), &Readiness::default()).await;
    let bucket = store.check().await.map(|()| "can be read and written".to_owned());
    report.line(&format!("bucket `{}`", config.s3.bucket), bucket);
    match &config.registry {
        Some(registry) => {
            let answer = HttpRegistry::new(registry)?
                .check()
                .await
                .map(|()| "answers".to_owned());
            report.line(&format!("registry `{}`", registry.url), answer);
        }
        None if reads_avro => report.line(
            "registry",
            Err(Failure::stop("is not configured").hint("Avro topics need registry.url")),
        ),
        None => report.line("registry", Ok("none is configured, and no topic needs one".to_owned())),
    }
    if report.failed > 0 {
        Err(Error::Check(report.failed))
    } else {
        Ok(())
    }
}

/// Judges the topics that are meant; whether one of them may be in Avro.
async fn topics(report: &mut Report, kafka: &Kafka, config: &Config, own: &S3SpoltConfig) -> bool {
    let known = match kafka.topics().await {
        Ok(known) => known,
        Err(failure) => {
            report.line("topics", Err(failure));
            return true;
        }
    };
    for name in own
        .topics
        .names()
        .filter(|name| known.iter().all(|topic| topic.name != *name))
    {
        let missing = Failure::retry("does not exist").hint("it is read as soon as it exists; is the name right?");
        report.line(&format!("topic `{name}`"), Err(missing));
    }
    let meant: Vec<_> = known.iter().filter(|topic| own.topics.contains(&topic.name)).collect();
    if meant.is_empty() {
        report.line("topics", Err(Failure::retry("no topic matches s3_spolt.topics")));
    }
    let mut reads_avro = meant.is_empty();
    for topic in meant {
        let found = kafka.check_topic(&topic.name, TopicRole::Upstream).await;
        let settings = found.and_then(|findings| match findings.as_slice() {
            findings if findings.is_empty() || config.kafka.allow_unsafe_topics => Ok(format!(
                "{} partitions, {} findings that are allowed",
                topic.partitions,
                findings.len()
            )),
            findings => Err(Failure::stop(
                findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            )),
        });
        report.line(&format!("topic `{}`", topic.name), settings);
        let format = config.topics.for_topic(&topic.name).format;
        reads_avro |= format == FormatSetting::Avro;
    }
    reads_avro
}
