//! How services outside learn of revocations, as it is stored: what can kill each token whose
//! status is published, and what has not been delivered yet.
//!
//! Entries and events are written by the works that they belong to, so that none is lost with a
//! process. What a status is, and who is told of what, is decided elsewhere.

mod rows;
mod status;

pub use rows::StatusEntryRow;
pub use status::{FALLEN_LIMIT, Fallen, fallen, status_entries};
