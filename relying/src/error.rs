//! What can go wrong, and what a service answers then (RFC 6750 section 3.1).

use stipend_keys::dpop::ProofError;
use stipend_keys::{Algorithm, JwsError};

/// The `error` of a `WWW-Authenticate: Bearer` challenge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BearerCode {
    InvalidToken,
    InsufficientScope,
    /// RFC 9449 section 7.1.
    InvalidDpopProof,
}

impl BearerCode {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidDpopProof => "invalid_dpop_proof",
        }
    }

    /// The HTTP status it goes with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidToken | Self::InvalidDpopProof => 401,
            Self::InsufficientScope => 403,
        }
    }
}

/// Why a token is not accepted. Carries nothing of the token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum VerifyError {
    #[error("the token is not a well-formed signed JWT: {0}")]
    Malformed(JwsError),
    #[error("the token is no access token (typ at+jwt)")]
    WrongKind,
    #[error("the token's claims are not those of an access token")]
    Claims,
    #[error("the token is of another issuer")]
    WrongIssuer,
    #[error("the token is for another audience")]
    WrongAudience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the token was not signed by a key of the issuer")]
    UnknownKey,
    #[error("the token's signature is not valid")]
    Signature,
    #[error("the token is bound to a key: send it with the DPoP scheme and a proof")]
    Bound,
    #[error("the token is bound to no DPoP key: send it as a bearer token")]
    NotBound,
    #[error("the token is bound to another key")]
    OtherKey,
    #[error("the token is bound to a certificate that was not presented")]
    Certificate,
    #[error("send one DPoP header with a proof")]
    ProofHeader,
    #[error("{0}")]
    Proof(ProofError),
    #[error("the proof was used before")]
    ProofReplayed,
    #[error("too many proofs at once")]
    TooManyProofs,
    #[error("the token lacks the scope this needs")]
    MissingScope,
    #[error("the token has been revoked")]
    Revoked,
    #[error("the token is suspended")]
    Suspended,
    #[error("the token has no status that could be looked up")]
    NoStatus,
    #[error("the token's status is not available")]
    StatusUnavailable,
    #[error("the issuer's keys are not available")]
    KeysUnavailable,
}

impl VerifyError {
    /// The code to answer with. `None`: the fault is ours or the issuer's, not the
    /// caller's; answer 503.
    #[must_use]
    pub const fn bearer_code(self) -> Option<BearerCode> {
        match self {
            Self::Malformed(_)
            | Self::WrongKind
            | Self::Claims
            | Self::WrongIssuer
            | Self::WrongAudience
            | Self::Expired
            | Self::NotYetValid
            | Self::UnknownKey
            | Self::Signature
            | Self::Bound
            | Self::NotBound
            | Self::OtherKey
            | Self::Certificate
            | Self::Revoked
            | Self::Suspended
            | Self::NoStatus => Some(BearerCode::InvalidToken),
            Self::ProofHeader | Self::Proof(_) | Self::ProofReplayed => Some(BearerCode::InvalidDpopProof),
            Self::MissingScope => Some(BearerCode::InsufficientScope),
            Self::StatusUnavailable | Self::KeysUnavailable | Self::TooManyProofs => None,
        }
    }

    /// The HTTP status to answer with.
    #[must_use]
    pub fn status(self) -> u16 {
        self.bearer_code().map_or(503, BearerCode::status)
    }

    /// The challenge to answer with, for 401 and 403.
    #[must_use]
    pub fn www_authenticate(self) -> Option<String> {
        let code = self.bearer_code()?;
        // The texts above hold no quote and no backslash.
        if self.is_of_dpop() {
            let error = code.as_str();
            return Some(format!("DPoP error=\"{error}\", error_description=\"{self}\", {}", proof_algorithms()));
        }
        Some(format!("Bearer error=\"{}\", error_description=\"{self}\"", code.as_str()))
    }
}

impl VerifyError {
    /// Whether the client used the DPoP scheme, or should have.
    const fn is_of_dpop(self) -> bool {
        matches!(
            self,
            Self::Bound | Self::NotBound | Self::OtherKey | Self::ProofHeader | Self::Proof(_) | Self::ProofReplayed
        )
    }
}

/// The `algs` of a challenge (RFC 9449 section 7.1).
pub(crate) fn proof_algorithms() -> String {
    format!("algs=\"{}\"", Algorithm::ALL.map(Algorithm::as_str).join(" "))
}

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0} is not an https URL (plain http is for loopback only)")]
    Url(String),
    #[error("the HTTP client could not be made: {0}")]
    Client(String),
    #[error("{url} can't be reached: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("{url} answered {status}, not 200")]
    Status { url: String, status: u16 },
    #[error("{url} is larger than 1 MiB")]
    TooLarge { url: String },
}

/// Why an issuer can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the metadata is not usable: {0}")]
    Metadata(&'static str),
    #[error("the metadata names another issuer than {expected}")]
    OtherIssuer { expected: String },
    #[error("the audience is not an absolute URI")]
    Audience,
    #[error("the key set has no usable key")]
    NoKeys,
}
