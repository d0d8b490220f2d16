//! System views and functions that clients read.

use super::harness::Stand;

#[tokio::test(flavor = "multi_thread")]
async fn column_types_are_redshifts() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE SCHEMA s").await;
    db.ok("CREATE TABLE s.t (a smallint NOT NULL, b int, c bigint, d decimal(12,3), e real, f float, g bool, h char(4), i varchar(7), j text, k varchar(max), l date, \
           m time, n timetz, o timestamp, p timestamptz, q super, r varbyte(9), z decimal)")
        .await;
    let expected = [
        ["a", "1", "smallint", "∅", "16", "0", "NO"],
        ["b", "2", "integer", "∅", "32", "0", "YES"],
        ["c", "3", "bigint", "∅", "64", "0", "YES"],
        ["d", "4", "numeric", "∅", "12", "3", "YES"],
        ["e", "5", "real", "∅", "24", "∅", "YES"],
        ["f", "6", "double precision", "∅", "53", "∅", "YES"],
        ["g", "7", "boolean", "∅", "∅", "∅", "YES"],
        ["h", "8", "character", "4", "∅", "∅", "YES"],
        ["i", "9", "character varying", "7", "∅", "∅", "YES"],
        ["j", "10", "character varying", "256", "∅", "∅", "YES"],
        ["k", "11", "character varying", "65535", "∅", "∅", "YES"],
        ["l", "12", "date", "∅", "∅", "∅", "YES"],
        ["m", "13", "time without time zone", "∅", "∅", "∅", "YES"],
        ["n", "14", "time with time zone", "∅", "∅", "∅", "YES"],
        ["o", "15", "timestamp without time zone", "∅", "∅", "∅", "YES"],
        ["p", "16", "timestamp with time zone", "∅", "∅", "∅", "YES"],
        ["q", "17", "super", "∅", "∅", "∅", "YES"],
        ["r", "18", "varbyte", "9", "∅", "∅", "YES"],
        ["z", "19", "numeric", "∅", "18", "0", "YES"],
    ];
    for view in ["svv_columns", "pg_catalog.svv_columns", "information_schema.columns"] {
        let sql = format!(
            "SELECT column_name, ordinal_position, data_type, character_maximum_length, numeric_precision, numeric_scale, is_nullable FROM {view} \
             WHERE table_schema = 's' AND table_name = 't' ORDER BY ordinal_position"
        );
        assert_eq!(db.rows(&sql).await, expected, "{view}");
    }
    db.ok("SET search_path TO s").await;
    let defined = db
        .rows("SELECT \"column\", type, \"notnull\" FROM pg_table_def WHERE schemaname = 's' AND tablename = 't'")
        .await;
    assert_eq!(defined[0], ["a", "smallint", "t"]);
    assert_eq!(defined[8], ["i", "character varying(7)", "f"]);
    assert_eq!(defined[3][1], "numeric(12,3)");
    assert_eq!(defined[16][1], "super");
}

#[tokio::test(flavor = "multi_thread")]
async fn stages_and_selected_tables_show_their_types() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TEMP TABLE stage (a varchar(5) DISTKEY SORTKEY, b int ENCODE az64)")
        .await;
    assert_eq!(
        db.rows("SELECT data_type FROM svv_columns WHERE table_name = 'stage' ORDER BY ordinal_position")
            .await,
        [["character varying"], ["integer"]]
    );
    assert_eq!(
        db.rows("SELECT encoding, distkey, sortkey FROM pg_table_def WHERE tablename = 'stage'")
            .await,
        [["none", "t", "1"], ["az64", "f", "0"]]
    );
    db.ok("CREATE TABLE made AS SELECT 'x' AS a, b, a AS c, a::varchar AS d FROM stage")
        .await;
    assert_eq!(
        db.rows("SELECT column_name, data_type, character_maximum_length FROM svv_columns WHERE table_name = 'made' ORDER BY ordinal_position").await,
        [["a", "character varying", "65535"], ["b", "integer", "∅"], ["c", "character varying", "5"], ["d", "character varying", "256"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn small_views_answer() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (a int)").await;
    db.ok("INSERT INTO t VALUES (1), (2)").await;
    assert_eq!(db.one("SELECT count(*) FROM stv_slices").await, "2");
    assert_eq!(
        db.rows("SELECT \"table\", tbl_rows FROM svv_table_info").await,
        [["t", "2"]]
    );
    assert_eq!(
        db.one("SELECT trim(isolation_level) FROM stv_db_isolation_level").await,
        "Snapshot Isolation"
    );
    assert_eq!(db.one("SHOW enable_case_sensitive_identifier").await, "off");
    assert!(db.one("SELECT version()").await.contains("Redshift 1.0"));
    assert_eq!(
        db.one("SELECT count(*) FROM svv_tables WHERE table_name = 't'").await,
        "1"
    );
    let pid = db.one("SELECT pg_backend_pid()").await;
    assert_eq!(
        db.one(&format!("SELECT count(*) FROM stv_sessions WHERE process = {pid}"))
            .await,
        "1"
    );
    assert_eq!(
        db.one(&format!("SELECT trim(status) FROM stv_recents WHERE pid = {pid}"))
            .await,
        "Running"
    );
    assert_eq!(
        db.one(&format!("SELECT count(*) FROM pg_stat_activity WHERE procpid = {pid}"))
            .await,
        "1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_found_by_its_name_and_ended() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    let old = super::harness::Db::open(&format!("{}?application_name=loader-7", stand.url())).await;
    old.ok("CREATE TABLE t (a int)").await;
    old.ok("BEGIN").await;
    old.ok("LOCK t").await;
    let found = db
        .rows("SELECT pid FROM stl_connection_log WHERE trim(application_name) = 'loader-7'")
        .await;
    assert_eq!(found.len(), 1);
    let held = format!(
        "SELECT count(*) FROM svv_transactions WHERE pid = {} AND lock_mode = 'AccessExclusiveLock' AND granted",
        found[0][0]
    );
    assert_eq!(db.one(&held).await, "1");
    assert_eq!(
        db.one(&format!("SELECT pg_terminate_backend({})", found[0][0])).await,
        "t"
    );
    db.ok("LOCK t").await_in_block(&db).await;
    assert!(old.run("SELECT 1").await.is_err());
}

/// LOCK has to stand in a block.
trait InBlock {
    async fn await_in_block(self, db: &super::harness::Db);
}
impl<F: Future<Output = u64>> InBlock for F {
    async fn await_in_block(self, db: &super::harness::Db) {
        db.ok("BEGIN").await;
        self.await;
        db.ok("COMMIT").await;
    }
}
