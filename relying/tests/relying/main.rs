//! The relying crate against an issuer that can be told to misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

mod checks;
mod counting;
mod discovery;
mod events;
mod guarding;
mod holding;
mod keys;
mod killed;
mod ledger;
mod proofs;
mod spending;
mod stand_in;
mod statuses;
mod tokens;
