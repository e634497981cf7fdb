//! Forwarding a call to a provider with a key that the caller never sees (design, section 8).
//!
//! Owns the way from here to the upstream and back: which addresses may be reached, which
//! headers cross, how long everything may take, that the key does not come back, and what the
//! answer says it used. It knows no tokens, grants, budgets or tables, decides nothing about who
//! may call, and logs nothing: what an upstream sends reaches the agent or nobody.
//!
//! Never follows a redirect, never asks a proxy of the environment, and never sends a second
//! request for one call.

mod answer;
mod body;
mod fault;
mod guard;
mod headers;
mod join;
pub mod limits;
mod mask;
pub mod prices;
mod request;
pub mod templates;
mod upstreams;
pub mod usage;

pub use body::{AnswerBody, End, Meter, Reading};
pub use fault::UpstreamFault;
pub(crate) use guard::{Guard, SystemLookup};
pub use guard::{Looking, Lookup};
pub use join::{JoinError, join};
pub use limits::Timeouts;
pub use request::{BodySender, RequestBody, request_body};
pub(crate) use upstreams::guarded_client;
pub use upstreams::{Forward, Forwarded, SetupError, UpstreamConfig, Upstreams};
pub use usage::{Usage, UsageStyle};
