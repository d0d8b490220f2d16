//! Rule 25 got wrong on purpose. What makes it right is the loader's script, so the slips are in scripts and claims, not in the daemons.

use std::sync::Arc;

use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::statements::{Purpose, Script, Statement};

use crate::cases::{self, Logs, records};
use crate::explore::{Counterexample, Findings, PROGRESS};
use crate::runs::{NO_FAULTS, bounds, loading, search};

/// One thing that is wrong with every load on purpose.
pub struct Slip {
    /// What is wrong.
    pub words: &'static str,
    /// The law that it must break.
    pub law: &'static str,
    alter: Alter,
}

enum Alter {
    /// The script of every load.
    Script(fn(&mut Script)),
    /// The claims do not say what they leave out.
    Unmarked,
}

/// Rule 25 got wrong in every way that seems likely: what makes it right is the loader's script, and these are its pieces.
pub const SLIPS: [Slip; 7] = [
    Slip {
        words: "claims do not say which columns they leave out",
        law: ORDER,
        alter: Alter::Unmarked,
    },
    Slip {
        words: "left-out values are not looked up in the stage",
        law: ORDER,
        alter: Alter::Script(|script| script.transaction.retain(|statement| !is_fill(statement, FROM_STAGE))),
    },
    Slip {
        words: "left-out values are not looked up in the target",
        law: PROGRESS,
        alter: Alter::Script(|script| script.transaction.retain(|statement| !is_fill(statement, FROM_TARGET))),
    },
    Slip {
        words: "left-out values are looked up in the target before the stage",
        law: ORDER,
        alter: Alter::Script(|script| {
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
        }),
    },
    Slip {
        words: "a delete between a value and the row that leaves it out is not seen in the target",
        law: ORDER,
        alter: Alter::Script(|script| {
            for statement in &mut script.transaction {
                if is_fill(statement, FROM_TARGET) {
                    statement.sql = statement.sql.replace("WHERE d.\"id\" IS NULL", "WHERE 1 = 1");
                }
            }
        }),
    },
    Slip {
        words: "nobody asks whether a value is still left out",
        law: ORDER,
        alter: Alter::Script(|script| {
            script
                .transaction
                .retain(|statement| statement.purpose != Purpose::CountUnchanged);
        }),
    },
    Slip {
        words: "the target's rows go before their values are looked up",
        law: PROGRESS,
        alter: Alter::Script(|script| {
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
        }),
    },
];

const ORDER: &str = "I6 order";
const FROM_STAGE: &str = "ROW_NUMBER()";
const FROM_TARGET: &str = "LEFT JOIN";

fn is_fill(statement: &Statement, way: &str) -> bool {
    statement.purpose == Purpose::FillUnchanged && statement.sql.contains(way)
}

impl Slip {
    /// Where each is searched.
    pub const BOUNDS: &'static str = "logs of 2 claims over 3 offsets, upsert, 1 loader, no faults";

    /// Searches it.
    #[must_use]
    pub fn run(&self) -> (Findings, Option<Counterexample>) {
        let mut all = cases::whole(&[records("aa1"), records("aA1")], Logs { claims: 2, plans: 1 });
        let mut bounds = bounds(Mode::Upsert, &[0], NO_FAULTS);
        match self.alter {
            Alter::Script(alter) => bounds.alter = Some(alter),
            Alter::Unmarked => {
                for claim in all.iter_mut().flat_map(|case| case.logs.iter_mut().flatten()) {
                    Arc::make_mut(claim).unchanged.clear();
                }
            }
        }
        search(self.law, |manner| loading(&all, &bounds, manner))
    }
}
