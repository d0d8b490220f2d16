//! The SQL of a load: shown whole, parsed by another parser, and never committing in the middle.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use common::chain::{Policy, Position};
use common::claim::{Aside, Claim, Kind};
use common::ids::{Incarnation, Offset, Partition};
use common::plan::Plan;
use common::table::ColumnType;
use redshift_spolt::load::aside;
use redshift_spolt::load::evolve::Present;
use redshift_spolt::load::mode::Mode;
use redshift_spolt::load::names::TableName;
use redshift_spolt::load::run::{self, Caps, LoadPlan, Offer, Pending};
use redshift_spolt::load::state::TableRow;
use redshift_spolt::load::statements::{AUTHORIZATION, Facts, Purpose, Script, Statement, Target, compile};
use sqlparser::dialect::{PostgreSqlDialect, RedshiftSqlDialect};
use sqlparser::parser::Parser;
use support::{bare, data, narrow, plans, wide};

const CAPS: Caps = Caps {
    claims: 100,
    rows: 1_000_000,
    bytes: 1 << 30,
};

fn load(queues: Vec<(Option<i64>, Vec<Claim>)>) -> LoadPlan {
    let queues: Vec<(Option<Position>, VecDeque<Pending>)> = queues
        .into_iter()
        .map(|(at, claims)| {
            let at = at.map(|next| Position {
                incarnation: Incarnation(0),
                next: Offset(next),
            });
            let pending = claims.into_iter().enumerate().map(|(index, claim)| Pending {
                signal: Offset(i64::try_from(index).unwrap()),
                arrived_ms: 0,
                claim: Arc::new(claim),
            });
            (at, pending.collect())
        })
        .collect();
    let offers: Vec<Offer<'_>> = queues
        .iter()
        .enumerate()
        .map(|(index, (at, queue))| Offer {
            partition: Partition(i32::try_from(index).unwrap()),
            at: *at,
            queue,
        })
        .collect();
    run::plan(&offers, CAPS, Policy::default()).unwrap()
}

fn target(mode: Mode) -> Target {
    Target {
        table: TableName {
            schema: "public".into(),
            name: "orders".into(),
        },
        state_schema: "spolt".into(),
        create_schemas: true,
        mode,
        varchar: BTreeMap::new(),
        order_by: None,
        metadata: Vec::new(),
        made: runtime::config::TableSettings::default(),
        refreshes: None,
    }
}

fn row(plan: Option<&Plan>) -> TableRow {
    TableRow {
        serial: 7,
        generation: "first".into(),
        plan: plan.map(Plan::id),
        partitions: Some(6),
        grown: Vec::new(),
        order: None,
        refreshing: false,
    }
}

fn compiled(mode: Mode, load: &LoadPlan, row: Option<&TableRow>, known: Option<&Plan>, catalog: &[Present]) -> Script {
    compiled_with(mode, load, row, known, catalog, &[])
}

/// A column of our own making as the catalog has it.
fn present_as(name: &str, ty: ColumnType) -> Present {
    match ty {
        ColumnType::Varchar { limit } => present(name, "character varying", limit),
        ColumnType::Varbyte { limit } => present(name, "binary varying", limit),
        ColumnType::Timestamp => present(name, "timestamp without time zone", None),
        ty => present(name, &ty.to_string().to_lowercase(), None),
    }
}

fn compiled_with(
    mode: Mode,
    load: &LoadPlan,
    row: Option<&TableRow>,
    known: Option<&Plan>,
    catalog: &[Present],
    aside: &[Present],
) -> Script {
    let plans = plans();
    let manifests: Vec<(String, String)> = (0..load.manifests())
        .map(|part| ("lake".to_owned(), format!("raw/_manifests/main/L-{part}.json")))
        .collect();
    let facts = Facts {
        load,
        load_id: "L",
        plans: &plans,
        known,
        table_row: row,
        catalog,
        deleted: &[],
        aside,
        attached: &redshift_spolt::load::attached::NOTHING,
        manifests: &manifests,
        region: "eu-central-1",
        now_ms: 1_700_000_000_000,
    };
    compile(&target(mode), &facts).unwrap()
}

