//! Sender constraint: what a request proves to hold beside its client's credentials (a key, by a
//! DPoP proof, RFC 9449; a certificate, RFC 8705 section 3), and what tokens demand of that.
//!
//! [`Binding::prove`] is the only reader of proofs, [`admit`] the only judge of a bound token at
//! a resource of ours, [`confirm`] the only maker of `cnf`. A proof that is no good uses up
//! nothing; a good one is used up with whatever is recorded of its request. The URL of a proof is
//! compared with the published one: no header of a request has a say in it.

mod confirm;
mod presented;
mod single;

pub use confirm::{Held, admit, confirm};
pub use presented::{Presentation, Presented, ProofHeader};
pub use single::SingleUse;
pub use stipend_relying::Scheme;

use crate::limits::{LEEWAY_SECONDS, MAX_CACHED_PROOF_KEYS};
use crate::reason::Reason;
use moka::sync::Cache;
use std::sync::Arc;
use stipend_keys::dpop::{NonceAge, Nonces, Proof, ProofError, ProvedRequest, UnverifiedProof};
use stipend_keys::{Secret, Verifier};
use stipend_schema::Burn;

/// Whether proofs must carry a nonce of ours (RFC 9449 section 8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoncePolicy {
    Off,
    Required,
}

impl NoncePolicy {
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "off" => Some(Self::Off),
            "required" => Some(Self::Required),
            _ => None,
        }
    }
}

/// What a request proved.
#[derive(Clone, Debug, Default)]
pub struct Proved {
    /// Thumbprint of the key that made its DPoP proof.
    pub jkt: Option<String>,
    /// Thumbprint of the certificate its connection was made with.
    pub certificate: Option<String>,
    /// The proof, to be used up.
    pub burn: Option<Burn>,
}

/// Reads proofs.
#[derive(Debug)]
pub struct Binding {
    policy: NoncePolicy,
    nonces: Nonces,
    /// Keys whose proofs have been good, by the digest of what was sent: to make a verifier costs
    /// more than to use it.
    keys: Cache<[u8; 32], Arc<Verifier>>,
}

impl Binding {
    #[must_use]
    pub fn new(policy: NoncePolicy, secret: &Secret<[u8; 32]>) -> Self {
        Self { policy, nonces: Nonces::derive(secret), keys: Cache::new(MAX_CACHED_PROOF_KEYS) }
    }

    /// Reads what a request proves; `access_token` is what its proof must be for.
    ///
    /// # Errors
    /// What is wrong with its proof.
    pub fn prove(&self, presented: &Presented, access_token: Option<&str>, now: i64) -> Result<Proved, Reason> {
        let certificate = presented.certificate.clone();
        let compact = match &presented.proof {
            ProofHeader::None => return Ok(Proved { certificate, ..Proved::default() }),
            // RFC 9449 section 4.3, item 1.
            ProofHeader::Several => return Err(Reason::DpopSeveral),
            ProofHeader::One(compact) => compact,
        };
        let proof = self.verify(compact).map_err(reason)?;
        let request = ProvedRequest { method: &presented.method, urls: &presented.urls, now, access_token };
        proof.check(&request).map_err(reason)?;
        self.check_nonce(&proof, now)?;
        let burn = Burn {
            key_hash: proof.replay_key(),
            // On every node, whatever its clock says within the tolerance.
            expires_at: proof.stale_at().saturating_add(LEEWAY_SECONDS),
        };
        Ok(Proved { jkt: Some(proof.jkt().to_owned()), certificate, burn: Some(burn) })
    }

    fn verify(&self, compact: &str) -> Result<Proof, ProofError> {
        let proof = UnverifiedProof::parse(compact)?;
        let digest = proof.key_digest();
        if let Some(known) = self.keys.get(&digest) {
            return proof.verify(&known);
        }
        let key = Arc::new(proof.verifier()?);
        let verified = proof.verify(&key)?;
        self.keys.insert(digest, key);
        Ok(verified)
    }

    /// RFC 9449 section 4.3, item 10, and section 11.3: where nonces are given out, a proof
    /// without one is not taken.
    fn check_nonce(&self, proof: &Proof, now: i64) -> Result<(), Reason> {
        if self.policy == NoncePolicy::Off {
            return Ok(());
        }
        match proof.nonce().map(|nonce| self.nonces.judge(nonce, now)) {
            Some(NonceAge::Current | NonceAge::Aging) => Ok(()),
            Some(NonceAge::Refused) => Err(Reason::DpopNonceWrong),
            None => Err(Reason::DpopNonceMissing),
        }
    }

    /// The nonce to put into an answer to a request with a proof.
    #[must_use]
    pub fn nonce(&self, now: i64) -> Option<String> {
        (self.policy == NoncePolicy::Required).then(|| self.nonces.current(now))
    }
}

fn reason(error: ProofError) -> Reason {
    match error {
        ProofError::Malformed(_) | ProofError::WrongKind => Reason::DpopMalformed,
        ProofError::Key => Reason::DpopKey,
        ProofError::Signature => Reason::DpopSignature,
        ProofError::Claims => Reason::DpopClaims,
        ProofError::Method => Reason::DpopMethod,
        ProofError::Url => Reason::DpopUrl,
        ProofError::Times => Reason::DpopTimes,
        ProofError::Token => Reason::DpopToken,
    }
}
