//! One process: a runtime of its own whose time stands still but for the simulator's steps. To drop it is kill -9: nothing of it runs
//! again, and what it had sent stays under way. Not to step it for a while is SIGSTOP: then its timers fire late.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use common::claim::Compression;
use common::failure::Failure;
use common::ids::Partition;
use redshift_spolt::driver::owner::Owner;
use redshift_spolt::driver::table::Table;
use redshift_spolt::driver::{Shared, plans, watch};
use redshift_spolt::load::machine::Limits as LoadLimits;
use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::names::TableName;
use redshift_spolt::load::run::Caps;
use redshift_spolt::load::statements::Target;
use redshift_spolt::warehouse::pool::Pool;
use runtime::port;
use runtime::readiness::Readiness;
use s3_spolt::collect::schedule::schedule;
use s3_spolt::driver::coordinator::Input;
use s3_spolt::driver::effects::Ports;
use s3_spolt::driver::encode::{AGE_TICK, Encode, Place};
use s3_spolt::driver::fetch::{Fetch, HOLD, POLL, Turn};
use s3_spolt::driver::queue::{Inbox, Next};
use s3_spolt::driver::start::{Assembled, Running, Settings, assemble};
use s3_spolt::ingest::batch::Limits;
use s3_spolt::ingest::budget::Budget;
use s3_spolt::ingest::machine::Start;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::dice::Dice;
use crate::fake::bucket::{BUCKET, REGION};
use crate::fake::fetcher::FakeFetcher;
use crate::judge::Halted;
use crate::operator;
use crate::schedule::{Command, Refresh};
use crate::workload::{APPENDED, KEYED, signals_of};
use crate::world::{Port, World};

/// Source cluster.
pub const CLUSTER: &str = "c1";
/// Prefix of all keys.
pub const PREFIX: &str = "raw";
/// Names of the targets: one that is always there, and one that begins and ends as the schedule says.
pub const TARGETS: [&str; 2] = ["main", "second"];

/// Sizes and limits that all processes of a run have.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// When objects are cut.
    pub cut: Limits,
    /// When loads start, and how large they are.
    pub load: LoadLimits,
    /// Whether objects are ever collected.
    pub collects: bool,
    /// How often s3-spolt collects by itself, milliseconds.
    pub collect_every_ms: u64,
    /// Age below which nothing is collected, milliseconds.
    pub retention_ms: i64,
    /// What the tables of the keyed topic keep.
    pub keyed: Mode,
}

impl Shape {
    /// Small limits, so that a short run has many objects and loads.
    pub fn draw(dice: &mut Dice, keyed: Mode) -> Shape {
        let cut = Limits {
            rows: dice.between(3, 16),
            bytes: 1 << 20,
            age_ms: i64::try_from(dice.between(100, 1_500)).unwrap_or(0),
        };
        let caps = Caps {
            claims: dice.between(2, 12),
            rows: 10_000,
            bytes: 1 << 30,
        };
        let load = LoadLimits {
            age_ms: i64::try_from(dice.between(50, 900)).unwrap_or(0),
            rows: dice.between(10, 60),
            bytes: 1 << 30,
            caps,
            queue_claims: dice.between(8, 60),
        };
        Shape {
            cut,
            load,
            collects: dice.chance(85),
            collect_every_ms: dice.between(400, 4_000),
            retention_ms: i64::try_from(dice.below(2_500)).unwrap_or(0),
            keyed,
        }
    }
}

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// s3-spolt.
    Spolt,
    /// redshift-spolt of a target.
    Loader(&'static str),
    /// A command of an operator.
    Operator(Command),
}

