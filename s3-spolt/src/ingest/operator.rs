//! What an operator decides about a lineage that cannot go on by itself (protocol rule 12): `reset`, which begins a new life of the topic,
//! and `gap`, which gives up a range that is lost. Pure: from what was found out to the claim that would be appended, or to the reason why
//! it should not be.

use std::fmt;

use common::claim::{Claim, Kind};
use common::ids::{Incarnation, Lineage, Offset, Partition};

use super::identity::Mismatch;
use super::machine::Facts;
use super::resume::{ReadBack, Resume};

/// Everything that was found out about one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Source cluster id.
    pub cluster: String,
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: Partition,
    /// Where its claims end; `None` if it has none.
    pub resume: Option<Resume>,
    /// What the broker says.
    pub facts: Facts,
    /// Fingerprint of the record at the last claim's tail, where it is still there.
    pub fingerprint: Option<u32>,
}

/// Where a new life begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// At the first record that exists.
    Earliest,
    /// At the end.
    Latest,
    /// Here.
    Offset(Offset),
}

impl std::str::FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<At, String> {
        match text {
            "earliest" => Ok(At::Earliest),
            "latest" => Ok(At::Latest),
            number => match number.parse() {
                Ok(offset) if offset >= 0 => Ok(At::Offset(Offset(offset))),
                _ => Err("use `earliest`, `latest` or an offset".to_owned()),
            },
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Earliest => f.write_str("earliest"),
            At::Latest => f.write_str("latest"),
            At::Offset(offset) => offset.fmt(f),
        }
    }
}

/// Why a claim should not be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is not needed; the operator may insist.
    Needless(String),
    /// It makes no sense, whoever insists.
    Wrong(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Needless(why) | Refusal::Wrong(why) => f.write_str(why),
        }
    }
}

impl Findings {
    /// What no longer fits, if anything (rule 12).
    #[must_use]
    pub fn mismatch(&self) -> Option<Mismatch> {
        let resume = self.resume.as_ref()?;
        Mismatch::of_bounds(resume, &self.facts).or_else(|| Mismatch::of_tail(resume, self.fingerprint))
    }

    fn claim(&self, kind: Kind, incarnation: Incarnation, start: Offset, next: Offset) -> Claim {
        let lineage = Lineage {
            cluster: self.cluster.clone(),
            topic: self.topic.clone(),
            incarnation,
            partition: self.partition,
        };
        Claim {
            topic_id: self.facts.topic_id.clone(),
            ..Claim::new(kind, &lineage, start, next)
        }
    }

    fn begun(&self) -> Result<&Resume, Refusal> {
        self.resume.as_ref().ok_or_else(|| {
            Refusal::Wrong("the partition has no claims: s3-spolt begins it by itself as soon as it owns it".to_owned())
        })
    }
}

/// The claim that begins the next life of the topic: origin `at`, or the first record that exists where the topic was recreated. It
/// carries the topic id of now, by which rule 12 knows the new life, and no tail: nothing of it is claimed yet.
///
/// # Errors
/// When it is not needed and `force` is not given, or makes no sense.
pub fn reset(findings: &Findings, at: Option<At>, force: bool) -> Result<Claim, Refusal> {
    let resume = findings.begun()?;
    let facts = &findings.facts;
    let mismatch = findings.mismatch();
    match &mismatch {
        None if !force => {
            return Err(Refusal::Needless(format!(
                "nothing is wrong: the topic is the one that the claims were made about and holds offset `{}`, where they end",
                resume.pos
            )));
        }
        Some(Mismatch::Hole { .. }) if !force => {
            return Err(Refusal::Needless(
                "the topic is the same and only records are missing: `gap` gives them up and keeps everything else"
                    .to_owned(),
            ));
        }
        _ => {}
    }
    let recreated = matches!(mismatch, Some(Mismatch::Recreated { .. }));
    let origin = match at {
        Some(At::Latest) => facts.end,
        Some(At::Offset(offset)) => offset,
        Some(At::Earliest) => facts.log_start,
        None if recreated => facts.log_start,
        None => {
            return Err(Refusal::Wrong(format!(
                "the topic was not recreated, so say where the new life begins: `--at earliest` reads offsets `{}..{}` again (an append table \
                 then holds rows twice), `--at latest` passes them over, `--at OFFSET` begins where the records differ",
                facts.log_start, facts.end
            )));
        }
    };
    if origin < facts.log_start || origin > facts.end {
        return Err(Refusal::Wrong(format!(
            "offset `{origin}` is not in the topic, which holds `{}..{}`",
            facts.log_start, facts.end
        )));
    }
    let incarnation = Incarnation(resume.incarnation.0 + 1);
    Ok(Claim {
        partitions: Some(facts.partitions),
        ..findings.claim(Kind::Reset, incarnation, origin, origin)
    })
}

