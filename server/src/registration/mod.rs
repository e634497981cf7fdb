//! Dynamic client registration (RFC 7591) and its management (RFC 7592).
//!
//! Nobody registers without a registration token (RFC 7591 calls it an initial access token):
//! an admin of an owner makes it, and with it says what its clients get at most. What a program
//! says of its client only narrows that, at the registration and at each update, and nothing
//! here may widen what an admin narrowed since. Tokens are stored as hashes. No actix here, and
//! no reading of roles: whoever holds the token has what it says.

mod access;
mod answer;
mod bounds;
mod create;
mod manage;
mod metadata;
mod proof;
mod template;

pub(crate) use access::{column as read_column, load};
pub use answer::Registered;
pub use create::register;
pub(crate) use create::{text, word};
pub use manage::{delete, read, update};
pub use template::{MAX_AUTH_METHODS, REGISTRABLE, Template};

use crate::app::App;
use crate::audit::{Draft, Origin};
use crate::reason::Reason;
use crate::signals::{Initiator, announce};
use stipend_keys::{Secret, generate_token, sha256};
use stipend_schema::{Outcome, Work};

/// Begins a registration token.
const INITIAL: &str = "rit_";
/// Begins a registration access token.
const ACCESS: &str = "rat_";

/// A new registration token and its hash.
#[must_use]
pub fn initial_token() -> (Secret<String>, [u8; 32]) {
    fresh(INITIAL)
}

fn fresh(prefix: &str) -> (Secret<String>, [u8; 32]) {
    let token = generate_token(prefix);
    let hash = sha256(token.expose().as_bytes());
    (token, hash)
}

/// Commits; `None` where a change overtook the decision.
pub(crate) async fn commit<T>(app: &App, work: Work, answer: T) -> Result<Option<T>, Reason> {
    let work = announce(app, work, None, Initiator::System).await?;
    match app.committer.submit(work).await {
        Outcome::Committed { .. } => Ok(Some(answer)),
        Outcome::Stale | Outcome::Conflict => {
            app.tailer.catch_up().await;
            Ok(None)
        }
        Outcome::Invalid(what) => {
            tracing::error!(what, "a registration was refused by the committer");
            Err(Reason::Internal)
        }
        Outcome::Replayed { .. } | Outcome::Settled { .. } | Outcome::Exceeded { .. } | Outcome::Unavailable => {
            Err(Reason::StoreUnavailable)
        }
    }
}

/// Records a refusal; what can't be recorded is answered 503.
async fn refuse(app: &App, mut draft: Draft, reason: Reason) -> Reason {
    if reason.is_own_trouble() {
        return reason;
    }
    draft.event(REFUSED);
    match app.committer.submit(Work::recording(app.live.applied(), draft.refused(reason))).await {
        Outcome::Committed { .. } => reason,
        _ => Reason::StoreUnavailable,
    }
}

/// Records a refusal of a request that nobody has vouched for.
pub async fn refuse_stranger(app: &App, reason: Reason, claimed: Option<&str>, origin: &Origin) -> Reason {
    let recorded = reason.is_own_trouble() || app.refusals.refuse(REFUSED, reason, claimed, origin).await;
    if recorded { reason } else { Reason::StoreUnavailable }
}

const REFUSED: &str = "registration.refused";
