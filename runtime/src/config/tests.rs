//! The example file and the code say the same.

use regex::Regex;

use super::*;

const EXAMPLE: &str = include_str!("../../../spolt.example.toml");
const REFERENCE: &str = include_str!("../../../docs/configuration.md");

/// The example with every commented-out key and section written.
fn uncommented() -> String {
    let key = Regex::new(r#"^# ("?[a-z_.]+"? = |\[)"#).unwrap();
    let line = |line: &str| {
        if key.is_match(line) {
            line[2..].to_owned()
        } else {
            line.to_owned()
        }
    };
    EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_holds_and_shows_the_defaults() {
    let config = Config::parse(EXAMPLE, "spolt.example.toml").unwrap_or_else(|error| panic!("{error}"));
    let mut with_default = 0;
    for seen in &config.seen {
        if let Some(default) = &seen.default {
            with_default += 1;
            assert_eq!(seen.value.as_ref(), Some(default), "{}.{}", seen.section, seen.key);
        }
    }
    assert!(with_default > 40, "{with_default}");
}

#[test]
fn every_key_of_the_code_is_in_the_example() {
    let text = uncommented();
    let document: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}"));
    let (config, problems) = resolve::read(&text).unwrap();
    // What the example shows as alternatives contradicts itself when all of it is written; nothing else may be wrong.
    let expected = [
        "kafka.password_env",
        "registry.password_env",
        "redshift_spolt.connection.password_env",
        "redshift_spolt.copy.iam_role",
        "topic_defaults.encryption_keys",
        "topic_defaults.columns",
        "topic[0].encryption_keys",
        "topic[0].columns",
    ];
    let found: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(found, expected, "{problems:#?}");

    for seen in config.seen {
        let mut at: &toml::Value = &toml::Value::Table(document.clone());
        for step in seen.section.split('.') {
            let (name, index) = step.split_once('[').unwrap_or((step, ""));
            at = at
                .get(name)
                .unwrap_or_else(|| panic!("[{}] is not in the example", seen.section));
            if let Ok(index) = index.trim_end_matches(']').parse::<usize>() {
                at = &at[index];
            }
        }
        assert!(
            at.get(&seen.key).is_some(),
            "{}.{} is not in the example",
            seen.section,
            seen.key
        );
        if seen.section != "kafka.properties" {
            assert!(
                REFERENCE.contains(&format!("`{}`", seen.key)),
                "{} is not in docs/configuration.md",
                seen.key
            );
        }
    }
}

#[test]
fn a_dump_reads_back_the_same() {
    let config = Config::parse(EXAMPLE, "example").unwrap();
    let dump = config.dump();
    let again = Config::parse(&dump, "dump").unwrap_or_else(|error| panic!("{error}\n{dump}"));
    assert_eq!(again.dump(), dump);
    assert!(
        dump.contains("[redshift_spolt.connection]") && dump.contains("cut_bytes = \"64MiB\""),
        "{dump}"
    );
}

#[test]
fn signal_topics_are_named_and_recognised() {
    let signals = Config::parse(EXAMPLE, "example").unwrap().signals;
    let name = signals.topic_for("shop.public.orders");
    assert_eq!(name, "spolt.signals.shop.public.orders");
    assert_eq!(signals.upstream_of(&name), Some("shop.public.orders"));
    assert_eq!(signals.upstream_of("shop.public.orders"), None);
    assert_eq!(signals.upstream_of("spolt.signals."), None);
}
