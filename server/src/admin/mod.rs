//! The admin API: owners, agents, resources, exchange rules, approvals, signing keys, revocations, audit.
//!
//! Bearer tokens of our own, no back door: the CLI comes this way too. One file per collection,
//! each change as load, decide, write; `roles` alone knows who may do what, `session` alone
//! commits, `http` alone knows actix.

mod agents;
pub mod api;
mod approvals;
mod audit;
mod audit_redactions;
mod audit_sinks;
mod budgets;
mod caller;
mod check;
mod client_documents;
mod custody;
mod explain;
mod http;
mod issuers;
mod limits;
mod owners;
mod page;
mod person;
mod policies;
mod problem;
mod registration_tokens;
mod resources;
mod revocations;
mod roles;
mod rules;
mod session;
mod signing_keys;
mod streams;
mod turns;

// Whoever registers gets secrets and keys by the same rules as whom an admin registers.
pub(crate) use agents::{FreshSecret, fresh_secret, key_row, parse_jwks};
pub use http::{openapi, overloaded, routes};
pub(crate) use limits::{DEFAULT_SECRET_SECONDS, MAX_CREDENTIAL_SECONDS, MAX_EXPIRY_SECONDS};
pub use turns::Turns;
