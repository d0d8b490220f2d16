//! One task per table: it feeds the table's machine and carries out what the machine asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::chain::Policy;
use common::claim::Claim;
use common::failure::{Class, Failure};
use common::ids::Partition;
use common::mutant::Mutant;
use runtime::failpoint;
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span, warn};

use super::port::{Delivered, Delivery, Wish};
use super::register::{Registrar, born_with};
use super::{Shared, load};
use crate::load::machine::{Outcome, View};
use crate::load::run::{LoadPlan, Run};
use crate::load::state::TableRow;
use crate::load::statements::Target;
use crate::load::{Action, Event, Machine};

/// How often the number of signal partitions is asked for, milliseconds: upstream increases are rare, and nothing is lost meanwhile.
const PARTITIONS_EVERY_MS: u64 = 30_000;

/// Wait before a missing or unreachable signal topic is asked for again, milliseconds.
const TOPIC_RETRY_MS: u64 = 2_000;

/// Deliveries taken at once before actions are carried out; bounds how long one turn takes.
const TURN: usize = 512;

/// Everything about one table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Upstream topic.
    pub topic: String,
    /// Its signal topic.
    pub signals: String,
    /// The target and how it is loaded.
    pub target: Target,
    /// What the operator said about expired logs.
    pub policy: Policy,
}

/// Runs a table until it is cancelled. A load in flight then ends by itself; whatever it comes to is harmless (rule 18).
pub async fn run(shared: Arc<Shared>, table: Arc<Table>, cancel: CancellationToken, fatal: UnboundedSender<Failure>) {
    let name = table.target.table.to_string();
    let span = info_span!("table", table = %name, topic = %table.topic);
    let task = async {
        // Whoever had the table in this process before may have held its signals back.
        shared.signals.resume(&table.signals);
        let Some(partitions) = partitions(&shared, &table).await else {
            return;
        };
        let (events, inbox) = unbounded_channel();
        let (sink, deliveries) = unbounded_channel();
        let mut actions = Vec::new();
        let machine = Machine::new(
            table.topic.clone(),
            partitions,
            shared.limits,
            table.policy,
            &mut actions,
        );
        let mut task = Task {
            shared: Arc::clone(&shared),
            table: Arc::clone(&table),
            machine,
            events,
            sink,
            serials: BTreeMap::new(),
            wake_at: None,
            registrar: Arc::default(),
            fatal,
        };
        info!(partitions, "table begins");
        task.carry_out(actions);
        task.turn_over(inbox, deliveries).await;
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => {}
        () = task.instrument(span) => {}
    }
    shared.watch.forget(&name);
}

/// Asks until there is a signal topic.
async fn partitions(shared: &Shared, table: &Table) -> Option<i32> {
    let mut told = false;
    loop {
        match shared.signals.partitions(&table.signals).await {
            Ok(count) if count > 0 => return Some(count),
            Ok(_) if !told => info!(signals = %table.signals, "signal topic does not exist yet"),
            Err(failure) if !told => warn!(signals = %table.signals, error = %failure, "ask for the signal topic"),
            _ => {}
        }
        told = true;
        shared.world.sleep_ms(TOPIC_RETRY_MS).await;
    }
}

struct Task {
    shared: Arc<Shared>,
    table: Arc<Table>,
    machine: Machine,
    events: UnboundedSender<Event>,
    sink: UnboundedSender<Delivered>,
    /// Serial number of the last reading of each partition.
    serials: BTreeMap<Partition, u64>,
    wake_at: Option<i64>,
    registrar: Arc<Registrar>,
    fatal: UnboundedSender<Failure>,
}

