//! Many nodes, with Redis, without it, and while it is away.
#![allow(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::disallowed_methods
)]

mod configured;
mod failures;
mod faults;
mod limits;
mod process;
mod rates;
mod tls;
mod wake;
mod world;
