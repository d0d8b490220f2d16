//! A refresh: what a source sends again takes the place of all that a table holds, its views and rights staying; or is given up.

use spolt_tests::rig::Rig;
use spolt_tests::wait::until;
use spolt_tests::warehouse::Warehouse;

fn expected(rows: &[(i64, &str)]) -> Vec<Vec<Option<String>>> {
    rows.iter()
        .map(|(id, note)| vec![Some(id.to_string()), Some((*note).to_owned())])
        .collect()
}

async fn beside(rig: &Rig, warehouse: &Warehouse, rows: &[(i64, &str)]) {
    let sql = format!("SELECT id, note FROM \"{}\".\"kept__refresh\" ORDER BY 1", rig.name);
    until("the table beside holds what came since", async || {
        let found = warehouse.rows(&sql).await?;
        if found == expected(rows) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_takes_the_place_of_the_rows_or_is_given_up() {
    let mut rig = Rig::new("refresh").await;
    let topic = rig.topic("kept");
    rig.extra_config = format!(
        "[[topic]]\nname = \"{topic}\"\nformat = \"json\"\nenvelope = \"plain\"\ncolumns = {{ id = \"bigint\", note = \"varchar\" }}\nkey = [\"id\"]\n"
    );
    rig.create_topic(&topic, 2).await;
    let produce = |id: i64, note: &str| {
        let (key, value) = (format!(r#"{{"id":{id}}}"#), format!(r#"{{"id":{id},"note":"{note}"}}"#));
        let partition = i32::try_from(id % 2).unwrap();
        rig.produce_raw(
            &topic,
            std::iter::once((partition, Some(key.as_bytes()), Some(value.as_bytes()))),
        );
    };
    let delete = |id: i64| {
        let key = format!(r#"{{"id":{id}}}"#);
        rig.produce_raw(
            &topic,
            std::iter::once((i32::try_from(id % 2).unwrap(), Some(key.as_bytes()), None)),
        );
    };
    let _writer = rig.start_s3_spolt();
    let mut loader = rig.start_redshift_spolt();
    let sql = format!("SELECT id, note FROM \"{}\".\"kept\" ORDER BY 1", rig.name);
    let (done, said) = rig.command("redshift-spolt", &["refresh", "begin", &topic]);
    assert!(!done && said.contains("nothing was loaded yet"), "{said}");
    for id in 1..=4 {
        produce(id, "old");
    }
    let before = [(1, "old"), (2, "old"), (3, "old"), (4, "old")];
    rig.equals(&rig.parts.redshift, "kept", &sql, expected(&before)).await;
    let warehouse = Warehouse::connect(&rig.parts.redshift).await;
    let view = format!("\"{}\".\"kept_view\"", rig.name);
    for statement in [
        format!(
            "CREATE VIEW {view} AS SELECT COUNT(*) AS n FROM \"{}\".\"kept\"",
            rig.name
        ),
        format!("GRANT SELECT ON \"{}\".\"kept\" TO PUBLIC", rig.name),
    ] {
        warehouse.rows(&statement).await.unwrap();
    }

    let command = |arguments: &[&str], says: &str| {
        let (done, said) = rig.command("redshift-spolt", &[&["refresh"], arguments].concat());
        assert!(done && said.contains(says), "{arguments:?}: {said}");
    };
    command(&["begin", &topic], "Nothing was done");
    let (done, said) = rig.command("redshift-spolt", &["refresh", "finish", &topic]);
    assert!(!done && said.contains("no refresh is under way"), "{said}");
    command(&["begin", &topic, "--apply"], "has 4 rows and keeps them");
    let long = "x".repeat(300);
    produce(1, "new");
    produce(3, &long);
    produce(5, "new");
    delete(5);
    // A loader that dies on the way changes nothing of that.
    loader.kill();
    loader = rig.start_redshift_spolt();
    produce(6, "new");
    beside(&rig, &warehouse, &[(1, "new"), (3, &long), (6, "new")]).await;
    assert_eq!(
        warehouse.rows(&sql).await.unwrap(),
        expected(&before),
        "the table stays as it is"
    );
    command(&["finish", &topic], "the 3 rows of");
    command(&["finish", &topic, "--apply"], "Done.");
    let after = [(1, "new"), (3, long.as_str()), (6, "new")];
    assert_eq!(warehouse.rows(&sql).await.unwrap(), expected(&after));
    let counted = warehouse.rows(&format!("SELECT n FROM {view}")).await.unwrap();
    assert_eq!(counted, [vec![Some("3".to_owned())]]);
    let granted = format!(
        "SELECT COUNT(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = '{}' AND c.relname = 'kept' AND c.relacl IS NOT NULL",
        rig.name
    );
    assert_eq!(warehouse.rows(&granted).await.unwrap(), [vec![Some("1".to_owned())]]);
    produce(7, "later");
    let with_later = [&after[..], &[(7, "later")]].concat();
    rig.equals(&rig.parts.redshift, "kept", &sql, expected(&with_later))
        .await;

    // Given up: what came meanwhile is applied to the table, exactly once.
    command(&["begin", &topic, "--apply"], "Done.");
    produce(7, "latest");
    delete(1);
    produce(8, "latest");
    beside(&rig, &warehouse, &[(7, "latest"), (8, "latest")]).await;
    command(&["give-up", &topic, "--apply"], "Done.");
    produce(9, "last");
    let end = [
        (3, long.as_str()),
        (6, "new"),
        (7, "latest"),
        (8, "latest"),
        (9, "last"),
    ];
    rig.equals(&rig.parts.redshift, "kept", &sql, expected(&end)).await;
    let twice = format!(
        "SELECT \"partition\", start_offset FROM \"state_{0}\".\"{0}__kept__ledger\" WHERE kind = 'data' GROUP BY 1, 2 HAVING COUNT(*) > 1",
        rig.name
    );
    assert!(
        warehouse.rows(&twice).await.unwrap().is_empty(),
        "the ledger has each claim once"
    );
    drop(loader);
}
