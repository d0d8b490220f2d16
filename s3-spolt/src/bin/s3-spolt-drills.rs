//! s3-spolt with failpoints and mutants, for the drills alone.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = s3_spolt::cli::Cli::parse();
    runtime::report::finish(s3_spolt::cli::execute(cli))
}