impl What {
    /// Name of the program.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            What::Spolt => "s3-spolt".to_owned(),
            What::Loader(target) => format!("redshift-spolt-{target}"),
            What::Operator(Command::Collect) => "operator-gc".to_owned(),
            What::Operator(Command::Unregister) => "operator-unregister".to_owned(),
            What::Operator(Command::Reset(..)) => "operator-reset".to_owned(),
            What::Operator(Command::Gap(..)) => "operator-gap".to_owned(),
            What::Operator(Command::Accept(target)) => format!("operator-accept-{target}"),
            What::Operator(Command::Replay(target, _)) => format!("operator-replay-{target}"),
            What::Operator(Command::Discard(target, _)) => format!("operator-discard-{target}"),
            What::Operator(Command::RaiseLimit) => "operator-raise-limit".to_owned(),
            What::Operator(Command::Refresh(target, _, step)) => {
                let step = match step {
                    Refresh::Begin => "begin",
                    Refresh::Finish => "finish",
                    Refresh::GiveUp => "give-up",
                };
                format!("operator-refresh-{step}-{target}")
            }
        }
    }

    /// Whose warehouse it reaches.
    fn target(self) -> &'static str {
        match self {
            What::Loader(target)
            | What::Operator(
                Command::Accept(target)
                | Command::Replay(target, _)
                | Command::Discard(target, _)
                | Command::Refresh(target, ..),
            ) => target,
            _ => TARGETS[0],
        }
    }
}

