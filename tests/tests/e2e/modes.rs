//! What a table keeps: everything that was deleted, every change, every truncate. Loaders are killed on the way; in the end the table is
//! what the topic says, exactly once.

use std::time::Duration;

use spolt_tests::oracle::{self, Cells, Change};
use spolt_tests::rig::Rig;
use spolt_tests::source::Source;
use spolt_tests::wait::until;
use spolt_tests::warehouse::Row;

const COLUMNS: [&str; 4] = ["id", "name", "amount", "note"];

fn cells(cells: &Cells) -> Row {
    COLUMNS
        .iter()
        .map(|column| cells.get(*column).cloned().flatten())
        .collect()
}

fn place(change: &Change) -> Row {
    vec![Some(change.partition.to_string()), Some(change.offset.to_string())]
}

fn flag(yes: bool) -> Row {
    vec![Some(if yes { "t" } else { "f" }.to_owned())]
}

/// A time of the table as milliseconds since 1970.
fn millis(column: &str) -> String {
    format!("CAST(EXTRACT(EPOCH FROM \"{column}\") * 1000 AS BIGINT)")
}

/// The columns of the data, and of the row's last writer.
fn select(own: &str, rig: &Rig, table: &str, order: &str) -> String {
    let columns: Vec<String> = COLUMNS.iter().map(|column| format!("\"{column}\"")).collect();
    format!(
        "SELECT {}, \"_kafka_partition\", \"_kafka_offset\", {own} FROM \"{}\".\"{table}\" ORDER BY {order}",
        columns.join(", "),
        rig.name
    )
}

/// Two topics under changes, one of which is truncated now and then, while loaders are killed; a loader that goes on is left running.
async fn under_changes(test: &str, mode: &str) -> (Rig, spolt_tests::daemon::Daemon, spolt_tests::daemon::Daemon) {
    let mut rig = Rig::new(test).await;
    rig.extra_config = format!("[topic_defaults]\nmode = \"{mode}\"\n");
    rig.cut_rows = 150;
    let mut wide = rig.source("wide", 3, 17).await;
    let mut alone = rig.source("alone", 1, 18).await;
    let writer = rig.start_s3_spolt();
    for life in 0..4 {
        let mut loader = rig.start_redshift_spolt();
        for _ in 0..3 {
            rig.produce(&rig.topic("wide"), &wide.changes(400));
            rig.produce(&rig.topic("alone"), &alone.changes(200));
            truncated(&rig, &mut alone);
            rig.produce(&rig.topic("alone"), &alone.changes(100));
        }
        tokio::time::sleep(Duration::from_millis(700 + 310 * life)).await;
        assert!(loader.is_running(), "{}", loader.log_tail());
        loader.kill();
    }
    let loader = rig.start_redshift_spolt();
    (rig, writer, loader)
}

