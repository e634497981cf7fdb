//! Laws and attacks of constraints.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines,
    reason = "tests"
)]

mod ceilings;
mod kinds;
mod paths;
mod tightening;
mod world;
