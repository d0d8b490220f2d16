//! `s3-spolt reset` and `s3-spolt gap`: what an operator says about a lineage that cannot go on by itself (rule 12). The decision is
//! `ingest::operator`'s, what carries it out is `operate`; here it is shown.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use common::claim::{Claim, Kind};
use common::failure::Failure;
use common::ids::Offset;
use runtime::config::{Config, S3SpoltConfig};
use runtime::kafka::Kafka;
use runtime::port::World as _;
use runtime::readiness::Readiness;
use runtime::s3::S3Store;
use runtime::world::RealWorld;

use super::Insist;
use crate::ingest::operator::{Counted, Findings, Refusal};
use crate::operate::{Operation, Proposal, Wish, needs_solitude};
use crate::run::BUILD;

/// Shows what was found and what would be done, and does it with `--apply`.
pub(super) async fn operate(
    config: &Config,
    own: &S3SpoltConfig,
    file: &Path,
    topic: &str,
    wish: Wish,
    insist: Insist,
) -> Result<(), Failure> {
    #[cfg(feature = "drills")]
    runtime::failpoint::arm()?;
    let readiness = Readiness::default();
    let kafka = Kafka::new(&config.kafka, &own.group_id, &readiness)?;
    let found = kafka.topic(topic).await?.ok_or_else(|| {
        Failure::stop("the topic does not exist")
            .topic(topic)
            .hint("a topic that is gone has no new life to begin")
    })?;
    let operation = Operation {
        store: Arc::new(S3Store::new(&config.s3, Arc::new(RealWorld), &readiness).await),
        log: Arc::new(kafka.signal_log()),
        upstream: Arc::new(kafka.upstream()),
        cluster: kafka.cluster_id().await?,
        prefix: config.s3.prefix.clone(),
        topic: topic.to_owned(),
        signals: config.signals.topic_for(topic),
        signature: (RealWorld.uuid(), BUILD.to_owned()),
        wish,
        force: insist.force,
    };
    let proposals = operation.propose(found.partitions).await?;
    let claims = chosen(&proposals, topic)?;
    if needs_solitude(&proposals) {
        alone(&kafka, topic).await?;
    }
    if !insist.apply {
        println!("\nNothing was done. To do it:\n  {}", command_line(&operation, file));
        return Ok(());
    }
    apply(&operation, claims).await
}

/// Shows the proposals and returns the claims that would be appended.
fn chosen(proposals: &[Proposal], topic: &str) -> Result<Vec<Claim>, Failure> {
    let mut claims = Vec::new();
    for proposal in proposals {
        show(&proposal.findings);
        match &proposal.claim {
            Ok(claim) => {
                println!("  would append  {}", said(&proposal.findings, claim));
                claims.push(claim.clone());
            }
            Err(refusal) if proposal.named => {
                return Err(refused(refusal).topic(topic).partition(proposal.findings.partition));
            }
            Err(refusal) => println!("  left alone    {refusal}"),
        }
    }
    if claims.is_empty() {
        return Err(Failure::stop("nothing is to be done").topic(topic));
    }
    Ok(claims)
}

fn refused(refusal: &Refusal) -> Failure {
    match refusal {
        Refusal::Needless(why) => Failure::stop(why).hint("--force does it nevertheless"),
        Refusal::Wrong(why) => Failure::stop(why),
    }
}

async fn alone(kafka: &Kafka, topic: &str) -> Result<(), Failure> {
    match kafka.group_members().await? {
        0 => Ok(()),
        members => Err(Failure::stop(format!(
            "the lineage is healthy and `{members}` members of the group may own it"
        ))
        .topic(topic)
        .hint("stop every s3-spolt of this group first: what it claims of the old life after the reset would be lost to the new one")),
    }
}

fn command_line(operation: &Operation, file: &Path) -> String {
    let topic = &operation.topic;
    let mut line = match &operation.wish {
        Wish::Reset { partitions, at } => {
            let mut line = format!("s3-spolt reset {topic}");
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
            format!("s3-spolt gap {topic} --partition {partition}{to}")
        }
    };
    if operation.force {
        line.push_str(" --force");
    }
    format!("{line} --config {} --apply", file.display())
}

async fn apply(operation: &Operation, claims: Vec<Claim>) -> Result<(), Failure> {
    println!();
    for claim in claims {
        let which = format!("{}[{}]", operation.topic, claim.partition);
        let (kind, incarnation) = (claim.kind.name(), claim.incarnation);
        match operation.append(claim).await? {
            Counted::Other(first) => println!(
                "{which}: another reset came first and holds instead: incarnation {} begins at offset {}",
                first.incarnation, first.start
            ),
            Counted::Yes(next) => {
                println!("{which}: {kind} holds; incarnation {incarnation} goes on at offset {next}");
            }
            Counted::Missing => println!("{which}: {kind} is not in the signal log"),
        }
    }
    println!("A running s3-spolt takes this up within half a minute.");
    Ok(())
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
