//! One load over fakes of the ports: what each answer of the warehouse leads to, and what was sent.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use common::chain::{Policy, Position};
use common::claim::{Claim, Kind, plan_key};
use common::failure::{Class, Failure};
use common::horizon::Survey;
use common::ids::{Incarnation, Offset, Partition};
use common::progress::Statement;
use redshift_spolt::driver::port::{Progress, Signals, Wish};
use redshift_spolt::driver::register::Registrar;
use redshift_spolt::driver::table::Table;
use redshift_spolt::driver::{Shared, load, plans, watch};
use redshift_spolt::load::LoadPlan;
use redshift_spolt::load::machine::Outcome;
use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::names::TableName;
use redshift_spolt::load::run::{self, Caps, Offer, Pending};
use redshift_spolt::load::state::{Checkpoint, State};
use redshift_spolt::load::statements::Target;
use redshift_spolt::warehouse::pool::Pool;
use runtime::port::{
    Answer, Head, Listing, ObjectStore, Put, PutObject, Result, Session, SqlFailure, Undeleted, Warehouse, World,
};
use runtime::readiness::Readiness;
use support::{bare, data, narrow};
use tokio::sync::Semaphore;

/// A text that a statement contains, and the answer to it.
type Rule = (&'static str, std::result::Result<Answer, SqlFailure>);

/// Answers by the first rule whose text a statement contains; everything else is done, with the rows that are expected of it.
#[derive(Clone, Default)]
struct Script {
    sent: Arc<Mutex<Vec<String>>>,
    rules: Arc<Mutex<Vec<Rule>>>,
}

impl Script {
    fn rule(&self, text: &'static str, answer: std::result::Result<Answer, SqlFailure>) {
        self.rules.lock().unwrap().push((text, answer));
    }

    fn sent(&self, text: &str) -> usize {
        self.sent
            .lock()
            .unwrap()
            .iter()
            .filter(|sql| sql.contains(text))
            .count()
    }
}

struct FakeSession(Script);

#[async_trait]
impl Session for FakeSession {
    async fn run(&mut self, sql: &str) -> std::result::Result<Answer, SqlFailure> {
        self.0.sent.lock().unwrap().push(sql.to_owned());
        let mut rules = self.0.rules.lock().unwrap();
        if let Some(at) = rules.iter().position(|(text, _)| sql.contains(text)) {
            return rules.remove(at).1;
        }
        let one = |text: &str| Answer {
            rows: vec![vec![Some(text.to_owned())]],
            affected: 1,
        };
        Ok(match sql {
            sql if sql.contains("pg_last_copy_count") => one("4"),
            sql if sql.starts_with("INSERT INTO \"spolt\"") => Answer {
                affected: 2,
                ..Answer::default()
            },
            sql if sql.starts_with("UPDATE") => Answer {
                affected: 1,
                ..Answer::default()
            },
            _ => Answer::default(),
        })
    }
}

#[async_trait]
impl Warehouse for Script {
    async fn connect(&self) -> std::result::Result<Box<dyn Session>, SqlFailure> {
        Ok(Box::new(FakeSession(self.clone())))
    }
}

#[derive(Default)]
struct FakeStore {
    objects: Mutex<BTreeMap<String, Bytes>>,
}

#[async_trait]
impl ObjectStore for FakeStore {
    async fn put_if_absent(&self, object: PutObject) -> Result<Put> {
        self.objects.lock().unwrap().insert(object.key, object.body);
        Ok(Put::Created)
    }
    async fn get(&self, _: &str, key: &str) -> Result<Option<Bytes>> {
        Ok(self.objects.lock().unwrap().get(key).cloned())
    }
    async fn head(&self, _: &str) -> Result<Option<Head>> {
        unreachable!("a load looks at no object")
    }
    async fn list(&self, _: &str, _: Option<&str>) -> Result<Listing> {
        unreachable!("a load lists nothing")
    }
    async fn delete(&self, _: &[String]) -> Result<Vec<Undeleted>> {
        unreachable!("a load deletes nothing")
    }
    fn bucket(&self) -> &str {
        "lake"
    }
    fn region(&self) -> &str {
        "eu-central-1"
    }
}

/// Signals and progress: keeps what is said, and answers a survey as told.
#[derive(Default)]
struct Quiet {
    said: Mutex<Vec<Statement>>,
    survey: Mutex<Survey>,
    /// The progress topic does not take anything.
    mute: Mutex<bool>,
}

#[async_trait]
impl Signals for Quiet {
    async fn partitions(&self, _: &str) -> Result<i32> {
        Ok(1)
    }
    async fn survey(&self, _: &str, _: Partition) -> Result<Survey> {
        Ok(*self.survey.lock().unwrap())
    }
    fn read(&self, _: Wish) {}
    fn stop(&self, _: &str, _: Partition) {}
    fn pause(&self, _: &str) {}
    fn resume(&self, _: &str) {}
}

#[async_trait]
impl Progress for Quiet {
    async fn publish(&self, key: String, value: Vec<u8>) -> Result<()> {
        if *self.mute.lock().unwrap() {
            return Err(Failure::retry("no broker answers"));
        }
        let statement = Statement::decode(&value).unwrap().unwrap();
        assert_eq!(statement.key(), key);
        self.said.lock().unwrap().push(statement);
        Ok(())
    }
}

#[async_trait]
impl World for Quiet {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000
    }
    async fn sleep_ms(&self, _: u64) {}
    fn uuid(&self) -> String {
        "U".into()
    }
    fn random_below(&self, _: u64) -> u64 {
        0
    }
}

