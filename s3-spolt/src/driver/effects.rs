//! The effects that the state machines ask for, each as one async function with one answer.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use common::claim::{self, Claim};
use common::failure::Failure;
use common::ids::Partition;
use common::plan::{Plan, PlanId};
use runtime::failpoint;
use runtime::port::{ObjectStore, Put, PutObject, Registry, SignalLog, SignalRecord, Upstream, World};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::ingest::machine::{Event, Facts};
use crate::ingest::resume::{ReadBack, Resume};

use super::encode::{Place, SealedObject};
use super::topics::{Topic, Topics};

/// The world, as far as the driver reaches it.
#[derive(Clone)]
pub struct Ports {
    /// The bucket.
    pub store: Arc<dyn ObjectStore>,
    /// The signal topics.
    pub signals: Arc<dyn SignalLog>,
    /// The upstream topics.
    pub upstream: Arc<dyn Upstream>,
    /// Schemas.
    pub registry: Arc<dyn Registry>,
    /// Topic preparation and lag tools.
    pub topics: Arc<dyn Topics>,
    /// Time and randomness.
    pub world: Arc<dyn World>,
}

/// Carries effects out.
pub struct Effects {
    /// The world.
    pub ports: Ports,
    /// Names that claims carry.
    pub place: Place,
    uploads: Semaphore,
    plans_stored: Mutex<HashSet<PlanId>>,
}

impl Effects {
    /// Effects with at most `uploads` objects on their way to S3 at once.
    #[must_use]
    pub fn new(ports: Ports, place: Place, uploads: usize) -> Effects {
        Effects {
            ports,
            place,
            uploads: Semaphore::new(uploads),
            plans_stored: Mutex::default(),
        }
    }

    /// Reads the end of a signal partition and decodes it.
    pub async fn read_back(&self, topic: &Topic, partition: Partition, count: u64) -> Result<Event, Failure> {
        failpoint::hit("C1").await?;
        let read = read_claims(&*self.ports.signals, &topic.signal_topic, partition, count).await?;
        Ok(Event::ReadBack(read))
    }

    /// Asks for the bounds of an upstream partition.
    pub async fn facts(&self, topic: &Topic, partition: Partition) -> Result<Event, Failure> {
        let facts = self.ports.upstream.facts(&topic.name, partition).await?;
        Ok(Event::Facts(Facts {
            log_start: facts.log_start,
            end: facts.end,
            topic_id: facts.topic_id,
            partitions: facts.partitions,
        }))
    }

    /// Puts the empty object of a claim without rows, with the claim as its metadata (rule 2).
    pub async fn put_bare(&self, mut claim: Claim) -> Result<Event, Failure> {
        self.sign(&mut claim);
        self.same_life(&claim).await?;
        put_bare_claim(&*self.ports.store, &self.place.prefix, &claim).await?;
        Ok(Event::BareStored)
    }

    /// Appends a genesis.
    pub async fn append_genesis(
        &self,
        topic: &Topic,
        partition: Partition,
        mut claim: Claim,
    ) -> Result<Event, Failure> {
        self.sign(&mut claim);
        failpoint::hit("C2").await?;
        self.append(topic, partition, &claim).await?;
        failpoint::hit("C3").await?;
        Ok(Event::GenesisAppended)
    }

    fn sign(&self, claim: &mut Claim) {
        claim.writer.clone_from(&self.place.writer);
        claim.build.clone_from(&self.place.build);
    }

    /// Puts a sealed object, and before it what its claim names: its plan document if this process has not done so yet, and the records
    /// set aside.
    pub async fn put_sealed(&self, sealed: &SealedObject) -> Result<Event, Failure> {
        let claim = &sealed.claim;
        let _turn = self
            .uploads
            .acquire()
            .await
            .map_err(|_| Failure::retry("uploads have ended"))?;
        if let (Some(plan), Some(id)) = (&sealed.plan, &claim.plan) {
            self.put_plan(plan, id).await?;
        }
        let Some(object) = &claim.object else {
            return Err(Failure::halt("a sealed object has no place"));
        };
        failpoint::hit("C5").await?;
        self.same_life(claim).await?;
        if let (Some(aside), Some((body, sha256))) = (claim.aside_object(), &sealed.aside) {
            self.put(aside.key, body.clone(), *sha256, None).await?;
        }
        self.put(object.key.clone(), sealed.body.clone(), sealed.sha256, Some(claim))
            .await?;
        failpoint::hit("C8").await?;
        Ok(Event::Stored { next: claim.next })
    }

    /// Whether records that were read belong to the life of the topic that their claim names (rule 12). A topic that was created anew and
    /// at once has more records than the old one goes on under the fetch client's hands without an error. Asked after the last of the
    /// records was read and before anything of them is stored, since what lies on S3 can become a claim again (rule 2).
    async fn same_life(&self, claim: &Claim) -> Result<(), Failure> {
        if claim.records == 0 || claim.topic_id.is_none() {
            return Ok(());
        }
        let present = self.ports.upstream.topic_id(&claim.topic, claim.partition).await?;
        if present == claim.topic_id {
            return Ok(());
        }
        Err(Failure::retry("the topic was created anew while its records were read")
            .topic(&claim.topic)
            .partition(claim.partition)
            .offset(claim.start))
    }

