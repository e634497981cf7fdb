//! Clients that authenticate by something that no secret is kept of here: certificates, and what
//! their platforms say of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines
)]

mod authority;
mod federated;
mod fetched;
mod handshake;
#[path = "../support/idp.rs"]
mod idp;
mod platforms;
mod proxied;
mod published;
mod registered;
mod registration;
mod self_signed;
mod spiffe;
mod trusted;
mod world;
