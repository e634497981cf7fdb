//! DPoP proofs (RFC 9449): who presents a token has the key that it is bound to.
//!
//! Owns what a good proof is: its form, its key, its signature ([`UnverifiedProof`]), and then
//! what it says of one request ([`Proof::check`]). The key comes in the proof itself, so a proof
//! says nothing of who somebody is. Single use and nonces need memory or a secret, and a policy:
//! those are the caller's, who gets what it needs for them. No clock.

mod nonce;
mod uri;

pub use nonce::{NONCE_SECONDS, NonceAge, Nonces};
pub use uri::TargetUri;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use stipend_token::Timestamp;
use stipend_token::json::{date_member, str_member};

use crate::alg::Algorithm;
use crate::jwk::PublicJwk;
use crate::jws::{JwsError, Unverified, Verifier};
use crate::kind::TokenKind;
use crate::secret::{constant_time_eq, sha256};

/// Longest `jti` of a proof (RFC 9449 section 11.1: a server may bound what it must remember).
pub const MAX_PROOF_JTI_BYTES: usize = 256;
/// Longest nonce that is looked at.
pub const MAX_NONCE_BYTES: usize = 256;
/// How far a proof's `iat` may lie from now, before or after, in seconds. Whoever must see each
/// proof once has to remember it this long after its `iat`.
pub const PROOF_WINDOW_SECONDS: i64 = 60;

/// Why a proof was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the proof is not a well-formed signed JWT: {0}")]
    Malformed(JwsError),
    #[error("the proof's typ is not dpop+jwt")]
    WrongKind,
    #[error("the proof's jwk is not a usable public key for its algorithm")]
    Key,
    #[error("the proof's signature is not valid")]
    Signature,
    #[error("the proof lacks jti, htm, htu or iat, or one of its claims is malformed")]
    Claims,
    #[error("the proof is for another method")]
    Method,
    #[error("the proof is for another URL")]
    Url,
    #[error("the proof is too old, or from the future")]
    Times,
    #[error("the proof is for another access token, or for none")]
    Token,
}

/// A well-formed proof whose signature nobody has checked yet.
#[derive(Debug, Clone)]
pub struct UnverifiedProof {
    token: Unverified,
    jwk: Map<String, Value>,
}

impl UnverifiedProof {
    /// Reads the value of a `DPoP` header (RFC 9449 section 4.3, items 2, 4, 5 and 7).
    pub fn parse(compact: &str) -> Result<Self, ProofError> {
        let token = Unverified::parse(compact).map_err(ProofError::Malformed)?;
        if !TokenKind::DpopProof.permits(token.typ()) {
            return Err(ProofError::WrongKind);
        }
        let mut jwk = token.dpop_jwk().ok_or(ProofError::Key)?.clone();
        // A name chooses nothing here: the key is its thumbprint.
        jwk.remove("kid");
        match str_member(&jwk, "alg").map_err(|_| ProofError::Key)?.map(str::parse::<Algorithm>) {
            // An RSA key fits two algorithms: unless it says which, the header does.
            None => {
                jwk.insert("alg".to_owned(), Value::from(token.alg().as_str()));
            }
            Some(Ok(alg)) if alg == token.alg() => {}
            Some(_) => return Err(ProofError::Key),
        }
        Ok(Self { token, jwk })
    }

    /// Stands for the key as it was sent, for finding its verifier again: to make one costs more
    /// than to verify.
    pub fn key_digest(&self) -> [u8; 32] {
        sha256(Value::Object(self.jwk.clone()).to_string().as_bytes())
    }

    /// The proof's own key, ready to verify. Private members are refused: such a key is
    /// everybody's.
    pub fn verifier(&self) -> Result<Verifier, ProofError> {
        let jwk = PublicJwk::parse(&self.jwk).map_err(|_| ProofError::Key)?;
        jwk.verifier().map_err(|_| ProofError::Key)
    }

    /// Verifies the proof with its key: the one of [`UnverifiedProof::verifier`], or one that
    /// was kept under the same [`UnverifiedProof::key_digest`].
    pub fn verify(self, key: &Verifier) -> Result<Proof, ProofError> {
        let Self { mut token, .. } = self;
        token.forget_kid();
        let verified = key.verify(token, TokenKind::DpopProof).map_err(|error| match error {
            JwsError::WrongKind => ProofError::WrongKind,
            JwsError::WrongKeyAlgorithm | JwsError::WrongKey => ProofError::Key,
            JwsError::Signature => ProofError::Signature,
            other => ProofError::Malformed(other),
        })?;
        Proof::from_claims(key.jwk().thumbprint(), verified.claims())
    }
}

