//! An operator of redshift-spolt: records set aside are tried again, beside loaders that go on (rule 27), or given up.
//!
//! The command reads which records are open, then the state, and only then begins; in between anything may happen. When it hears that the
//! table was changed meanwhile it begins anew.

use common::claim::{Compression, Decoder, Object};
use common::ids::{Incarnation, Offset, Partition};
use common::plan::Plan;
use redshift_spolt::load::machine::Outcome;
use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::replay::{self, Fate, Kept, Place, Rows};
use redshift_spolt::load::run::LoadPlan;

use super::{Case, Loading, State, Step};
use crate::intern::Id;
use crate::records::{BUCKET, BadRecord, KEY, REGION, Record, Row, TOPIC, VALUE, Value, dialect, plans};
use crate::reference::Due;
use crate::warehouse::{Prepared, Session, Warehouse};
use common::claim::Claim;

/// Owner of the operator's session.
pub(super) const OPERATOR: u8 = u8::MAX;

/// Records of one life of partition 0: a bit for each offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chosen {
    /// The life.
    pub life: u8,
    /// The offsets.
    pub offsets: u8,
}

/// What `redshift-spolt set-aside replay` is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    /// It does not run.
    Idle,
    /// It knows which records are open.
    Looked(Chosen),
    /// It has seen the state of this warehouse, and made rows.
    Ready(Chosen, Id<Warehouse>),
    /// Its transaction has begun.
    Begun(Chosen),
}

impl Chosen {
    fn places(self) -> Vec<Place> {
        let chosen = (0..8).filter(|bit| self.offsets & (1 << bit) != 0);
        let place = |offset| Place {
            incarnation: Incarnation(u32::from(self.life)),
            partition: Partition(0),
            offset: Offset(offset),
        };
        chosen.map(place).collect()
    }

    /// In words.
    pub(super) fn words(self) -> String {
        let offsets = self.places().into_iter().map(|place| place.offset.to_string());
        let of = if self.life == 0 {
            String::new()
        } else {
            format!(" of i{}", self.life)
        };
        format!("{}{of}", offsets.collect::<Vec<_>>().join(" and "))
    }
}

impl Loading {
    /// What an operator may do now.
    pub(super) fn operator_may(&self, state: &State, steps: &mut Vec<Step>) {
        let warehouse = self.warehouses.get(state.warehouses[0]);
        let left = state.left;
        match state.operator {
            Operator::Idle if left.replays > 0 || left.discards > 0 => {
                let case = &self.cases[state.case as usize];
                let open = self.open_records(case, &warehouse);
                for life in 0..=1 {
                    let offsets: Vec<u8> = open.iter().filter(|one| one.0 == life).map(|one| one.1).collect();
                    self.choices(state, (life, &offsets), &warehouse, steps);
                }
            }
            Operator::Idle => {}
            Operator::Looked(_) if warehouse.is_locked() => {}
            Operator::Looked(_) => steps.push(Step::Prepare),
            Operator::Ready(..) => steps.push(Step::BeginReplay),
            Operator::Begun(_) => {
                let session = warehouse.session_of(OPERATOR);
                match session.map(|index| warehouse.sessions[index].snapshot) {
                    Some(Some(_)) => steps.push(Step::CommitReplay),
                    Some(None) if !warehouse.is_locked() => steps.push(Step::OpenReplay),
                    _ => {}
                }
            }
        }
        if state.operator != Operator::Idle && left.crashes > 0 {
            steps.push(Step::OperatorDies);
        }
    }

    /// All of the open records of a life, or any one of them.
    fn choices(&self, state: &State, (life, offsets): (u8, &[u8]), warehouse: &Warehouse, steps: &mut Vec<Step>) {
        let all = offsets.iter().fold(0u8, |all, offset| all | 1 << offset);
        let single = offsets.iter().map(|offset| 1u8 << offset).filter(|one| *one != all);
        if state.left.replays > 0 {
            let masks = std::iter::once(all).filter(|all| *all != 0).chain(single);
            steps.extend(masks.map(|offsets| Step::Look(Chosen { life, offsets })));
        }
        if state.left.discards > 0 && !warehouse.is_locked() {
            steps.extend(offsets.iter().map(|offset| Step::Discard(life, *offset)));
        }
    }

