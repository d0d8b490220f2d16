//! Snapshots, locks and what commits.

use super::harness::{Stand, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_is_taken_by_the_first_data_statement_not_by_lock() {
    let stand = Stand::start().await;
    let (one, two) = (stand.connect().await, stand.connect().await);
    one.ok("CREATE TABLE t (a int)").await;
    one.ok("INSERT INTO t VALUES (1)").await;
    one.ok("BEGIN").await;
    one.ok("LOCK t").await;
    one.ok("UPDATE t SET a = 2").await;
    let waiting = async {
        two.ok("BEGIN").await;
        two.ok("LOCK t").await;
        two.one("SELECT a FROM t").await
    };
    let watcher = stand.behind().await;
    let release = async {
        eventually("the second session waits", || async {
            watcher.one("SELECT count(*) FROM pg_locks WHERE NOT granted").await != "0"
        })
        .await;
        one.ok("COMMIT").await;
    };
    let (seen, ()) = tokio::join!(waiting, release);
    assert_eq!(seen, "2");
    two.ok("COMMIT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_snapshot_gives_1023() {
    let stand = Stand::start().await;
    let (one, two) = (stand.connect().await, stand.connect().await);
    one.ok("CREATE TABLE t (a int)").await;
    one.ok("INSERT INTO t VALUES (1)").await;
    one.ok("BEGIN").await;
    assert_eq!(one.one("SELECT a FROM t").await, "1");
    two.ok("UPDATE t SET a = 2").await;
    assert_eq!(one.one("SELECT a FROM t").await, "1");
    let refused = one.err("UPDATE t SET a = 3").await;
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("XX000", "1023"));
    assert!(
        refused
            .detail
            .unwrap()
            .starts_with("Serializable isolation violation on table - ")
    );
    one.ok("ROLLBACK").await;
    assert_eq!(one.one("SELECT a FROM t").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_one_table_wait_for_each_other() {
    let stand = Stand::start().await;
    let (one, two) = (stand.connect().await, stand.connect().await);
    one.ok("CREATE TABLE t (a int)").await;
    one.ok("BEGIN").await;
    one.ok("INSERT INTO t VALUES (1)").await;
    assert_eq!(two.one("SELECT count(*) FROM t").await, "0");
    two.ok("SET statement_timeout TO 300").await;
    assert_eq!(two.err("INSERT INTO t VALUES (2)").await.code, "57014");
    one.ok("COMMIT").await;
    two.ok("INSERT INTO t VALUES (2)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deadlock_keeps_its_code() {
    let stand = Stand::start().await;
    let (one, two) = (stand.connect().await, stand.connect().await);
    one.ok("CREATE TABLE a (x int)").await;
    one.ok("CREATE TABLE b (x int)").await;
    for (db, table) in [(&one, "a"), (&two, "b")] {
        db.ok("BEGIN").await;
        db.ok(&format!("INSERT INTO {table} VALUES (1)")).await;
    }
    // The one that PostgreSQL picks fails; the other gets its lock when that one rolls back.
    let last = |db: &'static str| db;
    let first = async {
        let result = one.run(&format!("INSERT INTO {} VALUES (2)", last("b"))).await;
        one.ok("ROLLBACK").await;
        result
    };
    let second = async {
        let result = two.run("INSERT INTO a VALUES (2)").await;
        two.ok("ROLLBACK").await;
        result
    };
    let (first, second) = tokio::join!(first, second);
    let codes: Vec<_> = [first, second]
        .into_iter()
        .filter_map(Result::err)
        .map(|refused| refused.code)
        .collect();
    assert_eq!(codes, ["40P01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn truncate_commits() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (a int)").await;
    db.ok("CREATE TABLE u (a int)").await;
    db.ok("INSERT INTO u VALUES (1)").await;
    db.ok("BEGIN").await;
    db.ok("INSERT INTO t VALUES (1)").await;
    db.ok("TRUNCATE u").await;
    db.ok("ROLLBACK").await;
    assert_eq!(
        db.rows("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u)")
            .await,
        [["1", "0"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_rolls_back() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (a int)").await;
    db.ok("BEGIN").await;
    db.ok("ALTER TABLE t ADD COLUMN b int").await;
    db.ok("CREATE TABLE u (a int ENCODE raw)").await;
    db.ok("ROLLBACK").await;
    assert_eq!(
        db.rows("SELECT table_name, column_name FROM svv_columns WHERE table_schema = 'public'")
            .await,
        [["t", "a"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn several_statements_in_one_message_are_one_transaction() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (a int)").await;
    assert_eq!(db.err("INSERT INTO t VALUES (1); SELECT nonsense").await.code, "42703");
    assert_eq!(db.one("SELECT count(*) FROM t").await, "0");
    db.ok("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)").await;
    db.ok("BEGIN; INSERT INTO t VALUES (3); COMMIT; INSERT INTO t VALUES (4)")
        .await;
    db.ok("BEGIN; INSERT INTO t VALUES (5); ROLLBACK").await;
    assert_eq!(db.one("SELECT count(*) FROM t").await, "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_leaves_nothing_behind() {
    let stand = Stand::start().await;
    let (one, two) = (stand.connect().await, stand.connect().await);
    two.ok("CREATE TABLE t (a int)").await;
    one.ok("BEGIN").await;
    one.ok("INSERT INTO t VALUES (1)").await;
    drop(one);
    two.ok("BEGIN").await;
    two.ok("LOCK t").await;
    assert_eq!(two.one("SELECT count(*) FROM t").await, "0");
    two.ok("COMMIT").await;
    // Also while it waits for a lock, which PostgreSQL alone would not notice before the lock is granted.
    two.ok("BEGIN").await;
    two.ok("LOCK t").await;
    let three = stand.connect().await;
    let pid = three.one("SELECT pg_backend_pid()").await;
    let watcher = stand.behind().await;
    let lifeline = three.lifeline();
    let waiting = tokio::spawn(async move { three.run("INSERT INTO t VALUES (3)").await });
    eventually("the third session waits", || async {
        watcher.one("SELECT count(*) FROM pg_locks WHERE NOT granted").await != "0"
    })
    .await;
    lifeline.abort();
    assert!(waiting.await.unwrap().is_err());
    let gone = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    eventually("the third session is gone", || async {
        watcher.one(&gone).await == "0"
    })
    .await;
}
