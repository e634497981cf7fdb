//! Clients known by a metadata document: who is let in by one, what is fetched for it, and what
//! becomes of the client when its document or its entry changes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines
)]

mod admin;
mod first_use;
mod floods;
mod followed;
mod hostile;
#[path = "../support/idp.rs"]
mod idp;
mod stopped;
mod world;
