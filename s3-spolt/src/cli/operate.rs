//! `s3-spolt reset` and `s3-spolt gap`: what an operator says about a lineage that cannot go on by itself (rule 12). The decision is
//! `ingest::operator`'s; here it is asked for, shown, and carried out.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use common::claim::{Claim, Kind};
use common::failure::Failure;
use common::ids::{Offset, Partition};
use runtime::config::{Config, S3SpoltConfig};
use runtime::failpoint;
use runtime::kafka::Kafka;
use runtime::port::{Upstream, World};
use runtime::readiness::Readiness;
use runtime::s3::S3Store;
use runtime::world::RealWorld;

use super::Insist;
use crate::driver::effects::{append_claim, put_bare_claim, read_claims};
use crate::ingest::identity::Mismatch;
use crate::ingest::machine::Facts;
use crate::ingest::operator::{At, Counted, Findings, Refusal, counted, gap, reset};
use crate::ingest::resume::{Found, find};
use crate::run::BUILD;

/// Signals read back at first. Beyond that the whole partition is read, so that neither a long log nor one full of void claims misleads.
const READ_BACK: u64 = 65_536;

/// What is wanted.
pub(super) enum Wish {
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
struct Operation<'a> {
    config: &'a Config,
    file: &'a Path,
    kafka: Kafka,
    cluster: String,
    topic: &'a str,
    signals: String,
    wish: &'a Wish,
    insist: Insist,
}

/// Shows what was found and what would be done, and does it with `--apply`.
pub(super) async fn operate(
    config: &Config,
    own: &S3SpoltConfig,
    file: &Path,
    topic: &str,
    wish: &Wish,
    insist: Insist,
) -> Result<(), Failure> {
    #[cfg(feature = "drills")]
    failpoint::arm()?;
    let kafka = Kafka::new(&config.kafka, &own.group_id, &Readiness::default())?;
    let operation = Operation {
        config,
        file,
        cluster: kafka.cluster_id().await?,
        kafka,
        topic,
        signals: config.signals.topic_for(topic),
        wish,
        insist,
    };
    let mut claims = Vec::new();
    for (partition, named) in operation.partitions().await? {
        let findings = operation.findings(partition).await?;
        show(&findings);
        match operation.decide(&findings) {
            Ok(claim) => {
                println!("  would append  {}", said(&findings, &claim));
                claims.push((findings, claim));
            }
            Err(refusal) if named => return Err(refused(refusal).topic(topic).partition(partition)),
            Err(refusal) => println!("  left alone    {refusal}"),
        }
    }
    if claims.is_empty() {
        return Err(Failure::stop("nothing is to be done").topic(topic));
    }
    operation.alone(&claims).await?;
    if !insist.apply {
        println!("\nNothing was done. To do it:\n  {}", operation.command_line());
        return Ok(());
    }
    operation
        .apply(claims.into_iter().map(|(_, claim)| claim).collect())
        .await
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Needless(why) => Failure::stop(why).hint("--force does it nevertheless"),
        Refusal::Wrong(why) => Failure::stop(why),
    }
}

