//! Chaos: a private deployment, broken by schedule while the load runs.
//!
//! Owns the processes and directories that it starts and nothing else: it signals no process
//! that is not its own, and what it leaves is a report, and the directory if one was named.

pub(crate) mod database;
mod faults;
mod node;
pub(crate) mod ports;
mod proxy;
mod recovery;
mod redis;
mod run;
mod schedule;
pub(crate) mod signals;

use crate::load::journal::Fsync;
use crate::load::plan::Shape;
use std::path::PathBuf;

pub use database::Postgres;
pub use recovery::{PROMISED, Recovery};
pub use run::run;
pub use schedule::{Fault, Planned, Schedule};

/// Most server processes.
pub const MAX_NODES: usize = 8;
/// Most faults of both kinds.
pub const MAX_FAULTS: usize = 10_000;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    Postgres,
    Sqlite,
}

/// What is to be broken, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    pub binary: PathBuf,
    pub backend: Backend,
    pub nodes: usize,
    pub redis: bool,
    pub kills: usize,
    pub faults: usize,
    pub shape: Shape,
    /// Absent: beside the database.
    pub journal: Option<PathBuf>,
    pub fsync: Fsync,
    /// Where everything is kept; absent: a directory that is removed.
    pub keep: Option<PathBuf>,
}