impl Task {
    async fn turn_over(&mut self, mut inbox: UnboundedReceiver<Event>, mut deliveries: UnboundedReceiver<Delivered>) {
        let world = Arc::clone(&self.shared.world);
        let name = self.table.target.table.to_string();
        self.watch_partitions();
        let mut delivered = Vec::with_capacity(TURN);
        loop {
            let now = world.steady_ms();
            let wait = self.wake_at.map_or(u64::MAX, |at| u64::try_from(at - now).unwrap_or(0));
            tokio::select! {
                biased;
                event = inbox.recv() => match event {
                    Some(event) => self.step(event),
                    None => return,
                },
                _ = deliveries.recv_many(&mut delivered, TURN) => {
                    for delivery in delivered.drain(..) {
                        self.deliver(delivery);
                    }
                }
                () = world.sleep_ms(wait.min(PARTITIONS_EVERY_MS)) => {}
            }
            if self.wake_at.is_some_and(|at| at <= world.steady_ms()) {
                self.wake_at = None;
                self.step(Event::Tick);
            }
            self.shared
                .watch
                .table(&name, &self.table.topic, &self.machine, world.now_ms());
        }
    }

    fn step(&mut self, event: Event) {
        let mut actions = Vec::new();
        self.machine.step(self.shared.world.steady_ms(), event, &mut actions);
        self.carry_out(actions);
    }

