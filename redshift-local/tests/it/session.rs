//! Start-up, authentication, the extended protocol, cancelling.

use super::harness::{Db, Stand, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn asks_for_a_password_when_told_so() {
    let stand = Stand::start_with(|config| {
        config.user = Some("loader".to_owned());
        config.password = Some("secret".to_owned());
    })
    .await;
    let address = format!("{}/{}", stand.addresses.listen, stand.database);
    Db::open(&format!("postgresql://loader:secret@{address}"))
        .await
        .ok("SELECT 1")
        .await;
    for wrong in ["loader:wrong", "other:secret"] {
        let error = Db::try_open(&format!("postgresql://{wrong}@{address}"))
            .await
            .err()
            .unwrap();
        assert_eq!(error.code().unwrap().code(), "28000", "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_unknown_databases_and_parameters() {
    let stand = Stand::start().await;
    let error = Db::try_open(&format!("postgresql://u@{}/nowhere", stand.addresses.listen))
        .await
        .err()
        .unwrap();
    assert_eq!(error.code().unwrap().code(), "3D000");
    let error = Db::try_open(&format!("{}?options=-c%20geqo%3Doff", stand.url()))
        .await
        .err()
        .unwrap();
    assert_eq!(error.code().unwrap().code(), "0A000");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_show_as_redshift_shows_them() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (b varbyte(4), s super, f float8, z timestamptz, c char(3))")
        .await;
    db.ok("INSERT INTO t VALUES (FROM_HEX('00ff'), JSON_PARSE('[1]'), 0.1::float8 + 0.2::float8, '2024-01-01 12:00:00+02', 'x')").await;
    assert_eq!(
        db.rows("SELECT * FROM t").await,
        [["00ff", "[1]", "0.3", "2024-01-01 10:00:00+00", "x  "]]
    );
    assert_eq!(db.rows("SELECT 'a\\tb\\\\c', 'it''s'").await, [["a\tb\\c", "it's"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn extended_protocol_passes_through() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    db.ok("CREATE TABLE t (a int, k varchar(5))").await;
    for (a, k) in [(1_i32, "x"), (2, "y ")] {
        assert_eq!(
            db.client
                .execute("INSERT INTO t VALUES ($1, $2)", &[&a, &k])
                .await
                .unwrap(),
            1
        );
    }
    let rows = db
        .client
        .query("SELECT a, k FROM t WHERE k = $1::varchar(5)", &[&"y"])
        .await
        .unwrap();
    assert_eq!(
        (rows.len(), rows[0].get::<_, i32>(0), rows[0].get::<_, String>(1)),
        (1, 2, "y ".to_owned())
    );
    for (sql, code) in [
        ("SELECT nonsense", "42703"),
        ("COPY t FROM 's3://b/k' IAM_ROLE DEFAULT CSV", "0A000"),
        ("SAVEPOINT a", "0A000"),
        ("CREATE INDEX i ON t (a)", "0A000"),
    ] {
        let error = db.client.execute(sql, &[]).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), code, "{sql}");
    }
    assert_eq!(db.client.query("SELECT a FROM t", &[]).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_can_be_cancelled() {
    let stand = Stand::start().await;
    let (one, two) = (stand.connect().await, stand.connect().await);
    one.ok("CREATE TABLE t (a int)").await;
    one.ok("BEGIN").await;
    one.ok("LOCK t").await;
    let token = two.client.cancel_token();
    let watcher = stand.behind().await;
    let cancel = async {
        eventually("the statement waits", || async {
            watcher.one("SELECT count(*) FROM pg_locks WHERE NOT granted").await != "0"
        })
        .await;
        token.cancel_query(tokio_postgres::NoTls).await.unwrap();
    };
    let (refused, ()) = tokio::join!(two.err("SELECT * FROM t"), cancel);
    assert_eq!(refused.code, "57014");
    two.ok("SELECT 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_stand_in_finds_everything_installed() {
    let stand = Stand::start().await;
    let db = stand.connect().await;
    let long = "l".repeat(100);
    db.ok(&format!("CREATE TABLE t ({long} int)")).await;
    let database = stand.database.clone();
    let config = redshift_local::Config {
        postgres: redshift_local::config::parse_postgres(&stand.postgres).unwrap(),
        s3_endpoint: None,
        s3_region: "us-east-1".to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        admin: "127.0.0.1:0".parse().unwrap(),
        database: database.clone(),
        user: None,
        password: None,
        addresses_file: None,
    };
    let server = redshift_local::Server::bind(config).await.unwrap();
    let address = server.addresses.listen;
    let stop = tokio_util::sync::CancellationToken::new();
    let serving = tokio::spawn(server.serve(stop.clone()));
    let second = Db::open(&format!("postgresql://u@{address}/{database}")).await;
    assert_eq!(
        second
            .one("SELECT column_name FROM svv_columns WHERE table_name = 't'")
            .await,
        long
    );
    stop.cancel();
    serving.await.unwrap().unwrap();
    assert!(second.run("SELECT 1").await.is_err());
}
