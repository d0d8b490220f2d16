//! What the targets say on the compacted progress topic (protocol rules 21, 23): that they exist, where they stand, that they are gone.
//!
//! The topic has one partition, so its messages have one order. [`Registry`] folds them: for each lineage the last statement of a target
//! holds, even if it is lower than an earlier one, since a warehouse may have been restored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::chain::Position;
use crate::ids::{Incarnation, Offset, Partition};

/// One message of the progress topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Statement {
    /// The target loads the topic and stands exactly so.
    Pin(Pin),
    /// The target has applied a lineage up to here.
    Progress(Progress),
    /// The target no longer loads the topic; nothing is kept for it.
    Unpin(Unpin),
}

/// A registration. Acknowledged before the target reads its first signal of the topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pin {
    /// Name of the target cluster.
    pub target: String,
    /// Table, for people.
    pub table: String,
    /// Upstream topic.
    pub topic: String,
    /// Checkpoints; a partition that is not listed stands at its beginning.
    pub positions: Vec<Pinned>,
    /// When it was said, milliseconds since 1970.
    pub at_ms: i64,
}

/// One checkpoint of a [`Pin`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pinned {
    /// Source cluster.
    pub cluster: String,
    /// Partition.
    pub partition: Partition,
    /// Incarnation.
    pub incarnation: Incarnation,
    /// First offset that is not applied.
    pub next: Offset,
}

/// A checkpoint that moved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Progress {
    /// Name of the target cluster.
    pub target: String,
    /// Table, for people.
    pub table: String,
    /// Source cluster.
    pub cluster: String,
    /// Upstream topic.
    pub topic: String,
    /// Incarnation.
    pub incarnation: Incarnation,
    /// Partition.
    pub partition: Partition,
    /// First offset that is not applied.
    pub next: Offset,
    /// When it was committed, milliseconds since 1970.
    pub committed_at_ms: i64,
    /// Serial number of the load, for people.
    pub load: Option<i64>,
}

/// The end of a registration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unpin {
    /// Name of the target cluster.
    pub target: String,
    /// Upstream topic.
    pub topic: String,
    /// When it was said, milliseconds since 1970.
    pub at_ms: i64,
}

impl Statement {
    /// Key of the message, by which the topic is compacted: a pin and its end share one.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Statement::Pin(pin) => format!("{}/{}/pin", pin.target, pin.topic),
            Statement::Unpin(unpin) => format!("{}/{}/pin", unpin.target, unpin.topic),
            Statement::Progress(progress) => format!(
                "{}/{}/{}/{}",
                progress.target, progress.topic, progress.incarnation, progress.partition
            ),
        }
    }

    /// The bytes of the message.
    ///
    /// # Panics
    /// Never: a statement holds only values that JSON has.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("invariant: statements hold only values that JSON has")
    }

    /// Reads a message; `None` for one without content. A message without `kind` is a [`Progress`], as older builds wrote it.
    ///
    /// # Errors
    /// When it is no statement that this build knows. It may be a registration, so nobody may go on without it.
    pub fn decode(message: &[u8]) -> Result<Option<Statement>, serde_json::Error> {
        if message.is_empty() {
            return Ok(None);
        }
        let mut value: serde_json::Value = serde_json::from_slice(message)?;
        if let Some(object) = value.as_object_mut() {
            object.entry("kind").or_insert_with(|| "progress".into());
        }
        serde_json::from_value(value).map(Some)
    }
}

/// Where a target stands in one partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Source cluster that the offsets belong to.
    pub cluster: String,
    /// Everything below is applied.
    pub position: Position,
}

/// A target that loads a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Registration {
    /// Table, for people.
    pub table: String,
    /// Whether it registered itself; otherwise only its progress was seen.
    pub pinned: bool,
    /// By partition; one that is missing stands at its beginning.
    pub at: BTreeMap<Partition, Standing>,
}

/// All targets by topic, as the progress topic has them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Registry {
    topics: BTreeMap<String, BTreeMap<String, Registration>>,
}

impl Registry {
    /// Takes the next message of the topic.
    pub fn take(&mut self, statement: Statement) {
        match statement {
            Statement::Pin(pin) => {
                let standing = |pinned: Pinned| {
                    let position = Position {
                        incarnation: pinned.incarnation,
                        next: pinned.next,
                    };
                    let cluster = pinned.cluster;
                    (pinned.partition, Standing { cluster, position })
                };
                let registration = Registration {
                    table: pin.table,
                    pinned: true,
                    at: pin.positions.into_iter().map(standing).collect(),
                };
                self.topics
                    .entry(pin.topic)
                    .or_default()
                    .insert(pin.target, registration);
            }
            Statement::Progress(progress) => {
                let position = Position {
                    incarnation: progress.incarnation,
                    next: progress.next,
                };
                let targets = self.topics.entry(progress.topic).or_default();
                let registration = targets.entry(progress.target).or_default();
                registration.table = progress.table;
                let cluster = progress.cluster;
                registration
                    .at
                    .insert(progress.partition, Standing { cluster, position });
            }
            Statement::Unpin(unpin) => {
                if let Some(targets) = self.topics.get_mut(&unpin.topic) {
                    targets.remove(&unpin.target);
                }
            }
        }
    }

    /// The targets of a topic, by name.
    pub fn targets(&self, topic: &str) -> impl Iterator<Item = (&str, &Registration)> {
        self.topics
            .get(topic)
            .into_iter()
            .flatten()
            .map(|(target, registration)| (target.as_str(), registration))
    }

    /// Where a target stands in a partition of a topic, if that is known.
    #[must_use]
    pub fn standing(&self, target: &str, topic: &str, partition: Partition) -> Option<&Standing> {
        self.topics.get(topic)?.get(target)?.at.get(&partition)
    }

