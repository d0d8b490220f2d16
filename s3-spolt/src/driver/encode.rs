//! The encoder threads: records in, sealed objects out. A lineage belongs to one thread, so that its records stay in order; what a
//! thread cannot do at once (a schema it has not seen) parks that lineage and lets the others go on.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::avro::WriterSchema;
use common::claim::{self, Aside, Claim, Decoder, Dialect, Kind, Object, Tail};
use common::csv;
use common::failure::Failure;
use common::ids::{Lineage, Offset, SchemaId};
use common::mutant::Mutant;
use common::plan::{Plan, hex};
use common::row::{DECODER_VERSION, EncodeError, Outcome, Record, RowEncoder, Settings, Stats};
use runtime::port::World;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use crate::ingest::batch::{Batch, Limits, Reason};
use crate::ingest::tolerance::Tolerance;

use super::SlotId;
use super::chunk::Chunk;
use super::compress::{Compressor, Pool};
use super::memory::{Memory, Reservation};
use super::queue::{Inbox, Next};
use crate::metrics;

/// Rows are compressed when so many bytes of them have come together; below it an open object holds no compression context.
const COMPRESS_BYTES: usize = 256 * 1024;
/// Replaced values of a partition that are told one by one and kept within an hour; the others are only counted.
const AMENDS_TOLD: u32 = 100;
/// An object is cut when so many bytes of records set aside have come together: they wait uncompressed.
const ASIDE_BYTES: usize = 8 * 1024 * 1024;
/// What uncompressed rows are taken to shrink to when the size of an object is judged.
const ASSUMED_RATIO: usize = 5;
/// How often the age of open objects is looked at, and how long an encoder waits for work at most.
pub const AGE_TICK: Duration = Duration::from_millis(20);

/// What all encoders share.
pub struct Shared {
    /// When objects are cut.
    pub limits: Limits,
    /// Compression contexts.
    pub pool: Pool,
    /// The process's account of memory.
    pub memory: Arc<Memory>,
    /// Time.
    pub world: Arc<dyn World>,
    /// Where objects will lie; and who writes them.
    pub place: Place,
}

/// What a claim says besides its rows.
#[derive(Debug, Clone)]
pub struct Place {
    /// Bucket of the objects.
    pub bucket: String,
    /// Its region.
    pub region: String,
    /// Prefix of all keys.
    pub prefix: String,
    /// Id of this process.
    pub writer: String,
    /// Build of this process.
    pub build: String,
}

/// What an encoder is told.
pub enum Work {
    /// A lineage begins to be read.
    Read(Box<Reading>),
    /// Records of it.
    Chunk(Chunk),
    /// A schema that was asked for.
    Schema(SlotId, u64, SchemaId, Arc<WriterSchema>),
    /// Seal what is open; with `Drain`, take nothing more and say [`Said::NothingOpen`].
    Cut(SlotId, Reason),
    /// Forget the lineage.
    Stop(SlotId),
}

/// How a lineage is to be read.
pub struct Reading {
    /// Whose.
    pub slot: SlotId,
    /// Under which generation.
    pub generation: u64,
    /// The lineage.
    pub lineage: Lineage,
    /// Kafka's topic id, for the claims.
    pub topic_id: Option<String>,
    /// Position of the first object.
    pub pos: Offset,
    /// Fingerprint of the record before it.
    pub tail: Option<Tail>,
    /// Plan of the lineage's last claim.
    pub plan: Option<Arc<Plan>>,
    /// How records become rows.
    pub settings: Arc<Settings>,
    /// How many records may be set aside within an hour.
    pub bad_records_max: u32,
}

/// What an encoder says.
pub enum Said {
    /// An object is complete.
    Sealed(Box<SealedObject>),
    /// A schema is needed before the lineage can go on.
    NeedSchema(SchemaId),
    /// A record cannot become a row; all before it is sealed.
    Poisoned(Failure),
    /// The answer to a cut for draining.
    NothingOpen,
    /// The process is out of something it cannot do without.
    Broken(Failure),
}

/// What an encoder says, and about which lineage.
pub struct Message {
    /// Whose.
    pub slot: SlotId,
    /// Under which generation.
    pub generation: u64,
    /// What.
    pub said: Said,
}

/// An object, ready to be put and claimed.
pub struct SealedObject {
    /// The claim, complete.
    pub claim: Claim,
    /// Content; empty for a claim without rows.
    pub body: Bytes,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    /// The plan, to be put before the object.
    pub plan: Option<Arc<Plan>>,
    /// Content of the object with the records set aside, and its SHA-256; to be put before the object as well.
    pub aside: Option<(Bytes, [u8; 32])>,
    /// Why it was cut.
    pub reason: Reason,
    /// Counted until the object is dropped.
    pub held: Reservation,
}

