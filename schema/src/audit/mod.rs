//! The audit chain, as pure functions: the text of a record, its hash, and the proof over a
//! sequence of records. Every writer (one per process start) has a chain of its own, `n` from 1
//! without gaps, each record naming the hash of the one before it.
//! Nothing here reads or writes a database: the committer appends, the CLI verifies.

mod record;
mod verify;

pub(crate) use record::draft_text;
pub use record::{Chain, HASH_BYTES, Hash, RecordDraft, hash, record_text};
pub use verify::{Anchor, ChainFault, ChainSummary, ChainVerifier, RedactedText, WriterHead, verify_chain};

/// The event of a writer's first record, whose detail names other writers' heads.
pub const WRITER_STARTED: &str = "audit.writer_started";
