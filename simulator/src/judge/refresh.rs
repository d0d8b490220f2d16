//! Refreshes: while one is under way the table stays as it was when it began, row by row; a finish puts what is beside in its place, and a
//! giving up leaves it and goes back to where the refresh began.

use std::collections::{BTreeMap, BTreeSet};

use common::chain::Position;
use common::ids::Partition;
use rusqlite::Connection;

use super::aside::{Asides, Place};
use super::{Rows, ask, broken_as, checkpoints, positions_of_kind};
use crate::host::{TARGETS, group_of};
use crate::workload::TOPICS;
use crate::world::State;

/// What the judge knows of the refreshes of a table.
#[derive(Debug, Clone, Default)]
pub struct Refreshed {
    /// Where the last one that was finished began: what is of before is not in the table.
    floor: BTreeMap<Partition, Position>,
    /// Records that were replayed before it was finished: they are not in the table either.
    wiped: BTreeSet<Place>,
    under_way: Option<UnderWay>,
}

/// A refresh that was not finished or given up yet.
#[derive(Debug, Clone)]
struct UnderWay {
    from: BTreeMap<Partition, Position>,
    /// The table.
    own: Content,
    /// The one beside it.
    beside: Content,
}

/// The columns of a table, and its rows in the order of all of them.
type Content = (Vec<String>, Rows);

impl Refreshed {
    /// Whether what lies at a place should have been replaced by a refresh.
    #[must_use]
    pub fn is_replaced(&self, (incarnation, partition, next): Place) -> bool {
        let floor = self.floor.get(&partition);
        floor.is_some_and(|floor| Position { incarnation, next } < *floor)
    }

    /// Whether a replay of it was replaced.
    #[must_use]
    pub fn is_wiped(&self, place: Place) -> bool {
        self.wiped.contains(&place)
    }

    /// Up to where the table shows what is applied: not what came since a refresh began that is under way.
    #[must_use]
    pub fn shown(&self, partition: Partition, at: Position) -> Option<Position> {
        match &self.under_way {
            Some(under_way) => under_way.from.get(&partition).copied(),
            None => Some(at),
        }
    }
}

fn content(connection: &Connection, table: &str, columns: Option<&[String]>) -> Content {
    let all = ask(connection, &format!("SELECT name FROM pragma_table_info('{table}')"));
    let all: Vec<String> = all.into_iter().flatten().flatten().collect();
    let columns = columns.map_or(all, <[String]>::to_vec);
    let names: Vec<String> = columns.iter().map(|name| format!("\"{name}\"")).collect();
    let order: Vec<String> = (1..=columns.len()).map(|number| number.to_string()).collect();
    let sql = format!(
        "SELECT {} FROM \"{table}\" ORDER BY {}",
        names.join(", "),
        order.join(", ")
    );
    let rows = ask(connection, &sql);
    (columns, rows)
}

/// The targets and topics of which a refresh is under way.
#[must_use]
pub fn under_way(state: &State) -> Vec<(&'static str, &'static str)> {
    let all = state.watch.refreshes.iter();
    let under_way = all.filter(|((target, _), one)| state.present.contains(target) && one.under_way.is_some());
    under_way.map(|(of, _)| *of).collect()
}

/// A backup of a warehouse was taken.
pub fn backed_up(state: &mut State, target: &'static str) {
    let watch = &mut state.watch;
    for topic in TOPICS {
        let now = watch.refreshes.get(&(target, topic)).cloned().unwrap_or_default();
        watch.refreshes_backed_up.insert((target, topic), now);
    }
}

/// It was restored.
pub fn restored(state: &mut State, target: &'static str) {
    let watch = &mut state.watch;
    for topic in TOPICS {
        let then = watch
            .refreshes_backed_up
            .get(&(target, topic))
            .cloned()
            .unwrap_or_default();
        watch.refreshes.insert((target, topic), then);
    }
}

/// A transaction was committed. Whether it ended a refresh by giving it up, so that the checkpoints went back.
pub fn committed(state: &mut State, target: &'static str, topic: &'static str, by: &str) -> bool {
    let group = group_of(topic);
    let Some(connection) = state.warehouses[target].group(group).map(|group| &group.committed) else {
        return false;
    };
    let begun: BTreeMap<Partition, Position> = positions_of_kind(connection, group, "refresh");
    let known = state.watch.refreshes.entry((target, topic)).or_default();
    if begun.is_empty() && known.under_way.is_none() {
        return false;
    }
    let at = checkpoints(connection, group).into_iter();
    let at: BTreeMap<Partition, Position> = at.map(|(partition, at)| (partition, at.position)).collect();
    let own = content(connection, topic, None);
    let mut done = None;
    let found = match &mut known.under_way {
        None => {
            let beside = content(connection, &format!("{topic}__refresh"), None);
            let found = (begun != at || !beside.1.is_empty()).then(|| format!("it began at {begun:?}, not at {at:?}"));
            done = Some("begun");
            known.under_way = Some(UnderWay {
                from: begun,
                own,
                beside,
            });
            state.watch.begun.push(topic);
            found
        }
        Some(under_way) if !begun.is_empty() => {
            under_way.beside = content(connection, &format!("{topic}__refresh"), None);
            (own != under_way.own).then(|| "the table was changed meanwhile".to_owned())
        }
        Some(under_way) if by.contains("give-up") => {
            done = Some("given up");
            let found = if at != under_way.from {
                Some(format!(
                    "it was given up, and goes on at {at:?}, not at {:?}",
                    under_way.from
                ))
            } else {
                (own != under_way.own).then(|| "it was given up, and the table is another one".to_owned())
            };
            known.under_way = None;
            found
        }
        Some(under_way) => {
            let now = content(connection, topic, Some(&under_way.beside.0));
            done = Some("finished");
            let whole = now == under_way.beside && by.contains("finish");
            known.floor = std::mem::take(&mut under_way.from);
            known.wiped = Asides::of(Some(connection), group).replayed();
            known.under_way = None;
            (!whole).then(|| format!("it was ended by {by}, and the table is not what was beside it"))
        }
    };
    if let Some(done) = done {
        *state.watch.refreshed.entry(done).or_default() += 1;
    }
    if let Some(evidence) = found {
        broken_as(state, "refresh", format!("{target} {topic}: {evidence}"));
    }
    done == Some("given up")
}

/// What is known of a table.
#[must_use]
pub fn of(state: &State, target: &str, topic: &str) -> Refreshed {
    let target = TARGETS.iter().find(|known| **known == target);
    let topic = TOPICS.iter().find(|known| **known == topic);
    let both = target.zip(topic).map(|(target, topic)| (*target, *topic));
    both.and_then(|both| state.watch.refreshes.get(&both).cloned())
        .unwrap_or_default()
}
