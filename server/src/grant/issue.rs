//! Making the token: claims, then (after the commit) the signature and the response.

use super::Issued;
use crate::app::App;
use crate::reason::Reason;
use crate::records::{Client, ClientKind};
use crate::telemetry::{Phase, phase};
use serde::Serialize;
use std::sync::Arc;
use stipend_keys::{Keyring, Signer, TokenKind, random_id};
use stipend_token::budget::{BUDGET_TYPE, TokenLine};
use stipend_token::claims::{AccessToken, MAX_CLAIMS_BYTES};
use stipend_token::constraint::CredentialRelease;
use stipend_token::lineage::Lineage;
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
        jti: random_id("t_"),
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

/// Signs claims whose record is durable. Nothing is signed that was not first recorded.
pub(super) fn sign(app: &App, issued: &Issued) -> Result<TokenResponse, Reason> {
    let _timed = phase(Phase::Sign);
    let Issued { claims, issued_token_type, leaving, since, kid } = issued;
    let keyring = app.ring.keyring();
    let signer = signer(&keyring, kid.as_deref(), app.clock.now())?;
    let (kind, payload) = match leaving {
        None => (TokenKind::AccessToken, serde_json::to_vec(claims)),
        Some(leaving) => (TokenKind::IdJag, serde_json::to_vec(&leaving.grant(claims))),
    };
    let payload = payload.map_err(|_| Reason::Internal)?;
    let access_token = signer.sign(kind, &payload).map_err(|error| {
        tracing::error!(%error, "signing failed");
        Reason::Internal
    })?;
    Ok(TokenResponse {
        access_token,
        issued_token_type: *issued_token_type,
        // RFC 8693 section 2.2.1: what is no access token is used as none.
        token_type: if leaving.is_some() { "N_A" } else { token_type(claims) },
        expires_in: claims.exp.saturating_sub(*since),
        scope: claims.scope.to_string(),
        authorization_details: granted(claims),
        jti: claims.jti.clone(),
    })
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
