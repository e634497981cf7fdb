//! The relying crate against the real server: its example as it stands, holds across a crash,
//! carved lines from the token to the last report.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod carved;
mod company;
mod example;
mod holds;

#[allow(dead_code, reason = "its own main is not called here")]
#[path = "../../../relying/examples/charging_service.rs"]
mod charging_service;
