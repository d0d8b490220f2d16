//! Configuration files as people write them: `config/good` are read and shown again, `config/bad` say in their first lines which keys are
//! wrong, and all of them must be told at once.

#![expect(clippy::unwrap_used, reason = "a helper of tests may panic")]

use std::path::{Path, PathBuf};

use common::row::{Format, SchemaIds};
use runtime::config::{Config, ConfigError, KeySetting, Mode};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn good_files_are_read_and_shown_again() {
    for file in files("good") {
        let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let dump = config.dump();
        let again = Config::parse(&dump, "dump").unwrap_or_else(|error| panic!("{error}\n{dump}"));
        assert_eq!(again.dump(), dump, "{}", file.display());
    }
}

#[test]
fn every_mistake_of_a_bad_file_is_told_with_a_hint() {
    for file in files("bad") {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("# expect: "));
        let keys = lines
            .flat_map(str::split_whitespace)
            .map(|key| if key == "-" { "" } else { key });
        let mut expected: Vec<String> = keys.map(str::to_owned).collect();
        expected.sort();
        let error: ConfigError = Config::load(&file).expect_err("it is bad");
        let mut found: Vec<String> = error.problems.iter().map(|problem| problem.key.clone()).collect();
        found.sort();
        assert_eq!(found, expected, "{error}");
        assert!(error.problems.iter().all(|problem| !problem.hint.is_empty()), "{error}");
        assert!(!error.to_string().contains("open sesame"), "a secret is shown: {error}");
    }
}

#[test]
fn the_nearest_key_is_suggested() {
    let file = files("bad")
        .into_iter()
        .find(|file| file.ends_with("unknown-keys.toml"))
        .unwrap();
    let error = Config::load(file).unwrap_err().to_string();
    for hint in [
        "did you mean `bootstrap_servers`?",
        "did you mean `bucket`?",
        "did you mean `cut_bytes`?",
    ] {
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn settings_of_topics_come_from_the_first_entry_that_matches() {
    let file = files("good")
        .into_iter()
        .find(|file| file.ends_with("loader.toml"))
        .unwrap();
    let config = Config::load(file).unwrap();
    let shop = config.topics.for_topic("shop-7.public.orders");
    assert_eq!((shop.mode, shop.varchar["note"]), (Mode::Upsert, 65_535));
    assert_eq!(shop.key, KeySetting::Fields(vec!["id".into(), "shop".into()]));
    assert_eq!(config.topics.for_topic("weather").key, KeySetting::None);
    assert_eq!(config.topics.for_topic("other").mode, Mode::Append);
    assert_eq!(config.topics.for_topic("people").mode, Mode::SoftDelete);
    assert_eq!(config.topics.for_topic("prices").mode, Mode::History);
    assert_eq!(shop.order_by.as_deref(), Some("source.lsn"));
    assert_eq!(config.topics.for_topic("other").order_by, None);
    let declared = config.topics.for_topic("declared").rows();
    let columns: Vec<String> = declared
        .columns
        .iter()
        .map(|it| format!("{} {}", it.field, it.ty))
        .collect();
    let in_order = [
        "id bigint",
        "a price decimal(10,2)",
        "seen timestamptz from millis",
        "again date from days",
    ];
    assert_eq!(columns, in_order, "columns keep the order of the file");
    let embedded = config.topics.for_topic("embedded").rows();
    assert_eq!((embedded.format, embedded.columns.len()), (Format::ConnectJson, 0));
    let piped = config.topics.for_topic("piped").rows();
    assert!(piped.envelope == common::envelope::Kind::Yelp && piped.accept_nul_magic && piped.data_keys.is_empty());
    assert_eq!(config.topics.for_topic("headed").rows().schema_ids, SchemaIds::Header);
    let uses = config.topics.header_uses();
    assert_eq!(
        (uses("headed").schema_ids, uses("embedded").schema_ids),
        (Some(false), None)
    );
    let flattened = config.topics.for_topic("flattened").rows();
    assert_eq!(
        flattened.flat_fields,
        ["__lsn", "__op", "__source_ts_ms"],
        "what orders rows is a column"
    );
    let loader = config.redshift_spolt.unwrap();
    assert!(
        loader.topics.contains("shop-7.public.orders") && !loader.topics.contains("shop-7.public.audit.more.audit")
    );
    assert_eq!(loader.group_id, "redshift-spolt-blue");
    assert_eq!(config.s3.prefix, "warehouse/raw");
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let error = Config::load("/nowhere/spolt.toml").unwrap_err().to_string();
    assert!(
        error.contains("/nowhere/spolt.toml") && error.contains("--config"),
        "{error}"
    );
}
