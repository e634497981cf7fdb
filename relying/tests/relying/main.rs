//! The relying crate against an issuer that can be told to misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

mod discovery;
mod keys;
mod stand_in;
mod tokens;
