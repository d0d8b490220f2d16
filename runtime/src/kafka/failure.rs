//! What an error of librdkafka allows: to try again, or to stop with the reason.

use common::failure::Failure;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

/// Classifies an error; `doing` is what was tried, a lower-case phrase such as `read the signal log`.
#[must_use]
pub fn failure(doing: &str, error: &KafkaError) -> Failure {
    match error {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => Failure::stop(format!("{doing}: {error}"))
            .hint("check [kafka.properties] against librdkafka's CONFIGURATION.md"),
        KafkaError::AdminOp(code) => of_code(doing, *code),
        other => match other.rdkafka_error_code() {
            Some(code) => of_code(doing, code),
            None => Failure::retry(format!("{doing}: {other}")),
        },
    }
}

/// The same for a bare code.
pub(super) fn of_code(doing: &str, code: Code) -> Failure {
    let message = format!("{doing}: {code}");
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism | Code::IllegalSASLState => {
            Failure::stop(message)
                .hint("check \"sasl.mechanism\", \"sasl.username\" and the password in [kafka], and \"security.protocol\"")
        }
        Code::TopicAuthorizationFailed => Failure::stop(message).hint(
            "grant Describe, DescribeConfigs and Read on upstream topics; Describe, Read, Write, Create and Alter on signal topics",
        ),
        Code::GroupAuthorizationFailed => Failure::stop(message).hint("grant Read on the consumer group named by `group_id`"),
        Code::ClusterAuthorizationFailed => {
            Failure::stop(message).hint("grant Create on the cluster, or create the signal and progress topics yourself")
        }
        Code::InvalidReplicationFactor => {
            Failure::stop(message).hint("signals.replication_factor is more than there are brokers: write 1 for a single broker")
        }
        Code::InvalidTopic => Failure::stop(message).hint("check the name of the topic, and signals.topic"),
        Code::PolicyViolation | Code::InvalidConfig | Code::SecurityDisabled | Code::TopicDeletionDisabled => {
            Failure::stop(message).hint("the cluster's policy refuses it: create the topic yourself as docs/configuration.md says")
        }
        Code::UnsupportedVersion | Code::UnsupportedFeature | Code::UnsupportedForMessageFormat => {
            Failure::stop(message).hint("the brokers are too old: Kafka 2.5 or later is needed")
        }
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => {
            Failure::halt(message).hint("raise max.message.bytes of the signal topic; a claim has some kilobytes")
        }
        _ => Failure::retry(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::failure::Class;

    #[test]
    fn what_cannot_get_better_stops_and_the_rest_is_tried_again() {
        let class = |code| failure("ask", &KafkaError::Global(code)).class;
        assert_eq!(class(Code::BrokerTransportFailure), Class::Retry);
        assert_eq!(class(Code::MessageTimedOut), Class::Retry);
        assert_eq!(class(Code::UnknownTopicOrPartition), Class::Retry);
        assert_eq!(class(Code::Authentication), Class::Stop);
        assert_eq!(class(Code::TopicAuthorizationFailed), Class::Stop);
        assert_eq!(class(Code::MessageSizeTooLarge), Class::Halt);
        assert_eq!(
            failure("ask", &KafkaError::ClientCreation("no".into())).class,
            Class::Stop
        );
        assert!(
            failure("ask", &KafkaError::AdminOp(Code::InvalidReplicationFactor))
                .hint
                .is_some()
        );
    }
}
