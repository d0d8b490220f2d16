//! `devstack`: starts the real parts, makes load, runs the quickstart.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
