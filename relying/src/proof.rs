//! Tokens that are bound to a key (RFC 9449, RFC 8705 section 3): what a request must bring with
//! one, and the memory that makes a proof good for one request.
//!
//! A token's signature says that it was issued; only this says that whoever sends it is the one
//! it was issued to. The memory is the process's: a service of several processes sees a proof
//! once in each of them, within the two minutes that it can be young.

use crate::error::VerifyError;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashSet};
use stipend_keys::dpop::{Proof, ProvedRequest, TargetUri};
use stipend_token::{AccessToken, Confirmation, Timestamp};

/// Proofs remembered at most, all of them younger than two minutes: 503 beyond. Only whoever has
/// a good token and its key gets one in here.
pub const MAX_REMEMBERED_PROOFS: usize = 200_000;

/// How a token was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// `Authorization: Bearer` (RFC 6750).
    Bearer,
    /// `Authorization: DPoP` (RFC 9449 section 7.1).
    Dpop,
}

impl Scheme {
    /// RFC 9110 section 11.1: without case. `None`: neither.
    #[must_use]
    pub fn parse(scheme: &str) -> Option<Self> {
        if scheme.eq_ignore_ascii_case("bearer") {
            Some(Self::Bearer)
        } else if scheme.eq_ignore_ascii_case("dpop") {
            Some(Self::Dpop)
        } else {
            None
        }
    }
}

/// A token as a request brought it, for [`Verifier::verify_presented`](crate::Verifier::verify_presented).
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    pub token: &'a str,
    pub scheme: Scheme,
    /// The values of all `DPoP` headers of the request.
    pub proofs: &'a [&'a str],
    pub method: &'a str,
    /// Where the request went, as the service is published: its configured address and the path of
    /// the request. Never from `Host`, which whoever sends it writes.
    pub url: &'a str,
    /// `x5t#S256` (RFC 8705 section 3.1) of the certificate that the client has proved to the
    /// service's own TLS listener, or to a proxy of its own.
    pub certificate: Option<&'a str>,
}

impl<'a> Presented<'a> {
    /// A token sent as `Authorization: Bearer`, and nothing with it.
    #[must_use]
    pub const fn bearer(token: &'a str) -> Self {
        Self { token, scheme: Scheme::Bearer, proofs: &[], method: "", url: "", certificate: None }
    }
}

/// The proofs that were taken.
#[derive(Debug, Default)]
pub(crate) struct Proofs(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    keys: HashSet<[u8; 32]>,
    by_end: BTreeSet<(Timestamp, [u8; 32])>,
}

impl Proofs {
    /// Whether a verified token is presented as its binding demands.
    pub(crate) fn admit(
        &self,
        token: &AccessToken,
        presented: &Presented<'_>,
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        match (presented.scheme, &token.cnf) {
            (Scheme::Bearer, None) => Ok(()),
            // RFC 9449 section 7.2: whoever found it could send it so.
            (Scheme::Bearer, Some(Confirmation::Jkt(_))) => Err(VerifyError::Bound),
            (Scheme::Bearer, Some(Confirmation::X5tS256(thumbprint))) => match presented.certificate {
                Some(certificate) if certificate == thumbprint => Ok(()),
                Some(_) | None => Err(VerifyError::Certificate),
            },
            // RFC 9449 section 7.1: the scheme is for tokens bound to a key.
            (Scheme::Dpop, None | Some(Confirmation::X5tS256(_))) => Err(VerifyError::NotBound),
            (Scheme::Dpop, Some(Confirmation::Jkt(jkt))) => self.prove(jkt, presented, now),
        }
    }

    fn prove(&self, jkt: &str, presented: &Presented<'_>, now: Timestamp) -> Result<(), VerifyError> {
        let [compact] = presented.proofs else { return Err(VerifyError::ProofHeader) };
        let proof = Proof::verify(compact).map_err(VerifyError::Proof)?;
        let urls: Vec<TargetUri> = TargetUri::parse(presented.url).into_iter().collect();
        let request = ProvedRequest { method: presented.method, urls: &urls, now, access_token: Some(presented.token) };
        proof.check(&request).map_err(VerifyError::Proof)?;
        if proof.jkt() != jkt {
            return Err(VerifyError::OtherKey);
        }
        self.take(proof.replay_key(), proof.stale_at(), now)
    }

    /// Takes a proof, once.
    fn take(&self, key: [u8; 32], end: Timestamp, now: Timestamp) -> Result<(), VerifyError> {
        let mut taken = self.0.lock();
        while let Some((end, key)) = taken.by_end.first().copied().filter(|(end, _)| *end <= now) {
            taken.by_end.remove(&(end, key));
            taken.keys.remove(&key);
        }
        if taken.keys.contains(&key) {
            return Err(VerifyError::ProofReplayed);
        }
        if taken.keys.len() >= MAX_REMEMBERED_PROOFS {
            return Err(VerifyError::TooManyProofs);
        }
        taken.keys.insert(key);
        taken.by_end.insert((end, key));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> [u8; 32] {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&n.to_be_bytes());
        key
    }

    #[test]
    fn a_proof_is_forgotten_when_it_is_too_old_anyway_and_the_memory_is_bounded() {
        let proofs = Proofs::default();
        for n in 0..MAX_REMEMBERED_PROOFS {
            assert_eq!(proofs.take(key(n), 100, 0), Ok(()));
        }
        assert_eq!(proofs.take(key(7), 100, 99), Err(VerifyError::ProofReplayed));
        // Full: no proof is taken that could not be remembered.
        assert_eq!(proofs.take(key(MAX_REMEMBERED_PROOFS), 200, 99), Err(VerifyError::TooManyProofs));
        assert_eq!(proofs.take(key(MAX_REMEMBERED_PROOFS), 200, 100), Ok(()));
        assert_eq!(proofs.0.lock().keys.len(), 1);
        assert_eq!(proofs.0.lock().by_end.len(), 1);
    }
}
