//! Clients that authenticate by something that no one here keeps a secret of: certificates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines
)]

mod authority;
mod handshake;
mod proxied;
mod registration;
mod self_signed;
mod trusted;
mod world;
