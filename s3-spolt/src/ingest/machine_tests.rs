use common::claim::Tail;

use super::*;

struct Rig {
    machine: Machine,
    actions: Vec<Action>,
}

impl Rig {
    fn new(start: Start) -> Rig {
        Rig {
            machine: Machine::new("c", "t", Partition(0), start),
            actions: Vec::new(),
        }
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        self.actions.clear();
        self.machine.step(self.machine.generation(), event, &mut self.actions);
        self.actions.clone()
    }

    fn running_from(pos: i64) -> Rig {
        let mut rig = Rig::new(Start::Earliest);
        rig.on(Event::Owned);
        rig.on(read(false, vec![claim(Kind::Data, 0, pos)]));
        let actions = rig.on(facts(0, 1_000));
        assert!(
            matches!(actions[..], [Action::Read(_), Action::WakeAfter(VERIFY_EVERY_MS)]),
            "{actions:?}"
        );
        rig
    }
}

fn lineage() -> Lineage {
    Lineage {
        cluster: "c".into(),
        topic: "t".into(),
        incarnation: Incarnation(0),
        partition: Partition(0),
    }
}

fn claim(kind: Kind, start: i64, next: i64) -> Claim {
    Claim::new(kind, &lineage(), Offset(start), Offset(next))
}

fn read(from_beginning: bool, claims: Vec<Claim>) -> Event {
    Event::ReadBack(ReadBack { from_beginning, claims })
}

fn facts(log_start: i64, end: i64) -> Event {
    Event::Facts(Facts {
        log_start: Offset(log_start),
        end: Offset(end),
        topic_id: Some("id".into()),
        partitions: 6,
    })
}

fn sealed(start: i64, next: i64) -> Event {
    Event::Sealed {
        start: Offset(start),
        next: Offset(next),
    }
}

fn stored(next: i64) -> Event {
    Event::Stored { next: Offset(next) }
}

#[test]
fn a_new_lineage_sends_its_genesis_and_lets_the_log_decide_whose_counts() {
    let mut rig = Rig::new(Start::Earliest);
    assert_eq!(rig.on(Event::Owned), [Action::ReadBack(1)]);
    assert_eq!(rig.on(read(true, vec![])), [Action::AskFacts]);
    let put = rig.on(facts(40, 100));
    let [Action::PutBare(genesis)] = &put[..] else {
        panic!("{put:?}")
    };
    assert_eq!(
        (genesis.kind, genesis.start, genesis.partitions),
        (Kind::Genesis, Offset(40), Some(6))
    );
    assert_eq!(rig.on(Event::BareStored), [Action::AppendGenesis(genesis.clone())]);
    assert_eq!(rig.on(Event::GenesisAppended), [Action::ReadBack(u64::MAX)]);
    // Somebody else's genesis came first, at a lower offset: that one is the origin.
    rig.on(read(
        true,
        vec![claim(Kind::Genesis, 30, 30), claim(Kind::Genesis, 40, 40)],
    ));
    let actions = rig.on(facts(30, 100));
    assert!(
        matches!(&actions[..], [Action::Read(resume), Action::WakeAfter(_)] if resume.pos == Offset(30)),
        "{actions:?}"
    );
}

#[test]
fn the_start_position_is_the_end_or_a_time_where_asked() {
    let mut rig = Rig::new(Start::Latest);
    rig.on(Event::Owned);
    rig.on(read(true, vec![]));
    assert!(matches!(&rig.on(facts(0, 77))[..], [Action::PutBare(genesis)] if genesis.start == Offset(77)));
    let mut rig = Rig::new(Start::At(5));
    rig.on(Event::Owned);
    rig.on(read(true, vec![]));
    assert_eq!(rig.on(facts(0, 77)), [Action::AskOrigin(5)]);
    assert!(matches!(&rig.on(Event::Origin(Offset(9)))[..], [Action::PutBare(genesis)] if genesis.start == Offset(9)));
}

#[test]
fn reading_back_grows_until_a_claim_is_found() {
    let mut rig = Rig::new(Start::Earliest);
    rig.on(Event::Owned);
    for count in [16, 256, 4_096, 65_536, u64::MAX] {
        assert_eq!(rig.on(read(false, vec![])), [Action::ReadBack(count)]);
    }
}

