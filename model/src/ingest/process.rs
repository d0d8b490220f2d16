//! What a process of s3-spolt learns, what it does then, and what becomes of that which is on its way. The same news to the same process
//! comes to the same, so each is worked out once.

use common::failure::Failure;
use common::ids::Offset;
use s3_spolt::ingest::machine::{Action, Event};
use s3_spolt::ingest::resume::ReadBack;

use super::{Ask, Errand, Log, Op, Process, Reading, Spolting, State};
use crate::intern::Id;
use common::claim::Claim;

/// A process, which one it is, the life of the topic, the generation that the news is for (`None`: the present one), and the news: the
/// same again comes to the same.
pub(super) type Telling = (Id<Process>, u8, u8, Option<u64>, News);

/// What a process learns; small, to be remembered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum News {
    Owned,
    Revoked,
    Wake,
    FetchFails,
    Unanswered,
    Stored(Offset),
    Acknowledged,
    GenesisAppended,
    ReadBack(Id<Log>, u64),
    /// Pattern and log start; the life is known.
    Facts(u8, u8),
    Fingerprint(Option<u32>),
    BareStored,
    NothingOpen,
    Sealed(Id<Claim>),
}

/// What becomes of that which is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum FlightChange {
    Sent(Id<Vec<Op>>),
    Landed(u8),
    Doubled(u8),
    Answered(u8),
    Unanswered(u8),
    OwnerDied(u8),
    Decided(Id<Claim>),
}

impl Spolting {
    /// Tells a process what happened and carries out what it wants.
    pub(super) fn tell_process(&self, state: &mut State, number: u8, generation: Option<u64>, news: News) {
        let slot = usize::from(number);
        let telling = (state.spolts[slot], number, state.life, generation, news);
        let (process, sent) = self.tellings.get(&telling, || self.told(telling));
        state.spolts[slot] = process;
        state.flight = self.fly(state.flight, FlightChange::Sent(sent));
    }

    /// The process afterwards, and what it sends.
    fn told(&self, (process, number, life, generation, news): Telling) -> (Id<Process>, Id<Vec<Op>>) {
        let mut process = Process::clone(&self.processes.get(process));
        let present = process.machine.generation();
        let mut actions = Vec::new();
        let event = self.event(life, news);
        match news {
            News::Wake => process.wakes = false,
            News::ReadBack(..) | News::Facts(..) | News::Fingerprint(_) | News::BareStored | News::NothingOpen => {
                process.asks = None
            }
            News::Sealed(claim) => process.sealed.push(claim),
            _ => {}
        }
        process.machine.step(generation.unwrap_or(present), event, &mut actions);
        if process.machine.generation() != present {
            // What was asked under an earlier generation is void.
            (process.asks, process.wakes) = (None, false);
        }
        let mut sent = Vec::new();
        for action in actions {
            let owner = Some((number, process.machine.generation()));
            let op = |errand, claim| Op {
                errand,
                claim,
                owner,
                landed: false,
            };
            let sealed = |next: Offset| {
                process
                    .sealed
                    .iter()
                    .copied()
                    .find(|claim| self.claims.get(*claim).next == next)
            };
            match action {
                Action::ReadBack(count) => process.asks = Some(Ask::ReadBack(count)),
                Action::AskFacts => process.asks = Some(Ask::Facts),
                Action::AskFingerprint(offset) => process.asks = Some(Ask::Fingerprint(offset)),
                Action::PutBare(claim) => process.asks = Some(Ask::Bare(claim)),
                Action::CutOpen => process.asks = Some(Ask::Cut),
                Action::AppendGenesis(claim) => sent.push(op(Errand::Genesis, self.claims.id(*claim))),
                Action::Put(next) => sent.extend(sealed(next).map(|claim| op(Errand::Put, claim))),
                Action::Signal(next) => sent.extend(sealed(next).map(|claim| op(Errand::Signal, claim))),
                Action::Read(resume) => {
                    process.reading = Some(Reading {
                        incarnation: resume.incarnation.0,
                        life,
                        head: resume.pos,
                    });
                }
                Action::StopReading => process.reading = None,
                Action::Forget => process.sealed.clear(),
                Action::Claimed(next) => process.sealed.retain(|claim| self.claims.get(*claim).next != next),
                Action::WakeAfter(_) => process.wakes = true,
                Action::AskOrigin(_) | Action::Halt(_) | Action::StopProcess(_) | Action::Drained => {}
            }
        }
        (self.processes.id(process), self.flights.id(sent))
    }

