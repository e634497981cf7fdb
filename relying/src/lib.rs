//! What a service needs to accept Stipend tokens: it knows one URL, the issuer's, and from
//! it gets the metadata (RFC 8414) and the keys (RFC 7517), and verifies access tokens
//! (RFC 9068) on its own.
//!
//! Local verification says that a token was issued and has not expired. Whether it has been
//! revoked since, only the server can say: in a status list, which the verifier fetches and keeps
//! for some seconds where the token names one ([`StatusCheck`]); in a security event, which the
//! service receives and hands to [`Verifier::receive`]; at introspection (RFC 7662), at the next
//! hold.
//!
//! Budgets come at three levels of exactness, described in the crate's README: by the token's
//! own words ([`require_budget`]); by a durable count of the service's own, for lines that were
//! carved out for it ([`Counter`]); by asking the server ([`Spender`], and [`Holds`] where a
//! crash of the service must lose nothing). With the feature `actix` a middleware does it all.
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
//!
//! A token that is bound to a key is good only with a proof of it: [`Verifier::verify`] refuses
//! it, [`Verifier::verify_presented`] takes what the request brought.
//!
//! A token may also be for some credentials only, and for some calls with them:
//! [`check_credential`].
//!
//! # A whole service
//! `examples/charging_service.rs`, which the tests run against a real server.
#![cfg_attr(feature = "actix", doc = concat!("```no_run\n", include_str!("../examples/charging_service.rs"), "```"))]

#[cfg(feature = "actix")]
pub mod actix;
mod cache;
mod check;
mod counter;
mod error;
mod events;
mod fetch;
mod holds;
mod journal;
mod options;
mod proof;
mod refusal;
mod spend;
mod status;
mod verifier;

pub use check::{check_credential, check_scope, find_credential, find_line, require_budget};
pub use counter::{Counter, CounterOptions, Report, ReportError, TakeError, Taken};
pub use error::{BearerCode, DiscoverError, FetchError, VerifyError};
pub use events::{EventError, MAX_REMEMBERED_EVENTS, Received};
pub use holds::{Held, HoldError, HoldOptions, Holds, OnUnfinished, Outcome, Settled};
pub use journal::{JournalError, JournalOptions};
pub use options::Options;
pub use proof::{MAX_REMEMBERED_PROOFS, Presented, Scheme};
pub use refusal::{BudgetRefusal, RETRY_AFTER_SECONDS, Refusal};
pub use spend::{
    ClientCredentials, IdempotencyKey, KEY_LIFE_SECONDS, LineState, MAX_ANSWER_BYTES, MAX_HOLD_SECONDS, MAX_TRIES,
    Receipt, Reported, SpendError, SpendOptions, Spender, Threshold,
};
pub use status::StatusCheck;
pub use stipend_token::budget::{Amount, Enforce, TokenLine, Unit};
/// All that is needed to say a call and to read a verdict.
pub use stipend_token::constraint;
pub use stipend_token::constraint::{Action, Call, Constraints, CredentialRelease, Request, Verdict, decide};
pub use stipend_token::{AccessToken, Actor, ActorChain, Audience, ScopeSet, Timestamp};
pub use verifier::{Verifier, require_scope};
