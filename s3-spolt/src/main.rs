//! The s3-spolt binary: see `s3-spolt --help`.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = s3_spolt::cli::Cli::parse();
    runtime::report::finish(s3_spolt::cli::execute(cli))
}