struct Bench {
    script: Script,
    store: Arc<FakeStore>,
    quiet: Arc<Quiet>,
    shared: Shared,
    target: Target,
    load: LoadPlan,
}

fn bench() -> Bench {
    let (script, store) = (Script::default(), Arc::new(FakeStore::default()));
    let quiet = Arc::new(Quiet::default());
    let plan = narrow();
    store
        .objects
        .lock()
        .unwrap()
        .insert(plan_key("raw", &plan.id()), plan.document().into());
    let queue: VecDeque<Pending> = [bare(Kind::Genesis, 0, 0, 0), data(0, 0, 4, &plan.id())]
        .into_iter()
        .enumerate()
        .map(|(index, claim): (usize, Claim)| Pending {
            signal: Offset(i64::try_from(index).unwrap()),
            arrived_ms: 0,
            claim: Arc::new(claim),
        })
        .collect();
    let caps = Caps {
        claims: 10,
        rows: 100,
        bytes: 1 << 20,
    };
    let load = run::plan(
        &[Offer {
            partition: Partition(0),
            at: None,
            queue: &queue,
        }],
        caps,
        Policy::default(),
    )
    .unwrap();
    let shared = Shared {
        target: "main".into(),
        prefix: "raw".into(),
        limits: support::log::limits(10),
        create_schemas: true,
        authorization: Box::new(|| Ok("IAM_ROLE 'secret'".into())),
        store: Arc::clone(&store) as Arc<dyn ObjectStore>,
        pool: Pool::new(Arc::new(script.clone()), 2, Readiness::new()),
        permits: Arc::new(Semaphore::new(1)),
        parallel_loads: 1,
        plans: plans::Plans::default(),
        signals: quiet.clone(),
        progress: quiet.clone(),
        world: quiet.clone(),
        watch: watch::Watch::default(),
    };
    let target = Target {
        table: TableName {
            schema: "public".into(),
            name: "orders".into(),
        },
        state_schema: "spolt".into(),
        create_schemas: true,
        mode: Mode::Upsert,
        varchar: BTreeMap::new(),
        order_by: None,
        metadata: Vec::new(),
        made: runtime::config::TableSettings::default(),
        refreshes: None,
    };
    Bench {
        script,
        store,
        quiet,
        shared,
        target,
        load,
    }
}

impl Bench {
    async fn run(&self) -> Outcome {
        load::run(&self.shared, &self.target, &self.load, None, "L")
            .await
            .outcome
    }
}

fn failed(code: Option<&str>, message: &str) -> std::result::Result<Answer, SqlFailure> {
    Err(SqlFailure {
        code: code.map(str::to_owned),
        message: message.into(),
        detail: None,
    })
}

