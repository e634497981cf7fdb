//! Making the token: claims, then (beside the commit or after it) the signature and the response.

use super::Issued;
use crate::app::App;
use crate::deps;
use crate::reason::Reason;
use crate::records::{Client, ClientKind};
use crate::telemetry::{Phase, phase};
use crate::tokens::VerifiedToken;
use serde::Serialize;
use std::sync::Arc;
use stipend_keys::{Keyring, Signer, TokenKind, dated_id};
use stipend_schema::Dep;
use stipend_token::budget::{BUDGET_TYPE, TokenLine};
use stipend_token::claims::{AccessToken, MAX_CLAIMS_BYTES};
use stipend_token::constraint::CredentialRelease;
use stipend_token::lineage::Lineage;
use stipend_token::revoked::RevokedKind;
use stipend_token::{ActorChain, Confirmation, ScopeSet};

/// What a `status` claim takes beside the address that its list is under.
const STATUS_CLAIM_BYTES: usize = 96;

/// RFC 6749 section 5.1 and RFC 8693 section 2.2.1.
#[derive(Debug, Serialize)]
pub struct TokenResponse {
    pub access_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<&'static str>,
    pub token_type: &'static str,
    pub expires_in: i64,
    pub scope: String,
    /// What was granted (RFC 9396 section 7).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorization_details: Vec<Granted>,
    /// For the log: tokens appear there by their id only.
    #[serde(skip)]
    pub jti: String,
}

/// What was asked for, narrowed.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Granted {
    /// With its line.
    Budget {
        r#type: &'static str,
        #[serde(flatten)]
        line: TokenLine,
    },
    /// In the form of a request: where its limits are counted, the token says.
    Credential(Box<CredentialRelease>),
}

/// Claims in the client's own name, to be completed by the grant.
pub(super) fn new_claims(app: &App, client: &Client, now: i64) -> AccessToken {
    AccessToken {
        iss: app.urls.issuer.clone(),
        sub: client.subject.clone(),
        sub_profile: (client.kind == ClientKind::Agent).then(|| "ai_agent".to_owned()),
        client_id: client.id.clone(),
        aud: Vec::new(),
        scope: ScopeSet::default(),
        jti: dated_id("t_", now),
        lineage: Lineage::default(),
        iat: now,
        exp: now,
        env: client.environment,
        act: ActorChain::default(),
        may_act: None,
        user: stipend_token::UserContext::default(),
        cnf: None,
        status: None,
        budget: None,
        authorization_details: None,
    }
}

/// A token that was signed, and by which key.
#[derive(Debug)]
struct Signed {
    token: String,
    kid: String,
}

/// One signed while its record is being stored: the commit takes longer, and needs another
/// processor. It has no way out but [`answer`], which asks for claims that are on record.
#[derive(Debug)]
pub(super) struct Early(Result<Signed, Reason>);

/// A key that will sign while the record is stored.
pub(super) struct Pledged(Arc<Signer>);

/// The key to sign with. The record depends on it: distrusted meanwhile, it has signed nothing.
pub(super) async fn pledge(app: &App, issued: &Issued, deps: &mut Vec<Dep>) -> Result<Pledged, Reason> {
    let now = app.clock.now();
    let chosen = |app: &App| signer(&app.ring.keyring(), issued.kid.as_deref(), now).cloned();
    let mut key = chosen(app)?;
    if app.live.covers(RevokedKind::Key, key.kid(), issued.claims.iat) {
        // This node has heard of the distrust, and has not read the keys again yet.
        let ring = Arc::clone(&app.ring);
        let reloaded = app.store.run(async move { ring.reload(now).await }).await;
        if !matches!(reloaded, Ok(Ok(()))) {
            return Err(Reason::StoreUnavailable);
        }
        key = chosen(app)?;
    }
    // One that the record names is among them already.
    if issued.kid.is_none() {
        deps.push(deps::key(key.kid()));
    }
    Ok(Pledged(key))
}

impl Pledged {
    pub(super) fn sign(&self, issued: &Issued) -> Early {
        Early(sign(&self.0, issued))
    }
}

/// What is answered for claims whose record is durable. Nothing that is signed gets out before.
pub(super) fn answer(app: &App, mut issued: Issued) -> Result<TokenResponse, Reason> {
    let signed = match issued.early.take() {
        Some(Early(signed)) => signed?,
        None => sign(signer(&app.ring.keyring(), issued.kid.as_deref(), app.clock.now())?, &issued)?,
    };
    let Issued { claims, issued_token_type, leaving, since, .. } = issued;
    let Signed { token: access_token, kid } = signed;
    let response = TokenResponse {
        issued_token_type,
        // RFC 8693 section 2.2.1: what is no access token is used as none.
        token_type: if leaving.is_some() { "N_A" } else { token_type(&claims) },
        expires_in: claims.exp.saturating_sub(since),
        scope: claims.scope.to_string(),
        authorization_details: granted(&claims),
        jti: claims.jti.clone(),
        access_token,
    };
    if leaving.is_none() {
        app.tokens.remember(&response.access_token, VerifiedToken { claims, kid });
    }
    Ok(response)
}

fn sign(signer: &Signer, issued: &Issued) -> Result<Signed, Reason> {
    let _timed = phase(Phase::Sign);
    let (kind, payload) = match &issued.leaving {
        None => (TokenKind::AccessToken, serde_json::to_vec(&issued.claims)),
        Some(leaving) => (TokenKind::IdJag, serde_json::to_vec(&leaving.grant(&issued.claims))),
    };
    let payload = payload.map_err(|_| Reason::Internal)?;
    let token = signer.sign(kind, &payload).map_err(|error| {
        tracing::error!(%error, "signing failed");
        Reason::Internal
    })?;
    Ok(Signed { token, kid: signer.kid().to_owned() })
}

/// RFC 9449 section 5: `DPoP` for a token that is of use only with proofs of its key. One bound to
/// a certificate is used like any other (RFC 8705 section 3).
#[must_use]
pub fn token_type(claims: &AccessToken) -> &'static str {
    match claims.cnf {
        Some(Confirmation::Jkt(_)) => "DPoP",
        Some(Confirmation::X5tS256(_)) | None => "Bearer",
    }
}

/// The key that the record names, or else the one that signs now.
pub(super) fn signer<'a>(keyring: &'a Keyring, kid: Option<&str>, now: i64) -> Result<&'a Arc<Signer>, Reason> {
    let signer = match kid {
        Some(kid) => keyring.signer(kid, now),
        None => keyring.signing_key(now),
    };
    signer.ok_or(Reason::NoSigningKey)
}

/// Budgets, then credentials.
fn granted(claims: &AccessToken) -> Vec<Granted> {
    let budgets = claims.budget.iter().flatten().cloned().map(|line| Granted::Budget { r#type: BUDGET_TYPE, line });
    let credentials = claims.authorization_details.iter().flatten();
    budgets.chain(credentials.map(|release| Granted::Credential(Box::new(release.without_counted())))).collect()
}

/// RFC 8693 section 6 and the header limits of proxies: a token stays small.
///
/// `status`: it is still to get a place in a status list.
pub(super) fn check_size(app: &App, claims: &AccessToken, status: bool) -> Result<(), Reason> {
    let room = if status { app.urls.status_endpoint.len().saturating_add(STATUS_CLAIM_BYTES) } else { 0 };
    match serde_json::to_vec(claims) {
        Ok(payload) if payload.len().saturating_add(room) <= MAX_CLAIMS_BYTES => Ok(()),
        _ => Err(Reason::TokenTooLarge),
    }
}
