//! Verifying an access token as its audience (RFC 9068 section 4).
//!
//! What costs nothing is checked first: only a token that claims to be ours, for us and
//! alive can make us fetch keys or compute a signature. All of it is checked again on what
//! the signature vouches for.

use crate::cache::KeyCache;
use crate::error::{DiscoverError, VerifyError};
use crate::events::{EventError, Events, Received, Receiving};
use crate::fetch::Fetcher;
use crate::options::{MAX_DOCUMENT_BYTES, Options};
use crate::proof::{Presented, Proofs};
use crate::status::StatusCache;
use serde_json::{Map, Value};
use stipend_keys::{JwsError, TokenKind, Unverified};
use stipend_token::json::{self, Limits};
use stipend_token::{AccessToken, Audience, Timestamp};
use url::Url;

/// Nesting of a metadata document.
const MAX_METADATA_DEPTH: usize = 8;

/// Verifies the tokens of one issuer for one audience. Make it once, share it.
#[derive(Debug)]
pub struct Verifier {
    issuer: String,
    audience: Audience,
    leeway: i64,
    budget_endpoint: Url,
    keys: KeyCache,
    statuses: StatusCache,
    proofs: Proofs,
    events: Events,
}

impl Verifier {
    /// Finds an issuer's keys through its metadata.
    ///
    /// `issuer` is compared byte for byte with what the metadata says (RFC 8414 section
    /// 3.3); `audience` is this service's own resource identifier.
    ///
    /// # Errors
    /// [`DiscoverError`].
    pub async fn discover(
        issuer: &str,
        audience: &str,
        now: Timestamp,
        options: Options,
    ) -> Result<Self, DiscoverError> {
        let audience = Audience::parse(audience).map_err(|_| DiscoverError::Audience)?;
        let url = Url::parse(issuer).map_err(|_| crate::FetchError::Url(issuer.to_owned()))?;
        let fetcher = Fetcher::new(&url, &options)?;
        let document = fetcher.fetch(&well_known(&url)).await?;
        let limits = Limits { max_bytes: MAX_DOCUMENT_BYTES, max_depth: MAX_METADATA_DEPTH };
        let metadata = json::parse_object(&document.body, limits)
            .map_err(|_| DiscoverError::Metadata("it is not a JSON object"))?;
        // RFC 8414 section 3.3: the values MUST be identical, or anybody's metadata would do.
        if metadata.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(DiscoverError::OtherIssuer { expected: issuer.to_owned() });
        }
        let uri =
            metadata.get("jwks_uri").and_then(Value::as_str).ok_or(DiscoverError::Metadata("it has no jwks_uri"))?;
        let uri = Url::parse(uri).map_err(|_| DiscoverError::Metadata("its jwks_uri is not a URL"))?;
        fetcher.check(&uri)?;
        let budget_endpoint = match metadata.get("budget_endpoint") {
            Some(named) => named.as_str().and_then(|named| Url::parse(named).ok()),
            None => Url::parse(&format!("{}/budget", issuer.trim_end_matches('/'))).ok(),
        };
        let budget_endpoint = budget_endpoint.ok_or(DiscoverError::Metadata("its budget_endpoint is not a URL"))?;
        fetcher.check(&budget_endpoint)?;
        let leeway = options.leeway();
        let statuses = StatusCache::new(fetcher.clone(), issuer, options.clone());
        let keys = KeyCache::load(fetcher, uri, now, options).await?;
        Ok(Self {
            issuer: issuer.to_owned(),
            audience,
            leeway,
            budget_endpoint,
            keys,
            statuses,
            proofs: Proofs::default(),
            events: Events::default(),
        })
    }

    /// The issuer whose tokens this verifies.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where budgets are spent: the metadata's `budget_endpoint`, else `/budget` below the
    /// issuer. For [`Spender::new`](crate::Spender::new).
    #[must_use]
    pub fn budget_endpoint(&self) -> &Url {
        &self.budget_endpoint
    }

    /// Where the service is, as far as its resource identifier says: scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        let url = Url::parse(self.audience.as_str()).ok()?;
        url.origin().is_tuple().then(|| url.origin().ascii_serialization())
    }

    /// The clock difference it tolerates, in seconds.
    #[must_use]
    pub fn leeway_seconds(&self) -> i64 {
        self.leeway
    }

    /// Verifies a bearer token, and looks up its status where it names one. `now` in seconds. One
    /// that is bound to a key is refused: alone it proves nothing of who presents it.
    ///
    /// # Errors
    /// [`VerifyError`], with the status and challenge to answer.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<AccessToken, VerifyError> {
        self.verify_presented(&Presented::bearer(token), now).await
    }

    /// Verifies a token as it was presented: one bound to a DPoP key (RFC 9449) by a proof of it,
    /// which is taken once, one bound to a certificate (RFC 8705 section 3) with that, and any
    /// other as a bearer token.
    ///
    /// # Errors
    /// [`VerifyError`], with the status and challenge to answer.
    pub async fn verify_presented(
        &self,
        presented: &Presented<'_>,
        now: Timestamp,
    ) -> Result<AccessToken, VerifyError> {
        let token = Unverified::parse(presented.token).map_err(VerifyError::Malformed)?;
        if !TokenKind::AccessToken.permits(token.typ()) {
            return Err(VerifyError::WrongKind);
        }
        self.judge(token.claims(), now)?;
        // RFC 9068 leaves `kid` open; without it any key would be worth a try.
        let kid = token.kid().ok_or(VerifyError::UnknownKey)?;
        let key = self.keys.find(kid, now).await?;
        let verified = key.verify(token, TokenKind::AccessToken).map_err(refusal)?;
        let token = self.judge(verified.claims(), now)?;
        self.events.check(&token, key.kid(), now)?;
        self.proofs.admit(&token, presented, now)?;
        // Only a token that is one is worth a request to its issuer.
        self.statuses.check(&token, &self.keys, now).await?;
        Ok(token)
    }

    /// Takes in a security event of the issuer, as it came by push (RFC 8935) or poll (RFC 8936).
    /// `receiver` is the client that the stream is for. What it says is revoked is refused from
    /// now on, with what descends from it, until no such token can be alive.
    ///
    /// # Errors
    /// [`EventError`], with the status and code to answer a push with.
    pub async fn receive(&self, event: &str, receiver: &str, now: Timestamp) -> Result<Received, EventError> {
        let (audience, keys) = (self.audience.as_str(), &self.keys);
        let to = Receiving { issuer: &self.issuer, receiver, audience, keys, leeway: self.leeway };
        self.events.receive(&to, event, now).await
    }

    /// RFC 9068 section 4: issuer, audience and times of an access token.
    fn judge(&self, claims: &Map<String, Value>, now: Timestamp) -> Result<AccessToken, VerifyError> {
        let token = AccessToken::from_claims(claims).map_err(|_| VerifyError::Claims)?;
        let not_before = json::date_member(claims, "nbf").map_err(|_| VerifyError::Claims)?;
        if token.iss != self.issuer {
            return Err(VerifyError::WrongIssuer);
        }
        if !token.aud.contains(&self.audience) {
            return Err(VerifyError::WrongAudience);
        }
        if token.exp.saturating_add(self.leeway) <= now {
            return Err(VerifyError::Expired);
        }
        let earliest = now.saturating_add(self.leeway);
        if token.iat > earliest || not_before.is_some_and(|at| at > earliest) {
            return Err(VerifyError::NotYetValid);
        }
        Ok(token)
    }
}

/// Requires a scope of a verified token.
///
/// # Errors
/// [`VerifyError::MissingScope`].
pub fn require_scope(token: &AccessToken, scope: &str) -> Result<(), VerifyError> {
    if token.scope.contains(scope) { Ok(()) } else { Err(VerifyError::MissingScope) }
}

fn refusal(error: JwsError) -> VerifyError {
    match error {
        JwsError::WrongKind => VerifyError::WrongKind,
        JwsError::WrongKey | JwsError::WrongKeyAlgorithm => VerifyError::UnknownKey,
        JwsError::Signature => VerifyError::Signature,
        JwsError::TooLarge
        | JwsError::Parts
        | JwsError::Base64
        | JwsError::Header(_)
        | JwsError::Payload(_)
        | JwsError::Algorithm
        | JwsError::Extension
        | JwsError::Kid
        | JwsError::Unsigned => VerifyError::Malformed(error),
    }
}

/// RFC 8414 section 3.1: the well-known path goes between host and path.
fn well_known(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    let path = issuer.path().trim_end_matches('/');
    url.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    url.set_query(None);
    url.set_fragment(None);
    url
}
