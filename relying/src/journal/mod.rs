//! What a service must still know after its own crash: an append-only file with one writer.
//!
//! A record is durable when its append returns: written and fsynced. Appends that come while
//! one is being written go out together with the next one (group commit). The file is written
//! anew when most of it is finished business. What the records mean is the [`Book`]'s
//! part; nothing here speaks to the network or reads a clock.
//!
//! After a failed write or fsync nobody can say what is on the disk, so the journal takes no
//! more and says so: open it anew, which reads what is there.

mod file;
mod writer;

pub(crate) use writer::{Journal, Purpose};

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// The bounds of one journal.
#[derive(Clone, Copy, Debug)]
pub struct JournalOptions {
    /// Above this many bytes nothing new begins. What has begun may end, in as much again.
    pub max_bytes: u64,
    /// Below this many bytes the file is not written anew.
    pub compact_bytes: u64,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { max_bytes: 64 * 1024 * 1024, compact_bytes: 1024 * 1024 }
    }
}

/// Why a journal can't be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JournalError {
    #[error("{path}: {reason}")]
    Io { path: String, reason: String },
    #[error("{path} is in use by another process")]
    InUse { path: String },
    #[error("{path} is not a journal of this kind")]
    Foreign { path: String },
    /// Not the torn end that a crash leaves: something was changed or lost.
    #[error("{path} is damaged at byte {offset}: {what}")]
    Damaged { path: String, offset: u64, what: &'static str },
    #[error("the journal is full")]
    Full,
    #[error("a record is too large for the journal")]
    TooLarge,
    #[error("the journal failed and takes no more: open it anew")]
    Broken,
}

/// The state that records lead to.
pub(crate) trait Book: Clone + Debug + Default + Send + 'static {
    type Record: Serialize + DeserializeOwned + Debug + Send + 'static;

    /// What this kind of journal is called in its first line.
    const KIND: &'static str;

    /// Takes a record in. Each is true and in order when it comes here.
    fn apply(&mut self, record: &Self::Record);

    /// The fewest records that lead to this state.
    fn records(&self) -> Vec<Self::Record>;
}

#[cfg(test)]
mod tests;
