//! How a load ended, as something that states may be known by.

use common::failure::Failure;
use common::ids::Partition;
use redshift_spolt::load::machine::Outcome;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Ending {
    Committed(redshift_spolt::load::state::TableRow),
    Replan,
    Retry,
    Halt {
        failure: Failure,
        partition: Option<Partition>,
        separable: bool,
    },
}

impl Ending {
    pub(super) fn of(outcome: Outcome) -> Ending {
        match outcome {
            Outcome::Committed { row } => Ending::Committed(row),
            Outcome::Replan => Ending::Replan,
            Outcome::Retry(_) => Ending::Retry,
            Outcome::Halt {
                failure,
                partition,
                separable,
            } => Ending::Halt {
                failure,
                partition,
                separable,
            },
        }
    }

    pub(super) fn outcome(self) -> Outcome {
        match self {
            Ending::Committed(row) => Outcome::Committed { row },
            Ending::Replan => Outcome::Replan,
            Ending::Retry => Outcome::Retry(Failure::retry("lost")),
            Ending::Halt {
                failure,
                partition,
                separable,
            } => Outcome::Halt {
                failure,
                partition,
                separable,
            },
        }
    }
}
