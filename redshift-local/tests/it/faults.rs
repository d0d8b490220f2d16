//! Faults asked for through the admin port.

use serde_json::json;

use super::harness::{Stand, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn writes_and_copies_fail_on_demand() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (a int)").await;
    db.ok("CREATE TABLE u (a int)").await;
    stand.put("k", "1\n").await;
    stand.fault(json!({"kind": "serialization_1023", "table": "t"})).await;
    stand.fault(json!({"kind": "deadlock", "table": "t"})).await;
    stand
        .fault(json!({"kind": "fail_copy", "table": "t", "count": 2}))
        .await;
    db.ok("INSERT INTO u VALUES (1)").await;
    db.ok("BEGIN").await;
    let refused = db.err("INSERT INTO t VALUES (1)").await;
    assert_eq!((refused.code.as_str(), refused.message.as_str()), ("XX000", "1023"));
    assert_eq!(db.err("SELECT 1").await.code, "25P02");
    db.ok("ROLLBACK").await;
    assert_eq!(db.err(&stand.copy("t", "k", "")).await.code, "40P01");
    for _ in 0..2 {
        assert!(
            db.err(&stand.copy("t", "k", ""))
                .await
                .message
                .starts_with("S3ServiceException")
        );
    }
    db.ok(&stand.copy("t", "k", "")).await;
    assert_eq!(db.one("SELECT count(*) FROM t").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_is_cut_around_commit() {
    let stand = Stand::start().await;
    let watch = stand.connect().await;
    watch.ok("CREATE TABLE t (a int)").await;
    for (kind, rows) in [("cut_before_commit", "0"), ("cut_after_commit", "1")] {
        stand.fault(json!({"kind": kind, "table": "t"})).await;
        let db = stand.connect().await;
        db.ok("BEGIN").await;
        db.ok("SELECT 1").await;
        db.ok("COMMIT").await;
        db.ok("BEGIN").await;
        db.ok("INSERT INTO t VALUES (1)").await;
        let refused = db.err("COMMIT").await;
        assert_eq!(refused.code, "", "{refused:?}");
        assert_eq!(watch.one("SELECT count(*) FROM t").await, rows, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_is_cut_in_copy() {
    let stand = Stand::start().await;
    let watch = stand.connect().await;
    watch.ok("CREATE TABLE t (a int)").await;
    stand.put("k", "1\n".repeat(200_000)).await;
    stand.fault(json!({"kind": "cut_in_copy"})).await;
    let db = stand.connect().await;
    db.ok("BEGIN").await;
    assert_eq!(db.err(&stand.copy("t", "k", "")).await.code, "");
    watch.ok("BEGIN").await;
    watch.ok("LOCK t").await;
    assert_eq!(watch.one("SELECT count(*) FROM t").await, "0");
    watch.ok("COMMIT").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_statement_ends_with_its_client_or_its_time() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (a int)").await;
    stand
        .fault(json!({"kind": "hang", "table": "INSERT INTO t", "millis": 200}))
        .await;
    let start = std::time::Instant::now();
    db.ok("INSERT INTO t VALUES (1)").await;
    assert!(start.elapsed().as_millis() >= 200);
    stand.fault(json!({"kind": "hang"})).await;
    let hanging = stand.connect().await;
    let lifeline = hanging.lifeline();
    let stuck = tokio::spawn(async move { hanging.run("INSERT INTO t VALUES (2)").await });
    eventually("the fault is taken", || async {
        stand.admin("/").await["faults"] == json!([])
    })
    .await;
    lifeline.abort();
    assert!(stuck.await.unwrap().is_err());
    eventually("the session is gone", || async {
        stand.admin("/").await["sessions"].as_array().unwrap().len() == 1
    })
    .await;
    assert_eq!(db.one("SELECT count(*) FROM t").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_port_lists_and_clears() {
    let stand = Stand::start().await;
    let _db = super::harness::Db::open(&format!("{}?application_name=me", stand.url())).await;
    stand.fault(json!({"kind": "slow_copy", "millis": 5, "count": 3})).await;
    let listed = stand.admin("/").await;
    assert_eq!(
        listed["faults"],
        json!([{"kind": "slow_copy", "count": 3, "millis": 5}])
    );
    assert_eq!(listed["sessions"][0]["application_name"], "me");
    assert_eq!(stand.admin("/healthz").await["status"], "ok");
    let answer = reqwest::Client::new()
        .delete(format!("http://{}/faults", stand.addresses.admin))
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success());
    assert_eq!(stand.admin("/").await["faults"], json!([]));
    for wrong in [
        json!({"kind": "nonsense"}),
        json!({"kind": "deadlock", "count": 0}),
        json!({"kind": "deadlock", "tabel": "x"}),
    ] {
        let answer = reqwest::Client::new()
            .post(format!("http://{}/faults", stand.addresses.admin))
            .json(&wrong)
            .send()
            .await
            .unwrap();
        assert!(answer.status().is_client_error(), "{wrong}");
    }
}
