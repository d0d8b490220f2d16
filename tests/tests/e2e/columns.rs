//! What a topic's settings say of columns and of the table, on the real path; and tables that somebody else changes.

use spolt_tests::rig::Rig;
use spolt_tests::wait::until;
use spolt_tests::warehouse::Warehouse;

fn cells<const N: usize>(cells: [&str; N]) -> Vec<Option<String>> {
    cells
        .map(|cell| Some(cell.to_owned()).filter(|cell| cell != "NULL"))
        .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_what_the_settings_say() {
    let mut rig = Rig::new("columns").await;
    let topic = rig.topic("kept");
    rig.extra_config = format!(
        r#"[[topic]]
name = "{topic}"
format = "json"
envelope = "plain"
columns = {{ id = "bigint", note = "varchar", secret = "varchar", price = "varchar", n = "bigint" }}
key = ["id"]
exclude_fields = ["secret"]
rename = {{ note = "remark" }}
types = {{ price = "DECIMAL(10,2)" }}
metadata = ["timestamp", "operation"]
sort_key = ["n"]
dist = "key(id)"
encode = {{ remark = "zstd" }}
"#
    );
    rig.create_topic(&topic, 1).await;
    let _writer = rig.start_s3_spolt();
    let _loader = rig.start_redshift_spolt();
    let produce = |key: &str, value: &str| {
        rig.produce_raw(
            &topic,
            std::iter::once((0, Some(key.as_bytes()), Some(value.as_bytes()))),
        );
    };
    produce(
        r#"{"id":1}"#,
        r#"{"id":1,"note":"a","secret":"s","price":"12.3","n":7}"#,
    );
    produce(
        r#"{"id":2}"#,
        r#"{"id":2,"note":null,"secret":null,"price":"-0.01","n":null}"#,
    );
    let table = format!("\"{}\".\"kept\"", rig.name);
    let sql = format!(
        "SELECT id, remark, price, n, _kafka_operation, CASE WHEN _kafka_timestamp > '2024-01-01' THEN 'dated' END FROM {table} ORDER BY 1"
    );
    let expected = vec![
        cells(["1", "a", "12.30", "7", "u", "dated"]),
        cells(["2", "NULL", "-0.01", "NULL", "u", "dated"]),
    ];
    rig.equals(&rig.parts.redshift, "kept", &sql, expected).await;

    let warehouse = Warehouse::connect(&rig.parts.redshift).await;
    warehouse
        .rows(&format!("SET search_path TO \"{}\"", rig.name))
        .await
        .unwrap();
    let made = "SELECT \"column\", encoding, distkey, sortkey FROM pg_table_def WHERE tablename = 'kept' AND (distkey OR sortkey > 0 OR encoding <> 'none') ORDER BY 1";
    let notes = warehouse.rows(made).await.unwrap();
    assert_eq!(
        notes,
        [
            cells(["id", "none", "t", "0"]),
            cells(["n", "none", "f", "1"]),
            cells(["remark", "zstd", "f", "0"])
        ]
    );
    let names = format!(
        "SELECT column_name FROM svv_columns WHERE table_schema = '{}' AND table_name = 'kept' ORDER BY ordinal_position",
        rig.name
    );
    let names = warehouse.rows(&names).await.unwrap();
    let names: Vec<String> = names.into_iter().filter_map(|mut row| row.remove(0)).collect();
    assert_eq!(&names[..4], ["id", "remark", "price", "n"]);
    assert!(!names.contains(&"secret".to_owned()), "{names:?}");
}

/// With `ddl = "preview"` the table waits for somebody to run what it lists, and goes on by itself; with "off" it halts.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_else_changes_waits_or_halts() {
    let mut rig = Rig::new("ddl").await;
    let topic = rig.topic("kept");
    let config = |columns: &str, ddl: &str| {
        format!(
            "[[topic]]\nname = \"{topic}\"\nformat = \"json\"\nenvelope = \"plain\"\ncolumns = {{ {columns} }}\nkey = [\"id\"]\nddl = \"{ddl}\"\n"
        )
    };
    let (narrow, wide) = (r#"id = "bigint""#, r#"id = "bigint", n = "bigint""#);
    rig.extra_config = config(narrow, "preview");
    rig.create_topic(&topic, 1).await;
    let produce = |rig: &Rig, key: &str, value: &str| {
        rig.produce_raw(
            &topic,
            std::iter::once((0, Some(key.as_bytes()), Some(value.as_bytes()))),
        );
    };
    produce(&rig, r#"{"id":1}"#, r#"{"id":1}"#);
    let writer = rig.start_s3_spolt();
    let loader = rig.start_redshift_spolt();
    let warehouse = Warehouse::connect(&rig.parts.redshift).await;
    let create = format!("CREATE TABLE \"{}\".\"kept\" (", rig.name);
    until("the loader says what it waits for", async || {
        let log = loader.log();
        if log.contains(&create) && log.contains("goes on by itself") {
            Ok(())
        } else {
            Err(loader.log_tail())
        }
    })
    .await;
    let log = loader.log();
    let listed = &log[log.find(&create).unwrap()..];
    let statement = &listed[..listed.find(';').unwrap()];
    warehouse
        .rows(&format!("CREATE SCHEMA IF NOT EXISTS \"{}\"", rig.name))
        .await
        .unwrap();
    warehouse.rows(statement).await.unwrap();
    let ids = format!("SELECT id FROM \"{}\".\"kept\" ORDER BY 1", rig.name);
    rig.equals(&rig.parts.redshift, "kept", &ids, vec![cells(["1"])]).await;
    drop((writer, loader));

    rig.extra_config = config(wide, "off");
    let _writer = rig.start_s3_spolt();
    let loader = rig.start_redshift_spolt();
    produce(&rig, r#"{"id":2}"#, r#"{"id":2,"n":7}"#);
    let add = format!("ALTER TABLE \"{}\".\"kept\" ADD COLUMN \"n\" BIGINT", rig.name);
    until("the table halts", async || {
        let log = loader.log();
        if log.contains(&add) && log.contains("`ddl` is \"off\"") && log.contains("halted") {
            Ok(())
        } else {
            Err(loader.log_tail())
        }
    })
    .await;
    drop(loader);
    warehouse.rows(&add).await.unwrap();
    let _loader = rig.start_redshift_spolt();
    let rows = format!("SELECT id, n FROM \"{}\".\"kept\" ORDER BY 1", rig.name);
    rig.equals(
        &rig.parts.redshift,
        "kept",
        &rows,
        vec![cells(["1", "NULL"]), cells(["2", "7"])],
    )
    .await;
}

/// A column that is not wanted goes, but not from under a view; its field may come on, also as one that did not change.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_is_dropped_when_that_is_said() {
    let mut rig = Rig::new("dropped").await;
    let topic = rig.topic("kept");
    let settings = format!(
        "[[topic]]\nname = \"{topic}\"\nformat = \"json\"\nenvelope = \"plain\"\ncolumns = {{ id = \"bigint\", note = \"varchar\", n = \"bigint\" }}\nkey = [\"id\"]\n"
    );
    rig.extra_config = settings.clone();
    rig.create_topic(&topic, 1).await;
    let produce = |rig: &Rig, value: &str| rig.produce_raw(&topic, std::iter::once((0, None, Some(value.as_bytes()))));
    let _writer = rig.start_s3_spolt();
    let loader = rig.start_redshift_spolt();
    produce(&rig, r#"{"id":1,"note":"a","n":1}"#);
    let table = format!("\"{}\".\"kept\"", rig.name);
    let sql = format!("SELECT id, n FROM {table} ORDER BY 1");
    rig.equals(&rig.parts.redshift, "kept", &sql, vec![cells(["1", "1"])])
        .await;
    drop(loader);
    let warehouse = Warehouse::connect(&rig.parts.redshift).await;
    let view = format!("\"{}\".\"notes\"", rig.name);
    let create = format!("CREATE VIEW {view} AS SELECT note FROM {table}");
    warehouse.rows(&create).await.unwrap();

    rig.extra_config = format!("{settings}drop_columns = [\"note\"]\n");
    let loader = rig.start_redshift_spolt();
    produce(&rig, r#"{"id":2,"note":"b","n":2}"#);
    until("the loader names the view", async || {
        let log = loader.log();
        if log.contains("views are bound to it") && log.contains("notes") {
            Ok(())
        } else {
            Err(loader.log_tail())
        }
    })
    .await;
    drop(loader);
    warehouse.rows(&format!("DROP VIEW {view}")).await.unwrap();
    let _loader = rig.start_redshift_spolt();
    produce(&rig, r#"{"id":1,"note":"__debezium_unavailable_value","n":3}"#);
    let expected = vec![cells(["1", "3"]), cells(["2", "2"])];
    rig.equals(&rig.parts.redshift, "kept", &sql, expected).await;
    let names = format!(
        "SELECT column_name FROM svv_columns WHERE table_schema = '{}' AND table_name = 'kept' AND column_name = 'note'",
        rig.name
    );
    assert!(warehouse.rows(&names).await.unwrap().is_empty());
    let changes = format!(
        "SELECT kind, column_name FROM \"state_{0}\".\"{0}__kept__changes\" WHERE kind = 'drop_column'",
        rig.name
    );
    assert_eq!(
        warehouse.rows(&changes).await.unwrap(),
        [cells(["drop_column", "note"])]
    );
}

/// Nobody declares anything: the table becomes what the records show, over restarts too.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_learned_from_its_records() {
    let mut rig = Rig::new("learned").await;
    let topic = rig.topic("events");
    rig.extra_config = format!(
        "[[topic]]\nname = \"{topic}\"\nformat = \"json\"\nundeclared = \"learn\"\nenvelope = \"plain\"\nkey = [\"id\"]\ntypes = {{ price = \"DECIMAL(10,2)\" }}\n"
    );
    rig.create_topic(&topic, 1).await;
    let produce = |value: &str| rig.produce_raw(&topic, std::iter::once((0, None, Some(value.as_bytes()))));
    let loader = rig.start_redshift_spolt();
    let writer = rig.start_s3_spolt();
    produce(r#"{"id":1,"kind":"a","n":9007199254740993,"at":null}"#);
    produce(r#"{"id":2,"kind":"b","tags":["x",{"y":1}],"ok":true,"price":"12.5"}"#);
    let table = format!("\"{}\".\"events\"", rig.name);
    let sql = format!("SELECT id, kind, n, tags, ok, price FROM {table} ORDER BY 1");
    let first = vec![
        cells(["1", "a", "9007199254740993", "NULL", "NULL", "NULL"]),
        cells(["2", "b", "NULL", r#"["x",{"y":1}]"#, "t", "12.50"]),
    ];
    rig.equals(&rig.parts.redshift, "events", &sql, first).await;
    drop(writer);

    let _writer = rig.start_s3_spolt();
    produce(r#"{"id":1,"kind":{"name":"c"},"n":0.5,"at":"now"}"#);
    produce(r#"{"n":1}"#);
    let sql = format!("SELECT id, kind, kind_super, n, n_double_precision, at FROM {table} ORDER BY 1");
    let second = vec![
        cells(["1", "NULL", r#"{"name":"c"}"#, "NULL", "0.5", "now"]),
        cells(["2", "b", "NULL", "NULL", "NULL", "NULL"]),
    ];
    rig.equals(&rig.parts.redshift, "events", &sql, second).await;
    let aside = format!(
        "SELECT _kafka_offset, _kafka_reason, _kafka_column FROM \"state_{0}\".\"{0}__events__set_aside\"",
        rig.name
    );
    let missing = vec![cells(["3", "null_key", "id"])];
    rig.equals(&rig.parts.redshift, "events", &aside, missing).await;
    drop(loader);
}

/// A field that changes its type, with partitions that go on in the old one: one column holds all of it, and what was there already.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_is_rebuilt_for_another_type() {
    let mut rig = Rig::new("rebuilt").await;
    let topic = rig.topic("kept");
    let settings = |ty: &str| {
        format!(
            "[[topic]]\nname = \"{topic}\"\nformat = \"json\"\nenvelope = \"plain\"\ncolumns = {{ id = \"bigint\", v = \"{ty}\", n = \"integer\" }}\nkey = [\"id\"]\n\
             type_changes = \"rebuild\"\n"
        )
    };
    rig.extra_config = settings("decimal(10,2)");
    rig.create_topic(&topic, 2).await;
    let produce = |rig: &Rig, partition: i32, value: &str| {
        rig.produce_raw(&topic, std::iter::once((partition, None, Some(value.as_bytes()))));
    };
    let loader = rig.start_redshift_spolt();
    let writer = rig.start_s3_spolt();
    produce(&rig, 0, r#"{"id":0,"v":1.5,"n":1}"#);
    produce(&rig, 1, r#"{"id":1,"v":-20,"n":1}"#);
    let sql = format!("SELECT id, v, n FROM \"{}\".\"kept\" ORDER BY 1", rig.name);
    let first = vec![cells(["0", "1.50", "1"]), cells(["1", "-20.00", "1"])];
    rig.equals(&rig.parts.redshift, "kept", &sql, first).await;
    let warehouse = Warehouse::connect(&rig.parts.redshift).await;
    let comment = format!("COMMENT ON COLUMN \"{}\".\"kept\".\"v\" IS 'as it was'", rig.name);
    warehouse.rows(&comment).await.unwrap();
    drop((writer, loader));

    rig.extra_config = settings("varchar");
    let _loader = rig.start_redshift_spolt();
    let _writer = rig.start_s3_spolt();
    produce(&rig, 0, r#"{"id":2,"v":"about 3","n":2}"#);
    let second = vec![
        cells(["0", "1.50", "1"]),
        cells(["1", "-20.00", "1"]),
        cells(["2", "about 3", "2"]),
    ];
    rig.equals(&rig.parts.redshift, "kept", &sql, second.clone()).await;
    // The other partition has the plan of decimals until a record of its own says otherwise.
    produce(&rig, 1, r#"{"id":3,"v":"four","n":2}"#);
    let third = [second, vec![cells(["3", "four", "2"])]].concat();
    rig.equals(&rig.parts.redshift, "kept", &sql, third).await;
    let changes = format!(
        "SELECT DISTINCT column_name, kind FROM \"state_{0}\".\"{0}__kept__changes\" WHERE column_name = 'v'",
        rig.name
    );
    assert_eq!(warehouse.rows(&changes).await.unwrap(), [cells(["v", "wider_type"])]);
}
