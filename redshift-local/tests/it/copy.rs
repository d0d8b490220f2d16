//! COPY: a corpus of good and bad inputs, manifests, compression, bookkeeping.

use super::harness::{Stand, gzip, zstd};

/// Column type, object, options, and the value or the load error's code.
type Case = (
    &'static str,
    &'static [u8],
    &'static str,
    Result<&'static str, &'static str>,
);

/// Loads `text` into a one-table corpus and gives the value of the column or the load error's code.
async fn load(stand: &Stand, column: &str, text: &[u8], options: &str) -> Result<Vec<String>, String> {
    let db = stand.connect().await;
    db.ok("DROP TABLE IF EXISTS corpus").await;
    db.ok(&format!("CREATE TABLE corpus (c {column}, tail int)")).await;
    stand.put("corpus.csv", text).await;
    match db.run(&stand.copy("corpus", "corpus.csv", options)).await {
        Ok(_) => Ok(db
            .rows("SELECT c FROM corpus ORDER BY tail")
            .await
            .into_iter()
            .map(|row| row[0].clone())
            .collect()),
        Err(refused) => {
            assert_eq!(refused.code, "XX000", "{refused:?}");
            assert_eq!(
                refused.message,
                "Load into table 'corpus' failed.  Check 'stl_load_errors' system table for details."
            );
            Err(db
                .one("SELECT trim(error_code::varchar) FROM sys_load_error_detail ORDER BY query_id DESC LIMIT 1")
                .await)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn corpus() {
    let stand = Stand::start().await;
    let auto = "TIMEFORMAT 'auto' DATEFORMAT 'auto'";
    let cases: &[Case] = &[
        ("varchar(5)", b"abc,1\n", "", Ok("abc")),
        ("varchar(5)", b"\"a\n,\"\"\",1\n", "", Ok("a\n,\"")),
        ("varchar(5)", b"\"\",1\n", "", Ok("")),
        ("varchar(5)", b",1\n", "", Ok("")),
        ("varchar(5)", b",1\n", "EMPTYASNULL", Ok("∅")),
        ("varchar(5)", b"\"\",1\n", "EMPTYASNULL", Ok("∅")),
        ("varchar(5)", b"  ,1\n", "BLANKSASNULL", Ok("∅")),
        ("varchar(5)", b"@N@,1\n", "NULL AS '@N@'", Ok("∅")),
        ("varchar(5)", b"\"@N@\",1\n", "NULL AS '@N@'", Ok("∅")),
        ("varchar(5)", b"\\N,1\n", "", Ok("∅")),
        ("varchar(5)", b"\\N,1\n", "NULL AS '@N@'", Ok("\\N")),
        ("varchar(5)", b"ab  ,1\n", "", Ok("ab  ")),
        ("varchar(5)", b"ab  ,1\n", "TRIMBLANKS", Ok("ab")),
        ("varchar(5)", b"abcde   ,1\n", "", Ok("abcde")),
        ("varchar(5)", b"abcdef,1\n", "", Err("1204")),
        ("varchar(5)", "ééé,1\n".as_bytes(), "", Err("1204")),
        ("varchar(6)", "ééé,1\n".as_bytes(), "", Ok("ééé")),
        ("varchar(5)", "ééé,1\n".as_bytes(), "TRUNCATECOLUMNS", Ok("éé")),
        ("varchar(8)", b"a\xffb,1\n", "", Err("1220")),
        ("varchar(8)", b"a\xffb,1\n", "ACCEPTINVCHARS AS '^'", Ok("a^b")),
        ("varchar(8)", b"a\0b,1\n", "", Err("1218")),
        ("varchar(8)", b"a\\b\t,1\n", "", Ok("a\\b\t")),
        ("char(4)", b"ab,1\n", "", Ok("ab  ")),
        ("char(4)", "é,1\n".as_bytes(), "", Err("1215")),
        ("char(4)", b"abcde,1\n", "", Err("1204")),
        ("smallint", b"-32768,1\n", "", Ok("-32768")),
        ("smallint", b"32768,1\n", "", Err("1222")),
        ("int", b"1x,1\n", "", Err("1207")),
        ("int", b",1\n", "", Ok("∅")),
        ("bigint", b"9223372036854775807,1\n", "", Ok("9223372036854775807")),
        ("bigint", b"9223372036854775808,1\n", "", Err("1222")),
        ("decimal(6,2)", b"1.239,1\n", "", Ok("1.23")),
        ("decimal(6,2)", b"1.239,1\n", "ROUNDEC", Ok("1.24")),
        ("decimal(6,2)", b"-0.5,1\n", "", Ok("-0.50")),
        ("decimal(6,2)", b"10000,1\n", "", Err("1209")),
        ("decimal(6,2)", b"1e3,1\n", "", Err("1209")),
        ("real", b"1.5e3,1\n", "", Ok("1500")),
        ("double precision", b"nan,1\n", "", Err("1208")),
        ("double precision", b"Infinity,1\n", "", Err("1208")),
        ("double precision", b"abc,1\n", "", Err("1208")),
        ("boolean", b"YES,1\n", "", Ok("t")),
        ("boolean", b"0,1\n", "", Ok("f")),
        ("boolean", b"on,1\n", "", Err("1210")),
        ("date", b"2024-02-29,1\n", "", Ok("2024-02-29")),
        ("date", b"2023-02-29,1\n", "", Err("1205")),
        ("date", b"20240229,1\n", auto, Ok("2024-02-29")),
        (
            "timestamp",
            b"2024-02-29 01:02:03.000004,1\n",
            "",
            Ok("2024-02-29 01:02:03.000004"),
        ),
        ("timestamp", b"2024-02-29T01:02:03,1\n", "", Err("1206")),
        ("timestamp", b"2024-02-29T01:02:03,1\n", auto, Ok("2024-02-29 01:02:03")),
        (
            "timestamp",
            b"2024-02-29 01:02:03+05,1\n",
            "",
            Ok("2024-02-29 01:02:03"),
        ),
        ("timestamp", b"2024-02-29 01:02:03.0000001,1\n", "", Err("1206")),
        ("timestamp", b"1709168523,1\n", auto, Err("1206")),
        (
            "timestamp",
            b"1709168523,1\n",
            "TIMEFORMAT 'epochsecs'",
            Ok("2024-02-29 01:02:03"),
        ),
        (
            "timestamp",
            b"1709168523004,1\n",
            "TIMEFORMAT 'epochmillisecs'",
            Ok("2024-02-29 01:02:03.004"),
        ),
        (
            "timestamptz",
            b"2024-02-29 01:02:03+05,1\n",
            "",
            Ok("2024-02-28 20:02:03+00"),
        ),
        ("timestamptz", b"2024-02-29T01:02:03Z,1\n", "", Err("1206")),
        (
            "timestamptz",
            b"2024-02-29T01:02:03Z,1\n",
            auto,
            Ok("2024-02-29 01:02:03+00"),
        ),
        (
            "super",
            b"\"{\"\"b\"\":1,\"\"a\"\":[null]}\",1\n",
            "",
            Ok("{\"b\":1,\"a\":[null]}"),
        ),
        ("super", b"null,1\n", "", Ok("null")),
        ("super", b",1\n", "", Ok("∅")),
        ("super", b"abc,1\n", "", Err("1224")),
        ("super", b"\"{\"\"a\"\":1,\"\"a\"\":2}\",1\n", "", Err("1224")),
        ("varbyte(3)", b"00fF,1\n", "", Ok("00ff")),
        ("varbyte(3)", b"0g,1\n", "", Err("1219")),
        ("varbyte(3)", b"00010203,1\n", "", Err("1204")),
        ("varchar(5)", b"a\n", "", Err("1203")),
        ("varchar(5)", b"a\n", "FILLRECORD", Ok("a")),
        ("varchar(5)", b"a,1,b\n", "", Err("1202")),
        ("varchar(5)", b"\n", "", Err("1211")),
        ("varchar(5)", b"\na,1\n", "IGNOREBLANKLINES", Ok("a")),
        ("varchar(5)", b"a\"b,1\n", "", Err("1214")),
        ("varchar(5)", b"\"ab,1\n", "", Err("1214")),
        ("varchar(5)", b"head,x\na,1\n", "IGNOREHEADER 1", Ok("a")),
        ("varchar(5)", b"a|1\n", "DELIMITER '|'", Ok("a")),
        ("varchar(5)", b"a\t1\n", "DELIMITER '\\t'", Ok("a")),
        ("varchar(5)", b"'a,b',1\n", "QUOTE '\\''", Ok("a,b")),
        ("varchar(5)", b"a,1\r\n", "", Ok("a")),
        ("varchar(5)", b"a,1", "", Ok("a")),
        ("varchar(5)  not null", b"@,1\n", "NULL '@'", Err("1213")),
    ];
    for (column, text, options, expected) in cases {
        let got = load(&stand, column, text, options).await;
        let expected = expected.map(|value| vec![value.to_owned()]).map_err(str::to_owned);
        assert_eq!(got, expected, "{column} {:?} {options}", String::from_utf8_lossy(text));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_rows_and_place_of_the_error() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE SCHEMA s").await;
    db.ok("CREATE TABLE s.t (a int, b varchar(3))").await;
    assert_eq!(
        db.rows("SELECT pg_last_copy_count(), pg_last_copy_id()").await,
        [["0", "-1"]]
    );
    stand.put("good", "1,a\n2,b\n").await;
    assert_eq!(db.run(&stand.copy("s.t (a, b)", "good", "")).await, Ok(0));
    assert_eq!(
        db.notices(),
        ["INFO: Load into table 't' completed, 2 record(s) loaded successfully."]
    );
    assert_eq!(db.one("SELECT pg_last_copy_count()").await, "2");
    assert_ne!(db.one("SELECT pg_last_copy_id()").await, "-1");

    db.ok("BEGIN").await;
    stand.put("bad", "1,\"a\n\"\n2,b\n3,long\n").await;
    assert_eq!(db.err(&stand.copy("s.t", "bad", "")).await.code, "XX000");
    assert_eq!(db.err("SELECT 1").await.code, "25P02");
    db.ok("ROLLBACK").await;
    assert_eq!(db.one("SELECT pg_last_copy_count()").await, "0");
    assert_eq!(db.one("SELECT count(*) FROM s.t").await, "2");
    let url = format!("s3://{}/bad", stand.bucket);
    let detail = db
        .rows("SELECT trim(file_name), line_number, trim(column_name), trim(column_type), trim(column_length), position, error_code, trim(error_message), session_id = pg_backend_pid() FROM sys_load_error_detail")
        .await;
    assert_eq!(
        detail,
        [[
            &url,
            "4",
            "b",
            "varchar",
            "3",
            "2",
            "1204",
            "String length exceeds DDL length",
            "t"
        ]]
    );
    let stl = db.rows("SELECT trim(filename), line_number, trim(colname), trim(raw_line), trim(raw_field_value), err_code, trim(err_reason) FROM stl_load_errors").await;
    assert_eq!(
        stl,
        [[
            &url,
            "4",
            "b",
            "3,long",
            "long",
            "1204",
            "String length exceeds DDL length"
        ]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn max_error_leaves_bad_rows_out() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (a int)").await;
    stand.put("k", "1\nx\n2\ny\n3\n").await;
    db.ok(&stand.copy("t", "k", "MAXERROR 3")).await;
    assert_eq!(db.one("SELECT pg_last_copy_count()").await, "3");
    assert_eq!(
        db.rows("SELECT line_number, err_code FROM stl_load_errors ORDER BY 1")
            .await,
        [["2", "1207"], ["4", "1207"]]
    );
    assert_eq!(db.err(&stand.copy("t", "k", "MAXERROR 2")).await.code, "XX000");
    assert_eq!(db.one("SELECT count(*) FROM t").await, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (a int)").await;
    for (key, text) in [("d/1", "1\n"), ("d/2", "2\n"), ("d/3", "3\n")] {
        stand.put(key, text).await;
    }
    stand.manifest("m/all", &["d/1", "d/2", "d/1"]).await;
    db.ok(&stand.copy("t", "m/all", "MANIFEST")).await;
    assert_eq!(
        db.rows("SELECT a, count(*) FROM t GROUP BY a ORDER BY a").await,
        [["1", "2"], ["2", "1"]]
    );
    db.ok("DELETE FROM t").await;
    // The same manifest again is loaded again: COPY remembers nothing.
    db.ok(&stand.copy("t", "m/all", "MANIFEST")).await;
    assert_eq!(db.one("SELECT count(*) FROM t").await, "3");
    // Without MANIFEST the address is a prefix.
    db.ok("DELETE FROM t").await;
    db.ok(&stand.copy("t", "d/", "")).await;
    assert_eq!(db.one("SELECT sum(a) FROM t").await, "6");

    stand.manifest("m/missing", &["d/1", "d/none"]).await;
    let refused = db.err(&stand.copy("t", "m/missing", "MANIFEST")).await;
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("XX000", "Mandatory url is not present in manifest file.")
    );
    stand
        .put(
            "m/optional",
            format!(
                r#"{{"entries":[{{"url":"s3://{0}/d/none"}},{{"url":"s3://{0}/d/3","mandatory":false}}]}}"#,
                stand.bucket
            ),
        )
        .await;
    db.ok(&stand.copy("t", "m/optional", "MANIFEST")).await;
    assert_eq!(db.one("SELECT pg_last_copy_count()").await, "1");
    stand
        .put(
            "m/nothing",
            format!(r#"{{"entries":[{{"url":"s3://{0}/d/none"}}]}}"#, stand.bucket),
        )
        .await;
    assert_eq!(db.err(&stand.copy("t", "m/nothing", "MANIFEST")).await.code, "XX000");
    stand
        .put("m/prefix", r#"{"entries":[{"url":"d/1","mandatory":true}]}"#)
        .await;
    assert!(
        db.err(&stand.copy("t", "m/prefix", "MANIFEST"))
            .await
            .detail
            .unwrap()
            .contains("8001")
    );
    for (key, options) in [("m/absent", "MANIFEST"), ("absent/", ""), ("d/1", "MANIFEST")] {
        assert_eq!(db.err(&stand.copy("t", key, options)).await.code, "XX000", "{key}");
    }
    let other = stand.copy("t", "x", "").replace(&stand.bucket, "no-such-bucket-here");
    assert!(db.err(&other).await.message.contains("NoSuchBucket"));
}

#[tokio::test(flavor = "multi_thread")]
async fn compression_goes_by_the_option() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (a int)").await;
    let mut text = String::new();
    for number in 0..100_000 {
        text.push_str(&format!("{number}\n"));
    }
    stand.put("plain", text.as_bytes()).await;
    stand.put("gz", gzip(text.as_bytes())).await;
    // Several members after each other are one file.
    stand.put("two", [gzip(b"1\n"), gzip(b"2\n")].concat()).await;
    stand.put("zst", zstd(text.as_bytes())).await;
    stand.put("cut", &zstd(text.as_bytes())[..5_000]).await;
    for (key, option, rows) in [
        ("plain", "", "100000"),
        ("gz", "GZIP", "100000"),
        ("two", "GZIP", "2"),
        ("zst", "ZSTD", "100000"),
    ] {
        db.ok(&stand.copy("t", key, option)).await;
        assert_eq!(db.one("SELECT pg_last_copy_count()").await, rows, "{key}");
    }
    db.ok("DELETE FROM t").await;
    for (key, option) in [
        ("plain", "GZIP"),
        ("plain", "ZSTD"),
        ("gz", ""),
        ("zst", "GZIP"),
        ("cut", "ZSTD"),
    ] {
        assert_eq!(
            db.err(&stand.copy("t", key, option)).await.code,
            "XX000",
            "{key} {option}"
        );
    }
    assert_eq!(db.one("SELECT count(*) FROM t").await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn belongs_to_the_transaction() {
    let stand = Stand::start().await;
    let (db, other) = (stand.connect().await, stand.connect().await);
    db.ok("CREATE TABLE t (a int)").await;
    stand.put("k", "1\n2\n").await;
    db.ok("BEGIN").await;
    db.ok("CREATE TEMP TABLE stage (a int)").await;
    db.ok(&stand.copy("stage", "k", "")).await;
    assert_eq!(db.one("SELECT pg_last_copy_count()").await, "2");
    db.ok("INSERT INTO t SELECT a FROM stage").await;
    assert_eq!(other.one("SELECT count(*) FROM t").await, "0");
    db.ok("COMMIT").await;
    assert_eq!(other.one("SELECT count(*) FROM t").await, "2");
    db.ok("BEGIN").await;
    db.ok(&stand.copy("t", "k", "")).await;
    db.ok("ROLLBACK").await;
    assert_eq!(other.one("SELECT count(*) FROM t").await, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn targets() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    stand.put("k", "1,x\n").await;
    let refused = db.err(&stand.copy("nowhere.t", "k", "")).await;
    assert_eq!(
        (refused.code.as_str(), refused.message.as_str()),
        ("XX000", "Cannot COPY into nonexistent table t")
    );
    db.ok("CREATE TABLE t (a int, b varchar(9) DEFAULT 'dd', c varchar(9), d int NOT NULL DEFAULT 7)")
        .await;
    db.ok(&stand.copy("t (a, c)", "k", "")).await;
    assert_eq!(db.rows("SELECT a, b, c, d FROM t").await, [["1", "dd", "x", "7"]]);
    assert_eq!(db.err(&stand.copy("t (a, nope)", "k", "")).await.code, "42703");
    assert_eq!(db.err(&stand.copy("t (a, d)", "k", "")).await.code, "0A000");
    db.ok("CREATE TABLE times (a int, b time)").await;
    assert_eq!(db.err(&stand.copy("times", "k", "")).await.code, "0A000");
    // What the stand-in's own checks let pass and PostgreSQL refuses still names file and line.
    db.ok("CREATE TABLE floats (a double precision)").await;
    stand.put("f", "1\n1e-400\n").await;
    assert_eq!(db.err(&stand.copy("floats", "f", "")).await.code, "XX000");
    assert_eq!(
        db.rows("SELECT line_number, err_code FROM stl_load_errors").await,
        [["2", "1200"]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_objects_load_in_order() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (file int, line int)").await;
    let keys: Vec<_> = (0..40).map(|file| format!("o/{file:02}")).collect();
    for (file, key) in keys.iter().enumerate() {
        let text: String = (0..500).map(|line| format!("{file},{line}\n")).collect();
        stand.put(key, zstd(text.as_bytes())).await;
    }
    stand
        .manifest("m", &keys.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
    db.ok(&stand.copy("t", "m", "MANIFEST ZSTD")).await;
    assert_eq!(
        db.rows("SELECT count(*), count(DISTINCT file), sum(line) FROM t").await,
        [["20000", "40", "4990000"]]
    );
}