fn truncated(rig: &Rig, source: &mut Source) {
    let value = source.truncate();
    rig.produce_raw(&rig.topic("alone"), std::iter::once((0, None, Some(&value[..]))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soft_delete_table_keeps_what_the_source_deleted() {
    let (mut rig, _writer, loader) = under_changes("soft", "soft_delete").await;
    for table in ["wide", "alone"] {
        let rows = oracle::kept(&rig.changes(&rig.topic(table)));
        let line = |row: &oracle::Kept| [cells(&row.cells), place(&row.writer), flag(row.deleted)].concat();
        let expected: Vec<Row> = rows.values().map(line).collect();
        assert!(rows.values().any(|row| row.deleted) && rows.values().any(|row| !row.deleted));
        let sql = select("\"_kafka_deleted\"", &rig, table, "\"id\"");
        rig.equals(&rig.parts.redshift, table, &sql, expected).await;
        rig.chains_hold(table).await;
    }
    assert!(!loader.log().contains("ERROR"), "{}", loader.log_tail());

    let (whole, said) = rig.command("redshift-spolt", &["check"]);
    assert!(
        whole && said.contains("is in the mode of its topic, `soft_delete`"),
        "{said}"
    );
    rig.extra_config = "[topic_defaults]\nmode = \"history\"\n".to_owned();
    let (whole, said) = rig.command("redshift-spolt", &["check"]);
    assert!(
        !whole && said.contains("the table began in mode `soft_delete`, and `mode` now says `history`"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_has_every_change_and_the_time_that_it_held() {
    let (rig, _writer, loader) = under_changes("past", "history").await;
    for table in ["wide", "alone"] {
        let lives = oracle::lived(&rig.changes(&rig.topic(table)));
        let line = |(change, end): &(Change, Option<Change>)| {
            let time = |change: &Change| Some(change.time_ms.to_string());
            let own = vec![Some(change.op.clone()), time(change), end.as_ref().and_then(time)];
            [cells(&change.cells), place(change), own, flag(end.is_none())].concat()
        };
        let expected: Vec<Row> = lives.iter().map(line).collect();
        assert!(lives.iter().any(|(_, end)| end.is_none()));
        let own = [
            "\"_kafka_op\"".to_owned(),
            millis("_kafka_valid_from"),
            millis("_kafka_valid_to"),
            "\"_kafka_is_current\"".to_owned(),
        ];
        let order = "\"_kafka_partition\", \"_kafka_offset\"";
        let sql = select(&own.join(", "), &rig, table, order);
        rig.equals(&rig.parts.redshift, table, &sql, expected).await;
        rig.chains_hold(table).await;
    }
    assert!(!loader.log().contains("ERROR"), "{}", loader.log_tail());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncate_empties_an_upsert_table_in_its_place() {
    let (rig, _writer, loader) = under_changes("emptied", "upsert").await;
    for table in ["wide", "alone"] {
        rig.upserted(&rig.parts.redshift, table).await;
    }
    assert!(!loader.log().contains("ERROR"), "{}", loader.log_tail());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changelog_says_when_the_table_was_truncated() {
    let (rig, _writer, loader) = under_changes("told", "append").await;
    for table in ["wide", "alone"] {
        let changes = rig.changes(&rig.topic(table));
        let truncates = changes.iter().filter(|change| change.op == "t").count();
        assert_eq!(truncates, if table == "alone" { 12 } else { 0 });
        let line = |change: &Change| {
            let own = vec![Some(change.op.clone()), Some(change.time_ms.to_string())];
            [cells(&change.cells), place(change), own].concat()
        };
        let expected: Vec<Row> = changes.iter().map(line).collect();
        let own = format!("\"_kafka_op\", {}", millis("_kafka_timestamp"));
        let sql = select(&own, &rig, table, "\"_kafka_partition\", \"_kafka_offset\"");
        rig.equals(&rig.parts.redshift, table, &sql, expected).await;
    }
    assert!(!loader.log().contains("ERROR"), "{}", loader.log_tail());
}

/// Nothing of an upsert table is wrong when it begins to keep what is deleted; a changelog of it would lack what came before.
#[tokio::test(flavor = "multi_thread")]
async fn an_upsert_table_may_begin_to_keep_what_is_deleted_and_turns_into_nothing_else() {
    let mut rig = Rig::new("turned").await;
    let mut orders = rig.source("orders", 1, 19).await;
    let topic = rig.topic("orders");
    rig.produce(&topic, &orders.changes(500));
    let _writer = rig.start_s3_spolt();
    let mut loader = rig.start_redshift_spolt();
    rig.upserted(&rig.parts.redshift, "orders").await;
    assert!(loader.terminate().success(), "{}", loader.log_tail());
    let before = rig.changes(&topic).len();

    rig.extra_config = "[topic_defaults]\nmode = \"append\"\n".to_owned();
    rig.produce(&topic, &orders.changes(500));
    let mut refused = rig.start_redshift_spolt();
    until("the loader says that the mode has changed", async || {
        let log = refused.log();
        let told = log.contains("the table began in mode `upsert`, and `mode` now says `append`");
        told.then_some(()).ok_or_else(|| refused.log_tail())
    })
    .await;
    refused.kill();

    rig.extra_config = "[topic_defaults]\nmode = \"soft_delete\"\n".to_owned();
    let (planned, said) = rig.command("redshift-spolt", &["plan", &topic]);
    assert!(planned && said.contains("in mode soft_delete"), "{said}");
    let _loader = rig.start_redshift_spolt();
    let changes = rig.changes(&topic);
    // What was deleted while it was an upsert table is gone for good.
    let gone: Vec<i64> = {
        let survivors = oracle::survivors(&changes[..before]);
        let all = oracle::kept(&changes[..before]);
        all.into_keys().filter(|id| !survivors.contains_key(id)).collect()
    };
    let later: Vec<i64> = changes[before..].iter().map(|change| change.id).collect();
    let mut rows = oracle::kept(&changes);
    rows.retain(|id, _| !gone.contains(id) || later.contains(id));
    // A key that was gone and is deleted again comes without values.
    let again = |id: &i64| {
        changes[before..]
            .iter()
            .all(|change| change.id != *id || change.op == "d")
    };
    for (id, row) in rows.iter_mut().filter(|(id, _)| gone.contains(id) && again(id)) {
        row.cells = Cells::from([("id".to_owned(), Some(id.to_string()))]);
    }
    let line = |row: &oracle::Kept| [cells(&row.cells), place(&row.writer), flag(row.deleted)].concat();
    let expected: Vec<Row> = rows.values().map(line).collect();
    assert!(rows.values().any(|row| row.deleted));
    let sql = select("\"_kafka_deleted\"", &rig, "orders", "\"id\"");
    rig.equals(&rig.parts.redshift, "orders", &sql, expected).await;
}
