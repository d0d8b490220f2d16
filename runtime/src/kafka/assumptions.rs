//! Whether a topic's settings keep assumption E1: records below the last stable offset never change.

use std::collections::HashMap;

use rdkafka::admin::{AdminOptions, ResourceSpecifier};

use super::ANSWER_TIMEOUT;
use super::admin::SIGNAL_SETTINGS;
use super::clients::Kafka;
use super::failure::of_code;
use crate::port::Result;

/// What a topic is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicRole {
    /// Records are read from it.
    Upstream,
    /// Signals are written to it.
    Signal,
}

/// A setting that breaks an assumption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The topic.
    pub topic: String,
    /// What is wrong, such as "`min.insync.replicas` is `1`, must be at least `2`".
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "topic `{}`: {}\nhint: {}", self.topic, self.message, self.hint)
    }
}

impl Kafka {
    /// Judges a topic; no findings mean that it is safe.
    ///
    /// # Errors
    /// Of class retry while no broker answers or the topic does not exist; of class stop without the right to describe it.
    pub async fn check_topic(&self, topic: &str, role: TopicRole) -> Result<Vec<Finding>> {
        let Some(meta) = self.topic(topic).await? else {
            return Err(of_code(
                "describe the topic",
                rdkafka::types::RDKafkaErrorCode::UnknownTopicOrPartition,
            )
            .topic(topic));
        };
        let options = AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT));
        let answer = self
            .admin
            .describe_configs([&ResourceSpecifier::Topic(topic)], &options)
            .await;
        let answer = answer.map_err(|error| self.context.judge("describe the topic", &error).topic(topic))?;
        let mut settings = HashMap::new();
        for resource in answer {
            let resource = resource.map_err(|code| of_code("describe the topic", code).topic(topic))?;
            settings.extend(
                resource
                    .entries
                    .into_iter()
                    .filter_map(|entry| Some((entry.name, entry.value?))),
            );
        }
        Ok(findings(topic, role, meta.replication, &settings))
    }
}

fn findings(topic: &str, role: TopicRole, replication: u32, settings: &HashMap<String, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |message: String, hint: String| {
        findings.push(Finding {
            topic: topic.to_owned(),
            message,
            hint,
        })
    };
    let alter = |key: &str, value: &str| {
        format!("kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {key}={value}")
    };
    let get = |key: &str| settings.get(key).map_or("unknown", String::as_str);
    if get("unclean.leader.election.enable") != "false" {
        let value = get("unclean.leader.election.enable");
        let message = format!(
            "`unclean.leader.election.enable` is `{value}`, must be `false`: a failover may lose acknowledged records"
        );
        found(message, alter("unclean.leader.election.enable", "false"));
    }
    if replication < 3 {
        let message = format!(
            "replication factor is `{replication}`, must be at least `3`: the loss of a broker may lose records"
        );
        found(
            message,
            "raise it with kafka-reassign-partitions.sh, or set kafka.allow_unsafe_topics = true".to_owned(),
        );
    }
    if get("min.insync.replicas").parse::<u32>().is_ok_and(|count| count < 2) {
        let value = get("min.insync.replicas");
        let message = format!(
            "`min.insync.replicas` is `{value}`, must be at least `2`: an acknowledged record may be on one broker"
        );
        found(message, alter("min.insync.replicas", "2"));
    }
    if role == TopicRole::Signal {
        for (key, wanted) in SIGNAL_SETTINGS {
            if get(key) != wanted {
                let message = format!(
                    "`{key}` is `{}`, must be `{wanted}`: a new target reads all signals from the beginning",
                    get(key)
                );
                found(message, alter(key, wanted));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(changes: &[(&str, &str)]) -> HashMap<String, String> {
        let good = [
            ("unclean.leader.election.enable", "false"),
            ("min.insync.replicas", "2"),
            ("cleanup.policy", "delete"),
            ("retention.ms", "-1"),
            ("retention.bytes", "-1"),
        ];
        good.iter()
            .chain(changes)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_topic_that_may_lose_records_is_found() {
        assert!(findings("t", TopicRole::Signal, 3, &settings(&[])).is_empty());
        let count =
            |role, replication, changes: &[(&str, &str)]| findings("t", role, replication, &settings(changes)).len();
        assert_eq!(
            count(
                TopicRole::Upstream,
                3,
                &[("retention.ms", "604800000"), ("cleanup.policy", "compact")]
            ),
            0
        );
        assert_eq!(
            count(
                TopicRole::Signal,
                3,
                &[("retention.ms", "604800000"), ("cleanup.policy", "compact")]
            ),
            2
        );
        assert_eq!(count(TopicRole::Upstream, 1, &[("min.insync.replicas", "1")]), 2);
        assert_eq!(
            count(TopicRole::Upstream, 3, &[("unclean.leader.election.enable", "true")]),
            1
        );
    }
}
