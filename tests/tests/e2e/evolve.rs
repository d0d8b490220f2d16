//! A schema gains a column while data flows, and old and new records interleave.

use spolt_tests::oracle;
use spolt_tests::rig::Rig;
use spolt_tests::source::{COLUMNS, envelope_schema};

#[tokio::test(flavor = "multi_thread")]
async fn a_column_appears_while_data_flows() {
    let mut rig = Rig::new("evolve").await;
    let topic = rig.topic("orders");
    let mut orders = rig.source("orders", 2, 41).await;
    let _writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    rig.produce(&topic, &orders.changes(2_000));

    let mut wider = COLUMNS.to_vec();
    wider.push(("points", r#""long""#));
    let narrow_id = rig
        .register(&format!("{topic}-value"), &envelope_schema(&COLUMNS))
        .await;
    let wide_id = rig.register(&format!("{topic}-value"), &envelope_schema(&wider)).await;
    assert_ne!(narrow_id, wide_id);
    // Old and new writers at the same time: the table goes forward once and never back, and no object is cut for each record.
    for _ in 0..20 {
        orders.evolve(wide_id, &wider);
        rig.produce(&topic, &orders.changes(50));
        orders.evolve(narrow_id, &COLUMNS);
        rig.produce(&topic, &orders.changes(50));
    }
    orders.evolve(wide_id, &wider);
    rig.produce(&topic, &orders.changes(1_000));
    rig.upserted(&rig.parts.redshift, "orders").await;

    let signals = oracle::replay(&rig.parts.kafka, &format!("spolt.signals.{topic}"));
    let claims = signals
        .iter()
        .map(|seen| common::claim::Claim::decode(seen.value.as_deref().unwrap()).unwrap());
    let mut plans: Vec<_> = claims
        .filter_map(|claim| Some((claim.partition, claim.plan?)))
        .collect();
    plans.dedup();
    assert!(plans.len() <= 2 * 2 * 2, "the plans flip: {plans:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn longer_texts_widen_their_column() {
    let mut rig = Rig::new("widen").await;
    let topic = rig.topic("kept");
    rig.extra_config = format!("[[topic]]\nname = \"{topic}\"\nenvelope = \"plain\"\n");
    rig.create_topic(&topic, 1).await;
    let schema =
        r#"{"type":"record","name":"P","fields":[{"name":"id","type":"long"},{"name":"what","type":"string"}]}"#;
    let key = rig
        .register(&format!("{topic}-key"), spolt_tests::source::KEY_SCHEMA)
        .await;
    let value = rig.register(&format!("{topic}-value"), schema).await;
    let key_schema = apache_avro::Schema::parse_str(spolt_tests::source::KEY_SCHEMA).unwrap();
    let value_schema = apache_avro::Schema::parse_str(schema).unwrap();
    let _writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    let mut expected = Vec::new();
    for (id, length) in [(1, 10), (2, 100), (3, 5_000), (4, 65_535)] {
        use apache_avro::types::Value;
        let what = "é".repeat(length / 2) + if length % 2 == 1 { "x" } else { "" };
        let key = spolt_tests::source::framed(key, &key_schema, Value::Record(vec![("id".into(), Value::Long(id))]));
        let fields = vec![
            ("id".into(), Value::Long(id)),
            ("what".into(), Value::String(what.clone())),
        ];
        let value = spolt_tests::source::framed(value, &value_schema, Value::Record(fields));
        rig.produce_raw(&topic, std::iter::once((0, Some(&key[..]), Some(&value[..]))));
        expected.push(vec![Some(id.to_string()), Some(what)]);
        let sql = format!("SELECT \"id\", \"what\" FROM \"{}\".\"kept\" ORDER BY 1", rig.name);
        rig.equals(&rig.parts.redshift, "kept", &sql, expected.clone()).await;
    }
}
