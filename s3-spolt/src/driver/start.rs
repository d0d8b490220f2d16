//! Puts the driver together: encoder threads, the polling thread, the coordinator.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use common::claim::Compression;
use common::failure::Failure;
use runtime::readiness::Readiness;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use crate::ingest::batch::Limits;
use crate::ingest::budget::Budget;
use crate::ingest::machine::Start;

use super::compress::Pool;
use super::coordinator::{Coordinator, Input, Parts};
use super::effects::{Effects, Ports};
use super::encode::{Encode, Place, Shared};
use super::fetch::{Command, Fetch, Fetcher};
use super::memory::Memory;
use super::queue::{Inbox, queue};

/// One compression context costs about this much (zstd at level 1 and gzip alike); a sixteenth of the memory may go into them.
const CONTEXT_BYTES: u64 = 1 << 20;
/// Contexts beyond this do not make two cores faster.
const CONTEXTS_MAX: u64 = 256;

/// What the driver needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Source cluster id.
    pub cluster: String,
    /// Names that claims carry.
    pub place: Place,
    /// When objects are cut.
    pub limits: Limits,
    /// Compression and its level.
    pub compression: (Compression, i32),
    /// How memory is divided.
    pub budget: Budget,
    /// Encoder threads.
    pub encode_threads: usize,
    /// Objects on their way to S3 at once.
    pub uploads: usize,
    /// Sealed objects of one partition beyond which it pauses.
    pub sealed_per_partition: usize,
    /// Where new lineages begin.
    pub start: Start,
    /// When nothing came of a partition for so long, other clients are asked whether there is anything.
    pub silence: Duration,
}

/// A running driver.
pub struct Running {
    /// Tells the coordinator what happened.
    pub inbox: UnboundedSender<Input>,
    /// The coordinator's end: `Ok` when drained.
    pub ended: tokio::task::JoinHandle<Result<(), Failure>>,
    /// The account of memory.
    pub memory: Arc<Memory>,
    /// What /state shows.
    pub state: watch::Receiver<serde_json::Value>,
    /// Ends when all senders are gone, which is when the coordinator has ended.
    pub threads: Vec<JoinHandle<()>>,
}

/// A running coordinator, and what has to be run beside it: by threads of their own ([`start`]), or turn by turn by somebody who drives
/// the time.
pub struct Assembled<F> {
    /// The coordinator; no thread runs yet.
    pub running: Running,
    /// The encoders, each with its inbox.
    pub encoders: Vec<(Encode, Inbox)>,
    /// What polls the fetch client.
    pub fetch: Fetch<F>,
    /// What it is told.
    pub commands: Receiver<Command>,
}

/// Starts everything. Nothing is owned until a membership change says so.
///
/// # Errors
/// When a thread or a compression context cannot be made.
pub fn start<F: Fetcher>(settings: Settings, ports: Ports, fetcher: F, readiness: Readiness) -> io::Result<Running> {
    let Assembled {
        mut running,
        encoders,
        fetch,
        commands,
    } = assemble(settings, ports, fetcher, readiness)?;
    for (number, (encode, inbox)) in encoders.into_iter().enumerate() {
        let thread = named(format!("encode-{number}"), move || encode.run(&inbox))?;
        running.threads.push(thread);
    }
    let thread = named("poll".to_owned(), move || fetch.run(&commands))?;
    running.threads.push(thread);
    Ok(running)
}

/// Makes all parts, and runs the coordinator.
///
/// # Errors
/// When a compression context cannot be made.
pub fn assemble<F: Fetcher>(
    settings: Settings,
    ports: Ports,
    fetcher: F,
    readiness: Readiness,
) -> io::Result<Assembled<F>> {
    let memory = Memory::new(settings.budget);
    let contexts = (settings.budget.objects / 16 / CONTEXT_BYTES).clamp(1, CONTEXTS_MAX);
    let (compression, level) = settings.compression;
    let shared = Arc::new(Shared {
        limits: settings.limits,
        pool: Pool::new(compression, level, usize::try_from(contexts).unwrap_or(1)),
        memory: memory.clone(),
        world: ports.world.clone(),
        place: settings.place.clone(),
    });
    let (inbox, inputs) = unbounded_channel();
    let mut queues = Vec::new();
    let mut encoders = Vec::new();
    for _ in 0..settings.encode_threads.max(1) {
        let (to_encoder, encoder_inbox) = queue();
        queues.push(to_encoder);
        let (say, said) = unbounded_channel();
        forward(said, inbox.clone(), Input::Encoder);
        encoders.push((Encode::new(shared.clone(), say)?, encoder_inbox));
    }
    let (to_fetch, commands) = channel();
    let (say, said) = unbounded_channel();
    forward(said, inbox.clone(), Input::Fetch);
    let fetch = Fetch::new(fetcher, memory.clone(), queues.clone(), settings.silence, say);
    let (state, seen) = watch::channel(serde_json::Value::Null);
    let coordinator = Coordinator::new(Parts {
        effects: Arc::new(Effects::new(ports, settings.place, settings.uploads)),
        fetch: to_fetch,
        encoders: queues,
        inbox: inbox.clone(),
        readiness,
        state,
        cluster: settings.cluster,
        start: settings.start,
        sealed_per_partition: settings.sealed_per_partition,
    });
    let ended = tokio::spawn(coordinator.run(inputs));
    Ok(Assembled {
        running: Running {
            inbox,
            ended,
            memory,
            state: seen,
            threads: Vec::new(),
        },
        encoders,
        fetch,
        commands,
    })
}

fn named(name: String, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(body)
}

/// Carries what a thread says into the coordinator's inbox.
fn forward<T: Send + 'static>(
    mut said: UnboundedReceiver<T>,
    inbox: UnboundedSender<Input>,
    wrap: impl Fn(T) -> Input + Send + 'static,
) {
    tokio::spawn(async move {
        while let Some(item) = said.recv().await {
            if inbox.send(wrap(item)).is_err() {
                return;
            }
        }
    });
}
