//! A schema gains a column while data flows, and old and new records interleave.

use spolt_tests::oracle;
use spolt_tests::rig::Rig;
use spolt_tests::source::{COLUMNS, envelope_schema};
use spolt_tests::wait::until;
use spolt_tests::warehouse::Warehouse;

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

/// Numbers that become wider at the source: the table's columns follow, with every value they had, and old and new records interleave.
#[tokio::test(flavor = "multi_thread")]
async fn wider_numbers_get_wider_columns_and_keep_their_values() {
    use apache_avro::types::Value;
    let mut rig = Rig::new("numbers").await;
    let topic = rig.topic("kept");
    rig.extra_config = format!("[[topic]]\nname = \"{topic}\"\nenvelope = \"plain\"\n");
    rig.create_topic(&topic, 1).await;
    let decimal = |precision: u32, scale: u32| {
        format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{precision},"scale":{scale}}}"#)
    };
    let record = |number: &str, real: &str, price: &str| {
        format!(
            r#"{{"type":"record","name":"P","fields":[{{"name":"id","type":"{number}"}},{{"name":"n","type":["null","{number}"]}},{{"name":"r","type":"{real}"}},{{"name":"price","type":{price}}}]}}"#
        )
    };
    let key_text = r#"{"type":"record","name":"K","fields":[{"name":"id","type":"int"}]}"#;
    let wide_key_text = key_text.replace("int", "long");
    let (narrow, wide) = (
        record("int", "float", &decimal(6, 2)),
        record("long", "double", &decimal(12, 4)),
    );
    let mut schemas = Vec::new();
    for (part, text) in [
        ("key", key_text),
        ("value", &narrow),
        ("key", &wide_key_text),
        ("value", &wide),
    ] {
        let id = rig.register(&format!("{topic}-{part}"), text).await;
        schemas.push((id, apache_avro::Schema::parse_str(text).unwrap()));
    }
    let _writer = rig.start_s3_spolt();
    let loader = rig.start_redshift_spolt();
    let framed = |schema: usize, value| spolt_tests::source::framed(schemas[schema].0, &schemas[schema].1, value);
    let produce = |wide: bool, id: i32, n: i64, price: i64| {
        let number = |n: i64| {
            if wide {
                Value::Long(n)
            } else {
                Value::Int(i32::try_from(n).unwrap())
            }
        };
        let real = if wide { Value::Double(0.1) } else { Value::Float(0.5) };
        let unscaled = price * if wide { 100 } else { 1 };
        let fields = vec![
            ("id".into(), number(id.into())),
            ("n".into(), Value::Union(1, Box::new(number(n)))),
            ("r".into(), real),
            ("price".into(), Value::Decimal(unscaled.to_be_bytes().to_vec().into())),
        ];
        let key = framed(
            if wide { 2 } else { 0 },
            Value::Record(vec![("id".into(), number(id.into()))]),
        );
        let value = framed(if wide { 3 } else { 1 }, Value::Record(fields));
        rig.produce_raw(&topic, std::iter::once((0, Some(&key[..]), Some(&value[..]))));
    };
    let sql = format!("SELECT id, n, r, price FROM \"{}\".\"kept\" ORDER BY 1", rig.name);
    let row = |cells: [&str; 4]| cells.map(|cell| Some(cell.to_owned())).to_vec();
    produce(false, 1, 7, 1_234);
    produce(false, 2, i32::MAX.into(), -5);
    let before = vec![
        row(["1", "7", "0.5", "12.34"]),
        row(["2", "2147483647", "0.5", "-0.05"]),
    ];
    rig.equals(&rig.parts.redshift, "kept", &sql, before).await;
    // Nothing that hangs on the column is lost with it, and nothing that depends on it is dropped.
    let table = format!("\"{}\".\"kept\"", rig.name);
    let warehouse = Warehouse::connect(&rig.parts.redshift).await;
    let view = format!("\"{}\".\"kept_view\"", rig.name);
    let create = format!("CREATE VIEW {view} AS SELECT n FROM \"{}\".\"kept\"", rig.name);
    for statement in [
        create,
        format!("COMMENT ON COLUMN {table}.n IS 'how many, it''s said'"),
        format!("GRANT SELECT (n) ON {table} TO PUBLIC"),
    ] {
        warehouse.rows(&statement).await.unwrap();
    }
    produce(true, 3, 1 << 40, 99_999_999);
    until("the table halts and names the view", async || {
        let log = loader.log();
        if log.contains(&format!("views are bound to it: `{}.kept_view`", rig.name)) && log.contains("halted") {
            Ok(())
        } else {
            Err(loader.log_tail())
        }
    })
    .await;
    warehouse.rows(&format!("DROP VIEW {view}")).await.unwrap();
    drop(loader);
    let _loader = rig.start_redshift_spolt();
    produce(false, 1, 8, 1_235);
    let after = vec![
        row(["1", "8", "0.5", "12.3500"]),
        row(["2", "2147483647", "0.5", "-0.0500"]),
        row(["3", "1099511627776", "0.1", "999999.9900"]),
    ];
    rig.equals(&rig.parts.redshift, "kept", &sql, after).await;

    let of_table = format!("WHERE namespace_name = '{}' AND relation_name = 'kept'", rig.name);
    let rights = format!("SELECT column_name, privilege_type, identity_type FROM svv_column_privileges {of_table}");
    assert_eq!(
        warehouse.rows(&rights).await.unwrap(),
        [row3(["n", "select", "public"])]
    );
    let comments = format!(
        "SELECT d.description FROM pg_description d JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid \
         JOIN pg_class c ON c.oid = d.objoid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '{}' AND a.attname = 'n'",
        rig.name
    );
    assert_eq!(
        warehouse.rows(&comments).await.unwrap(),
        [vec![Some("how many, it's said".to_owned())]]
    );
    let changes = format!(
        "SELECT kind, column_name, COUNT(*) FROM \"state_{0}\".\"{0}__kept__changes\" GROUP BY 1, 2 ORDER BY 1, 2",
        rig.name
    );
    let expected = [
        ["create_table", "", "1"],
        ["wider_type", "id", "4"],
        ["wider_type", "n", "6"],
        ["wider_type", "price", "4"],
        ["wider_type", "r", "4"],
    ];
    let found = warehouse.rows(&changes).await.unwrap();
    assert_eq!(found, expected.map(row3));
}

