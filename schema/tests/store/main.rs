//! The store against real databases, both backends by the same tests.
#![allow(
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::too_many_arguments,
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::disallowed_methods
)]

mod approvals;
mod audit;
mod burns;
mod constraints;
mod contention;
mod custody;
mod documents;
mod faults;
mod feed;
mod fence;
mod hang;
mod janitor;
mod ledger;
mod migrations;
mod plans;
mod queries;
mod rates;
mod recovery;
mod rolling;
mod sinks;
mod support;
mod throughput;
mod token_lines;