/// The open object of a lineage, and what belongs to the lineage's encoding.
struct Open {
    reading: Reading,
    encoder: RowEncoder,
    batch: Batch,
    /// Fingerprint of the last record of the lineage, for claims without records of their own.
    last_tail: Option<Tail>,
    stats: Stats,
    rows: Vec<u8>,
    body: Vec<u8>,
    /// Records set aside, as lines, and how many lines.
    aside: (Vec<u8>, u64),
    tolerance: Tolerance,
    /// How many replaced values are told one by one.
    amends: Tolerance,
    compressor: Option<Compressor>,
    held: Reservation,
    parked: VecDeque<(Chunk, usize)>,
    awaiting: Option<SchemaId>,
    closed: bool,
}

/// One encoder thread.
pub struct Encode {
    shared: Arc<Shared>,
    own: Compressor,
    /// In the order of slots, so that what is cut by age is cut in the same order in every process.
    open: BTreeMap<SlotId, Open>,
    say: UnboundedSender<Message>,
    looked_ms: i64,
}

impl Encode {
    /// An encoder without lineages.
    ///
    /// # Errors
    /// When no compression context can be made.
    pub fn new(shared: Arc<Shared>, say: UnboundedSender<Message>) -> io::Result<Encode> {
        Ok(Encode {
            own: shared.pool.own()?,
            looked_ms: shared.world.steady_ms(),
            shared,
            open: BTreeMap::new(),
            say,
        })
    }

    /// Works until the sender is gone.
    pub fn run(mut self, inbox: &Inbox) {
        loop {
            match inbox.wait(AGE_TICK) {
                Next::Work(work) => self.turn(Some(work)),
                Next::Nothing => self.turn(None),
                Next::Ended => return,
            }
        }
    }

    /// One turn: the work that came, if any, and then what the time asks for. It waits for nobody.
    pub fn turn(&mut self, work: Option<Work>) {
        if let Some(work) = work {
            self.take(work);
        }
        let now_ms = self.shared.world.steady_ms();
        if (now_ms - self.looked_ms).unsigned_abs() >= AGE_TICK.as_millis() as u64 {
            self.looked_ms = now_ms;
            self.cut_the_old(now_ms);
        }
    }

    fn take(&mut self, work: Work) {
        match work {
            Work::Read(reading) => self.read(*reading),
            Work::Chunk(chunk) => {
                if let Some(open) = self.open.get_mut(&chunk.slot)
                    && open.reading.generation == chunk.generation
                    && !open.closed
                {
                    let slot = chunk.slot;
                    open.parked.push_back((chunk, 0));
                    self.go_on(slot);
                }
            }
            Work::Schema(slot, generation, id, schema) => {
                if let Some(open) = self.open.get_mut(&slot)
                    && open.reading.generation == generation
                {
                    open.encoder.add_schema(id.clone(), schema);
                    if open.awaiting.as_ref() == Some(&id) {
                        open.awaiting = None;
                    }
                    self.go_on(slot);
                }
            }
            Work::Cut(slot, reason) => self.cut(slot, reason),
            Work::Stop(slot) => self.stop(slot),
        }
    }

    fn read(&mut self, reading: Reading) {
        let slot = reading.slot;
        self.stop(slot);
        let encoder = RowEncoder::new(
            reading.settings.clone(),
            reading.lineage.incarnation,
            reading.lineage.partition,
            reading.plan.clone(),
        );
        let open = Open {
            encoder,
            batch: Batch::new(reading.pos),
            last_tail: reading.tail,
            stats: Stats::default(),
            rows: Vec::new(),
            body: Vec::new(),
            aside: (Vec::new(), 0),
            tolerance: Tolerance::new(reading.bad_records_max),
            amends: Tolerance::new(AMENDS_TOLD),
            compressor: None,
            held: self.shared.memory.reserve(),
            parked: VecDeque::new(),
            awaiting: None,
            closed: false,
            reading,
        };
        self.open.insert(slot, open);
    }

    fn stop(&mut self, slot: SlotId) {
        if let Some(open) = self.open.remove(&slot)
            && open.compressor.is_some()
        {
            self.shared.pool.lost();
        }
        self.shared.memory.note_open(slot, 0);
    }

