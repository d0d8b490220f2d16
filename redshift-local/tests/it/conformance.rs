//! A table of statements, accepted and refused.

use super::harness::Stand;

/// Statements that are accepted in this order, with the rows changed.
const ACCEPTED: &[&str] = &[
    "CREATE SCHEMA IF NOT EXISTS s",
    "CREATE TABLE s.t (id BIGINT NOT NULL ENCODE az64, name VARCHAR(10) ENCODE lzo, amount DECIMAL(10,2), flag BOOLEAN, doc SUPER, raw VARBYTE(8), at TIMESTAMPTZ, d DATE, \
     PRIMARY KEY (id)) DISTSTYLE KEY DISTKEY (id) COMPOUND SORTKEY (id, name)",
    "CREATE TABLE IF NOT EXISTS s.t (other int)",
    "CREATE TABLE s.u (a int DISTKEY, b text, c char(3) DEFAULT 'x' NOT NULL, d float8, e varchar(max), f nvarchar(3)) BACKUP NO SORTKEY AUTO ENCODE AUTO",
    "CREATE TABLE s.ident (id bigint IDENTITY(1,1), v int)",
    "CREATE TEMP TABLE tmp (LIKE s.t)",
    "CREATE TEMPORARY TABLE tmp2 (LIKE s.t INCLUDING DEFAULTS)",
    "CREATE TEMP TABLE tmp3 AS SELECT id, name FROM s.t",
    "CREATE TEMP TABLE tmp4 DISTSTYLE ALL SORTKEY (id) AS (SELECT id FROM s.t)",
    "INSERT INTO s.t (id, name, doc, raw) VALUES (1, 'a', JSON_PARSE('{\"k\":1}'), FROM_HEX('00ff'))",
    "INSERT INTO s.t (id, name) VALUES (1, 'duplicate')",
    "INSERT INTO s.t (id) SELECT a FROM s.u",
    "WITH q AS (SELECT 1 AS id) UPDATE s.t SET flag = true FROM q WHERE s.t.id = q.id",
    "DELETE FROM s.t USING s.u WHERE s.t.id = s.u.a",
    "UPDATE \"S\".\"T\" SET \"NAME\" = 'b' WHERE id = 1",
    "ALTER TABLE s.u ADD COLUMN g int",
    "ALTER TABLE s.u ADD h varchar(5) DEFAULT 'q' NOT NULL ENCODE raw",
    "ALTER TABLE s.u DROP COLUMN g",
    "ALTER TABLE s.u RENAME COLUMN h TO i",
    "ALTER TABLE s.u RENAME TO w",
    "ALTER TABLE s.w ALTER COLUMN f TYPE varchar(10)",
    "ALTER TABLE s.w ADD PRIMARY KEY (a)",
    "CREATE VIEW s.v AS SELECT id, name FROM s.t",
    "CREATE OR REPLACE VIEW s.v AS SELECT id, name FROM s.t WHERE id > 0",
    "BEGIN ISOLATION LEVEL SERIALIZABLE",
    "LOCK s.t",
    "LOCK TABLE s.t, s.w",
    "END",
    "START TRANSACTION READ ONLY",
    "ABORT",
    "ANALYZE s.t",
    "ANALYZE s.t (id) PREDICATE COLUMNS",
    "VACUUM",
    "VACUUM DELETE ONLY s.t TO 75 PERCENT",
    "SET search_path TO s, public",
    "SET statement_timeout TO 60000",
    "SET query_group TO 'loader'",
    "SET json_parse_truncate_strings = ON",
    "RESET query_group",
    "SHOW enable_case_sensitive_identifier",
    "SHOW search_path",
    "EXPLAIN SELECT * FROM s.t",
    "COMMENT ON TABLE s.t IS 'it''s'",
    "GRANT SELECT ON s.t TO PUBLIC",
    "SELECT sysdate, getdate(), LEN('abc'), NVL(NULL, 2), version(), pg_backend_pid(), current_database()",
    "SELECT HAS_SCHEMA_PRIVILEGE('s', 'usage'), HAS_TABLE_PRIVILEGE('s.t', 'insert')",
    "SELECT 'a\\'b', 'c\\\\', '\\x41'",
    "SELECT id, ROW_NUMBER() OVER (PARTITION BY name ORDER BY id DESC) FROM s.t",
    "SELECT CAST('1' AS decimal(10,2)), '2024-01-01'::date, 'x'::varchar(3), 5::text",
    "TRUNCATE TABLE s.ident",
    "DROP TABLE IF EXISTS s.nothing",
    "DROP VIEW s.v",
    "DROP TABLE s.ident CASCADE",
];

