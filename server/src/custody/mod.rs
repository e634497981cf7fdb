//! Custody: keys of other services that agents use and never own.
//!
//! A call needs three things, each of which only restricts: a token with the scope (function
//! authorization), a grant of the credential to the agent (data authorization), and constraints
//! that hold: the credential's, the grant's and the token's. What is decided commits with its
//! record, its counts and its hold on the budget; only then is a value opened. The checks of a
//! token are those of `stipend_relying`, as with any service that accepts our tokens.
//! Nothing here may put a value anywhere but into the answer or the upstream request meant for it.

mod admission;
mod call;
mod commit;
mod counting;
mod policies;
mod price;
mod probe;
mod release;
mod safe;
mod settle;
mod spec;
mod target;
mod unwrap;
mod upstream_token;
mod uses;
mod value;

pub use admission::{Admission, Asked, Outline, Refused, admit};
pub use call::{Open, Passing, ProxyCall, begin};
pub use commit::Ending;
pub use probe::probe;
pub use release::{ClearValue, Content, ReleaseRequest, Released, release};
pub use safe::{Place, Safe, SafeError, Sealed};
pub use settle::overdue;
pub use spec::{
    CredentialKind, CredentialSpec, DEFAULT_LEASE_SECONDS, GrantSpec, HeaderSpec, MAX_LEASE_SECONDS, Metering, Price,
    ReleaseMode,
};
pub use unwrap::{UnwrapRequest, unwrap};
pub use upstream_token::UpstreamTokens;
pub use uses::Uses;
pub use value::{CredentialValue, ValueError, may_inject};

/// Scope of a release: the agent gets the value.
pub const SCOPE_RELEASE: &str = "credential:release";
/// Scope of the proxy: the agent's calls are made with the value.
pub const SCOPE_USE: &str = "credential:use";
/// Who holds and captures on behalf of custody: no client can have this id.
pub const SPENDER: &str = "stipend/custody";