/// The claim that gives up `pos..to`; `to` is the first record that exists unless said otherwise. It carries plan and tail of the last
/// claim, as the lineage goes on with them.
///
/// # Errors
/// When there is no hole and `force` is not given, when the topic is another one, or when `to` is not beyond the position.
pub fn gap(findings: &Findings, to: Option<Offset>, force: bool) -> Result<Claim, Refusal> {
    let resume = findings.begun()?;
    let facts = &findings.facts;
    match findings.mismatch() {
        Some(Mismatch::Hole { .. }) => {}
        Some(other) => return Err(Refusal::Wrong(format!("{other}; that needs `reset`, not `gap`"))),
        None if !force => {
            return Err(Refusal::Needless(format!(
                "there is no hole: offset `{}`, where the claims end, is still in the topic, which begins at `{}`",
                resume.pos, facts.log_start
            )));
        }
        None => {}
    }
    let to = match to {
        Some(to) => to,
        None if facts.log_start > resume.pos => facts.log_start,
        None => return Err(Refusal::Wrong("say with `--to OFFSET` what is given up".to_owned())),
    };
    if to <= resume.pos || to > facts.end {
        return Err(Refusal::Wrong(format!(
            "offset `{to}` is not after `{}`, where the claims end, and within the topic, which ends at `{}`",
            resume.pos, facts.end
        )));
    }
    if to > facts.log_start && !force {
        return Err(Refusal::Needless(format!(
            "records from offset `{}` on exist and would be given up as well",
            facts.log_start.max(resume.pos)
        )));
    }
    let tail = resume.tail;
    Ok(Claim {
        topic_id: resume.topic_id.clone().or_else(|| facts.topic_id.clone()),
        plan: resume.plan.clone(),
        tail,
        ..findings.claim(Kind::Gap, resume.incarnation, resume.pos, to)
    })
}

/// What an appended claim came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted {
    /// It holds: a new life begins at, or the lineage goes on at, this offset.
    Yes(Offset),
    /// Another claim came first and holds instead.
    Other(Box<Claim>),
    /// It is not in what was read back.
    Missing,
}

