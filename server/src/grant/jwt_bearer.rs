//! The JWT bearer grant (RFC 7523 section 2.1): an assertion of another issuer for an access
//! token of ours. Identity assertion grants
//! (draft-ietf-oauth-identity-assertion-authz-grant) come in here, and the JWT authorization
//! grants of draft-ietf-oauth-identity-chaining.
//!
//! An assertion says who its subject is and how much may be asked for; that anything may, only an
//! exchange rule says. Its `act`, `may_act` and roles are another domain's and permit nothing. It
//! is used once: with the token that comes of it, in one commit. One that is bound to a key (`cnf`)
//! needs the proof of that key.

use super::presented::{Presented, Wanted, describe_subject};
use super::subject::vouched_subject;
use super::token_exchange::{Judged, judge};
use super::{Authorization, Refused, request};
use crate::app::App;
use crate::audit::Draft;
use crate::client::AuthenticatedClient;
use crate::federation::{self, ForeignFault, ForeignKind, ForeignToken, IssuerUse};
use crate::form::Params;
use crate::limits::{LEEWAY_SECONDS, MAX_JTI_BYTES};
use crate::reason::Reason;
use crate::records::Client;
use serde_json::Value;
use stipend_keys::{TokenKind, Unverified, sha256};
use stipend_schema::{Burn, Dep};
use stipend_token::constraint::CredentialRelease;
use stipend_token::details::parse_and_split;
use stipend_token::id_jag::Asserted;
use stipend_token::{Audience, ScopeSet};

/// Longest time until an assertion ends: as long as it is remembered that it was used.
const MAX_ASSERTION_LIFE_SECONDS: i64 = 3600;

/// An assertion that is good for this client, once.
struct Assertion {
    token: ForeignToken,
    asserted: Asserted,
    /// What it says that may be done with credentials here: a ceiling, as in a token of ours.
    credentials: Option<Vec<CredentialRelease>>,
    burn: Burn,
}

pub(super) async fn decide(
    app: &App,
    authenticated: &AuthenticatedClient,
    params: &Params,
    mut draft: Draft,
) -> Result<Authorization, Refused> {
    draft.put("grant_type", super::JWT_BEARER);
    let jwt = params.one("assertion").ok_or(Reason::GrantMissing)?;
    let (client, now) = (&authenticated.client, app.clock.now());
    let details = request::details(params, client)?;
    let refused =
        |reason, deps: &[Dep], draft: &Draft| Refused { reason, deps: deps.to_vec(), draft: Some(draft.clone()) };
    let Assertion { token, asserted, credentials, burn } =
        verify(app, client, jwt, now).await.map_err(|reason| refused(reason, &[], &draft))?;
    let deps = token.deps.clone();
    let subject = vouched_subject(client, token, credentials).map_err(|reason| refused(reason, &deps, &draft))?;
    describe_subject(&mut draft, client, &subject);
    let targets = targets(params, &asserted).map_err(|reason| refused(reason, &deps, &draft))?;
    let scope = scope(params, &asserted).map_err(|reason| refused(reason, &deps, &draft))?;
    let presented = Presented { subject, actor: None };
    let wanted = Wanted { targets, abroad: None, scope, details, issued_type: None, approved: None };
    let judged = judge(app, authenticated, &presented, wanted, draft).await;
    let Judged { mut authorization, approvers, .. } =
        judged.map_err(|refused| Refused { reason: in_words(refused.reason), ..refused })?;
    if !approvers.is_empty() {
        // People are asked about an exchange; an assertion would be gone before they answer.
        authorization.draft.put("approvers", approvers);
        return Err(refused(Reason::ApprovalNeeded, &authorization.deps, &authorization.draft));
    }
    match within(&authorization.claims.scope, &asserted) {
        Ok(scope) => authorization.claims.scope = scope,
        Err(reason) => return Err(refused(reason, &authorization.deps, &authorization.draft)),
    }
    // A grant that is bound to a key is for whoever proves that key, and so is what comes of it:
    // `bind` asks for it, of every grant alike. It is presented by whom it was made for, so it is
    // never one that was handed on.
    for held in &mut authorization.held {
        (held.handed_on, held.refusal) = (false, Reason::GrantKeyNotProved);
    }
    authorization.burn = Some(burn);
    Ok(authorization)
}

/// What an exchange says of its subject token, said of an assertion.
fn in_words(reason: Reason) -> Reason {
    match reason {
        Reason::NotTheirs => Reason::GrantNoRule,
        Reason::SubjectExpired => Reason::GrantTimes,
        Reason::EnvironmentCrossed => Reason::GrantSubject,
        other => other,
    }
}

