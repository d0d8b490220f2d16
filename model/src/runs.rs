//! The runs: what is explored within which bounds, and in which run each mutant must be found.

use common::mutant::{Mutant, switch_on};
use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::statements::Script;

use crate::cases::{self, Logs, records};
use crate::explore::{Counterexample, Findings, Manner, PROGRESS, explore};
use crate::ingest::{self, Spolting};
use crate::load::{Bounds, Case, Faults, Loading};
use crate::records::Records;

/// How long a run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Seconds: for every test run.
    Quick,
    /// Minutes to hours: on demand.
    Deep,
}

/// One exploration of the protocol as it is.
pub struct Run {
    /// Its name.
    pub name: &'static str,
    /// What is in it, in words.
    pub bounds: &'static str,
    /// Explores it.
    pub explore: fn(Depth, Manner) -> Findings,
}

/// The search for one mutant.
pub struct Hunt {
    /// What is switched on.
    pub mutant: Mutant,
    /// The law that it must break.
    pub law: &'static str,
    /// What is searched.
    pub bounds: &'static str,
    /// Searches it.
    pub explore: fn(Manner) -> Findings,
}

/// Logs are taken so many at a time, so that what was seen of them can be forgotten.
const CASES_AT_ONCE: usize = 40;

/// Explores loaders over many logs, part by part.
pub(crate) fn loading(all: &[Case], bounds: &Bounds, manner: Manner) -> Findings {
    let mut sum = Findings::default();
    for part in all.chunks(CASES_AT_ONCE) {
        sum.add(explore(Loading::new(part.to_vec(), bounds.clone()), manner));
        if manner.until.is_some() && !sum.counterexamples.is_empty() {
            break;
        }
    }
    sum
}

pub(crate) const NO_FAULTS: Faults = Faults {
    crashes: 0,
    losses: 0,
    restores: 0,
    collections: 0,
    replays: 0,
    discards: 0,
};

pub(crate) fn bounds(mode: Mode, homes: &[u8], faults: Faults) -> Bounds {
    Bounds {
        mode,
        homes: homes.to_vec(),
        faults,
        word_for_word: false,
        alter: None,
    }
}

/// Loaders over logs of so many claims of each word, with all statements about rows word for word.
pub(crate) fn word_for_word(
    (words, claims): (&[&str], usize),
    (mode, homes, faults): (Mode, &[u8], Faults),
    alter: Option<fn(&mut Script)>,
    manner: Manner,
) -> Findings {
    let words: Vec<_> = words.iter().map(|word| records(word)).collect();
    let all = cases::whole(&words, Logs { claims, plans: 1 });
    let bounds = Bounds {
        word_for_word: true,
        alter,
        ..bounds(mode, homes, faults)
    };
    loading(&all, &bounds, manner)
}

/// A loader and an operator, of whom one may die; deep: two loaders, and commands that meet each other.
fn set_aside(mode: Mode, quick: &[&str], deep: &[&str], depth: Depth, manner: Manner) -> Findings {
    let dies = Faults {
        replays: 1,
        crashes: 1,
        ..NO_FAULTS
    };
    let gives_up = Faults {
        replays: 1,
        discards: 1,
        ..NO_FAULTS
    };
    let mut sum = Findings::default();
    let parts: &[(&[&str], &[u8], Faults)] = match depth {
        Depth::Quick => &[(quick, &[0], dies), (quick, &[0], gives_up)],
        Depth::Deep => &[
            (deep, &[0, 0], dies),
            (deep, &[0, 0], gives_up),
            (deep, &[0], Faults { replays: 2, ..dies }),
        ],
    };
    for (words, homes, faults) in parts {
        sum.add(word_for_word((words, 2), (mode, homes, *faults), None, manner));
    }
    sum
}

/// Two loaders, one of which may die, where deletes are kept; in deep runs also a loader over logs of more claims, which may overlap in one load.
fn keeps_deletes(mode: Mode, quick: &[&str], deep: &[&str], depth: Depth, manner: Manner) -> Findings {
    let crash = Faults {
        crashes: 1,
        ..NO_FAULTS
    };
    let mut sum = Findings::default();
    match depth {
        Depth::Quick => sum.add(word_for_word((quick, 2), (mode, &[0, 0], crash), None, manner)),
        Depth::Deep => {
            let lost = Faults { losses: 1, ..crash };
            sum.add(word_for_word((deep, 2), (mode, &[0, 0], lost), None, manner));
            sum.add(word_for_word((deep, 3), (mode, &[0], crash), None, manner));
        }
    }
    sum
}