fn shown(script: &Script) -> String {
    let show = |statement: &Statement| {
        format!(
            "-- {:?} expects {:?}\n{};\n",
            statement.purpose, statement.expect, statement.sql
        )
    };
    script
        .before
        .iter()
        .chain(&script.transaction)
        .map(show)
        .collect::<Vec<_>>()
        .join("\n")
}

fn present(name: &str, ty: &str, width: Option<u32>) -> Present {
    Present {
        name: name.into(),
        ty: ty.into(),
        width,
        precision: None,
        scale: None,
        nullable: name != "id",
    }
}

fn narrow_catalog() -> Vec<Present> {
    vec![
        present("id", "bigint", None),
        present("note", "character varying", Some(8)),
        present("at", "time without time zone", None),
        present("_kafka_incarnation", "integer", None),
        present("_kafka_partition", "integer", None),
        present("_kafka_offset", "bigint", None),
        present("_kafka_seq", "smallint", None),
    ]
}

/// The same of a table of another mode.
fn catalog_of(mode: Mode) -> Vec<Present> {
    let own = mode.meta_columns().into_iter().map(|(name, ty)| match ty {
        ColumnType::Varchar { limit } => present(name, "character varying", limit),
        ColumnType::Timestamp => present(name, "timestamp without time zone", None),
        other => present(name, &other.to_string().to_lowercase(), None),
    });
    let known = narrow_catalog();
    let new = own.filter(|column| known.iter().all(|known| known.name != column.name));
    let new: Vec<Present> = new.collect();
    [known, new].concat()
}

/// Two lineages, two plans, an overlap, a trim, a new column with a default, a VARCHAR to widen.
fn eventful() -> (LoadPlan, TableRow) {
    let (a, b) = (narrow().id(), wide().id());
    let load = load(vec![
        (
            Some(10),
            vec![data(0, 5, 20, &a), data(0, 20, 30, &b), data(0, 25, 40, &b)],
        ),
        (Some(3), vec![data(1, 3, 9, &a), bare(Kind::Skip, 1, 9, 12)]),
    ]);
    (load, row(Some(&narrow())))
}

/// A claim whose rows leave `note` out here and there.
fn left_out() -> LoadPlan {
    let marked = Claim {
        unchanged: vec!["note".into()],
        ..data(0, 10, 20, &narrow().id())
    };
    load(vec![(Some(10), vec![marked])])
}

/// A claim that overlaps the checkpoint and set records aside, one with nothing else, and one of another partition's first record.
fn set_aside() -> LoadPlan {
    let aside = |claim: Claim, lines| Claim {
        rejected: 2,
        aside: Some(Aside {
            headers: false,
            lines,
            bytes: 50,
            sha256: "ef".repeat(32),
        }),
        ..claim
    };
    let alone = Claim {
        dialect: data(0, 20, 30, &narrow().id()).dialect,
        object: data(0, 20, 30, &narrow().id()).object,
        ..bare(Kind::Skip, 0, 20, 30)
    };
    let of = |claim: Claim| Claim {
        plan: Some(narrow().id()),
        ..claim
    };
    load(vec![
        (
            Some(10),
            vec![aside(data(0, 5, 20, &narrow().id()), 3), aside(of(alone.clone()), 2)],
        ),
        (
            None,
            vec![
                bare(Kind::Genesis, 1, 0, 0),
                aside(
                    Claim {
                        partition: Partition(1),
                        start: Offset(0),
                        next: Offset(2),
                        end: Offset(1),
                        ..alone
                    },
                    2,
                ),
            ],
        ),
    ])
}

fn truncated() -> LoadPlan {
    load(vec![(Some(10), vec![bare(Kind::Truncate, 0, 10, 12)])])
}

