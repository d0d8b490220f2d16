//! Rules 25, 27 and 28 got wrong on purpose. What makes them right is the loader's script, so the slips are in scripts and claims, not in the
//! daemons.

use std::sync::Arc;

use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::statements::{Purpose, Script, Statement};

use crate::cases::{self, Logs, records};
use crate::explore::{Counterexample, Findings, PROGRESS};
use crate::load::Faults;
use crate::reference::REPLAY;
use crate::runs::{NO_FAULTS, bounds, loading, search, word_for_word};

/// One thing that is wrong with every load on purpose.
pub struct Slip {
    /// What is wrong.
    pub words: &'static str,
    /// The law that it must break.
    pub law: &'static str,
    place: Place,
    alter: Alter,
}

/// Where a slip is searched.
#[derive(Clone, Copy)]
enum Place {
    /// Values left out, in upsert tables.
    LeftOut,
    /// Records set aside and replayed.
    Aside(Mode, &'static str),
    /// Tables that keep what is deleted, and how many claims a log has.
    Keeping(Mode, &'static str, usize),
}

enum Alter {
    /// The script of every load.
    Script(fn(&mut Script)),
    /// The claims do not say what they leave out.
    Unmarked,
}

const fn slip(words: &'static str, law: &'static str, place: Place, alter: fn(&mut Script)) -> Slip {
    Slip {
        words,
        law,
        place,
        alter: Alter::Script(alter),
    }
}

/// Each rule got wrong in every way that seems likely: what makes it right is the loader's script, and these are its pieces.
pub const SLIPS: [Slip; 22] = [
    Slip {
        words: "claims do not say which columns they leave out",
        law: ORDER,
        place: Place::LeftOut,
        alter: Alter::Unmarked,
    },
    slip(
        "left-out values are not looked up in the stage",
        ORDER,
        Place::LeftOut,
        |script| script.transaction.retain(|statement| !is_fill(statement, FROM_STAGE)),
    ),
    slip(
        "left-out values are not looked up in the target",
        PROGRESS,
        Place::LeftOut,
        |script| script.transaction.retain(|statement| !is_fill(statement, FROM_TARGET)),
    ),
    slip(
        "left-out values are looked up in the target before the stage",
        ORDER,
        Place::LeftOut,
        |script| {
            let (fills, others): (Vec<Statement>, Vec<Statement>) = std::mem::take(&mut script.transaction)
                .into_iter()
                .partition(|statement| statement.purpose == Purpose::FillUnchanged);
            let place = |statement: &Statement| statement.purpose == Purpose::CountUnchanged;
            for statement in others {
                if place(&statement) {
                    script.transaction.extend(fills.iter().rev().cloned());
                }
                script.transaction.push(statement);
            }
        },
    ),
    slip(
        "a delete between a value and the row that leaves it out is not seen in the target",
        ORDER,
        Place::LeftOut,
        |script| {
            for statement in &mut script.transaction {
                if is_fill(statement, FROM_TARGET) {
                    statement.sql = statement.sql.replace("WHERE d.\"id\" IS NULL", "WHERE 1 = 1");
                }
            }
        },
    ),
    slip(
        "nobody asks whether a value is still left out",
        ORDER,
        Place::LeftOut,
        |script| without(script, Purpose::CountUnchanged),
    ),
    slip(
        "the target's rows go before their values are looked up",
        PROGRESS,
        Place::LeftOut,
        |script| {
            let find = |purpose| {
                script
                    .transaction
                    .iter()
                    .position(|statement| statement.purpose == purpose)
            };
            if let (Some(first), Some(delete)) = (find(Purpose::FillUnchanged), find(Purpose::DeleteTarget)) {
                let delete = script.transaction.remove(delete);
                script.transaction.insert(first, delete);
            }
        },
    ),
    slip(
        "a record set aside by two claims is kept twice",
        ONCE,
        Place::Aside(Mode::Upsert, "a~aa"),
        |script| {
            replace(script, Purpose::SetAside, "= 1", ">= 1");
            without(script, Purpose::TrimAside);
        },
    ),
    slip(
        "a change does not tell the records set aside that they are too late",
        REPLAY,
        Place::Aside(Mode::Upsert, "~aA"),
        |script| without(script, Purpose::Supersede),
    ),
    slip(
        "so a record is replayed behind the delete of its key",
        ORDER,
        Place::Aside(Mode::Upsert, "~aA"),
        |script| without(script, Purpose::Supersede),
    ),
    slip(
        "a truncate does not tell them",
        ORDER,
        Place::Aside(Mode::Upsert, "a~a!"),
        |script| {
            let of_all = |statement: &Statement| !statement.sql.contains("FROM");
            script
                .transaction
                .retain(|statement| statement.purpose != Purpose::Supersede || !of_all(statement));
        },
    ),
    slip(
        "a replay does not ask whether its records are still open",
        ORDER,
        Place::Aside(Mode::Upsert, "a~aA"),
        |script| without(script, Purpose::FindClosed),
    ),
    slip(
        "a replay ignores the later writer of its key",
        ORDER,
        Place::Aside(Mode::Upsert, "^aa"),
        |script| without(script, Purpose::DropLate),
    ),
    slip(
        "what is replayed is marked in another transaction, which does not come",
        ONCE,
        Place::Aside(Mode::Append, "a~a"),
        |script| without(script, Purpose::MarkReplayed),
    ),
    slip(
        "a soft delete deletes",
        ORDER,
        Place::Keeping(Mode::SoftDelete, "aAb", 2),
        |script| without(script, Purpose::MarkDeleted),
    ),
    slip(
        "a delete that a change follows is taken for the last one",
        ORDER,
        Place::Keeping(Mode::SoftDelete, "aAa", 2),
        |script| {
            replace(script, Purpose::SetApart, "'x'", "'d'");
        },
    ),
    slip(
        "a row that comes again stays deleted",
        ORDER,
        Place::Keeping(Mode::SoftDelete, "aAa", 2),
        |script| replace(script, Purpose::InsertTarget, "FALSE AS", "TRUE AS"),
    ),
    slip(
        "a left-out value is taken from the row that was deleted",
        ORDER,
        Place::Keeping(Mode::SoftDelete, "aA1", 2),
        |script| {
            replace(
                script,
                Purpose::FillUnchanged,
                "COALESCE(t.\"_kafka_deleted\", FALSE) = FALSE",
                "1 = 1",
            );
        },
    ),
    slip(
        "a history closes nothing",
        ORDER,
        Place::Keeping(Mode::History, "aab", 2),
        |script| without(script, Purpose::CloseRows),
    ),
    slip(
        "a change that two claims hold is in the history twice",
        ORDER,
        Place::Keeping(Mode::History, "aab", 3),
        |script| {
            replace(
                script,
                Purpose::InsertTarget,
                "\"_spolt_copy\" = 1",
                "\"_spolt_copy\" >= 1",
            )
        },
    ),
    slip(
        "what was applied is in the history again",
        ORDER,
        Place::Keeping(Mode::History, "aab", 2),
        |script| without(script, Purpose::Trim),
    ),
    slip(
        "a history is ordered by time",
        ORDER,
        Place::Keeping(Mode::History, "aab", 2),
        |script| {
            let by_time = "ORDER BY \"_kafka_timestamp\", \"_kafka_seq\"";
            let by_place = "ORDER BY \"_kafka_offset\", \"_kafka_seq\"";
            replace(script, Purpose::InsertTarget, by_place, by_time);
            replace(script, Purpose::CloseRows, by_place, by_time);
        },
    ),
];

const ORDER: &str = "I6 order";
const ONCE: &str = "I4 exactly once";
const FROM_STAGE: &str = "ROW_NUMBER()";
const FROM_TARGET: &str = "LEFT JOIN";

fn is_fill(statement: &Statement, way: &str) -> bool {
    statement.purpose == Purpose::FillUnchanged && statement.sql.contains(way)
}

fn without(script: &mut Script, purpose: Purpose) {
    script.transaction.retain(|statement| statement.purpose != purpose);
}

fn replace(script: &mut Script, purpose: Purpose, what: &str, with: &str) {
    let of_purpose = script.transaction.iter_mut();
    for statement in of_purpose.filter(|statement| statement.purpose == purpose) {
        statement.sql = statement.sql.replace(what, with);
    }
}

impl Slip {
    /// Where it is searched.
    #[must_use]
    pub fn bounds(&self) -> String {
        match self.place {
            Place::LeftOut => "logs of 2 claims over 3 offsets, upsert, 1 loader, no faults".to_owned(),
            Place::Aside(mode, word) => {
                format!("logs of 2 claims of `{word}`, {}, 1 loader, 1 replay", mode.name())
            }
            Place::Keeping(mode, word, claims) => {
                format!(
                    "logs of {claims} claims of `{word}`, {}, 1 loader, no faults",
                    mode.name()
                )
            }
        }
    }

    /// Searches it.
    #[must_use]
    pub fn run(&self) -> (Findings, Option<Counterexample>) {
        let replays = Faults {
            replays: 1,
            ..NO_FAULTS
        };
        let script = match self.alter {
            Alter::Script(alter) => Some(alter),
            Alter::Unmarked => None,
        };
        search(self.law, |manner| match self.place {
            Place::LeftOut => {
                let mut all = cases::whole(&[records("aa1"), records("aA1")], Logs { claims: 2, plans: 1 });
                let mut bounds = bounds(Mode::Upsert, &[0], NO_FAULTS);
                bounds.alter = script;
                if script.is_none() {
                    for claim in all.iter_mut().flat_map(|case| case.logs.iter_mut().flatten()) {
                        Arc::make_mut(claim).unchanged.clear();
                    }
                }
                loading(&all, &bounds, manner)
            }
            Place::Aside(mode, word) => word_for_word((&[word], 2), (mode, &[0], replays), script, manner),
            Place::Keeping(mode, word, claims) => {
                word_for_word((&[word], claims), (mode, &[0], NO_FAULTS), script, manner)
            }
        })
    }
}
