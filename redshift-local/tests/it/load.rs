//! A whole load as a loader types it: lock, checkpoint, stage, COPY, merge, commit.

use super::harness::{Db, Stand, zstd};

const STATE: &str = "CREATE TABLE IF NOT EXISTS \"spolt\".\"orders__state\" (\n    \"kind\" VARCHAR(16) NOT NULL,\n    \"partition\" INTEGER,\n    \"next_offset\" BIGINT,\n    \
                     \"load_id\" VARCHAR(64),\n    \"updated_at\" TIMESTAMP\n);";

/// Runs one load of the rows `[from, to)` and gives the rows that the compare-and-set changed.
async fn load(db: &Db, stand: &Stand, from: u64, to: u64, csv: &str) -> u64 {
    stand.put(&format!("data/{from}"), zstd(csv.as_bytes())).await;
    stand
        .manifest(&format!("manifest/{from}"), &[&format!("data/{from}")])
        .await;
    db.ok("BEGIN;").await;
    db.ok("-- Before the snapshot of the transaction is taken.\nLOCK TABLE \"spolt\".\"orders__state\";")
        .await;
    assert_eq!(
        db.one("SELECT \"next_offset\" FROM \"spolt\".\"orders__state\" WHERE \"kind\" = 'lineage'")
            .await,
        from.to_string()
    );
    db.ok("CREATE TEMP TABLE \"spolt_stage\" (\n    \"_kafka_op\" VARCHAR(1),\n    \"_kafka_offset\" BIGINT,\n    \"id\" VARCHAR(16) NOT NULL,\n    \"note\" VARCHAR(64),\n    \
           \"at\" VARCHAR(32),\n    \"price\" DECIMAL(10,2) DEFAULT CAST('0.00' AS DECIMAL(10,2)),\n    \"doc\" SUPER\n)")
        .await;
    let copy = format!(
        "COPY \"spolt_stage\" (\"_kafka_op\", \"_kafka_offset\", \"id\", \"note\", \"at\", \"doc\")\nFROM 's3://{}/manifest/{from}'\nIAM_ROLE 'arn:aws:iam::123456789012:role/r'\n\
         REGION 'us-east-1'\nMANIFEST\nFORMAT AS CSV QUOTE AS '\"' DELIMITER ',' NULL AS '~null~' ZSTD\nDATEFORMAT 'auto' TIMEFORMAT 'auto' COMPUPDATE OFF STATUPDATE OFF",
        stand.bucket
    );
    db.ok(&copy).await;
    assert_eq!(db.one("SELECT pg_last_copy_count();").await, (to - from).to_string());
    db.ok(&format!(
        "DELETE FROM \"spolt_stage\"\nWHERE (\"_kafka_offset\" < {from})"
    ))
    .await;
    db.ok("DELETE FROM \"public\".\"orders\"\nUSING \"spolt_stage\"\nWHERE \"public\".\"orders\".\"id\" = \"spolt_stage\".\"id\"").await;
    db.ok("INSERT INTO \"public\".\"orders\" (\"id\", \"note\", \"at\", \"price\", \"doc\")\n\
           SELECT s.\"id\", s.\"note\", CAST(s.\"at\" AS TIME), s.\"price\", s.\"doc\"\nFROM (\n    \
           SELECT r.*, ROW_NUMBER() OVER (PARTITION BY \"id\" ORDER BY \"_kafka_offset\" DESC) AS \"_spolt_rank\"\n    FROM \"spolt_stage\" AS r\n) AS s\n\
           WHERE s.\"_spolt_rank\" = 1 AND s.\"_kafka_op\" <> 'd'")
        .await;
    db.ok("DROP TABLE \"spolt_stage\"").await;
    let changed = db
        .ok(&format!(
            "UPDATE \"spolt\".\"orders__state\"\nSET \"next_offset\" = CASE \"partition\" WHEN 0 THEN {to} END, \"load_id\" = 'L', \"updated_at\" = '2023-11-14 22:13:20.000'\n\
             WHERE \"kind\" = 'lineage' AND ((\"partition\" = 0 AND \"next_offset\" = {from}))"
        ))
        .await;
    db.ok("COMMIT").await;
    changed
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_and_checkpoints() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE SCHEMA IF NOT EXISTS \"spolt\"").await;
    db.ok(STATE).await;
    db.ok("INSERT INTO \"spolt\".\"orders__state\" (\"kind\", \"partition\", \"next_offset\")\nVALUES\n    ('lineage', 0, 0),\n    ('table', NULL, NULL)").await;
    db.ok("CREATE TABLE \"public\".\"orders\" (\n    \"id\" VARCHAR(16) NOT NULL,\n    \"note\" VARCHAR(32),\n    \"at\" TIME\n)").await;
    db.ok("ALTER TABLE \"public\".\"orders\" ADD COLUMN \"price\" DECIMAL(10,2)")
        .await;
    db.ok("UPDATE \"public\".\"orders\" SET \"price\" = CAST('0.00' AS DECIMAL(10,2))")
        .await;
    db.ok("ALTER TABLE \"public\".\"orders\" ADD COLUMN \"doc\" SUPER")
        .await;
    db.ok("ALTER TABLE \"public\".\"orders\" ALTER COLUMN \"note\" TYPE VARCHAR(64)")
        .await;
    let first = "c,0,a,\"one\n\",10:00:00.5,\"{\"\"k\"\":1}\"\nc,1,b,~null~,~null~,null\nu,2,a,two,10:00:01,~null~\n";
    assert_eq!(load(&db, &stand, 0, 3, first).await, 1);
    let rows = "SELECT id, note, \"at\", price, doc FROM orders ORDER BY id";
    assert_eq!(
        db.rows(rows).await,
        [["a", "two", "10:00:01", "0.00", "∅"], ["b", "∅", "∅", "0.00", "null"]]
    );
    // A key with a trailing blank is the same key to Redshift: it replaces the row.
    assert_eq!(
        load(
            &db,
            &stand,
            3,
            5,
            "d,3,b,~null~,~null~,~null~\nu,4,a ,three,~null~,~null~\n"
        )
        .await,
        1
    );
    assert_eq!(db.rows(rows).await, [["a ", "three", "∅", "0.00", "∅"]]);
    assert_eq!(
        db.one("SELECT next_offset FROM spolt.orders__state WHERE kind = 'lineage'")
            .await,
        "5"
    );
    let catalog = db.rows("SELECT column_name, data_type, character_maximum_length, numeric_precision, numeric_scale, is_nullable\nFROM svv_columns\nWHERE table_schema = 'public' AND table_name = 'orders'\nORDER BY ordinal_position").await;
    assert_eq!(catalog[1], ["note", "character varying", "64", "∅", "∅", "YES"]);
    assert_eq!(catalog[4], ["doc", "super", "∅", "∅", "∅", "YES"]);
}
