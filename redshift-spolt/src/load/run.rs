//! Which claims one transaction takes (rule 16): per lineage one contiguous run from the checkpoint, and over all lineages one COPY
//! for each set of objects that are read alike.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use common::chain::{self, Coverage, Link, Policy, Position, Verdict};
use common::claim::{Claim, Decoder, Dialect, Kind};
use common::ids::{Incarnation, Offset, Partition};
use common::manifest::Entry;
use common::mutant::Mutant;
use common::plan::PlanId;

use super::aside::{self, AsideGroup};
use super::replay::Place;

/// A claim that waits, with its place in the signal log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pending {
    /// Offset of the signal in its partition.
    pub signal: Offset,
    /// When this process saw it, milliseconds of a clock that never jumps; decides only when to load.
    pub arrived_ms: i64,
    /// What it says.
    pub claim: Arc<Claim>,
}

/// What one lineage offers to a load.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// Source partition, which is also the signal partition.
    pub partition: Partition,
    /// Where it stands; `None` before anything of it was applied.
    pub at: Option<Position>,
    /// Its waiting claims in log order.
    pub queue: &'a VecDeque<Pending>,
}

/// The most that one load takes; the first claim is taken whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caps {
    /// Claims.
    pub claims: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes of the objects, compressed.
    pub bytes: u64,
}

/// What makes objects readable by one COPY (rule 16). A run may go on over a border between groups, but not overlap across one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// Columns of the objects.
    pub plan: PlanId,
    /// How they were made.
    pub decoder: Option<Decoder>,
    /// How they are read, compression included.
    pub dialect: Dialect,
    /// Bucket.
    pub bucket: String,
    /// Region of the bucket.
    pub region: String,
}

/// The objects of one COPY statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Group {
    /// What they have in common.
    pub key: GroupKey,
    /// The claims behind them, in the order they were taken.
    pub claims: Vec<Arc<Claim>>,
    /// Rows that COPY must report.
    pub rows: u64,
}

impl Group {
    /// The manifest's entries.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let object = |claim: &Arc<Claim>| claim.object.clone();
        self.claims
            .iter()
            .filter_map(object)
            .map(|object| Entry {
                bucket: object.bucket,
                key: object.key,
                bytes: object.bytes,
            })
            .collect()
    }
}

/// The contiguous run of one lineage in one load.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Run {
    /// Source cluster.
    pub cluster: String,
    /// Upstream topic.
    pub topic: String,
    /// Partition.
    pub partition: Partition,
    /// The checkpoint that the run starts from; `None` when the lineage has no state row yet.
    pub stored: Option<Position>,
    /// The same, or where the lineage begins when it has no state row.
    pub from: Position,
    /// The checkpoint after it.
    pub to: Position,
    /// First signal that is not dealt with when the load is committed.
    pub signal_next: Offset,
    /// Staged rows below this offset are already applied and must go; `None` if there are none.
    pub trim: Option<Offset>,
    /// The claims that moved the checkpoint, for the ledger.
    pub claims: Vec<Arc<Claim>>,
    /// How many waiting claims the run deals with, void ones included.
    pub consumed: usize,
}

/// All that one transaction takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct LoadPlan {
    /// One run per lineage that moves.
    pub runs: Vec<Run>,
    /// One COPY each.
    pub groups: Vec<Group>,
    /// Records set aside, one COPY each.
    pub asides: Vec<AsideGroup>,
    /// Records set aside that are tried again (rule 27): their rows are those of `groups`, which belong to no run.
    pub replay: Vec<Place>,
    /// Claims of one run overlap above its checkpoint, so that rows may be staged twice (M9).
    pub dedupe: bool,
    /// How many partitions the topic had when the first of its partitions began, as the signal log says. It is asked before the first load
    /// alone: the claims of a partition that was added may be read first, and know nothing of what was before (rule 13).
    pub born_with: Option<u32>,
}

