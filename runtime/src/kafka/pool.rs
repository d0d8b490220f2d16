//! A few consumers for questions (bounds, fingerprints, the end of a signal log), used one at a time off the async threads.

use std::sync::{Arc, Mutex, PoisonError};

use common::failure::Failure;
use rdkafka::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use tokio::sync::Semaphore;

use super::context::KafkaContext;
use super::failure::failure;
use crate::port::Result;

/// Questions at once. Recovery of hundreds of partitions is bound by the brokers' answers; each consumer costs a connection per
/// broker and some threads.
const CONSUMERS: usize = 4;

/// A consumer of the pool.
pub(super) type Asker = BaseConsumer<KafkaContext>;

/// The pool.
pub(super) struct Pool {
    config: ClientConfig,
    context: KafkaContext,
    idle: Mutex<Vec<Asker>>,
    turns: Semaphore,
}

impl Pool {
    pub(super) fn new(config: ClientConfig, context: KafkaContext) -> Pool {
        Pool {
            config,
            context,
            idle: Mutex::default(),
            turns: Semaphore::new(CONSUMERS),
        }
    }

    pub(super) fn context(&self) -> &KafkaContext {
        &self.context
    }

    /// Lends a consumer to `question` on a blocking thread. After a failure that consumer is thrown away, since its state is unknown.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        doing: &'static str,
        question: impl FnOnce(&Asker) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.turns.acquire().await;
        let pool = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let known = pool.idle().pop();
            let consumer = match known {
                Some(consumer) => consumer,
                None => pool
                    .config
                    .create_with_context(pool.context.clone())
                    .map_err(|error| failure("create a consumer", &error))?,
            };
            let answer = question(&consumer);
            if answer.is_ok() {
                pool.context.served();
                pool.idle().push(consumer);
            }
            answer
        })
        .await;
        drop(turn);
        asked.unwrap_or_else(|error| Err(Failure::retry(format!("{doing}: {error}"))))
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Asker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