/// Two partitions of a table that is ordered by the records' time, at its beginning or later.
fn ordered(row: Option<&TableRow>) -> Script {
    let (load, _) = eventful();
    let plans = plans();
    let manifests = vec![("lake".to_owned(), "raw/_manifests/main/L.json".to_owned()); load.groups.len()];
    let known = narrow();
    let mut catalog = narrow_catalog();
    catalog.push(present("_kafka_timestamp", "timestamp without time zone", None));
    let deleted: Vec<Present> = catalog
        .iter()
        .filter(|column| !matches!(column.name.as_str(), "note" | "at"))
        .cloned()
        .collect();
    let began = row.is_some();
    let facts = Facts {
        load: &load,
        load_id: "L",
        plans: &plans,
        known: began.then_some(&known),
        table_row: row,
        catalog: if began { &catalog } else { &[] },
        deleted: if began { &deleted } else { &[] },
        aside: &[],
        attached: &redshift_spolt::load::attached::NOTHING,
        manifests: &manifests,
        region: "eu-central-1",
        now_ms: 1_700_000_000_000,
    };
    let target = Target {
        order_by: Some("_kafka_timestamp".into()),
        ..target(Mode::Upsert)
    };
    compile(&target, &facts).unwrap()
}

fn scripts() -> Vec<(&'static str, Script)> {
    let first = load(vec![(
        None,
        vec![bare(Kind::Genesis, 0, 0, 0), data(0, 0, 4, &narrow().id())],
    )]);
    let (later, row) = eventful();
    let skips = load(vec![(Some(10), vec![bare(Kind::Skip, 0, 10, 15)])]);
    let narrow = narrow();
    let alone = TableRow {
        partitions: Some(1),
        ..row.clone()
    };
    vec![
        ("first_upsert", compiled(Mode::Upsert, &first, None, None, &[])),
        ("first_append", compiled(Mode::Append, &first, None, None, &[])),
        (
            "eventful_upsert",
            compiled(Mode::Upsert, &later, Some(&row), Some(&narrow), &narrow_catalog()),
        ),
        ("eventful_append", {
            let catalog = catalog_of(Mode::Append);
            compiled(Mode::Append, &later, Some(&row), Some(&narrow), &catalog)
        }),
        ("unchanged_upsert", {
            compiled(Mode::Upsert, &left_out(), Some(&row), Some(&narrow), &narrow_catalog())
        }),
        ("unchanged_append", {
            let catalog = catalog_of(Mode::Append);
            compiled(Mode::Append, &left_out(), Some(&row), Some(&narrow), &catalog)
        }),
        (
            "truncate",
            compiled(
                Mode::Upsert,
                &truncated(),
                Some(&alone),
                Some(&narrow),
                &narrow_catalog(),
            ),
        ),
        ("truncate_append", {
            let catalog = catalog_of(Mode::Append);
            compiled(Mode::Append, &truncated(), Some(&row), Some(&narrow), &catalog)
        }),
        ("first_soft_delete", compiled(Mode::SoftDelete, &first, None, None, &[])),
        ("eventful_soft_delete", {
            let catalog = catalog_of(Mode::SoftDelete);
            compiled(Mode::SoftDelete, &later, Some(&row), Some(&narrow), &catalog)
        }),
        ("unchanged_soft_delete", {
            let catalog = catalog_of(Mode::SoftDelete);
            compiled(Mode::SoftDelete, &left_out(), Some(&row), Some(&narrow), &catalog)
        }),
        (
            "upsert_becomes_soft_delete",
            compiled(Mode::SoftDelete, &later, Some(&row), Some(&narrow), &narrow_catalog()),
        ),
        ("truncate_soft_delete", {
            let catalog = catalog_of(Mode::SoftDelete);
            compiled(Mode::SoftDelete, &truncated(), Some(&alone), Some(&narrow), &catalog)
        }),
        ("first_history", compiled(Mode::History, &first, None, None, &[])),
        ("eventful_history", {
            let catalog = catalog_of(Mode::History);
            compiled(Mode::History, &later, Some(&row), Some(&narrow), &catalog)
        }),
        ("unchanged_history", {
            let catalog = catalog_of(Mode::History);
            compiled(Mode::History, &left_out(), Some(&row), Some(&narrow), &catalog)
        }),
        ("truncate_history", {
            let catalog = catalog_of(Mode::History);
            compiled(Mode::History, &truncated(), Some(&alone), Some(&narrow), &catalog)
        }),
        (
            "set_aside_first",
            compiled(Mode::Upsert, &set_aside(), Some(&row), Some(&narrow), &narrow_catalog()),
        ),
        ("set_aside_later", {
            let columns = aside::columns(&aside::key_columns(&narrow), false);
            let catalog: Vec<Present> = columns
                .iter()
                .map(|column| present_as(&column.name, column.ty))
                .collect();
            compiled_with(
                Mode::Upsert,
                &later,
                Some(&row),
                Some(&narrow),
                &narrow_catalog(),
                &catalog,
            )
        }),
        ("set_aside_soft_delete", {
            let columns = aside::columns(&aside::key_columns(&narrow), false);
            let catalog: Vec<Present> = columns
                .iter()
                .map(|column| present_as(&column.name, column.ty))
                .collect();
            compiled_with(
                Mode::SoftDelete,
                &later,
                Some(&row),
                Some(&narrow),
                &catalog_of(Mode::SoftDelete),
                &catalog,
            )
        }),
        ("wider_number", {
            let mut catalog = narrow_catalog();
            catalog[0].ty = "integer".into();
            compiled(Mode::Upsert, &later, Some(&row), Some(&narrow), &catalog)
        }),
        ("grown_upsert", {
            let grown = TableRow {
                grown: vec![1, 2],
                ..row.clone()
            };
            compiled(Mode::Upsert, &later, Some(&grown), Some(&narrow), &narrow_catalog())
        }),
        ("ordered_first", ordered(None)),
        (
            "ordered_later",
            ordered(Some(&TableRow {
                order: Some("_kafka_timestamp".into()),
                ..row.clone()
            })),
        ),
        (
            "no_rows",
            compiled(Mode::Upsert, &skips, Some(&row), Some(&narrow), &[]),
        ),
    ]
}