impl LoadPlan {
    /// Rows that will be staged.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.groups.iter().map(|group| group.rows).sum()
    }

    /// How many manifests its COPY statements read.
    #[must_use]
    pub fn manifests(&self) -> usize {
        self.groups.len() + self.asides.len()
    }

    /// The plans of its objects, each with the bucket that it lies in.
    pub fn plans(&self) -> impl Iterator<Item = (&PlanId, &str)> {
        let of_groups = self
            .groups
            .iter()
            .map(|group| (&group.key.plan, group.key.bucket.as_str()));
        let of_asides = self.asides.iter().filter_map(|group| {
            let object = group.claims.first()?.object.as_ref()?;
            Some((group.key.plan.as_ref()?, object.bucket.as_str()))
        });
        of_groups.chain(of_asides)
    }

    /// Claims that move checkpoints.
    #[must_use]
    pub fn claims(&self) -> usize {
        self.runs.iter().map(|run| run.claims.len()).sum()
    }

    /// Bytes that COPY will read, compressed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.groups
            .iter()
            .flat_map(|group| &group.claims)
            .filter_map(|claim| claim.object.as_ref())
            .map(|o| o.bytes)
            .sum()
    }

    /// The run whose claim empties the table, if there is one: it has no other claim (rule 26). In a changelog each partition may have one.
    #[must_use]
    pub fn emptying(&self) -> Option<&Run> {
        self.runs
            .iter()
            .find(|run| run.claims.iter().any(|claim| claim.kind == Kind::Truncate))
    }

    /// Latest record time among the claims, milliseconds since 1970.
    #[must_use]
    pub fn max_time_ms(&self) -> Option<i64> {
        self.runs
            .iter()
            .flat_map(|run| &run.claims)
            .filter_map(|claim| claim.max_time_ms)
            .max()
    }

    /// Longest values per text column, in bytes, over all claims.
    #[must_use]
    pub fn longest(&self) -> BTreeMap<&str, u32> {
        let mut longest: BTreeMap<&str, u32> = BTreeMap::new();
        for (column, bytes) in self
            .groups
            .iter()
            .flat_map(|g| &g.claims)
            .flat_map(|claim| &claim.longest)
        {
            let entry = longest.entry(column).or_default();
            *entry = (*entry).max(*bytes);
        }
        longest
    }
}

/// Takes claims in the order of their arrival until the caps are reached or every lineage's run has ended. `None` when nothing moves.
///
/// Two incarnations never meet in one merge: only lineages take part that are in the life of the topic whose claim has waited longest, the
/// earlier life where claims came at once. So neither life can hold the other back for ever, however busy it is. That a row of an earlier
/// life never replaces one of a later life in another partition is not left to this order but asked before the merge (`conflict`).
#[must_use]
pub fn plan(offers: &[Offer<'_>], caps: Caps, policy: Policy) -> Option<LoadPlan> {
    let waited = offers
        .iter()
        .filter_map(|offer| Some((offer.queue.front()?.arrived_ms, incarnation(offer)?)));
    let (_, life) = waited.min()?;
    let mut builders: Vec<Builder<'_>> = offers
        .iter()
        .filter(|offer| incarnation(offer) == Some(life))
        .map(|offer| Builder::new(*offer))
        .collect();
    let (mut claims, mut rows, mut bytes) = (0u64, 0u64, 0u64);
    while let Some(builder) = builders
        .iter_mut()
        .filter(|b| !b.ended)
        .min_by_key(|b| (b.next_arrival(), b.offer.partition))
    {
        let Some(pending) = builder.offer.queue.get(builder.consumed) else {
            builder.ended = true;
            continue;
        };
        let more = pending.claim.object.as_ref().map_or(0, |object| object.bytes);
        let full = claims >= caps.claims || rows + pending.claim.rows > caps.rows || bytes + more > caps.bytes;
        if claims > 0 && full {
            break;
        }
        if builder.take(pending, policy) {
            claims += 1;
            rows += pending.claim.rows;
            bytes += more;
        }
    }
    assemble(builders)
}

/// The life of the topic whose claims come next: that of the checkpoint, else that of the first claim.
fn incarnation(offer: &Offer<'_>) -> Option<Incarnation> {
    let first = offer.queue.front()?;
    Some(offer.at.map_or(first.claim.incarnation, |at| at.incarnation))
}

fn assemble(builders: Vec<Builder<'_>>) -> Option<LoadPlan> {
    let mut load = LoadPlan::default();
    let mut groups: BTreeMap<GroupKey, Vec<Arc<Claim>>> = BTreeMap::new();
    for builder in builders {
        let Some((run, taken, overlaps)) = builder.finish() else {
            continue;
        };
        load.dedupe |= overlaps;
        load.runs.push(run);
        for (key, claim) in taken {
            groups.entry(key).or_default().push(claim);
        }
    }
    load.groups = groups
        .into_iter()
        .map(|(key, claims)| Group {
            key,
            rows: claims.iter().map(|claim| claim.rows).sum(),
            claims,
        })
        .collect();
    load.asides = aside::groups(&load.runs);
    (!load.runs.is_empty()).then_some(load)
}

/// A claim with rows, and the COPY that it belongs to.
type Taken = (GroupKey, Arc<Claim>);

struct Builder<'a> {
    offer: Offer<'a>,
    /// Where the run begins; known from the first claim on when there is no checkpoint.
    from: Option<Position>,
    end: Option<Position>,
    consumed: usize,
    signal_next: Option<Offset>,
    taken: Vec<Taken>,
    covered: BTreeMap<GroupKey, Coverage>,
    moved: Vec<Arc<Claim>>,
    ended: bool,
}

