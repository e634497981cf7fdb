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
mod life;
mod manage;
mod register;
mod world;
