//! Revocations by hand: one entry in the revoked set, at once on this node and within a second
//! on every other. States that last are the agents' and owners' own business.

use super::api::{ListQuery, NewRevocation, Page, Revocation, RevokeKind};
use super::caller::Caller;
use super::check;
use super::page;
use super::problem::{Code, Refusal};
use super::roles::Action;
use super::session::{Change, Session};
use crate::deps;
use crate::federation::{
    ForeignKind, IssuerUse, MAX_FOREIGN_SECONDS, is_digest, is_federated, issuer_of_subject, verify,
};
use crate::limits::{LEEWAY_SECONDS, MAX_TTL_SECONDS};
use stipend_keys::{Unverified, random_id};
use stipend_schema::{RevocationRow, Row, Write, queries};
use stipend_token::revoked::RevokedKind;
use stipend_token::{Audience, id};

/// What an *issued before now* entry says.
pub(super) struct Entry<'a> {
    pub kind: RevokedKind,
    pub value: &'a str,
    pub owner: Option<&'a str>,
    pub reason: &'a str,
    pub severity: &'static str,
    pub by: &'a str,
    pub now: i64,
}

/// An entry that kills what was issued until now, for as long as any of it may live.
pub(super) fn entry(entry: &Entry<'_>) -> RevocationRow {
    RevocationRow {
        id: random_id("rev_"),
        seq: 0,
        kind: entry.kind.as_str().to_owned(),
        value: entry.value.to_owned(),
        issued_before: Some(entry.now),
        owner_id: entry.owner.map(str::to_owned),
        expires_at: entry.now.saturating_add(longest_life(entry.kind, entry.value) + LEEWAY_SECONDS),
        reason: entry.reason.to_owned(),
        severity: entry.severity.to_owned(),
        revoked_by: entry.by.to_owned(),
        created_at: entry.now,
    }
}

/// How long what an entry names may live. A foreign token that is not remembered as revoked
/// could be exchanged again.
fn longest_life(kind: RevokedKind, value: &str) -> i64 {
    let foreign = match kind {
        RevokedKind::Issuer | RevokedKind::Owner => true,
        RevokedKind::Subject => is_federated(value),
        RevokedKind::Token => is_digest(value),
        RevokedKind::Client | RevokedKind::Resource | RevokedKind::Key => false,
    };
    if foreign { MAX_FOREIGN_SECONDS } else { MAX_TTL_SECONDS }
}

fn view(row: RevocationRow) -> Result<Revocation, Refusal> {
    Ok(Revocation {
        id: row.id,
        kind: row.kind,
        value: row.value,
        issued_before: row.issued_before,
        owner: row.owner_id,
        expires_at: row.expires_at,
        reason: row.reason,
        severity: row.severity,
        revoked_by: row.revoked_by,
        created_at: row.created_at,
    })
}

pub(super) async fn list(session: &Session<'_>, query: &ListQuery) -> Result<Page<Revocation>, Refusal> {
    let (limit, wanted) = page::wanted(query)?;
    let owners = session.caller().owners(Action::ReadRevocation);
    let rows = session.read(|db| async move { queries::list_revocations(&db, &owners, &wanted).await }).await?;
    page::cut(rows, limit, |row| row.id.clone(), view)
}

/// What is to be revoked, once it is known whose it is.
struct Target {
    kind: RevokedKind,
    value: String,
    owner: Option<String>,
    /// For a token: its own end. Otherwise all it could match has its longest life ahead.
    exp: Option<i64>,
}

pub(super) async fn create(session: &Session<'_>, new: &NewRevocation) -> Result<Revocation, Refusal> {
    let turn = new.value.as_deref().unwrap_or_default();
    session
        .change(turn, async |caller| {
            check::reason(&new.reason)?;
            let target = target(session, caller, new).await?;
            match target.owner.as_deref() {
                Some(owner) => caller.check(Action::Revoke, Some(owner))?,
                None => caller.check(Action::RevokeAnything, None)?,
            }
            let now = session.now();
            let mut row = entry(&Entry {
                kind: target.kind,
                value: &target.value,
                owner: target.owner.as_deref(),
                reason: &new.reason,
                severity: new.severity.as_str(),
                by: caller.id(),
                now,
            });
            if target.kind == RevokedKind::Token {
                row.issued_before = None;
                // Descendants live no longer than it does.
                row.expires_at = target.exp.map_or(row.expires_at, |exp| exp.saturating_add(LEEWAY_SECONDS));
            }
            let changed = deps::revoked(target.kind, &target.value);
            let change = Change {
                writes: vec![Write::Insert(Row::Revocation(row.clone()))],
                changes: vec![changed],
                deps: Vec::new(),
                owner: target.owner,
                other_owner: None,
                detail: serde_json::Map::new(),
                answer: view(row)?,
            };
            Ok(change
                .with("kind", target.kind.as_str())
                .with("value", target.value)
                .with("why", new.reason.clone())
                .with("severity", new.severity.as_str()))
        })
        .await
}

