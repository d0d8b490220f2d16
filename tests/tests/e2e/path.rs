//! The plain path, and the end of a daemon that is asked to stop.

use spolt_tests::rig::Rig;
use spolt_tests::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn upsert_and_append_tables_equal_the_topics() {
    let mut rig = Rig::new("path").await;
    let mut orders = rig.source("orders", 3, 1).await;
    let mut journal = rig.source("journal", 2, 2).await;
    rig.extra_config = format!("[[topic]]\nname = \"{}\"\nmode = \"append\"\n", rig.topic("journal"));
    let mut writer = rig.start_s3_spolt();
    let mut loader = rig.start_redshift_spolt();
    for _ in 0..5 {
        rig.produce(&rig.topic("orders"), &orders.changes(3_000));
        rig.produce(&rig.topic("journal"), &journal.changes(1_000));
    }
    rig.upserted(&rig.parts.redshift, "orders").await;
    rig.appended(&rig.parts.redshift, "journal").await;

    assert!(loader.terminate().success(), "{}", loader.log_tail());
    // What is produced last is published on the way out, although no cut is due yet.
    assert!(writer.terminate().success(), "{}", writer.log_tail());
    for log in [writer.log(), loader.log()] {
        let bad: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("ERROR") || line.contains("panicked"))
            .collect();
        assert!(bad.is_empty(), "{bad:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_topics_load_by_key_and_without() {
    let mut rig = Rig::new("plain").await;
    let topic = rig.topic("kept");
    let keyless = rig.topic("events");
    rig.extra_config = format!(
        "[[topic]]\nname = \"{topic}\"\nenvelope = \"plain\"\n[[topic]]\nname = \"{keyless}\"\nenvelope = \"plain\"\nmode = \"append\"\n"
    );
    rig.create_topic(&topic, 1).await;
    rig.create_topic(&keyless, 1).await;
    let schema = r#"{"type":"record","name":"P","fields":[{"name":"id","type":"long"},{"name":"what","type":["null","string"]}]}"#;
    let key = rig
        .register(&format!("{topic}-key"), spolt_tests::source::KEY_SCHEMA)
        .await;
    let value = rig.register(&format!("{topic}-value"), schema).await;
    let key_schema = apache_avro::Schema::parse_str(spolt_tests::source::KEY_SCHEMA).unwrap();
    let value_schema = apache_avro::Schema::parse_str(schema).unwrap();
    let key_of = |id: i64| {
        use apache_avro::types::Value;
        spolt_tests::source::framed(key, &key_schema, Value::Record(vec![("id".into(), Value::Long(id))]))
    };
    let value_of = |id: i64, what: &str| {
        use apache_avro::types::Value;
        let what = Value::Union(1, Box::new(Value::String(what.into())));
        spolt_tests::source::framed(
            value,
            &value_schema,
            Value::Record(vec![("id".into(), Value::Long(id)), ("what".into(), what)]),
        )
    };
    let _writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    let records = [
        (key_of(1), Some(value_of(1, "first"))),
        (key_of(2), Some(value_of(2, "gone"))),
        (key_of(1), Some(value_of(1, "second"))),
        (key_of(2), None),
    ];
    rig.produce_raw(
        &topic,
        records.iter().map(|(key, value)| (0, Some(&key[..]), value.as_deref())),
    );
    let events: Vec<Vec<u8>> = (0..3).map(|id| value_of(id, "e")).collect();
    rig.produce_raw(&keyless, events.iter().map(|value| (0, None, Some(&value[..]))));
    let cell = |text: &str| Some(text.to_owned());
    let kept = format!(
        "SELECT \"id\", \"what\", \"_kafka_offset\" FROM \"{}\".\"kept\"",
        rig.name
    );
    rig.equals(
        &rig.parts.redshift,
        "kept",
        &kept,
        vec![vec![cell("1"), cell("second"), cell("2")]],
    )
    .await;
    let events = format!(
        "SELECT \"id\", \"_kafka_offset\" FROM \"{}\".\"events\" ORDER BY 2",
        rig.name
    );
    let expected = (0..3)
        .map(|n: i32| vec![cell(&n.to_string()), cell(&n.to_string())])
        .collect();
    rig.equals(&rig.parts.redshift, "events", &events, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_tools_see_what_is_claimed() {
    let mut rig = Rig::new("lag").await;
    let mut orders = rig.source("orders", 1, 3).await;
    let writer = rig.start_s3_spolt();
    rig.produce(&rig.topic("orders"), &orders.changes(500));
    let topic = rig.topic("orders");
    let end = spolt_tests::oracle::replay(&rig.parts.kafka, &topic).len() as i64;
    until("the group's offset is the end of the topic", async || {
        let committed = spolt_tests::oracle::committed(&rig.parts.kafka, &format!("s3-{}", rig.name), &topic, 0);
        if committed == Some(end) {
            Ok(())
        } else {
            Err(format!("{committed:?} of {end}\n{}", writer.log_tail()))
        }
    })
    .await;
}