impl<'a> Builder<'a> {
    fn new(offer: Offer<'a>) -> Builder<'a> {
        Builder {
            offer,
            from: offer.at,
            end: offer.at,
            consumed: 0,
            signal_next: None,
            taken: Vec::new(),
            covered: BTreeMap::new(),
            moved: Vec::new(),
            ended: false,
        }
    }

    fn next_arrival(&self) -> i64 {
        self.offer
            .queue
            .get(self.consumed)
            .map_or(i64::MAX, |pending| pending.arrived_ms)
    }

    /// Deals with the next claim; whether it counts against the caps. Ends the run where it must end before the claim.
    fn take(&mut self, pending: &Pending, policy: Policy) -> bool {
        let claim = &pending.claim;
        let verdict = chain::judge(self.end, &Link::of(claim), policy);
        let counts = match verdict {
            Verdict::Halt(_) => {
                self.ended = true;
                return false;
            }
            Verdict::Drop(_) => false,
            Verdict::Advance(_) if claim.aside.is_some() && !self.fits_aside(claim) => {
                self.ended = true;
                return false;
            }
            Verdict::Origin(_) | Verdict::Advance(_) => true,
            // Rows before it would be merged only to be deleted, rows after it must not be: it goes alone (rule 26).
            Verdict::Empty(_) => {
                self.ended = true;
                if !self.moved.is_empty() {
                    return false;
                }
                true
            }
            Verdict::Reset(_) => {
                self.ended = true;
                true
            }
            Verdict::Take { .. } => match group_key(claim) {
                Some(key) if !self.fits(&key, claim) => {
                    self.ended = true;
                    return false;
                }
                Some(key) if self.is_passed_over(&key) => false,
                Some(key) => {
                    self.covered
                        .entry(key.clone())
                        .or_default()
                        .add(claim.start, claim.next);
                    if claim.rows > 0 {
                        self.taken.push((key, Arc::clone(claim)));
                    }
                    true
                }
                None => true,
            },
        };
        let start = Position {
            incarnation: claim.incarnation,
            next: claim.start,
        };
        if counts {
            self.from = self.from.or(Some(start));
            self.end = verdict.after(self.end);
            self.moved.push(Arc::clone(claim));
        }
        self.consumed += 1;
        self.signal_next = Some(pending.signal.next());
        counts
    }

    /// Whether what the claim overlaps of this run is of its own group: equal rows, of which one is kept. An overlap with another
    /// group ends the run, and the next load trims it.
    fn fits(&self, key: &GroupKey, claim: &Claim) -> bool {
        let (Some(from), Some(end)) = (self.from, self.end) else {
            return true;
        };
        let (start, next) = (claim.start.max(from.next), claim.next.min(end.next));
        start >= next
            || self.covered.get(key).is_some_and(|own| own.covers(start, next))
            || Mutant::NoContinuityNoTrim.is_on()
    }

    /// The same for a claim that has no rows and sets records aside: by other settings another claim of the run may have rows of them. It may
    /// be of no group, where its writer had no plan yet.
    fn fits_aside(&self, claim: &Claim) -> bool {
        let beyond = self.moved.is_empty() || self.end.is_none_or(|end| claim.start >= end.next);
        beyond || group_key(claim).is_some_and(|key| self.fits(&key, claim))
    }

    /// M4: claims of another group are left out although the checkpoint passes them.
    fn is_passed_over(&self, key: &GroupKey) -> bool {
        Mutant::GroupBySchema.is_on() && self.taken.first().is_some_and(|(first, _)| first != key)
    }

    fn finish(mut self) -> Option<(Run, Vec<Taken>, bool)> {
        let (from, to, signal_next) = (self.from?, self.end?, self.signal_next?);
        let first = self.moved.first()?;
        let (cluster, topic) = (first.cluster.clone(), first.topic.clone());
        if !Mutant::NoDeduplication.is_on() {
            drop_covered(&mut self.taken, from.next);
        }
        let below = self.taken.iter().any(|(_, claim)| claim.start < from.next);
        let trims = below && !Mutant::NoContinuityNoTrim.is_on();
        let overlaps = !Mutant::NoDeduplication.is_on() && overlap(&self.taken, from.next);
        let run = Run {
            cluster,
            topic,
            partition: self.offer.partition,
            stored: self.offer.at,
            from,
            to,
            signal_next,
            trim: trims.then_some(from.next),
            claims: self.moved,
            consumed: self.consumed,
        };
        Some((run, self.taken, overlaps))
    }
}

fn group_key(claim: &Claim) -> Option<GroupKey> {
    let object = claim.object.as_ref()?;
    Some(GroupKey {
        plan: claim.plan.clone()?,
        decoder: claim.decoder.clone(),
        dialect: claim.dialect.clone()?,
        bucket: object.bucket.clone(),
        region: object.region.clone(),
    })
}

/// Drops claims whose part above the checkpoint lies within another claim of the same run and group: their rows are there anyway.
fn drop_covered(taken: &mut Vec<Taken>, floor: Offset) {
    let range = |claim: &Claim| (claim.start.max(floor), claim.next);
    // Where starts are equal the longer one comes first; then a claim is covered exactly when an earlier one reaches as far.
    let mut order: Vec<usize> = (0..taken.len()).collect();
    order.sort_by_key(|index| {
        let (start, next) = range(&taken[*index].1);
        (start, std::cmp::Reverse(next), *index)
    });
    let mut reach: BTreeMap<GroupKey, Offset> = BTreeMap::new();
    let mut keep = vec![true; taken.len()];
    for index in order {
        let (key, claim) = &taken[index];
        match reach.get_mut(key) {
            Some(reached) if claim.next <= *reached => keep[index] = false,
            Some(reached) => *reached = claim.next,
            None => {
                reach.insert(key.clone(), claim.next);
            }
        }
    }
    let mut keep = keep.into_iter();
    taken.retain(|_| keep.next().unwrap_or(true));
}

/// Whether two claims of the run overlap above the checkpoint.
fn overlap(taken: &[Taken], floor: Offset) -> bool {
    let mut ranges: Vec<(Offset, Offset)> = taken
        .iter()
        .map(|(_, claim)| (claim.start.max(floor), claim.next))
        .collect();
    ranges.sort_unstable();
    ranges.windows(2).any(|pair| pair[1].0 < pair[0].1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::ids::Lineage;

    fn skips(partition: i32, incarnation: u32, arrivals: impl IntoIterator<Item = i64>) -> VecDeque<Pending> {
        let lineage = Lineage {
            cluster: "c".into(),
            topic: "t".into(),
            incarnation: Incarnation(incarnation),
            partition: Partition(partition),
        };
        (0..)
            .zip(arrivals)
            .map(|(offset, arrived_ms)| Pending {
                signal: Offset(offset),
                arrived_ms,
                claim: Arc::new(Claim::new(Kind::Skip, &lineage, Offset(offset), Offset(offset + 1))),
            })
            .collect()
    }

    /// Loads one after another, each of at most two claims, while the earlier life gets two more claims with every load.
    #[test]
    fn a_busy_partition_of_an_earlier_life_does_not_hold_back_one_of_a_later_life() {
        let caps = Caps {
            claims: 2,
            rows: 10,
            bytes: 10,
        };
        let at = |incarnation: u32, next: i64| {
            Some(Position {
                incarnation: Incarnation(incarnation),
                next: Offset(next),
            })
        };
        let (mut busy, mut rare) = (skips(0, 0, (0..1_000).map(|n| n / 2)), skips(1, 1, [5, 5, 6]));
        let mut positions = [0, 0];
        let mut lives = Vec::new();
        for _ in 0..8 {
            let offers = [
                Offer {
                    partition: Partition(0),
                    at: at(0, positions[0]),
                    queue: &busy,
                },
                Offer {
                    partition: Partition(1),
                    at: at(1, positions[1]),
                    queue: &rare,
                },
            ];
            let load = plan(&offers, caps, Policy::default()).unwrap();
            let [run] = load.runs.as_slice() else {
                panic!("two lives in one load: {load:?}")
            };
            lives.push(run.to.incarnation.0);
            let index = usize::from(run.partition == Partition(1));
            positions[index] = run.to.next.0;
            let queue = if index == 0 { &mut busy } else { &mut rare };
            queue.drain(..run.consumed);
        }
        // Everything in the order of arrival; what came at once, the earlier life first.
        assert_eq!(lives, [0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(rare.front().map(|pending| pending.arrived_ms), Some(6));
    }

    /// Two writers with other settings: the one has a row of the first record, the other set it aside with two more, and has no row.
    #[test]
    fn what_is_set_aside_does_not_meet_its_own_row_in_one_load() {
        let [skip, data] = [Kind::Skip, Kind::Data].map(|kind| {
            let lineage = Lineage {
                cluster: "c".into(),
                topic: "t".into(),
                incarnation: Incarnation(0),
                partition: Partition(0),
            };
            Claim::new(
                kind,
                &lineage,
                Offset(0),
                Offset(if kind == Kind::Skip { 3 } else { 1 }),
            )
        });
        let dialect = Dialect {
            id: "d".into(),
            delimiter: ',',
            quote: '"',
            null: "~".into(),
            compression: common::claim::Compression::Zstd,
        };
        let object = common::claim::Object {
            bucket: "b".into(),
            region: "r".into(),
            key: "raw/t/i0/p0/k.csv.zst".into(),
            bytes: 1,
            sha256: "00".into(),
        };
        let data = Claim {
            rows: 1,
            plan: Some(PlanId("p".into())),
            dialect: Some(dialect.clone()),
            object: Some(object.clone()),
            ..data
        };
        let skip = Claim {
            rejected: 2,
            dialect: Some(dialect),
            object: Some(object),
            aside: Some(common::claim::Aside {
                lines: 2,
                bytes: 1,
                sha256: "00".into(),
                headers: false,
            }),
            ..skip
        };
        let waiting = |claims: &[&Claim]| -> VecDeque<Pending> {
            let pending = |(signal, claim): (i64, &&Claim)| Pending {
                signal: Offset(signal),
                arrived_ms: 0,
                claim: Arc::new(Claim::clone(claim)),
            };
            (0..).zip(claims).map(pending).collect()
        };
        let caps = Caps {
            claims: 9,
            rows: 9,
            bytes: 9,
        };
        let load = |at: i64, queue: &VecDeque<Pending>| {
            let at = Some(Position {
                incarnation: Incarnation(0),
                next: Offset(at),
            });
            let partition = Partition(0);
            plan(&[Offer { partition, at, queue }], caps, Policy::default()).unwrap()
        };
        let first = load(0, &waiting(&[&data, &skip]));
        assert_eq!((first.claims(), first.groups.len(), first.asides.len()), (1, 1, 0));
        let second = load(1, &waiting(&[&skip]));
        assert_eq!((second.claims(), second.asides.len()), (1, 1));
        let trim = aside::trim(&second.runs).unwrap();
        assert!(trim.contains("\"_kafka_offset\" < 1"), "{trim}");
    }
}