#[tokio::test]
async fn a_load_commits_and_leaves_its_manifest() {
    let bench = bench();
    let Outcome::Committed { row } = bench.run().await else {
        panic!("not committed")
    };
    assert_eq!(row.serial, 1);
    assert_eq!(bench.script.sent("IAM_ROLE 'secret'"), 1);
    let objects = bench.store.objects.lock().unwrap();
    let manifest = objects
        .get("raw/_manifests/main/L-0.json")
        .expect("the manifest was put");
    assert!(std::str::from_utf8(manifest).unwrap().contains("\"mandatory\": true"));
}

#[tokio::test]
async fn what_may_pass_is_rolled_back_and_tried_again() {
    for (at, code, message) in [
        ("DELETE FROM \"public\"", Some("XX000"), "1023"),
        ("COPY", Some("40P01"), "deadlock detected"),
        ("COPY", None, "connection closed"),
        ("COMMIT", None, "connection closed"),
    ] {
        let bench = bench();
        bench.script.rule(at, failed(code, message));
        assert!(matches!(bench.run().await, Outcome::Retry(_)), "{at} {message}");
        assert_eq!(bench.script.sent("ROLLBACK"), 1, "{at} {message}");
        assert_eq!(
            bench.script.sent("COMMIT"),
            usize::from(at == "COMMIT"),
            "{at} {message}"
        );
    }
}

#[tokio::test]
async fn a_faster_loader_means_planning_anew() {
    let bench = bench();
    bench.script.rule("UPDATE \"spolt\"", Ok(Answer::default()));
    assert_eq!(bench.run().await, Outcome::Replan);
    assert_eq!(bench.script.sent("COMMIT"), 0);

    let bench = self::bench();
    let row = |text: &str| {
        text.split('|')
            .map(|field| (field != "-").then(|| field.to_owned()))
            .collect::<Vec<_>>()
    };
    let others = Answer {
        rows: vec![
            row("lineage|c1|shop.public.orders|0|0|4|-|-|-|2"),
            row("table|-|-|-|-|-|1|g|-|-"),
        ],
        affected: 2,
    };
    bench
        .script
        .rule("FROM \"spolt\".\"public__orders__state\"", Ok(others));
    assert_eq!(bench.run().await, Outcome::Replan);
    assert_eq!(bench.script.sent("COPY"), 0);
}

#[tokio::test]
async fn an_untrue_claim_halts_and_says_so() {
    let bench = bench();
    bench.script.rule(
        "pg_last_copy_count",
        Ok(Answer {
            rows: vec![vec![Some("3".into())]],
            affected: 1,
        }),
    );
    let Outcome::Halt {
        failure,
        separable: true,
        ..
    } = bench.run().await
    else {
        panic!("no halt")
    };
    assert!(failure.message.contains("`4` rows, but COPY loaded `3`"), "{failure}");
    assert_eq!((bench.script.sent("COMMIT"), bench.script.sent("ROLLBACK")), (0, 1));
}

#[tokio::test]
async fn a_refused_copy_is_decoded_to_file_line_and_column() {
    let bench = bench();
    bench.script.rule(
        "COPY",
        failed(
            Some("XX000"),
            "Load into table 'spolt_stage' failed.  Check 'sys_load_error_detail' system table for details.",
        ),
    );
    let key = &bench.load.groups[0].claims[0].object.as_ref().unwrap().key;
    let error = [
        "s3://lake/",
        key,
        "|17|note|1204|String length exceeds DDL length|varchar|64",
    ]
    .concat();
    let row = error.split('|').map(|field| Some(format!("{field}   "))).collect();
    bench.script.rule(
        "sys_load_error_detail",
        Ok(Answer {
            rows: vec![row],
            affected: 1,
        }),
    );
    let Outcome::Halt { failure, partition, .. } = bench.run().await else {
        panic!("no halt")
    };
    assert_eq!(partition, Some(Partition(0)));
    let text = failure.to_string();
    assert!(
        text.contains("line `17`")
            && text.contains("code 1204")
            && text.contains("column `note`")
            && text.contains(key),
        "{text}"
    );
}

