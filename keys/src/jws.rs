//! Compact JWS (RFC 7515 section 7.1): strict reading, then verification.
//!
//! Trust shows in the type: [`Unverified`] is what someone sent, [`Verified`] can
//! only come out of [`Verifier::verify`]. Size, shape, base64url, header and claims
//! are all checked before any cryptography. A key is bound to one algorithm and the
//! header's `alg` must equal it (RFC 8725 section 3.1); nothing in a header ever
//! brings, names or fetches a key. Errors carry none of the input.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jws::JwsVerifier;
use serde_json::{Map, Value};
use stipend_token::json::{self, JsonError, Limits};

use crate::alg::Algorithm;
use crate::jwk::{JwkError, PublicJwk};
use crate::kind::TokenKind;
use crate::secret::sha256;

/// Longest token that is looked at, and longest that is made.
pub const MAX_JWT_BYTES: usize = 8192;
/// Longest key id.
pub const MAX_KID_BYTES: usize = 256;
/// Nesting of a header; an embedded key has depth 2.
pub const MAX_HEADER_DEPTH: usize = 8;
/// Nesting of the claims; an actor chain adds one per actor.
pub const MAX_CLAIMS_DEPTH: usize = 32;

/// Header members that change what is signed or how it must be read. None of these
/// extensions is supported, so a token with one can't be judged (RFC 7515 section
/// 4.1.11, RFC 7797, RFC 7516).
const REFUSED_MEMBERS: [&str; 4] = ["crit", "b64", "zip", "enc"];
/// Header members that offer a key or a place to fetch one.
const KEY_REFERENCES: [&str; 4] = ["jwk", "jku", "x5u", "x5c"];

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    #[error("the token is too long")]
    TooLarge,
    #[error("the token does not have exactly three parts")]
    Parts,
    #[error("a part of the token is not canonical base64url")]
    Base64,
    #[error("the header is refused: {0}")]
    Header(JsonError),
    #[error("the payload is refused: {0}")]
    Payload(JsonError),
    #[error("the algorithm is missing or not supported")]
    Algorithm,
    #[error("the header asks for an extension that is not supported")]
    Extension,
    #[error("the key id is malformed")]
    Kid,
    #[error("the token is not signed")]
    Unsigned,
    #[error("the token is of another kind")]
    WrongKind,
    #[error("the key is not for this algorithm")]
    WrongKeyAlgorithm,
    #[error("the token names another key")]
    WrongKey,
    #[error("the signature is not valid")]
    Signature,
}

/// A well-formed token that nobody has vouched for yet. Its contents may select a
/// key or a policy, and nothing else.
#[derive(Clone)]
pub struct Unverified {
    signing_input: String,
    signature: Vec<u8>,
    alg: Algorithm,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl Unverified {
    /// Takes a compact token apart.
    pub fn parse(compact: &str) -> Result<Self, JwsError> {
        if compact.len() > MAX_JWT_BYTES {
            return Err(JwsError::TooLarge);
        }
        let mut parts = compact.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwsError::Parts);
        };
        let signing_input = compact.get(..header.len() + 1 + payload.len()).ok_or(JwsError::Parts)?;
        let header = object(header, MAX_HEADER_DEPTH)?.map_err(JwsError::Header)?;
        let alg = check_header(&header)?;
        let claims = object(payload, MAX_CLAIMS_DEPTH)?.and_then(json::storable).map_err(JwsError::Payload)?;
        if signature.is_empty() {
            return Err(JwsError::Unsigned);
        }
        Ok(Self { signing_input: signing_input.to_owned(), signature: decode(signature)?, alg, header, claims })
    }

    /// The algorithm the header claims.
    pub const fn alg(&self) -> Algorithm {
        self.alg
    }

    /// The key the header names: a key to look up among known ones, nothing more.
    pub fn kid(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// The type the header declares.
    pub fn typ(&self) -> Option<&str> {
        self.header.get("typ").and_then(Value::as_str)
    }

    /// The claims as sent. Good for finding the issuer's key; not to be believed.
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Whether the header offers a key of its own (`jwk`, `x5c`) or a place to fetch
    /// one (`jku`, `x5u`). These are never used (RFC 8725 section 3.10).
    pub fn offers_key(&self) -> bool {
        KEY_REFERENCES.iter().any(|name| self.header.contains_key(*name))
    }

    /// Takes the key's name out of the header: a proof's key is the one that it brings, whatever
    /// it calls it.
    pub(crate) fn forget_kid(&mut self) {
        self.header.remove("kid");
    }

    /// The header's `jwk`. Only a DPoP proof is verified with the key it brings
    /// (RFC 9449 section 4.3), and that key proves possession, never identity.
    pub fn dpop_jwk(&self) -> Option<&Map<String, Value>> {
        self.header.get("jwk").and_then(Value::as_object)
    }
}

