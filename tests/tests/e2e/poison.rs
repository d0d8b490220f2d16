//! Records that cannot become rows: set aside as far as that is allowed (rule 27), else they halt their own partition, with its
//! coordinates, and nothing else.

use apache_avro::Schema;
use apache_avro::types::Value;
use spolt_tests::oracle;
use spolt_tests::rig::Rig;
use spolt_tests::source::{COLUMNS, Change, KEY_SCHEMA, envelope_schema, framed};
use spolt_tests::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn an_undecodable_record_halts_its_partition_alone() {
    let mut rig = Rig::new("poison").await;
    rig.extra_config = "[topic_defaults]\nbad_records_max = 0\n".to_owned();
    let topic = rig.topic("orders");
    let mut orders = rig.source("orders", 2, 51).await;
    let writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    rig.produce(&topic, &orders.changes(500));
    rig.upserted(&rig.parts.redshift, "orders").await;
    let at = oracle::replay(&rig.parts.kafka, &topic)
        .iter()
        .filter(|seen| seen.partition == 0)
        .count();

    rig.produce_raw(&topic, std::iter::once((0, Some(&b"?"[..]), Some(&b"no frame"[..]))));
    until("partition 0 halts", async || {
        let log = writer.log();
        let told =
            log.contains("lineage halts") && log.contains(&format!("offset `{at}`")) && log.contains("partition `0`");
        if told { Ok(()) } else { Err(writer.log_tail()) }
    })
    .await;
    // Partition 1 goes on.
    let changes: Vec<_> = orders
        .changes(2_000)
        .into_iter()
        .filter(|change| change.partition == 1)
        .collect();
    rig.produce(&topic, &changes);
    let next = oracle::replay(&rig.parts.kafka, &topic)
        .iter()
        .filter(|seen| seen.partition == 1)
        .count();
    let sql = format!(
        "SELECT next_offset FROM \"state_{0}\".\"{0}__orders__state\" WHERE kind = 'lineage' ORDER BY \"partition\"",
        rig.name
    );
    let cell = |number: usize| vec![Some(number.to_string())];
    rig.equals(&rig.parts.redshift, "orders", &sql, vec![cell(at), cell(next)])
        .await;
}

/// A row of table `orders` whose key and amount are given, as Debezium writes it.
struct Orders {
    key: (u32, Schema),
    value: (u32, Schema),
}

impl Orders {
    async fn known_to(rig: &mut Rig, topic: &str) -> Orders {
        let value = envelope_schema(&COLUMNS);
        Orders {
            key: (
                rig.register(&format!("{topic}-key"), KEY_SCHEMA).await,
                Schema::parse_str(KEY_SCHEMA).unwrap(),
            ),
            value: (
                rig.register(&format!("{topic}-value"), &value).await,
                Schema::parse_str(&value).unwrap(),
            ),
        }
    }

