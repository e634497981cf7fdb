//! `federated_jwt` and `spiffe_jwt`: a JWT that the workload has from its platform. No secret of
//! the client is kept here, and none is there: whoever runs the platform says who the workload
//! is, and the client's registration says which workload the client is (RFC 7523 section 3;
//! draft-ietf-oauth-spiffe-client-auth section 3.1).

use super::assertion::for_us_alone;
use super::{AuthFailure, AuthenticatedClient, SpiffeId};
use crate::app::App;
use crate::bootstrap::OWNER;
use crate::deps;
use crate::federation::{ForeignFault, ForeignKind, ForeignToken, Issuer, IssuerKind, IssuerUse, satisfies, verify};
use crate::limits::{LEEWAY_SECONDS, MAX_FEDERATED_ASSERTION_SECONDS};
use crate::reason::Reason;
use crate::records::{AuthMethod, Client, ClientKind};
use std::sync::Arc;
use stipend_keys::{Unverified, sha256};
use stipend_schema::Burn;
use stipend_token::json::str_member;

pub(super) const JWT_SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

pub(super) async fn authenticate(
    app: &App,
    client: Arc<Client>,
    token: Unverified,
) -> Result<AuthenticatedClient, AuthFailure> {
    let fail = |reason| AuthFailure::new(reason, Some(&client.id));
    let now = app.clock.now();
    let foreign = verify(app, token, IssuerUse::ClientAssertion, ForeignKind::ClientAssertion, now).await;
    let foreign = foreign.map_err(|fault| fail(refusal(fault)))?;
    let burn = check(app, &client, &foreign, now).map_err(&fail)?;
    if !client.stands(now) {
        return Err(fail(Reason::ClientNotActive));
    }
    let mut deps = vec![deps::client(&client.id), deps::owner(&client.owner_id)];
    deps.extend(foreign.deps);
    Ok(AuthenticatedClient { method: client.auth_method, client, burn, deps })
}

/// Whether the client is who the assertion is about, and the assertion is for us, now, once.
fn check(app: &App, client: &Client, foreign: &ForeignToken, now: i64) -> Result<Option<Burn>, Reason> {
    if !speaks_for(&foreign.issuer, client) {
        return Err(Reason::AssertionIssuerUntrusted);
    }
    // RFC 7523 section 3, item 2B: by `sub`, however the issuer's subjects are named elsewhere.
    let sub = str_member(&foreign.claims, "sub").ok().flatten().ok_or(Reason::AssertionSubject)?;
    if !is_about(client, &foreign.issuer, sub) || !has_claims(client, foreign) {
        return Err(Reason::AssertionSubject);
    }
    for_us_alone(app, &foreign.claims)?;
    if foreign.expires_at > now.saturating_add(MAX_FEDERATED_ASSERTION_SECONDS + LEEWAY_SECONDS) {
        return Err(Reason::AssertionLife);
    }
    // A platform may hand out one token again and again until it ends; then it is no proof that
    // is used up, and the registration has to say so.
    Ok((!client.settings.assertions_reusable).then(|| burn(foreign)))
}

/// What the registration requires beside the subject.
fn has_claims(client: &Client, foreign: &ForeignToken) -> bool {
    client.settings.federated_claims().is_none_or(|required| satisfies(&foreign.claims, required))
}

/// Whoever owns the issuer's registration decides what it vouches for: its own clients, and
/// those of all where that is the deployment. Not for an owner's administrators: who may register
/// issuers would become any of them. And where the issuer is of one environment, in that alone.
pub(super) fn speaks_for(issuer: &Issuer, client: &Client) -> bool {
    let own = issuer.owner_id == client.owner_id && client.kind != ClientKind::Admin;
    let here = issuer.spec.environment.is_none_or(|environment| environment == client.environment);
    here && (own || issuer.owner_id == OWNER)
}

fn is_about(client: &Client, issuer: &Issuer, sub: &str) -> bool {
    let settings = &client.settings;
    match (client.auth_method, issuer.kind) {
        (AuthMethod::FederatedJwt, IssuerKind::Oidc) => settings
            .federated
            .as_ref()
            .is_some_and(|identity| identity.issuer == issuer.issuer && identity.subject == sub),
        // A bundle vouches for ids of its own trust domain and no other.
        (AuthMethod::SpiffeJwt, IssuerKind::Spiffe) => SpiffeId::parse(sub)
            .is_some_and(|id| id.trust_domain() == issuer.issuer && settings.spiffe_id.as_deref() == Some(id.as_str())),
        _ => false,
    }
}

/// By its digest: of (`iss`, `jti`), or of the whole where it has no `jti`. One assertion is used
/// up for every client.
fn burn(foreign: &ForeignToken) -> Burn {
    let key = format!("federated_assertion {}", foreign.digest);
    Burn { key_hash: sha256(key.as_bytes()), expires_at: foreign.expires_at.saturating_add(2 * LEEWAY_SECONDS) }
}

fn refusal(fault: ForeignFault) -> Reason {
    match fault {
        ForeignFault::Malformed => Reason::AssertionMalformed,
        ForeignFault::Kind => Reason::AssertionType,
        ForeignFault::UnknownIssuer | ForeignFault::Inactive | ForeignFault::Use | ForeignFault::Revoked(_) => {
            Reason::AssertionIssuerUntrusted
        }
        ForeignFault::Algorithm | ForeignFault::UnknownKey | ForeignFault::Signature => {
            Reason::AssertionIssuerSignature
        }
        ForeignFault::KeysUnavailable => Reason::AssertionIssuerKeys,
        ForeignFault::Times => Reason::AssertionLife,
        ForeignFault::Required | ForeignFault::Subject => Reason::AssertionSubject,
        ForeignFault::Unavailable => Reason::StoreUnavailable,
    }
}
