//! What a node tells of itself: metrics, traces, and that telling costs nothing else.
#![allow(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::disallowed_methods
)]

mod access;
mod collector;
mod dashboard;
mod exposition;
mod failures;
#[path = "../support/idp.rs"]
mod idp;
mod metrics;
mod process;
mod promql;
mod secrets;
mod tour;
mod traces;
#[allow(dead_code, reason = "each test binary uses its part of it")]
#[path = "../oauth/world.rs"]
mod world;