fn one_table(mode: Mode, quick: &[&str], deep: &[&str], depth: Depth, manner: Manner) -> Findings {
    let words = if depth == Depth::Quick { quick } else { deep };
    let faults = Faults {
        crashes: 1,
        losses: u8::from(depth == Depth::Deep),
        ..NO_FAULTS
    };
    let words: Vec<_> = words.iter().map(|word| records(word)).collect();
    let all = cases::whole(&words, Logs { claims: 2, plans: 2 });
    let mut sum = loading(&all, &bounds(mode, &[0, 0], faults), manner);
    if depth == Depth::Deep {
        let all = cases::whole(&words, Logs { claims: 3, plans: 1 });
        let faults = Faults {
            crashes: 1,
            ..NO_FAULTS
        };
        sum.add(loading(&all, &bounds(mode, &[0, 0], faults), manner));
    }
    sum
}

fn left_out(mode: Mode, words: &[&str], plans: usize, depth: Depth, manner: Manner) -> Findings {
    let words: Vec<_> = words.iter().map(|word| records(word)).collect();
    let all = cases::whole(&words, Logs { claims: 2, plans });
    let faults = Faults {
        crashes: 1,
        losses: u8::from(depth == Depth::Deep),
        ..NO_FAULTS
    };
    loading(&all, &bounds(mode, &[0, 0], faults), manner)
}

fn deepen(depth: Depth, quick: usize, deep: usize) -> usize {
    match depth {
        Depth::Quick => quick,
        Depth::Deep => deep,
    }
}

const NO_SPOLT_FAULTS: ingest::Faults = ingest::Faults {
    crashes: 0,
    failures: 0,
    doubles: 0,
    revokes: 0,
    truncations: 0,
    recreations: 0,
    expiries: 0,
    operators: 0,
    collections: 0,
};

fn lives(words: &[&str]) -> Vec<Records> {
    words.iter().map(|word| records(word)).collect()
}

fn spolts(upstream: Vec<Vec<Records>>, faults: ingest::Faults) -> ingest::Bounds {
    ingest::Bounds {
        upstream,
        spolts: 2,
        targets: 1,
        ahead: 1,
        faults,
    }
}

/// Two spolts over each pattern of records and each set of faults by itself, so that what was seen of one can be forgotten.
fn zombies_all(depth: Depth, manner: Manner) -> Findings {
    let none = NO_SPOLT_FAULTS;
    let crash = ingest::Faults { crashes: 1, ..none };
    let failure = ingest::Faults { failures: 1, ..none };
    let two = [
        ingest::Faults { crashes: 2, ..none },
        ingest::Faults { failures: 2, ..none },
        ingest::Faults { failures: 1, ..crash },
        ingest::Faults { doubles: 1, ..crash },
        ingest::Faults { revokes: 1, ..crash },
        ingest::Faults { doubles: 1, ..failure },
        ingest::Faults { revokes: 1, ..failure },
    ];
    let parts: &[(&[&str], &[ingest::Faults])] = match depth {
        Depth::Quick => &[(&["ab", "-a"], &[crash, failure])],
        Depth::Deep => &[
            (&["ab", "-a", ".a", "a."], &two),
            (&["abc", "a-b", "-ab", ".ab", "a.b", "ab."], &[crash, failure]),
        ],
    };
    let mut sum = Findings::default();
    for (words, faults) in parts {
        for (word, faults) in words
            .iter()
            .flat_map(|word| faults.iter().map(move |faults| (word, faults)))
        {
            sum.add(explore(Spolting::new(spolts(vec![lives(&[word])], *faults)), manner));
        }
    }
    sum
}

