//! `s3-spolt rebuild`: a lost signal topic, made anew from the objects on S3 (rule 2, failure table 43).

use std::io::IsTerminal as _;
use std::sync::Arc;

use common::chain::first_break;
use common::claim::Kind;
use common::failure::Failure;
use common::ids::{Offset, Partition};
use common::rebuild::{Chain, chain, links};
use runtime::config::{Config, S3SpoltConfig};
use runtime::kafka::Kafka;
use runtime::port::SignalLog as _;
use runtime::readiness::Readiness;
use runtime::s3::S3Store;
use runtime::world::RealWorld;
use serde::Serialize;

use crate::driver::effects::{append_claim, read_claims};
use crate::rebuild::{Found, complete, find};

/// What was asked for.
pub(super) struct Wish<'a> {
    pub(super) topic: &'a str,
    pub(super) partition: Option<Partition>,
    pub(super) apply: bool,
    pub(super) json: bool,
}

/// What was found of a partition.
#[derive(Debug, Serialize)]
struct Line {
    partition: i32,
    /// Claims of the new log.
    claims: usize,
    /// Claims that are not needed.
    unused: usize,
    rows: u64,
    bytes: u64,
    incarnation: Option<u32>,
    origin: Option<i64>,
    horizon: Option<i64>,
    end: Option<i64>,
    hole: Option<(i64, i64)>,
    /// Why nothing can be written.
    unfit: Option<String>,
    /// Claims that were appended.
    appended: usize,
}

/// Shows what the bucket holds, and with `--apply` writes it to empty signal partitions.
pub(super) async fn rebuild(config: &Config, own: &S3SpoltConfig, wish: &Wish<'_>) -> Result<(), Failure> {
    let readiness = Readiness::default();
    let kafka = Kafka::new(&config.kafka, &own.group_id, &readiness)?;
    let cluster = kafka.cluster_id().await?;
    let store = Arc::new(S3Store::new(&config.s3, Arc::new(RealWorld), &readiness).await);
    let progress = Progress::new(wish.json);
    let found = find(
        &*store,
        &config.s3.prefix,
        &cluster,
        wish.topic,
        wish.partition,
        |seen| progress.tell("objects looked at", seen),
    )
    .await?;
    progress.end();
    if found.claims.is_empty() {
        return Err(Failure::stop("no object of the topic carries a claim")
            .topic(wish.topic)
            .hint("check the name of the topic, and s3.bucket and s3.prefix against the configuration that wrote the objects"));
    }
    let mut chains = Vec::new();
    let mut lines = Vec::new();
    let Found { claims, unusable } = found;
    for (partition, claims) in claims {
        let count = claims.len();
        match chain(claims) {
            Ok(chain) => {
                lines.push(Line::of(partition, &chain));
                chains.push((partition, chain));
            }
            Err(unfit) => lines.push(Line::unfit(partition, count, unfit.to_string())),
        }
    }
    if wish.apply {
        refuse(&lines, wish)?;
        let signals = config.signals.topic_for(wish.topic);
        let topic = Topic {
            config,
            kafka: &kafka,
            store: &store,
            signals: &signals,
        };
        topic.prepare(&chains, wish).await?;
        for ((partition, chain), line) in chains.into_iter().zip(&mut lines) {
            line.appended = topic.append(partition, chain, &progress).await?;
        }
        progress.end();
    }
    if wish.json {
        let document = serde_json::json!({ "topic": wish.topic, "partitions": lines, "unusable": unusable });
        println!("{}", serde_json::to_string_pretty(&document).unwrap_or_default());
    } else {
        show(&lines, &unusable, wish.apply);
    }
    Ok(())
}

/// A log that a target could take for whole although it is not is never written.
fn refuse(lines: &[Line], wish: &Wish<'_>) -> Result<(), Failure> {
    match lines.iter().find(|line| line.unfit.is_some()) {
        Some(line) => Err(Failure::stop(line.unfit.clone().unwrap_or_default())
            .topic(wish.topic)
            .partition(Partition(line.partition))
            .hint("nothing was written. Restore the missing objects from versions or a replica of the bucket, or take the other partitions one by one with --partition")),
        None => Ok(()),
    }
}

struct Topic<'a> {
    config: &'a Config,
    kafka: &'a Kafka,
    store: &'a Arc<S3Store>,
    signals: &'a str,
}

