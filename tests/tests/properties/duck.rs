//! DuckDB in Python, started once, asked object by object.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use common::csv::DEFAULT_NULL_MARKER;
use common::plan::META_COLUMNS;
use serde_json::json;
use spolt_tests::warehouse::Row;

use crate::table::Encoded;
use crate::warehouse::Object;

/// The running reader; it ends when its input does.
pub struct Duck {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Duck {
    /// Starts it.
    pub fn start() -> Duck {
        let cache = std::env::var("SPOLT_CACHE").expect("`SPOLT_CACHE` says where downloads lie\nhint: run ./test");
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/properties/read.py");
        let mut child = Command::new(PathBuf::from(cache).join("outside/bin/python"))
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python with DuckDB can be started\nhint: `devstack fetch` makes it");
        Duck {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// The rows of an object, in the order of their offsets.
    pub fn read(&mut self, object: &Object, encoded: &Encoded) -> Vec<Row> {
        let columns = encoded
            .plan
            .columns
            .iter()
            .map(|column| (&column.name, column.ty.to_string()));
        let job = json!({
            "file": object.file,
            "marker": DEFAULT_NULL_MARKER,
            "meta": META_COLUMNS.map(|column| column.name),
            "columns": columns.collect::<Vec<_>>(),
        });
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{job}").expect("DuckDB's process takes jobs; it said why not above");
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(
            !line.is_empty(),
            "DuckDB cannot read `{}`; it said why above",
            object.file.display()
        );
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Duck {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
