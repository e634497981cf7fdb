//! Token revocation (RFC 7009): the token and all that descend from it, at once.

use crate::app::App;
use crate::audit::{DONE, Draft, Origin};
use crate::client::{AuthenticatedClient, Credentials, authenticate};
use crate::deps;
use crate::grant::refuse_stranger;
use crate::limits::{LEEWAY_SECONDS, MAX_DECISIONS};
use crate::reason::Reason;
use crate::signals::{Initiator, announce};
use crate::tokens::VerifiedToken;
use std::sync::Arc;
use stipend_keys::random_id;
use stipend_schema::{Outcome, RevocationRow, Row, Work, Write};
use stipend_token::revoked::RevokedKind;

/// Revokes the token of a request. `token_type_hint` is not needed: there is one type.
///
/// # Errors
/// The [`Reason`]. Unknown, expired and malformed tokens are no error (section 2.2).
pub async fn revoke(app: &App, credentials: &Credentials<'_>, origin: &Origin) -> Result<(), Reason> {
    for _ in 0..MAX_DECISIONS {
        let basis = app.live.applied();
        let client = match authenticate(app, credentials).await {
            Ok(client) => client,
            Err(failure) => return Err(refuse_stranger(app, &failure, origin).await),
        };
        let (work, answer) = decide(app, &client, credentials.params.one("token"), basis, origin);
        let token = credentials.params.one("token").and_then(|token| app.tokens.verify(token, app.clock.now()).ok());
        let work = announce(app, work, token.as_ref().map(|token| &token.claims), Initiator::System).await?;
        match app.committer.submit(work).await {
            Outcome::Committed { .. } => return answer,
            Outcome::Replayed { .. } => return Err(Reason::AssertionReplayed),
            Outcome::Stale => {
                app.tailer.catch_up().await;
            }
            Outcome::Conflict | Outcome::Settled { .. } | Outcome::Exceeded { .. } | Outcome::Unavailable => {
                return Err(Reason::StoreUnavailable);
            }
            Outcome::Invalid(what) => {
                tracing::error!(what, "a revocation was refused by the committer");
                return Err(Reason::Internal);
            }
        }
    }
    Err(Reason::Overtaken)
}

fn decide(
    app: &App,
    client: &AuthenticatedClient,
    token: Option<&str>,
    basis: i64,
    origin: &Origin,
) -> (Work, Result<(), Reason>) {
    let now = app.clock.now();
    let mut draft = Draft::new("token.revoked", origin);
    draft.client(&client.client.id, &client.client.owner_id);
    let mut work = Work {
        deps: client.deps.clone(),
        burn: client.burn.clone().map(Into::into),
        ..Work::recording(basis, draft.clone().outcome(DONE))
    };
    let Some(token) = token else {
        work.record = draft.refused(Reason::MissingToken);
        return (work, Err(Reason::MissingToken));
    };
    // Unknown, malformed or expired: nothing to revoke, and no error.
    let Some(token) = app.tokens.verify(token, now).ok().filter(|token| now < token.claims.exp) else {
        draft.put("effect", "none");
        work.record = draft.outcome(DONE);
        return (work, Ok(()));
    };
    draft.jti(&token.claims.jti);
    draft.describe("token", &token.claims);
    if token.claims.client_id != client.client.id {
        // RFC 7009 section 2.1: issued to this client, or refused.
        work.record = draft.refused(Reason::NotOwnToken);
        return (work, Err(Reason::NotOwnToken));
    }
    work.record = draft.outcome(DONE);
    work.writes = vec![Write::Insert(Row::Revocation(entry(&token, client, now)))];
    work.changes = vec![deps::token(&token.claims.jti)];
    (work, Ok(()))
}

fn entry(token: &Arc<VerifiedToken>, client: &AuthenticatedClient, now: i64) -> RevocationRow {
    RevocationRow {
        id: random_id("rev_"),
        seq: 0,
        kind: RevokedKind::Token.as_str().to_owned(),
        value: token.claims.jti.clone(),
        issued_before: None,
        owner_id: Some(client.client.owner_id.clone()),
        // Descendants live no longer than it does.
        expires_at: token.claims.exp.saturating_add(LEEWAY_SECONDS),
        reason: "revoked by its client".to_owned(),
        severity: "low".to_owned(),
        revoked_by: client.client.id.clone(),
        created_at: now,
    }
}
