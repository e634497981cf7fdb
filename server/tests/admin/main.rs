//! The admin API over HTTP, one module per promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines
)]

mod audit;
mod concurrency;
mod credentials;
mod isolation;
mod keys;
mod life;
mod openapi;
mod requests;
mod roles;
mod routes;
mod rules;
mod signing_keys;
mod states;
mod strangers;
mod world;
