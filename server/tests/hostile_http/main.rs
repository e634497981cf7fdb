//! Clients that keep to no rule, by raw sockets: whatever they send or leave out, the server
//! answers or closes in time, takes nothing for a request that is none, and serves others on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::too_many_lines
)]

mod bodies;
mod crowds;
mod heads;
mod injection;
mod overload;
mod raw;
mod smuggling;