/// Whether `ours` counts, read off the log: of the resets of one life the first holds for everybody (rule 6); a gap always does.
#[must_use]
pub fn counted(read: &ReadBack, ours: &Claim) -> Counted {
    let lineage = ours.lineage();
    let mut of_kind = read
        .claims
        .iter()
        .filter(|claim| claim.is_of(&lineage) && claim.kind == ours.kind);
    let is_ours = |claim: &Claim| claim.writer == ours.writer && (claim.start, claim.next) == (ours.start, ours.next);
    match ours.kind {
        Kind::Reset => match of_kind.next() {
            Some(first) if is_ours(first) => Counted::Yes(first.next),
            Some(first) => Counted::Other(Box::new(first.clone())),
            None => Counted::Missing,
        },
        _ => match of_kind.find(|claim| is_ours(claim)) {
            Some(claim) => Counted::Yes(claim.next),
            None => Counted::Missing,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::claim::Tail;

    fn findings(topic_id: &str, log_start: i64, end: i64) -> Findings {
        Findings {
            cluster: "c".into(),
            topic: "t".into(),
            partition: Partition(2),
            resume: Some(Resume {
                incarnation: Incarnation(0),
                pos: Offset(40),
                topic_id: Some("old".into()),
                plan: Some(common::plan::PlanId("p".into())),
                tail: Some(Tail {
                    offset: Offset(39),
                    leader_epoch: None,
                    crc32c: 7,
                }),
            }),
            facts: Facts {
                log_start: Offset(log_start),
                end: Offset(end),
                topic_id: Some(topic_id.into()),
                partitions: 6,
            },
            fingerprint: Some(7),
        }
    }

    fn text(refused: Result<Claim, Refusal>) -> String {
        refused.unwrap_err().to_string()
    }

    #[test]
    fn a_recreated_topic_begins_its_next_life_at_its_first_record() {
        let claim = reset(&findings("new", 3, 90), None, false).unwrap();
        assert_eq!((claim.kind, claim.incarnation), (Kind::Reset, Incarnation(1)));
        assert_eq!((claim.start, claim.next), (Offset(3), Offset(3)));
        assert_eq!((claim.topic_id.as_deref(), claim.partitions), (Some("new"), Some(6)));
        assert_eq!((claim.tail, claim.plan.clone()), (None, None));
        assert!(Claim::decode(&claim.encode()).is_ok());
        let latest = reset(&findings("new", 3, 90), Some(At::Latest), false).unwrap();
        assert_eq!(latest.start, Offset(90));
        assert!(matches!(
            reset(&findings("new", 3, 90), Some(At::Offset(Offset(91))), true),
            Err(Refusal::Wrong(_))
        ));
    }

    #[test]
    fn a_healthy_lineage_is_not_reset_unless_the_operator_insists_and_says_where() {
        let healthy = findings("old", 0, 90);
        assert!(matches!(reset(&healthy, None, false), Err(Refusal::Needless(_))));
        assert!(text(reset(&healthy, None, true)).contains("--at earliest"));
        assert_eq!(reset(&healthy, Some(At::Earliest), true).unwrap().start, Offset(0));
        assert!(text(reset(&findings("old", 50, 90), Some(At::Earliest), false)).contains("`gap`"));
    }

    #[test]
    fn a_topic_that_lost_or_changed_records_needs_a_reset_with_a_place() {
        for broken in [
            findings("old", 0, 39),
            Findings {
                fingerprint: Some(8),
                ..findings("old", 0, 90)
            },
        ] {
            assert!(text(reset(&broken, None, false)).contains("--at OFFSET"));
            assert!(reset(&broken, Some(At::Offset(Offset(30))), false).is_ok());
            assert!(text(gap(&broken, Some(Offset(90)), true)).contains("reset"));
        }
    }

    #[test]
    fn a_hole_is_given_up_to_the_first_record_that_exists() {
        let hole = findings("old", 50, 90);
        let claim = gap(&hole, None, false).unwrap();
        assert_eq!(
            (claim.kind, claim.start, claim.next),
            (Kind::Gap, Offset(40), Offset(50))
        );
        assert_eq!(claim.tail, hole.resume.as_ref().unwrap().tail);
        assert_eq!(claim.plan, hole.resume.as_ref().unwrap().plan);
        assert_eq!(claim.incarnation, Incarnation(0));
        assert!(Claim::decode(&claim.encode()).is_ok());
        assert!(matches!(gap(&hole, Some(Offset(55)), false), Err(Refusal::Needless(_))));
        assert_eq!(gap(&hole, Some(Offset(55)), true).unwrap().next, Offset(55));
        assert!(matches!(gap(&hole, Some(Offset(40)), true), Err(Refusal::Wrong(_))));
        assert!(matches!(gap(&hole, Some(Offset(91)), true), Err(Refusal::Wrong(_))));
    }

    #[test]
    fn without_a_hole_only_an_insisting_operator_gives_records_up() {
        let healthy = findings("old", 0, 90);
        assert!(matches!(
            gap(&healthy, Some(Offset(41)), false),
            Err(Refusal::Needless(_))
        ));
        let poison = gap(&healthy, Some(Offset(41)), true).unwrap();
        assert_eq!((poison.start, poison.next), (Offset(40), Offset(41)));
        assert!(matches!(gap(&healthy, None, true), Err(Refusal::Wrong(_))));
        let unbegun = Findings {
            resume: None,
            ..healthy
        };
        assert!(matches!(gap(&unbegun, None, true), Err(Refusal::Wrong(_))));
        assert!(matches!(reset(&unbegun, None, true), Err(Refusal::Wrong(_))));
    }

    #[test]
    fn of_two_resets_the_first_in_the_log_holds() {
        let by = |writer: &str, at: At| Claim {
            writer: writer.into(),
            ..reset(&findings("new", 3, 90), Some(at), false).unwrap()
        };
        let (first, second) = (by("a", At::Earliest), by("b", At::Latest));
        let read = ReadBack {
            from_beginning: true,
            claims: vec![first.clone(), second.clone()],
        };
        assert_eq!(counted(&read, &first), Counted::Yes(Offset(3)));
        assert_eq!(counted(&read, &second), Counted::Other(Box::new(first.clone())));
        let nothing = ReadBack {
            from_beginning: true,
            claims: vec![],
        };
        assert_eq!(counted(&nothing, &first), Counted::Missing);
    }
}
