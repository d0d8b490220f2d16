//! The redshift-spolt program.

use std::process::ExitCode;

fn main() -> ExitCode {
    redshift_spolt::cli::main()
}
