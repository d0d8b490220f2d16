//! The rule of the house: who may depend on whom (ARCHITECTURE.md).

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Package -> what it depends on directly, development dependencies aside; ours by name, others by name too.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--locked",
            "--manifest-path",
            manifest,
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let names: BTreeMap<String, String> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let mut all = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let direct = node["deps"].as_array().unwrap().iter().filter(|dependency| {
            dependency["dep_kinds"]
                .as_array()
                .unwrap()
                .iter()
                .any(|kind| kind["kind"].is_null())
        });
        let direct: BTreeSet<String> = direct
            .map(|dependency| names[&text(&dependency["pkg"])].clone())
            .collect();
        all.entry(names[&text(&node["id"])].clone())
            .or_insert_with(BTreeSet::new)
            .extend(direct);
    }
    all
}

fn reachable(from: &str, all: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(name) = open.pop() {
        for next in &all[&name] {
            if seen.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    seen
}

#[test]
fn the_core_reaches_no_async_runtime_client_or_driver() {
    let reached = reachable("common", &dependencies());
    for banned in [
        "tokio",
        "futures",
        "async-trait",
        "rdkafka",
        "aws-sdk-s3",
        "tokio-postgres",
        "reqwest",
        "axum",
        "hyper",
    ] {
        assert!(!reached.contains(banned), "common reaches {banned}");
    }
}

#[test]
fn nobody_depends_on_what_stands_above_them() {
    let all = dependencies();
    let ours = [
        "common",
        "runtime",
        "s3-spolt",
        "redshift-spolt",
        "redshift-local",
        "devstack",
        "tests",
    ];
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("common", &[][..]),
        ("runtime", &["common"]),
        ("s3-spolt", &["common", "runtime"]),
        ("redshift-spolt", &["common", "runtime"]),
        ("redshift-local", &[]),
    ]);
    for (package, may) in allowed {
        let direct: Vec<&String> = all[package]
            .iter()
            .filter(|name| ours.contains(&name.as_str()))
            .collect();
        assert!(
            direct.iter().all(|name| may.contains(&name.as_str())),
            "{package} depends on {direct:?}"
        );
    }
}

/// A promise whose test was renamed or dropped is a promise that nothing shows.
#[test]
fn the_tests_that_the_guarantees_name_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let guarantees = std::fs::read_to_string(root.join("../docs/guarantees.md")).unwrap();
    let named: BTreeSet<&str> = guarantees
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.matches('_').count() >= 3 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    assert!(named.len() >= 10, "few tests are named: {named:?}");
    let mut sources = String::new();
    for folder in [
        "tests/e2e",
        "tests/localstack",
        "../redshift-spolt/tests",
        "../redshift-spolt/tests/modes",
    ] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                sources += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    for name in named {
        assert!(sources.contains(&format!("fn {name}(")), "no test is called `{name}`");
    }
}
