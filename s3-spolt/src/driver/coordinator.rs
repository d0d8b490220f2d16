//! One task that holds all state machines, feeds them what happens and carries out what they decide.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use common::avro::WriterSchema;
use common::failure::{Class, Failure};
use common::ids::{Lineage, Offset, Partition, SchemaId};
use common::plan::Plan;
use runtime::readiness::Readiness;
use runtime::registry::writer_schema;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{Instrument, Span, debug, error, info, info_span, warn};

use crate::ingest::batch::Reason;
use crate::ingest::machine::{Action, Event, Machine, Start};
use crate::ingest::resume::Resume;
use crate::metrics;

use super::SlotId;
use super::effects::Effects;
use super::encode::{Message, Reading, Said, SealedObject, Work};
use super::fetch::{Command, FetchLost, FetchSays};
use super::queue::Queue;
use super::topics::Topic;

/// Schemas kept in memory for all lineages. Registries hold few per topic; beyond this the oldest id is asked for again.
const SCHEMAS_MAX: usize = 10_000;
/// Pause before a topic that cannot be prepared, or a schema that cannot be had, is tried again.
const RETRY_MS: u64 = 2_000;

/// Everything that can happen.
pub enum Input {
    /// The group gave us partitions.
    Assigned(Vec<(String, Partition)>),
    /// The group took partitions away.
    Revoked(Vec<(String, Partition)>),
    /// The group cannot be talked to.
    GroupTrouble(Failure),
    /// A topic was prepared.
    Prepared(String, Result<Topic, Failure>),
    /// An effect was carried out.
    Happened(SlotId, u64, Result<Event, Failure>),
    /// The plan that a lineage goes on with is known.
    Planned(SlotId, u64, Box<Resume>, Result<Option<Arc<Plan>>, Failure>),
    /// A schema arrived.
    Schema(SchemaId, Result<Arc<WriterSchema>, Failure>),
    /// An encoder speaks.
    Encoder(Message),
    /// The polling thread speaks.
    Fetch(FetchSays),
    /// The process is about to end: publish what is open.
    Drain,
}

/// What the coordinator is made of.
pub struct Parts {
    /// Carries effects out.
    pub effects: Arc<Effects>,
    /// To the polling thread.
    pub fetch: Sender<Command>,
    /// To the encoders.
    pub encoders: Vec<Queue>,
    /// To the coordinator itself, for the answers of effects.
    pub inbox: UnboundedSender<Input>,
    /// What /readyz shows.
    pub readiness: Readiness,
    /// What /state shows.
    pub state: watch::Sender<serde_json::Value>,
    /// Source cluster id.
    pub cluster: String,
    /// Where new lineages begin.
    pub start: Start,
    /// Sealed objects of one partition beyond which it pauses.
    pub sealed_per_partition: usize,
}

struct Slot {
    topic: Arc<Topic>,
    partition: Partition,
    machine: Machine,
    sealed: BTreeMap<Offset, Arc<SealedObject>>,
    awaiting_schema: bool,
    paused: bool,
}

/// A topic whose partitions are owned, or will be once it is prepared.
enum Known {
    Preparing(Vec<Partition>),
    Ready(Arc<Topic>),
}

/// See the module.
pub struct Coordinator {
    parts: Parts,
    topics: HashMap<String, Known>,
    slots: Vec<Slot>,
    by_name: HashMap<(String, Partition), SlotId>,
    schemas: BTreeMap<SchemaId, Arc<WriterSchema>>,
    wanted: BTreeMap<SchemaId, Vec<(SlotId, u64)>>,
    effects: JoinSet<()>,
    draining: bool,
}

impl Coordinator {
    /// A coordinator that owns nothing.
    #[must_use]
    pub fn new(parts: Parts) -> Coordinator {
        Coordinator {
            parts,
            topics: HashMap::new(),
            slots: Vec::new(),
            by_name: HashMap::new(),
            schemas: BTreeMap::new(),
            wanted: BTreeMap::new(),
            effects: JoinSet::new(),
            draining: false,
        }
    }

