//! Load and chaos for a Stipend deployment, with a checker that believes nothing but what was
//! answered.
//!
//! Owns five things: the load generator (`load`), which drives a deployment by schedule and
//! keeps a history of every attempt; the checker (`check`), which holds that history against
//! what the deployment says at the end, in the manner of Jepsen's counter and bank workloads;
//! the chaos runner (`chaos`), which breaks a private deployment while the load runs; and the
//! measurement of speed (`compare`) beside a floor (`floor`) in the same run. It reaches the server over HTTP only, and its command line as a process, and must never depend
//! on another crate of the workspace: a judge that shared the server's code would share its
//! faults.

pub mod chaos;
pub mod check;
mod clock;
pub mod compare;
mod error;
pub mod floor;
mod http;
pub mod load;
mod setup;

pub use clock::Epoch;
pub use error::BenchError;
pub use setup::Admin;