    fn change(&self, op: &str, id: i64, amount: f64) -> Change {
        let some = |value| Value::Union(1, Box::new(value));
        let row = Value::Record(vec![
            ("id".into(), Value::Long(id)),
            ("name".into(), some(Value::String(format!("n{id}")))),
            ("amount".into(), some(Value::Double(amount))),
            ("note".into(), Value::Union(0, Box::new(Value::Null))),
        ]);
        let none = Value::Union(0, Box::new(Value::Null));
        let (before, after) = if op == "d" {
            (some(row), none.clone())
        } else {
            (none.clone(), some(row))
        };
        let envelope = Value::Record(vec![
            ("before".into(), before),
            ("after".into(), after),
            ("source".into(), Value::Record(vec![("lsn".into(), Value::Long(id))])),
            ("op".into(), Value::String(op.into())),
            ("ts_ms".into(), none),
        ]);
        let key = Value::Record(vec![("id".into(), Value::Long(id))]);
        Change {
            partition: 0,
            key: framed(self.key.0, &self.key.1, key),
            value: Some(framed(self.value.0, &self.value.1, envelope)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_are_set_aside_and_those_that_came_too_late_are_known() {
    let mut rig = Rig::new("aside").await;
    let topic = rig.topic("orders");
    rig.create_topic(&topic, 1).await;
    let orders = Orders::known_to(&mut rig, &topic).await;
    let _writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    let nan = f64::NAN;
    rig.produce(
        &topic,
        &[
            orders.change("c", 1, 1.5),
            orders.change("u", 1, nan),
            orders.change("c", 2, nan),
            orders.change("c", 3, 3.5),
            orders.change("u", 3, nan),
        ],
    );
    let aside = format!("\"state_{0}\".\"{0}__orders__set_aside\"", rig.name);
    let fates =
        format!("SELECT _kafka_offset, _kafka_reason, _kafka_column, id, _kafka_status FROM {aside} ORDER BY 1");
    let row = |offset: i64, id: i64, status: &str| {
        let cells = [&offset.to_string(), "not_finite", "amount", &id.to_string(), status];
        cells.map(|cell| Some(cell.to_owned())).to_vec()
    };
    let open = vec![row(1, 1, "open"), row(2, 2, "open"), row(4, 3, "open")];
    rig.equals(&rig.parts.redshift, "orders", &fates, open).await;
    // Changes and deletes of such a key are remembered, whatever becomes of the row.
    rig.produce(
        &topic,
        &[
            orders.change("u", 1, 1.75),
            orders.change("d", 3, 3.5),
            orders.change("c", 4, 4.5),
        ],
    );
    rig.produce_raw(
        &topic,
        [(0, Some(&b"?"[..]), Some(&b"no frame"[..])), (0, None, None)].into_iter(),
    );
    let unframed = vec![Some("8"), Some("bad_frame"), None, None, Some("open")];
    let unframed = unframed.into_iter().map(|cell| cell.map(str::to_owned)).collect();
    let later = vec![
        row(1, 1, "superseded"),
        row(2, 2, "open"),
        row(4, 3, "superseded"),
        unframed,
    ];
    rig.equals(&rig.parts.redshift, "orders", &fates, later).await;
    let rows = format!("SELECT id, amount FROM \"{}\".\"orders\" ORDER BY id", rig.name);
    let kept = vec![
        vec![Some("1".into()), Some("1.75".into())],
        vec![Some("4".into()), Some("4.5".into())],
    ];
    rig.equals(&rig.parts.redshift, "orders", &rows, kept).await;
    let raw = format!("SELECT _kafka_value_bytes FROM {aside} WHERE _kafka_offset = 8");
    rig.equals(&rig.parts.redshift, "orders", &raw, vec![vec![Some("8".into())]])
        .await;

    // What was wrong is mended: NULL takes the place of a number that is none.
    rig.extra_config = "[topic_defaults]\nbad_values = { amount = \"null\" }\n".to_owned();
    let run = |arguments: &[&str]| {
        let (done, said) = rig.command("redshift-spolt", &[&["set-aside"], arguments].concat());
        assert!(done, "{said}");
        said
    };
    let listed = run(&["list", &topic]);
    assert_eq!(
        listed.lines().filter(|line| line.contains("  open  ")).count(),
        2,
        "{listed}"
    );
    let shown = run(&["show", &topic, "0", "2"]);
    assert!(
        shown.contains("not_finite in column `amount`") && shown.contains("it can be read"),
        "{shown}"
    );
    let planned = run(&["replay", &topic]);
    assert!(planned.contains("1 of 2 open records can be read now"), "{planned}");
    let replayed = run(&["replay", &topic, "--apply"]);
    assert!(
        replayed.contains("1 records were replayed") && replayed.contains("1 are left"),
        "{replayed}"
    );
    let again = run(&["replay", &topic, "--apply"]);
    assert!(again.contains("0 records were replayed"), "{again}");
    let row_of = |id: &str, amount: Option<&str>| vec![Some(id.to_owned()), amount.map(str::to_owned)];
    let mended = vec![row_of("1", Some("1.75")), row_of("2", None), row_of("4", Some("4.5"))];
    rig.equals(&rig.parts.redshift, "orders", &rows, mended).await;
    run(&["discard", &topic, "0", "8", "--apply"]);
    let statuses = format!("SELECT _kafka_offset, _kafka_status FROM {aside} ORDER BY 1");
    let ended = [
        ("1", "superseded"),
        ("2", "replayed"),
        ("4", "superseded"),
        ("8", "discarded"),
    ];
    let ended = ended.map(|(offset, status)| vec![Some(offset.to_owned()), Some(status.to_owned())]);
    rig.equals(&rig.parts.redshift, "orders", &statuses, ended.to_vec())
        .await;
    // The loader that ran all the while goes on.
    rig.produce(&topic, &[orders.change("u", 2, 2.5)]);
    let after = vec![
        row_of("1", Some("1.75")),
        row_of("2", Some("2.5")),
        row_of("4", Some("4.5")),
    ];
    rig.equals(&rig.parts.redshift, "orders", &rows, after).await;
}
