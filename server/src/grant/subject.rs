//! The subject token of an exchange (RFC 8693 section 2.1): ours, or one that a trusted issuer
//! made for use here. Both come out in the one form that an exchange is decided on.
//!
//! Of a foreign token only this becomes ours: who its subject is, how that authenticated, when
//! it ends, which key its presenter must prove, and its digest as the root of a lineage. It has
//! no scope, audience, actor or budget here: an exchange rule says all that it may have.

use crate::app::App;
use crate::federation::{
    Evidence, ForeignFault, ForeignKind, ForeignToken, IssuerUse, Vouched, accepts_audience, issuer_named_by, verify,
    verify_again,
};
use crate::reason::Reason;
use crate::records::Client;
use crate::tokens::{Doubt, StandingToken, TokenFault, VerifiedToken};
use std::sync::Arc;
use stipend_keys::Unverified;
use stipend_token::constraint::CredentialRelease;
use stipend_token::json::str_member;
use stipend_token::lineage::Lineage;
use stipend_token::{AccessToken, ActorChain, Confirmation, ScopeSet};

/// The types a subject token may be said to have (RFC 8693 section 3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SubjectType {
    AccessToken,
    Jwt,
    /// Never one of ours: this server makes none.
    IdToken,
}

pub(super) const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

impl SubjectType {
    fn kind(self) -> ForeignKind {
        match self {
            Self::AccessToken => ForeignKind::AccessToken,
            Self::Jwt => ForeignKind::Jwt,
            Self::IdToken => ForeignKind::IdToken,
        }
    }
}

/// A subject token that is alive, and its issuer where that is not us.
///
/// # Errors
/// The [`Reason`], with the issuer's id for the record where a registered one is named.
pub async fn subject(
    app: &App,
    client: &Client,
    compact: &str,
    declared: SubjectType,
    now: i64,
) -> Result<StandingToken, (Reason, Option<String>)> {
    if declared != SubjectType::IdToken {
        match app.tokens.standing(compact, now).await {
            Ok(standing) => return Ok(standing),
            // Whose it is shows only where it is not ours.
            Err(Doubt::Fault(TokenFault::Malformed | TokenFault::Signature)) if is_foreign(app, compact) => {}
            Err(doubt) => return Err((own_fault(doubt), None)),
        }
    }
    let token = Unverified::parse(compact).map_err(|_| (Reason::SubjectMalformed, None))?;
    if !names_another(app, &token) {
        return Err((Reason::SubjectType, None));
    }
    // Only for the record: what it claims is still to be proved.
    let named = issuer_named_by(app, &token).await.ok().map(|issuer| issuer.id.clone());
    let verified = verify(app, token, IssuerUse::SubjectToken, declared.kind(), now).await;
    let verified = verified.map_err(foreign_fault).and_then(|token| admit(client, token));
    verified.map_err(|reason| (reason, named))
}

/// A foreign subject token that was presented before: asked again all that could have changed,
/// and as if it were for this client only now.
///
/// # Errors
/// The [`Reason`].
pub(super) async fn subject_again(
    app: &App,
    client: &Client,
    evidence: &Evidence,
    now: i64,
) -> Result<StandingToken, Reason> {
    let token = verify_again(app, evidence, IssuerUse::SubjectToken, now).await.map_err(foreign_fault)?;
    admit(client, token)
}

fn is_foreign(app: &App, compact: &str) -> bool {
    Unverified::parse(compact).is_ok_and(|token| names_another(app, &token))
}

fn names_another(app: &App, token: &Unverified) -> bool {
    str_member(token.claims(), "iss").is_ok_and(|iss| iss != Some(&app.urls.issuer))
}

/// A verified foreign token as a subject for this client.
fn admit(client: &Client, token: ForeignToken) -> Result<StandingToken, Reason> {
    if accepts_audience(&token) { vouched_subject(client, token, None) } else { Err(Reason::SubjectAudience) }
}

/// The subject that a foreign token vouches for, in the hands of this client; `credentials` is a
/// ceiling on what it may do with those here.
pub(super) fn vouched_subject(
    client: &Client,
    token: ForeignToken,
    credentials: Option<Vec<CredentialRelease>>,
) -> Result<StandingToken, Reason> {
    let env = token.issuer.spec.environment.unwrap_or(client.environment);
    // A token that is bound to a key stays so; one that we could not hold to it is refused.
    let cnf = token.claims.get("cnf").map(Confirmation::from_json).transpose().map_err(|_| Reason::SubjectMalformed)?;
    let claims = AccessToken {
        iss: token.issuer.issuer.clone(),
        sub: token.subject.clone(),
        sub_profile: None,
        // The client that shows it is the first in whose hands it is here, and who pays.
        client_id: client.id.clone(),
        aud: Vec::new(),
        scope: ScopeSet::default(),
        jti: token.digest.clone(),
        lineage: Lineage::default(),
        iat: token.issued_at.unwrap_or_default(),
        exp: token.expires_at,
        env,
        act: ActorChain::default(),
        may_act: None,
        user: token.user.clone(),
        cnf,
        status: None,
        budget: None,
        authorization_details: credentials,
    };
    Ok(StandingToken {
        token: Arc::new(VerifiedToken { claims, kid: String::new() }),
        owners: vec![token.issuer.owner_id.clone()],
        federated: Some(Arc::new(Vouched::by(&token))),
        deps: token.deps,
    })
}

/// What is wrong with a token of ours.
pub(super) fn own_fault(doubt: Doubt) -> Reason {
    match doubt {
        Doubt::Unavailable => Reason::StoreUnavailable,
        Doubt::Fault(TokenFault::Malformed) => Reason::SubjectMalformed,
        Doubt::Fault(TokenFault::Signature) => Reason::SubjectSignature,
        Doubt::Fault(TokenFault::Expired) => Reason::SubjectExpired,
        Doubt::Fault(TokenFault::Revoked(_)) => Reason::SubjectRevoked,
        Doubt::Fault(TokenFault::NotStanding) => Reason::SubjectNotStanding,
    }
}

fn foreign_fault(fault: ForeignFault) -> Reason {
    match fault {
        ForeignFault::Malformed => Reason::SubjectMalformed,
        ForeignFault::Kind => Reason::SubjectType,
        ForeignFault::UnknownIssuer => Reason::SubjectIssuerUnknown,
        ForeignFault::Inactive => Reason::SubjectIssuerOff,
        ForeignFault::Use => Reason::SubjectIssuerUse,
        ForeignFault::Algorithm | ForeignFault::UnknownKey | ForeignFault::Signature => Reason::SubjectSignature,
        ForeignFault::KeysUnavailable => Reason::SubjectKeysUnavailable,
        ForeignFault::Times => Reason::SubjectExpired,
        ForeignFault::Required => Reason::SubjectClaims,
        ForeignFault::Subject => Reason::SubjectUnnamed,
        ForeignFault::Revoked(_) => Reason::SubjectRevoked,
        ForeignFault::Unavailable => Reason::StoreUnavailable,
    }
}