impl Topic<'_> {
    /// Everything that can be found out before the first claim is appended: nobody else writes, the topic exists, the partitions are
    /// empty. Into a log that has claims nothing is mended: what stands before the hole and behind it would come in another order, and
    /// targets would stop at it; a fresh log is always right.
    async fn prepare(&self, chains: &[(Partition, Chain)], wish: &Wish<'_>) -> Result<(), Failure> {
        match self.kafka.group_members().await? {
            0 => {}
            members => {
                return Err(Failure::stop(format!(
                    "`{members}` members of the group may write to the signal topic"
                ))
                .topic(self.signals)
                .hint("stop every s3-spolt of this group first"));
            }
        }
        let upstream = self.kafka.topic(wish.topic).await?.map_or(0, |topic| topic.partitions);
        let highest = chains.iter().map(|(partition, _)| partition.0 + 1).max().unwrap_or(1);
        let partitions = upstream.max(u32::try_from(highest).unwrap_or(1));
        let replication = self.config.signals.replication_factor;
        self.kafka
            .ensure_signal_topic(self.signals, partitions, replication)
            .await?;
        for (partition, _) in chains {
            let slice = self.kafka.signal_log().read_tail(self.signals, *partition, 1).await?;
            // Behind records that were deleted a log would have lost its beginning for new targets (rule 15).
            if slice.end > Offset(0) {
                return Err(Failure::stop("the signal partition is not empty, or was not always")
                    .topic(self.signals)
                    .partition(*partition)
                    .hint(
                        "nothing was written. A log is rebuilt whole: with every s3-spolt stopped, delete the signal topic and run this again \
                         (what its claims say lies on S3 as well)",
                    ));
            }
        }
        Ok(())
    }

    /// Appends one claim after the other, each acknowledged before the next (rule 9), and reads them back.
    async fn append(&self, partition: Partition, chain: Chain, progress: &Progress) -> Result<usize, Failure> {
        let links = links(&chain);
        let lives = links.iter().map(|link| link.incarnation).max();
        let broken = lives
            .and_then(|last| (0..=last.0).find(|life| first_break(&links, common::ids::Incarnation(*life)).is_some()));
        if let Some(life) = broken.filter(|life| links.iter().any(|link| link.incarnation.0 == *life)) {
            return Err(
                Failure::halt(format!("the chain of incarnation `{life}` would not be whole")).partition(partition),
            );
        }
        let prefix = &self.config.s3.prefix;
        let claims = complete(&**self.store, prefix, chain.claims, |seen| {
            progress.tell("objects read", seen)
        })
        .await?;
        let log = self.kafka.signal_log();
        for claim in &claims {
            append_claim(&log, self.signals, partition, claim)
                .await
                .map_err(|failure| failure.hint("delete the signal topic before you run this again"))?;
        }
        let read = read_claims(&log, self.signals, partition, u64::MAX).await?;
        if read.claims != claims {
            return Err(Failure::stop("the signal partition does not hold what was appended")
                .topic(self.signals)
                .partition(partition)
                .hint("somebody else wrote to it, or it lost records: stop every s3-spolt, delete the signal topic, run this again"));
        }
        Ok(claims.len())
    }
}

impl Line {
    fn of(partition: Partition, chain: &Chain) -> Line {
        let last = |kinds: &[Kind]| chain.claims.iter().rfind(|claim| kinds.contains(&claim.kind));
        let buried = chain.hole.filter(|hole| hole.buried);
        Line {
            partition: partition.0,
            claims: chain.claims.len(),
            unused: chain.unused,
            rows: chain.claims.iter().map(|claim| claim.rows).sum(),
            bytes: chain
                .claims
                .iter()
                .filter_map(|claim| claim.object.as_ref())
                .map(|object| object.bytes)
                .sum(),
            incarnation: chain.end.map(|end| end.incarnation.0),
            origin: last(&[Kind::Genesis, Kind::Reset]).map(|claim| claim.start.0),
            horizon: last(&[Kind::Horizon]).map(|claim| claim.next.0),
            end: chain.end.map(|end| end.next.0),
            hole: chain.hole.map(|hole| (hole.start.0, hole.next.0)),
            unfit: buried.map(|hole| {
                format!(
                    "offsets {}..{} of incarnation `{}` are covered by no object, and a later life follows",
                    hole.start, hole.next, hole.incarnation
                )
            }),
            appended: 0,
        }
    }

    fn unfit(partition: Partition, unused: usize, reason: String) -> Line {
        Line {
            partition: partition.0,
            claims: 0,
            unused,
            rows: 0,
            bytes: 0,
            incarnation: None,
            origin: None,
            horizon: None,
            end: None,
            hole: None,
            unfit: Some(reason),
            appended: 0,
        }
    }
}

fn show(lines: &[Line], unusable: &[(String, String)], applied: bool) {
    println!(
        "{:>9}  {:>4}  {:>16}  {:>16}  {:>16}  {:>9}  {:>9}  {:>13}  {:>15}",
        "partition", "life", "origin", "horizon", "end", "claims", "unused", "rows", "bytes"
    );
    let number = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    for line in lines {
        println!(
            "{:>9}  {:>4}  {:>16}  {:>16}  {:>16}  {:>9}  {:>9}  {:>13}  {:>15}",
            line.partition,
            number(line.incarnation.map(i64::from)),
            number(line.origin),
            number(line.horizon),
            number(line.end),
            line.claims,
            line.unused,
            line.rows,
            line.bytes
        );
        match (&line.unfit, line.hole) {
            (Some(reason), _) => println!("           cannot be rebuilt: {reason}"),
            (None, Some((start, next))) => println!(
                "           no object covers {start}..{next}: the log ends before it, and s3-spolt reads on from there as far as Kafka still has it"
            ),
            (None, None) => {}
        }
    }
    for (key, reason) in unusable {
        println!("not used: {key}: {reason}");
    }
    if applied {
        let appended: usize = lines.iter().map(|line| line.appended).sum();
        println!("\n{appended} claims were appended.");
    } else {
        println!("\nNothing was done; --apply writes these claims to the empty signal topic.");
    }
}

/// A line on the terminal that counts.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new(json: bool) -> Progress {
        Progress {
            shown: !json && std::io::stderr().is_terminal(),
        }
    }

    fn tell(&self, what: &str, count: usize) {
        if self.shown {
            eprint!("\r{count} {what} ");
        }
    }

    fn end(&self) {
        if self.shown {
            eprintln!();
        }
    }
}
