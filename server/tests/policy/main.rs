//! Policies over HTTP: what they stop and where, whose they are, and what they would have stopped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines,
    clippy::disallowed_methods
)]

mod api;
mod custody;
mod dry_run;
mod nodes;
mod tokens;
mod world;