#[test]
fn one_signal_at_a_time_in_order_whatever_is_stored_first() {
    let mut rig = Rig::running_from(10);
    assert_eq!(rig.on(sealed(10, 20)), [Action::Put(Offset(20))]);
    assert_eq!(rig.on(sealed(20, 30)), [Action::Put(Offset(30))]);
    assert_eq!(rig.on(stored(30)), []);
    assert_eq!(rig.on(stored(20)), [Action::Signal(Offset(20))]);
    assert_eq!(rig.machine.pos(), Some(Offset(10)));
    assert_eq!(
        rig.on(Event::Acknowledged),
        [Action::Claimed(Offset(20)), Action::Signal(Offset(30))]
    );
    assert_eq!(rig.machine.pos(), Some(Offset(20)));
    assert_eq!(rig.on(Event::Acknowledged), [Action::Claimed(Offset(30))]);
}

#[test]
fn an_unknown_signal_outcome_forgets_the_position_and_reads_the_log_again() {
    let mut rig = Rig::running_from(10);
    rig.on(sealed(10, 20));
    rig.on(stored(20));
    let before = rig.machine.generation();
    let actions = rig.on(Event::Failed(Failure::retry("timeout")));
    assert_eq!(actions, [Action::StopReading, Action::Forget, Action::WakeAfter(200)]);
    // The acknowledgement that comes late is void.
    rig.machine.step(before, Event::Acknowledged, &mut rig.actions);
    assert_eq!(rig.machine.pos(), None);
    assert_eq!(rig.on(Event::Wake), [Action::ReadBack(1)]);
    assert_eq!(
        rig.on(Event::Failed(Failure::retry("still away"))),
        [Action::WakeAfter(400)]
    );
}

#[test]
fn a_batch_that_leaves_a_hole_is_never_claimed() {
    let mut rig = Rig::running_from(10);
    let actions = rig.on(sealed(11, 20));
    assert!(actions.contains(&Action::Forget) && !actions.iter().any(|action| matches!(action, Action::Put(_))));
}

#[test]
fn what_is_before_a_poison_record_is_published_then_the_lineage_halts() {
    let mut rig = Rig::running_from(10);
    rig.on(sealed(10, 20));
    assert_eq!(
        rig.on(Event::Poisoned(Failure::halt("bad datum").offset(Offset(20)))),
        []
    );
    assert_eq!(rig.on(stored(20)), [Action::Signal(Offset(20))]);
    let actions = rig.on(Event::Acknowledged);
    assert!(
        matches!(
            &actions[..],
            [
                Action::Claimed(_),
                Action::StopReading,
                Action::Halt(_),
                Action::WakeAfter(HALTED_LOOK_MS)
            ]
        ),
        "{actions:?}"
    );
    let failure = rig.machine.halted().unwrap().to_string();
    assert!(
        failure.contains("topic `t`") && failure.contains("offset `20`"),
        "{failure}"
    );
    // The signal log is looked at again, but the record is not.
    assert_eq!(rig.on(Event::Wake), [Action::ReadBack(LOOK_BACK)]);
    assert_eq!(
        rig.on(read(false, vec![claim(Kind::Data, 10, 20)])),
        [Action::WakeAfter(HALTED_LOOK_MS)]
    );
    assert!(rig.machine.halted().is_some());
}

#[test]
fn another_topic_of_the_same_name_is_noticed() {
    let old = Claim {
        topic_id: Some("old".into()),
        tail: Some(Tail {
            offset: Offset(9),
            leader_epoch: None,
            crc32c: 7,
        }),
        ..claim(Kind::Data, 0, 10)
    };
    let resume = |claim: &Claim, answers: Vec<Event>| {
        let mut rig = Rig::new(Start::Earliest);
        rig.on(Event::Owned);
        rig.on(read(true, vec![claim.clone()]));
        answers.into_iter().for_each(|answer| drop(rig.on(answer)));
        rig.machine.halted().map(ToString::to_string)
    };
    assert!(resume(&old, vec![facts(0, 100)]).unwrap().contains("recreated"));
    let same = Claim {
        topic_id: Some("id".into()),
        ..old
    };
    assert!(
        resume(&same, vec![facts(11, 100)])
            .unwrap()
            .contains("begins at offset `11`")
    );
    assert_eq!(resume(&same, vec![facts(10, 100)]), None);
    let changed = vec![facts(0, 100), Event::Fingerprint(Some(8))];
    assert!(resume(&same, changed).unwrap().contains("fingerprint"));
    assert_eq!(resume(&same, vec![facts(0, 100), Event::Fingerprint(Some(7))]), None);
    assert_eq!(resume(&same, vec![facts(0, 100), Event::Fingerprint(None)]), None);
}

