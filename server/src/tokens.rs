//! Reading our own access tokens: signature, dates, and whether they still stand.
//!
//! A verified signature is remembered; standing never is: it is asked of the live view
//! and the records each time.

use crate::deps;
use crate::federation::Vouched;
use crate::limits::{LEEWAY_SECONDS, MAX_CACHED_TOKENS};
use crate::live::Live;
use crate::records::{Client, Records, Unavailable};
use crate::ring::Ring;
use crate::telemetry::{Phase, phase};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::sync::Arc;
use stipend_keys::{JwsError, TokenKind, Unverified, sha256};
use stipend_schema::Dep;
use stipend_token::claims::AccessToken;
use stipend_token::revoked::RevokedKind;

/// Why a token is no token for us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenFault {
    /// Not a well-formed access token of this issuer: form, `typ`, claims or `iss`.
    Malformed,
    /// Not signed by a key of ours that is published and trusted.
    Signature,
    /// Expired, or issued in the future.
    Expired,
    /// It or what it descends from is in the revoked set.
    Revoked(RevokedKind),
    /// A client it came through, its owner or its audience is not active.
    NotStanding,
}

/// A token whose signature is ours.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    pub claims: AccessToken,
    pub kid: String,
}

/// A token that is alive, with what that was concluded from.
#[derive(Clone, Debug)]
pub struct StandingToken {
    pub token: Arc<VerifiedToken>,
    /// Owners of its parties, its own client's first, and of the issuer that vouched for its
    /// user, each once.
    pub owners: Vec<String>,
    pub deps: Vec<Dep>,
    /// Who vouches for its subject, where the token itself is not ours.
    pub federated: Option<Arc<Vouched>>,
}

#[derive(Debug)]
pub struct Tokens {
    issuer: String,
    ring: Arc<Ring>,
    live: Arc<Live>,
    records: Arc<Records>,
    verified: Cache<[u8; 32], Arc<VerifiedToken>>,
}

/// Either the token is at fault, or nobody can tell now.
#[derive(Clone, Copy, Debug)]
pub enum Doubt {
    Fault(TokenFault),
    Unavailable,
}