    /// Works until everything is drained.
    ///
    /// # Errors
    /// With the first failure that concerns the whole process.
    pub async fn run(mut self, mut inputs: UnboundedReceiver<Input>) -> Result<(), Failure> {
        let mut publish = tokio::time::interval(std::time::Duration::from_millis(500));
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.effects.join_next() => {
                    if let Err(error) = ended {
                        return Err(Failure::stop(format!("an effect ended unexpectedly: {error}")));
                    }
                }
                input = inputs.recv() => match input {
                    Some(input) => self.take(input)?,
                    None => return Ok(()),
                },
                _ = publish.tick() => self.publish(),
            }
            if self.draining && self.slots.iter().all(|slot| is_settled(&slot.machine)) {
                self.publish();
                return Ok(());
            }
        }
    }

    fn take(&mut self, input: Input) -> Result<(), Failure> {
        match input {
            Input::Assigned(partitions) => self.assigned_all(partitions),
            Input::Revoked(partitions) => self.revoked_all(partitions),
            Input::GroupTrouble(failure) if failure.class == Class::Stop => Err(failure),
            Input::GroupTrouble(failure) => {
                self.parts.readiness.failing("kafka", &failure.to_string());
                Ok(())
            }
            Input::Prepared(topic, prepared) => self.prepared(topic, prepared),
            Input::Happened(slot, generation, Ok(event)) => {
                self.settle(&event);
                self.step(slot, generation, event)
            }
            Input::Happened(slot, generation, Err(failure)) => self.failed(slot, generation, failure),
            Input::Planned(slot, generation, resume, Ok(plan)) => self.read(slot, generation, *resume, plan),
            Input::Planned(slot, generation, _, Err(failure)) => self.failed(slot, generation, failure),
            Input::Schema(id, schema) => self.schema(id, schema),
            Input::Encoder(message) => self.encoder(message),
            Input::Fetch(FetchSays::Silent { slot, generation, next }) => {
                self.ask_why_silent(slot, generation, next);
                Ok(())
            }
            Input::Fetch(FetchSays::Lost(FetchLost {
                slot: Some((slot, generation)),
                failure,
            })) => self.failed(slot, generation, failure),
            Input::Fetch(FetchSays::Lost(FetchLost { slot: None, failure })) => match failure.class {
                Class::Stop => Err(failure),
                Class::Retry | Class::Halt => {
                    self.parts.readiness.failing("kafka", &failure.to_string());
                    Ok(())
                }
            },
            Input::Drain => self.drain(),
        }
    }

    /// Notes in /readyz that a part of the world has answered.
    fn settle(&self, event: &Event) {
        match event {
            Event::Stored { .. } | Event::BareStored => self.parts.readiness.ok("s3"),
            Event::ReadBack(_) | Event::Acknowledged | Event::GenesisAppended | Event::Facts(_) => {
                self.parts.readiness.ok("kafka");
            }
            _ => {}
        }
    }

    fn failed(&mut self, slot: SlotId, generation: u64, failure: Failure) -> Result<(), Failure> {
        let machine = &self.slots[slot.0 as usize].machine;
        if machine.generation() == generation && failure.class == Class::Retry {
            let slot = &self.slots[slot.0 as usize];
            let part = if failure.at.key.is_some() { "s3" } else { "kafka" };
            self.parts.readiness.failing(part, &failure.message);
            metrics::retried(&slot.topic.name);
            warn!(topic = &*slot.topic.name, partition = slot.partition.0, %failure, "reading again from the signal log");
        }
        self.step(slot, generation, Event::Failed(failure))
    }

    fn assigned_all(&mut self, partitions: Vec<(String, Partition)>) -> Result<(), Failure> {
        info!(partitions = partitions.len(), "partitions assigned");
        partitions
            .into_iter()
            .try_for_each(|(topic, partition)| self.assigned(topic, partition))
    }

    fn revoked_all(&mut self, partitions: Vec<(String, Partition)>) -> Result<(), Failure> {
        info!(partitions = partitions.len(), "partitions revoked");
        for (topic, partition) in partitions {
            if let Some(Known::Preparing(waiting)) = self.topics.get_mut(&topic) {
                waiting.retain(|waiting| *waiting != partition);
            }
            if let Some(slot) = self.by_name.get(&(topic, partition)).copied() {
                self.step(slot, 0, Event::Revoked)?;
            }
        }
        Ok(())
    }

    fn assigned(&mut self, topic: String, partition: Partition) -> Result<(), Failure> {
        match self.topics.get_mut(&topic) {
            Some(Known::Ready(known)) if i64::from(partition.0) < i64::from(known.partitions) => {
                let known = known.clone();
                self.own(known, partition)
            }
            Some(Known::Preparing(waiting)) => {
                waiting.push(partition);
                Ok(())
            }
            // Not seen before, or grown since: its signal topic must grow first (rule 4).
            Some(Known::Ready(_)) | None => {
                self.topics.insert(topic.clone(), Known::Preparing(vec![partition]));
                self.prepare(topic, 0);
                Ok(())
            }
        }
    }

    fn prepare(&mut self, topic: String, after_ms: u64) {
        let effects = self.parts.effects.clone();
        let inbox = self.parts.inbox.clone();
        self.effects.spawn(async move {
            if after_ms > 0 {
                effects.ports.world.sleep_ms(after_ms).await;
            }
            let prepared = effects.ports.topics.prepare(&topic).await;
            let _ = inbox.send(Input::Prepared(topic, prepared));
        });
    }

    fn prepared(&mut self, topic: String, prepared: Result<Topic, Failure>) -> Result<(), Failure> {
        let Some(Known::Preparing(waiting)) = self.topics.get_mut(&topic) else {
            return Ok(());
        };
        match prepared {
            Ok(ready) => {
                let waiting = std::mem::take(waiting);
                let ready = Arc::new(ready);
                self.topics.insert(topic, Known::Ready(ready.clone()));
                waiting
                    .into_iter()
                    .try_for_each(|partition| self.own(ready.clone(), partition))
            }
            Err(failure) if failure.class == Class::Retry => {
                self.parts.readiness.failing("kafka", &failure.to_string());
                warn!(topic, %failure, "topic is not ready yet");
                self.prepare(topic, RETRY_MS);
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    fn own(&mut self, topic: Arc<Topic>, partition: Partition) -> Result<(), Failure> {
        let name = (topic.name.to_string(), partition);
        let slot = *self.by_name.entry(name).or_insert_with(|| {
            let slot = SlotId(u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
            let machine = Machine::new(&self.parts.cluster, &topic.name, partition, self.parts.start);
            let sealed = BTreeMap::new();
            self.slots.push(Slot {
                topic,
                partition,
                machine,
                sealed,
                awaiting_schema: false,
                paused: false,
            });
            slot
        });
        if self.draining {
            Ok(())
        } else {
            self.step(slot, 0, Event::Owned)
        }
    }

    fn step(&mut self, id: SlotId, generation: u64, event: Event) -> Result<(), Failure> {
        let mut actions = Vec::new();
        let slot = &mut self.slots[id.0 as usize];
        let before = slot.machine.phase_name();
        slot.machine.step(generation, event, &mut actions);
        let after = slot.machine.phase_name();
        if before != after {
            debug!(
                topic = &*slot.topic.name,
                partition = slot.partition.0,
                before,
                after,
                "lineage changes phase"
            );
        }
        for action in actions {
            self.act(id, action)?;
        }
        self.pause_or_resume(id);
        Ok(())
    }

    fn act(&mut self, id: SlotId, action: Action) -> Result<(), Failure> {
        let slot = &mut self.slots[id.0 as usize];
        let (topic, partition) = (slot.topic.clone(), slot.partition);
        let effects = self.parts.effects.clone();
        match action {
            Action::ReadBack(count) => self.ask(id, async move { effects.read_back(&topic, partition, count).await }),
            Action::AskFacts => self.ask(id, async move { effects.facts(&topic, partition).await }),
            Action::AskOrigin(time_ms) => self.ask(id, async move {
                let origin = effects.ports.upstream.offset_at(&topic.name, partition, time_ms).await;
                origin.map(Event::Origin)
            }),
            Action::AskFingerprint(offset) => self.ask(id, async move {
                let seen = effects.ports.upstream.fingerprint(&topic.name, partition, offset).await;
                seen.map(Event::Fingerprint)
            }),
            Action::PutBare(claim) => self.ask(id, async move { effects.put_bare(*claim).await }),
            Action::AppendGenesis(claim) => {
                self.ask(
                    id,
                    async move { effects.append_genesis(&topic, partition, *claim).await },
                );
            }
            Action::Read(resume) => self.plan(id, resume),
            Action::StopReading => {
                slot.awaiting_schema = false;
                slot.paused = false;
                let _ = self.parts.fetch.send(Command::Stop(id));
                self.tell(id, Work::Stop(id));
            }
            Action::CutOpen => {
                let _ = self.parts.fetch.send(Command::Stop(id));
                self.tell(id, Work::Cut(id, Reason::Drain));
            }
            Action::Put(next) => {
                if let Some(object) = slot.sealed.get(&next).cloned() {
                    let span = span_of(&object);
                    let put = async move { effects.put_sealed(&object).await };
                    self.ask(id, put.instrument(span));
                }
            }
            Action::Signal(next) => {
                if let Some(object) = slot.sealed.get(&next).cloned() {
                    let span = span_of(&object);
                    let signal = async move { effects.signal(&topic, partition, &object.claim).await };
                    self.ask(id, signal.instrument(span));
                }
            }
            Action::Claimed(next) => self.claimed(id, next),
            Action::Forget => slot.sealed.clear(),
            Action::WakeAfter(millis) => self.ask(id, async move {
                let world = &effects.ports.world;
                world.sleep_ms(millis / 2 + world.random_below(millis / 2 + 1)).await;
                Ok(Event::Wake)
            }),
            Action::Halt(failure) => {
                metrics::halted(&topic.name, partition, true);
                error!(topic = &*topic.name, partition = partition.0, %failure, "lineage halts; the others go on");
            }
            Action::StopProcess(failure) => return Err(failure),
            Action::Drained => {}
        }
        Ok(())
    }

    /// Runs an effect under the lineage's present generation.
    fn ask(&mut self, id: SlotId, effect: impl Future<Output = Result<Event, Failure>> + Send + 'static) {
        let generation = self.slots[id.0 as usize].machine.generation();
        let inbox = self.parts.inbox.clone();
        self.effects.spawn(async move {
            let _ = inbox.send(Input::Happened(id, generation, effect.await));
        });
    }

    fn plan(&mut self, id: SlotId, resume: Box<Resume>) {
        let generation = self.slots[id.0 as usize].machine.generation();
        let (effects, inbox) = (self.parts.effects.clone(), self.parts.inbox.clone());
        self.effects.spawn(async move {
            let plan = effects.plan(&resume).await;
            let _ = inbox.send(Input::Planned(id, generation, resume, plan));
        });
    }

    fn tell(&self, id: SlotId, work: Work) {
        self.parts.encoders[id.encoder(self.parts.encoders.len())].tell(work);
    }

    fn read(&mut self, id: SlotId, generation: u64, resume: Resume, plan: Option<Arc<Plan>>) -> Result<(), Failure> {
        let slot = &self.slots[id.0 as usize];
        if slot.machine.generation() != generation {
            return Ok(());
        }
        metrics::halted(&slot.topic.name, slot.partition, false);
        info!(
            topic = &*slot.topic.name,
            partition = slot.partition.0,
            offset = resume.pos.0,
            "reading"
        );
        let (topic, partition) = (slot.topic.clone(), slot.partition);
        let reading = Reading {
            slot: id,
            generation,
            lineage: Lineage {
                cluster: self.parts.cluster.clone(),
                topic: topic.name.to_string(),
                incarnation: resume.incarnation,
                partition,
            },
            topic_id: resume.topic_id,
            pos: resume.pos,
            tail: resume.tail,
            plan,
            settings: topic.settings.clone(),
            bad_records_max: topic.bad_records_max,
        };
        self.tell(id, Work::Read(Box::new(reading)));
        let from = resume.pos;
        let start = Command::Start {
            slot: id,
            generation,
            topic: topic.name.clone(),
            partition,
            from,
        };
        let _ = self.parts.fetch.send(start);
        Ok(())
    }

    fn claimed(&mut self, id: SlotId, next: Offset) {
        let now_ms = self.parts.effects.ports.world.now_ms();
        let slot = &mut self.slots[id.0 as usize];
        if let Some(object) = slot.sealed.remove(&next) {
            let claim = &object.claim;
            metrics::claimed(&slot.topic.name, claim, object.reason, now_ms);
            debug!(
                topic = &*slot.topic.name,
                partition = slot.partition.0,
                start = claim.start.0,
                next = claim.next.0,
                rows = claim.rows,
                bytes = object.body.len(),
                reason = object.reason.name(),
                "object claimed"
            );
        }
        self.parts
            .effects
            .ports
            .topics
            .claimed(&slot.topic.name, slot.partition, next);
    }

    fn encoder(&mut self, message: Message) -> Result<(), Failure> {
        let Message {
            slot: id,
            generation,
            said,
        } = message;
        let slot = &mut self.slots[id.0 as usize];
        if slot.machine.generation() != generation {
            return Ok(());
        }
        match said {
            Said::Sealed(object) => {
                let event = Event::Sealed {
                    start: object.claim.start,
                    next: object.claim.next,
                };
                slot.sealed.insert(object.claim.next, Arc::new(*object));
                self.step(id, generation, event)
            }
            Said::NeedSchema(schema) => {
                slot.awaiting_schema = true;
                self.want(id, generation, schema);
                self.pause_or_resume(id);
                Ok(())
            }
            Said::Poisoned(failure) => self.step(id, generation, Event::Poisoned(failure)),
            Said::NothingOpen => self.step(id, generation, Event::NothingOpen),
            Said::Broken(failure) => Err(failure),
        }
    }

    /// Whether a partition of which nothing comes has anything: asked by other clients, since the one that fetches may be what is broken.
    /// What is behind the end for committed readers, and what nobody sees, is no reason.
    fn ask_why_silent(&mut self, id: SlotId, generation: u64, next: Offset) {
        let slot = &self.slots[id.0 as usize];
        if slot.machine.generation() != generation {
            return;
        }
        let (topic, partition) = (slot.topic.clone(), slot.partition);
        let (effects, fetch) = (self.parts.effects.clone(), self.parts.fetch.clone());
        self.effects.spawn(async move {
            let upstream = &effects.ports.upstream;
            match upstream.next_visible(&topic.name, partition, next).await {
                Ok(Some(_)) => drop(fetch.send(Command::Stalled {
                    slot: id,
                    generation,
                    next,
                })),
                Ok(None) => {}
                Err(failure) => {
                    debug!(topic = &*topic.name, partition = partition.0, %failure, "ask why nothing comes")
                }
            }
        });
    }

    fn want(&mut self, slot: SlotId, generation: u64, id: SchemaId) {
        if let Some(schema) = self.schemas.get(&id).cloned() {
            return self.have(slot, generation, id, schema);
        }
        let first = !self.wanted.contains_key(&id);
        self.wanted.entry(id.clone()).or_default().push((slot, generation));
        if first {
            self.ask_registry(id, 0);
        }
    }

    fn ask_registry(&mut self, id: SchemaId, after_ms: u64) {
        let (effects, inbox) = (self.parts.effects.clone(), self.parts.inbox.clone());
        self.effects.spawn(async move {
            if after_ms > 0 {
                effects.ports.world.sleep_ms(after_ms).await;
            }
            let schema = writer_schema(&*effects.ports.registry, &id).await;
            let _ = inbox.send(Input::Schema(id, schema));
        });
    }

    fn schema(&mut self, id: SchemaId, schema: Result<Arc<WriterSchema>, Failure>) -> Result<(), Failure> {
        match schema {
            Ok(schema) => {
                self.parts.readiness.ok("registry");
                if self.schemas.len() >= SCHEMAS_MAX {
                    self.schemas.pop_first();
                }
                self.schemas.insert(id.clone(), schema.clone());
                for (slot, generation) in self.wanted.remove(&id).unwrap_or_default() {
                    self.have(slot, generation, id.clone(), schema.clone());
                }
                Ok(())
            }
            Err(failure) if failure.class == Class::Retry => {
                self.parts.readiness.failing("registry", &failure.to_string());
                warn!(schema = %id, %failure, "waiting for a schema");
                self.ask_registry(id, RETRY_MS);
                Ok(())
            }
            Err(failure) if failure.class == Class::Stop => Err(failure),
            Err(failure) => {
                let waiting = self.wanted.remove(&id).unwrap_or_default();
                waiting
                    .into_iter()
                    .try_for_each(|(slot, generation)| self.step(slot, generation, Event::Failed(failure.clone())))
            }
        }
    }

    fn have(&mut self, id: SlotId, generation: u64, schema: SchemaId, parsed: Arc<WriterSchema>) {
        self.tell(id, Work::Schema(id, generation, schema, parsed));
        let slot = &mut self.slots[id.0 as usize];
        if slot.machine.generation() == generation {
            slot.awaiting_schema = false;
        }
        self.pause_or_resume(id);
    }

    /// A partition pauses while its encoder waits for a schema or too many of its objects wait for S3 or the signal log.
    fn pause_or_resume(&mut self, id: SlotId) {
        let limit = self.parts.sealed_per_partition;
        let slot = &mut self.slots[id.0 as usize];
        let pause = slot.awaiting_schema || slot.machine.sealed() >= limit;
        if pause != slot.paused && slot.machine.pos().is_some() {
            slot.paused = pause;
            let _ = self.parts.fetch.send(Command::Pause(id, pause));
        }
    }

    fn drain(&mut self) -> Result<(), Failure> {
        info!(
            partitions = self.slots.len(),
            "draining: what is open is published, nothing more is read"
        );
        self.draining = true;
        let slots = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        (0..slots).try_for_each(|slot| self.step(SlotId(slot), 0, Event::Drain))
    }

    fn publish(&self) {
        let lineage = |slot: &Slot| {
            json!({
                "topic": &*slot.topic.name,
                "partition": slot.partition.0,
                "phase": slot.machine.phase_name(),
                "claimed_before": slot.machine.pos().map(|pos| pos.0),
                "sealed": slot.machine.sealed(),
                "paused": slot.paused,
                "awaiting_schema": slot.awaiting_schema,
                "halted": slot.machine.halted().map(ToString::to_string),
            })
        };
        let lineages: Vec<_> = self.slots.iter().map(lineage).collect();
        self.parts
            .state
            .send_replace(json!({ "cluster": self.parts.cluster, "lineages": lineages }));
    }
}

/// Everything that is logged about an object on its way says which one it is.
fn span_of(object: &SealedObject) -> Span {
    let claim = &object.claim;
    info_span!(
        "object",
        topic = claim.topic,
        partition = claim.partition.0,
        start = claim.start.0,
        next = claim.next.0
    )
}

fn is_settled(machine: &Machine) -> bool {
    matches!(machine.phase_name(), "unowned" | "halted" | "drained")
}
