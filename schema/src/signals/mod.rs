//! How services outside learn of revocations, as it is stored: what can kill each token whose
//! status is published, and what has not been delivered yet.
//!
//! Entries and events are written by the works that they belong to, so that none is lost with a
//! process. What a status is, and who is told of what, is decided elsewhere.

mod delivery;
mod outbox;
mod reach;
mod rows;
mod status;

pub use delivery::{
    SignalDeliveryRow, deliveries, exhaustions, forget_deliveries, note_delivered, note_failed, waiting,
};
pub use outbox::{
    NOT_PUSHED, OUTBOX_PAGE, clear_outbox, due_events, find_stream, find_stream_of, list_streams, outbox, outbox_len,
    put_off, redirect_events, remove_events,
};
pub use reach::{REACH_LIMIT, SignalReachRow, reached};
pub use rows::{SignalEventRow, SignalStreamRow, StatusEntryRow};
pub use status::{FALLEN_LIMIT, Fallen, fallen, status_entries};