    async fn put_plan(&self, plan: &Plan, id: &PlanId) -> Result<(), Failure> {
        if self
            .plans_stored
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(id)
        {
            return Ok(());
        }
        let document = plan.document();
        let sha256 = Sha256::digest(&document).into();
        self.put(claim::plan_key(&self.place.prefix, id), document.into(), sha256, None)
            .await?;
        self.plans_stored
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone());
        Ok(())
    }

    async fn put(&self, key: String, body: Bytes, sha256: [u8; 32], claim: Option<&Claim>) -> Result<(), Failure> {
        put(&*self.ports.store, key, body, sha256, claim).await
    }

    /// Sends a signal and waits for its acknowledgement (rule 9).
    pub async fn signal(&self, topic: &Topic, partition: Partition, claim: &Claim) -> Result<Event, Failure> {
        failpoint::hit_for("C10", &topic.name).await?;
        self.append(topic, partition, claim).await?;
        failpoint::hit_for("C12", &topic.name).await?;
        failpoint::hit("C13").await?;
        Ok(Event::Acknowledged)
    }

    async fn append(&self, topic: &Topic, partition: Partition, claim: &Claim) -> Result<(), Failure> {
        append_claim(&*self.ports.signals, &topic.signal_topic, partition, claim).await
    }

    /// Fetches the plan document that a lineage goes on with.
    pub async fn plan(&self, resume: &Resume) -> Result<Option<Arc<Plan>>, Failure> {
        let Some(id) = &resume.plan else { return Ok(None) };
        let key = claim::plan_key(&self.place.prefix, id);
        let document = self.ports.store.get(self.ports.store.bucket(), &key).await?;
        let Some(document) = document else {
            return Err(Failure::halt("the plan document of the last claim is missing")
                .key(key)
                .hint("plan documents must never be deleted; restore it from a backup or a versioned bucket"));
        };
        let plan = Plan::parse(&document).map_err(|error| Failure::halt(error.to_string()).key(&key))?;
        if plan.id() != *id {
            return Err(Failure::halt("a plan document does not have the digest that names it").key(key));
        }
        self.plans_stored
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone());
        Ok(Some(Arc::new(plan)))
    }
}

/// Reads the last `count` signals of a partition and decodes them.
///
/// # Errors
/// Of class halt for a signal that this build cannot read: what it claims is unknown.
pub async fn read_claims(
    signals: &dyn SignalLog,
    signal_topic: &str,
    partition: Partition,
    count: u64,
) -> Result<ReadBack, Failure> {
    let slice = signals.read_tail(signal_topic, partition, count).await?;
    let from_beginning = slice.records.first().is_none_or(|record| record.offset <= slice.low);
    let decode = |record: &SignalRecord| {
        Claim::decode(&record.value).map_err(|error| {
            Failure::halt(format!("read back signals: {error}"))
                .topic(signal_topic)
                .partition(partition)
                .offset(record.offset)
                .hint("only s3-spolt may write to a signal topic; an older build cannot read what a newer one wrote")
        })
    };
    let claims = slice
        .records
        .iter()
        .map(decode)
        .collect::<Result<Vec<Claim>, Failure>>()?;
    Ok(ReadBack { from_beginning, claims })
}

/// Puts the empty object of a claim without rows, with the claim as its metadata (rule 2).
///
/// # Errors
/// When S3 does not take it.
pub async fn put_bare_claim(store: &dyn ObjectStore, prefix: &str, claim: &Claim) -> Result<(), Failure> {
    let key = claim::bare_claim_key(prefix, claim);
    put(store, key, Bytes::new(), Sha256::digest([]).into(), Some(claim)).await
}

async fn put(
    store: &dyn ObjectStore,
    key: String,
    body: Bytes,
    sha256: [u8; 32],
    claim: Option<&Claim>,
) -> Result<(), Failure> {
    let metadata = claim
        .map(|claim| (claim::METADATA_NAME.to_owned(), claim.metadata()))
        .into_iter()
        .collect();
    let content_type = if key.ends_with(".json") {
        "application/json"
    } else {
        "text/csv"
    };
    let object = PutObject {
        key: key.clone(),
        body,
        sha256,
        content_type,
        metadata,
    };
    if store.put_if_absent(object).await.map_err(|failure| failure.key(key))? == Put::Existed {
        failpoint::hit("C9").await?;
    }
    Ok(())
}

/// Appends a claim to its signal partition and waits for the acknowledgement.
///
/// # Errors
/// The outcome is then unknown (rule 10).
pub async fn append_claim(
    signals: &dyn SignalLog,
    signal_topic: &str,
    partition: Partition,
    claim: &Claim,
) -> Result<(), Failure> {
    let key = format!("{}/{}/{}", claim.topic, claim.incarnation, claim.partition).into_bytes();
    let appended = signals.append(signal_topic, partition, key, claim.encode()).await;
    appended.map(drop).map_err(|failure| {
        let failure = failure.topic(signal_topic).partition(partition);
        failure.context(format_args!("signal `{}..{}`", claim.start, claim.next))
    })
}
