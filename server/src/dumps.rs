//! The memory of this process stays out of core files: it holds keys in the clear.
//!
//! What it can't keep out is swap and whoever is root on the machine.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Forbids core files for good: neither this process nor a child of it can allow them again.
/// On Linux no other process of the same user may look into its memory either, and where a
/// program is named that takes core files, it gets none.
///
/// # Errors
/// What the system says where it refuses.
pub fn forbid() -> Result<(), Errno> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}
