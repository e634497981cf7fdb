//! Verifying one foreign token: whose it is, whether its issuer is trusted for this, its
//! signature, its dates, and what its issuer's registration requires of it.
//!
//! Whether it was made for us is the caller's to ask, because it depends on what the token is
//! used for: [`accepts_audience`] for subject tokens, our issuer alone for assertions.

use super::evidence::{Evidence, SignedBy};
use super::jwks::KeyFault;
use super::spec::{Issuer, IssuerKind, IssuerUse};
use super::subject::{MAX_FOREIGN_SUBJECT_BYTES, digest, federated_subject, token_digest};
use crate::app::App;
use crate::deps;
use crate::limits::{LEEWAY_SECONDS, MAX_JTI_BYTES};
use crate::records::Unavailable;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use stipend_keys::{JwsError, TokenKind, Unverified, Verified, Verifier};
use stipend_schema::Dep;
use stipend_token::UserContext;
use stipend_token::json::{date_member, str_member, string_or_array_member};
use stipend_token::revoked::RevokedKind;

/// Longest life of a foreign token, from `iat` to `exp`: as long as a revocation of it, of its
/// subject or of its issuer is remembered.
pub const MAX_FOREIGN_SECONDS: i64 = 7 * 86_400;
/// Values of `aud` that are read.
const MAX_AUDIENCES: usize = 32;
const SPIFFE: &str = "spiffe://";

/// What a foreign token is said to be.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ForeignKind {
    /// OpenID Connect Core section 2.
    IdToken,
    /// RFC 9068: by `typ`, and not otherwise.
    AccessToken,
    /// Either, or an access token from before RFC 9068.
    Jwt,
    /// RFC 7523, as workloads have it from their platforms.
    ClientAssertion,
    /// An identity assertion grant.
    IdJag,
}

impl ForeignKind {
    fn token_kind(self, typ: Option<&str>) -> TokenKind {
        match self {
            Self::AccessToken => TokenKind::AccessToken,
            Self::Jwt if TokenKind::AccessToken.permits(typ) => TokenKind::AccessToken,
            Self::Jwt | Self::IdToken => TokenKind::IdToken,
            Self::ClientAssertion => TokenKind::ClientAssertion,
            Self::IdJag => TokenKind::IdJag,
        }
    }
}

/// Why a foreign token is worth nothing here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ForeignFault {
    /// No well-formed JWT, or a claim of the wrong form.
    Malformed,
    /// Not of the kind that it is said to be.
    Kind,
    /// Nobody trusts its issuer here.
    UnknownIssuer,
    /// Its issuer is switched off, or its owner is.
    Inactive,
    /// Its issuer is not trusted for this.
    Use,
    /// Its issuer is not registered with this algorithm.
    Algorithm,
    /// It names no key, or none that its issuer has.
    UnknownKey,
    /// Its issuer's keys can't be had.
    KeysUnavailable,
    Signature,
    /// Expired, not yet valid, or valid for longer than any token may be.
    Times,
    /// A claim that its issuer's registration requires is not there, or not as required.
    Required,
    /// It names no subject that could have a name here.
    Subject,
    /// It, its subject or its issuer was revoked after it was issued.
    Revoked(RevokedKind),
    /// Nobody can tell now.
    Unavailable,
}

