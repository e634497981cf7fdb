//! What a service needs to accept Stipend tokens: it knows one URL, the issuer's, and from
//! it gets the metadata (RFC 8414) and the keys (RFC 7517), and verifies access tokens
//! (RFC 9068) on its own.
//!
//! Local verification says that a token was issued and has not expired. Whether it has been
//! revoked since, only introspection (RFC 7662) can say; that is what short lives are for.
//!
//! ```no_run
//! # async fn example(now: i64) -> Result<(), Box<dyn std::error::Error>> {
//! use stipend_relying::{Options, Verifier, require_scope};
//! let verifier =
//!     Verifier::discover("https://as.example", "https://orders.example", now, Options::default()).await?;
//! let token = verifier.verify("eyJ…", now).await?;
//! require_scope(&token, "orders:refund")?;
//! # Ok(()) }
//! ```

mod cache;
mod error;
mod fetch;
mod options;
mod verifier;

pub use error::{BearerCode, DiscoverError, FetchError, VerifyError};
pub use options::Options;
pub use stipend_token::{AccessToken, Actor, ActorChain, Audience, ScopeSet, Timestamp};
pub use verifier::{Verifier, require_scope};
