//! The `error` of a response, and its HTTP status. Which reason has which is in `reason`.

/// The `error` of a response. The HTTP status is a function of this alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OAuthCode {
    InvalidRequest,
    InvalidClient,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
    InvalidScope,
    InvalidTarget,
    InvalidAuthorizationDetails,
    /// RFC 7591 section 3.2.2.
    InvalidClientMetadata,
    InvalidSoftwareStatement,
    UnapprovedSoftwareStatement,
    /// RFC 6749 section 5.2: what was approved is over, used, or another's.
    InvalidGrant,
    /// RFC 8628 section 3.5 and OpenID CIBA Core section 11.
    AuthorizationPending,
    SlowDown,
    ExpiredToken,
    /// People have said no: `access_denied` as the token endpoint says it.
    Denied,
    InvalidBindingMessage,
    /// People must be asked first.
    InteractionRequired,
    /// The body is too large; the code is still `invalid_request`.
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// Too many failed attempts (RFC 6585 section 4).
    TooManyRequests,
    /// A token that is of no use at a budget.
    InvalidToken,
    InsufficientBudget,
    /// RFC 9449 section 5.
    InvalidDpopProof,
    /// RFC 9449 section 8.
    UseDpopNonce,
    /// No bearer token, or none that is good here (RFC 6750 section 3.1).
    Unauthenticated,
    InsufficientScope,
    AccessDenied,
    ConstraintViolated,
    RateExceeded,
    BadGateway,
    GatewayTimeout,
    NotFound,
    HoldEnded,
    /// There is one already.
    Conflict,
    IdempotencyKeyReused,
    ServerError,
    TemporarilyUnavailable,
}

impl OAuthCode {
    #[must_use]
    pub fn error(self) -> &'static str {
        match self {
            Self::InvalidRequest | Self::TooLarge | Self::TooSlow => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidAuthorizationDetails => "invalid_authorization_details",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidSoftwareStatement => "invalid_software_statement",
            Self::UnapprovedSoftwareStatement => "unapproved_software_statement",
            Self::InvalidGrant => "invalid_grant",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::InvalidBindingMessage => "invalid_binding_message",
            Self::InteractionRequired => "interaction_required",
            Self::TooManyRequests => "too_many_requests",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::InvalidToken | Self::Unauthenticated => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::AccessDenied | Self::Denied => "access_denied",
            Self::ConstraintViolated => "constraint_violated",
            Self::RateExceeded => "rate_exceeded",
            Self::BadGateway => "bad_gateway",
            Self::GatewayTimeout => "gateway_timeout",
            Self::InsufficientBudget => "insufficient_budget",
            Self::NotFound => "not_found",
            Self::HoldEnded => "hold_ended",
            Self::Conflict => "conflict",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest
            | Self::InvalidDpopProof
            | Self::UseDpopNonce
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::UnsupportedResponseType
            | Self::InvalidScope
            | Self::InvalidTarget
            | Self::InvalidGrant
            | Self::AuthorizationPending
            | Self::SlowDown
            | Self::ExpiredToken
            | Self::Denied
            | Self::InvalidBindingMessage
            | Self::InteractionRequired
            | Self::InvalidAuthorizationDetails
            | Self::InvalidClientMetadata
            | Self::InvalidSoftwareStatement
            | Self::UnapprovedSoftwareStatement => 400,
            Self::InvalidClient | Self::Unauthenticated => 401,
            Self::InvalidToken
            | Self::InsufficientBudget
            | Self::InsufficientScope
            | Self::AccessDenied
            | Self::ConstraintViolated => 403,
            Self::NotFound => 404,
            Self::TooSlow => 408,
            Self::HoldEnded | Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::IdempotencyKeyReused => 422,
            Self::TooManyRequests | Self::RateExceeded => 429,
            Self::ServerError => 500,
            Self::BadGateway => 502,
            Self::GatewayTimeout => 504,
            Self::TemporarilyUnavailable => 503,
        }
    }
}

impl OAuthCode {
    /// At a resource of ours a proof that is no good is a matter of authentication (RFC 9449
    /// sections 7.1 and 9).
    #[must_use]
    pub fn status_at_resource(self) -> u16 {
        match self {
            Self::InvalidDpopProof | Self::UseDpopNonce => 401,
            other => other.status(),
        }
    }
}
