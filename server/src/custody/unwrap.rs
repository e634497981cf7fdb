//! `POST /credentials/unwrap`: a reference becomes its value once, for the agent it was made
//! for. The reference is a statement that only we can make and read; what makes it single use
//! is a burn in the transaction that records the unwrapping.

use super::admission::{Bearer, Refused, bearer};
use super::commit::{Committed, Ending, commit, proof_alone, refuse};
use super::policies::restrict;
use super::release::{ClearValue, Content, Released, exposed, open};
use super::spec::ReleaseMode;
use super::{SCOPE_RELEASE, Safe};
use crate::app::App;
use crate::audit::Origin;
use crate::binding::{Presentation, SingleUse};
use crate::deps;
use crate::limits::{LEEWAY_SECONDS, MAX_DECISIONS};
use crate::reason::Reason;
use crate::records::{Credential, Grant, Version};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use stipend_keys::sha256;
use stipend_schema::{Burn, queries};
use stipend_token::revoked::RevokedKind;

const PREFIX: &str = "cw_";
/// Longest reference that is looked at.
const MAX_REFERENCE_BYTES: usize = 4096;
const EVENT: &str = "credential.unwrapped";

/// The body of an unwrapping.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnwrapRequest {
    pub reference: String,
}

/// What a reference stands for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Statement {
    pub id: String,
    pub credential: String,
    pub version: String,
    pub agent: String,
    /// The token it was released to, and that one's ancestors.
    pub tokens: Vec<String>,
    pub issued_at: i64,
    pub expires_at: i64,
    pub cache_until: i64,
}

pub(super) fn reference(safe: &Safe, statement: &Statement) -> Result<String, Reason> {
    let text = serde_json::to_vec(statement).map_err(|_| Reason::Internal)?;
    let sealed = safe.wrap(&text).map_err(|_| Reason::Internal)?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed)))
}

fn read(safe: &Safe, reference: &str) -> Option<Statement> {
    if reference.len() > MAX_REFERENCE_BYTES {
        return None;
    }
    let sealed = URL_SAFE_NO_PAD.decode(reference.strip_prefix(PREFIX)?).ok()?;
    serde_json::from_slice(safe.unwrap(&sealed)?.expose()).ok()
}

/// Turns a reference into the value.
///
/// # Errors
/// [`Ending`]; whatever is wrong with a reference is answered alike.
pub async fn unwrap(
    app: &App,
    shown: &Presentation,
    request: &UnwrapRequest,
    origin: &Origin,
) -> Result<Released, Ending> {
    for _ in 0..MAX_DECISIONS {
        let basis = app.live.applied();
        let bearer = match bearer(app, shown, SCOPE_RELEASE, EVENT, origin).await {
            Ok(bearer) => bearer,
            Err(refused) => match refuse(app, refused, EVENT, basis, origin).await {
                Some(ending) => return Err(ending),
                None => continue,
            },
        };
        let ended = match decide(app, bearer, request, origin).await {
            Ok(ready) => round(app, ready, basis, origin).await,
            Err(refused) => refuse(app, *refused, EVENT, basis, origin).await.map(Err),
        };
        match ended {
            Some(ended) => return ended,
            None => {
                app.tailer.catch_up().await;
            }
        }
    }
    Err(Reason::Overtaken.into())
}

/// A reference that may be used, if nobody has.
struct Ready {
    bearer: Bearer,
    statement: Statement,
    credential: Arc<Credential>,
    grant: Arc<Grant>,
    version: Version,
}