#[test]
fn an_old_end_is_looked_at_again_before_it_is_believed() {
    let mut rig = Rig::new(Start::Earliest);
    rig.on(Event::Owned);
    rig.on(read(true, vec![claim(Kind::Data, 0, 10)]));
    for _ in 0..BEYOND_END_LOOKS {
        assert!(matches!(rig.on(facts(0, 5))[..], [Action::WakeAfter(_)]));
        assert_eq!(rig.on(Event::Wake), [Action::AskFacts]);
    }
    assert!(matches!(
        rig.on(facts(0, 5))[..],
        [Action::Halt(_), Action::WakeAfter(HALTED_LOOK_MS)]
    ));
}

#[test]
fn a_halted_lineage_goes_on_when_the_operators_claim_is_in_the_log() {
    let halted_at_10 = || {
        let mut rig = Rig::new(Start::Earliest);
        rig.on(Event::Owned);
        rig.on(read(true, vec![claim(Kind::Data, 0, 10)]));
        rig.on(facts(12, 100));
        assert_eq!(rig.machine.phase_name(), "halted");
        rig
    };
    let gap = vec![claim(Kind::Data, 0, 10), claim(Kind::Gap, 10, 12)];
    let reset = Claim::new(
        Kind::Reset,
        &Lineage {
            incarnation: Incarnation(1),
            ..lineage()
        },
        Offset(12),
        Offset(12),
    );
    for (claims, incarnation) in [(gap, 0), (vec![claim(Kind::Data, 0, 10), reset], 1)] {
        let mut rig = halted_at_10();
        assert_eq!(rig.on(Event::Wake), [Action::ReadBack(LOOK_BACK)]);
        // Found by the simulator: what the lineage itself had on its way may have landed behind the gap.
        assert_eq!(rig.on(read(true, claims.clone())), [Action::ReadBack(LOOK_BACK)]);
        assert_eq!(rig.machine.halted(), None);
        rig.on(read(true, claims));
        let actions = rig.on(facts(12, 100));
        assert!(
            matches!(&actions[..], [Action::Read(resume), _] if resume.pos == Offset(12) && resume.incarnation.0 == incarnation),
            "{actions:?}"
        );
    }
    // A look that fails is not the last one, and a drain does not wait for it.
    let mut rig = halted_at_10();
    rig.on(Event::Wake);
    assert_eq!(
        rig.on(Event::Failed(Failure::retry("no broker"))),
        [Action::WakeAfter(HALTED_LOOK_MS)]
    );
    assert_eq!(rig.machine.phase_name(), "halted");
    assert_eq!(rig.on(Event::Wake), [Action::ReadBack(LOOK_BACK)]);
    assert_eq!(rig.on(Event::Drain), [Action::Drained]);
}

#[test]
fn a_void_claim_at_the_end_of_the_log_does_not_hide_a_reset() {
    let mut rig = Rig::new(Start::Earliest);
    rig.on(Event::Owned);
    let zombie = Claim {
        topic_id: Some("old".into()),
        ..claim(Kind::Data, 10, 20)
    };
    let reset = Claim {
        topic_id: Some("id".into()),
        incarnation: Incarnation(1),
        ..claim(Kind::Reset, 3, 3)
    };
    rig.on(read(false, vec![zombie.clone()]));
    // The topic is another one than the last claim says, but that claim is not all there is.
    assert_eq!(rig.on(facts(0, 100)), [Action::ReadBack(u64::MAX)]);
    rig.on(read(true, vec![claim(Kind::Data, 0, 10), reset, zombie]));
    let actions = rig.on(facts(0, 100));
    assert!(
        matches!(&actions[..], [Action::Read(resume), _] if resume.pos == Offset(3)),
        "{actions:?}"
    );
}

