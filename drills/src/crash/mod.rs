//! Crash drills: every point of protocol section 7 by every deed that applies there.

mod carry;
mod collect;
pub mod matrix;
mod operate;
mod points;
mod recut;

use std::sync::Arc;

use futures::FutureExt as _;

use crate::drill::{Deed, Drill};

pub use points::{Cell, POINTS, Point};

/// All of them: one for each cell of the matrix that applies, and the re-cuts of a zombie.
#[must_use]
pub fn drills() -> Vec<Drill> {
    let mut drills = Vec::new();
    for point in POINTS {
        for deed in Deed::ALL {
            if matches!(point.cell(deed), Cell::No(_)) {
                continue;
            }
            drills.push(Drill {
                point: point.id,
                variant: deed.name().to_owned(),
                deed: Some(deed),
                what: format!("{}: {}", point.what, deed_words(deed)),
                quick: point.quick == deed,
                alone: matches!(point.cell(deed), Cell::Failover),
                run: Arc::new(move |context| carry::out(context, point, deed).boxed()),
            });
        }
    }
    drills.extend(recut::drills());
    drills.extend(collect::drills());
    drills
}

fn deed_words(deed: Deed) -> &'static str {
    match deed {
        Deed::Kill => "kill -9",
        Deed::Pause => "stopped past its session, a second one takes over, then it goes on",
        Deed::Cut => "the network is cut",
        Deed::LostAck => "the acknowledgement is lost",
    }
}
