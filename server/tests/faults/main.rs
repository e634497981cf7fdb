//! What breaks beside a node: its database, Redis, the network, the clocks. After each fault
//! everything is as the answers said, the audit and the books prove it, and nobody had to help.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::too_many_lines
)]

mod clocks;
mod database;
mod disk;
mod faketime;
mod matrix;
mod partition;
mod rotation;
mod world;
