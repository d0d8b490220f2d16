//! Kafka through librdkafka: what the protocol fixes of its settings (protocol.md section 10), and the ports on it.
//!
//! | module | what it does |
//! |---|---|
//! | [`clients`] | client settings; [`Kafka`], from which everything else comes |
//! | [`context`] | logs to tracing, errors to /readyz |
//! | [`failure`](mod@failure) | what an error of librdkafka allows |
//! | [`pool`] | a few consumers for questions, off the async threads |
//! | [`producer`] | the one idempotent producer of the process |
//! | [`signal_log`] | reads the end of a signal partition, appends to it |
//! | [`upstream`] | bounds, identity and fingerprints of upstream partitions |
//! | [`topic_id`] | the topic id, which the safe API lacks |
//! | [`admin`] | topics that are created, listed and described |
//! | [`assumptions`] | whether a topic's settings keep assumption E1 |

mod admin;
mod assumptions;
mod clients;
mod context;
mod failure;
mod pool;
mod producer;
mod signal_log;
mod topic_id;
mod upstream;

pub use admin::TopicMeta;
pub use assumptions::{Finding, TopicRole};
pub use clients::{Kafka, check_properties};
pub use context::{KafkaContext, PART, log_client};
pub use failure::failure;
pub use producer::KafkaProducer;
pub use signal_log::KafkaSignalLog;
pub use upstream::KafkaUpstream;

use std::time::Duration;

/// Longest wait for one answer of the cluster. Long enough for a leader election (seconds), short enough that /readyz tells of an
/// outage while a person still looks.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
