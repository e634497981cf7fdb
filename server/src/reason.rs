//! Why a request is refused: the typed reason, and its one mapping to the OAuth error.
//!
//! The reason is logged and audited; the wire shows the code and a fixed description,
//! so that no input and no secret can reach an answer (RFC 6749 section 5.2).

pub use crate::oauth_code::OAuthCode;

use stipend_token::narrow::Refusal;

macro_rules! reasons {
    ($($(#[$meta:meta])* $name:ident = $audit:literal, $code:ident, $text:literal;)+) => {
        /// Everything a request can be refused for.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Reason {
            $($(#[$meta])* $name,)+
        }

        impl Reason {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word in logs and the audit.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $audit,)+ }
            }

            #[must_use]
            pub fn code(self) -> OAuthCode {
                match self { $(Self::$name => OAuthCode::$code,)+ }
            }

            /// The `error_description`: fixed text in the alphabet of RFC 6749 section 5.2.
            #[must_use]
            pub fn description(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

reasons! {
    // The form.
    NotAForm = "not_a_form", InvalidRequest, "the body must be application/x-www-form-urlencoded";
    BodyTooLarge = "body_too_large", TooLarge, "the body is larger than 64 KiB, or than 10 MiB at the proxy";
    BodyTooSlow = "body_too_slow", TooSlow, "the body did not arrive in time";
    BodyUnreadable = "body_unreadable", InvalidRequest, "the body could not be read";
    BadEncoding = "bad_encoding", InvalidRequest, "the body is not valid form encoding of UTF-8";
    RepeatedParameter = "repeated_parameter", InvalidRequest, "a parameter that may appear once appears more than once";
    TooManyParameters = "too_many_parameters", InvalidRequest, "the request has too many parameters";
    MissingGrantType = "missing_grant_type", InvalidRequest, "grant_type is required";
    UnsupportedGrantType = "unsupported_grant_type", UnsupportedGrantType, "grant_type is not supported: use client_credentials, urn:ietf:params:oauth:grant-type:token-exchange, urn:ietf:params:oauth:grant-type:jwt-bearer or urn:openid:params:grant-type:ciba";
    NobodySignsIn = "nobody_signs_in", UnsupportedResponseType, "nobody signs in here and no client has a redirect URI: ask for tokens at the token endpoint";
    MissingToken = "missing_token", InvalidRequest, "token is required";
    // Client authentication.
    NoClientAuthentication = "no_client_authentication", InvalidClient, "client authentication is required";
    SeveralAuthMethods = "several_auth_methods", InvalidRequest, "use exactly one client authentication method";
    MalformedBasic = "malformed_basic", InvalidClient, "client authentication failed";
    UnknownAuthScheme = "unknown_auth_scheme", InvalidClient, "client authentication failed";
    UnknownClient = "unknown_client", InvalidClient, "client authentication failed";
    WrongSecret = "wrong_secret", InvalidClient, "client authentication failed";
    ClientNotActive = "client_not_active", InvalidClient, "client authentication failed";
    WrongAuthMethod = "wrong_auth_method", InvalidClient, "client authentication failed";
    ClientIdMismatch = "client_id_mismatch", InvalidClient, "client authentication failed";
    AssertionTypeUnknown = "assertion_type_unknown", InvalidClient, "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer or :jwt-spiffe";
    AssertionTypeMissing = "assertion_type_missing", InvalidRequest, "client_assertion and client_assertion_type go together";
    AssertionMalformed = "assertion_malformed", InvalidClient, "the client assertion is not a well-formed signed JWT";
    AssertionKeyUnknown = "assertion_key_unknown", InvalidClient, "the client assertion was not signed by a registered key of the client";
    AssertionSignature = "assertion_signature", InvalidClient, "the client assertion was not signed by a registered key of the client";
    AssertionType = "assertion_type", InvalidClient, "the JWT is not a client assertion";
    AssertionIssuer = "assertion_issuer", InvalidClient, "iss and sub of a client assertion must both be the client_id";
    AssertionAudience = "assertion_audience", InvalidClient, "aud of a client assertion must be the issuer and nothing else";
    AssertionTimes = "assertion_times", InvalidClient, "a client assertion needs exp, at most five minutes ahead, and must be valid now";
    AssertionJti = "assertion_jti", InvalidClient, "a client assertion needs a jti of at most 256 characters";
    AssertionReplayed = "assertion_replayed", InvalidClient, "the client assertion was used before";
    AssertionIssuerUntrusted = "assertion_issuer_untrusted", InvalidClient, "the issuer of the client assertion is not trusted to vouch for this client";
    AssertionIssuerSignature = "assertion_issuer_signature", InvalidClient, "the client assertion was not signed by a key of its issuer";
    AssertionIssuerKeys = "assertion_issuer_keys", InvalidClient, "the keys of the issuer of the client assertion can not be had";
    DocumentUrl = "document_url", InvalidClient, "a client_id that is a URL must be https with a path, as a URL parser writes it, without query, fragment, user information, percent encoding or dot segments";
    DocumentNotAdmitted = "document_not_admitted", InvalidClient, "client authentication failed";
    DocumentUnavailable = "document_unavailable", InvalidClient, "the metadata document of the client can not be had: it must be answered in three seconds with 200, as JSON of at most 5 KB, without a redirect";
    DocumentMalformed = "document_malformed", InvalidClient, "the metadata document of the client must be a JSON object with each member once";
    DocumentOtherClient = "document_other_client", InvalidClient, "client_id in the metadata document must be its URL, byte for byte";
    DocumentSecret = "document_secret", InvalidClient, "the metadata document must have no client secret and no method that needs one: use private_key_jwt";
    DocumentMethod = "document_method", InvalidClient, "token_endpoint_auth_method in the metadata document must be private_key_jwt";
    DocumentKeys = "document_keys", InvalidClient, "the metadata document must have either jwks, with one to four public keys, or jwks_uri";
    DocumentClientsFull = "document_clients_full", InvalidClient, "client authentication failed";
    DocumentTooOften = "document_too_often", TooManyRequests, "too many metadata documents are being tried: wait a few seconds";
    AssertionSubject = "assertion_subject", InvalidClient, "sub or another claim of the client assertion is not what the registration of this client requires";
    AssertionLife = "assertion_life", InvalidClient, "a client assertion needs exp, at most a day ahead, and must be valid now";
    CertificateHeader = "certificate_header", InvalidRequest, "the proxy must pass on one client certificate, in one header, or none";
    CertificateUntrusted = "certificate_untrusted", InvalidClient, "client authentication failed";
    CertificateNotRegistered = "certificate_not_registered", InvalidClient, "client authentication failed";
    TooManyFailures = "too_many_failures", TooManyRequests, "too many failed attempts for this client or from this address: wait as long as Retry-After says";
    RateLimited = "rate_limited", TooManyRequests, "this client or its owner asks more often than it may: wait as long as Retry-After says";
    Overloaded = "overloaded", TemporarilyUnavailable, "more is asked of this server than it can do now: try again";
    Busy = "busy", TemporarilyUnavailable, "too many authentications at once: try again";
    // Sender constraint.
    DpopSeveral = "dpop_several", InvalidDpopProof, "send one DPoP header and no more";
    DpopMissing = "dpop_missing", InvalidDpopProof, "a token sent with the DPoP scheme needs a DPoP header with a proof";
    DpopMalformed = "dpop_malformed", InvalidDpopProof, "the DPoP header is not a well-formed signed JWT with typ dpop+jwt";
    DpopKey = "dpop_key", InvalidDpopProof, "the DPoP proof needs a public jwk in its header that fits its alg, and nothing private";
    DpopSignature = "dpop_signature", InvalidDpopProof, "the signature of the DPoP proof is not valid";
    DpopClaims = "dpop_claims", InvalidDpopProof, "a DPoP proof needs jti, of at most 256 characters, htm, htu and iat";
    DpopMethod = "dpop_method", InvalidDpopProof, "htm of the DPoP proof is not the method of this request";
    DpopUrl = "dpop_url", InvalidDpopProof, "htu of the DPoP proof is not the published URL of what is requested";
    DpopTimes = "dpop_times", InvalidDpopProof, "the DPoP proof is more than a minute old or ahead: check the clock";
    DpopToken = "dpop_token", InvalidDpopProof, "ath of the DPoP proof is not the hash of the access token";
    DpopReplayed = "dpop_replayed", InvalidDpopProof, "the DPoP proof was used before: make one for each request";
    DpopRequired = "dpop_required", InvalidDpopProof, "the tokens of this client are bound to a key: send a DPoP proof";
    DpopNotWanted = "dpop_not_wanted", InvalidDpopProof, "the tokens of this client are bound to its certificate: leave the DPoP proof out";
    DpopNonceMissing = "dpop_nonce_missing", UseDpopNonce, "put the nonce of the DPoP-Nonce header into the DPoP proof";
    DpopNonceWrong = "dpop_nonce_wrong", UseDpopNonce, "put the nonce of the DPoP-Nonce header into the DPoP proof";
    CertificateRequired = "certificate_required", InvalidRequest, "the tokens of this client are bound to its certificate: connect with it";
    SubjectKeyNotProved = "subject_key_not_proved", InvalidRequest, "the subject token is bound to a key: prove that key in this request";
    ActorKeyNotProved = "actor_key_not_proved", InvalidRequest, "the actor token is bound to a key: prove that key in this request";
    OwnKeyNotProved = "own_key_not_proved", InvalidRequest, "what comes of a bound token is bound: prove a key of your own in this request";
    BoundAsBearer = "bound_as_bearer", Unauthenticated, "the access token is bound to a key: send it with the DPoP scheme and a proof";
    DpopNotBound = "dpop_not_bound", Unauthenticated, "the access token is not bound to a DPoP key: send it as a bearer token";
    KeyMismatch = "key_mismatch", Unauthenticated, "the access token is bound to another key";
    CertificateMismatch = "certificate_mismatch", Unauthenticated, "the access token is bound to a certificate that was not presented";
    // Targets and scopes.
    MalformedTarget = "malformed_target", InvalidTarget, "resource must be an absolute URI without a fragment, a query or user information";
    TooManyTargets = "too_many_targets", InvalidTarget, "the request names too many resources";
    UnknownTarget = "unknown_target", InvalidTarget, "the requested resource is unknown or not allowed for this client";
    NoDefaultTarget = "no_default_target", InvalidTarget, "name a resource: this client has no default";
    MalformedScope = "malformed_scope", InvalidScope, "scope is not a list of scope tokens separated by single spaces";
    ScopeRequired = "scope_required", InvalidScope, "name a scope: this client has no default at this resource";
    ScopeNotAllowed = "scope_not_allowed", InvalidScope, "none of the scopes is allowed at the requested resource";
    ScopeWider = "scope_wider", InvalidScope, "the scope exceeds what the subject token, the rule, the client and the resource allow";
    DetailsMalformed = "details_malformed", InvalidAuthorizationDetails, "authorization_details must be a JSON list of 1 to 16 objects, each with a type, none with a member twice";
    DetailsType = "details_type", InvalidAuthorizationDetails, "authorization_details has a type that is not supported: use budget or credential_release";
    DetailsTypeNotTheirs = "details_type_not_theirs", InvalidAuthorizationDetails, "authorization_details has a type that the client is not registered for";
    DetailsMember = "details_member", InvalidAuthorizationDetails, "a budget has unit, decimals and amount, and may have per_call, enforce (as or rs) and task";
    DetailsAmount = "details_amount", InvalidAuthorizationDetails, "amount and per_call must be integers from 1 to 999999999999999, in the smallest part of the unit";
    DetailsUnit = "details_unit", InvalidAuthorizationDetails, "unit and decimals must name a unit: 6 decimals for money, 0 for call and token";
    DetailsRepeated = "details_repeated", InvalidAuthorizationDetails, "ask for at most 8 units, each once";
    NoBudgetTarget = "no_budget_target", InvalidAuthorizationDetails, "a token with a budget is for exactly one resource, and one that takes budgets";
    NoBudgetInUnit = "no_budget_in_unit", InvalidAuthorizationDetails, "there is no budget in this unit to get this one from";
    TaskNotOwn = "task_not_own", InvalidAuthorizationDetails, "a task's budget is for tokens in the agent's own name";
    NothingToGrant = "nothing_to_grant", InvalidAuthorizationDetails, "nothing of the budget is left at this line";
    BudgetHandedOn = "budget_handed_on", InvalidAuthorizationDetails, "the service counts this line by itself: it can't be handed on";
    TooManyChildren = "too_many_children", InvalidAuthorizationDetails, "this line has as many lines under it as it may";
    LineClosed = "line_closed", InvalidAuthorizationDetails, "the budget is closed at this line";
    CredentialMember = "credential_member", InvalidAuthorizationDetails, "a credential_release has identifier and actions, and may have constraints";
    CredentialIdentifier = "credential_identifier", InvalidAuthorizationDetails, "an identifier is 1 to 128 letters, digits, hyphens, underscores and dots, and begins with a letter or digit";
    CredentialActions = "credential_actions", InvalidAuthorizationDetails, "actions names release, proxy or both, each once";
    CredentialConstraints = "credential_constraints", InvalidAuthorizationDetails, "constraints has a member that is unknown or of the wrong form";
    CredentialRepeated = "credential_repeated", InvalidAuthorizationDetails, "ask for at most 8 credentials, each once";
    CredentialNotHeld = "credential_not_held", InvalidAuthorizationDetails, "the subject token is not for this credential";
    CredentialActionsWider = "credential_actions_wider", InvalidAuthorizationDetails, "the subject token does not allow this action with the credential";
    CredentialConstraintsTooMany = "credential_constraints_too_many", InvalidAuthorizationDetails, "the constraints of the subject token and of the request together are too many";
    // Token exchange.
    MissingSubjectToken = "missing_subject_token", InvalidRequest, "subject_token is required";
    MissingSubjectTokenType = "missing_subject_token_type", InvalidRequest, "subject_token_type is required";
    ActorTokenWithoutType = "actor_token_without_type", InvalidRequest, "actor_token and actor_token_type go together";
    UnsupportedTokenType = "unsupported_token_type", InvalidRequest, "the token type is not supported: use urn:ietf:params:oauth:token-type:access_token or :jwt, and for a subject token also :id_token";
    UnsupportedRequestedType = "unsupported_requested_type", InvalidRequest, "requested_token_type must be urn:ietf:params:oauth:token-type:access_token, :jwt or :id-jag";
    GrantServer = "grant_server", InvalidRequest, "an identity assertion grant is for one authorization server: name its issuer as the audience, once";
    DetailsAbroad = "details_abroad", InvalidAuthorizationDetails, "an identity assertion grant takes no authorization_details along";
    SubjectMalformed = "subject_malformed", InvalidRequest, "the subject token is not a well-formed token of its type";
    SubjectSignature = "subject_signature", InvalidRequest, "the subject token was not signed by a key of its issuer";
    SubjectType = "subject_type", InvalidRequest, "the subject token is not of the type that subject_token_type says";
    SubjectIssuerUnknown = "subject_issuer_unknown", InvalidRequest, "the subject token's issuer is not trusted here for this";
    SubjectIssuerOff = "subject_issuer_off", InvalidRequest, "the subject token's issuer is not trusted here for this";
    SubjectIssuerUse = "subject_issuer_use", InvalidRequest, "the subject token's issuer is not trusted here for this";
    SubjectKeysUnavailable = "subject_keys_unavailable", InvalidRequest, "the keys of the subject token's issuer can't be had now: try again later";
    SubjectAudience = "subject_audience", InvalidRequest, "the subject token was not made for use here: its aud must be one that its issuer is registered with";
    SubjectClaims = "subject_claims", InvalidRequest, "the subject token lacks a claim that is required of its issuer's tokens";
    SubjectUnnamed = "subject_unnamed", InvalidRequest, "the subject token names no subject, or none that could have a name here";
    SubjectExpired = "subject_expired", InvalidRequest, "the subject token has expired or is not yet valid";
    SubjectRevoked = "subject_revoked", InvalidRequest, "the subject token has been revoked";
    SubjectNotStanding = "subject_not_standing", InvalidRequest, "a party of the subject token is not active";
    ActorMalformed = "actor_malformed", InvalidRequest, "the actor token is not a well-formed access token of this issuer";
    ActorSignature = "actor_signature", InvalidRequest, "the actor token was not signed by this issuer";
    ActorExpired = "actor_expired", InvalidRequest, "the actor token has expired or is not yet valid";
    ActorRevoked = "actor_revoked", InvalidRequest, "the actor token has been revoked";
    ActorNotStanding = "actor_not_standing", InvalidRequest, "a party of the actor token is not active";
    ActorNotClient = "actor_not_client", InvalidRequest, "the actor token must be the authenticated client's own";
    MayActMismatch = "may_act_mismatch", InvalidRequest, "may_act in the subject token names another actor";
    NoRule = "no_rule", InvalidTarget, "no exchange rule leads from the subject token to the requested resource";
    NotTheirs = "not_theirs", InvalidRequest, "the subject token was not issued to this client and no exchange rule lets the client use it";
    TooDeep = "too_deep", InvalidRequest, "the actor chain would be deeper than allowed";
    LineageTooLong = "lineage_too_long", InvalidRequest, "the token has been exchanged too many times";
    EnvironmentCrossed = "environment_crossed", InvalidRequest, "tokens do not cross between sandbox and live";
    TokenTooLarge = "token_too_large", InvalidRequest, "the token would be larger than allowed: ask for fewer resources, scopes, credentials or constraints";
    PolicyDenied = "policy_denied", InvalidRequest, "a policy does not allow this token";
    // Approvals.
    ApprovalNeeded = "approval_needed", InteractionRequired, "people must approve this exchange: ask at the backchannel_authentication_endpoint and poll";
    ApprovalNotNeeded = "approval_not_needed", InvalidRequest, "this exchange needs no approval: make it at the token endpoint";
    ApprovalTargets = "approval_targets", InvalidTarget, "an exchange that people must approve is for exactly one resource";
    ApprovalHint = "approval_hint", InvalidRequest, "login_hint, login_hint_token and id_token_hint do not go with a subject token, which says whom it is about";
    BadRequestedExpiry = "bad_requested_expiry", InvalidRequest, "requested_expiry must be a positive integer";
    BadBindingMessage = "bad_binding_message", InvalidBindingMessage, "binding_message must have at most 256 bytes, without control or direction characters";
    TooManyApprovals = "too_many_approvals", TooManyRequests, "too many requests wait for an approval: poll for those, or wait until they expire";
    MissingAuthReqId = "missing_auth_req_id", InvalidRequest, "auth_req_id is required";
    ApprovalUnknown = "approval_unknown", InvalidGrant, "the auth_req_id is unknown, used or another client's";
    ApprovalNotTheirs = "approval_not_theirs", InvalidGrant, "the auth_req_id is unknown, used or another client's";
    ApprovalUsed = "approval_used", InvalidGrant, "the auth_req_id is unknown, used or another client's";
    ApprovalEnded = "approval_ended", InvalidGrant, "what was to be approved can't be issued any more: a token, a party or the rule has changed";
    ApprovalPending = "approval_pending", AuthorizationPending, "nobody has answered yet";
    ApprovalTooFast = "approval_too_fast", SlowDown, "wait five seconds longer between polls";
    ApprovalExpired = "approval_expired", ExpiredToken, "nobody approved it in time";
    ApprovalRefused = "approval_refused", Denied, "the request was refused";
    // Assertions of other issuers.
    GrantMissing = "grant_missing", InvalidRequest, "assertion is required";
    GrantMalformed = "grant_malformed", InvalidGrant, "the assertion is not a well-formed JWT of a kind that is a grant here";
    GrantIssuer = "grant_issuer", InvalidGrant, "no such assertions of this issuer are accepted here";
    GrantSignature = "grant_signature", InvalidGrant, "the assertion was not signed by a key of its issuer";
    GrantKeysUnavailable = "grant_keys_unavailable", InvalidGrant, "the keys of the assertion's issuer can't be had now: try again later";
    GrantAudience = "grant_audience", InvalidGrant, "aud of an assertion must be this issuer and nothing else";
    GrantOtherClient = "grant_other_client", InvalidGrant, "client_id of an assertion must be the client that presents it";
    GrantTimes = "grant_times", InvalidGrant, "the assertion has expired, is not yet valid, or ends more than an hour from now";
    GrantJti = "grant_jti", InvalidGrant, "an assertion needs a jti of at most 256 characters";
    GrantSubject = "grant_subject", InvalidGrant, "the assertion names nobody who may have tokens here, or lacks a claim that is required of its issuer";
    GrantRevoked = "grant_revoked", InvalidGrant, "the assertion, its subject or its issuer has been revoked";
    GrantDetails = "grant_details", InvalidGrant, "authorization_details of an assertion may only be of the type credential_release";
    GrantNoRule = "grant_no_rule", InvalidGrant, "no exchange rule lets this client act for the assertion's subject";
    GrantKeyNotProved = "grant_key_not_proved", InvalidGrant, "the assertion is bound to a key: prove it";
    GrantReplayed = "grant_replayed", InvalidGrant, "the assertion was used before";
    // Revocation.
    NotOwnToken = "not_own_token", UnauthorizedClient, "the token was issued to another client";
    GrantNotAllowed = "grant_not_allowed", UnauthorizedClient, "this client may not use this grant type";
    // Budgets.
    TokenNotActive = "token_not_active", InvalidToken, "the token is not active, or not for a resource of this client";
    BadAmount = "bad_amount", InvalidRequest, "amount must be an integer from 0 to 999999999999999, in the smallest part of the unit";
    BadUnit = "bad_unit", InvalidRequest, "unit and decimals must name a unit: 6 decimals for money, 0 for call and token";
    BadHoldLife = "bad_hold_life", InvalidRequest, "expires_in must be 1 to 3600 seconds";
    BadFinal = "bad_final", InvalidRequest, "final must be true or false";
    BadIdempotencyKey = "bad_idempotency_key", InvalidRequest, "send one Idempotency-Key of 1 to 255 visible ASCII characters";
    MissingCapture = "missing_capture", InvalidRequest, "capture is required";
    NoBudget = "no_budget", InsufficientBudget, "the token has no budget in this unit";
    InsufficientBudget = "insufficient_budget", InsufficientBudget, "the budget does not have that much left";
    PerCallExceeded = "per_call_exceeded", InsufficientBudget, "the budget admits less in one call";
    BudgetCarved = "budget_carved", HoldEnded, "the service counts this line by itself: report what it spent";
    MissingLine = "missing_line", InvalidRequest, "line is required";
    ReportBackwards = "report_backwards", InvalidRequest, "spent is less than was reported before";
    KeyTokenDead = "key_token_dead", InvalidRequest, "the token issued for this Idempotency-Key is not active any more: use another key";
    BudgetClosed = "budget_closed", InsufficientBudget, "the budget is closed";
    NoSuchHold = "no_such_budget", NotFound, "there is no such hold, capture or line of this client";
    HoldEnded = "hold_ended", HoldEnded, "the hold has ended, or the last report was made";
    AmountZero = "amount_zero", InvalidRequest, "amount must be more than 0 here";
    AmountTooMuch = "amount_too_much", InvalidRequest, "the amount is more than was captured and not yet refunded";
    IdempotencyKeyReused = "idempotency_key_reused", IdempotencyKeyReused, "the Idempotency-Key was used for another request";
    // Custody.
    NoBearer = "no_bearer", Unauthenticated, "send an access token for this service as a bearer token";
    TokenTwice = "token_twice", InvalidRequest, "send one access token, in one header";
    BearerInvalid = "bearer_invalid", Unauthenticated, "the access token is not valid here";
    BearerElsewhere = "bearer_elsewhere", Unauthenticated, "the access token is not valid here";
    MissingScope = "missing_scope", InsufficientScope, "the access token lacks the scope that this needs";
    MissingUseScope = "missing_use_scope", InsufficientScope, "the access token lacks the scope that this needs";
    NotJson = "not_json", InvalidRequest, "the body must be application/json: one object with the members documented for it";
    ProxyIsNoRelease = "proxy_is_no_release", InvalidRequest, "nothing is released for the proxy: send the calls through /proxy";
    NoSuchCredential = "no_such_credential", NotFound, "there is no such credential for this agent";
    NotGranted = "credential_not_granted", NotFound, "there is no such credential for this agent";
    GrantEnded = "grant_ended", NotFound, "there is no such credential for this agent";
    OtherEnvironment = "other_environment", NotFound, "there is no such credential for this agent";
    TokenElsewhere = "token_other_credential", InsufficientScope, "the token's authorization_details do not name this credential, or not for this";
    BadPath = "bad_path", InvalidRequest, "the path could be read in two ways: no dot segments, no encoded slashes, no empty segments";
    TokenInQuery = "token_in_query", InvalidRequest, "the token must be in a header and nowhere else";
    BadMethod = "bad_method", InvalidRequest, "the method is not one that is forwarded";
    BadMaxCost = "bad_max_cost", InvalidRequest, "Agent-Budget-Max must be one integer from 1 to 999999999999999";
    MaxCostTooLow = "max_cost_too_low", InsufficientBudget, "the call may cost more than Agent-Budget-Max admits: ask for less";
    UpstreamRefused = "upstream_refused", BadGateway, "the upstream may not be called, or its answer may not be passed on";
    UpstreamFailed = "upstream_failed", BadGateway, "the upstream could not be reached, or broke off";
    UpstreamSlow = "upstream_slow", GatewayTimeout, "the upstream did not answer in time";
    RequestBroken = "request_broken", InvalidRequest, "the request body ended before its end";
    ProxyBusy = "proxy_busy", TemporarilyUnavailable, "too many calls are under way: try again";
    ModeNotAllowed = "mode_not_allowed", AccessDenied, "the credential or the grant does not allow this mode";
    CredentialNotReady = "credential_not_ready", AccessDenied, "the credential is disabled or has no active version";
    NoEncryptionKey = "no_encryption_key", AccessDenied, "the grant has no key to encrypt to";
    UseDenied = "policy_denied_use", AccessDenied, "a policy does not allow this use of the credential";
    ConstraintViolated = "constraint_violated", ConstraintViolated, "a constraint does not allow this call";
    RateExceeded = "rate_exceeded", RateExceeded, "a constraint allows fewer calls in this time";
    UsesExhausted = "uses_exhausted", ConstraintViolated, "a constraint allows no further use";
    VersionGone = "version_gone", NotFound, "the version that was released has been destroyed";
    ReferenceUnknown = "reference_unknown", NotFound, "the reference is unknown, expired or used";
    ReferenceNotTheirs = "reference_not_theirs", NotFound, "the reference is unknown, expired or used";
    ReferenceExpired = "reference_expired", NotFound, "the reference is unknown, expired or used";
    ReferenceReused = "reference_reused", NotFound, "the reference is unknown, expired or used";
    // Registration.
    RegistrationTokenUnknown = "registration_token_unknown", Unauthenticated, "the access token is not valid here";
    RegistrationTokenEnded = "registration_token_ended", Unauthenticated, "the access token is not valid here";
    RegistrationUnknown = "registration_unknown", Unauthenticated, "the access token is not valid here";
    RegistrationClosed = "registration_closed", AccessDenied, "the client is suspended, or what it was registered by was revoked: it can be read and deleted when it is active again, and not be changed";
    MetadataNotJson = "metadata_not_json", InvalidClientMetadata, "the body must be application/json: one object of client metadata, no member twice";
    MetadataMember = "metadata_member", InvalidClientMetadata, "a member of the client metadata has the wrong type, is too long or is no https or http URL";
    MetadataAuthMethod = "metadata_auth_method", InvalidClientMetadata, "token_endpoint_auth_method is not supported or not among those that may be registered here";
    MetadataGrantTypes = "metadata_grant_types", InvalidClientMetadata, "grant_types names a grant that is not supported or not among those that may be registered here";
    MetadataDetailsTypes = "metadata_details_types", InvalidClientMetadata, "authorization_details_types names a type that is not supported or not among those that may be registered here";
    MetadataResponseTypes = "metadata_response_types", InvalidClientMetadata, "response_types must be empty: there is no authorization endpoint";
    MetadataScope = "metadata_scope", InvalidClientMetadata, "scope names more than may be registered here";
    MetadataKeys = "metadata_keys", InvalidClientMetadata, "jwks must be a JWK set of 1 to 4 public signing keys, each with kid and alg, none twice";
    MetadataKeysTwice = "metadata_keys_twice", InvalidClientMetadata, "jwks and jwks_uri must not both be present";
    MetadataKeysMissing = "metadata_keys_missing", InvalidClientMetadata, "private_key_jwt needs jwks or jwks_uri";
    MetadataKeysUnused = "metadata_keys_unused", InvalidClientMetadata, "jwks goes with private_key_jwt and self_signed_tls_client_auth only";
    MetadataCertificates = "metadata_certificates", InvalidClientMetadata, "self_signed_tls_client_auth needs jwks: 1 to 4 public keys, each with kid, alg and its one certificate in x5c, none twice";
    MetadataSubject = "metadata_subject", InvalidClientMetadata, "tls_client_auth needs exactly one of tls_client_auth_subject_dn, tls_client_auth_san_dns, tls_client_auth_san_uri, tls_client_auth_san_ip and tls_client_auth_san_email, well formed";
    MetadataSubjectUnused = "metadata_subject_unused", InvalidClientMetadata, "the name of a certificate goes with tls_client_auth only";
    MetadataJwksUri = "metadata_jwks_uri", InvalidClientMetadata, "jwks_uri must be an https URL at a public address, without fragment and user information";
    MetadataJwksUriUnused = "metadata_jwks_uri_unused", InvalidClientMetadata, "jwks_uri goes with private_key_jwt only: certificates are sent as jwks";
    MetadataClientId = "metadata_client_id", InvalidClientMetadata, "an update must carry the client_id of the client";
    MetadataServerSet = "metadata_server_set", InvalidClientMetadata, "registration_access_token, registration_client_uri, client_secret_expires_at and client_id_issued_at are not the client's to send";
    MetadataSecret = "metadata_secret", InvalidClientMetadata, "client_secret is not the client's to choose: leave it out, or send a current one";
    SoftwareStatementMalformed = "software_statement_malformed", InvalidSoftwareStatement, "software_statement is not a signed JWT";
    SoftwareStatementUnapproved = "software_statement_unapproved", UnapprovedSoftwareStatement, "no software statement is approved here";
    // Streams of security events.
    StreamUnknown = "stream_unknown", NotFound, "this client has no such stream";
    StreamExists = "stream_exists", Conflict, "this client has a stream already: change it, or remove it first";
    StreamHeld = "stream_held", AccessDenied, "an administrator has stopped this stream: only an administrator lets it go on";
    BadStream = "bad_stream", InvalidRequest, "stream_id and what is said of the stream must be as documented, and what the transmitter says of it as it says";
    BadDelivery = "bad_delivery", InvalidRequest, "delivery must be urn:ietf:rfc:8935 with an https endpoint_url that may be called, or urn:ietf:rfc:8936";
    BadPoll = "bad_poll", InvalidRequest, "maxEvents must not be negative, and ack and setErrs name 1000 events at most";
    StreamFull = "stream_full", RateExceeded, "too many events wait for this stream: take them first";
    // The server's own trouble.
    KeysUnavailable = "keys_unavailable", TemporarilyUnavailable, "the key-encryption service does not answer: try again";
    Overtaken = "overtaken", TemporarilyUnavailable, "the configuration is changing: try again";
    StoreUnavailable = "store_unavailable", TemporarilyUnavailable, "the server cannot record its answer now: try again";
    NoSigningKey = "no_signing_key", TemporarilyUnavailable, "no signing key is active: try again";
    Internal = "internal", ServerError, "the server failed; the request id helps its operators to find out why";
}

impl Reason {
    /// Whether it is the server that failed and not the request: answered, and not recorded,
    /// because recording is what may have failed.
    #[must_use]
    pub fn is_own_trouble(self) -> bool {
        matches!(self.code(), OAuthCode::TemporarilyUnavailable | OAuthCode::ServerError)
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoDefaultTarget => Self::NoDefaultTarget,
            Refusal::TargetNotAllowed => Self::UnknownTarget,
            Refusal::ScopeRequired => Self::ScopeRequired,
            Refusal::ScopeNotAllowed => Self::ScopeNotAllowed,
            Refusal::ScopeWider => Self::ScopeWider,
            Refusal::SubjectExpired => Self::SubjectExpired,
            Refusal::ActorExpired => Self::ActorExpired,
            Refusal::ActorNotClient => Self::ActorNotClient,
            Refusal::MayActMismatch => Self::MayActMismatch,
            Refusal::NotTheirs => Self::NotTheirs,
            Refusal::NoRule => Self::NoRule,
            Refusal::TooDeep => Self::TooDeep,
            Refusal::LineageTooLong => Self::LineageTooLong,
            Refusal::EnvironmentCrossed => Self::EnvironmentCrossed,
        }
    }
}

impl From<crate::records::Unavailable> for Reason {
    fn from(_: crate::records::Unavailable) -> Self {
        Self::StoreUnavailable
    }
}

#[cfg(test)]
mod tests;
