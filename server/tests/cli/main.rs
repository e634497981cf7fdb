//! The real binary against a real server: what people read, what programs read, exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::too_many_lines)]

mod agents;
mod audit;
mod budgets;
mod custody;
mod errors;
mod every_command;
mod explain;
mod front;
mod help;
mod killed;
mod killed_budget;
mod process;
mod recovered;
mod revocations;
mod rules;
mod run;
mod secrets;
mod servers;
mod terminal;
mod tokens;