    /// Life and offset of the records that are open, and may be replayed by the rules of the command.
    fn open_records(&self, case: &Case, warehouse: &Warehouse) -> Vec<(u8, u8)> {
        let Some(sheet) = warehouse.sheet() else {
            return Vec::new();
        };
        let keyed = self.keyed(warehouse);
        let open = sheet.aside.lines().filter_map(|line| {
            let place = Place {
                incarnation: Incarnation(u32::try_from(line.number("_kafka_incarnation")?).ok()?),
                partition: Partition(0),
                offset: Offset(line.number("_kafka_offset")?),
            };
            let kept = Kept {
                place,
                timestamp_ms: -1,
                reason: String::new(),
                column: None,
                error: String::new(),
                status: line.text("_kafka_status")?.to_owned(),
                headers: None,
                key: None,
                value: None,
                key_known: line.number(KEY).is_some(),
            };
            let allowed = replay::refusal(&kept, &Fate::Rows, keyed && !case.insists).is_none();
            (kept.status == "open" && allowed).then_some(place)
        });
        let small = |place: Place| {
            Some((
                u8::try_from(place.incarnation.0).ok()?,
                u8::try_from(place.offset.0).ok()?,
            ))
        };
        open.filter_map(small).collect()
    }

    /// Those of the records that the command does not refuse, by the plan that the table has now.
    fn unrefused(&self, state: &State, chosen: Chosen) -> Chosen {
        let case = &self.cases[state.case as usize];
        let warehouse = self.warehouses.get(state.warehouses[0]);
        let Some(sheet) = warehouse.sheet().filter(|_| self.keyed(&warehouse) && !case.insists) else {
            return chosen;
        };
        let known = sheet.aside.lines().filter(|line| line.number(KEY).is_some());
        let of_life = known.filter(|line| line.number("_kafka_incarnation") == Some(i64::from(chosen.life)));
        let bits = of_life.filter_map(|line| u32::try_from(line.number("_kafka_offset")?).ok());
        Chosen {
            offsets: bits.fold(0, |all, bit| all | (chosen.offsets & (1 << bit))),
            ..chosen
        }
    }

    fn keyed(&self, warehouse: &Warehouse) -> bool {
        let plans = self.known_plans();
        let row = warehouse.row.as_ref();
        let plan = row.and_then(|row| row.plan.as_ref()).and_then(|plan| plans.get(plan));
        plan.is_some_and(|plan| Mode::of(self.bounds.mode, plan).is_keyed())
    }

    /// What comes of a step of his.
    pub(super) fn operator_does(&self, state: &State, step: &Step) -> Option<State> {
        let mut next = *state;
        match (*step, state.operator) {
            (Step::Look(chosen), Operator::Idle) => {
                next.left.replays -= 1;
                next.operator = Operator::Looked(chosen);
            }
            (Step::Prepare, Operator::Looked(chosen)) => {
                let chosen = self.unrefused(state, chosen);
                next.operator = match chosen.offsets {
                    0 => Operator::Idle,
                    _ => Operator::Ready(chosen, state.warehouses[0]),
                };
            }
            (Step::BeginReplay, Operator::Ready(chosen, seen)) => return Some(self.begin_replay(state, chosen, seen)),
            (Step::OpenReplay, _) => {
                let mut warehouse = Warehouse::clone(&self.warehouses.get(state.warehouses[0]));
                let session = warehouse.session_of(OPERATOR)?;
                let script = self.script(&warehouse.sessions[session].load);
                let Ok(script) = &*script else { return None };
                if let Err(outcome) = warehouse.open(session, script) {
                    ended(&mut next, &outcome);
                }
                next.warehouses[0] = self.warehouses.id(warehouse);
            }
            (Step::CommitReplay, _) => {
                let session = self.warehouses.get(state.warehouses[0]).session_of(OPERATOR)?;
                let (closed, ending) = self.close(state, 0, session)?;
                next = closed;
                ended(&mut next, &super::Ending::clone(&self.endings.get(ending)).outcome());
            }
            (Step::OperatorDies, _) => {
                next.left.crashes -= 1;
                self.orphan(&mut next, OPERATOR);
                next.operator = Operator::Idle;
            }
            (Step::Discard(life, offset), _) => {
                next.left.discards -= 1;
                let places = Chosen {
                    life,
                    offsets: 1 << offset,
                }
                .places();
                let table = self.target.table.set_aside(&self.target.state_schema).sql();
                let sql = replay::mark(&table, &places, "discarded", "g", 0).ok()?;
                let warehouse = self.warehouses.get(state.warehouses[0]).marked(&sql);
                next.warehouses[0] = self.warehouses.id(warehouse);
            }
            _ => return None,
        }
        Some(next)
    }