/// What a request must be for a proof to be about it.
#[derive(Clone, Copy, Debug)]
pub struct ProvedRequest<'a> {
    pub method: &'a str,
    /// Every address under which the endpoint is known to clients; from configuration and never
    /// from a header of the request.
    pub urls: &'a [TargetUri],
    pub now: Timestamp,
    /// The access token that is presented with it (RFC 9449 section 4.3, item 12).
    pub access_token: Option<&'a str>,
}

/// A proof whose signature is good for the key that it brought.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    jkt: String,
    jti: String,
    htm: String,
    htu: String,
    iat: Timestamp,
    nbf: Option<Timestamp>,
    exp: Option<Timestamp>,
    ath: Option<String>,
    nonce: Option<String>,
}

impl Proof {
    /// Parses and verifies in one step.
    pub fn verify(compact: &str) -> Result<Self, ProofError> {
        let proof = UnverifiedProof::parse(compact)?;
        let key = proof.verifier()?;
        proof.verify(&key)
    }

    /// RFC 9449 section 4.2: what is required is there, and what we know has its form. What we
    /// don't know is ignored.
    fn from_claims(jkt: &str, claims: &Map<String, Value>) -> Result<Self, ProofError> {
        let text = |name, max: usize| match str_member(claims, name) {
            Ok(None) => Ok(None),
            Ok(Some(text)) if !text.is_empty() && text.len() <= max => Ok(Some(text.to_owned())),
            Ok(Some(_)) | Err(_) => Err(ProofError::Claims),
        };
        let date = |name| date_member(claims, name).map_err(|_| ProofError::Claims);
        Ok(Self {
            jkt: jkt.to_owned(),
            jti: text("jti", MAX_PROOF_JTI_BYTES)?.ok_or(ProofError::Claims)?,
            htm: text("htm", usize::MAX)?.ok_or(ProofError::Claims)?,
            htu: text("htu", usize::MAX)?.ok_or(ProofError::Claims)?,
            iat: date("iat")?.ok_or(ProofError::Claims)?,
            nbf: date("nbf")?,
            exp: date("exp")?,
            ath: text("ath", usize::MAX)?,
            nonce: text("nonce", MAX_NONCE_BYTES)?,
        })
    }

    /// The RFC 7638 thumbprint of the key that was proved: what `cnf.jkt` says.
    pub fn jkt(&self) -> &str {
        &self.jkt
    }

    /// The server's nonce in it.
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// What is the same of two proofs only if one is the other again: the key and its `jti`.
    /// Without the key, one client's `jti` could use up another's.
    pub fn replay_key(&self) -> [u8; 32] {
        sha256(["dpop proof", &self.jkt, &self.jti].join("\0").as_bytes())
    }

    /// From when on the proof is refused for its age, on any clock that is right: until then it
    /// has to be remembered.
    pub const fn stale_at(&self) -> Timestamp {
        self.iat.saturating_add(PROOF_WINDOW_SECONDS + 1)
    }

    /// Whether the proof is about this request (RFC 9449 section 4.3, items 8, 9, 11 and 12).
    pub fn check(&self, request: &ProvedRequest<'_>) -> Result<(), ProofError> {
        // RFC 9110 section 9.1: methods are case-sensitive.
        if self.htm != request.method {
            return Err(ProofError::Method);
        }
        let htu = TargetUri::parse(&self.htu).ok_or(ProofError::Url)?;
        if !request.urls.contains(&htu) {
            return Err(ProofError::Url);
        }
        self.check_times(request.now)?;
        match (request.access_token, &self.ath) {
            (Some(token), Some(ath)) => {
                let expected = URL_SAFE_NO_PAD.encode(sha256(token.as_bytes()));
                if constant_time_eq(expected.as_bytes(), ath.as_bytes()) { Ok(()) } else { Err(ProofError::Token) }
            }
            (Some(_), None) => Err(ProofError::Token),
            // At a token endpoint no token is presented, and what else a proof says is ignored.
            (None, _) => Ok(()),
        }
    }

    fn check_times(&self, now: Timestamp) -> Result<(), ProofError> {
        let (earliest, latest) = (now.saturating_sub(PROOF_WINDOW_SECONDS), now.saturating_add(PROOF_WINDOW_SECONDS));
        let timely = (earliest..=latest).contains(&self.iat)
            && self.nbf.is_none_or(|at| at <= latest)
            && self.exp.is_none_or(|at| at > earliest);
        if timely { Ok(()) } else { Err(ProofError::Times) }
    }
}

impl fmt::Debug for Proof {
    /// A proof is good until it is used: nothing of it but its key goes into a log.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Proof").field("jkt", &self.jkt).finish_non_exhaustive()
    }
}