    fn deliver(&mut self, delivered: Delivered) {
        let Delivered {
            partition,
            serial,
            what,
        } = delivered;
        if self.serials.get(&partition) != Some(&serial) {
            return;
        }
        match what {
            Delivery::Begun { low } => self.step(Event::LogBegins { partition, low }),
            Delivery::Signal { offset, value } => match Claim::decode(&value) {
                Ok(claim) => self.step(Event::Signal {
                    partition,
                    offset,
                    claim: Arc::new(claim),
                }),
                Err(error) => {
                    let failure = Failure::halt(error.to_string())
                        .topic(&self.table.signals)
                        .partition(partition)
                        .offset(offset)
                        .hint("to skip a signal would be a gap; if a newer s3-spolt wrote it, upgrade redshift-spolt");
                    self.step(Event::BadSignal { partition, failure });
                }
            },
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        let signals = &self.table.signals;
        for action in actions {
            match action {
                Action::ReadState => self.read_state(),
                Action::ReadSignals { partition, from } => {
                    let serial = self.serials.entry(partition).or_default();
                    *serial += 1;
                    let wish = Wish {
                        topic: signals.clone(),
                        partition,
                        from,
                        serial: *serial,
                        sink: self.sink.clone(),
                    };
                    self.shared.signals.read(wish);
                }
                Action::StopSignals { partition } => {
                    *self.serials.entry(partition).or_default() += 1;
                    self.shared.signals.stop(signals, partition);
                }
                Action::Pause => self.shared.signals.pause(signals),
                Action::Resume => self.shared.signals.resume(signals),
                Action::Load(load) => self.load(*load),
                Action::Publish(runs) => self.publish(runs),
                Action::WakeAt(at) => self.wake_at = Some(self.wake_at.map_or(at, |other| other.min(at))),
                Action::Alarm { partition, failure } => self.alarm(partition, &failure),
            }
        }
    }

    fn read_state(&self) {
        let (shared, table, events) = (Arc::clone(&self.shared), Arc::clone(&self.table), self.events.clone());
        let (fatal, registrar) = (self.fatal.clone(), Arc::clone(&self.registrar));
        tokio::spawn(
            async move {
                let read = async {
                    let state = load::read_state(&shared, &table.target).await?;
                    let refused = registrar.register(&shared, &table, &state).await?;
                    Ok((state, refused))
                };
                let event = match read.await {
                    Ok((state, refused)) => {
                        for (partition, failure) in refused {
                            let _ = events.send(Event::BadSignal { partition, failure });
                        }
                        Event::State(state)
                    }
                    Err(failure) => {
                        report(&shared, &table, &failure, &fatal);
                        Event::StateFailed(failure)
                    }
                };
                let _ = events.send(event);
            }
            .in_current_span(),
        );
    }

    fn load(&self, mut plan: LoadPlan) {
        let (shared, table, events) = (Arc::clone(&self.shared), Arc::clone(&self.table), self.events.clone());
        let (row, fatal) = (self.machine.row().cloned(), self.fatal.clone());
        let load_id = shared.world.uuid();
        let span = info_span!("load", load_id = %load_id);
        tokio::spawn(
            async move {
                let started = shared.world.steady_ms();
                let ended = begin(&shared, &table, &mut plan, row.as_ref(), &load_id).await;
                let millis = shared.world.steady_ms() - started;
                let name = table.target.table.to_string();
                shared.watch.loaded(&name, &plan, &ended, millis);
                match &ended.outcome {
                    Outcome::Committed { .. } => info!(
                        rows = plan.rows(),
                        claims = plan.claims(),
                        bytes = plan.bytes(),
                        lineages = plan.runs.len(),
                        millis,
                        phases = %phases(&ended.phases),
                        "load committed"
                    ),
                    Outcome::Replan => info!(millis, "checkpoints moved, load is planned anew"),
                    Outcome::Retry(failure) => report(&shared, &table, failure, &fatal),
                    Outcome::Halt { failure, .. } => report(&shared, &table, failure, &fatal),
                }
                let _ = events.send(Event::Loaded(ended.outcome));
            }
            .instrument(span),
        );
    }

    /// Rule 21. Advisory: what cannot be published now is superseded by the next load's message.
    fn publish(&self, runs: Vec<Run>) {
        // What is loaded beside the table may be given up, and is then needed again.
        if self.machine.row().is_some_and(|row| row.refreshing) && !Mutant::RefreshTellsProgress.is_on() {
            return;
        }
        let (shared, table) = (Arc::clone(&self.shared), Arc::clone(&self.table));
        let (load_id, registrar) = (self.machine.row().map(|row| row.serial), Arc::clone(&self.registrar));
        tokio::spawn(async move {
            if failpoint::hit("C28").await.is_err() {
                return;
            }
            for run in runs {
                let said = registrar.progress(&shared, &table, &run, load_id);
                if let Err(failure) = shared.progress.publish(said.key(), said.encode()).await {
                    warn!(error = %failure, "publish progress");
                }
            }
        });
    }

    fn alarm(&self, partition: Option<Partition>, failure: &Failure) {
        let partition = partition.map_or(-1, |partition| partition.0);
        error!(partition, error = %failure, "halted");
    }

    fn watch_partitions(&self) {
        let (shared, table, events) = (Arc::clone(&self.shared), Arc::clone(&self.table), self.events.clone());
        tokio::spawn(async move {
            loop {
                shared.world.sleep_ms(PARTITIONS_EVERY_MS).await;
                let asked = shared.signals.partitions(&table.signals).await;
                if events.is_closed() || asked.is_ok_and(|count| events.send(Event::Partitions(count)).is_err()) {
                    return;
                }
            }
        });
    }
}

/// Runs a load; before the first one of a table the log is asked how many partitions there were.
async fn begin(
    shared: &Shared,
    table: &Table,
    plan: &mut LoadPlan,
    row: Option<&TableRow>,
    load_id: &str,
) -> load::Report {
    if row.is_none_or(|row| row.partitions.is_none()) {
        match born_with(shared, table).await {
            Ok(born_with) => plan.born_with = born_with,
            Err(failure) => return load::Report::nothing(Outcome::Retry(failure)),
        }
    }
    load::run(shared, &table.target, plan, row, load_id).await
}

/// Logs a failure where it ends, and passes on what concerns the whole process.
fn report(shared: &Shared, table: &Table, failure: &Failure, fatal: &UnboundedSender<Failure>) {
    match failure.class {
        Class::Stop => {
            let _ = fatal.send(failure.clone());
        }
        Class::Retry
            if shared.watch.may_tell(
                &table.target.table.to_string(),
                &failure.message,
                shared.world.steady_ms(),
            ) =>
        {
            warn!(error = %failure, "will be tried again");
        }
        Class::Retry | Class::Halt => {}
    }
}

fn phases(phases: &BTreeMap<&'static str, f64>) -> String {
    let shown: Vec<String> = phases
        .iter()
        .map(|(phase, seconds)| format!("{phase} {seconds:.3}"))
        .collect();
    shown.join(", ")
}

/// What `/state` shows of a table.
#[derive(Debug, Clone, Serialize)]
pub struct TableView {
    /// Upstream topic.
    pub topic: String,
    /// The machine.
    #[serde(flatten)]
    pub machine: View,
}