    /// Encodes what is parked, as far as it goes.
    fn go_on(&mut self, slot: SlotId) {
        let Some(open) = self.open.get_mut(&slot) else { return };
        while open.awaiting.is_none() && !open.closed {
            let Some((chunk, from)) = open.parked.pop_front() else {
                break;
            };
            match open.chunk(&self.shared, &mut self.own, &chunk, from, &self.say) {
                Ok(None) => {}
                Ok(Some(resume_at)) => open.parked.push_front((chunk, resume_at)),
                Err(error) => open.broken(&error, &self.say),
            }
        }
        open.account(&self.shared.memory);
    }

    fn cut(&mut self, slot: SlotId, reason: Reason) {
        let Some(open) = self.open.get_mut(&slot) else { return };
        if let Err(error) = open.seal(&self.shared, &mut self.own, reason, &self.say) {
            open.broken(&error, &self.say);
        }
        if reason == Reason::Drain {
            open.closed = true;
            open.say(&self.say, Said::NothingOpen);
        }
        open.account(&self.shared.memory);
    }

    fn cut_the_old(&mut self, now_ms: i64) {
        let due = |(slot, open): (&SlotId, &Open)| open.batch.due(&self.shared.limits, now_ms).then_some(*slot);
        let due: Vec<SlotId> = self.open.iter().filter_map(due).collect();
        due.into_iter().for_each(|slot| self.cut(slot, Reason::Age));
    }
}

impl Open {
    fn say(&self, say: &UnboundedSender<Message>, said: Said) {
        // The receiver is gone only when the process ends.
        let _ = say.send(Message {
            slot: self.reading.slot,
            generation: self.reading.generation,
            said,
        });
    }

    fn broken(&mut self, error: &io::Error, say: &UnboundedSender<Message>) {
        self.closed = true;
        self.say(say, Said::Broken(Failure::stop(format!("compress an object: {error}"))));
    }

    fn account(&mut self, memory: &Memory) {
        let bytes = self.rows.capacity() + self.body.capacity() + self.aside.0.capacity();
        self.held.set(bytes);
        memory.note_open(self.reading.slot, if self.batch.is_empty() { 0 } else { bytes as u64 });
    }

