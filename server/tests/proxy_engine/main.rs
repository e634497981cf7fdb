//! The forwarding engine against raw sockets, where every byte of the upstream is the test's
//! own, and against the stand-in provider.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::as_conversions)]

mod addresses;
mod faults;
mod masking;
mod provider;
mod raw;
mod smuggling;
mod streaming;
mod tls;
