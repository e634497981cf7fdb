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
mod audit_search;
mod budgets;
mod concurrency;
mod credentials;
mod escalation;
mod explain;
mod isolation;
mod keys;
mod life;
mod nodes;
mod openapi;
mod requests;
mod revocations;
mod roles;
mod routes;
mod rules;
mod signing_keys;
mod standing;
mod states;
mod strangers;
mod switched_off;
mod values;
mod world;