    /// Encodes a chunk from its `from`-th record on. `Some(n)`: it stopped before the n-th record, for want of a schema.
    fn chunk(
        &mut self,
        shared: &Shared,
        own: &mut Compressor,
        chunk: &Chunk,
        from: usize,
        say: &UnboundedSender<Message>,
    ) -> io::Result<Option<usize>> {
        let now_ms = shared.world.steady_ms();
        // Only the last record of an object needs its fingerprint.
        let mut last: Option<Record<'_>> = None;
        'records: for (index, record) in chunk.records(from) {
            // A generation's first records may lie before its position when the broker answers with a whole batch.
            if record.offset < self.batch.next {
                continue;
            }
            let rows = loop {
                match self.encoder.encode(&record, &mut self.rows, &mut self.stats) {
                    Ok(Outcome::Rows(rows)) => break rows,
                    Ok(Outcome::Skipped) => break 0,
                    Ok(Outcome::NeedSchema(id)) => {
                        self.remember(&mut last);
                        self.awaiting = Some(id.clone());
                        self.say(say, Said::NeedSchema(id));
                        return Ok(Some(index));
                    }
                    Ok(Outcome::PlanGrows(plan)) => {
                        self.remember(&mut last);
                        self.seal(shared, own, Reason::Plan, say)?;
                        self.encoder.adopt(plan);
                    }
                    Ok(Outcome::Truncate) => {
                        self.remember(&mut last);
                        self.truncate(shared, own, &chunk.as_read(index, record), say)?;
                        continue 'records;
                    }
                    Err(error) if error.may_be_set_aside() && self.tolerance.allows(now_ms) => {
                        self.set_aside(&record, &error, now_ms);
                        last = Some(chunk.as_read(index, record));
                        if self.aside.0.len() >= ASIDE_BYTES {
                            self.remember(&mut last);
                            self.seal(shared, own, Reason::Bytes, say)?;
                        }
                        continue 'records;
                    }
                    Err(error) => {
                        let failure = match self.tolerance.max() {
                            max if max > 0 && error.may_be_set_aside() => one_too_many(&error, max),
                            _ => refusal(&error),
                        };
                        self.remember(&mut last);
                        self.poison(shared, own, failure.offset(record.offset), say)?;
                        return Ok(None);
                    }
                }
            };
            if self.encoder.has_amended() {
                self.note_amended(&record, now_ms);
            }
            self.batch.add(record.offset, record.timestamp_ms, rows, now_ms);
            last = Some(chunk.as_read(index, record));
            if self.rows.len() >= COMPRESS_BYTES {
                self.compress(shared)?;
            }
            let bytes = self.body.len() + self.rows.len() / ASSUMED_RATIO;
            if let Some(reason) = self.batch.full(&shared.limits, bytes as u64) {
                self.remember(&mut last);
                self.seal(shared, own, reason, say)?;
            }
        }
        self.remember(&mut last);
        Ok(None)
    }

    fn remember(&mut self, last: &mut Option<Record<'_>>) {
        if let Some(record) = last.take() {
            self.batch.tail = Some(tail_of(&record));
        }
    }

    /// Keeps a record that has no row beside the rows (rule 27). Each is told: they are few, or the lineage halts.
    fn set_aside(&mut self, record: &Record<'_>, error: &EncodeError, now_ms: i64) {
        self.aside.1 += self.encoder.set_aside(record, error, &mut self.aside.0);
        self.batch.reject(record.offset, record.timestamp_ms, now_ms);
        let lineage = &self.reading.lineage;
        warn!(
            topic = lineage.topic,
            partition = lineage.partition.0,
            offset = record.offset.0,
            column = error.column,
            reason = error.problem.name(),
            error = %error.problem,
            "record set aside"
        );
        metrics::set_aside(&lineage.topic, error.problem.name());
    }

    /// Counts values that were replaced, and keeps the records of the first ones of an hour: the rule may be meant for very many.
    #[cold]
    fn note_amended(&mut self, record: &Record<'_>, now_ms: i64) {
        let lineage = &self.reading.lineage;
        for amended in self.encoder.amended() {
            self.batch.amended += 1;
            metrics::amended(&lineage.topic, &amended);
            if !self.amends.allows(now_ms) {
                continue;
            }
            self.aside.1 += self.encoder.keep_amended(record, &amended, &mut self.aside.0);
            warn!(
                topic = lineage.topic,
                partition = lineage.partition.0,
                offset = record.offset.0,
                column = amended.column,
                reason = amended.reason.name(),
                by = ?amended.by,
                "value replaced"
            );
        }
    }

    fn poison(
        &mut self,
        shared: &Shared,
        own: &mut Compressor,
        failure: Failure,
        say: &UnboundedSender<Message>,
    ) -> io::Result<()> {
        self.seal(shared, own, Reason::Poison, say)?;
        self.closed = true;
        self.say(say, Said::Poisoned(failure));
        Ok(())
    }

    /// Moves the rows into the compressed body, if a context can be had; else they wait.
    fn compress(&mut self, shared: &Shared) -> io::Result<()> {
        if self.compressor.is_none() {
            self.compressor = shared.pool.take()?;
        }
        if let Some(compressor) = &mut self.compressor {
            compressor.write(&self.rows, &mut self.body)?;
            self.rows.clear();
        }
        Ok(())
    }

    /// Ends the open object, if anything is in it, and begins the next one where it ends.
    fn seal(
        &mut self,
        shared: &Shared,
        own: &mut Compressor,
        reason: Reason,
        say: &UnboundedSender<Message>,
    ) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if self.batch.rows > 0 {
            let compressor = self.compressor.as_mut().unwrap_or(own);
            compressor.write(&self.rows, &mut self.body)?;
            compressor.finish(&mut self.body)?;
        }
        if let Some(compressor) = self.compressor.take() {
            shared.pool.put_back(compressor);
        }
        self.rows.clear();
        self.rows.shrink_to(COMPRESS_BYTES);
        let mut body = std::mem::take(&mut self.body);
        body.shrink_to_fit();
        let mut aside = Vec::new();
        if self.aside.1 > 0 {
            own.write(&self.aside.0, &mut aside)?;
            own.finish(&mut aside)?;
            aside.shrink_to_fit();
        }
        let mut held = shared.memory.reserve();
        held.set(body.len() + aside.len());
        let kind = self.batch.kind();
        let sealed = self.claim(shared, kind, Bytes::from(body), Bytes::from(aside), reason, held);
        self.say(say, Said::Sealed(Box::new(sealed)));
        Ok(())
    }

    /// A truncate is a claim of its own, without rows, that ends at its record (rule 26).
    fn truncate(
        &mut self,
        shared: &Shared,
        own: &mut Compressor,
        record: &Record<'_>,
        say: &UnboundedSender<Message>,
    ) -> io::Result<()> {
        self.seal(shared, own, Reason::Truncate, say)?;
        self.batch
            .add(record.offset, record.timestamp_ms, 0, shared.world.steady_ms());
        self.batch.tail = Some(tail_of(record));
        let held = shared.memory.reserve();
        let sealed = self.claim(
            shared,
            Kind::Truncate,
            Bytes::new(),
            Bytes::new(),
            Reason::Truncate,
            held,
        );
        self.say(say, Said::Sealed(Box::new(sealed)));
        Ok(())
    }

    /// Ends the batch and says what its object holds; the next one begins where it ends.
    fn claim(
        &mut self,
        shared: &Shared,
        kind: Kind,
        body: Bytes,
        aside: Bytes,
        reason: Reason,
        held: Reservation,
    ) -> SealedObject {
        self.last_tail = self.batch.tail.or(self.last_tail);
        let next = self.batch.next;
        let batch = std::mem::replace(&mut self.batch, Batch::new(next));
        let sha256: [u8; 32] = Sha256::digest(&body).into();
        let digest = hex(&sha256);
        let lineage = &self.reading.lineage;
        let compression = shared.pool.compression();
        let plan = self.encoder.plan().cloned();
        let mut claim = Claim {
            topic_id: self.reading.topic_id.clone(),
            plan: plan.as_ref().map(|plan| plan.id()),
            schemas: self.stats.schemas_seen(),
            writer: shared.place.writer.clone(),
            build: shared.place.build.clone(),
            ..batch.claim(kind, lineage, self.last_tail)
        };
        let (_, lines) = std::mem::take(&mut self.aside);
        let told = !Mutant::AsideUnclaimed.is_on();
        if !told {
            claim.skipped += std::mem::take(&mut claim.rejected);
        }
        let aside = (lines > 0 && told).then(|| {
            let sha256: [u8; 32] = Sha256::digest(&aside).into();
            claim.aside = Some(Aside {
                headers: self.encoder.keeps_headers(),
                lines,
                bytes: aside.len() as u64,
                sha256: hex(&sha256),
            });
            (aside, sha256)
        });
        if kind == Kind::Data || aside.is_some() {
            let settings = &self.reading.settings;
            claim.dialect = Some(Dialect {
                id: csv::DIALECT_ID.to_owned(),
                delimiter: ',',
                quote: '"',
                null: settings.null_marker.clone(),
                compression,
            });
            claim.decoder = Some(Decoder {
                version: DECODER_VERSION,
                fingerprint: settings.fingerprint(),
            });
        }
        let key = if kind == Kind::Data {
            claim.longest = self.stats.longest_by_column(self.encoder.plan());
            claim.unchanged = self.stats.unchanged_columns(self.encoder.plan());
            claim::object_key(
                &shared.place.prefix,
                lineage,
                batch.start,
                batch.next,
                &digest,
                compression,
            )
        } else {
            claim::bare_claim_key(&shared.place.prefix, &claim)
        };
        claim.object = Some(Object {
            bucket: shared.place.bucket.clone(),
            region: shared.place.region.clone(),
            key,
            bytes: body.len() as u64,
            sha256: digest,
        });
        self.stats.reset();
        SealedObject {
            claim,
            body,
            sha256,
            plan,
            aside,
            reason,
            held,
        }
    }
}

/// What rule 12 recognises the topic by, if this record is the last one claimed.
fn tail_of(record: &Record<'_>) -> Tail {
    Tail {
        offset: record.offset,
        leader_epoch: None,
        crc32c: claim::fingerprint(record.key, record.value),
    }
}

/// Why a record has no row, as a failure that halts its lineage.
#[must_use]
pub fn refusal(error: &EncodeError) -> Failure {
    halts(error, error.problem.to_string(), error.hint().to_owned())
}

/// The same for a record that could have been set aside, were there not so many already.
fn one_too_many(error: &EncodeError, max: u32) -> Failure {
    let what = format!(
        "{}; `{max}` others of this partition were set aside within the hour, and no more may be",
        error.problem
    );
    let hint = format!(
        "{}; `redshift-spolt set-aside` shows the others; raise the topic's `bad_records_max` and start again to go on",
        error.hint()
    );
    halts(error, what, hint)
}

fn halts(error: &EncodeError, what: String, hint: String) -> Failure {
    let failure = Failure::halt(format!("encode a record: {what}")).hint(hint);
    match &error.column {
        Some(column) => failure.column(column),
        None => failure,
    }
}