#[test]
fn the_statements_are_these() {
    for (name, script) in scripts() {
        insta::assert_snapshot!(name, shown(&script));
    }
}

#[test]
fn a_truncate_goes_alone_and_needs_one_partition() {
    let queue = vec![
        data(0, 10, 20, &narrow().id()),
        bare(Kind::Truncate, 0, 20, 21),
        data(0, 21, 25, &narrow().id()),
    ];
    let first = load(vec![(Some(10), queue.clone())]);
    assert_eq!((first.runs[0].to.next, first.emptying()), (Offset(20), None));
    let second = load(vec![(Some(20), queue)]);
    assert_eq!((second.runs[0].to.next, second.groups.len()), (Offset(21), 0));
    assert!(second.emptying().is_some());
    let facts = |partitions| TableRow {
        partitions,
        ..row(Some(&narrow()))
    };
    for (partitions, refused) in [(Some(1), false), (Some(6), true), (None, true)] {
        let row = facts(partitions);
        let (plans, present) = (plans(), narrow_catalog());
        let facts = Facts {
            load: &second,
            load_id: "L",
            plans: &plans,
            known: plans.get(&narrow().id()),
            table_row: Some(&row),
            catalog: &present,
            deleted: &[],
            aside: &[],
            attached: &redshift_spolt::load::attached::NOTHING,
            manifests: &[],
            region: "eu-central-1",
            now_ms: 0,
        };
        let failure = compile(&target(Mode::Upsert), &facts).err();
        assert_eq!(failure.is_some(), refused, "{partitions:?}: {failure:?}");
        // A changelog keeps what it has, and says that the table was truncated.
        let catalog = catalog_of(Mode::Append);
        let facts = Facts {
            catalog: &catalog,
            ..facts
        };
        let script = compile(&target(Mode::Append), &facts).unwrap();
        let purposes: Vec<Purpose> = script.transaction.iter().map(|s| s.purpose).collect();
        assert!(purposes.contains(&Purpose::RecordTruncate) && !purposes.contains(&Purpose::EmptyTarget));
    }
}

