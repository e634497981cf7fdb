//! How services that verify tokens by themselves learn of revocations: signed introspection,
//! status lists, security events.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines,
    clippy::disallowed_methods
)]

mod budgets;
mod interop;
mod introspection;
mod oversight;
mod push;
mod reach;
mod relying;
mod status;
mod streams;
mod world;