/// Statements that are refused, outside a block, and the SQLSTATE.
const REFUSED: &[(&str, &str)] = &[
    ("INSERT INTO s.t (id) VALUES (1) ON CONFLICT DO NOTHING", "42601"),
    ("INSERT INTO s.t (id) VALUES (1) RETURNING id", "42601"),
    ("INSERT INTO s.t (id) VALUES (NULL)", "23502"),
    ("INSERT INTO s.t (id, name) VALUES (1, 'eleven long')", "22001"),
    ("INSERT INTO s.t (id, name) VALUES (1, 'éééééé')", "22001"),
    ("SAVEPOINT a", "0A000"),
    ("RELEASE SAVEPOINT a", "0A000"),
    ("ROLLBACK TO SAVEPOINT a", "0A000"),
    ("CREATE INDEX i ON s.t (id)", "0A000"),
    ("CREATE UNIQUE INDEX i ON s.t (id)", "0A000"),
    ("CREATE SEQUENCE q", "0A000"),
    ("CREATE TYPE y AS (a int)", "0A000"),
    ("CREATE TRIGGER x BEFORE INSERT ON s.t EXECUTE FUNCTION f()", "0A000"),
    ("CREATE EXTENSION hstore", "0A000"),
    ("CREATE UNLOGGED TABLE x (a int)", "0A000"),
    ("DISCARD ALL", "0A000"),
    ("COPY s.t FROM STDIN", "0A000"),
    ("COPY s.t FROM 's3://b/k' IAM_ROLE DEFAULT CSV NOSUCHOPTION", "42601"),
    ("COPY s.t FROM 's3://b/k' CSV", "XX000"),
    ("COPY s.t FROM 's3://b/k' IAM_ROLE DEFAULT", "0A000"),
    ("COPY (SELECT 1) TO STDOUT", "42601"),
    ("CREATE TABLE x (a uuid)", "0A000"),
    ("CREATE TABLE x (a jsonb)", "0A000"),
    ("CREATE TABLE x (a bytea)", "0A000"),
    ("CREATE TABLE x (a serial)", "0A000"),
    ("CREATE TABLE x (a int[])", "0A000"),
    ("CREATE TABLE x (a varchar(65536))", "22023"),
    ("CREATE TABLE x (a decimal(39,0))", "22023"),
    ("CREATE TABLE x (a int CHECK (a > 0))", "42601"),
    ("CREATE TABLE x (a int) PARTITION BY RANGE (a)", "42601"),
    ("CREATE TABLE x (a nonsense)", "42704"),
    ("ALTER TABLE s.t ADD COLUMN a int, ADD COLUMN b int", "42601"),
    ("ALTER TABLE s.t ADD COLUMN a int NOT NULL", "0A000"),
    ("ALTER TABLE s.t ADD COLUMN IF NOT EXISTS a int", "42601"),
    ("ALTER TABLE s.t ALTER COLUMN name TYPE varchar(10)", "0A000"),
    ("ALTER TABLE s.t ALTER COLUMN name TYPE varchar(1)", "0A000"),
    ("ALTER TABLE s.t ALTER COLUMN id TYPE varchar(20)", "0A000"),
    ("ALTER TABLE s.t ALTER COLUMN id TYPE int", "0A000"),
    ("ALTER TABLE s.t ALTER COLUMN nope TYPE varchar(20)", "42703"),
    ("ALTER TABLE s.keyed ALTER COLUMN k TYPE varchar(20)", "0A000"),
    ("ALTER TABLE s.keyed ALTER COLUMN d TYPE varchar(20)", "0A000"),
    ("ALTER TABLE s.keyed ALTER COLUMN e TYPE varchar(20)", "0A000"),
    ("ALTER TABLE s.t ALTER COLUMN name SET NOT NULL", "0A000"),
    ("ALTER TABLE s.t ALTER COLUMN id DROP NOT NULL", "0A000"),
    ("ALTER TABLE s.t ALTER COLUMN name SET DEFAULT 'x'", "0A000"),
    ("ALTER TABLE s.t APPEND FROM s.u", "0A000"),
    ("SELECT * FROM s.t FOR UPDATE", "0A000"),
    ("SELECT DISTINCT ON (id) * FROM s.t", "0A000"),
    ("SELECT string_agg(name, ',') FROM s.t", "42883"),
    ("SELECT gen_random_uuid()", "42883"),
    ("SELECT pg_advisory_lock(1)", "42883"),
    ("SELECT ARRAY[1]", "0A000"),
    ("SELECT id::uuid FROM s.t", "0A000"),
    ("SELECT flag::varchar(5) FROM s.t", "42846"),
    (
        "SELECT id FROM s.t QUALIFY row_number() OVER (ORDER BY id) = 1",
        "0A000",
    ),
    ("SELECT id INTO x FROM s.t", "0A000"),
    ("SELECT avg(id) FROM s.t", "0A000"),
    ("SELECT * FROM redshift_local.load_error", "3F000"),
    ("SELECT repeat('a', 300)::varchar", "0A000"),
    (
        "MERGE INTO s.t USING s.u ON s.t.id = s.u.a WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (1)",
        "0A000",
    ),
    ("UNLOAD ('SELECT 1') TO 's3://b/k' IAM_ROLE DEFAULT", "0A000"),
    ("VALUES (1)", "42601"),
    ("LOCK TABLE s.t IN SHARE MODE", "42601"),
    ("DO $$ BEGIN END $$", "42601"),
    ("LISTEN x", "0A000"),
    ("SET enable_seqscan = off", "0A000"),
    ("SELECT 'unterminated", "42601"),
    ("SELECT * FROM nowhere", "42P01"),
    ("nonsense", "42601"),
];