#[test]
fn a_running_lineage_looks_at_its_topic_again_and_recovers_only_if_something_is_wrong() {
    let last = Claim {
        tail: Some(Tail {
            offset: Offset(29),
            leader_epoch: None,
            crc32c: 7,
        }),
        ..claim(Kind::Data, 10, 30)
    };
    for (answer, fits) in [(Some(7), true), (None, true), (Some(8), false)] {
        let mut rig = Rig::running_from(10);
        rig.on(sealed(10, 30));
        assert_eq!(rig.on(Event::Wake), [Action::ReadBack(LOOK_BACK)]);
        assert_eq!(rig.on(read(false, vec![last.clone()])), [Action::AskFacts]);
        assert_eq!(rig.on(facts(0, 1_000)), [Action::AskFingerprint(Offset(29))]);
        let actions = rig.on(Event::Fingerprint(answer));
        if fits {
            assert_eq!(actions, [Action::WakeAfter(VERIFY_EVERY_MS)]);
            assert_eq!(rig.on(stored(30)), [Action::Signal(Offset(30))]);
        } else {
            assert_eq!(
                actions,
                [Action::StopReading, Action::Forget, Action::ReadBack(READ_BACK_FIRST)]
            );
        }
    }
    let mut rig = Rig::running_from(10);
    rig.on(Event::Wake);
    rig.on(read(false, vec![last]));
    let actions = rig.on(facts(0, 20));
    assert!(
        actions.contains(&Action::StopReading),
        "the topic is shorter: {actions:?}"
    );
}

/// Found by the model: every process that ran before the log lost its end stood at a position that the log no longer had, so nobody
/// claimed the lost range again and loaders never passed the gap.
#[test]
fn a_running_lineage_goes_back_when_the_signal_log_has_lost_its_end() {
    for left in [vec![claim(Kind::Genesis, 0, 0)], vec![]] {
        let mut rig = Rig::running_from(10);
        assert_eq!(rig.on(Event::Wake), [Action::ReadBack(LOOK_BACK)]);
        assert_eq!(
            rig.on(read(true, left)),
            [Action::StopReading, Action::Forget, Action::ReadBack(READ_BACK_FIRST)]
        );
    }
    // What was claimed since the log was read is not lost.
    let mut rig = Rig::running_from(10);
    rig.on(sealed(10, 20));
    rig.on(stored(20));
    rig.on(Event::Wake);
    rig.on(Event::Acknowledged);
    assert_eq!(rig.on(read(true, vec![claim(Kind::Data, 0, 10)])), [Action::AskFacts]);
}

#[test]
fn draining_publishes_what_is_open_and_ends() {
    let mut rig = Rig::running_from(10);
    assert_eq!(rig.on(Event::Drain), [Action::CutOpen]);
    rig.on(sealed(10, 20));
    rig.on(Event::NothingOpen);
    rig.on(stored(20));
    assert_eq!(
        rig.on(Event::Acknowledged),
        [Action::Claimed(Offset(20)), Action::StopReading, Action::Drained]
    );
    let mut idle = Rig::new(Start::Earliest);
    assert_eq!(idle.on(Event::Drain), [Action::Drained]);
}

#[test]
fn losing_the_partition_stops_new_work_and_getting_it_back_starts_from_the_log() {
    let mut rig = Rig::running_from(10);
    rig.on(sealed(10, 20));
    assert_eq!(rig.on(Event::Revoked), [Action::StopReading, Action::Forget]);
    assert_eq!(rig.on(stored(20)), []);
    assert_eq!(rig.on(Event::Owned), [Action::ReadBack(1)]);
}

#[test]
fn credentials_that_are_wrong_stop_the_process() {
    let mut rig = Rig::running_from(10);
    let actions = rig.on(Event::Failed(Failure::stop("access denied")));
    assert!(actions.contains(&Action::StopProcess(Failure::stop("access denied"))));
}