impl fmt::Debug for Unverified {
    /// Says nothing that was sent: a token in a log is a token leaked.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Unverified");
        debug.field("alg", &self.alg).finish_non_exhaustive()
    }
}

/// Base64url text, then JSON: the two layers fail in different ways.
fn object(part: &str, max_depth: usize) -> Result<Result<Map<String, Value>, JsonError>, JwsError> {
    let limits = Limits { max_bytes: MAX_JWT_BYTES, max_depth };
    Ok(json::parse_object(&decode(part)?, limits))
}

/// Unpadded, canonical base64url (RFC 7515 section 2): one token has one spelling.
fn decode(part: &str) -> Result<Vec<u8>, JwsError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Base64)
}

fn check_header(header: &Map<String, Value>) -> Result<Algorithm, JwsError> {
    if REFUSED_MEMBERS.iter().any(|name| header.contains_key(*name)) {
        return Err(JwsError::Extension);
    }
    let alg = json::str_member(header, "alg").map_err(|_| JwsError::Algorithm)?;
    let alg = alg.ok_or(JwsError::Algorithm)?;
    let alg = alg.parse().map_err(|_| JwsError::Algorithm)?;
    json::str_member(header, "typ").map_err(JwsError::Header)?;
    match json::str_member(header, "kid") {
        Ok(None) => Ok(alg),
        Ok(Some(kid)) if !kid.is_empty() && kid.len() <= MAX_KID_BYTES => Ok(alg),
        Ok(Some(_)) | Err(_) => Err(JwsError::Kid),
    }
}

/// A public key bound to its algorithm, ready to verify. Make it once, use it often,
/// from any thread.
pub struct Verifier {
    inner: Box<dyn JwsVerifier>,
    jwk: PublicJwk,
}

impl Verifier {
    /// Prepares a key.
    pub fn from_jwk(jwk: &PublicJwk) -> Result<Self, JwkError> {
        Ok(Self { inner: jwk.raw_verifier()?, jwk: jwk.clone() })
    }

    /// The one algorithm this verifies.
    pub const fn alg(&self) -> Algorithm {
        self.jwk.alg()
    }

    /// The key's id.
    pub fn kid(&self) -> &str {
        self.jwk.kid()
    }

    /// The key.
    pub const fn jwk(&self) -> &PublicJwk {
        &self.jwk
    }

    /// Verifies a token as one of `kind`.
    pub fn verify(&self, token: Unverified, kind: TokenKind) -> Result<Verified, JwsError> {
        if !kind.permits(token.typ()) {
            return Err(JwsError::WrongKind);
        }
        if token.alg != self.jwk.alg() {
            return Err(JwsError::WrongKeyAlgorithm);
        }
        if let (Some(named), Some(own)) = (token.kid(), self.jwk.declared_kid())
            && named != own
        {
            return Err(JwsError::WrongKey);
        }
        // RFC 7518 section 3.4 fixes the ECDSA form to R || S, 64 bytes: DER, short
        // and padded forms end here. For RSA it is the length of the modulus.
        if token.signature.len() != self.jwk.signature_bytes() {
            return Err(JwsError::Signature);
        }
        self.inner.verify(token.signing_input.as_bytes(), &token.signature).map_err(|_| JwsError::Signature)?;
        Ok(Verified {
            kind,
            alg: token.alg,
            kid: self.jwk.kid().to_owned(),
            claims: token.claims,
            signing_input: token.signing_input,
        })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Verifier").field(&self.jwk).finish()
    }
}

/// Claims whose signature is good for one key and one kind of token. What they say
/// (issuer, audience, times) is still to be judged.
#[derive(Clone)]
pub struct Verified {
    kind: TokenKind,
    alg: Algorithm,
    kid: String,
    claims: Map<String, Value>,
    signing_input: String,
}

impl Verified {
    /// What the token was verified as.
    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    /// The algorithm it was signed with.
    pub const fn alg(&self) -> Algorithm {
        self.alg
    }

    /// The key that verified it.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The claims.
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// SHA-256 over header and payload as sent: the identity of a token that has no
    /// `jti`. The signature is left out because anyone can turn an ECDSA signature
    /// (r, s) into (r, n - s), which is as valid and makes another text of it.
    pub fn digest(&self) -> [u8; 32] {
        sha256(self.signing_input.as_bytes())
    }

    /// The claims, by value.
    pub fn into_claims(self) -> Map<String, Value> {
        self.claims
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Verified");
        debug.field("kind", &self.kind).field("kid", &self.kid);
        debug.finish_non_exhaustive()
    }
}
