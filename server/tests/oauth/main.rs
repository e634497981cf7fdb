//! The OAuth endpoints over HTTP, one module per URL or promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines
)]

mod assertion;
mod audit;
mod authentication;
mod budget;
mod budget_contention;
mod budget_exchange;
mod budget_tokens;
mod client_credentials;
mod credential_details;
mod details_types;
mod discovery;
mod exchange;
mod faults;
mod form;
mod hostile_tokens;
mod introspect;
mod keys;
mod nodes;
mod revoke;
mod world;