async fn decide(
    app: &App,
    mut bearer: Bearer,
    request: &UnwrapRequest,
    origin: &Origin,
) -> Result<Ready, Box<Refused>> {
    let Some(statement) = read(&app.safe, &request.reference) else {
        return Err(bearer.refused(Reason::ReferenceUnknown).into());
    };
    let now = app.clock.now();
    bearer.draft.put("lease", statement.id.clone());
    bearer.draft.put("credential", statement.credential.clone());
    bearer.deps.extend(statement.tokens.iter().map(|jti| deps::token(jti)));
    bearer.deps.push(deps::credential(&statement.credential));
    bearer.deps.push(deps::grant_of(&statement.credential, &statement.agent));
    if statement.agent != bearer.standing.token.claims.client_id {
        return Err(bearer.refused(Reason::ReferenceNotTheirs).into());
    }
    let revoked = |jti: &String| app.live.covers(RevokedKind::Token, jti, statement.issued_at);
    if now >= statement.expires_at || statement.tokens.iter().any(revoked) {
        return Err(bearer.refused(Reason::ReferenceExpired).into());
    }
    let credential = app.records.find_credential(&statement.credential).await?;
    let grant = app.records.find_grant(&statement.credential, &statement.agent).await?;
    let (Some(credential), Some(grant)) = (credential.filter(|found| found.active), grant) else {
        return Err(bearer.refused(Reason::ReferenceExpired).into());
    };
    bearer.deps.push(deps::owner(&credential.owner_id));
    bearer.draft.subject_owner(&credential.owner_id);
    let modes = [&credential.spec.modes, &grant.spec.modes];
    if !grant.stands(now) || !modes.iter().all(|modes| modes.contains(&ReleaseMode::Wrapped)) {
        return Err(bearer.refused(Reason::ReferenceExpired).into());
    }
    // It was paid for at its release.
    let mut bearer = restrict(app, bearer, &credential, (ReleaseMode::Wrapped, None, false), origin).await?;
    let Some(version) = version(app, &credential, &statement.version).await? else {
        return Err(bearer.refused(Reason::ReferenceExpired).into());
    };
    bearer.draft.put("version", version.number);
    Ok(Ready { bearer, statement, credential, grant, version })
}

/// The version that was released, if it still has a value.
async fn version(app: &App, credential: &Credential, id: &str) -> Result<Option<Version>, Box<Refused>> {
    if let Some(current) = credential.version.as_ref().filter(|version| version.id == id) {
        return Ok(Some(current.clone()));
    }
    let (db, id) = (app.store.db().clone(), id.to_owned());
    let trouble = || Box::new(Refused::stranger(Reason::StoreUnavailable));
    let found = app.store.run(async move { queries::find_version(&db, &id).await }).await.map_err(|_| trouble())?;
    let row = found.map_err(|_| trouble())?;
    let usable = row.filter(|row| row.credential_id == credential.id && row.state == "retiring");
    Ok(usable.and_then(|row| Some(Version { sealed: row.sealed?, id: row.id, number: row.number })))
}

async fn round(app: &App, ready: Ready, basis: i64, origin: &Origin) -> Option<Result<Released, Ending>> {
    let Ready { bearer, statement, credential, grant, version } = ready;
    let now = app.clock.now();
    // First, because a reference that is burned can't be used again once the key is there.
    let value = match open(app, &credential, &version).await {
        Ok(value) => value,
        Err(reason) => return Some(Err(reason.into())),
    };
    let Bearer { standing, deps, burn: proof, draft } = bearer;
    let burn = Burn {
        key_hash: sha256(["wrapped release", &statement.id].join("\0").as_bytes()),
        expires_at: statement.expires_at.saturating_add(LEEWAY_SECONDS),
    };
    let single = proof_alone(proof.as_ref()).and(Some(&burn), Reason::ReferenceReused);
    let writes = vec![exposed(&version.id, &statement.agent, &credential.id, ReleaseMode::Wrapped, now)];
    match commit(app, basis, deps, (None, Vec::new()), writes, (draft.clone(), &single)).await {
        Committed::Done { .. } => {}
        Committed::Ended(ending) => {
            if ending.reason == Reason::ReferenceReused {
                alarm(app, &statement, draft, origin).await;
            }
            return Some(Err(ending));
        }
        Committed::Overtaken => return None,
    }
    app.uses.note(&grant.id, &version.id, ReleaseMode::Wrapped, now);
    Some(Ok(Released {
        credential: credential.id.clone(),
        version: version.number,
        mode: ReleaseMode::Wrapped,
        kind: credential.kind,
        lease: Some(statement.id),
        cache_until: Some(statement.cache_until),
        dry_run: None,
        content: Some(Content::Value(ClearValue(value))),
        budget: None,
        jti: standing.token.claims.jti.clone(),
    }))
}

/// A reference used twice has been in two hands: somebody may hold a value that is not theirs.
async fn alarm(app: &App, statement: &Statement, mut draft: crate::audit::Draft, origin: &Origin) {
    tracing::error!(
        credential = statement.credential,
        agent = statement.agent,
        lease = statement.id,
        request_id = origin.request_id,
        "a wrapped release was used twice"
    );
    draft.event("credential.alert");
    draft.put("severity", "critical");
    draft.put("alert", Reason::ReferenceReused.as_str());
    // The refusal itself is on record already.
    let none = SingleUse::default();
    let _ = commit(app, 0, Vec::new(), (None, Vec::new()), Vec::new(), (draft, &none)).await;
}
