//! The inputs that fuzzing has kept, through the bodies of its targets (`fuzz/`): what it once found stays found, and the bodies stay alive.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[path = "../../fuzz/src/bodies.rs"]
#[allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "written for a target, where whatever stops is a finding"
)]
mod bodies;
#[path = "../../fuzz/src/kept.rs"]
mod kept;

/// What the bodies know the parsing parts by.
mod stand_in {
    pub use redshift_local::copy::csv;
    pub use redshift_local::sql;
}

#[test]
fn kept_inputs_hold() {
    for (target, body) in bodies::ALL {
        let file = format!("{}/../fuzz/kept/{target}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(text.lines().count() >= 5, "{file} keeps next to nothing");
        for line in text.lines() {
            let input = kept::bytes(line);
            assert_eq!(kept::line(&input), line, "{file}: a line does not read back");
            body(&input);
        }
        println!("{target}: {} inputs", text.lines().count());
    }
}
