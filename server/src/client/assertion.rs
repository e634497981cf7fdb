//! `private_key_jwt` (RFC 7523 section 3, with the audience rule of its update): a JWT
//! signed by a registered key of the client, for us alone, used once.

use super::{AuthFailure, AuthenticatedClient, federated};
use crate::app::App;
use crate::audit::Origin;
use crate::deps;
use crate::documents;
use crate::federation::{Issuer, KeyFault};
use crate::limits::{LEEWAY_SECONDS, MAX_ASSERTION_SECONDS, MAX_JTI_BYTES};
use crate::reason::Reason;
use crate::records::{AuthMethod, Client, ClientKey};
use serde_json::{Map, Value};
use std::sync::Arc;
use stipend_keys::{JwsError, TokenKind, Unverified, Verified, Verifier, sha256};
use stipend_schema::Burn;
use stipend_token::json::{date_member, str_member, string_or_array_member};

pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(super) async fn authenticate(
    app: &App,
    jwt: &str,
    client_id: Option<&str>,
    certified: bool,
    origin: &Origin,
) -> Result<AuthenticatedClient, AuthFailure> {
    let unverified = Unverified::parse(jwt).map_err(|_| AuthFailure::new(Reason::AssertionMalformed, client_id))?;
    let claimed = str_member(unverified.claims(), "iss").ok().flatten().map(str::to_owned);
    let fail = |reason| AuthFailure::new(reason, claimed.as_deref().or(client_id));
    let id = claimed.as_deref().ok_or_else(|| fail(Reason::AssertionIssuer))?;
    // RFC 7521 section 4.2: client_id is optional and must name the same client. Beside a
    // certificate it may name the certificate's: that would be a second method.
    if let Some(named) = client_id.filter(|named| *named != id) {
        if let Some(client) = find_federated(app, named).await.map_err(&fail)? {
            return federated::authenticate(app, client, unverified).await;
        }
        return Err(fail(if certified { Reason::SeveralAuthMethods } else { Reason::ClientIdMismatch }));
    }
    if documents::is_url(id) {
        return super::document::authenticate(app, id, unverified, origin).await;
    }
    let now = app.clock.now();
    let client = app.records.find_client(id).await.map_err(|_| fail(Reason::StoreUnavailable))?;
    let client = client.ok_or_else(|| fail(Reason::UnknownClient))?;
    // Known by a document, it is asked for by that one's URL alone: whether its keys still count
    // is not in its records.
    if client.auth_method != AuthMethod::PrivateKeyJwt || client.document.is_some() {
        return Err(fail(Reason::WrongAuthMethod));
    }
    let keys = match &client.published {
        Some(published) => SigningKeys::Published(published),
        None => SigningKeys::Registered(&client.keys),
    };
    let verified = verify(app, keys, unverified, now).await.map_err(&fail)?;
    let named = Named { client_id: &client.id, burned_as: &client.id, legacy_audience: client.legacy_assertion_aud };
    let burn = check_claims(app, &named, verified.claims(), now).map_err(&fail)?;
    if !client.stands(now) {
        return Err(fail(Reason::ClientNotActive));
    }
    let deps = vec![deps::client(&client.id), deps::owner(&client.owner_id)];
    Ok(AuthenticatedClient { client, method: AuthMethod::PrivateKeyJwt, burn: Some(burn), deps })
}

/// The client whose assertions another issuer makes, if `client_id` names one.
async fn find_federated(app: &App, id: &str) -> Result<Option<Arc<Client>>, Reason> {
    let client = app.records.find_client(id).await?;
    Ok(client.filter(|client| client.auth_method == AuthMethod::FederatedJwt))
}

/// Where the keys of the client are.
pub(super) enum SigningKeys<'a> {
    Registered(&'a [ClientKey]),
    Published(&'a Arc<Issuer>),
}

/// As what an assertion must name its client.
pub(super) struct Named<'a> {
    pub client_id: &'a str,
    /// Whose assertions it is used up among: always our own name of the client.
    pub burned_as: &'a str,
    pub legacy_audience: bool,
}

