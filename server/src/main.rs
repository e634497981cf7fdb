//! The `stipend` binary: everything is in the library, so that tests run what users run.

use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// A request makes some hundred small things and lets them go, on threads that hand them to each
/// other: the system's own allocator is slower at that.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    stipend::cli::main()
}
