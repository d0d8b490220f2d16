//! Joins the pure machines to Kafka, S3 and the warehouse: it turns the world into events and actions into effects, and decides nothing.
//!
//! | module | what it does |
//! |---|---|
//! | [`port`] | the traits through which signals come and progress goes |
//! | [`table`] | one task per table: feeds its machine, carries out what it asks for |
//! | [`load`] | one load: plan documents, manifests, session, script |
//! | [`owner`] | starts and ends table tasks as the loader group says (rule 14) |
//! | [`kafka`] | the real signal reader, membership and progress topic |
//! | [`register`] | registers a table before its first signal is read (rules 23, 24) |
//! | [`accept`] | records that an operator accepts added partitions (rules 13, 20) |
//! | [`refresh`] | begins a refresh, ends it, gives it up |
//! | [`replay`] | reads records set aside, tries them again, gives them up (rule 27) |
//! | [`silence`] | when a partition of which nothing comes is asked about |
//! | [`unregister`] | ends a target's registration, as the operator says |
//! | [`plans`] | plan documents by id, bounded |
//! | [`watch`] | metrics, and what `/state` shows |

use std::sync::Arc;

use runtime::port::{ObjectStore, World};
use tokio::sync::Semaphore;

use crate::load::machine::Limits;
use crate::warehouse::pool::Pool;

pub mod accept;
pub mod kafka;
pub mod load;
pub mod owner;
pub mod plans;
pub mod port;
pub mod refresh;
pub mod register;
pub mod replay;
pub mod silence;
pub mod table;
pub mod unregister;
pub mod watch;

/// What all tables of one process share.
pub struct Shared {
    /// Name of the target cluster.
    pub target: String,
    /// Prefix of all objects in the bucket.
    pub prefix: String,
    /// Limits of every load.
    pub limits: Limits,
    /// Create schemas that do not exist.
    pub create_schemas: bool,
    /// The authorization clause of COPY, read anew for every load since keys rotate.
    pub authorization: Box<dyn Fn() -> runtime::port::Result<String> + Send + Sync>,
    /// The bucket.
    pub store: Arc<dyn ObjectStore>,
    /// Sessions.
    pub pool: Pool,
    /// Loads that may run at once.
    pub permits: Arc<Semaphore>,
    /// How many those are.
    pub parallel_loads: usize,
    /// Plan documents.
    pub plans: plans::Plans,
    /// Signals.
    pub signals: Arc<dyn port::Signals>,
    /// Where progress is told.
    pub progress: Arc<dyn port::Progress>,
    /// Time and randomness.
    pub world: Arc<dyn World>,
    /// Metrics and state.
    pub watch: watch::Watch,
}