#[tokio::test(flavor = "multi_thread")]
async fn accepts_and_refuses_as_redshift_does() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    for sql in ACCEPTED {
        db.ok(sql).await;
    }
    db.ok("CREATE TABLE s.keyed (k varchar(3) PRIMARY KEY, d varchar(3) DEFAULT 'x', e varchar(3) ENCODE bytedict)")
        .await;
    db.ok("CREATE TABLE s.u (a int)").await;
    db.ok("INSERT INTO s.t (id, name) VALUES (5, 'longer')").await;
    for (sql, code) in REFUSED {
        assert_eq!(db.err(sql).await.code, *code, "{sql}");
    }
    // A refusal inside a block fails the block, as an error of the server would.
    for (sql, code) in REFUSED {
        db.ok("BEGIN").await;
        let code = if sql.contains(" TYPE varchar(") { "25001" } else { code };
        assert_eq!(db.err(sql).await.code, code, "{sql}");
        assert_eq!(db.err("SELECT 1").await.code, "25P02", "{sql}");
        db.ok("ROLLBACK").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn some_statements_may_not_stand_in_a_block() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (a varchar(3))").await;
    for sql in ["ALTER TABLE t ALTER COLUMN a TYPE varchar(9)", "VACUUM"] {
        db.ok("BEGIN").await;
        assert_eq!(db.err(sql).await.code, "25001", "{sql}");
        db.ok("ROLLBACK").await;
        db.ok(sql).await;
    }
    assert_eq!(
        db.one("SELECT character_maximum_length FROM svv_columns WHERE table_name = 't'")
            .await,
        "9"
    );
    db.ok("INSERT INTO t VALUES ('123456789')").await;
    assert_eq!(db.err("INSERT INTO t VALUES ('1234567890')").await.code, "22001");
    assert_eq!(
        db.err("ALTER TABLE t ALTER COLUMN a TYPE varchar(8)").await.code,
        "0A000"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_not_enforced_and_not_null_is() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (k int PRIMARY KEY, u int UNIQUE, f int REFERENCES t (k))")
        .await;
    db.ok("INSERT INTO t VALUES (1, 1, 9), (1, 1, 9)").await;
    assert_eq!(db.one("SELECT count(*) FROM t").await, "2");
    assert_eq!(db.err("INSERT INTO t VALUES (NULL, 1, 1)").await.code, "23502");
    db.ok("CREATE TEMP TABLE c (LIKE t)").await;
    assert_eq!(db.err("INSERT INTO c VALUES (NULL, 1, 1)").await.code, "23502");
}

#[tokio::test(flavor = "multi_thread")]
async fn trailing_blanks_do_not_count() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (k varchar(10), n int)").await;
    db.ok("CREATE TABLE u (k varchar(20))").await;
    db.ok("INSERT INTO t VALUES ('a', 1), ('a  ', 2), ('b ', 3)").await;
    db.ok("INSERT INTO u VALUES ('a ')").await;
    for (sql, expected) in [
        ("SELECT count(*) FROM t WHERE k = 'a'", "2"),
        ("SELECT count(*) FROM t WHERE k = 'a '::varchar(5)", "2"),
        ("SELECT count(*) FROM t WHERE k IN ('b', 'c')", "1"),
        ("SELECT count(*) FROM t WHERE k < 'a     '", "0"),
        ("SELECT count(DISTINCT k) FROM t", "2"),
        ("SELECT count(*) FROM (SELECT k FROM t GROUP BY k) x", "2"),
        ("SELECT count(*) FROM (SELECT DISTINCT lower(k) FROM t) x", "2"),
        ("SELECT count(*) FROM (SELECT k FROM t UNION SELECT k FROM u) x", "2"),
        ("SELECT count(*) FROM t JOIN u ON t.k = u.k", "2"),
        ("SELECT count(*) FROM t JOIN u ON upper(t.k) = upper(u.k)", "2"),
        ("SELECT count(*) FROM t JOIN u ON COALESCE(t.k, '') = u.k", "2"),
        (
            "SELECT max(rn) FROM (SELECT row_number() OVER (PARTITION BY k ORDER BY n) AS rn FROM t) x",
            "2",
        ),
        ("SELECT len(k) FROM t WHERE n = 2", "3"),
        ("SELECT octet_length(k) FROM t WHERE n = 2", "3"),
        ("SELECT k || '|' FROM t WHERE n = 2", "a  |"),
        ("SELECT k::varchar(2) || '|' FROM t WHERE n = 2", "a |"),
        ("SELECT max(k) || '|' FROM t", "b |"),
        ("SELECT COALESCE(k, 'x') || '|' FROM t WHERE n = 2", "a  |"),
        ("SELECT k FROM t WHERE n = 2", "a  "),
        ("SELECT count(*) FROM t WHERE k LIKE 'a'", "1"),
        ("SELECT rtrim(k) || '|' FROM t WHERE n = 2", "a|"),
    ] {
        assert_eq!(db.one(sql).await, expected, "{sql}");
    }
    assert_eq!(db.ok("DELETE FROM t USING u WHERE t.k = u.k").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn names() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    let (one, two) = (format!("{}1", "n".repeat(120)), format!("{}2", "n".repeat(120)));
    db.ok(&format!(
        "CREATE TABLE \"{}\" ({one} int, \"{two}\" int)",
        one.to_uppercase()
    ))
    .await;
    db.ok(&format!("INSERT INTO {one} ({one}, {two}) VALUES (1, 2)")).await;
    let messages = db
        .client
        .simple_query(&format!("SELECT {two} FROM {one}"))
        .await
        .unwrap();
    let row = messages
        .iter()
        .find_map(|message| {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                Some(row)
            } else {
                None
            }
        })
        .unwrap();
    assert_eq!(row.columns()[0].name(), two);
    let columns = format!("SELECT column_name FROM svv_columns WHERE table_name = '{one}' ORDER BY ordinal_position");
    assert_eq!(db.rows(&columns).await, [[one.as_str()], [&two]]);
    stand.put("k", "3,4\n").await;
    db.ok(&stand.copy(&format!("{one} ({two}, {one})"), "k", "")).await;
    assert_eq!(db.one(&format!("SELECT sum({one}) FROM {one}")).await, "5");
    // Over 127 bytes a name is cut silently.
    let over = "o".repeat(140);
    db.ok(&format!("CREATE TABLE {over} (a int)")).await;
    db.ok(&format!("INSERT INTO {} VALUES (1)", &over[..127])).await;

    db.ok("CREATE TABLE q (\"Mixed\" int)").await;
    assert_eq!(
        db.one("SELECT column_name FROM svv_columns WHERE table_name = 'q'")
            .await,
        "mixed"
    );
    db.ok("SET enable_case_sensitive_identifier TO true").await;
    db.ok("CREATE TABLE \"Q\" (\"Mixed\" int)").await;
    assert_eq!(
        db.one("SELECT column_name FROM svv_columns WHERE table_name = 'Q'")
            .await,
        "Mixed"
    );
}