    /// Topics with at least one target.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics
            .iter()
            .filter(|(_, targets)| !targets.is_empty())
            .map(|(topic, _)| topic.as_str())
    }

    /// Why nothing of a topic may be collected although all positions are known: the targets that the operator listed are not those
    /// that registered.
    ///
    /// # Errors
    /// With the first target that is missing, unknown or silent about itself.
    pub fn judge(&self, topic: &str, expected: &BTreeSet<String>) -> Result<(), Refusal> {
        if expected.is_empty() {
            return Err(Refusal::NoTargets);
        }
        for (target, registration) in self.targets(topic) {
            let target = target.to_owned();
            if !expected.contains(&target) {
                return Err(Refusal::Unknown { target });
            }
            if !registration.pinned {
                return Err(Refusal::Unpinned { target });
            }
        }
        let known: BTreeSet<&str> = self.targets(topic).map(|(target, _)| target).collect();
        match expected.iter().find(|target| !known.contains(target.as_str())) {
            Some(target) => Err(Refusal::Missing { target: target.clone() }),
            None => Ok(()),
        }
    }
}

/// Why nothing of a topic is collected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No target is configured.
    #[error("no targets are configured")]
    NoTargets,
    /// A configured target has not registered.
    #[error("target `{target}` has not registered for the topic")]
    Missing {
        /// Its name.
        target: String,
    },
    /// A target that is not configured has registered, or says how far it is.
    #[error("target `{target}` loads the topic but is not configured")]
    Unknown {
        /// Its name.
        target: String,
    },
    /// A target says how far it is but never registered, as builds without registration do.
    #[error("target `{target}` tells its progress but has not registered for the topic")]
    Unpinned {
        /// Its name.
        target: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(target: &str, positions: &[(i32, i64)]) -> Statement {
        Statement::Pin(Pin {
            target: target.into(),
            table: "public.t".into(),
            topic: "t".into(),
            positions: positions
                .iter()
                .map(|(partition, next)| Pinned {
                    cluster: "c".into(),
                    partition: Partition(*partition),
                    incarnation: Incarnation(0),
                    next: Offset(*next),
                })
                .collect(),
            at_ms: 1,
        })
    }

    fn progress(target: &str, partition: i32, next: i64) -> Statement {
        Statement::Progress(Progress {
            target: target.into(),
            table: "public.t".into(),
            cluster: "c".into(),
            topic: "t".into(),
            incarnation: Incarnation(0),
            partition: Partition(partition),
            next: Offset(next),
            committed_at_ms: 1,
            load: Some(3),
        })
    }

    fn registry(statements: Vec<Statement>) -> Registry {
        let mut registry = Registry::default();
        statements.into_iter().for_each(|statement| registry.take(statement));
        registry
    }

    fn stands(registry: &Registry, target: &str, partition: i32) -> Option<i64> {
        let (_, found) = registry.targets("t").find(|(name, _)| *name == target)?;
        found
            .at
            .get(&Partition(partition))
            .map(|standing| standing.position.next.0)
    }

    #[test]
    fn statements_read_back_and_those_of_older_builds_too() {
        for statement in [pin("a", &[(0, 7)]), progress("a", 1, 9)] {
            assert_eq!(Statement::decode(&statement.encode()).unwrap(), Some(statement));
        }
        let old = br#"{"target":"a","table":"p.t","cluster":"c","topic":"t","incarnation":0,"partition":1,"next":9,"committed_at_ms":5,"load":null}"#;
        assert!(matches!(Statement::decode(old).unwrap(), Some(Statement::Progress(_))));
        assert_eq!(Statement::decode(b"").unwrap(), None);
        assert!(Statement::decode(br#"{"kind":"lease"}"#).is_err() && Statement::decode(b"{").is_err());
    }

    #[test]
    fn the_last_statement_holds_even_if_it_goes_back() {
        let said = vec![pin("a", &[(0, 7)]), progress("a", 0, 20), progress("a", 1, 5)];
        assert_eq!(stands(&registry(said.clone()), "a", 0), Some(20));
        let restored = registry([said.clone(), vec![pin("a", &[(0, 3)])]].concat());
        assert_eq!(
            (stands(&restored, "a", 0), stands(&restored, "a", 1)),
            (Some(3), None),
            "what the new pin does not list is at its beginning"
        );
        let gone = Statement::Unpin(Unpin {
            target: "a".into(),
            topic: "t".into(),
            at_ms: 2,
        });
        assert_eq!(gone.key(), said[0].key());
        assert_eq!(registry([said, vec![gone]].concat()).targets("t").count(), 0);
    }

    #[test]
    fn registered_and_expected_targets_must_be_the_same() {
        let expected = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let one = registry(vec![pin("a", &[])]);
        assert_eq!(one.judge("t", &expected(&["a"])), Ok(()));
        assert_eq!(one.judge("t", &expected(&[])), Err(Refusal::NoTargets));
        let target = "b".to_owned();
        assert_eq!(
            one.judge("t", &expected(&["a", "b"])),
            Err(Refusal::Missing { target: target.clone() })
        );
        assert_eq!(
            one.judge("u", &expected(&["a"])),
            Err(Refusal::Missing { target: "a".into() })
        );
        let two = registry(vec![pin("a", &[]), progress("b", 0, 9)]);
        assert_eq!(
            two.judge("t", &expected(&["a"])),
            Err(Refusal::Unknown { target: target.clone() })
        );
        assert_eq!(
            two.judge("t", &expected(&["a", "b"])),
            Err(Refusal::Unpinned { target })
        );
    }
}
