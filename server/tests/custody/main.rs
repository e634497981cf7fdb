//! Custody over HTTP: who may use a credential, how it is released, what stops it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines,
    clippy::disallowed_methods
)]

mod answers;
mod apart;
mod canary;
mod ceilings;
mod grants;
mod metering;
mod parties;
mod proxy;
mod raw;
mod release;
mod rotation;
mod unwrap;
mod upstreams;
mod world;
