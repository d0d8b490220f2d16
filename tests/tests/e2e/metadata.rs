//! What rows say of their records besides their fields, on the real path.

use spolt_tests::rig::{Rig, Sender};

fn cells<const N: usize>(cells: [&str; N]) -> Vec<Option<String>> {
    cells
        .map(|cell| Some(cell.to_owned()).filter(|cell| cell != "NULL"))
        .to_vec()
}

/// Headers reach their rows from the broker, are kept with a record that is set aside, and are there again when it is replayed.
#[tokio::test(flavor = "multi_thread")]
async fn headers_are_a_column_also_of_records_that_were_set_aside() {
    let mut rig = Rig::new("headers").await;
    let topic = rig.topic("calls");
    let settings = |rest: &str| {
        format!(
            "[[topic]]\nname = \"{topic}\"\nformat = \"json\"\nenvelope = \"plain\"\ncolumns = {{ id = \"bigint\", name = \"varchar\" }}\n\
             key = [\"id\"]\nmetadata = [\"headers\"]\n{rest}"
        )
    };
    rig.extra_config = settings("");
    rig.create_topic(&topic, 1).await;
    let writer = rig.start_s3_spolt();
    let loader = rig.start_redshift_spolt();
    let sender = Sender::new(&rig.parts.kafka);
    let send = |value: &str, headers: &[(&str, Option<&[u8]>)]| {
        sender.send_headed(&topic, 0, (None, Some(value.as_bytes())), headers);
    };
    send(
        r#"{"id":1,"name":"a"}"#,
        &[
            ("trace", Some(b"00-1")),
            ("hop", Some(b"a")),
            ("hop", Some(b"b")),
            ("none", None),
        ],
    );
    send(r#"{"id":2,"name":"b"}"#, &[]);
    send(r#"{"id":3,"name":"nul \u0000"}"#, &[("trace", Some(b"00-\xff"))]);
    send(r#"{"id":1,"name":"c"}"#, &[("trace", Some(b"00-2"))]);
    let sql = format!(
        "SELECT id, name, kafka_headers FROM \"{}\".\"calls\" ORDER BY 1",
        rig.name
    );
    let one = cells(["1", "c", r#"{"trace":"00-2"}"#]);
    let two = cells(["2", "b", "NULL"]);
    rig.equals(&rig.parts.redshift, "calls", &sql, vec![one.clone(), two.clone()])
        .await;
    drop((writer, loader));

    rig.extra_config = settings("bad_values = { name = \"null\" }\n");
    let (done, said) = rig.command("redshift-spolt", &["set-aside", "replay", &topic, "--apply"]);
    assert!(done && said.contains("1 records were replayed"), "{said}");
    let three = cells(["3", "NULL", r#"{"trace":{"base64":"MDAt/w=="}}"#]);
    rig.equals(&rig.parts.redshift, "calls", &sql, vec![one, two, three])
        .await;
}
