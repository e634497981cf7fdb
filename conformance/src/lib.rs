//! Black-box conformance checks for OAuth 2.0 token-exchange authorization
//! servers.
//!
//! Owns the rows of the clause table, the requests that decide them and the
//! report. It reaches the issuer over HTTP only, learns its clients from a
//! [`Profile`], and must never depend on a crate of the server it judges: a
//! row is what a stranger can see on the wire.

mod budget;
mod certificate;
mod check;
mod cimd;
mod client;
mod documents;
mod dpop;
mod encode;
mod exchange;
mod hostile;
mod http;
mod identity_assertion;
mod idp;
mod issuer;
mod jwk;
mod jws;
mod mcp;
mod places;
mod profile;
mod protected;
mod registration;
mod report;
mod rfc6749;
mod rfc6750;
mod rfc7009;
mod rfc7517;
mod rfc7523;
mod rfc7591;
mod rfc7592;
mod rfc7662;
mod rfc8414;
mod rfc8693;
mod rfc8705;
mod rfc8707;
mod rfc8725;
mod rfc9068;
mod rfc9396;
mod rfc9449;
mod rfc9701;
mod rfc9728;
mod run;
mod signals;
mod spiffe;
mod status_list;

pub use check::Level;
pub use profile::{Client, Documents, Exchange, Profile, ProfileError, Registration, Resource, Secret};
pub use report::{Outcome, Report, Row};
pub use run::{claimed, run, run_only};