impl Operation<'_> {
    /// The partitions meant, and whether they were named one by one.
    async fn partitions(&self) -> Result<Vec<(Partition, bool)>, Failure> {
        let found = self.kafka.topic(self.topic).await?.ok_or_else(|| {
            Failure::stop("the topic does not exist")
                .topic(self.topic)
                .hint("a topic that is gone has no new life to begin")
        })?;
        let count = i32::try_from(found.partitions).unwrap_or(i32::MAX);
        let named = match self.wish {
            Wish::Reset { partitions, .. } if partitions.is_empty() => {
                return Ok((0..count).map(|partition| (Partition(partition), false)).collect());
            }
            Wish::Reset { partitions, .. } => partitions.clone(),
            Wish::Gap { partition, .. } => vec![*partition],
        };
        match named.iter().find(|partition| !(0..count).contains(&partition.0)) {
            Some(partition) => Err(Failure::stop(format!("the topic has `{count}` partitions"))
                .topic(self.topic)
                .partition(*partition)),
            None => Ok(named.into_iter().map(|partition| (partition, true)).collect()),
        }
    }

    async fn findings(&self, partition: Partition) -> Result<Findings, Failure> {
        let (upstream, log) = (self.kafka.upstream(), self.kafka.signal_log());
        let facts = upstream.facts(self.topic, partition).await?;
        let mut resume = None;
        for count in [READ_BACK, u64::MAX] {
            let read = read_claims(&log, &self.signals, partition, count).await?;
            match find(&read, &self.cluster, self.topic, partition) {
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
            Some(offset) => upstream.fingerprint(self.topic, partition, offset).await?,
            None => None,
        };
        Ok(Findings {
            cluster: self.cluster.clone(),
            topic: self.topic.to_owned(),
            partition,
            resume,
            facts,
            fingerprint,
        })
    }

    fn decide(&self, findings: &Findings) -> Result<Claim, Refusal> {
        match self.wish {
            Wish::Reset { at, .. } => reset(findings, *at, self.insist.force),
            Wish::Gap { to, .. } => gap(findings, *to, self.insist.force),
        }
    }

    /// A lineage that is halted writes nothing, and one that is not would go on claiming the life that ends: what it claims after the
    /// reset would be void for loaders, and missing in the new life. So a healthy lineage is reset only while nobody can own it.
    async fn alone(&self, claims: &[(Findings, Claim)]) -> Result<(), Failure> {
        let healthy = claims
            .iter()
            .any(|(findings, claim)| claim.kind == Kind::Reset && findings.mismatch().is_none());
        if !healthy {
            return Ok(());
        }
        match self.kafka.group_members().await? {
            0 => Ok(()),
            members => Err(Failure::stop(format!(
                "the lineage is healthy and `{members}` members of the group may own it"
            ))
            .topic(self.topic)
            .hint("stop every s3-spolt of this group first: what it claims of the old life after the reset would be lost to the new one")),
        }
    }

    fn command_line(&self) -> String {
        let mut line = match self.wish {
            Wish::Reset { partitions, at } => {
                let mut line = format!("s3-spolt reset {}", self.topic);
                for partition in partitions {
                    let _ = write!(line, " --partition {partition}");
                }
                if let Some(at) = at {
                    let _ = write!(line, " --at {at}");
                }
                line
            }
            Wish::Gap { partition, to } => {
                let to = to.map(|to| format!(" --to {to}")).unwrap_or_default();
                format!("s3-spolt gap {} --partition {partition}{to}", self.topic)
            }
        };
        if self.insist.force {
            line.push_str(" --force");
        }
        format!("{line} --config {} --apply", self.file.display())
    }

    /// Object first, signal after it (rule 2), then what the log says.
    async fn apply(&self, claims: Vec<Claim>) -> Result<(), Failure> {
        let store = S3Store::new(&self.config.s3, Arc::new(RealWorld), &Readiness::default()).await;
        let log = self.kafka.signal_log();
        let writer = RealWorld.uuid();
        println!();
        for claim in claims {
            let claim = Claim {
                writer: writer.clone(),
                build: BUILD.to_owned(),
                ..claim
            };
            put_bare_claim(&store, &self.config.s3.prefix, &claim).await?;
            failpoint::hit("C16").await?;
            append_claim(&log, &self.signals, claim.partition, &claim)
                .await
                .map_err(|failure| failure.hint("whether it was appended is not known: look again without --apply"))?;
            let read = read_claims(&log, &self.signals, claim.partition, u64::MAX).await?;
            let which = format!("{}[{}]", self.topic, claim.partition);
            match counted(&read, &claim) {
                Counted::Yes(next) => println!(
                    "{which}: {} holds; incarnation {} goes on at offset {next}",
                    claim.kind.name(),
                    claim.incarnation
                ),
                Counted::Other(first) => println!(
                    "{which}: another reset came first and holds instead: incarnation {} begins at offset {}",
                    first.incarnation, first.start
                ),
                Counted::Missing => {
                    return Err(
                        Failure::stop("the claim was acknowledged, but the signal log does not have it")
                            .topic(&self.signals)
                            .partition(claim.partition)
                            .hint("the signal topic lost acknowledged records; see `s3-spolt check`"),
                    );
                }
            }
        }
        println!("A running s3-spolt takes this up within half a minute.");
        Ok(())
    }
}

/// What was found out about a partition.
fn show(findings: &Findings) {
    let facts = &findings.facts;
    println!("{}[{}]", findings.topic, findings.partition);
    let id = |id: &Option<String>| id.as_ref().map_or("no id".to_owned(), |id| format!("id `{id}`"));
    println!(
        "  topic now     {}, {} partitions, offsets {}..{}",
        id(&facts.topic_id),
        facts.partitions,
        facts.log_start,
        facts.end
    );
    match &findings.resume {
        Some(resume) => println!(
            "  claimed       everything before offset {} of incarnation {}, topic {}",
            resume.pos,
            resume.incarnation,
            id(&resume.topic_id)
        ),
        None => println!("  claimed       nothing"),
    }
    match findings.mismatch() {
        Some(mismatch) => println!("  wrong         {mismatch}"),
        None => println!("  wrong         nothing"),
    }
}

/// What a claim says, for a person.
fn said(findings: &Findings, claim: &Claim) -> String {
    let (from, pos) = (
        findings.facts.log_start,
        findings.resume.as_ref().map_or(Offset(0), |resume| resume.pos),
    );
    match claim.kind {
        Kind::Reset => format!(
            "reset: incarnation {} begins at offset {}; {} offsets are there to be read, {} are passed over; what the old life held at offset {pos} \
             and after it was never claimed",
            claim.incarnation,
            claim.start,
            findings.facts.end.0 - claim.start.0,
            claim.start.0 - from.0
        ),
        _ => format!(
            "gap: offsets {}..{} ({} of them, {} of which still exist) are given up for good",
            claim.start,
            claim.next,
            claim.next.0 - claim.start.0,
            (claim.next.0 - from.0.max(claim.start.0)).max(0)
        ),
    }
}
