//! The audit leaves the house: to webhooks that take it, fail, hang, or are gone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines,
    clippy::disallowed_methods
)]

mod killed;
mod receiver;
mod retention;
mod roles;
mod sinks;
mod streams;
mod world;
