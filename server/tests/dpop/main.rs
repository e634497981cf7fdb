//! Proofs of possession over HTTP: tokens bound to a key, and all that could undo the binding.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines,
    clippy::disallowed_methods
)]

mod admin;
mod certificate;
mod exchange;
mod nonce;
mod replay;
mod resources;
mod token;
mod world;