/// Every run of the protocol as it is.
pub const RUNS: [Run; 19] = [
    Run {
        name: "A1 zombies",
        bounds: "2 spolts that may both own the partition, 2 patterns of 2 offsets, 1 crash or 1 unanswered PUT or signal (4 patterns, every \
                 two of crash, unanswered, doubled, revoked; 6 patterns of 3 offsets, 1 crash or 1 unanswered)",
        explore: zombies_all,
    },
    Run {
        name: "A2 read ahead",
        bounds: "1 spolt with 2 objects on their way, 2 offsets, 1 crash, 1 unanswered (1 doubled)",
        explore: |depth, manner| {
            let faults = ingest::Faults {
                crashes: 1,
                failures: 1,
                doubles: u8::from(depth == Depth::Deep),
                ..NO_SPOLT_FAULTS
            };
            let bounds = ingest::Bounds {
                spolts: 1,
                ahead: 2,
                ..spolts(vec![lives(&["ab"]), lives(&["a.-"])], faults)
            };
            explore(Spolting::new(bounds), manner)
        },
    },
    Run {
        name: "A3 log cut off",
        bounds: "the signal log loses its last record once (twice), 1 spolt, 2 offsets, 1 crash",
        explore: |depth, manner| {
            let faults = ingest::Faults {
                truncations: 1 + u8::from(depth == Depth::Deep),
                crashes: 1,
                ..NO_SPOLT_FAULTS
            };
            let bounds = ingest::Bounds {
                spolts: 1,
                ..spolts(vec![lives(&["ab"])], faults)
            };
            explore(Spolting::new(bounds), manner)
        },
    },
    Run {
        name: "A4 created anew",
        bounds: "the upstream topic is created anew, 1 operator sends a reset; 1 spolt, 2 offsets (3 offsets, with and without a hole)",
        explore: |depth, manner| {
            let faults = ingest::Faults {
                recreations: 1,
                operators: 1,
                ..NO_SPOLT_FAULTS
            };
            let upstream = match depth {
                Depth::Quick => vec![lives(&["a", "-b"])],
                Depth::Deep => vec![lives(&["ab", "-b"]), lives(&["a", "bab"]), lives(&["a-b", "ab"])],
            };
            let bounds = ingest::Bounds {
                spolts: 1,
                ..spolts(upstream, faults)
            };
            explore(Spolting::new(bounds), manner)
        },
    },
    Run {
        name: "A5 expired",
        bounds: "the upstream topic loses its beginning twice, 1 (2) operators send gaps; 1 spolt, 3 offsets (1 crash)",
        explore: |depth, manner| {
            let faults = ingest::Faults {
                expiries: 2,
                operators: 1 + u8::from(depth == Depth::Deep),
                crashes: u8::from(depth == Depth::Deep),
                ..NO_SPOLT_FAULTS
            };
            let bounds = ingest::Bounds {
                spolts: 1,
                ..spolts(vec![lives(&["abc"])], faults)
            };
            explore(Spolting::new(bounds), manner)
        },
    },
    Run {
        name: "A6 collected",
        bounds: "2 loaders, objects are collected once (twice); 1 spolt, 2 offsets, 1 unanswered (1 crash)",
        explore: |depth, manner| {
            let faults = ingest::Faults {
                collections: 1 + u8::from(depth == Depth::Deep),
                failures: 1,
                crashes: u8::from(depth == Depth::Deep),
                ..NO_SPOLT_FAULTS
            };
            let bounds = ingest::Bounds {
                spolts: 1,
                targets: 2,
                ..spolts(vec![lives(&["ab"])], faults)
            };
            explore(Spolting::new(bounds), manner)
        },
    },
    Run {
        name: "B1 append",
        bounds: "every log of 2 claims over 3 offsets, 2 plans, with and without a hole; 2 loaders, 1 crash (and 1 lost \
                 connection; 3 claims, 1 plan, 1 crash)",
        explore: |depth, manner| one_table(Mode::Append, &["abc", "a-b"], &["abc", "a-b", "a.b"], depth, manner),
    },
    Run {
        name: "B2 upsert",
        bounds: "the same; keys that change, rows that go, a truncate",
        explore: |depth, manner| {
            let deep = ["a>A", "ab>", "a!b", "aAa"];
            one_table(Mode::Upsert, &["a>A", "a!b"], &deep, depth, manner)
        },
    },
    Run {
        name: "B2b left out",
        bounds: "1 plan (2); upsert and append; updates that leave out what did not change, before and behind deletes, truncates and changed \
                 keys, with and without an earlier value",
        explore: |depth, manner| {
            let quick = ["aa1", "aA1", "1a1"];
            let deep = ["aa1", "aA1", "1a1", "a1a", "a11", "ab1", "a!1", "a>2", "aa-1", "a1A1"];
            let words: &[&str] = if depth == Depth::Deep { &deep } else { &quick };
            let plans = deepen(depth, 1, 2);
            let mut found = left_out(Mode::Upsert, words, plans, depth, manner);
            found.add(left_out(Mode::Append, &words[..1], plans, depth, manner));
            found
        },
    },
    Run {
        name: "B3 damaged log",
        bounds: "logs of 2 (3) claims, one taken out (G1); 2 loaders, 1 crash",
        explore: |depth, manner| {
            let logs = Logs {
                claims: deepen(depth, 2, 3),
                plans: 1,
            };
            let all = cases::damaged(&[records("abc"), records("a-b")], logs);
            let faults = Faults {
                crashes: 1,
                ..NO_FAULTS
            };
            loading(&all, &bounds(Mode::Append, &[0, 0], faults), manner)
        },
    },
    Run {
        name: "B3b mended log",
        bounds: "logs of 3 claims, one of them later than it should be; 1 (2) loaders, 1 crash",
        explore: |depth, manner| {
            let logs = Logs { claims: 3, plans: 1 };
            let all = cases::mended(&records("abc"), logs);
            let faults = Faults {
                crashes: 1,
                ..NO_FAULTS
            };
            let homes: &[u8] = if depth == Depth::Deep { &[0, 0] } else { &[0] };
            loading(&all, &bounds(Mode::Append, homes, faults), manner)
        },
    },
    Run {
        name: "B4 two lives",
        bounds: "a reset at every place of logs of 2 claims, zombies' claims behind it; 1 loader that may die (2 that do not)",
        explore: |depth, manner| {
            let logs = Logs { claims: 2, plans: 1 };
            let all = cases::two_lives(&records("ab"), &records("ba"), logs);
            let homes: &[u8] = if depth == Depth::Deep { &[0, 0] } else { &[0] };
            let faults = Faults {
                crashes: 1,
                ..NO_FAULTS
            };
            loading(&all, &bounds(Mode::Upsert, homes, faults), manner)
        },
    },
    Run {
        name: "B5 void claims",
        bounds: "a later genesis and a horizon at every place of logs of 2 claims; 2 loaders (1 crash)",
        explore: |depth, manner| {
            let logs = Logs { claims: 2, plans: 1 };
            let all = cases::sprinkled(&records("abc"), logs);
            let faults = Faults {
                crashes: u8::from(depth == Depth::Deep),
                ..NO_FAULTS
            };
            loading(&all, &bounds(Mode::Append, &[0, 0], faults), manner)
        },
    },
    Run {
        name: "B6 two warehouses",
        bounds: "one loader each, logs of 2 (3) claims, objects below both are collected, 1 crash, 1 lost connection",
        explore: |depth, manner| {
            let logs = Logs {
                claims: deepen(depth, 2, 3),
                plans: 1,
            };
            let all = cases::whole(&[records("ab")], logs);
            let faults = Faults {
                crashes: 1,
                losses: u8::from(depth == Depth::Deep),
                collections: 1,
                ..NO_FAULTS
            };
            loading(&all, &bounds(Mode::Append, &[0, 1], faults), manner)
        },
    },
    Run {
        name: "B7 restored",
        bounds: "a warehouse goes back to a backup, with and without its objects; 1 (2) loaders, logs of 2 claims (1 lost connection)",
        explore: |depth, manner| {
            let logs = Logs { claims: 2, plans: 1 };
            let all = cases::whole(&[records("abc")], logs);
            let faults = Faults {
                restores: 1,
                collections: 1,
                losses: u8::from(depth == Depth::Deep),
                ..NO_FAULTS
            };
            let homes: &[u8] = if depth == Depth::Deep { &[0, 0] } else { &[0] };
            loading(&all, &bounds(Mode::Append, homes, faults), manner)
        },
    },
    Run {
        name: "B8 two partitions",
        bounds: "two lineages in one table, logs of 2 claims each; 1 loader, 1 crash (and 1 lost connection; 2 loaders, no faults)",
        explore: |depth, manner| {
            let logs = Logs { claims: 2, plans: 1 };
            let all = cases::two_partitions(&records("ab"), &records("cd"), logs);
            let faults = Faults {
                crashes: 1,
                losses: u8::from(depth == Depth::Deep),
                ..NO_FAULTS
            };
            let mut sum = loading(&all, &bounds(Mode::Upsert, &[0], faults), manner);
            if depth == Depth::Deep {
                sum.add(loading(&all, &bounds(Mode::Upsert, &[0, 0], NO_FAULTS), manner));
            }
            sum
        },
    },
    Run {
        name: "B9 set aside",
        bounds: "records that cannot become rows, before and behind changes and deletes of their keys and truncates, with keys that can and \
                 cannot be read; 1 operator replays some or all of them beside 1 (2) loader, and he or it dies, or he gives one up (2 replays); \
                 upsert, append (soft delete, history); logs of 2 claims over 3 offsets, word for word",
        explore: |depth, manner| {
            let quick: [&str; 7] = ["~aA", "a~a", "~a!", "a~aA", "a~a!", "^aa", "a~a~a"];
            let deep = [
                "~aa", "~aA", "a~a", "a~A", "~a!", "~a~a", "^aa", "a~1", "~ab>", "~a-a", "a~aA", "a~a!",
            ];
            let mut found = set_aside(Mode::Upsert, &quick, &deep, depth, manner);
            found.add(set_aside(Mode::Append, &quick[1..4], &deep[..6], depth, manner));
            if depth == Depth::Deep {
                found.add(set_aside(Mode::SoftDelete, &quick, &deep[..8], depth, manner));
                found.add(set_aside(Mode::History, &quick, &deep[..8], depth, manner));
            }
            found
        },
    },
    Run {
        name: "B10 soft delete",
        bounds: "rows that go and come again, values left out behind that, a truncate, a record set aside; 2 loaders, 1 crash (and 1 lost \
                 connection; 1 loader, logs of 3 claims); logs of 2 claims over 3 offsets, word for word",
        explore: |depth, manner| {
            let deep = [
                "aAa", "aA1", "a1A", "AaA", "a!a", "a!A", "a>A", "ab>", "Aa1", "a~A", "aAA",
            ];
            keeps_deletes(Mode::SoftDelete, &["aAa", "a!A"], &deep, depth, manner)
        },
    },
    Run {
        name: "B11 history",
        bounds: "the same, where the source's clock goes backwards",
        explore: |depth, manner| {
            let deep = [
                "aAa", "aA1", "a1A", "AaA", "a!a", "aaa", "a>A", "ab>", "a11", "a~A", "aAA",
            ];
            keeps_deletes(Mode::History, &["aAa", "aa!"], &deep, depth, manner)
        },
    },
];