#[test]
fn the_order_is_that_of_rule_17() {
    let rank = |purpose: Purpose| match purpose {
        Purpose::Begin => 0,
        Purpose::Lock => 1,
        Purpose::ReadState => 2,
        Purpose::FirstRows => 3,
        // The catalog of each table right before what is done to it.
        Purpose::ReadCatalog
        | Purpose::RecordChange
        | Purpose::CreateTarget
        | Purpose::AddColumn
        | Purpose::FillDefault
        | Purpose::Convert => 5,
        Purpose::CreateStage => 6,
        Purpose::Copy | Purpose::CountRows | Purpose::Restage => 7,
        Purpose::Trim | Purpose::FindConflict | Purpose::FindUnplaced => 8,
        Purpose::SetApart => 8,
        Purpose::FillUnchanged | Purpose::CountUnchanged | Purpose::EmptyTarget | Purpose::PassOver => 9,
        Purpose::FindClosed | Purpose::DropLate => 8,
        Purpose::DeleteTarget | Purpose::CloseRows | Purpose::Forget => 10,
        Purpose::InsertTarget | Purpose::MarkDeleted | Purpose::Remember | Purpose::RecordTruncate => 11,
        // What is set aside comes first, with a stage of its own.
        Purpose::DropStage | Purpose::TrimAside | Purpose::SetAside | Purpose::Supersede | Purpose::MarkReplayed => 12,
        Purpose::Checkpoint | Purpose::TableRow => 13,
        Purpose::Ledger => 14,
        Purpose::Commit => 15,
        Purpose::CreateSchema | Purpose::Widen => panic!("{purpose:?} stands inside the transaction"),
    };
    for (name, script) in scripts() {
        let aside =
            |statement: &Statement| statement.sql.contains("set_aside") || statement.sql.contains("spolt_aside");
        let counts_aside = |at: usize| at > 0 && aside(&script.transaction[at - 1]) && !aside(&script.transaction[at]);
        let own = script.transaction.iter().enumerate();
        let own = own.filter(|(at, statement)| {
            !(aside(statement) || statement.purpose == Purpose::CountRows && counts_aside(*at))
        });
        let ranks: Vec<i32> = own.map(|(_, statement)| rank(statement.purpose)).collect();
        assert!(ranks.is_sorted(), "{name}: {ranks:?}");
        assert!(
            script.before.iter().all(|s| matches!(
                s.purpose,
                Purpose::CreateSchema | Purpose::Widen | Purpose::RecordChange
            )),
            "{name}"
        );
    }
}

#[test]
fn nothing_inside_the_block_commits_and_nothing_is_unknown_to_postgresql() {
    let forbidden = [
        "TRUNCATE",
        "VACUUM",
        "ALTER COLUMN",
        "APPEND",
        "QUALIFY",
        "MERGE",
        "RETURNING",
        "ON CONFLICT",
        "IGNORE NULLS",
        "SAVEPOINT",
        "CREATE DATABASE",
        "\\",
        "PRIMARY KEY",
    ];
    for (name, script) in scripts() {
        for statement in &script.transaction {
            // A literal may hold any word: the ledger names kinds of claims.
            let text: String = statement.sql.split('\'').step_by(2).collect::<String>().to_uppercase();
            for word in forbidden {
                assert!(!text.contains(word), "{name}: {:?} holds {word}", statement.purpose);
            }
            assert!(
                !statement.sql.trim_end().ends_with(';') && !statement.sql.contains(";\n"),
                "{name}: one statement per message"
            );
        }
        let ends = script
            .transaction
            .iter()
            .filter(|s| matches!(s.purpose, Purpose::Begin | Purpose::Commit))
            .count();
        assert_eq!(ends, 2);
    }
}

