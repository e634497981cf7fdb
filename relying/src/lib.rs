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

#[cfg(feature = "actix")]
pub mod actix;
mod cache;
mod check;
mod counter;
mod error;
mod fetch;
mod holds;
mod journal;
mod options;
mod refusal;
mod spend;
mod verifier;

pub use check::{check_scope, find_line, require_budget};
pub use counter::{Counter, CounterOptions, Report, ReportError, TakeError, Taken};
pub use error::{BearerCode, DiscoverError, FetchError, VerifyError};
pub use holds::{Held, HoldError, HoldOptions, Holds, OnUnfinished, Outcome, Settled};
pub use journal::{JournalError, JournalOptions};
pub use options::Options;
pub use refusal::{BudgetRefusal, RETRY_AFTER_SECONDS, Refusal};
pub use spend::{
    ClientCredentials, IdempotencyKey, KEY_LIFE_SECONDS, LineState, MAX_ANSWER_BYTES, MAX_HOLD_SECONDS, MAX_TRIES,
    Receipt, Reported, SpendError, SpendOptions, Spender, Threshold,
};
pub use stipend_token::budget::{Amount, Enforce, TokenLine, Unit};
pub use stipend_token::{AccessToken, Actor, ActorChain, Audience, ScopeSet, Timestamp};
pub use verifier::{Verifier, require_scope};
