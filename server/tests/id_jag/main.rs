//! Identity assertion grants: issued for another authorization server, and accepted from one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines
)]

mod accept;
mod chain;
mod foreign;
#[path = "../support/idp.rs"]
mod idp;
mod issue;
mod world;
