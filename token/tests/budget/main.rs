//! The law of budgets: every step by example, and random histories of many steps against a
//! second ledger that is written another way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "tests"
)]

mod declined;
mod keeper;
mod laws;
mod machine;
mod reference;
mod steps;
mod world;