#[test]
fn another_parser_understands_every_statement() {
    for (name, script) in scripts() {
        for statement in script.before.iter().chain(&script.transaction) {
            let sql = statement.sql.replace(AUTHORIZATION, "IAM_ROLE 'arn:aws:iam::1:role/r'");
            let parsed = Parser::parse_sql(&RedshiftSqlDialect {}, &sql);
            assert!(parsed.is_ok(), "{name}: {:?}: {sql}\n{parsed:?}", statement.purpose);
            assert_eq!(parsed.unwrap().len(), 1);
            if statement.purpose != Purpose::Copy {
                let parsed = Parser::parse_sql(&PostgreSqlDialect {}, &sql);
                assert!(parsed.is_ok(), "{name}: {:?}: {sql}\n{parsed:?}", statement.purpose);
            }
        }
    }
}

#[test]
fn a_partition_that_was_added_later_halts_a_keyed_table_and_no_other() {
    let (load, row) = eventful();
    let added = TableRow {
        partitions: Some(1),
        ..row.clone()
    };
    let plans = plans();
    let manifests = vec![("lake".to_owned(), "m".to_owned()); 2];
    let known = narrow();
    let catalog = narrow_catalog();
    let mut facts = Facts {
        load: &load,
        load_id: "L",
        plans: &plans,
        known: Some(&known),
        table_row: Some(&added),
        catalog: &catalog,
        deleted: &[],
        aside: &[],
        attached: &redshift_spolt::load::attached::NOTHING,
        manifests: &manifests,
        region: "eu-central-1",
        now_ms: 0,
    };
    let refused = compile(&target(Mode::Upsert), &facts).unwrap_err();
    assert_eq!(refused.at.partition, Some(Partition(1)));
    assert!(
        refused.to_string().contains("was added after the table began with `1`"),
        "{refused}"
    );
    facts.table_row = Some(&row);
    assert!(compile(&target(Mode::Upsert), &facts).is_ok());
    // A new table reads the added partition first: only the signal log knows what was there before.
    let first = LoadPlan {
        born_with: Some(1),
        ..load.clone()
    };
    facts.load = &first;
    facts.table_row = None;
    let refused = compile(&target(Mode::Upsert), &facts).unwrap_err();
    assert_eq!(refused.at.partition, Some(Partition(1)), "{refused}");
}

#[test]
fn a_vanished_target_and_a_changed_type_stop_the_table() {
    let (load, row) = eventful();
    let plans = plans();
    let manifests = vec![("lake".to_owned(), "m".to_owned()); 2];
    let known = narrow();
    let mut facts = Facts {
        load: &load,
        load_id: "L",
        plans: &plans,
        known: Some(&known),
        table_row: Some(&row),
        catalog: &[],
        deleted: &[],
        aside: &[],
        attached: &redshift_spolt::load::attached::NOTHING,
        manifests: &manifests,
        region: "eu-central-1",
        now_ms: 0,
    };
    let gone = compile(&target(Mode::Upsert), &facts).unwrap_err().to_string();
    assert!(
        gone.contains("target table is gone") && gone.contains("public.orders") && gone.contains("hint: "),
        "{gone}"
    );
    let mut catalog = narrow_catalog();
    catalog[0].ty = "boolean".into();
    facts.catalog = &catalog;
    let differs = compile(&target(Mode::Upsert), &facts).unwrap_err().to_string();
    assert!(
        differs.contains("`boolean`, the source now as `BIGINT`") && differs.contains("column `id`"),
        "{differs}"
    );
}