impl From<Unavailable> for ForeignFault {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

/// A foreign token whose signature is its issuer's.
#[derive(Clone, Debug)]
pub struct ForeignToken {
    pub issuer: Arc<Issuer>,
    pub kind: ForeignKind,
    /// All of them, as signed.
    pub claims: Map<String, Value>,
    /// What it is called in a lineage.
    pub digest: String,
    /// Its subject at its issuer, with the tenant in front where the issuer has many.
    pub name: String,
    /// Its subject here.
    pub subject: String,
    pub issued_at: Option<i64>,
    pub expires_at: i64,
    /// How its subject authenticated, and where.
    pub user: UserContext,
    pub signed_by: SignedBy,
    /// What all this was concluded from.
    pub deps: Vec<Dep>,
}

/// The registration of the issuer that a token says it is of: by `iss`, or by the trust domain in
/// the subject of a JWT-SVID.
///
/// # Errors
/// [`ForeignFault::Malformed`] for a token that names none, [`ForeignFault::UnknownIssuer`].
pub async fn issuer_named_by(app: &App, token: &Unverified) -> Result<Arc<Issuer>, ForeignFault> {
    issuer_named_in(app, token.claims()).await
}

async fn issuer_named_in(app: &App, claims: &Map<String, Value>) -> Result<Arc<Issuer>, ForeignFault> {
    let text = |name| str_member(claims, name).map_err(|_| ForeignFault::Malformed);
    let named = text("iss")?;
    // What can't be a registered name is not looked up: nor could every database hold it.
    let could_be = |name: &str| !name.is_empty() && name.len() <= 512 && !name.contains(char::is_control);
    if let Some(name) = named.filter(|name| could_be(name))
        && let Some(issuer) = app.records.find_issuer(name).await?
    {
        return Ok(issuer);
    }
    // JWT-SVID section 3: `sub` is the SPIFFE ID; `iss` is optional and says nothing.
    let domain = text("sub")?.and_then(trust_domain).filter(|domain| could_be(domain));
    match (domain, named) {
        (Some(domain), _) => app.records.find_issuer(&domain).await?.ok_or(ForeignFault::UnknownIssuer),
        (None, Some(_)) => Err(ForeignFault::UnknownIssuer),
        (None, None) => Err(ForeignFault::Malformed),
    }
}

fn trust_domain(sub: &str) -> Option<String> {
    let (domain, _path) = sub.strip_prefix(SPIFFE)?.split_once('/')?;
    Some(format!("{SPIFFE}{domain}"))
}

/// Verifies a foreign token as one of `kind`, for one use.
///
/// # Errors
/// [`ForeignFault`].
pub async fn verify(
    app: &App,
    token: Unverified,
    wanted: IssuerUse,
    kind: ForeignKind,
    now: i64,
) -> Result<ForeignToken, ForeignFault> {
    let issuer = trusted(app, token.claims(), wanted).await?;
    let (verified, signed_by) = check_signature(app, &issuer, token, kind, now).await?;
    let whole = digest(&verified.digest());
    not_revoked(app, read(issuer, kind, verified.claims(), (signed_by, whole), now)?)
}

/// Verifies what was kept of a foreign token, as if that were presented again: all that could
/// have changed since is asked anew.
///
/// # Errors
/// [`ForeignFault`].
pub async fn verify_again(
    app: &App,
    evidence: &Evidence,
    wanted: IssuerUse,
    now: i64,
) -> Result<ForeignToken, ForeignFault> {
    let Evidence { kind, signed_by, digest, claims } = evidence;
    let issuer = trusted(app, claims, wanted).await?;
    if !issuer.spec.algorithms.contains(&signed_by.alg) {
        return Err(ForeignFault::Algorithm);
    }
    let key = find_key(app, &issuer, &signed_by.kid, now).await?;
    // Its issuer may have taken the key back, and given another its name.
    if key.jwk().thumbprint() != signed_by.thumbprint {
        return Err(ForeignFault::UnknownKey);
    }
    not_revoked(app, read(issuer, *kind, claims, (signed_by.clone(), digest.clone()), now)?)
}

/// The issuer that claims name, if it is trusted for this.
async fn trusted(app: &App, claims: &Map<String, Value>, wanted: IssuerUse) -> Result<Arc<Issuer>, ForeignFault> {
    let issuer = issuer_named_in(app, claims).await?;
    if !issuer.active {
        return Err(ForeignFault::Inactive);
    }
    if issuer.permits(wanted) { Ok(issuer) } else { Err(ForeignFault::Use) }
}

fn not_revoked(app: &App, token: ForeignToken) -> Result<ForeignToken, ForeignFault> {
    let revoked = |kind, value: &str| app.live.covers(kind, value, token.issued_at.unwrap_or_default());
    for (kind, value) in [
        (RevokedKind::Token, &token.digest),
        (RevokedKind::Subject, &token.subject),
        (RevokedKind::Issuer, &token.issuer.id),
        (RevokedKind::Owner, &token.issuer.owner_id),
    ] {
        if revoked(kind, value) {
            return Err(ForeignFault::Revoked(kind));
        }
    }
    Ok(token)
}

async fn check_signature(
    app: &App,
    issuer: &Arc<Issuer>,
    token: Unverified,
    kind: ForeignKind,
    now: i64,
) -> Result<(Verified, SignedBy), ForeignFault> {
    let alg = token.alg();
    if !issuer.spec.algorithms.contains(&alg) {
        return Err(ForeignFault::Algorithm);
    }
    let kind_of = kind.token_kind(token.typ());
    if !kind_of.permits(token.typ()) {
        return Err(ForeignFault::Kind);
    }
    let kid = token.kid().ok_or(ForeignFault::UnknownKey)?;
    let key = find_key(app, issuer, kid, now).await?;
    let signed_by = SignedBy { alg, kid: kid.to_owned(), thumbprint: key.jwk().thumbprint().to_owned() };
    let verified = key.verify(token, kind_of).map_err(|error| match error {
        JwsError::WrongKind => ForeignFault::Kind,
        JwsError::WrongKeyAlgorithm => ForeignFault::Algorithm,
        JwsError::Signature => ForeignFault::Signature,
        _ => ForeignFault::Malformed,
    })?;
    Ok((verified, signed_by))
}

async fn find_key(app: &App, issuer: &Arc<Issuer>, kid: &str, now: i64) -> Result<Arc<Verifier>, ForeignFault> {
    app.issuer_keys.find(issuer, kid, now).await.map_err(|fault| match fault {
        KeyFault::Unknown => ForeignFault::UnknownKey,
        KeyFault::Unavailable => ForeignFault::KeysUnavailable,
    })
}

/// What the claims say, once their signature is good.
/// Without a `jti` it is called by the digest of the whole.
fn read(
    issuer: Arc<Issuer>,
    kind: ForeignKind,
    claims: &Map<String, Value>,
    (signed_by, whole): (SignedBy, String),
    now: i64,
) -> Result<ForeignToken, ForeignFault> {
    let malformed = |_| ForeignFault::Malformed;
    // RFC 8417 section 2.2, and the logout tokens of OpenID Connect: they tell of events, and
    // often have no `typ` that says so.
    if claims.contains_key("events") {
        return Err(ForeignFault::Kind);
    }
    let (issued_at, expires_at) = times(claims, kind, now)?;
    let mapping = &issuer.mapping;
    if !satisfies(claims, &mapping.required) {
        return Err(ForeignFault::Required);
    }
    let sub = text_claim(claims, mapping.subject.as_deref().unwrap_or("sub"))?;
    // A trust domain vouches for its own alone.
    if issuer.kind == IssuerKind::Spiffe && trust_domain(sub).as_deref() != Some(&issuer.issuer) {
        return Err(ForeignFault::Subject);
    }
    let tenant = mapping.tenant.as_deref().map(|name| text_claim(claims, name)).transpose()?;
    let subject = federated_subject(&issuer.id, tenant, sub);
    let name = subject.splitn(3, ':').nth(2).unwrap_or_default().to_owned();
    let digest = match str_member(claims, "jti").map_err(malformed)? {
        Some(jti) if jti.is_empty() || jti.len() > MAX_JTI_BYTES => return Err(ForeignFault::Malformed),
        Some(jti) => token_digest(&issuer.issuer, jti),
        None => whole,
    };
    let user = UserContext { idp: Some(issuer.id.clone()), ..UserContext::from_claims(claims).map_err(malformed)? };
    let deps = vec![
        deps::issuer(&issuer.id),
        deps::issuer_named(&issuer.issuer),
        deps::owner(&issuer.owner_id),
        deps::token(&digest),
        deps::subject(&subject),
    ];
    let claims = claims.clone();
    Ok(ForeignToken { issuer, kind, claims, digest, name, subject, issued_at, expires_at, user, signed_by, deps })
}

/// `iat` and `exp`. A subject token needs both: without `iat` nothing could revoke what was
/// issued before, and OpenID Connect and RFC 9068 require it.
fn times(claims: &Map<String, Value>, kind: ForeignKind, now: i64) -> Result<(Option<i64>, i64), ForeignFault> {
    let date = |name| date_member(claims, name).map_err(|_| ForeignFault::Malformed);
    let (exp, iat, nbf) = (date("exp")?.ok_or(ForeignFault::Malformed)?, date("iat")?, date("nbf")?);
    if iat.is_none() && kind != ForeignKind::ClientAssertion {
        return Err(ForeignFault::Malformed);
    }
    let latest = now.saturating_add(LEEWAY_SECONDS);
    let early = iat.into_iter().chain(nbf).any(|at| at > latest);
    let life = exp.saturating_sub(iat.unwrap_or(now));
    if early || exp.saturating_add(LEEWAY_SECONDS) <= now || life > MAX_FOREIGN_SECONDS {
        return Err(ForeignFault::Times);
    }
    Ok((iat, exp))
}

/// Whether each of the required claims is there with one of its allowed values.
#[must_use]
pub fn satisfies(claims: &Map<String, Value>, required: &BTreeMap<String, Vec<String>>) -> bool {
    required.iter().all(|(name, allowed)| has_one_of(claim(claims, name), allowed))
}

/// A claim by its name, or by a JSON pointer to it.
pub(super) fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(path) = name.strip_prefix('/') else { return claims.get(name) };
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let value = claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
    match rest {
        Some(rest) => value.pointer(&format!("/{rest}")),
        None => Some(value),
    }
}

