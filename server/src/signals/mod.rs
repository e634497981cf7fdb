//! Security events for services that registered a stream (OpenID Shared Signals Framework 1.0 and
//! its CAEP events): what was revoked, and which credentials changed.
//!
//! What an event is about is derived from the rows that a work writes, and the event is written
//! with them, so that there is no revocation without its events and no event of what did not
//! happen (`announce.rs`). A stream is told of what concerns the resources that its client serves
//! and of nothing else. Delivery is at least once, by push (RFC 8935, `push.rs`) or poll (RFC 8936,
//! `poll.rs`): an event stays until its receiver has it, or for a day.
//! An event is a hint: it says less than the record, and nothing here decides what is revoked.

mod announce;
mod budget;
mod caller;
mod event;
mod oversight;
mod poll;
mod push;
mod reach;
mod request;
mod stream;
mod streams;

pub use announce::announce;
pub use budget::{tell as tell_exhausted, tell_exhaustions};
pub use caller::{Caller, SCOPE_MANAGE, SCOPE_READ, SSF_SCOPES};
pub use event::{EventKind, Initiator};
pub use oversight::{Overseen, follow, forget, order, removal};
pub use poll::{Poll, Polled, poll};
pub use push::{deliver, push_events};
pub use reach::reach;
pub use request::{StreamRequest, parse};
pub(crate) use stream::load;
pub use stream::{Delivery, Stream, StreamSpec, StreamState};
pub use streams::{Configuration, NewStatus, Verification, View};
pub use streams::{create, find, patch, put, remove, set_status, status, verify};