impl From<TokenFault> for Doubt {
    fn from(fault: TokenFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Unavailable> for Doubt {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl Tokens {
    #[must_use]
    pub fn new(issuer: &str, ring: Arc<Ring>, live: Arc<Live>, records: Arc<Records>) -> Self {
        // By age alone: most tokens are used once, soon after they were issued.
        let verified = Cache::builder().max_capacity(MAX_CACHED_TOKENS).eviction_policy(EvictionPolicy::lru()).build();
        Self { issuer: issuer.to_owned(), ring, live, records, verified }
    }

    /// Checks form, signature and issuer; no dates and no standing.
    ///
    /// # Errors
    /// [`TokenFault::Malformed`] or [`TokenFault::Signature`].
    pub fn verify(&self, compact: &str, now: i64) -> Result<Arc<VerifiedToken>, TokenFault> {
        // A hash of hostile megabytes is work for nothing.
        if compact.len() > stipend_keys::MAX_JWT_BYTES {
            return Err(TokenFault::Malformed);
        }
        let keyring = self.ring.keyring();
        let digest = sha256(compact.as_bytes());
        if let Some(known) = self.verified.get(&digest) {
            // A key distrusted since then verifies nothing any more.
            return if keyring.verifier(&known.kid, now).is_some() { Ok(known) } else { Err(TokenFault::Signature) };
        }
        let unverified = Unverified::parse(compact).map_err(|_| TokenFault::Malformed)?;
        let kid = unverified.kid().ok_or(TokenFault::Malformed)?.to_owned();
        let verifier = keyring.verifier(&kid, now).ok_or(TokenFault::Signature)?;
        let verified = verifier.verify(unverified, TokenKind::AccessToken).map_err(|error| match error {
            JwsError::Signature => TokenFault::Signature,
            _ => TokenFault::Malformed,
        })?;
        let claims = AccessToken::from_claims(verified.claims()).map_err(|_| TokenFault::Malformed)?;
        if claims.iss != self.issuer {
            return Err(TokenFault::Malformed);
        }
        let token = Arc::new(VerifiedToken { claims, kid });
        self.verified.insert(digest, Arc::clone(&token));
        Ok(token)
    }

    /// Takes note of an access token that was signed here a moment ago, and is on record: a first
    /// use of it then needs no arithmetic. It says no more than verifying it would.
    pub fn remember(&self, compact: &str, token: VerifiedToken) {
        debug_assert!(self.is_what_verifying_says(compact, &token), "a token is not read as it was written");
        self.verified.insert(sha256(compact.as_bytes()), Arc::new(token));
    }

    fn is_what_verifying_says(&self, compact: &str, token: &VerifiedToken) -> bool {
        let keyring = self.ring.keyring();
        let read = Unverified::parse(compact).ok().and_then(|unverified| {
            let verifier = keyring.verifier(&token.kid, token.claims.iat)?;
            let verified = verifier.verify(unverified, TokenKind::AccessToken).ok()?;
            AccessToken::from_claims(verified.claims()).ok()
        });
        // A key that is being distrusted meanwhile verifies nothing.
        read.is_none_or(|read| read == token.claims && read.iss == self.issuer)
    }

    /// Verifies a token and asks whether it is alive: dates, the revoked set, and the
    /// records of all it came through and goes to.
    ///
    /// # Errors
    /// The [`TokenFault`], or that the records can't be read now.
    pub async fn standing(&self, compact: &str, now: i64) -> Result<StandingToken, Doubt> {
        let _timed = phase(Phase::Verify);
        self.standing_of(self.verify(compact, now)?, now).await
    }

    /// The same of a token that was verified before, by what was kept of it: its key must still
    /// be trusted.
    ///
    /// # Errors
    /// As above.
    pub async fn still_standing(&self, token: VerifiedToken, now: i64) -> Result<StandingToken, Doubt> {
        if self.ring.keyring().verifier(&token.kid, now).is_none() {
            return Err(TokenFault::Signature.into());
        }
        self.standing_of(Arc::new(token), now).await
    }

    async fn standing_of(&self, token: Arc<VerifiedToken>, now: i64) -> Result<StandingToken, Doubt> {
        let claims = &token.claims;
        if now >= claims.exp || claims.iat > now.saturating_add(LEEWAY_SECONDS) {
            return Err(TokenFault::Expired.into());
        }
        if let Some(kind) = self.live.kills(claims, &token.kid) {
            return Err(TokenFault::Revoked(kind).into());
        }
        let mut owners: Vec<String> = Vec::new();
        for party in claims.parties() {
            let client = self.standing_party(party, now).await?;
            if self.live.covers(RevokedKind::Owner, &client.owner_id, claims.iat) {
                return Err(TokenFault::Revoked(RevokedKind::Owner).into());
            }
            if !owners.contains(&client.owner_id) {
                owners.push(client.owner_id.clone());
            }
        }
        if let Some(idp) = &claims.user.idp {
            let issuer = self.records.find_issuer_by_id(idp).await?;
            let issuer = issuer.filter(|issuer| issuer.active).ok_or(TokenFault::NotStanding)?;
            if self.live.covers(RevokedKind::Owner, &issuer.owner_id, claims.iat) {
                return Err(TokenFault::Revoked(RevokedKind::Owner).into());
            }
            // After the parties': the holder's owner stays the first.
            if !owners.contains(&issuer.owner_id) {
                owners.push(issuer.owner_id.clone());
            }
        }
        for audience in &claims.aud {
            let resource = self.records.find_resource(audience.as_str()).await?;
            if !resource.is_some_and(|resource| resource.active) {
                return Err(TokenFault::NotStanding.into());
            }
        }
        let mut deps: Vec<Dep> = deps::of_token(claims, &token.kid).collect();
        deps.extend(owners.iter().map(|owner| deps::owner(owner)));
        Ok(StandingToken { token, owners, deps, federated: None })
    }

    async fn standing_party(&self, id: &str, now: i64) -> Result<Arc<Client>, Doubt> {
        match self.records.find_client(id).await? {
            Some(client) if client.stands(now) => Ok(client),
            _ => Err(TokenFault::NotStanding.into()),
        }
    }
}
