//! Dynamic client registration over HTTP: RFC 7591, RFC 7592, and what a client must not get by
//! them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines
)]

mod bounds;
mod contention;
#[path = "../support/idp.rs"]
mod idp;
mod life;
mod manage;
mod published;
mod register;
mod world;
