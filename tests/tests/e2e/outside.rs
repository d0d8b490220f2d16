//! A writer and a reader that nobody here wrote: Confluent's client and Avro serializer in Python, and DuckDB on the objects.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use axum::http::{StatusCode, Uri};

use common::claim::{Claim, Kind};
use spolt_tests::oracle;
use spolt_tests::rig::{Rig, s3_client};

/// Records written; the numbers expected below follow from it by write.py's formulas.
const RECORDS: usize = 3_000;
/// Count, distinct ids, sum of ids, of readings, of prices, first day, last time, null flags, empty texts, texts `\N`, texts with a
/// line break, enum values `COLD`.
const UNDERSTOOD: &str =
    "3000|3000|4498500|481982.25|3002998.500|1959-01-19|2026-01-01 01:01:42.466433|1000|334|333|333|1500";

fn python(script: &str) -> Command {
    let cache = std::env::var("SPOLT_CACHE").expect("`SPOLT_CACHE` says where downloads lie\nhint: run ./test");
    let interpreter = PathBuf::from(cache).join("outside/bin/python");
    assert!(
        interpreter.exists(),
        "`{}` is missing\nhint: `devstack fetch` makes it",
        interpreter.display()
    );
    let mut command = Command::new(interpreter);
    command.arg(
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/e2e/outside")
            .join(script),
    );
    command
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn confluents_serializer_writes_and_duckdb_reads_the_same() {
    let mut rig = Rig::new("outside").await;
    let topic = rig.topic("measures");
    rig.extra_config = format!("[[topic]]\nname = \"{topic}\"\nenvelope = \"plain\"\n");
    rig.create_topic(&topic, 1).await;
    let _writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    said(python("write.py").args([&rig.parts.kafka, &rig.parts.registry, &topic, &RECORDS.to_string()]));

    understood(&rig).await;

    let signals = oracle::replay(&rig.parts.kafka, &format!("spolt.signals.{topic}"));
    let claims = signals
        .iter()
        .map(|seen| Claim::decode(seen.value.as_deref().unwrap()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (mut objects, mut marker) = (Vec::new(), String::new());
    for claim in claims.filter(|claim| claim.kind == Kind::Data) {
        let object = claim.object.unwrap();
        let answer = s3_client(&rig.parts.s3)
            .get_object()
            .bucket(&object.bucket)
            .key(&object.key)
            .send()
            .await
            .unwrap();
        let path = folder.path().join(object.key.rsplit('/').next().unwrap());
        std::fs::write(&path, answer.body.collect().await.unwrap().into_bytes()).unwrap();
        objects.push(path);
        marker = claim.dialect.unwrap().null;
    }
    assert_eq!(said(python("read.py").arg(marker).args(objects)), UNDERSTOOD);
}

/// What the table must hold when all records of write.py are loaded.
async fn understood(rig: &Rig) {
    let sql = format!(
        "SELECT count(*), count(DISTINCT \"id\"), sum(\"id\"), sum(\"reading\"), sum(\"price\"), min(\"day\"), max(\"at\"), \
         sum(CASE WHEN \"flag\" IS NULL THEN 1 ELSE 0 END), sum(CASE WHEN \"station\" = '' THEN 1 ELSE 0 END), \
         sum(CASE WHEN \"station\" = '\\\\N' THEN 1 ELSE 0 END), sum(CASE WHEN strpos(\"station\", chr(10)) > 0 THEN 1 ELSE 0 END), \
         sum(CASE WHEN \"kind\" = 'COLD' THEN 1 ELSE 0 END) FROM \"{}\".\"measures\"",
        rig.name
    );
    // The stand-in shows the zone of a TIMESTAMPTZ, which the objects state for each value.
    let expected = UNDERSTOOD.replace("01:01:42.466433", "01:01:42.466433+00");
    let expected = expected.split('|').map(|cell| Some(cell.to_owned())).collect();
    rig.equals(&rig.parts.redshift, "measures", &sql, vec![expected]).await;
}

/// A registry that has these answers, by path; the stack's own gives no GUIDs.
async fn registry_of(answers: BTreeMap<String, serde_json::Value>) -> String {
    let answers = Arc::new(answers);
    let answer = move |uri: Uri| {
        let answer = answers.get(uri.path()).cloned();
        async move { answer.map(axum::Json).ok_or(StatusCode::NOT_FOUND) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// Ids in headers, GUIDs, are looked for first, then ids before the datum: records of both kinds lie in one partition and one object.
#[tokio::test(flavor = "multi_thread")]
async fn confluents_serializer_puts_schema_ids_into_headers() {
    let mut rig = Rig::new("headers").await;
    let topic = rig.topic("measures");
    rig.extra_config = format!("[[topic]]\nname = \"{topic}\"\nenvelope = \"plain\"\nschema_ids = \"header\"\n");
    rig.create_topic(&topic, 1).await;
    let answers = said(python("write_headers.py").args([&rig.parts.kafka, &topic, &RECORDS.to_string()]));
    let answers: BTreeMap<String, String> = serde_json::from_str(&answers).unwrap();
    assert_eq!(
        answers.len(),
        4,
        "key and value, each with an id and a GUID: {answers:?}"
    );
    let answers = answers.into_iter();
    let answers = answers.map(|(path, schema)| (path, serde_json::json!({"schema": schema, "schemaType": "AVRO"})));
    rig.parts.registry = registry_of(answers.collect()).await;
    let _writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    understood(&rig).await;

    let claims: Vec<Claim> = oracle::replay(&rig.parts.kafka, &format!("spolt.signals.{topic}"))
        .iter()
        .map(|seen| Claim::decode(seen.value.as_deref().unwrap()).unwrap())
        .collect();
    let named: std::collections::BTreeSet<&str> = claims
        .iter()
        .flat_map(|claim| &claim.schemas)
        .filter_map(|schema| schema.0.split(':').next())
        .collect();
    assert_eq!(
        named.into_iter().collect::<Vec<_>>(),
        ["confluent", "guid"],
        "claims say which schemas were used"
    );
}

/// Changes with changed keys and deletes, some encrypted, some in base64, end as the table that their writer has.
#[tokio::test(flavor = "multi_thread")]
async fn messages_of_yelps_pipeline_become_the_table_of_their_writer() {
    let mut rig = Rig::new("yelp").await;
    let topic = rig.topic("orders");
    let keys = tempfile::tempdir().unwrap();
    std::fs::write(keys.path().join("key-4.key"), b"0123456789abcdef").unwrap();
    let folder = keys.path().display();
    rig.extra_config = format!(
        "[[topic]]\nname = \"{topic}\"\nenvelope = \"yelp\"\nencryption_keys = \"{folder}\"\nbad_records_max = 0\n"
    );
    rig.create_topic(&topic, 1).await;
    let _writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    let key: String = b"0123456789abcdef".iter().map(|byte| format!("{byte:02x}")).collect();
    let table = said(python("write_yelp.py").args([&rig.parts.kafka, &rig.parts.registry, &topic, "1000", &key]));
    let table: Vec<Vec<Option<String>>> = serde_json::from_str(&table).unwrap();
    assert!(table.len() > 50, "{}", table.len());
    let sql = format!(
        "SELECT \"id\", \"region\", \"note\" FROM \"{}\".\"orders\" ORDER BY \"id\"",
        rig.name
    );
    rig.equals(&rig.parts.redshift, "orders", &sql, table).await;
}

/// The same rows in JSON by JSON Schema and in Protobuf, each schema with another that it refers to, are the same table.
#[tokio::test(flavor = "multi_thread")]
async fn json_schema_and_protobuf_of_the_registry_make_the_same_table() {
    let mut rig = Rig::new("registered").await;
    let (json, protobuf) = (rig.topic("by_json"), rig.topic("by_protobuf"));
    for (topic, format) in [(&json, "json_schema"), (&protobuf, "protobuf")] {
        rig.extra_config += &format!(
            "[[topic]]\nname = \"{topic}\"\nformat = \"{format}\"\nenvelope = \"plain\"\nkey = [\"id\"]\nbad_records_max = 0\n"
        );
        rig.create_topic(topic, 1).await;
    }
    let _writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    let rows =
        said(python("write_registered.py").args([&rig.parts.kafka, &rig.parts.registry, &json, &protobuf, "500"]));
    let rows: Vec<Vec<Option<String>>> = serde_json::from_str(&rows).unwrap();
    assert_eq!(rows.len(), 500);
    for table in ["by_json", "by_protobuf"] {
        let sql = format!(
            "SELECT \"id\", \"region\", \"reading\", \"at\", json_serialize(\"tags\") FROM \"{}\".\"{table}\" ORDER BY \"id\"",
            rig.name
        );
        rig.equals(&rig.parts.redshift, table, &sql, rows.clone()).await;
    }
}