pub(super) fn has_one_of(value: Option<&Value>, allowed: &[String]) -> bool {
    let fits = |value: &Value| match value {
        Value::String(text) => allowed.contains(text),
        Value::Bool(flag) => allowed.contains(&flag.to_string()),
        _ => false,
    };
    match value {
        Some(Value::Array(values)) => values.iter().any(fits),
        Some(value) => fits(value),
        None => false,
    }
}

/// A name that can be a part of ours.
fn text_claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<&'a str, ForeignFault> {
    let text = claim(claims, name).and_then(Value::as_str).ok_or(ForeignFault::Subject)?;
    let fits = !text.is_empty() && text.len() <= MAX_FOREIGN_SUBJECT_BYTES && !text.contains(char::is_control);
    if fits { Ok(text) } else { Err(ForeignFault::Subject) }
}

/// Whether a subject token was made for use here: its `aud` says one of what its issuer's
/// registration accepts. An ID token, or what may be one, says nothing else (OpenID Connect Core
/// section 3.1.3.7): what is for others as well could be sent here by them.
#[must_use]
pub fn accepts_audience(token: &ForeignToken) -> bool {
    let named = audiences(token);
    let accepted = |one: &str| token.issuer.spec.audiences.iter().any(|accepted| accepted == one);
    match token.kind {
        ForeignKind::AccessToken => named.into_iter().any(accepted),
        _ => !named.is_empty() && named.into_iter().all(accepted),
    }
}

/// `aud`; nothing where it is absent or of the wrong form.
pub(super) fn audiences(token: &ForeignToken) -> Vec<&str> {
    string_or_array_member(&token.claims, "aud", MAX_AUDIENCES).ok().flatten().unwrap_or_default()
}