#[tokio::test]
async fn a_missing_plan_document_halts_with_its_key() {
    let bench = bench();
    bench.store.objects.lock().unwrap().clear();
    let Outcome::Halt {
        failure,
        separable: true,
        ..
    } = bench.run().await
    else {
        panic!("no halt")
    };
    assert!(failure.to_string().contains("_plans/"), "{failure}");
    assert_eq!(bench.script.sent("BEGIN"), 0);
}

fn at(next: i64) -> Position {
    Position {
        incarnation: Incarnation(0),
        next: Offset(next),
    }
}

fn state(next: Option<i64>) -> State {
    let checkpoint = |next| Checkpoint {
        cluster: "c1".into(),
        topic: support::TOPIC.into(),
        position: at(next),
        signal_next: Offset(0),
    };
    State {
        lineages: next.map(|next| (Partition(0), checkpoint(next))).into_iter().collect(),
        ..State::default()
    }
}

impl Bench {
    fn table(&self) -> Table {
        Table {
            topic: support::TOPIC.into(),
            signals: "s".into(),
            target: self.target.clone(),
            policy: Policy::default(),
        }
    }

    /// Where the progress topic has the target, if it is registered.
    fn registered(&self) -> Option<Option<i64>> {
        let mut registry = common::progress::Registry::default();
        let said = self.quiet.said.lock().unwrap();
        said.iter().cloned().for_each(|statement| registry.take(statement));
        let (target, registration) = registry.targets(support::TOPIC).next()?;
        assert!(target == "main" && registration.pinned);
        Some(
            registration
                .at
                .get(&Partition(0))
                .map(|standing| standing.position.next.0),
        )
    }
}

#[tokio::test]
async fn a_table_registers_before_anything_is_read_and_again_when_its_checkpoints_went_back() {
    let bench = bench();
    let (table, registrar) = (bench.table(), Registrar::default());
    *bench.quiet.mute.lock().unwrap() = true;
    let failure = registrar
        .register(&bench.shared, &table, &state(None))
        .await
        .unwrap_err();
    assert_eq!((failure.class, bench.registered()), (Class::Retry, None));
    *bench.quiet.mute.lock().unwrap() = false;

    let said = || bench.quiet.said.lock().unwrap().len();
    assert_eq!(
        registrar.register(&bench.shared, &table, &state(None)).await,
        Ok(vec![])
    );
    assert_eq!((bench.registered(), said()), (Some(None), 1));
    let told = registrar.progress(&bench.shared, &table, &bench.load.runs[0], Some(1));
    bench.shared.progress.publish(told.key(), told.encode()).await.unwrap();
    assert_eq!(bench.registered(), Some(Some(4)));
    // The checkpoint is where it was said to be: nothing is to be said. The warehouse was restored: it is.
    registrar
        .register(&bench.shared, &table, &state(Some(4)))
        .await
        .unwrap();
    assert_eq!(said(), 2);
    registrar
        .register(&bench.shared, &table, &state(Some(2)))
        .await
        .unwrap();
    assert_eq!((bench.registered(), said()), (Some(Some(2)), 3));
}

#[tokio::test]
async fn a_table_that_would_begin_below_the_horizon_is_refused_with_the_way_on() {
    let bench = bench();
    *bench.quiet.survey.lock().unwrap() = Survey {
        origin: Some(at(0)),
        horizon: Some(at(7)),
        partitions: None,
    };
    let refused = Registrar::default()
        .register(&bench.shared, &bench.table(), &state(None))
        .await
        .unwrap();
    let [(Partition(0), failure)] = refused.as_slice() else {
        panic!("{refused:?}")
    };
    assert!(
        failure.class == Class::Halt && failure.message.contains("`7 of incarnation 0`"),
        "{failure}"
    );
    assert!(failure.hint.as_deref().unwrap().contains("unregister"), "{failure}");
    assert_eq!(bench.registered(), Some(None), "the registration comes first");
    // One that has a checkpoint needs no look.
    let with_checkpoint = Registrar::default();
    assert_eq!(
        with_checkpoint
            .register(&bench.shared, &bench.table(), &state(Some(7)))
            .await,
        Ok(vec![])
    );
}