/// The column is DOUBLE PRECISION by one partition's records; those of another partition still come as REAL, in a plan of their own, and are
/// the numbers that a REAL becomes in the warehouse too.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_of_an_older_plan_is_the_number_that_the_wider_column_has_of_it() {
    use apache_avro::types::Value;
    let mut rig = Rig::new("reals").await;
    let topic = rig.topic("kept");
    rig.extra_config = format!("[[topic]]\nname = \"{topic}\"\nenvelope = \"plain\"\n");
    rig.create_topic(&topic, 2).await;
    let record = |real: &str| {
        format!(
            r#"{{"type":"record","name":"P","fields":[{{"name":"id","type":"long"}},{{"name":"r","type":["null","{real}"]}},{{"name":"w","type":"string","default":"new"}}]}}"#
        )
    };
    let key_text = r#"{"type":"record","name":"K","fields":[{"name":"id","type":"long"}]}"#;
    let mut schemas = Vec::new();
    for (part, text) in [
        ("key", key_text),
        ("value", &record("float")),
        ("value", &record("double")),
    ] {
        let id = rig.register(&format!("{topic}-{part}"), text).await;
        schemas.push((id, apache_avro::Schema::parse_str(text).unwrap()));
    }
    let _writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    let framed = |schema: usize, value| spolt_tests::source::framed(schemas[schema].0, &schemas[schema].1, value);
    let produce = |partition: i32, schema: usize, id: i64, real: Option<Value>| {
        let real = real.map_or(Value::Union(0, Box::new(Value::Null)), |real| {
            Value::Union(1, Box::new(real))
        });
        let fields = vec![
            ("id".into(), Value::Long(id)),
            ("r".into(), real),
            ("w".into(), Value::String("w".into())),
        ];
        let key = framed(0, Value::Record(vec![("id".into(), Value::Long(id))]));
        let value = framed(schema, Value::Record(fields));
        rig.produce_raw(&topic, std::iter::once((partition, Some(&key[..]), Some(&value[..]))));
    };
    let sql = format!("SELECT id, r FROM \"{}\".\"kept\" ORDER BY 1", rig.name);
    let row = |id: &str, real: &str| vec![Some(id.to_owned()), Some(real.to_owned()).filter(|real| real != "-")];
    // A SELECT shows 15 digits.
    let exact = "0.100000001490116";
    produce(0, 1, 1, Some(Value::Float(0.1)));
    rig.equals(&rig.parts.redshift, "kept", &sql, vec![row("1", "0.1")])
        .await;
    produce(0, 2, 2, Some(Value::Double(0.1)));
    let mut expected = vec![row("1", exact), row("2", "0.1")];
    rig.equals(&rig.parts.redshift, "kept", &sql, expected.clone()).await;
    // Behind the change: by an object of the older plan, and within one of the newer.
    produce(1, 1, 3, Some(Value::Float(0.1)));
    produce(1, 1, 4, None);
    produce(0, 1, 5, Some(Value::Float(0.1)));
    expected.extend([row("3", exact), row("4", "-"), row("5", exact)]);
    rig.equals(&rig.parts.redshift, "kept", &sql, expected).await;
}

/// Three cells, an empty one for NULL.
fn row3(cells: [&str; 3]) -> Vec<Option<String>> {
    cells
        .map(|cell| Some(cell.to_owned()).filter(|cell| !cell.is_empty()))
        .to_vec()
}