/// What the group tells a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// This is yours.
    Own(&'static str, Partition),
    /// This is not yours any more.
    Disown(&'static str, Partition),
}

enum Process {
    Spolt(Running),
    Loader {
        orders: UnboundedSender<Order>,
        fatal: UnboundedReceiver<Failure>,
        shared: Arc<Shared>,
    },
    Operator(JoinHandle<Result<String, Failure>>),
}

/// See the module.
pub struct Host {
    /// Name in the event log.
    pub name: Arc<str>,
    /// What it is.
    pub what: What,
    runtime: Runtime,
    port: Port,
    process: Process,
    reached: u64,
    /// Virtual time until which it is not stepped.
    pub paused_until: Option<u64>,
}

impl Host {
    /// A new process.
    ///
    /// # Errors
    /// When the machine cannot make a runtime or a compression context.
    pub fn start(world: &World, what: What, name: String, shape: Shape) -> io::Result<Host> {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
        let (born, rules) = {
            let state = world.state();
            (state.now, state.rules)
        };
        let name: Arc<str> = name.into();
        let began = runtime.block_on(async { Instant::now() });
        let port = Port {
            world: world.clone(),
            name: name.clone(),
            target: what.target(),
            born,
            began,
            rules,
            skew: Arc::new(AtomicI64::new(0)),
        };
        let process = match what {
            What::Spolt => runtime.block_on(spolt(&port, shape))?,
            What::Loader(_) => runtime.block_on(loader(&port, shape)),
            What::Operator(command) => {
                let task = operator::run(port.clone(), command, shape);
                Process::Operator(runtime.spawn(task))
            }
        };
        Ok(Host {
            name,
            what,
            runtime,
            port,
            process,
            reached: born,
            paused_until: None,
        })
    }

    /// Lets the process run until this virtual time.
    pub fn step(&mut self, to: u64) {
        if let Some(until) = self.paused_until {
            if to < until {
                return;
            }
            self.paused_until = None;
            let missed = Duration::from_millis(to.saturating_sub(self.reached));
            self.runtime.block_on(async { tokio::time::advance(missed).await });
        }
        let until = self.port.began + Duration::from_millis(to - self.port.born);
        self.runtime.block_on(async { tokio::time::sleep_until(until).await });
        self.reached = to;
    }

    /// Its wall clock jumps.
    pub fn jump(&self, millis: i64) {
        self.port.skew.fetch_add(millis, Ordering::Relaxed);
    }

    /// What the group says.
    pub fn order(&self, order: &Order) {
        // A process that has ended hears nothing.
        match (&self.process, order) {
            (Process::Spolt(running), Order::Own(topic, partition)) => {
                let _ = running
                    .inbox
                    .send(Input::Assigned(vec![((*topic).to_owned(), *partition)]));
            }
            (Process::Spolt(running), Order::Disown(topic, partition)) => {
                let _ = running
                    .inbox
                    .send(Input::Revoked(vec![((*topic).to_owned(), *partition)]));
            }
            (Process::Loader { orders, .. }, order) => {
                let _ = orders.send(order.clone());
            }
            (Process::Operator(_), _) => {}
        }
    }

    /// Why the process has ended by itself, if it has.
    pub fn ended(&mut self) -> Option<String> {
        match &mut self.process {
            Process::Spolt(running) => {
                if !running.ended.is_finished() {
                    return None;
                }
                let ended = self.runtime.block_on(&mut running.ended);
                Some(match ended {
                    Ok(Ok(())) => "drained".to_owned(),
                    Ok(Err(failure)) => failure.to_string(),
                    Err(error) => error.to_string(),
                })
            }
            Process::Loader { fatal, .. } => fatal.try_recv().ok().map(|failure| failure.to_string()),
            Process::Operator(task) => {
                if !task.is_finished() {
                    return None;
                }
                Some(match self.runtime.block_on(task) {
                    Ok(Ok(done)) => done,
                    Ok(Err(failure)) => failure.to_string(),
                    Err(error) => error.to_string(),
                })
            }
        }
    }

    /// What stands still with an alarm.
    #[must_use]
    pub fn halted(&self) -> Vec<Halted> {
        match &self.process {
            Process::Spolt(running) => halted_lineages(&running.state.borrow()),
            Process::Loader { shared, .. } => halted_tables(self.port.target, &shared.watch.state(&shared.target)),
            Process::Operator(_) => Vec::new(),
        }
    }
}

fn halted_lineages(state: &serde_json::Value) -> Vec<Halted> {
    let lineages = state["lineages"].as_array().into_iter().flatten();
    lineages
        .filter_map(|lineage| {
            let partition = i32::try_from(lineage["partition"].as_i64()?).ok()?;
            Some(Halted {
                topic: lineage["topic"].as_str()?.to_owned(),
                partition: Some(Partition(partition)),
                target: None,
                reason: lineage["halted"].as_str()?.to_owned(),
            })
        })
        .collect()
}

fn halted_tables(target: &'static str, state: &serde_json::Value) -> Vec<Halted> {
    let mut halted = Vec::new();
    for table in state["tables"]
        .as_object()
        .into_iter()
        .flat_map(|tables| tables.values())
    {
        let topic = table["topic"].as_str().unwrap_or_default();
        let mut push = |partition, reason: &str| {
            halted.push(Halted {
                topic: topic.to_owned(),
                partition,
                target: Some(target),
                reason: reason.to_owned(),
            });
        };
        if let Some(reason) = table["halted"].as_str() {
            push(None, reason);
        }
        for (partition, lineage) in table["lineages"].as_object().into_iter().flatten() {
            if let (Ok(partition), Some(reason)) = (partition.parse(), lineage["halted"].as_str()) {
                push(Some(Partition(partition)), reason);
            }
        }
    }
    halted
}

async fn spolt(port: &Port, shape: Shape) -> io::Result<Process> {
    let shared = Arc::new(port.clone());
    let ports = Ports {
        store: shared.clone(),
        signals: shared.clone(),
        upstream: shared.clone(),
        registry: shared.clone(),
        topics: shared.clone(),
        world: shared,
    };
    let settings = Settings {
        cluster: CLUSTER.into(),
        place: Place {
            bucket: BUCKET.into(),
            region: REGION.into(),
            prefix: PREFIX.into(),
            writer: port.name.to_string(),
            build: "simulated".into(),
        },
        limits: shape.cut,
        compression: (Compression::Zstd, 1),
        budget: Budget::of(16 << 20),
        encode_threads: 2,
        uploads: 2,
        sealed_per_partition: 3,
        start: Start::Earliest,
        // The fake never stalls without a word, and a question less leaves the seeds what they are.
        silence: Duration::from_secs(86_400),
    };
    let Assembled {
        running,
        encoders,
        fetch,
        commands,
    } = assemble(settings, ports, FakeFetcher::new(port.clone()), Readiness::default())?;
    for (encode, inbox) in encoders {
        tokio::spawn(encoder(encode, inbox));
    }
    tokio::spawn(poller(fetch, commands));
    tokio::spawn(schedule(
        operator::collector(port),
        Duration::from_millis(shape.collect_every_ms),
        signals_of,
        running.state.clone(),
        CancellationToken::new(),
    ));
    Ok(Process::Spolt(running))
}

/// What an encoder's thread does, turn by turn.
async fn encoder(mut encode: Encode, inbox: Inbox) {
    loop {
        match inbox.look() {
            Next::Work(work) => {
                encode.turn(Some(work));
                continue;
            }
            Next::Nothing => encode.turn(None),
            Next::Ended => return,
        }
        tokio::time::sleep(AGE_TICK).await;
    }
}

/// What the polling thread does, turn by turn.
async fn poller(mut fetch: Fetch<FakeFetcher>, commands: std::sync::mpsc::Receiver<s3_spolt::driver::fetch::Command>) {
    loop {
        match fetch.turn(&commands) {
            Turn::Polled => tokio::time::sleep(POLL).await,
            Turn::Hold => tokio::time::sleep(HOLD).await,
            Turn::Ended => return,
        }
    }
}

/// What all tables of a process of redshift-spolt share.
#[must_use]
pub fn shared(port: &Port, shape: Shape) -> Shared {
    let world: Arc<Port> = Arc::new(port.clone());
    Shared {
        target: port.target.into(),
        prefix: PREFIX.into(),
        limits: shape.load,
        create_schemas: true,
        authorization: Box::new(|| Ok("IAM_ROLE default".into())),
        store: world.clone(),
        pool: Pool::new(world.clone() as Arc<dyn port::Warehouse>, 2, Readiness::default()),
        permits: Arc::new(Semaphore::new(2)),
        parallel_loads: 2,
        plans: plans::Plans::default(),
        signals: world.clone(),
        progress: world.clone(),
        world,
        watch: watch::Watch::default(),
    }
}

async fn loader(port: &Port, shape: Shape) -> Process {
    let shared = Arc::new(shared(port, shape));
    let (orders, mut told) = unbounded_channel();
    let (alarm, fatal) = unbounded_channel();
    let mut owner = Owner::new(shared.clone(), alarm);
    tokio::spawn(async move {
        while let Some(order) = told.recv().await {
            match order {
                Order::Own(topic, _) => owner.own(table(topic, shape.keyed)),
                Order::Disown(topic, _) => owner.disown(&signals_of(topic)),
            }
        }
    });
    Process::Loader { orders, fatal, shared }
}

/// The table of a topic, in every target.
#[must_use]
pub fn table(topic: &'static str, keyed: Mode) -> Table {
    let (schema, name) = topic.split_once('.').unwrap_or(("shop", topic));
    Table {
        topic: topic.to_owned(),
        signals: signals_of(topic),
        target: Target {
            table: TableName {
                schema: schema.to_owned(),
                name: name.to_owned(),
            },
            state_schema: "spolt".into(),
            create_schemas: true,
            mode: if topic == KEYED { keyed } else { Mode::Append },
            varchar: std::collections::BTreeMap::new(),
            order_by: None,
            metadata: Vec::new(),
            made: runtime::config::TableSettings::default(),
            refreshes: None,
        },
        policy: common::chain::Policy::default(),
    }
}

/// The group of statements that a topic's table belongs to.
#[must_use]
pub fn group_of(topic: &str) -> &'static str {
    if topic == APPENDED { "appended" } else { "keyed" }
}
