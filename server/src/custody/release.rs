//! `POST /credentials/{id}/release`: the value as a reference, encrypted, or in clear. What is
//! released is recorded first, and so is that the agent has seen the version.

use super::admission::{Admission, Asked, Refused, admit};
use super::commit::{Committed, Ending, commit, proof_alone, refuse};
use super::price::{Taking, order, spend};
use super::safe::{Place, SafeError};
use super::spec::{CredentialKind, ReleaseMode};
use super::unwrap::{Statement, reference};
use super::value::CredentialValue;
use crate::app::App;
use crate::audit::Origin;
use crate::binding::Presentation;
use crate::limits::{MAX_DECISIONS, WRAP_SECONDS};
use crate::reason::Reason;
use crate::records::{Credential, Version};
use crate::retry::spend_key_of;
use crate::telemetry::{Phase, phase};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use stipend_keys::jwe::Parameters;
use stipend_keys::{EncryptionJwk, random_id};
use stipend_schema::custody::CredentialExposureRow;
use stipend_schema::ledger::{NewToken, SpendKey, Step};
use stipend_schema::{Note, Write};
use stipend_token::budget::Amount;

/// The body of a release.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    pub mode: ReleaseMode,
    /// Only says whether it would be released, as far as that can be said without trying.
    #[serde(default)]
    pub dry_run: bool,
}

/// The answer. Times in seconds since 1970.
#[derive(Serialize)]
pub struct Released {
    pub credential: String,
    pub version: i64,
    pub mode: ReleaseMode,
    pub kind: CredentialKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// Until when the agent may keep what it got. Later it asks again, and learns of a
    /// rotation or a revocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_until: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// What the release cost, and what is left of the budget: for the `Agent-Budget` header.
    #[serde(skip)]
    pub budget: Option<(i64, i64)>,
    #[serde(skip)]
    pub jti: String,
}

/// What the agent gets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    Value(ClearValue),
    Reference(String),
    Jwe(String),
}

/// A value on its way out.
#[derive(Debug)]
pub struct ClearValue(pub(super) Arc<CredentialValue>);

