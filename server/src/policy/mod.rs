//! Policies: what is forbidden although rows allow it (Cedar, `cedar-policy`, used nowhere else).
//!
//! Rows grant and policies restrict: a policy is made of `forbid` statements alone, so none can
//! ever allow what a rule, a grant or a constraint does not. With no policy, what rows allow is
//! allowed. One that can't be evaluated denies. A decision leans on the policies of every owner
//! it concerns, by name in its `deps`: a policy that changes before the commit makes it stale.
//! Nothing here reads a token, a row or a clock, and no answer names a policy: the audit does.

mod ask;
mod facts;
mod replay;
mod schema;
mod sets;
mod text;

pub use ask::{Admission, CredentialQuestion, TokenQuestion, of_call, of_release, of_token};
pub use facts::{Act, AgentFacts, AmountFact, Facts, Target, seen_amounts};
pub use replay::{REPLAYED_EVENTS, Unreadable, replay};
pub use schema::{SCHEMA_TEXT, SCHEMA_VERSION};
pub use sets::{Applicable, Cited, Compiled, DEPLOYMENT};
pub use text::{Checked, Fault, check, text_hash};

#[cfg(test)]
mod tests;
