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