    fn event(&self, life: u8, news: News) -> Event {
        match news {
            News::Owned => Event::Owned,
            News::Revoked => Event::Revoked,
            News::Wake => Event::Wake,
            News::FetchFails => Event::Failed(Failure::retry("out of range")),
            News::Unanswered => Event::Failed(Failure::retry("no answer")),
            News::Stored(next) => Event::Stored { next },
            News::Acknowledged => Event::Acknowledged,
            News::GenesisAppended => Event::GenesisAppended,
            News::ReadBack(log, count) => {
                let log = self.logs.get(log);
                let count = usize::try_from(count).unwrap_or(usize::MAX).min(log.len());
                Event::ReadBack(ReadBack {
                    from_beginning: count == log.len(),
                    claims: self.claims_of(&log[log.len() - count..]),
                })
            }
            News::Facts(pattern, log_start) => Event::Facts(self.facts(pattern, life, log_start)),
            News::Fingerprint(crc) => Event::Fingerprint(crc),
            News::BareStored => Event::BareStored,
            News::NothingOpen => Event::NothingOpen,
            News::Sealed(claim) => {
                let claim = self.claims.get(claim);
                Event::Sealed {
                    start: claim.start,
                    next: claim.next,
                }
            }
        }
    }

    /// What is on its way after a change. It has no order.
    pub(super) fn fly(&self, flight: Id<Vec<Op>>, change: FlightChange) -> Id<Vec<Op>> {
        self.flight_changes.get(&(flight, change), || {
            let mut flight = Vec::clone(&self.flights.get(flight));
            let unowned = |errand, claim| Op {
                errand,
                claim,
                owner: None,
                landed: false,
            };
            match change {
                FlightChange::Sent(sent) => flight.extend(self.flights.get(sent).iter().copied()),
                FlightChange::Landed(index) if flight[usize::from(index)].owner.is_none() => {
                    flight.remove(usize::from(index));
                }
                FlightChange::Landed(index) => flight[usize::from(index)].landed = true,
                FlightChange::Doubled(index) => {
                    let op = flight[usize::from(index)];
                    flight.push(unowned(op.errand, op.claim));
                }
                FlightChange::Answered(index) => {
                    flight.remove(usize::from(index));
                }
                FlightChange::Unanswered(index) => {
                    let op = flight.remove(usize::from(index));
                    if !op.landed {
                        flight.push(unowned(op.errand, op.claim));
                    }
                }
                FlightChange::OwnerDied(number) => {
                    let is_his = |op: &Op| op.owner.is_some_and(|(owner, _)| owner == number);
                    flight.retain(|op| !(op.landed && is_his(op)));
                    for op in flight.iter_mut().filter(|op| is_his(op)) {
                        op.owner = None;
                    }
                }
                FlightChange::Decided(claim) => flight.push(unowned(Errand::Signal, claim)),
            }
            flight.sort_by_cached_key(crate::graph::print);
            self.flights.id(flight)
        })
    }

    pub(super) fn answer(&self, state: &State, number: u8) -> Option<State> {
        let mut next = *state;
        let process = self.processes.get(state.spolts[usize::from(number)]);
        let news = match process.asks.as_ref()? {
            Ask::ReadBack(count) => News::ReadBack(state.log, *count),
            Ask::Facts => News::Facts(state.pattern, state.log_start),
            Ask::Fingerprint(offset) => News::Fingerprint(self.fingerprint(state, *offset)),
            Ask::Bare(_) => News::BareStored,
            Ask::Cut => News::NothingOpen,
        };
        self.tell_process(&mut next, number, None, news);
        Some(next)
    }
}
