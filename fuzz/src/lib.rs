//! Fuzz targets. Their bodies are also run over the kept inputs by an ordinary test (`redshift-local/tests/fuzz.rs`).

pub mod bodies;
pub mod kept;

/// The parts of redshift-local that parse, without the server around them.
#[path = "../../redshift-local/src"]
pub mod stand_in {
    #[allow(dead_code, reason = "the server uses the rest")]
    pub mod sql;
    #[path = "copy/csv.rs"]
    #[allow(dead_code, reason = "the server uses the rest")]
    pub mod csv;
}
