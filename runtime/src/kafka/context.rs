//! What librdkafka tells on its own account: its log goes to tracing, its errors to /readyz.

use std::sync::{Arc, Mutex, PoisonError};

use common::failure::Failure;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

use crate::readiness::Readiness;

/// Name of the part in /readyz.
pub const PART: &str = "kafka";

/// The context of every client of this crate. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct KafkaContext {
    readiness: Readiness,
    /// Why brokers last refused to let a client in; forgotten when any client is served.
    refused: Arc<Mutex<Option<String>>>,
}

impl KafkaContext {
    /// A context that tells `readiness`.
    #[must_use]
    pub fn new(readiness: Readiness) -> KafkaContext {
        readiness.register(PART);
        KafkaContext {
            readiness,
            refused: Arc::default(),
        }
    }

    /// The cluster answered.
    pub(crate) fn served(&self) {
        self.lock().take();
        self.readiness.ok(PART);
    }

    /// Judges an error: a request that times out because the brokers refuse our credentials is no time-out.
    pub(crate) fn judge(&self, doing: &str, error: &KafkaError) -> Failure {
        let failure = match self.lock().as_deref() {
            Some(reason) => super::failure::of_code(doing, Code::Authentication).context(reason),
            None => super::failure::failure(doing, error),
        };
        self.readiness.failing(PART, &failure.message);
        failure
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for KafkaContext {
    fn log(&self, level: Level, facility: &str, message: &str) {
        log_client(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            // The end of a partition also comes here (rust-rdkafka 820); it is no error.
            Some(Code::PartitionEOF) => {}
            Some(Code::Authentication | Code::SaslAuthenticationFailed) => {
                *self.lock() = Some(reason.to_owned());
                self.readiness.failing(PART, reason);
            }
            // A certificate that is not trusted does not become so; any other TLS trouble may be a broker that goes away.
            Some(Code::SSL) if reason.contains("verify failed") => {
                *self.lock() = Some(reason.to_owned());
                self.readiness.failing(PART, reason);
            }
            Some(Code::AllBrokersDown) => self.readiness.failing(PART, reason),
            _ => tracing::debug!(%error, reason, "kafka client reports trouble"),
        }
    }
}

impl ConsumerContext for KafkaContext {}

/// Passes a line of librdkafka's log to tracing, under the target `rdkafka`.
pub fn log_client(level: Level, facility: &str, message: &str) {
    match level {
        // One file configures producers and consumers: each is told of properties that are the other's.
        Level::Warning if facility == "CONFWARN" => {
            tracing::debug!(target: "rdkafka", facility, detail = message, "kafka client");
        }
        // librdkafka calls it an error when a broker is away, and says so for ever; /readyz tells it once, and a person is woken by lag.
        Level::Emerg | Level::Alert | Level::Critical | Level::Error | Level::Warning => {
            tracing::warn!(target: "rdkafka", facility, detail = message, "kafka client")
        }
        Level::Notice | Level::Info => tracing::info!(target: "rdkafka", facility, detail = message, "kafka client"),
        Level::Debug => tracing::debug!(target: "rdkafka", facility, detail = message, "kafka client"),
    }
}