impl Serialize for ClearValue {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl std::fmt::Debug for Released {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Released")
            .field("credential", &self.credential)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// What a retry needs to be answered the same: no value, and no reference.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Kept {
    version: String,
    number: i64,
    lease: String,
    cache_until: i64,
}

/// Releases a credential, or says that it would be.
///
/// # Errors
/// [`Ending`].
pub async fn release(
    app: &App,
    (shown, credential): (&Presentation, &str),
    request: ReleaseRequest,
    key: Option<&str>,
    origin: &Origin,
) -> Result<Released, Ending> {
    let event = if request.dry_run { "credential.dry_run" } else { "credential.released" };
    if request.mode == ReleaseMode::Proxy {
        let refused = Refused::stranger(Reason::ProxyIsNoRelease);
        return Err(refuse(app, refused, event, 0, origin).await.unwrap_or_else(|| Reason::Overtaken.into()));
    }
    let asked = Asked { shown, credential, mode: request.mode, request: None, call: None };
    for _ in 0..MAX_DECISIONS {
        let basis = app.live.applied();
        let ended = match admit(app, &asked, event, origin).await {
            Ok(admission) if request.dry_run => dry_run(app, admission, request.mode, basis).await,
            Ok(admission) => round(app, admission, request.mode, key, (basis, origin)).await,
            Err(refused) => refuse(app, *refused, event, basis, origin).await.map(Err),
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

/// `None`: overtaken.
async fn dry_run(app: &App, admission: Admission, mode: ReleaseMode, basis: i64) -> Option<Result<Released, Ending>> {
    let answer = Released {
        credential: admission.credential.id.clone(),
        version: admission.version.number,
        mode,
        kind: admission.credential.kind,
        lease: None,
        cache_until: None,
        dry_run: Some(true),
        content: None,
        budget: None,
        jti: admission.standing.token.claims.jti.clone(),
    };
    let Admission { deps, burn, draft, .. } = admission;
    let single = proof_alone(burn.as_ref());
    match commit(app, basis, deps, (None, Vec::new()), Vec::new(), (draft, &single)).await {
        Committed::Done { .. } => Some(Ok(answer)),
        Committed::Ended(ending) => Some(Err(ending)),
        Committed::Overtaken => None,
    }
}

async fn round(
    app: &App,
    mut admission: Admission,
    mode: ReleaseMode,
    key: Option<&str>,
    (basis, origin): (i64, &Origin),
) -> Option<Result<Released, Ending>> {
    let now = app.clock.now();
    let encrypt_to = match encryption_key(&admission, mode) {
        Ok(key) => key,
        Err(reason) => {
            let Admission { deps, burn, draft, .. } = admission;
            let refused = Refused { reason, broken: None, deps, burn, claimed: None, draft: Some(draft) };
            return refuse(app, refused, "credential.released", basis, origin).await.map(Err);
        }
    };
    // What can't be opened now is neither charged nor on record as released. The safe keeps it
    // open until the answer.
    if mode != ReleaseMode::Wrapped
        && let Err(reason) = open(app, &admission.credential, &admission.version).await
    {
        return Ending::from(reason).record(app, basis, admission).await.map(Err);
    }
    let kept = Kept {
        version: admission.version.id.clone(),
        number: admission.version.number,
        lease: random_id("rl_"),
        cache_until: cache_until(&admission, now),
    };
    admission.draft.put("lease", kept.lease.clone());
    let key = match key.map(|key| spend_key(key, &admission, mode, &kept, now)).transpose() {
        Ok(key) => key,
        Err(reason) => return Some(Err(reason.into())),
    };
    let charge = match charge(app, &mut admission, key).await {
        Ok(charge) => charge,
        Err(ending) => {
            return ending.record(app, basis, admission).await.map(Err);
        }
    };
    let writes = exposure(&admission, mode, now);
    let single = proof_alone(admission.burn.as_ref());
    let Admission { standing, credential, version, grant, counts, deps, draft, .. } = admission;
    let (receipt, restored) = match commit(app, basis, deps, (charge, counts), writes, (draft, &single)).await {
        Committed::Done { receipt, kept: restored } => (receipt, restored),
        Committed::Ended(ending) => return Some(Err(ending)),
        Committed::Overtaken => return None,
    };
    app.uses.note(&grant.id, &version.id, mode, now);
    let answer = Answer { app, credential: &credential, mode, encrypt_to, claims: &standing.token.claims };
    let released = match restored.map(|text| serde_json::from_str::<Kept>(&text)) {
        // The retry of a release gets what was released, whatever is in use by now.
        Some(Ok(kept)) => answer.repeat(&kept).await,
        Some(Err(_)) => Err(Reason::Internal),
        None => answer.make(&version, &kept).await,
    };
    Some(released.map_err(Ending::from).map(|mut released| {
        released.budget = receipt.filter(|receipt| receipt.spent > 0).map(|receipt| (receipt.remaining, receipt.spent));
        released
    }))
}

/// The ledger's step: the price, or for a request with a key only that its answer is kept.
async fn charge(
    app: &App,
    admission: &mut Admission,
    key: Option<SpendKey>,
) -> Result<Option<stipend_schema::ledger::Spend>, Ending> {
    let claims = &admission.standing.token.claims;
    let price = admission.credential.spec.price.as_ref().filter(|price| price.amount > Amount::ZERO);
    let Some(price) = price else {
        let bare = || Step::Issue(NewToken::bare(&claims.jti, claims.exp));
        return Ok(key.map(|key| spend(bare(), Some(key))));
    };
    let unit = price.unit().ok_or(Reason::Internal)?;
    let (mut spend, deps) = order(app, claims, &admission.grant, (&unit, price.amount), Taking::Charge).await?;
    admission.deps.extend(deps);
    spend.key = key;
    Ok(Some(spend))
}

fn encryption_key(admission: &Admission, mode: ReleaseMode) -> Result<Option<EncryptionJwk>, Reason> {
    if mode != ReleaseMode::Jwe {
        return Ok(None);
    }
    let registered = admission.grant.spec.encryption_jwk.as_ref().ok_or(Reason::NoEncryptionKey)?;
    EncryptionJwk::parse(registered).map(Some).map_err(|_| Reason::NoEncryptionKey)
}

/// Not beyond the token, the grant, or what the owner says.
fn cache_until(admission: &Admission, now: i64) -> i64 {
    let lease = now.saturating_add(admission.credential.spec.lease_seconds);
    let ends = [Some(admission.standing.token.claims.exp), admission.grant.expires_at];
    ends.into_iter().flatten().fold(lease, i64::min)
}

/// A version that an agent gets is known to it from then on; a reference tells nothing yet.
fn exposure(admission: &Admission, mode: ReleaseMode, now: i64) -> Vec<Write> {
    match mode {
        ReleaseMode::Proxy | ReleaseMode::Wrapped => Vec::new(),
        ReleaseMode::Jwe | ReleaseMode::Plaintext => {
            let agent = &admission.standing.token.claims.client_id;
            vec![exposed(&admission.version.id, agent, &admission.credential.id, mode, now)]
        }
    }
}

pub(super) fn exposed(version: &str, agent: &str, credential: &str, mode: ReleaseMode, now: i64) -> Write {
    Write::Note(Note::Exposure(CredentialExposureRow {
        version_id: version.to_owned(),
        agent_id: agent.to_owned(),
        credential_id: credential.to_owned(),
        mode: mode.as_str().to_owned(),
        first_at: now,
        last_at: now,
    }))
}

fn spend_key(key: &str, admission: &Admission, mode: ReleaseMode, kept: &Kept, now: i64) -> Result<SpendKey, Reason> {
    let client = &admission.standing.token.claims.client_id;
    let said = [admission.credential.id.as_str(), mode.as_str()].join("\0");
    let retry = spend_key_of(key, client, "credential.released", &said, now)?;
    Ok(SpendKey { keep: Some(serde_json::to_string(kept).map_err(|_| Reason::Internal)?), ..retry })
}

/// What is needed to answer once the release is on record.
struct Answer<'a> {
    app: &'a App,
    credential: &'a Credential,
    mode: ReleaseMode,
    encrypt_to: Option<EncryptionJwk>,
    claims: &'a stipend_token::AccessToken,
}

impl Answer<'_> {
    async fn repeat(self, kept: &Kept) -> Result<Released, Reason> {
        let (db, id) = (self.app.store.db().clone(), kept.version.clone());
        let found = self.app.store.run(async move { stipend_schema::queries::find_version(&db, &id).await }).await;
        let row = found.map_err(|_| Reason::StoreUnavailable)?.map_err(|_| Reason::StoreUnavailable)?;
        let sealed = row.and_then(|row| row.sealed).ok_or(Reason::VersionGone)?;
        let version = Version { id: kept.version.clone(), number: kept.number, sealed };
        self.make(&version, kept).await
    }

    async fn make(self, version: &Version, kept: &Kept) -> Result<Released, Reason> {
        let content = match self.mode {
            // Nothing is opened for a reference.
            ReleaseMode::Wrapped => Content::Reference(self.reference(version, kept)?),
            ReleaseMode::Proxy | ReleaseMode::Plaintext => Content::Value(ClearValue(self.open(version).await?)),
            ReleaseMode::Jwe => {
                let value = self.open(version).await?;
                let parameters = Parameters {
                    cty: Some("application/json"),
                    iss: Some(&self.app.urls.issuer),
                    aud: Some(&self.claims.client_id),
                    exp: Some(kept.cache_until),
                };
                let key = self.encrypt_to.as_ref().ok_or(Reason::NoEncryptionKey)?;
                Content::Jwe(key.encrypt(&parameters, &value.to_json()).map_err(|error| {
                    tracing::error!(%error, "a release could not be encrypted");
                    Reason::Internal
                })?)
            }
        };
        Ok(Released {
            credential: self.credential.id.clone(),
            version: version.number,
            mode: self.mode,
            kind: self.credential.kind,
            lease: Some(kept.lease.clone()),
            cache_until: Some(kept.cache_until),
            dry_run: None,
            content: Some(content),
            budget: None,
            jti: self.claims.jti.clone(),
        })
    }

    async fn open(&self, version: &Version) -> Result<Arc<CredentialValue>, Reason> {
        open(self.app, self.credential, version).await
    }

    fn reference(&self, version: &Version, kept: &Kept) -> Result<String, Reason> {
        let now = self.app.clock.now();
        reference(
            &self.app.safe,
            &Statement {
                // The lease names it: a retry makes a reference to the same thing, and one of all
                // of them can be used.
                id: kept.lease.clone(),
                credential: self.credential.id.clone(),
                version: version.id.clone(),
                agent: self.claims.client_id.clone(),
                tokens: self.claims.lineage.tokens.iter().chain([&self.claims.jti]).cloned().collect(),
                issued_at: self.claims.iat,
                expires_at: now.saturating_add(WRAP_SECONDS).min(kept.cache_until),
                cache_until: kept.cache_until,
            },
        )
    }
}

/// Opens the value of a version.
pub(super) async fn open(
    app: &App,
    credential: &Credential,
    version: &Version,
) -> Result<Arc<CredentialValue>, Reason> {
    let _timed = phase(Phase::Open);
    let place = Place { owner: &credential.owner_id, credential: &credential.id, version: &version.id };
    app.safe.open(place, &version.sealed).await.map_err(|error| match error {
        SafeError::Unavailable => Reason::KeysUnavailable,
        SafeError::Damaged => Reason::Internal,
    })
}
