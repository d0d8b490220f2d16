//! The program itself: arguments, addresses file, signals.

use std::process::{Command, Stdio};

use super::harness::{Db, eventually, postgres};

#[tokio::test(flavor = "multi_thread")]
async fn says_where_it_listens_and_stops_when_told() {
    let database = format!("program{}", std::process::id());
    Db::open(&format!("{}/postgres", postgres()))
        .await
        .ok(&format!("CREATE DATABASE {database} TEMPLATE template0"))
        .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("addresses.json");
    let mut child = Command::new(env!("CARGO_BIN_EXE_redshift-local"))
        .args([
            "--postgres",
            &format!("{}/{database}", postgres()),
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--database",
            "dev",
        ])
        .args(["--s3-endpoint", "http://127.0.0.1:1"])
        .arg("--addresses-file")
        .arg(&file)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the addresses are written", || async { file.exists() }).await;
    let addresses: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let db = Db::open(&format!("postgresql://u@{}/dev", addresses["listen"].as_str().unwrap())).await;
    assert!(db.one("SELECT version()").await.contains("Redshift"));
    // An S3 that does not answer fails the COPY and not the session.
    db.ok("CREATE TABLE t (a int)").await;
    assert_eq!(
        db.err("COPY t FROM 's3://b/k' IAM_ROLE DEFAULT CSV").await.code,
        "XX000"
    );
    db.ok("SELECT 1").await;
    let health = reqwest::get(format!("http://{}/healthz", addresses["admin"].as_str().unwrap()))
        .await
        .unwrap();
    assert_eq!(health.status(), 200);
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn refuses_what_it_cannot_use() {
    for (arguments, said) in [
        (&["--postgres", "nonsense"][..], "hint:"),
        (
            &[
                "--postgres",
                "postgresql://u@127.0.0.1:1/d",
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "127.0.0.1:0",
            ],
            "connect to postgresql",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_redshift-local"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(said), "{text}");
    }
}