async fn target(session: &Session<'_>, caller: &Caller, new: &NewRevocation) -> Result<Target, Refusal> {
    if new.kind != RevokeKind::Token && new.token.is_some() {
        return Err(Refusal::field("/token", "goes with kind token only"));
    }
    if new.kind == RevokeKind::Token
        && let Some(token) = &new.token
    {
        return from_token(session, caller, token).await;
    }
    let value = new.value.as_deref().ok_or_else(|| Refusal::field("/value", "is required"))?;
    if !id::is_identifier(value) && Audience::parse(value).is_err() && new.kind != RevokeKind::Subject {
        return Err(Refusal::field("/value", "is not an identifier"));
    }
    check::text("/value", value, 1, stipend_token::target::MAX_AUDIENCE_BYTES)?;
    let (kind, owner, value) = match new.kind {
        // Whose token it is can't be told from its id: that takes the right to revoke anything.
        RevokeKind::Token => (RevokedKind::Token, None, value.to_owned()),
        RevokeKind::Client => (RevokedKind::Client, Some(client_owner(session, value).await?), value.to_owned()),
        RevokeKind::Subject => (RevokedKind::Subject, subject_owner(session, value).await?, value.to_owned()),
        RevokeKind::Owner => {
            caller.check(Action::Revoke, Some(value))?;
            let owner = super::owners::load(session, value).await?;
            (RevokedKind::Owner, Some(owner.id), value.to_owned())
        }
        RevokeKind::Issuer => {
            let row = super::issuers::load(session, caller, value, Action::Revoke).await?;
            (RevokedKind::Issuer, Some(row.owner_id), row.id)
        }
        RevokeKind::Resource => {
            let uri = Audience::parse(value).map_err(|error| Refusal::field("/value", error.to_string()))?;
            let found = uri.as_str().to_owned();
            let row = session.read(|db| async move { queries::find_resource_by_uri(&db, &found).await }).await?;
            let row = row.ok_or_else(Refusal::not_found)?;
            (RevokedKind::Resource, Some(row.owner_id), row.uri)
        }
    };
    Ok(Target { kind, value, owner, exp: None })
}

async fn from_token(session: &Session<'_>, caller: &Caller, token: &str) -> Result<Target, Refusal> {
    let not_ours = || Refusal::field("/token", "is not a live access token of this issuer");
    let Ok(token) = session.app.tokens.verify(token, session.now()) else {
        return from_foreign_token(session, caller, token).await.ok_or_else(not_ours);
    };
    if session.now() >= token.claims.exp {
        return Err(not_ours());
    }
    let owner = client_owner(session, &token.claims.client_id).await?;
    // To whoever may not see its owner, a live token is no different from any other text.
    caller.check(Action::Revoke, Some(&owner)).map_err(|refusal| match refusal.code {
        Code::NotFound => not_ours(),
        _ => refusal,
    })?;
    Ok(Target {
        kind: RevokedKind::Token,
        value: token.claims.jti.clone(),
        owner: Some(owner),
        exp: Some(token.claims.exp),
    })
}

/// A token of a trusted issuer, by its digest: what came of it is dead, and it is no use again.
/// Whatever is wrong with it, and whosever it is, looks alike to whoever may not revoke it.
async fn from_foreign_token(session: &Session<'_>, caller: &Caller, token: &str) -> Option<Target> {
    let token = Unverified::parse(token).ok()?;
    let kind = ForeignKind::Jwt;
    let token = verify(session.app, token, IssuerUse::SubjectToken, kind, session.now()).await.ok()?;
    let owner = token.issuer.owner_id.clone();
    caller.check(Action::Revoke, Some(&owner)).ok()?;
    Some(Target { kind: RevokedKind::Token, value: token.digest, owner: Some(owner), exp: Some(token.expires_at) })
}

async fn client_owner(session: &Session<'_>, id: &str) -> Result<String, Refusal> {
    let id = id.to_owned();
    let row = session.read(|db| async move { queries::find_client(&db, &id).await }).await?;
    row.map(|row| row.owner_id).ok_or_else(Refusal::not_found)
}

async fn issuer_owner(session: &Session<'_>, id: &str) -> Result<Option<String>, Refusal> {
    let id = id.to_owned();
    let row = session.read(|db| async move { queries::find_issuer(&db, &id).await }).await?;
    row.map(|row| Some(row.owner_id)).ok_or_else(Refusal::not_found)
}

/// Our own subjects belong to their client's owner, those of a trusted issuer to its owner;
/// anybody else's to none.
async fn subject_owner(session: &Session<'_>, sub: &str) -> Result<Option<String>, Refusal> {
    match sub.strip_prefix("agent:").or_else(|| sub.strip_prefix("client:")) {
        Some(client) => client_owner(session, client).await.map(Some),
        None => match issuer_of_subject(sub) {
            Some(issuer) => issuer_owner(session, issuer).await,
            None => Ok(None),
        },
    }
}
