//! People: exchanges that wait for their approval, what they answer for, how they log in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines
)]

mod answers;
mod asking;
mod ending;
#[path = "../support/idp.rs"]
mod idp;
mod login;
mod polling;
mod responsible;
mod world;