/// Verifies the assertion of a request, for the client that presents it.
async fn verify(app: &App, client: &Client, jwt: &str, now: i64) -> Result<Assertion, Reason> {
    let unverified = Unverified::parse(jwt).map_err(|_| Reason::GrantMalformed)?;
    // RFC 8725 section 3.11: what says that it is an identity assertion grant is read as one, and
    // nothing else is.
    let is_id_jag = TokenKind::IdJag.permits(unverified.typ());
    let (wanted, kind) = match is_id_jag {
        true => (IssuerUse::IdJag, ForeignKind::IdJag),
        false => (IssuerUse::SubjectToken, ForeignKind::IdToken),
    };
    // draft-ietf-oauth-identity-assertion-authz-grant, "Cross-Domain Use": what was issued here
    // never comes back as an access token, whoever registered us as an issuer.
    if unverified.claims().get("iss").and_then(|iss| iss.as_str()) == Some(&app.urls.issuer) {
        return Err(Reason::GrantIssuer);
    }
    let token = federation::verify(app, unverified, wanted, kind, now).await.map_err(reason)?;
    let asserted = Asserted::from_claims(&token.claims).map_err(|_| Reason::GrantMalformed)?;
    check_audience(app, &asserted, is_id_jag)?;
    // Who presents it is who it was made for. A JWT without the claim is for whoever the rules say.
    match &asserted.client_id {
        Some(named) if !client.is_called(named) => return Err(Reason::GrantOtherClient),
        None if is_id_jag => return Err(Reason::GrantOtherClient),
        _ => {}
    }
    let credentials = token.claims.get("authorization_details").map(credentials).transpose()?;
    let burn = burn(&token, &asserted, now)?;
    Ok(Assertion { token, asserted, credentials, burn })
}

/// RFC 9396 section 5: what is not understood is refused, never ignored. A budget of another
/// domain is nobody's to spend here.
fn credentials(details: &Value) -> Result<Vec<CredentialRelease>, Reason> {
    let parts = parse_and_split(&details.to_string()).map_err(|_| Reason::GrantDetails)?;
    if !parts.budgets.is_empty() {
        return Err(Reason::GrantDetails);
    }
    CredentialRelease::parse_all(&parts.credential_releases).map_err(|_| Reason::GrantDetails)
}

/// The update of RFC 7523, section 4: our issuer, alone. The token endpoint still does for a
/// grant that is no identity assertion.
fn check_audience(app: &App, asserted: &Asserted, is_id_jag: bool) -> Result<(), Reason> {
    let endpoint = !is_id_jag && asserted.aud == app.urls.token_endpoint;
    if asserted.aud == app.urls.issuer || endpoint { Ok(()) } else { Err(Reason::GrantAudience) }
}

/// Single use: by issuer and `jti`, remembered until it would have ended.
fn burn(token: &ForeignToken, asserted: &Asserted, now: i64) -> Result<Burn, Reason> {
    if token.expires_at > now.saturating_add(MAX_ASSERTION_LIFE_SECONDS + LEEWAY_SECONDS) {
        return Err(Reason::GrantTimes);
    }
    let jti = asserted.jti.as_deref().filter(|jti| !jti.is_empty() && jti.len() <= MAX_JTI_BYTES);
    let jti = jti.ok_or(Reason::GrantJti)?;
    let issuer = &token.issuer.issuer;
    // Length-prefixed, so that no issuer's jti can stand for another's.
    let key = format!("assertion_grant {} {issuer} {jti}", issuer.len());
    Ok(Burn { key_hash: sha256(key.as_bytes()), expires_at: token.expires_at.saturating_add(2 * LEEWAY_SECONDS) })
}

/// The resources of the request, within those that the assertion names.
fn targets(params: &Params, asserted: &Asserted) -> Result<Vec<Audience>, Reason> {
    let asked = request::targets(params)?;
    let within = |uri: &Audience| asserted.resources.is_empty() || asserted.resources.contains(uri);
    match asked.iter().all(within) {
        true if asked.is_empty() && asserted.resources.is_empty() => Err(Reason::NoDefaultTarget),
        true if asked.is_empty() => Ok(asserted.resources.clone()),
        true => Ok(asked),
        false => Err(Reason::UnknownTarget),
    }
}

/// The scope of the request, within the assertion's (RFC 7521 section 4.1).
fn scope(params: &Params, asserted: &Asserted) -> Result<Option<ScopeSet>, Reason> {
    let asked = request::scope(params)?;
    match (&asked, &asserted.scope) {
        (Some(asked), Some(most)) if !asked.is_subset(most) => Err(Reason::ScopeWider),
        _ => Ok(asked),
    }
}

/// What is left of a scope that was granted where none was asked for.
fn within(scope: &ScopeSet, asserted: &Asserted) -> Result<ScopeSet, Reason> {
    let scope = match &asserted.scope {
        Some(most) => scope.intersection(most),
        None => scope.clone(),
    };
    if scope.is_empty() { Err(Reason::ScopeNotAllowed) } else { Ok(scope) }
}

/// RFC 7523 section 3.1: every fault of an assertion is an invalid grant.
fn reason(fault: ForeignFault) -> Reason {
    match fault {
        ForeignFault::Malformed | ForeignFault::Kind => Reason::GrantMalformed,
        // One answer: which issuers are trusted is nobody's to find out.
        ForeignFault::UnknownIssuer | ForeignFault::Inactive | ForeignFault::Use => Reason::GrantIssuer,
        ForeignFault::Algorithm | ForeignFault::UnknownKey | ForeignFault::Signature => Reason::GrantSignature,
        ForeignFault::KeysUnavailable => Reason::GrantKeysUnavailable,
        ForeignFault::Times => Reason::GrantTimes,
        ForeignFault::Required | ForeignFault::Subject => Reason::GrantSubject,
        ForeignFault::Revoked(_) => Reason::GrantRevoked,
        ForeignFault::Unavailable => Reason::StoreUnavailable,
    }
}