const TWO_LOADERS: &str = "logs of 2 claims over 3 offsets, append, 2 loaders, no faults";

fn two_loaders(manner: Manner) -> Findings {
    let all = cases::whole(&[records("abc")], Logs { claims: 2, plans: 1 });
    loading(&all, &bounds(Mode::Append, &[0, 0], NO_FAULTS), manner)
}

fn hunt_spolts(bounds: ingest::Bounds, manner: Manner) -> Findings {
    explore(Spolting::new(bounds), manner)
}

const ZOMBIES: &str = "2 spolts, 3 offsets, 1 crash";

fn zombies(manner: Manner) -> Findings {
    let faults = ingest::Faults {
        crashes: 1,
        ..NO_SPOLT_FAULTS
    };
    hunt_spolts(spolts(vec![lives(&["ab"])], faults), manner)
}

const PIPELINE: &str = "1 spolt with 2 objects on their way, 3 offsets";

fn pipeline(manner: Manner) -> Findings {
    let bounds = ingest::Bounds {
        spolts: 1,
        ahead: 2,
        ..spolts(vec![lives(&["abc"])], NO_SPOLT_FAULTS)
    };
    hunt_spolts(bounds, manner)
}

/// Where each mutant is looked for.
pub const HUNTS: [Hunt; 13] = [
    Hunt {
        mutant: Mutant::KeyByFirstOffset,
        law: "I1 truth",
        bounds: ZOMBIES,
        explore: zombies,
    },
    Hunt {
        mutant: Mutant::KeyByFirstOffsetIfAbsent,
        law: "I4 exactly once",
        bounds: ZOMBIES,
        explore: zombies,
    },
    Hunt {
        mutant: Mutant::PipelinedSignals,
        law: "I2 chain",
        bounds: PIPELINE,
        explore: pipeline,
    },
    Hunt {
        mutant: Mutant::PipelinedSignalsNoContinuity,
        law: "I4 exactly once",
        bounds: PIPELINE,
        explore: pipeline,
    },
    Hunt {
        mutant: Mutant::StartAtFirstRecord,
        law: "I2 chain",
        bounds: "1 spolt, a hole at offset 1 of 3",
        explore: |manner| {
            let bounds = ingest::Bounds {
                spolts: 1,
                ..spolts(vec![lives(&["a-b"])], NO_SPOLT_FAULTS)
            };
            hunt_spolts(bounds, manner)
        },
    },
    Hunt {
        mutant: Mutant::CollectUnreferenced,
        law: "I1 truth",
        bounds: "1 spolt, 2 offsets, 1 loader, objects are collected",
        explore: |manner| {
            let faults = ingest::Faults {
                collections: 1,
                ..NO_SPOLT_FAULTS
            };
            let bounds = ingest::Bounds {
                spolts: 1,
                ..spolts(vec![lives(&["ab"])], faults)
            };
            hunt_spolts(bounds, manner)
        },
    },
    Hunt {
        mutant: Mutant::HorizonByTheFastest,
        law: "I8 garbage collection",
        bounds: "1 spolt, 2 offsets, 2 loaders, objects are collected",
        explore: |manner| {
            let faults = ingest::Faults {
                collections: 1,
                ..NO_SPOLT_FAULTS
            };
            let bounds = ingest::Bounds {
                spolts: 1,
                targets: 2,
                ..spolts(vec![lives(&["ab"])], faults)
            };
            hunt_spolts(bounds, manner)
        },
    },
    Hunt {
        mutant: Mutant::NoContinuityNoTrim,
        law: "I4 exactly once",
        bounds: TWO_LOADERS,
        explore: two_loaders,
    },
    Hunt {
        mutant: Mutant::GroupBySchema,
        law: "I4 exactly once",
        bounds: "logs of 3 claims over 3 offsets, 2 plans, append, 1 loader, no faults",
        explore: |manner| {
            let all = cases::whole(&[records("abc")], Logs { claims: 3, plans: 2 });
            loading(&all, &bounds(Mode::Append, &[0], NO_FAULTS), manner)
        },
    },
    Hunt {
        mutant: Mutant::NoLockNoCompareAndSet,
        law: "I4 exactly once",
        bounds: TWO_LOADERS,
        explore: two_loaders,
    },
    Hunt {
        mutant: Mutant::StartMustEqualCheckpoint,
        law: PROGRESS,
        bounds: TWO_LOADERS,
        explore: two_loaders,
    },
    Hunt {
        mutant: Mutant::NoDeduplication,
        law: "I4 exactly once",
        bounds: TWO_LOADERS,
        explore: two_loaders,
    },
    Hunt {
        mutant: Mutant::NoContinuity,
        law: "I4 exactly once",
        bounds: "logs of 2 claims over 3 offsets, one taken out, append, 2 loaders",
        explore: |manner| {
            let all = cases::damaged(&[records("abc")], Logs { claims: 2, plans: 1 });
            loading(&all, &bounds(Mode::Append, &[0, 0], NO_FAULTS), manner)
        },
    },
];

/// Searches for a violation of a law, of which one is enough.
pub(crate) fn search(
    law: &'static str,
    explore: impl FnOnce(Manner) -> Findings,
) -> (Findings, Option<Counterexample>) {
    let progress = law == PROGRESS;
    let findings = explore(Manner {
        threads: 1,
        until: (!progress).then_some(law),
        progress,
    });
    let of_law = |example: &&Counterexample| example.law == law;
    let found = findings.counterexamples.iter().find(of_law).cloned();
    (findings, found)
}

impl Hunt {
    /// Name of the mutant, as the drills have it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        let known = Mutant::ALL.iter().find(|(mutant, _)| *mutant == self.mutant);
        known.map_or("", |(_, name)| name)
    }

    /// Switches the mutant on, searches, and switches it off again; a mutant holds for the whole process, so one hunt at a time.
    #[must_use]
    pub fn run(&self) -> (Findings, Option<Counterexample>) {
        switch_on(&[self.mutant]);
        let found = search(self.law, self.explore);
        switch_on(&[]);
        found
    }
}
