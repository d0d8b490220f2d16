//! redshift-spolt with failpoints and mutants, for the drills alone.

use std::process::ExitCode;

fn main() -> ExitCode {
    redshift_spolt::cli::main()
}