/// RFC 8725 section 3.1: only the client's own keys, each with its one algorithm. Headers
/// such as `jwk`, `jku` and `x5u` choose nothing.
pub(super) async fn verify(app: &App, keys: SigningKeys<'_>, token: Unverified, now: i64) -> Result<Verified, Reason> {
    let told = |error| match error {
        JwsError::Signature => Reason::AssertionSignature,
        JwsError::WrongKind => Reason::AssertionType,
        JwsError::WrongKeyAlgorithm => Reason::AssertionKeyUnknown,
        _ => Reason::AssertionMalformed,
    };
    let published = match keys {
        SigningKeys::Published(published) => published,
        SigningKeys::Registered(keys) => {
            return registered(keys, &token, now)?.verify(token, TokenKind::ClientAssertion).map_err(told);
        }
    };
    // Among keys that come and go only a name says which is meant.
    let kid = token.kid().ok_or(Reason::AssertionKeyUnknown)?;
    let key = app.issuer_keys.find(published, kid, now).await.map_err(|fault| match fault {
        KeyFault::Unknown => Reason::AssertionKeyUnknown,
        KeyFault::Unavailable => Reason::AssertionIssuerKeys,
    })?;
    key.verify(token, TokenKind::ClientAssertion).map_err(told)
}

fn registered<'k>(keys: &'k [ClientKey], token: &Unverified, now: i64) -> Result<&'k Verifier, Reason> {
    let mut candidates = keys.iter().filter(|key| {
        now < key.expires_at
            && key.verifier.alg() == token.alg()
            && token.kid().is_none_or(|kid| kid == key.verifier.kid())
    });
    // Without a kid the key must be unambiguous by its algorithm.
    match (candidates.next(), candidates.next()) {
        (Some(key), None) => Ok(&key.verifier),
        _ => Err(Reason::AssertionKeyUnknown),
    }
}

pub(super) fn check_claims(
    app: &App,
    named: &Named<'_>,
    claims: &Map<String, Value>,
    now: i64,
) -> Result<Burn, Reason> {
    // RFC 7523 section 3, items 1 and 2B.
    let names_client = |name| str_member(claims, name).ok().flatten() == Some(named.client_id);
    if !names_client("iss") || !names_client("sub") {
        return Err(Reason::AssertionIssuer);
    }
    check_audience(app, named.legacy_audience, claims)?;
    let date = |name| date_member(claims, name).map_err(|_| Reason::AssertionTimes);
    let exp = date("exp")?.ok_or(Reason::AssertionTimes)?;
    if exp.saturating_add(LEEWAY_SECONDS) <= now || exp > now.saturating_add(MAX_ASSERTION_SECONDS + LEEWAY_SECONDS) {
        return Err(Reason::AssertionTimes);
    }
    for not_before in [date("nbf")?, date("iat")?].into_iter().flatten() {
        if not_before > now.saturating_add(LEEWAY_SECONDS) {
            return Err(Reason::AssertionTimes);
        }
    }
    let jti = str_member(claims, "jti").map_err(|_| Reason::AssertionJti)?.ok_or(Reason::AssertionJti)?;
    if jti.is_empty() || jti.len() > MAX_JTI_BYTES {
        return Err(Reason::AssertionJti);
    }
    // Length-prefixed, so that no client's jti can stand for another's.
    let key = format!("client_assertion {} {} {jti}", named.burned_as.len(), named.burned_as);
    Ok(Burn { key_hash: sha256(key.as_bytes()), expires_at: exp.saturating_add(2 * LEEWAY_SECONDS) })
}

fn check_audience(app: &App, legacy: bool, claims: &Map<String, Value>) -> Result<(), Reason> {
    let legacy = legacy.then_some(app.urls.token_endpoint.as_str());
    match only_audience(claims)? {
        only if Some(only) == legacy => Ok(()),
        _ => for_us_alone(app, claims),
    }
}

/// The update of RFC 7523, section 4: our issuer, alone, by simple comparison. An audience
/// that others share lets them replay the assertion here.
pub(super) fn for_us_alone(app: &App, claims: &Map<String, Value>) -> Result<(), Reason> {
    if only_audience(claims)? == app.urls.issuer { Ok(()) } else { Err(Reason::AssertionAudience) }
}

fn only_audience(claims: &Map<String, Value>) -> Result<&str, Reason> {
    let aud = string_or_array_member(claims, "aud", 1).ok().flatten().ok_or(Reason::AssertionAudience)?;
    match aud.as_slice() {
        [only] => Ok(only),
        _ => Err(Reason::AssertionAudience),
    }
}
