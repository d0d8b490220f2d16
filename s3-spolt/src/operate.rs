//! `reset` and `gap` over the ports: what an operator says about a lineage that cannot go on by itself (protocol rule 12). The decision is
//! `ingest::operator`'s; here it is asked for and carried out. The command shows it.

use std::sync::Arc;

use common::claim::{Claim, Kind};
use common::failure::Failure;
use common::ids::{Offset, Partition};
use runtime::failpoint;
use runtime::port::{ObjectStore, SignalLog, Upstream};

use crate::driver::effects::{append_claim, put_bare_claim, read_claims};
use crate::ingest::identity::Mismatch;
use crate::ingest::machine::Facts;
use crate::ingest::operator::{At, Counted, Findings, Refusal, counted, gap, reset};
use crate::ingest::resume::{Found, find};

/// Signals read back at first. Beyond that the whole partition is read, so that neither a long log nor one full of void claims misleads.
const READ_BACK: u64 = 65_536;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// `reset`.
    Reset {
        /// Of these partitions; empty for all.
        partitions: Vec<Partition>,
        /// From here on.
        at: Option<At>,
    },
    /// `gap`.
    Gap {
        /// Of this partition.
        partition: Partition,
        /// Up to here.
        to: Option<Offset>,
    },
}

/// One invocation.
pub struct Operation {
    /// The bucket.
    pub store: Arc<dyn ObjectStore>,
    /// The signal topics.
    pub log: Arc<dyn SignalLog>,
    /// The upstream topics.
    pub upstream: Arc<dyn Upstream>,
    /// Source cluster.
    pub cluster: String,
    /// Prefix of all objects.
    pub prefix: String,
    /// Upstream topic.
    pub topic: String,
    /// Its signal topic.
    pub signals: String,
    /// Names that the claims carry: writer and build.
    pub signature: (String, String),
    /// What is wanted.
    pub wish: Wish,
    /// The operator insists on what is not needed.
    pub force: bool,
}

/// What was found out about a partition, and what follows.
pub struct Proposal {
    /// What was found out.
    pub findings: Findings,
    /// The claim that would be appended, or why none should be.
    pub claim: Result<Claim, Refusal>,
    /// Whether the operator named the partition: then a refusal is an error, else the partition is left alone.
    pub named: bool,
}

impl Operation {
    /// Looks at every partition that is meant; the topic has `count` of them.
    ///
    /// # Errors
    /// When a partition is named that the topic does not have, or Kafka does not answer.
    pub async fn propose(&self, count: u32) -> Result<Vec<Proposal>, Failure> {
        let mut proposals = Vec::new();
        for (partition, named) in self.partitions(count)? {
            let findings = self.findings(partition).await?;
            let claim = match &self.wish {
                Wish::Reset { at, .. } => reset(&findings, *at, self.force),
                Wish::Gap { to, .. } => gap(&findings, *to, self.force),
            };
            proposals.push(Proposal { findings, claim, named });
        }
        Ok(proposals)
    }

    fn partitions(&self, count: u32) -> Result<Vec<(Partition, bool)>, Failure> {
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        let named = match &self.wish {
            Wish::Reset { partitions, .. } if partitions.is_empty() => {
                return Ok((0..count).map(|partition| (Partition(partition), false)).collect());
            }
            Wish::Reset { partitions, .. } => partitions.clone(),
            Wish::Gap { partition, .. } => vec![*partition],
        };
        match named.iter().find(|partition| !(0..count).contains(&partition.0)) {
            Some(partition) => Err(Failure::stop(format!("the topic has `{count}` partitions"))
                .topic(&self.topic)
                .partition(*partition)),
            None => Ok(named.into_iter().map(|partition| (partition, true)).collect()),
        }
    }

    async fn findings(&self, partition: Partition) -> Result<Findings, Failure> {
        let facts = self.upstream.facts(&self.topic, partition).await?;
        let mut resume = None;
        for count in [READ_BACK, u64::MAX] {
            let read = read_claims(&*self.log, &self.signals, partition, count).await?;
            match find(&read, &self.cluster, &self.topic, partition) {
                Found::Resume(found) => resume = Some(found),
                Found::Nothing => {}
                Found::ReadAll | Found::ReadMore => continue,
            }
            break;
        }
        let facts = Facts {
            log_start: facts.log_start,
            end: facts.end,
            topic_id: facts.topic_id,
            partitions: facts.partitions,
        };
        let witness = resume.as_ref().and_then(|resume| Mismatch::witness(resume, &facts));
        let fingerprint = match witness {
            Some(offset) => self.upstream.fingerprint(&self.topic, partition, offset).await?,
            None => None,
        };
        Ok(Findings {
            cluster: self.cluster.clone(),
            topic: self.topic.clone(),
            partition,
            resume,
            facts,
            fingerprint,
        })
    }

    /// Puts a claim's object, appends its signal (rule 2), and reads off the log whether it counts.
    ///
    /// # Errors
    /// When S3 or Kafka does not answer: whether the claim was appended is not known then. When it was acknowledged and is not there.
    pub async fn append(&self, claim: Claim) -> Result<Counted, Failure> {
        let claim = Claim {
            writer: self.signature.0.clone(),
            build: self.signature.1.clone(),
            ..claim
        };
        put_bare_claim(&*self.store, &self.prefix, &claim).await?;
        failpoint::hit("C16").await?;
        append_claim(&*self.log, &self.signals, claim.partition, &claim)
            .await
            .map_err(|failure| failure.hint("whether it was appended is not known: look again without --apply"))?;
        let read = read_claims(&*self.log, &self.signals, claim.partition, u64::MAX).await?;
        match counted(&read, &claim) {
            Counted::Missing => Err(
                Failure::stop("the claim was acknowledged, but the signal log does not have it")
                    .topic(&self.signals)
                    .partition(claim.partition)
                    .hint("the signal topic lost acknowledged records; see `s3-spolt check`"),
            ),
            counted => Ok(counted),
        }
    }
}

/// Whether any of these claims resets a lineage that is healthy. A halted lineage writes nothing, and a healthy one would go on claiming the
/// life that ends: what it claims after the reset would be void for loaders, and missing in the new life. So that is done only while nobody
/// can own the lineage.
#[must_use]
pub fn needs_solitude(proposals: &[Proposal]) -> bool {
    proposals.iter().any(|proposal| {
        let resets = proposal.claim.as_ref().is_ok_and(|claim| claim.kind == Kind::Reset);
        resets && proposal.findings.mismatch().is_none()
    })
}
