//! The `stipend` binary: everything is in the library, so that tests run what users run.

use std::process::ExitCode;

fn main() -> ExitCode {
    stipend::cli::main()
}
