//! Strong identities together: people who approve for users of another issuer, keys that are
//! proved under every grant, and agents whose risk somebody judges.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines,
    clippy::disallowed_methods
)]

#[path = "../support/idp.rs"]
mod idp;

mod approvals;
mod keys;
mod risk;
mod world;