    fn begin_replay(&self, state: &State, chosen: Chosen, seen: Id<Warehouse>) -> State {
        let mut next = *state;
        let mut warehouse = Warehouse::clone(&self.warehouses.get(state.warehouses[0]));
        let seen = self.warehouses.get(seen);
        let load = self.replay_of(state.case, chosen, &seen);
        let (catalog, aside) = warehouse.catalogs(&load);
        let load = Prepared {
            load: Box::new(load),
            row: seen.row.clone(),
            catalog,
            aside,
        };
        if self.script(&load).is_err() {
            // What does not fit the table of now is held against the state of now first.
            let outdated = warehouse.row != load.row;
            next.left.replays += u8::from(outdated);
            next.operator = Operator::Idle;
            return next;
        }
        warehouse.sessions.push(Session {
            owner: Some(OPERATOR),
            load,
            snapshot: None,
            locked: false,
            may_commit: false,
        });
        next.warehouses[0] = self.warehouses.id(warehouse);
        next.operator = Operator::Begun(chosen);
        next
    }

    /// The records as rows, in the plan that the table had.
    fn replay_of(&self, case: u32, chosen: Chosen, seen: &Warehouse) -> LoadPlan {
        let plans_known = self.known_plans();
        let [first, ..] = plans();
        let plan: &Plan = seen
            .row
            .as_ref()
            .and_then(|row| plans_known.get(row.plan.as_ref()?))
            .unwrap_or(&first);
        let places = chosen.places();
        let rows: Vec<Row> = places.iter().flat_map(|place| self.mended(case, *place)).collect();
        let left_out = rows.iter().any(|row| row.value == Value::LeftOut);
        let what = Rows {
            decoder: Decoder {
                version: 1,
                fingerprint: String::new(),
            },
            dialect: dialect(),
            plan,
            count: rows.len() as u64,
            longest: std::collections::BTreeMap::new(),
            unchanged: left_out.then(|| VALUE.to_owned()).into_iter().collect(),
            object: Object {
                bucket: BUCKET.to_owned(),
                region: REGION.to_owned(),
                key: format!("replay{}{}", chosen.words(), Compression::Zstd.extension()),
                bytes: 1,
                sha256: String::new(),
            },
        };
        replay::load_plan(TOPIC, places, what).unwrap_or_default()
    }

    /// The records that a claim sets aside.
    pub(super) fn aside(&self, case: u32, claim: &Claim) -> Vec<BadRecord> {
        let records = &self.cases[case as usize].records;
        let of_life = usize::try_from(claim.partition.0)
            .ok()
            .and_then(|partition| records.get(partition)?.get(claim.incarnation.0 as usize));
        of_life.map_or_else(Vec::new, |records| records.bad(claim.start, claim.next))
    }

    /// The rows of a record set aside, mended.
    pub(super) fn mended(&self, case: u32, place: Place) -> Vec<Row> {
        let lives = self.cases[case as usize].records.first();
        let records = lives.and_then(|lives| lives.get(place.incarnation.0 as usize));
        let life = place.incarnation.0;
        records.map_or_else(Vec::new, |records| records.mended((life, 0), place.offset))
    }

    /// All that lies below a warehouse's checkpoint, in the order of the log; one partition.
    pub(super) fn changes(&self, case: &Case, warehouse: &Warehouse) -> Vec<Due> {
        let mut due = Vec::new();
        let (Some(at), Some(lives)) = (warehouse.position(Partition(0)), case.records.first()) else {
            return due;
        };
        for (life, records) in (0u32..).zip(lives) {
            let end = match life.cmp(&at.incarnation.0) {
                std::cmp::Ordering::Less => case.end_of_life(0, life),
                std::cmp::Ordering::Equal => at.next,
                std::cmp::Ordering::Greater => break,
            };
            for (offset, record) in records.visible(case.origin(0, life), end) {
                match record {
                    Record::Truncate => due.push(Due::Truncate { life, offset }),
                    Record::Bad(..) => due.push(Due::Bad {
                        life,
                        offset,
                        mended: records.mended((life, 0), offset),
                    }),
                    _ => due.extend(records.rows((life, 0), offset, offset.next()).into_iter().map(Due::Row)),
                }
            }
        }
        due
    }
}

/// How the command ends; where the table was changed meanwhile it begins anew.
fn ended(state: &mut State, outcome: &Outcome) {
    state.operator = Operator::Idle;
    state.left.replays += u8::from(*outcome == Outcome::Replan);
}
