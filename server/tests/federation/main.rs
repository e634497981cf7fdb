//! Tokens of issuers that are not ours: which are believed, for what, and what is made of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines
)]

mod admin;
mod exchange;
mod hosts;
#[path = "../support/idp.rs"]
mod idp;
mod keys;
mod verify;
mod world;
