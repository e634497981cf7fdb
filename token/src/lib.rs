//! The vocabulary and the law of Stipend tokens.
//!
//! Everything here is a value or a pure decision: no IO, no async, no clock, no
//! randomness. Time comes in as [`Timestamp`], so that every law can be tested
//! at any instant. The server, the key-release service and relying services
//! share these types, so a scope means the same on both sides of the wire.

pub mod access;
pub mod budget;
pub mod chain;
pub mod claims;
pub mod constraint;
pub mod context;
pub mod details;
pub mod id;
pub mod id_jag;
pub mod json;
pub mod lineage;
pub mod narrow;
pub mod objects;
pub mod rate;
pub mod revoked;
pub mod rule;
pub mod scope;
pub mod status_list;
pub mod target;

pub use chain::{Actor, ActorChain, MayAct};
pub use claims::{AccessToken, Environment};
pub use context::{Confirmation, StatusReference, UserContext};
pub use scope::ScopeSet;
pub use status_list::{Status, StatusList, StatusListError};
pub use target::Audience;

/// Seconds since the Unix epoch (RFC 7519 section 2, NumericDate), as an integer.
pub type Timestamp = i64;
